"""The chat client as a new user and as a script meet it: every command, over a real relay."""

import json
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))
from programs import GODWIT, Person, Relay  # noqa: E402

HEX_32 = r"^[0-9a-f]{32}$"


class CliTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.relay = Relay()
        cls.addClassCleanup(cls.relay.close)

    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="godwit-test-")
        self.addCleanup(directory.cleanup)
        self.homes = Path(directory.name)

    # Names are unique at the relay, and the tests share it.
    _number = 0

    def name(self, stem):
        CliTest._number += 1
        return f"{stem}-{CliTest._number}"

    def join(self, stem):
        person = Person(self.homes / stem)
        person.name = self.name(stem)
        (person.account,) = person.json(
            "init", "--relay", self.relay.address, "--name", person.name
        )
        return person

    def two(self):
        return self.join("alice"), self.join("bob")

    def send(self, sender, recipient, text, *options):
        (sent,) = sender.json("send", recipient.name, *options, "--", text)
        return sent

    # ---- Accounts ----

    def test_init_prints_the_account_and_prints_it_again_for_who_asks_alike(self):
        alice = self.join("alice")
        self.assertEqual(list(alice.account), ["user_id", "name", "recovery_code"])
        self.assertRegex(alice.account["user_id"], HEX_32)
        self.assertEqual(alice.account["name"], alice.name)
        init = ("init", "--relay", self.relay.address, "--name")
        self.assertEqual(alice.json(*init, alice.name.upper()), [alice.account])
        self.assertEqual(alice.error(*init, self.name("other"))["code"], "home_exists")

    def test_init_for_a_person_shows_the_recovery_code(self):
        carol = Person(self.homes / "carol")
        name = self.name("carol")
        shown = carol.text("init", "--relay", self.relay.address, "--name", name)
        self.assertIn("recovery code  ", shown)
        self.assertIn(name, shown)
        self.assertNotIn("\x1b", shown)  # no terminal, no colours

    def test_a_taken_name_is_said_and_another_may_be_chosen(self):
        alice = self.join("alice")
        other = Person(self.homes / "other")
        init = ("init", "--relay", self.relay.address, "--name")
        self.assertEqual(other.error(*init, alice.name)["code"], "name_taken")
        name = self.name("other")
        self.assertEqual(other.json(*init, name)[0]["name"], name)

    def test_recover_reads_the_code_from_stdin_and_takes_the_place_of_the_old_device(self):
        alice, bob = self.two()
        self.send(alice, bob, "before")
        bob.json("sync")
        fresh = Person(self.homes / "fresh")
        recover = ("recover", "--relay", self.relay.address)
        self.assertEqual(fresh.error(*recover, stdin="no code\n")["code"], "invalid_argument")
        self.assertEqual(fresh.error(*recover)["code"], "invalid_argument")
        (account,) = fresh.json(*recover, stdin=alice.account["recovery_code"] + "\n")
        self.assertEqual(
            account, {"user_id": alice.account["user_id"], "name": alice.name}
        )
        self.send(bob, alice, "after")
        objects = fresh.json("sync")
        self.assertEqual([one["text"] for one in objects[:-1]], ["after"])
        self.assertEqual(alice.error("sync")["code"], "removed")

    def test_a_mistyped_code_or_name_leaves_nothing_behind_and_removes_nothing(self):
        code = self.join("alice").account["recovery_code"]
        wrong = code[:-1] + ("0" if code[-1] != "0" else "1")
        at_relay = "--relay", self.relay.address
        fresh = Person(self.homes / "fresh")
        self.assertEqual(
            fresh.error("recover", *at_relay, stdin=wrong + "\n")["code"], "invalid_argument"
        )
        self.assertFalse(fresh.home.exists())
        self.assertEqual(
            fresh.error("init", *at_relay, "--name", "No Name")["code"], "invalid_argument"
        )
        self.assertFalse(fresh.home.exists())
        fresh.home.mkdir()
        (fresh.home / "notes").touch()
        fresh.error("recover", *at_relay, stdin=wrong + "\n")
        self.assertTrue((fresh.home / "notes").exists())

    # ---- Sending, receiving, statuses ----

    def test_a_message_goes_there_is_read_and_both_know_it(self):
        alice, bob = self.two()
        sent = self.send(alice, bob, "grüße 👋")
        self.assertEqual(list(sent), ["id", "state"])
        self.assertRegex(sent["id"], HEX_32)
        self.assertEqual(sent["state"], "sent")
        message, summary = bob.json("sync")
        self.assertEqual(message["id"], sent["id"])
        self.assertEqual(summary, {"received": 1, "sent": 0, "waiting": 0, "settled": True})
        alice.json("sync")
        self.assertEqual(alice.json("status", sent["id"])[0]["status"], "delivered")
        self.assertEqual(bob.json("conversations")[0]["unread"], 1)
        self.assertEqual(bob.json("read", alice.name), [])
        self.assertEqual(bob.json("conversations")[0]["unread"], 0)
        bob.json("sync")
        alice.json("sync")
        (status,) = alice.json("status", sent["id"])
        self.assertEqual((status["id"], status["status"]), (sent["id"], "read"))
        steps = [(step["status"], step["by"]) for step in status["steps"]]
        self.assertEqual(
            steps, [("queued", ""), ("sent", ""), ("delivered", bob.name), ("read", bob.name)]
        )
        times = [step["time"] for step in status["steps"]]
        self.assertEqual(times, sorted(times))
        self.assertTrue(alice.text("status", sent["id"]).startswith("read\n"))

        shown, end = bob.json("messages", alice.name)
        self.assertEqual(
            list(shown),
            ["id", "conversation", "sender", "sender_id", "text", "time", "status", "key"],
        )
        self.assertEqual(shown["sender"], alice.name)
        self.assertEqual(shown["sender_id"], alice.account["user_id"])
        self.assertEqual(shown["text"], "grüße 👋")
        self.assertEqual(list(end), ["end", "cursor"])
        self.assertIs(end["end"], True)
        self.assertIsInstance(end["cursor"], str)
        self.assertIn("grüße 👋", bob.text("messages", alice.name))
        self.assertIn(alice.name, bob.text("conversations"))

    def test_explain_tells_what_a_message_waits_on_and_when_nothing_more_comes(self):
        alice, bob = self.two()
        sent = self.send(alice, bob, "hello", "--no-wait")
        (waiting,) = alice.json("explain", sent["id"])
        self.assertEqual(list(waiting), ["id", "steps", "waits_on"])
        self.assertNotEqual(waiting["waits_on"], "")
        self.assertIn("waits on", alice.text("explain", sent["id"]))
        for person in (alice, bob):
            person.json("sync")
        bob.json("read", alice.name)
        bob.json("sync")
        alice.json("sync")
        (done,) = alice.json("explain", sent["id"])
        self.assertGreater(len(done["steps"]), len(waiting["steps"]))
        self.assertEqual(done["waits_on"], "")
        self.assertIn("nothing more will happen", alice.text("explain", sent["id"]))

    def test_sync_for_a_while_receives_what_comes_meanwhile(self):
        alice, bob = self.two()
        self.send(alice, bob, "first")
        with bob.start("sync", "--for", "100", "--json") as syncing:
            self.assertEqual(json.loads(syncing.stdout.readline())["text"], "first")
            self.send(alice, bob, "second")
            self.assertEqual(json.loads(syncing.stdout.readline())["text"], "second")
            # A second program is told that it has to wait.
            self.assertEqual(bob.error("messages", alice.name)["code"], "home_in_use")
            syncing.send_signal(signal.SIGINT)
            rest = syncing.stdout.read().decode().splitlines()
            self.assertEqual(json.loads(rest[-1])["received"], 2)
            self.assertIn(syncing.wait(), (0, 130))
        begin = time.monotonic()
        bob.json("sync", "--for", "0.7")
        self.assertGreaterEqual(time.monotonic() - begin, 0.7)

    def test_each_message_is_shown_by_one_sync_also_by_one_that_is_about_to_end(self):
        alice, bob = self.two()
        texts = [f"line {i}" for i in range(400)]
        chat = alice.start("chat", bob.name)

        def write():
            for text in texts:
                chat.stdin.write(f"{text}\n".encode())
                chat.stdin.flush()
                time.sleep(0.005)  # so that they come at any moment of a sync
            chat.stdin.close()

        writer = threading.Thread(target=write)
        writer.start()
        shown = []
        while writer.is_alive() or chat.poll() is None:
            shown += bob.json("sync")[:-1]
        shown += bob.json("sync")[:-1]
        writer.join()
        chat.stdout.close()
        self.assertEqual([one["text"] for one in shown], texts)

    def test_send_tells_of_what_came_while_it_was_connected(self):
        alice, bob = self.two()
        self.assertNotIn(b"came meanwhile", alice.run("send", bob.name, "hello").stderr)
        self.send(bob, alice, "one")
        self.send(bob, alice, "two")
        # What comes first may be the answer to what is sent, so it is asked more than once.
        told = 0
        for attempt in range(50):
            shown = alice.run("send", bob.name, f"more {attempt}").stderr.decode()
            counts = re.findall(r"note: (\d+) messages? came meanwhile", shown)
            told += sum(int(count) for count in counts)
            if told == 2:
                break
        self.assertEqual(told, 2)
        self.assertEqual(alice.json("conversations")[0]["unread"], 2)
        self.assertEqual(alice.json("sync")[-1]["received"], 0)

    def test_a_changed_device_is_told_with_its_name_by_every_command_that_connects(self):
        alice, bob = self.two()
        carol = self.join("carol")
        self.send(alice, bob, "hello")
        code = bob.account["recovery_code"]
        commands = {
            "send": lambda: alice.run("send", bob.name, "are you there?"),
            "sync": lambda: alice.run("sync"),
            # In the chat with somebody else, too.
            "chat": lambda: alice.run("chat", carol.name, stdin="a word\n"),
        }
        for number, (command, run) in enumerate(commands.items()):
            with self.subTest(command=command):
                fresh = Person(self.homes / f"bob-{number}")
                fresh.json("recover", "--relay", self.relay.address, stdin=code + "\n")
                alice.json("send", bob.name, f"number {number}", "--no-wait")
                told = ""
                for _ in range(20):  # a list that changed is learnt when something goes there
                    told += run().stderr.decode()
                    if "devices changed" in told:
                        break
                self.assertIn(f"note: {bob.name}: devices changed: ", told)

    def test_one_key_is_one_message_and_another_text_under_it_is_a_conflict(self):
        alice, bob = self.two()
        first = self.send(alice, bob, "once", "--key", "k")
        again = self.send(alice, bob, "once", "--key", "k")
        self.assertEqual(first["id"], again["id"])
        refused = alice.error("send", bob.name, "twice", "--key", "k")
        self.assertEqual(refused["code"], "key_conflict")
        shown = alice.json("messages", bob.name)[:-1]
        self.assertEqual([(one["text"], one["key"]) for one in shown], [("once", "k")])

    # ---- Offline ----

    def test_offline_a_message_is_queued_and_no_wait_never_connects(self):
        relay = Relay()
        self.addCleanup(relay.close)
        alice = Person(self.homes / "alice")
        bob = Person(self.homes / "bob")
        for person, name in ((alice, "alice"), (bob, "bob")):
            person.json("init", "--relay", relay.address, "--name", name)
        relay.stop()
        shown = alice.run("send", "bob", "one", "--timeout", "0.3")
        self.assertEqual(shown.returncode, 0)
        self.assertIn("queued", shown.stdout.decode())
        self.assertNotEqual(shown.stderr, b"")  # why
        (sent,) = alice.json("send", "bob", "two", "--timeout", "0.3")
        self.assertEqual(sent["state"], "queued")

        with socket.create_server(("127.0.0.1", relay.port), reuse_port=False) as listener:
            listener.setblocking(False)
            (sent,) = alice.json("send", "bob", "three", "--no-wait")
            self.assertEqual(sent["state"], "queued")
            with self.assertRaises(BlockingIOError):
                listener.accept()
            alice.json("send", "bob", "four", "--timeout", "0.3")
            listener.accept()[0].close()  # that one did

        relay.start()
        self.assertEqual(alice.json("sync")[-1]["sent"], 4)
        texts = [one["text"] for one in bob.json("sync")[:-1]]
        self.assertEqual(texts, ["one", "two", "three", "four"])

    def test_a_chat_in_a_pipe_says_why_it_has_no_connection_and_what_waits(self):
        relay = Relay()
        self.addCleanup(relay.close)
        people = [Person(self.homes / name) for name in ("alice", "bob")]
        for person in people:
            person.json("init", "--relay", relay.address, "--name", person.home.name)
        relay.stop()
        with ThreadPoolExecutor() as both:
            chats = both.map(
                lambda person, text: person.run("chat", "carol", stdin=text).stderr.decode(),
                people,
                ("", "one\ntwo\n"),
            )
        chats = list(chats)
        for shown in chats:
            self.assertEqual(shown.count("nobody listens there"), 1, shown)
        self.assertNotIn("not all could be sent", chats[0])
        self.assertIn("not all could be sent: 2 messages wait", chats[1])

    # ---- Pages ----

    def walk(self, person, *command, limit, by):
        """All pages; each but the last has to be full and to say that there are more."""
        items = []
        place = []
        while True:
            page = person.json(*command, "--limit", limit, *place)
            *some, end = page
            items += some
            if end["end"]:
                self.assertLessEqual(len(some), limit)
                return items
            self.assertEqual(len(some), limit)
            place = ["--cursor", end["cursor"]] if by == "cursor" else ["--offset", len(items)]

    def test_pages_of_messages_are_the_whole_history_once_with_an_exact_end(self):
        alice, bob = self.two()
        texts = [f"line {number}" for number in range(12)]
        alice.text("chat", bob.name, stdin="".join(f"{text}\n" for text in texts))
        for by in ("cursor", "offset"):
            for limit in (1, 5, 11, 12, 13, 1000):
                with self.subTest(by=by, limit=limit):
                    words = ("messages", bob.name, "--from-start")
                    items = self.walk(alice, *words, limit=limit, by=by)
                    self.assertEqual([one["text"] for one in items], texts)
        # A page that ends exactly there says so.
        self.assertTrue(alice.json("messages", bob.name, "--limit", 12)[-1]["end"])
        self.assertFalse(alice.json("messages", bob.name, "--limit", 11)[-1]["end"])
        # The last cursor goes on with what comes later.
        cursor = alice.json("messages", bob.name, "--from-start")[-1]["cursor"]
        self.send(alice, bob, "later", "--no-wait")
        later = alice.json("messages", bob.name, "--from-start", "--cursor", cursor)
        self.assertEqual([one.get("text") for one in later], ["later", None])
        self.assertEqual(
            alice.error("messages", bob.name, "--cursor", "nonsense")["code"], "invalid_argument"
        )

    def test_messages_shows_the_newest_the_newest_last_and_goes_back_from_there(self):
        alice, bob = self.two()
        texts = [f"line {number}" for number in range(120)]
        alice.text("chat", bob.name, stdin="".join(f"{text}\n" for text in texts))
        for by in ("cursor", "offset"):
            pages, place, end = [], [], {"end": False}
            while not end["end"]:
                *page, end = alice.json("messages", bob.name, *place)
                pages.append([one["text"] for one in page])
                so_far = sum(map(len, pages))
                place = ["--cursor", end["cursor"]] if by == "cursor" else ["--offset", so_far]
            self.assertEqual(pages, [texts[70:], texts[20:70], texts[:20]])
        told = alice.run("messages", bob.name)
        self.assertIn("line 119", told.stdout.decode().splitlines()[-1])
        self.assertIn("there are older ones; go on with --cursor", told.stderr.decode())

    def test_pages_of_conversations_are_all_of_them_newest_first(self):
        alice = self.join("alice")
        names = [self.name("friend") for _ in range(5)]
        for name in names:
            alice.json("send", name, "hi", "--no-wait")
        for by in ("cursor", "offset"):
            for limit in (1, 2, 5, 6):
                with self.subTest(by=by, limit=limit):
                    items = self.walk(alice, "conversations", limit=limit, by=by)
                    self.assertEqual([one["name"] for one in items], names[::-1])

    # ---- Errors ----

    def test_an_unknown_name_offers_near_contacts_and_nobody_else(self):
        alice, bob = self.two()
        stranger = self.join("zacharias")  # at the relay, but no contact
        self.send(alice, bob, "hello")
        near = alice.error("messages", "x" + bob.name)
        self.assertEqual(near["code"], "not_found")
        self.assertIn(f"did you mean {bob.name}?", near["message"])
        far = alice.error("messages", "x" + stranger.name)
        self.assertEqual(far["code"], "not_found")
        self.assertNotIn("did you mean", far["message"])
        unsent = alice.error("send", "x" + bob.name, "hello")
        self.assertEqual(unsent["code"], "not_found")
        self.assertIn(f"did you mean {bob.name}?", unsent["message"])
        unsent = alice.error("send", "x" + stranger.name, "hello")
        self.assertNotIn("did you mean", unsent["message"])

    def test_what_does_not_exist_is_one_clear_line(self):
        nobody = Person(self.homes / "nobody")
        for command in (
            ["conversations"],
            ["messages", "bob"],
            ["read", "bob"],
            ["passphrase", "--none"],
            ["send", "bob", "hi"],
            ["sync"],
            ["status", "0" * 32],
            ["explain", "0" * 32],
            ["chat", "bob"],
        ):
            with self.subTest(command=command):
                self.assertEqual(nobody.error(*command)["code"], "no_account")
                done = nobody.run(*command)
                self.assertEqual((done.returncode, done.stdout), (1, b""))
                self.assertEqual(len(done.stderr.splitlines()), 1)
        alice = self.join("alice")
        for command in ("status", "explain"):
            self.assertEqual(alice.error(command, "0" * 32)["code"], "not_found")
            self.assertEqual(alice.error(command, "xyz")["code"], "invalid_argument")
        self.assertEqual(alice.error("read", "nobody")["code"], "not_found")

    def test_wrong_usage_is_exit_status_2_and_a_line_that_helps(self):
        alice = Person(self.homes / "alice")
        for words in (
            [],
            ["snd"],
            ["send"],
            ["send", "bob"],
            ["send", "bob", "two", "words" * 99],
            ["send", "bob", "text", "--timeout", "soon"],
            ["messages", "bob", "--limit", "0"],
            ["messages", "bob", "--limit", "1001"],
            ["messages", "bob", "--offset", "1", "--cursor", "c"],
            ["messages", "bob", "--offset", "-1"],
            ["sync", "--for", "-1"],
            ["init", "--name", "alice"],
            ["status"],
            ["conversations", "--colour"],
            ["passphrase", "--none", "--new-passphrase-file", "file"],
        ):
            with self.subTest(words=words):
                done = alice.run(*words)
                self.assertEqual((done.returncode, done.stdout), (2, b""))
                self.assertEqual(len(done.stderr.splitlines()), 1)
                self.assertLess(len(done.stderr), 400)
                self.assertEqual(alice.error(*words, status=2)["code"], "usage")
        self.assertFalse(alice.home.exists())
        self.assertIn("did you mean send?", alice.error("snd", status=2)["message"])
        without_home = subprocess.run(
            [GODWIT, "conversations"], env={}, capture_output=True, check=False
        )
        self.assertEqual(without_home.returncode, 2)

    def test_help_and_version_are_no_errors(self):
        help_words = ["--help"], ["-h"], ["send", "--help"], ["completion", "--help"]
        for words in (*help_words, ["--version"], ["completion", "bash"]):
            done = subprocess.run([GODWIT, *words], capture_output=True, check=False)
            self.assertEqual((done.returncode, done.stderr), (0, b""), words)
            self.assertNotEqual(done.stdout, b"")

    # ---- Hostile texts; pipes ----

    def test_control_characters_of_a_text_do_not_reach_the_terminal(self):
        alice, bob = self.two()
        text = "\x1b[31mred\x07\x9b2J\u202egnp\nnext\rline"
        self.send(alice, bob, text)
        shown = [bob.run("sync").stdout]
        shown += [bob.run(*words).stdout for words in (["messages", alice.name], ["conversations"])]
        shown.append(bob.run("chat", alice.name).stdout)
        for output in shown:
            printed = output.decode()
            self.assertIn("red", printed)
            hostile = [c for c in printed if c != "\n" and (ord(c) < 32 or 127 <= ord(c) < 160)]
            self.assertEqual(hostile, [], printed)
            self.assertNotIn("\u202e", printed)
        self.assertEqual(bob.json("messages", alice.name)[0]["text"], text)

    def test_chat_in_a_pipe_sends_lines_and_prints_what_is_there(self):
        alice, bob = self.two()
        alice.text("chat", bob.name, stdin="one\n\ntwo\nlast without a line feed")
        bob.json("sync")
        shown = bob.text("chat", alice.name, stdin="an answer\n")
        for text in ("one", "two", "last without a line feed"):
            self.assertIn(f"{alice.name}: {text}\n", shown)
        alice.json("sync")
        got = [(one["text"], one["status"]) for one in alice.json("messages", bob.name)[:-1]]
        self.assertEqual(
            got,
            [
                ("one", "read"),
                ("two", "read"),
                ("last without a line feed", "read"),
                ("an answer", "received"),
            ],
        )


if __name__ == "__main__":
    unittest.main()
