"""The numbers and the chain of hashes of one direction between two devices."""

import struct

from sodium import blake2b, lab


class Chain:
    """h of one payload after the other."""

    def __init__(self):
        self.hash, self.number = bytes(32), 0

    def next(self, payload):
        self.hash = self.after(payload)
        self.number += 1
        return self.hash

    def after(self, payload):
        return blake2b(lab("seq") + self.hash + struct.pack("<I", len(payload)) + payload, 32)


class Received:
    """What has arrived of the other side: everything up to a number, and more beyond."""

    def __init__(self):
        self._chain = Chain()
        self._early = {}
        self.contradictions = 0

    @property
    def delivered(self):
        return self._chain.number

    def has(self, number):
        return number <= self._chain.number or number in self._early

    def take(self, number, hashed, payload):
        """False for what has arrived already. A payload that is None is a tombstone."""
        if self.has(number):
            return False
        self._early[number] = (hashed, payload)
        while self._chain.number + 1 in self._early:
            hashed, payload = self._early.pop(self._chain.number + 1)
            if payload is not None and self._chain.after(payload) != hashed:
                self.contradictions += 1
            self._chain.hash, self._chain.number = hashed, self._chain.number + 1
        return True

    def ranges(self):
        """What is there beyond the first gap, as pairs of first and last."""
        out = []
        for number in sorted(self._early):
            if out and out[-1][1] == number - 1:
                out[-1][1] = number
            else:
                out.append([number, number])
        return out[:32]

    def missing(self):
        highest = max(self._early, default=0)
        return [number for number in range(self.delivered + 1, highest)
                if number not in self._early]
