"""A relay whose wall clock is wrong: what its operator reads, and what becomes of the mail."""

import os
import tempfile
import time
import unittest
from pathlib import Path

from operator_test import Operated
from programs import PATIENCE, Person

DAY = 24 * 3600
LIFE_MAX = {"ttl_default": '"1 second"', "ttl_max": '"2 seconds"'}


class ClockTest(unittest.TestCase):
    def test_mail_of_a_start_years_ahead_goes_with_its_time_after_the_next_start(self):
        with tempfile.NamedTemporaryFile(prefix="godwit-test-") as file:
            clock = Path(file.name)
            clock.write_bytes((3650 * DAY).to_bytes(8, "little"))
            environment = {
                **os.environ,
                "LD_PRELOAD": os.environ["CLOCK_INTERPOSER"],
                "GODWIT_CLOCK": file.name,
            }
            life = {"ttl_default": '"10 seconds"', "ttl_max": '"10 seconds"'}
            relay = Operated(settings=life, env=environment)
            self.addCleanup(relay.close)
            alice, bob = (Person(relay.path.parent / name) for name in ("alice", "bob"))
            for person in (alice, bob):
                person.json("init", "--relay", relay.address(), "--name", person.home.name)
            alice.json("send", "bob", "hello")
            self.assertEqual(relay.status()["queued_envelopes"], 1)
            relay.program.terminate()
            relay.program.wait(PATIENCE)
            clock.write_bytes(bytes(8))
            relay.run(env=environment)
            until = time.monotonic() + PATIENCE
            while relay.status()["expired_total"] == 0:
                self.assertLess(time.monotonic(), until, relay.status())
                time.sleep(0.1)
            self.assertEqual(relay.status()["queued_envelopes"], 0)

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
