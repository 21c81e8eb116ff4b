"""Whom an account knows, in the chat client: contacts, the safety number, blocking."""

import re
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))
from programs import Person, Relay  # noqa: E402


class PeopleTest(unittest.TestCase):
    def setUp(self):
        self.relay = Relay()
        self.addCleanup(self.relay.close)
        directory = tempfile.TemporaryDirectory(prefix="godwit-test-")
        self.addCleanup(directory.cleanup)
        self.homes = Path(directory.name)
        self.alice, self.bob = self.join("alice"), self.join("bob")

    def join(self, name):
        person = Person(self.homes / name)
        init = person.json("init", "--relay", self.relay.address, "--name", name)
        person.user = init[0]["user_id"]
        return person

    def meet(self):
        self.alice.json("send", "bob", "hello")
        self.bob.json("sync")

    @staticmethod
    def texts_of(objects):
        return [one["text"] for one in objects if "text" in one]

    def test_who_writes_or_is_written_to_is_a_contact(self):
        self.assertEqual(self.alice.json("contacts"), [])
        self.assertIn(b"no contacts yet", self.alice.run("contacts").stderr)
        self.meet()
        contact = {"user_id": self.bob.user, "name": "bob", "accepted": True, "blocked": False}
        self.assertEqual(self.alice.json("contacts"), [contact])
        self.assertEqual(self.bob.text("contacts"), f"alice  {self.alice.user}\n")

    def test_both_sides_have_the_same_digits_and_others_have_others(self):
        self.meet()
        (ours,), (theirs,) = (
            self.alice.json("safety-number", "bob"), self.bob.json("safety-number", "alice")
        )
        self.assertEqual(ours["name"], "bob")
        self.assertRegex(ours["safety_number"], "^[0-9]{60}$")
        self.assertEqual(ours["safety_number"], theirs["safety_number"])
        shown = self.alice.text("safety-number", "bob")
        self.assertEqual([len(line) for line in shown.splitlines()], [35, 35])
        self.assertEqual("".join(shown.split()), ours["safety_number"])
        carol = self.join("carol")
        carol.json("send", "bob", "hello")
        (hers,) = carol.json("safety-number", "bob")
        self.assertNotEqual(hers["safety_number"], ours["safety_number"])

    def test_of_who_is_blocked_nothing_is_shown_or_confirmed_until_they_are_unblocked(self):
        self.meet()
        self.bob.json("send", "alice", "before")
        self.assertEqual(self.texts_of(self.alice.json("sync")), ["before"])
        self.bob.json("sync")  # the receipt
        self.assertEqual(self.alice.json("block", "bob"), [])
        self.assertIn("blocked", self.alice.text("contacts"))
        self.assertIs(self.alice.json("contacts")[0]["blocked"], True)

        (sent,) = self.bob.json("send", "alice", "meanwhile")
        self.assertEqual(self.texts_of(self.alice.json("sync")), [])
        self.bob.json("sync")
        self.assertEqual(self.bob.json("status", sent["id"])[0]["status"], "sent")
        self.assertIn("blocked", self.alice.error("send", "bob", "psst")["message"])

        self.assertEqual(self.alice.json("unblock", "bob"), [])
        self.assertEqual(self.alice.text("contacts"), f"bob  {self.bob.user}\n")
        self.alice.json("sync")  # asks
        self.bob.json("sync")  # sends it again
        self.assertEqual(self.texts_of(self.alice.json("sync")), ["meanwhile"])
        self.bob.json("sync")
        self.assertEqual(self.bob.json("status", sent["id"])[0]["status"], "delivered")

    def test_a_stranger_waits_for_an_accept_where_the_policy_says_so(self):
        self.assertEqual(self.bob.json("strangers", "requests"), [])
        (sent,) = self.alice.json("send", "bob", "hello")
        self.bob.json("sync")
        self.alice.json("sync")
        self.assertEqual(self.alice.json("status", sent["id"])[0]["status"], "sent")
        self.assertIs(self.bob.json("contacts")[0]["accepted"], False)
        self.assertEqual(self.bob.text("contacts"), f"alice  {self.alice.user}  not accepted\n")
        self.assertIs(self.bob.json("conversations")[0]["request"], True)
        self.assertIn("not accepted: hello", self.bob.text("conversations"))

        self.assertIn(b"alice is accepted", self.bob.run("accept", "alice").stderr)
        self.assertIs(self.bob.json("contacts")[0]["accepted"], True)
        self.assertNotIn("not accepted", self.bob.text("conversations"))
        self.bob.json("sync")
        self.alice.json("sync")
        self.assertEqual(self.alice.json("status", sent["id"])[0]["status"], "delivered")

        self.bob.json("strangers", "open")
        carol = self.join("carol")
        carol.json("send", "bob", "hello")
        self.bob.json("sync")
        self.assertEqual([one["accepted"] for one in self.bob.json("contacts")], [True, True])

    def test_a_policy_that_is_none_is_refused_with_those_there_are(self):
        error = self.bob.error("strangers", "nobody", status=2)
        self.assertEqual(error["code"], "usage")
        self.assertRegex(error["message"], "open.*requests")

    def test_a_person_is_told_what_became_of_it(self):
        self.meet()
        self.assertIn(b"bob is blocked: nothing of theirs", self.alice.run("block", "bob").stderr)
        self.assertIn(b"bob is not blocked any more", self.alice.run("unblock", "bob").stderr)

    def test_a_name_that_nobody_here_has_is_said_with_one_that_was_meant(self):
        self.meet()
        for command in ("safety-number", "accept", "block", "unblock"):
            with self.subTest(command=command):
                mistyped = self.alice.error(command, "bo")
                self.assertEqual(mistyped["code"], "not_found")
                self.assertIn("did you mean bob?", mistyped["message"])
                self.assertEqual(self.alice.error(command, "No!")["code"], "invalid_argument")
                self.assertIn("godwit contacts", self.alice.error(command, "zacharias")["message"])

    def test_completion_knows_every_command(self):
        listed = self.alice.text("--help").split("\nSubcommands:\n")[1].split("\n\n")[0]
        names = [line.split()[0] for line in listed.splitlines()]
        self.assertIn("safety-number", names)
        for shell in ("bash", "zsh"):
            words = re.findall("[a-z-]+", self.alice.text("completion", shell))
            self.assertEqual([name for name in names if name not in words], [])



if __name__ == "__main__":
    unittest.main()
