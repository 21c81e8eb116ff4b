"""A connection to a relay: records, frames, requests and events."""

import base64
import re
import select
import socket
import struct
import time

import flat
import noise
from sodium import Refused

KEY_SIZE = 32
RECORD_PLAINTEXT_MAX = 65519
REKEY_INTERVAL = 1048576
FRAME_SIZE_MIN, FRAME_SIZE_MAX, FRAME_SIZE_MAX_BEFORE_LOGIN = 8, 524288, 4096
PATIENCE = 20  # seconds that an answer may take on a busy machine


class Ended(Exception):
    """The relay ended the connection; `closing` is its last frame, if it said one."""

    def __init__(self, closing=None):
        super().__init__(str(closing))
        self.closing = closing
        self.code = closing["code"] if closing else None


class RelayRefused(Exception):
    """Refused, as the answer to a request."""

    def __init__(self, code, retry_after_ms):
        super().__init__(f"{code}, again after {retry_after_ms} ms")
        self.code, self.retry_after_ms = code, retry_after_ms


CODES = {number: name for name, number in flat.WIRE.enums["ErrorCode"].items()}


def parse_address(address):
    """Host, port and key of godwit://KEY@HOST:PORT."""
    found = re.fullmatch(r"godwit://([A-Za-z0-9_-]{43})@(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]{1,253})"
                         r":([0-9]{1,5})", address)
    if not found or not 1 <= int(found[3]) <= 65535:
        raise ValueError(address)
    key = base64.urlsafe_b64decode(found[1] + "=")
    if base64.urlsafe_b64encode(key).decode().rstrip("=") != found[1]:
        raise ValueError("bits that are unused are set")
    return found[2].strip("[]"), int(found[3]), key


def _exactly(link, size):
    out = b""
    while len(out) < size:
        part = link.recv(size - len(out))
        if not part:
            raise Ended
        out += part
    return out


class Connection:
    """After the handshake; nothing here runs by itself, whoever waits reads."""

    def __init__(self, address, transport):
        host, port, self.relay_key = parse_address(address)
        self.socket = socket.create_connection((host, port), timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._send, self._receive = self._shake_hands(transport)
        except BaseException:
            self.socket.close()
            raise
        self._bytes, self._frames = b"", b""
        self._next_id, self._waiting = 1, set()
        self.replies, self.events = {}, []
        self.ended = None
        self.live = False

    def _shake_hands(self, transport):
        initiator = noise.Initiator(transport, self.relay_key)
        first = initiator.first()
        self.hello = struct.pack(">H", len(first)) + first
        self.socket.sendall(self.hello)
        size = struct.unpack(">H", _exactly(self.socket, 2))[0]
        return initiator.second(_exactly(self.socket, size))

    def close(self):
        self.socket.close()

    # Records and frames.

    def _record(self, plaintext):
        sealed = self._send.seal(plaintext)
        if self._send.counter % REKEY_INTERVAL == 0:
            self._send.rekey()
        return struct.pack(">H", len(sealed)) + sealed

    def send_stream(self, data, cut=RECORD_PLAINTEXT_MAX):
        """Bytes of the stream of frames, in records of at most `cut`."""
        records = [self._record(data[start:start + cut]) for start in range(0, len(data), cut)]
        try:
            self.socket.sendall(b"".join(records))
        except OSError:
            pass  # What the relay said before it left is still to be read.

    def send_empty_records(self, count):
        for start in range(0, count, 4096):
            records = [self._record(b"") for _ in range(min(4096, count - start))]
            self.socket.sendall(b"".join(records))

    def send_frame(self, body, cut=RECORD_PLAINTEXT_MAX):
        self.send_stream(struct.pack("<I", len(body)) + body, cut)

    def _read_records(self):
        while len(self._bytes) >= 2:
            size = struct.unpack(">H", self._bytes[:2])[0]
            if len(self._bytes) < 2 + size:
                return
            self._frames += self._receive.open(self._bytes[2:2 + size])
            if self._receive.counter % REKEY_INTERVAL == 0:
                self._receive.rekey()
            self._bytes = self._bytes[2 + size:]

    def _read_frames(self):
        while len(self._frames) >= 4:
            size = struct.unpack("<I", self._frames[:4])[0]
            if not FRAME_SIZE_MIN <= size <= FRAME_SIZE_MAX:
                raise Refused("a frame of no possible size")
            if len(self._frames) < 4 + size:
                return
            self._take(flat.decode(flat.WIRE, "RelayFrame", self._frames[4:4 + size]))
            self._frames = self._frames[4 + size:]

    def _take(self, frame):
        member, value = frame["body"]
        if "code" in value:
            value = dict(value, code=CODES[value["code"]])
        if member in ("Deliver", "CaughtUp", "KeysLow", "Closing"):
            if frame["request"] != 0:
                raise Refused("an event that names a request")
            if member == "Closing":
                self.ended = Ended(value)
            self.events.append((member, value))
        else:
            if frame["request"] != 0 and frame["request"] not in self._waiting:
                raise Refused("an answer that nobody waits for")
            self._waiting.discard(frame["request"])
            self.replies[frame["request"]] = (member, value)

    def pump(self, seconds):
        """Reads what is there, or comes within that time. False when nothing came."""
        if not select.select([self.socket], [], [], max(0, seconds))[0]:
            return False
        try:
            part = self.socket.recv(1 << 18)
        except ConnectionError:
            part = b""
        if not part:
            raise self.ended or Ended()
        self._bytes += part
        self._read_records()
        self._read_frames()
        return True

    def wait_for(self, there, seconds=PATIENCE):
        deadline = time.monotonic() + seconds
        while not there():
            if not self.pump(deadline - time.monotonic()) and time.monotonic() > deadline:
                raise TimeoutError("the relay did not say it in time")

    def wait_for_end(self, seconds=PATIENCE):
        """How it ended: the code of Closing, or None for an end without a word."""
        try:
            self.wait_for(lambda: False, seconds)
        except Ended as end:
            return end.code
        raise AssertionError("it did not end")

    # Requests.

    def post(self, kind, **fields):
        """Sends a request; its id, for answer()."""
        number = self._next_id
        self._next_id += 1
        self._waiting.add(number)
        self.send_frame(flat.encode(flat.WIRE, "Request",
                                    {"id": number, "body": (kind, fields)}))
        return number

    def expect(self, number):
        """A request that was sent by other means than post() is under way."""
        self._waiting.add(number)

    def answer(self, number):
        """What answers it: the kind of the reply and the reply."""
        self.wait_for(lambda: number in self.replies)
        member, value = self.replies.pop(number)
        if member == "Refused":
            raise RelayRefused(value["code"], value["retry_after_ms"])
        if member == "Welcome":
            self.live = True
        return member, value

    def ask(self, kind, **fields):
        return self.answer(self.post(kind, **fields))

    def take_events(self, kind):
        taken = [value for member, value in self.events if member == kind]
        self.events = [event for event in self.events if event[0] != kind]
        return taken
