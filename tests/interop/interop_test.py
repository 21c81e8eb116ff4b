#!/usr/bin/env python3
"""A client in another language, written from schema/ alone, meets the relay and the real client.

Needs GODWIT and GODWIT_RELAY, the two programs, and libsodium; see README.md beside it.
"""

import os
import sys
import unittest

sys.dont_write_bytecode = True

MODULES = ("vectors", "refusals", "delivery", "rates", "conversation", "loss")

if __name__ == "__main__":
    for name in ("GODWIT", "GODWIT_RELAY"):
        if not os.path.exists(os.environ.get(name, "")):
            sys.exit(f"{name} has to name the program")
    named = any(not word.startswith("-") for word in sys.argv[1:])
    unittest.main(module=None, argv=[*sys.argv, *(() if named else MODULES)])
