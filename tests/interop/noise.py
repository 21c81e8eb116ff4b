"""The two Noise handshakes of the protocol: IK towards a relay, X inside an envelope."""

import hashlib
import hmac

from sodium import Pair, Refused, noise_open, noise_seal

HASH_SIZE = 64
REKEY_NONCE = 2**64 - 1


def _hash(data):
    return hashlib.blake2b(data).digest()


def _hmac(key, data):
    return hmac.new(key, data, hashlib.blake2b).digest()


def _hkdf(chaining_key, ikm):
    """Two outputs of 64 bytes; of one that becomes a cipher key the first 32 count."""
    secret = _hmac(chaining_key, ikm)
    first = _hmac(secret, b"\x01")
    return first, _hmac(secret, first + b"\x02")


class Cipher:
    """One direction after a handshake."""

    def __init__(self, key):
        self.key, self.counter = key, 0

    def seal(self, plaintext):
        out = noise_seal(self.key, self.counter, b"", plaintext)
        self.counter += 1
        return out

    def open(self, ciphertext):
        out = noise_open(self.key, self.counter, b"", ciphertext)
        self.counter += 1
        return out

    def rekey(self):
        self.key = noise_seal(self.key, REKEY_NONCE, b"", bytes(32))[:32]


class Symmetric:
    """Noise's SymmetricState."""

    def __init__(self, name, prologue, responder_static):
        self.hash = name.ljust(HASH_SIZE, b"\0")
        self.chaining_key = self.hash
        self.key, self.counter = None, 0
        self.mix_hash(prologue)
        self.mix_hash(responder_static)

    def mix_hash(self, data):
        self.hash = _hash(self.hash + data)

    def mix_key(self, secret):
        self.chaining_key, key = _hkdf(self.chaining_key, secret)
        self.key, self.counter = key[:32], 0

    def seal(self, plaintext):
        out = noise_seal(self.key, self.counter, self.hash, plaintext)
        self.counter += 1
        self.mix_hash(out)
        return out

    def open(self, ciphertext):
        out = noise_open(self.key, self.counter, self.hash, ciphertext)
        self.counter += 1
        self.mix_hash(ciphertext)
        return out

    def split(self):
        first, second = _hkdf(self.chaining_key, b"")
        return Cipher(first[:32]), Cipher(second[:32])


class Initiator:
    """Noise_IK of a device."""

    PROTOCOL = b"Noise_IK_25519_ChaChaPoly_BLAKE2b"
    PROLOGUE = b"godwit/relay/1\0"

    def __init__(self, static, relay_key):
        self._static = static
        self._ephemeral = Pair()
        self._state = Symmetric(self.PROTOCOL, self.PROLOGUE + relay_key, relay_key)
        self._relay_key = relay_key

    def first(self):
        state = self._state
        state.mix_hash(self._ephemeral.public)
        state.mix_key(self._ephemeral.dh(self._relay_key))
        sealed_static = state.seal(self._static.public)
        state.mix_key(self._static.dh(self._relay_key))
        return self._ephemeral.public + sealed_static + state.seal(b"")

    def second(self, message):
        """Our sending and our receiving direction."""
        if len(message) != 48:
            raise Refused("message 2 of another length")
        state, theirs = self._state, message[:32]
        state.mix_hash(theirs)
        state.mix_key(self._ephemeral.dh(theirs))
        state.mix_key(self._static.dh(theirs))
        state.open(message[32:])
        return state.split()


X_PROTOCOL = b"Noise_X_25519_ChaChaPoly_BLAKE2b"
X_OVERHEAD = 32 + 48 + 16
MESSAGE_MAX = 65535


def seal_to(static, recipient, prologue, payload):
    """Noise_X, and a transport message behind a full first one."""
    state = Symmetric(X_PROTOCOL, prologue, recipient)
    ephemeral = Pair()
    state.mix_hash(ephemeral.public)
    state.mix_key(ephemeral.dh(recipient))
    sealed_static = state.seal(static.public)
    state.mix_key(static.dh(recipient))
    room = MESSAGE_MAX - X_OVERHEAD
    out = ephemeral.public + sealed_static + state.seal(payload[:room])
    if len(out) == MESSAGE_MAX:
        out += state.split()[0].seal(payload[room:])
    return out


def open_from(recipient, prologue, sealed):
    """The sender's static key and the payload."""
    message, rest = sealed[:MESSAGE_MAX], sealed[MESSAGE_MAX:]
    if len(message) < X_OVERHEAD:
        raise Refused("shorter than its keys")
    state, theirs = Symmetric(X_PROTOCOL, prologue, recipient.public), message[:32]
    state.mix_hash(theirs)
    state.mix_key(recipient.dh(theirs))
    static = state.open(message[32:80])
    state.mix_key(recipient.dh(static))
    payload = state.open(message[80:])
    if len(message) == MESSAGE_MAX:
        payload += state.split()[0].open(rest)
    return static, payload
