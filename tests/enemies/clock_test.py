"""What an operator reads when the relay's wall clock jumps: each pause of expiry, and its end."""

import os
import tempfile
import unittest
from pathlib import Path

from operator_test import Operated

DAY = 24 * 3600
LIFE_MAX = {"ttl_default": '"1 second"', "ttl_max": '"2 seconds"'}


class ClockTest(unittest.TestCase):
    def test_each_jump_is_logged_and_when_the_clock_is_believed_again(self):
        with tempfile.NamedTemporaryFile(prefix="godwit-test-") as file:
            clock = Path(file.name)

            def set_ahead(seconds):
                with clock.open("r+b") as offset:
                    offset.write(seconds.to_bytes(8, "little", signed=True))

            set_ahead(0)
            environment = {
                **os.environ,
                "LD_PRELOAD": os.environ["CLOCK_INTERPOSER"],
                "GODWIT_CLOCK": file.name,
            }
            relay = Operated(settings=LIFE_MAX, env=environment)
            self.addCleanup(relay.close)
            self.assertNotIn("clock_", relay.log.read_text())
            for times, days in enumerate((3650, 0), start=1):
                set_ahead(days * DAY)
                relay.wait_for_log("clock_jumped nothing_expires_for_s=2", times)
                relay.wait_for_log("clock_trusted", times)


if __name__ == "__main__":
    unittest.main()
