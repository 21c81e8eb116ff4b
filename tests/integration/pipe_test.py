"""The chat client between other programs: what it prints into a pipe, once, and for a reader."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))
from programs import PATIENCE, Person, Relay  # noqa: E402


class PipeTest(unittest.TestCase):
    def setUp(self):
        self.relay = Relay()
        self.addCleanup(self.relay.close)
        directory = tempfile.TemporaryDirectory(prefix="godwit-test-")
        self.addCleanup(directory.cleanup)
        self.homes = Path(directory.name)
        self.alice, self.bob = Person(self.homes / "alice"), Person(self.homes / "bob")
        for person in (self.alice, self.bob):
            person.json("init", "--relay", self.relay.address, "--name", person.home.name)

    def start(self, *arguments):
        """A command of Alice's that runs until it is told to end."""
        running = self.alice.start(*arguments)
        self.addCleanup(running.communicate)
        self.addCleanup(running.kill)
        return running

    def unread(self):
        return self.alice.json("conversations")[0]["unread"]

    # ---- Each message once ----

    def is_shown_once(self, writer, peer, before=()):
        chat = self.start("chat", peer)
        texts = [f"number {i}" for i in range(8)]
        shown = [chat.stdout.readline().decode().rstrip("\n") for _ in before]
        for text in texts:  # each goes by itself, which takes as long as some looks
            writer.json("send", "alice", text)
            while not shown or not shown[-1].endswith(f": {text}"):
                shown.append(chat.stdout.readline().decode().rstrip("\n"))
                self.assertNotEqual(shown[-1], "", "it has ended")
        rest, _ = chat.communicate(timeout=PATIENCE)
        shown += rest.decode().splitlines()
        self.assertEqual([line.split(": ")[1] for line in shown], [*before, *texts])

    def test_messages_of_one_who_has_no_name_are_shown_once(self):
        nobody = Person(self.homes / "nobody")
        init = nobody.error("init", "--relay", self.relay.address, "--name", "alice")
        self.assertEqual(init["code"], "name_taken")  # the account is made, without a name
        nobody.json("send", "alice", "hello")
        hello, _ = self.alice.json("sync")
        self.is_shown_once(nobody, hello["sender_id"], before=["hello"])

    def test_the_first_messages_of_one_who_has_a_name_are_shown_once(self):
        self.is_shown_once(self.bob, "bob")

    def test_for_a_program_each_message_is_an_object(self):
        self.alice.json("send", "bob", "one")
        chat = self.start("chat", "--json", "bob")
        self.assertEqual(json.loads(chat.stdout.readline())["text"], "one")
        self.bob.json("send", "alice", "two")
        message = json.loads(chat.stdout.readline())
        self.assertEqual((message["text"], message["sender"]), ("two", "bob"))

    def test_an_object_has_nothing_that_a_terminal_obeys_and_the_same_text(self):
        text = "\x1b[2J\x7f\x9b2J\x9d0;title\x9c\u202egnp\u2066 caf\u00e9 \u4f60 \U0001f600 \u2028"
        self.bob.json("send", "alice", text)
        raw = [self.alice.run("sync", "--json").stdout]
        raw += [self.alice.run(*words).stdout for words in
                (("messages", "--json", "bob"), ("conversations", "--json"),
                 ("chat", "--json", "bob"))]
        for output in raw:
            line = output.split(b"\n")[0]
            self.assertRegex(line, rb"^[\x20-\x7e]+$")
            shown = json.loads(line)
            self.assertEqual(shown["last_text" if "last_text" in shown else "text"], text)

    # ---- What is written into it ----

    def test_a_line_that_does_not_end_is_refused_once_and_not_held_in_memory(self):
        words = self.alice.words("chat", "bob")
        chat = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"ASAN_OPTIONS": "quarantine_size_mb=8"},  # what is freed is not used
        )
        with chat.stdin, chat.stderr:
            for _ in range(256):
                chat.stdin.write(b"x" * 2**20)
            chat.stdin.write(b"\nhello\n")
            chat.stdin.close()
            errors = chat.stderr.read().decode()
        _, status, used = os.wait4(chat.pid, 0)
        chat.returncode = os.waitstatus_to_exitcode(status)
        self.assertEqual(chat.returncode, 1)
        self.assertEqual(errors.count("a text has 1 byte to 64 KiB"), 1, errors)
        self.assertLess(used.ru_maxrss, 128 * 1024)  # KiB
        self.assertEqual([message["text"] for message in self.bob.json("sync")[:-1]], ["hello"])

    def test_a_name_that_can_be_none_is_refused_before_anything_is_read(self):
        chat = self.alice.run("chat", "b b", stdin="hello\nhello too\n")
        self.assertEqual(chat.returncode, 1)
        self.assertEqual(chat.stderr.decode().count('"b b" is no name'), 1)

    # ---- For a reader ----

    def ends_unread(self, running):
        """It ends with a failure, since nobody reads, and nothing was read by anybody."""
        self.assertEqual(running.wait(PATIENCE), 1)
        self.assertEqual(self.unread(), 1)

    def test_a_chat_that_nobody_reads_any_more_ends_and_reads_nothing(self):
        chat = self.start("chat", "bob")
        chat.stdin.write(b"hello\n")
        chat.stdin.flush()
        while not self.bob.json("sync")[:-1]:
            pass
        chat.stdout.close()
        self.bob.json("send", "alice", "are you there?")
        self.ends_unread(chat)

    def test_a_history_that_nobody_reads_stays_unread(self):
        self.bob.json("send", "alice", "hello")
        self.alice.json("sync")
        reader, writer = os.pipe()
        os.close(reader)
        with open(writer, "wb") as output:
            chat = subprocess.run(
                self.alice.words("chat", "bob"),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.PIPE,
                timeout=PATIENCE,
                check=False,
            )
        self.assertEqual(chat.returncode, 1)
        self.assertIn("stdout cannot be written", chat.stderr.decode())
        self.assertEqual(self.unread(), 1)

    def ends_without_a_reader(self, *form):
        self.bob.json("send", "alice", "one")
        sync = self.start("sync", "--for", "10000", *form)
        self.assertIn(b"one", sync.stdout.readline())
        sync.stdout.close()
        self.bob.json("send", "alice", "two")
        self.assertEqual(sync.wait(PATIENCE), 1)

    def test_a_sync_that_nobody_reads_any_more_ends(self):
        self.ends_without_a_reader()

    def test_a_sync_of_objects_that_nobody_reads_any_more_ends(self):
        self.ends_without_a_reader("--json")


if __name__ == "__main__":
    unittest.main()
