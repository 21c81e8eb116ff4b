"""The chat client where no relay answers: what it says of that, and what to do about it."""

import os
import signal
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))
from programs import GODWIT_RELAY, PATIENCE, Person, Relay  # noqa: E402


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
        bob = Person(self.homes / "bob")
        init = subprocess.Popen(  # takes long
            bob.words("init", "--relay", relay.address, "--name", "bob"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self.addCleanup(init.communicate)
        self.addCleanup(init.kill)
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
        _, said = init.communicate(timeout=PATIENCE)
        self.assertEqual(init.returncode, 1)
        self.assertIn(
            "; the account is made but not registered; run the same `godwit init` again; if the "
            "address was wrong, with the right one and another --home\n",
            said.decode(),
        )
        # The home keeps to the address that it was made with.
        other = relay.address.replace("127.0.0.1", "127.0.0.2")
        again = bob.error("init", "--relay", other, "--name", "bob")
        self.assertEqual(again["code"], "home_exists")
        self.assertTrue(
            again["message"].endswith("; use that --relay, or if it was wrong, another --home"), again
        )

    def test_the_directory_of_a_relay_is_no_home(self):
        directory = self.homes / "r1"
        listen = ["--listen", "127.0.0.1:0"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([GODWIT_RELAY, "init", directory, *listen], check=True, **quiet)
        before = sorted(directory.iterdir())
        person = Person(directory)
        address = f"godwit://{'A' * 43}@127.0.0.1:9"
        for command in (("sync",), ("init", "--relay", address, "--name", "alice")):
            with self.subTest(command=command[0]):
                refused = person.error(*command)
                self.assertEqual(refused["code"], "no_account")
                self.assertEqual(
                    refused["message"],
                    f"{directory} is the directory of a relay, and no home; name another --home",
                )
        self.assertEqual(sorted(directory.iterdir()), before)


if __name__ == "__main__":
    unittest.main()
