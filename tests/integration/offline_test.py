"""The chat client where nobody answers, where its output goes nowhere, and where it was told wrong:
what it says of that, and what to do about it."""

import json
import os
import resource
import select
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

    def test_a_recovery_code_that_went_nowhere_is_shown_again(self):
        relay = Relay()
        self.addCleanup(relay.close)
        alice = Person(self.homes / "alice")
        words = alice.words("init", "--relay", relay.address, "--name", "alice")
        with open("/dev/full", "w") as full:
            lost = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(lost.returncode, 1)
        self.assertIn("stdout cannot be written", lost.stderr)
        self.assertIn("The same `godwit init` shows it again", lost.stderr)
        relay.stop()  # it is known here
        self.assertIn("recovery code  ", alice.text(*words[3:]))

    def test_an_account_of_another_relay_is_said_to_have_no_name_here(self):
        first, second = Relay(), Relay()
        self.addCleanup(first.close)
        self.addCleanup(second.close)
        alice, phone = Person(self.homes / "alice"), Person(self.homes / "phone")
        (account,) = alice.json("init", "--relay", first.address, "--name", "alice")
        there = ("--relay", second.address)
        code = account["recovery_code"] + "\n"
        recovered = phone.run("recover", *there, stdin=code)
        self.assertEqual(recovered.returncode, 0)
        self.assertIn("knows no name of the account", recovered.stderr.decode())
        (named,) = phone.json("init", *there, "--name", "alice")
        self.assertEqual(named, account)

    def test_who_claims_another_name_is_told_why_it_takes_long_and_may_interrupt(self):
        relay = Relay()
        self.addCleanup(relay.close)
        alice, bob = Person(self.homes / "alice"), Person(self.homes / "bob")
        there = ("--relay", relay.address, "--name")
        alice.json("init", *there, "alice")
        self.assertEqual(bob.error("init", *there, "alice")["code"], "name_taken")
        relay.stop()
        words = bob.words("init", *there, "bob")
        init = subprocess.Popen(words, bufsize=0, stderr=subprocess.PIPE)
        self.addCleanup(init.communicate)
        self.addCleanup(init.kill)
        self.assertTrue(init.stderr.readline().startswith(b"registering at "))
        self.assertTrue(select.select([init.stderr], [], [], 5)[0], "nothing is told")
        self.assertRegex(init.stderr.readline(), b"^note: .*nobody listens there.*; trying again")
        init.send_signal(signal.SIGINT)
        _, said = init.communicate(timeout=5)
        self.assertEqual(init.returncode, 130)
        self.assertIn(b"interrupted before the relay answered; run the same `godwit init`", said)
        relay.start()
        done = bob.run("init", *there, "bob")
        self.assertEqual((done.returncode, done.stdout.split(b"\n")[1]), (0, b"name           bob"))
        self.assertNotIn(b"note:", done.stderr)

    def test_a_text_that_is_queued_is_said_to_be_whatever_fails_after_it(self):
        relay = Relay()
        self.addCleanup(relay.close)
        alice, bob = Person(self.homes / "alice"), Person(self.homes / "bob")
        for person in (alice, bob):
            person.json("init", "--relay", relay.address, "--name", person.home.name)
        failed = {}
        for limit in range(6, 40):  # at some of them the home opens, and no connection can be made
            sent = subprocess.run(
                alice.words("send", "--json", "--timeout", "0.2", "bob", f"text {limit}"),
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit)),
                check=False,
            )
            if sent.returncode == 1:
                failed[f"text {limit}"] = [json.loads(line) for line in sent.stdout.splitlines()]
        messages = {one["text"]: one["id"] for one in alice.json("messages", "bob")[:-1]}
        queued = [text for text in failed if text in messages]
        self.assertNotEqual(queued, [], failed)
        for text in queued:
            *said, error = failed[text]
            self.assertEqual(said, [{"id": messages[text], "state": "queued"}])
            self.assertIn("error", error)
        alice.json("sync")
        came = [one["text"] for one in bob.json("sync") if "text" in one]
        self.assertEqual(sorted(came), sorted(messages))

    def test_what_is_mistyped_is_named(self):
        alice = Person(self.homes / "alice")
        for words, said in (
            (("init", "--relay", "R", "--nam", "a"), "unknown option --nam; did you mean --name?"),
            (("init", "--realy=R", "--name", "a"), "unknown option --realy; did you mean --relay?"),
            (("init", "--name", "a"), "--relay is required"),
            (("--homee", "c", "conversations"), "unknown option --homee; did you mean --home?"),
            (("snyc",), 'unknown command "snyc"; did you mean sync?'),
        ):
            with self.subTest(words=words):
                refused = alice.error(*words, status=2)
                self.assertEqual(refused["message"], f"{said}; see: godwit --help")

    def test_the_passphrase_that_is_asked_for_comes_before_the_one_of_the_variable(self):
        alice = Person(self.homes / "alice")
        (self.homes / "phrase").write_text("sesame\n")
        environment = {**os.environ, "GODWIT_PASSPHRASE_FILE": str(self.homes / "phrase")}

        def sync(*options):
            return subprocess.run(
                alice.words(*options, "sync"), stdin=subprocess.DEVNULL, capture_output=True,
                text=True, env=environment, timeout=PATIENCE, check=False,
            ).stderr

        self.assertIn("holds no account", sync())
        self.assertIn("there is no terminal to ask", sync("--passphrase"))
        self.assertIn("excludes", sync("--passphrase", "--passphrase-file", "f"))


if __name__ == "__main__":
    unittest.main()
