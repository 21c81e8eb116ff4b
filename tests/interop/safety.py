"""What two people compare, and what one of them writes down."""

from sodium import Refused, blake2b, lab, sha512

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def _fingerprint(user, root):
    hashed = sha512(b"\0\0" + root + user + root)
    for _ in range(5199):
        hashed = sha512(hashed + root)
    groups = [hashed[start:start + 5] for start in range(0, 30, 5)]
    return "".join(f"{int.from_bytes(group, 'big') % 100000:05}" for group in groups)


def safety_number(one, other):
    """60 digits; each side is the pair of a user id and a root key."""
    return "".join(sorted((_fingerprint(*one), _fingerprint(*other))))


def _check(seed):
    return int.from_bytes(blake2b(lab("code") + seed), "big") >> (128 - 19)


def recovery_code(seed):
    number = int.from_bytes(seed, "big") << 19 | _check(seed)
    digits = "".join(ALPHABET[number >> shift & 31] for shift in range(270, -1, -5))
    return "-".join(digits[start:start + 5] for start in range(0, 55, 5))


def seed_of(code):
    """The seed of the root key."""
    number = 0
    for letter in code.upper().replace("O", "0").replace("I", "1").replace("L", "1"):
        if letter not in " -":
            number = number << 5 | ALPHABET.index(letter)
    seed = (number >> 19).to_bytes(32, "big")
    if number & (1 << 19) - 1 != _check(seed):
        raise Refused("mistyped")
    return seed
