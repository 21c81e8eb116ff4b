"""A session between two devices: how it begins (X3DH), the Double Ratchet, ephemeral frames."""

import copy
import struct

from sodium import (Pair, Refused, ed25519_as_x25519, hkdf, hmac_sha512, lab, open_sealed, random,
                    seal, sha512)

SUITE = 1
NONE = 0xffffffff
PREKEY_TYPE, RATCHET_TYPE, EPHEMERAL_TYPE = 1, 2, 6
SKIPPED_IN_A_CHAIN_MAX, KEPT_MAX, KEPT_HEADER_KEYS_TRIED = 1000, 2000, 32


def pad(plaintext):
    size = len(plaintext) + 1
    step = 256 if size <= 4096 else 4096
    return plaintext + b"\x80" + bytes(-size % step)


def unpad(padded):
    step = 256 if len(padded) <= 4096 else 4096
    plaintext = padded.rstrip(b"\0")
    if not padded or len(padded) % step or plaintext[-1:] != b"\x80":
        raise Refused("badly padded")
    if pad(plaintext[:-1]) != padded:
        raise Refused("more padding than there has to be")
    return plaintext[:-1]


class PrekeyHeader:
    """What opens every message of the one who began, until it is answered."""

    def __init__(self, base, gen, prekey_id, one_time_id):
        self.base, self.gen, self.prekey_id, self.one_time_id = base, gen, prekey_id, one_time_id

    def encode(self):
        flags = 0 if self.one_time_id == NONE else 1
        return bytes([1, SUITE, PREKEY_TYPE, flags]) + self.base + struct.pack(
            "<III", self.gen, self.prekey_id, self.one_time_id)

    @classmethod
    def split(cls, inner):
        """The header, if there is one, and the rest."""
        if inner[:3] != bytes([1, SUITE, PREKEY_TYPE]):
            return None, inner
        if len(inner) < 48 or inner[3] not in (0, 1):
            raise Refused("a prekey header that names an invite, or is cut off")
        header = cls(inner[4:36], *struct.unpack("<III", inner[36:48]))
        if (inner[3] == 0) != (header.one_time_id == NONE):
            raise Refused("flags and one-time key of a prekey header differ")
        return header, inner[48:]


def _transcript(initiator, responder, header, prekey, one_time):
    out = lab("x3dh", SUITE) + initiator + responder + header.base
    out += struct.pack("<I", header.gen) + prekey + struct.pack("<I", header.prekey_id)
    out += b"\x01" + one_time + struct.pack("<I", header.one_time_id) if one_time else b"\0"
    return sha512(out + b"\0\0")


def _kdf_root(root, secret):
    out = hkdf(root, secret, lab("root", SUITE), 96)
    return out[:32], out[32:64], out[64:]


class _State:
    """What a message changes, all at once or not at all."""

    def __init__(self):
        self.theirs = self.pair = self.root = None
        self.sending = self.receiving = None
        self.header_sending = self.header_receiving = None
        self.next_header_sending = self.next_header_receiving = None
        self.sent = self.received = self.previous = 0
        self.kept = {}


class Session:
    """One session; `header` is there until who began it has been answered."""

    def __init__(self, initiator, responder, header, secrets, prekey, one_time, is_initiator):
        hashed = _transcript(initiator, responder, header, prekey, one_time)
        self.id, self.gen = hashed[:16], header.gen
        self.ad = lab("ad", SUITE) + initiator + responder + hashed[:32]
        keys = hkdf(b"", b"\xff" * 32 + b"".join(secrets), lab("x3dh", SUITE) + hashed, 192)
        self.root, self.header_ab, self.next_header_ba = keys[:32], keys[32:64], keys[64:96]
        ephemeral = (keys[128:160], keys[160:192])
        self.is_initiator = is_initiator
        self.ephemeral_out, self.ephemeral_in = ephemeral if is_initiator else ephemeral[::-1]
        self.header = header
        self.state = _State()

    @classmethod
    def begin(cls, account, bundle, gen, base=None, pair=None):
        """As A, from a bundle of B."""
        base, identity = base or Pair(), account.identity.as_x25519()
        one_time = bundle.one_time
        header = PrekeyHeader(base.public, gen, bundle.prekey["id"],
                              one_time["id"] if one_time else NONE)
        prekey = bundle.prekey["key"]
        secrets = [identity.dh(prekey), base.dh(ed25519_as_x25519(bundle.identity)),
                   base.dh(prekey)]
        if one_time:
            secrets.append(base.dh(one_time["key"]))
        self = cls(account.id, bundle.id, header, secrets, prekey,
                   one_time["key"] if one_time else None, True)
        state = self.state
        state.theirs, state.pair = prekey, pair or Pair()
        state.root, state.sending, state.next_header_sending = _kdf_root(
            self.root, state.pair.dh(prekey))
        state.header_sending, state.next_header_receiving = self.header_ab, self.next_header_ba
        return self

    @classmethod
    def answer(cls, account, sender, sender_identity, header):
        """As B, from the header of A's first message; `sender` is A's user id and IK."""
        prekey = account.prekeys.get(header.prekey_id)
        one_time = account.one_time.get(header.one_time_id)
        if prekey is None or (header.one_time_id != NONE and one_time is None):
            raise Refused("a session from keys that are not there any more")
        theirs = ed25519_as_x25519(sender_identity)
        secrets = [prekey.dh(theirs), account.identity.as_x25519().dh(header.base),
                   prekey.dh(header.base)]
        if one_time:
            secrets.append(one_time.dh(header.base))
        self = cls(sender, account.id, header, secrets, prekey.public,
                   one_time.public if one_time else None, False)
        state = self.state
        state.pair, state.root = prekey, self.root
        state.next_header_sending, state.next_header_receiving = (self.next_header_ba,
                                                                  self.header_ab)
        return self

    def encrypt(self, padded, nonce=None):
        """The inner message, with its prekey header while that is needed."""
        state = self.state
        nonce = nonce or random(24)
        message = bytes([1, SUITE, RATCHET_TYPE, 0]) + nonce
        fields = state.pair.public + struct.pack("<II", state.previous, state.sent)
        message += seal(state.header_sending, nonce, self.ad + message, fields)
        state.sending, key = _step(state.sending)
        message += seal(key, nonce, self.ad + message, padded)
        state.sent += 1
        opening = self.header.encode() if self.is_initiator and self.header else b""
        return opening + message

    def decrypt(self, message, fresh=None):
        """The padded plaintext. Changes nothing unless all of it authenticates."""
        if message[:4] != bytes([1, SUITE, RATCHET_TYPE, 0]) or len(message) < 100:
            raise Refused("no ratchet message of this version")
        state = copy.deepcopy(self.state)
        nonce, sealed_header, body = message[4:28], message[28:84], message[84:]
        key = self._message_key(state, nonce, message[:28], sealed_header, fresh)
        plaintext = open_sealed(key, nonce, self.ad + message[:84], body)
        self.state = state
        if self.is_initiator:
            self.header = None
        return plaintext

    def _open_header(self, key, nonce, prefix, sealed):
        if key is None:
            return None
        try:
            fields = open_sealed(key, nonce, self.ad + prefix, sealed)
        except Refused:
            return None
        theirs, (previous, number) = fields[:32], struct.unpack("<II", fields[32:])
        if number >= 1 << 31:
            raise Refused("a number that no chain reaches")
        return theirs, previous, number

    def _message_key(self, state, nonce, prefix, sealed, fresh):
        found = self._open_header(state.header_receiving, nonce, prefix, sealed)
        if found:
            if found[2] < state.received:
                return _take_kept(state, state.header_receiving, found[2])
        else:
            found = self._open_header(state.next_header_receiving, nonce, prefix, sealed)
            if not found:
                return self._kept_key(state, nonce, prefix, sealed)
            if found[1] < state.received:
                raise Refused("a chain that was shorter than what came of it")
            _skip(state, found[1])
            _turn(state, found[0], fresh)
        _skip(state, found[2])
        state.receiving, key = _step(state.receiving)
        state.received += 1
        return key

    def _kept_key(self, state, nonce, prefix, sealed):
        header_keys = list(dict.fromkeys(key for key, _ in reversed(state.kept)))
        for header_key in header_keys[:KEPT_HEADER_KEYS_TRIED]:
            found = self._open_header(header_key, nonce, prefix, sealed)
            if found:
                return _take_kept(state, header_key, found[2])
        raise Refused("no header key opens it")

    def encrypt_ephemeral(self, payload):
        prefix = bytes([1, SUITE, EPHEMERAL_TYPE, 0]) + random(24)
        return prefix + seal(self.ephemeral_out, prefix[4:], self.ad + prefix, payload)

    def decrypt_ephemeral(self, frame):
        return open_sealed(self.ephemeral_in, frame[4:28], self.ad + frame[:28], frame[28:])


def _step(chain):
    """The next chain key and the message key."""
    key = hmac_sha512(chain, b"\x01")[:32]
    return hmac_sha512(chain, b"\x02")[:32], hkdf(b"", key, lab("msg", SUITE), 32)


def _skip(state, until):
    if until - state.received > SKIPPED_IN_A_CHAIN_MAX:
        raise Refused("too many messages of a chain are skipped")
    while state.receiving is not None and state.received < until:
        state.receiving, key = _step(state.receiving)
        state.kept[(state.header_receiving, state.received)] = key
        state.received += 1
    while len(state.kept) > KEPT_MAX:
        del state.kept[next(iter(state.kept))]


def _take_kept(state, header_key, number):
    if (header_key, number) not in state.kept:
        raise Refused("a replay")
    return state.kept.pop((header_key, number))


def _turn(state, theirs, fresh):
    state.previous, state.sent, state.received = state.sent, 0, 0
    state.header_sending, state.header_receiving = (state.next_header_sending,
                                                    state.next_header_receiving)
    state.theirs = theirs
    state.root, state.receiving, state.next_header_receiving = _kdf_root(
        state.root, state.pair.dh(theirs))
    state.pair = fresh or Pair()
    state.root, state.sending, state.next_header_sending = _kdf_root(
        state.root, state.pair.dh(theirs))
