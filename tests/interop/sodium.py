"""The primitives that both protocol documents name, from libsodium and Python's own library."""

import ctypes
import ctypes.util
import hashlib
import hmac
import os


def _library():
    try:
        return ctypes.CDLL("libsodium.so.23")
    except OSError:  # Not Debian 12.
        return ctypes.CDLL(ctypes.util.find_library("sodium"))


_lib = _library()
if _lib.sodium_init() < 0:
    raise RuntimeError("libsodium does not start")

_DECRYPTS = {
    "ietf": _lib.crypto_aead_chacha20poly1305_ietf_decrypt,
    "x": _lib.crypto_aead_xchacha20poly1305_ietf_decrypt,
}
_ENCRYPTS = {
    "ietf": _lib.crypto_aead_chacha20poly1305_ietf_encrypt,
    "x": _lib.crypto_aead_xchacha20poly1305_ietf_encrypt,
}


class Refused(Exception):
    """What came from the other side does not hold."""


def _length(data):
    return ctypes.c_ulonglong(len(data))


def random(count):
    return os.urandom(count)


def lab(name, suite=0):
    return b"godwit/" + name.encode() + b"\0" + bytes([suite])


def sha512(data):
    return hashlib.sha512(data).digest()


def blake2b(data, size=16):
    return hashlib.blake2b(data, digest_size=size).digest()


def hmac_sha512(key, data):
    return hmac.new(key, data, hashlib.sha512).digest()


def hkdf(salt, ikm, info, size):
    """RFC 5869 with SHA-512."""
    prk = hmac_sha512(salt or bytes(64), ikm)
    okm, block = b"", b""
    for number in range(1, -(-size // 64) + 1):
        block = hmac_sha512(prk, block + info + bytes([number]))
        okm += block
    return okm[:size]


def _encrypt(kind, key, nonce, ad, plaintext):
    out = ctypes.create_string_buffer(len(plaintext) + 16)
    size = ctypes.c_ulonglong()
    _ENCRYPTS[kind](out, ctypes.byref(size), plaintext, _length(plaintext), ad, _length(ad), None,
                    nonce, key)
    return out.raw[:size.value]


def _decrypt(kind, key, nonce, ad, ciphertext):
    if len(ciphertext) < 16:
        raise Refused("shorter than a tag")
    out = ctypes.create_string_buffer(len(ciphertext))
    size = ctypes.c_ulonglong()
    if _DECRYPTS[kind](out, ctypes.byref(size), None, ciphertext, _length(ciphertext), ad,
                       _length(ad), nonce, key) != 0:
        raise Refused("does not authenticate")
    return out.raw[:size.value]


def seal(key, nonce, ad, plaintext):
    """XChaCha20-Poly1305, with a nonce of 24 bytes."""
    return _encrypt("x", key, nonce, ad, plaintext)


def open_sealed(key, nonce, ad, ciphertext):
    return _decrypt("x", key, nonce, ad, ciphertext)


def noise_seal(key, counter, ad, plaintext):
    """ChaCha20-Poly1305 with Noise's nonce."""
    return _encrypt("ietf", key, bytes(4) + counter.to_bytes(8, "little"), ad, plaintext)


def noise_open(key, counter, ad, ciphertext):
    return _decrypt("ietf", key, bytes(4) + counter.to_bytes(8, "little"), ad, ciphertext)


class Pair:
    """An X25519 key pair."""

    def __init__(self, secret=None):
        self.secret = secret or random(32)
        out = ctypes.create_string_buffer(32)
        _lib.crypto_scalarmult_base(out, self.secret)
        self.public = out.raw

    def dh(self, public):
        out = ctypes.create_string_buffer(32)
        if _lib.crypto_scalarmult(out, self.secret, public) != 0 or out.raw == bytes(32):
            raise Refused("a DH whose result is zero")
        return out.raw


class SigningPair:
    """An Ed25519 key pair."""

    def __init__(self, seed=None):
        self.seed = seed or random(32)
        public, secret = ctypes.create_string_buffer(32), ctypes.create_string_buffer(64)
        _lib.crypto_sign_seed_keypair(public, secret, self.seed)
        self.public, self._secret = public.raw, secret.raw

    def sign(self, message):
        out = ctypes.create_string_buffer(64)
        _lib.crypto_sign_detached(out, None, message, _length(message), self._secret)
        return out.raw

    def as_x25519(self):
        out = ctypes.create_string_buffer(32)
        _lib.crypto_sign_ed25519_sk_to_curve25519(out, self._secret)
        return Pair(out.raw)


def verify(public, message, signature):
    if not _lib.crypto_core_ed25519_is_valid_point(public):
        raise Refused("not a canonical point of the main subgroup")
    if _lib.crypto_sign_verify_detached(signature, message, _length(message), public) != 0:
        raise Refused("a signature does not hold")


def ed25519_as_x25519(public):
    out = ctypes.create_string_buffer(32)
    if _lib.crypto_sign_ed25519_pk_to_curve25519(out, public) != 0:
        raise Refused("a key of small or mixed order")
    return out.raw


def check_not_small_order(public):
    """A DH with any scalar gives zero for these, and for no other key."""
    Pair(bytes([8]) + bytes(31)).dh(public)
