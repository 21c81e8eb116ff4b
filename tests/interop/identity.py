"""An account of one user with one primary device, and what others check of an account."""

import struct
import time

from sodium import (Pair, Refused, SigningPair, blake2b, check_not_small_order,
                    ed25519_as_x25519, lab, sha512, verify)

SUITE = 1
DAY = 24 * 3600
GRACE = 180 * DAY  # A key that expired is taken for so long.
NO_ONE_TIME_KEY = 0xffffffff


def user_id_of(root):
    return blake2b(lab("user") + root)


def device_id_of(identity):
    return blake2b(lab("dev") + identity)


class DeviceList:
    """A list of somebody that has verified."""

    def __init__(self, table):
        self.table = table
        body = table["body"]
        root, list_key = table["root"], table["list_key"]
        if len(body) < 74 or body[:13] != lab("devs"):
            raise Refused("no list")
        self.root = root
        self.user = body[13:29]
        self.gen, self.seq = struct.unpack("<IQ", body[29:41])
        self.previous = body[41:73]
        if self.user != user_id_of(root):
            raise Refused("another user's list")
        verify(root, lab("deleg") + self.user + struct.pack("<I", self.gen) + list_key,
               table["delegation"])
        verify(list_key, body, table["signature"])
        self.devices = self._devices(body)

    def _devices(self, body):
        """Identity and transport key of each device, by its id."""
        devices, place = {}, 74
        for _ in range(body[73]):
            size = int.from_bytes(body[place:place + 2], "little")
            record = body[place + 2:place + 2 + size]
            signature = body[place + 2 + size:place + 2 + size + 64]
            place += 2 + size + 64
            if len(signature) != 64 or size < 74 or size != 73 + record[72]:
                raise Refused("a device record of a wrong form")
            identity, transport = record[:32], record[32:64]
            verify(identity, lab("dev") + self.user + record, signature)
            check_not_small_order(transport)
            devices[device_id_of(identity)] = (identity, transport)
        if place != len(body) or len(devices) != body[73] or not devices:
            raise Refused("bytes are left over, or a device stands twice")
        return devices

    @property
    def version(self):
        return self.gen, self.seq

    @property
    def hash(self):
        return sha512(self.table["body"])


def check_signed_key(label, user, identity, key):
    if key["expires"] + GRACE < time.time():
        raise Refused("a key that expired long ago")
    verify(identity, lab(label) + user + struct.pack("<IQQ", key["id"], key["created"],
                                                     key["expires"]) + key["key"],
           key["signature"])
    check_not_small_order(key["key"])


class Account:
    """The secret keys of a user's only device."""

    def __init__(self):
        self.root, self.list_key, self.identity = SigningPair(), SigningPair(), SigningPair()
        self.transport = Pair()
        self.user = user_id_of(self.root.public)
        self.device = device_id_of(self.identity.public)
        self.created = int(time.time())
        self.gen = 1
        self.body = self.make_body(1, bytes(32))
        self.seal_keys, self.prekeys, self.one_time = {}, {}, {}
        self._next_key, self._next_one_time = 1, 1

    def use_root(self, root):
        """Becomes a device of the user of this root key, with a list of gen 1 to begin with."""
        self.root, self.user = root, user_id_of(root.public)
        self.body = self.make_body(1, bytes(32))

    @property
    def id(self):
        """The user and its device, as a session names them."""
        return self.user + self.identity.public

    def device_record(self):
        return (self.identity.public + self.transport.public + struct.pack("<Q", self.created)
                + bytes([1, SUITE]))

    def listed(self):
        """The record, and the proof that the device has its key."""
        record = self.device_record()
        return record, self.identity.sign(lab("dev") + self.user + record)

    def second_device(self):
        """Another device of this user, and what a list of both holds."""
        other = Account()
        other.root, other.list_key, other.user = self.root, self.list_key, self.user
        other.gen = self.gen
        return other, [self.listed(), other.listed()]

    def make_body(self, seq, previous, devices=None):
        """A list of this device, or of the given pairs of a record and its signature."""
        devices = [self.listed()] if devices is None else devices
        out = lab("devs") + self.user + struct.pack("<IQ", self.gen, seq) + previous
        out += bytes([len(devices)])
        for one, signature in devices:
            out += struct.pack("<H", len(one)) + one + signature
        return out

    def list_of(self, body):
        delegated = lab("deleg") + self.user + struct.pack("<I", self.gen) + self.list_key.public
        return {"root": self.root.public, "list_key": self.list_key.public,
                "delegation": self.root.sign(delegated), "body": body,
                "signature": self.list_key.sign(body)}

    def list(self):
        return self.list_of(self.body)

    def next_body(self):
        """The successor of the list, with the same device."""
        seq = struct.unpack("<Q", self.body[33:41])[0]
        return self.make_body(seq + 1, sha512(self.body)[:32])

    def _signed(self, label, kept):
        number, pair, now = self._next_key, Pair(), int(time.time())
        self._next_key += 1
        kept[number] = pair
        fields = struct.pack("<IQQ", number, now, now + 30 * DAY)
        return {"id": number, "created": now, "expires": now + 30 * DAY, "key": pair.public,
                "signature": self.identity.sign(lab(label) + self.user + fields + pair.public)}

    def new_seal_key(self):
        return self._signed("seal", self.seal_keys)

    def new_prekey(self):
        return self._signed("spk", self.prekeys)

    def new_one_time_keys(self, count):
        out = []
        for _ in range(count):
            pair = self.one_time[self._next_one_time] = Pair()
            out.append({"id": self._next_one_time, "key": pair.public})
            self._next_one_time += 1
        return out


class Bundle:
    """What begins a session with a device, checked under its list."""

    def __init__(self, devices, table):
        self.user, self.device = devices.user, table["device"]
        if self.device not in devices.devices:
            raise Refused("a bundle of a device that is not listed")
        self.identity = devices.devices[self.device][0]
        self.identity_x25519 = ed25519_as_x25519(self.identity)
        self.seal_key, self.prekey = table["seal_key"], table["signed_prekey"]
        check_signed_key("seal", self.user, self.identity, self.seal_key)
        check_signed_key("spk", self.user, self.identity, self.prekey)
        self.one_time = table["one_time"]
        if self.one_time:
            check_not_small_order(self.one_time["key"])

    @property
    def id(self):
        return self.user + self.identity
