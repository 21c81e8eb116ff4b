"""The chat client where no relay answers: what it says of that."""

import os
import signal
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))
from programs import Person, Relay  # noqa: E402


class OfflineTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="godwit-test-")
        self.addCleanup(directory.cleanup)
        self.homes = Path(directory.name)

    def test_who_does_not_answer_is_said_when_the_time_is_over(self):
        relay = Relay()
        self.addCleanup(relay.close)
        alice = Person(self.homes / "alice")
        alice.json("init", "--relay", relay.address, "--name", "alice")
        os.kill(relay.pid, signal.SIGSTOP)  # connections are made, and nothing comes
        why = (
            f"the relay at 127.0.0.1:{relay.port} has not answered yet (is this network connected, "
            "and does it let the port through?)"
        )
        sent = alice.run("send", "--timeout", "1", "bob", "hello")
        self.assertEqual(sent.returncode, 0)
        self.assertIn(b"queued: ", sent.stdout)
        self.assertEqual(sent.stderr.decode(), f"note: {why}\n")
        sync = alice.error("sync")
        self.assertEqual(sync["code"], "offline")
        self.assertEqual(
            sync["message"], f"{why}; nothing is lost: run `godwit sync` again"
        )


if __name__ == "__main__":
    unittest.main()
