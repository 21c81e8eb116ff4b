"""What an operator does to a relay that is no command of it: limits, closed descriptors, signals."""

import json
import os
import re
import resource
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from programs import GODWIT_RELAY, PATIENCE, Person


class Operated:
    """A relay in a directory of its own, begun as the test says; the settings replace defaults."""

    def __init__(self, settings=None, **how):
        self._directory = tempfile.TemporaryDirectory(prefix="godwit-test-")
        self.path = Path(self._directory.name) / "relay"
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        listen = ["--listen", "127.0.0.1:0"]
        subprocess.run([GODWIT_RELAY, "init", self.path, *listen], check=True, **quiet)
        config = self.path / "relay.toml"
        for name, value in (settings or {}).items():
            line = re.compile(f"^{name} = .*", re.MULTILINE)
            text, times = line.subn(f"{name} = {value}", config.read_text())
            assert times == 1, name
            config.write_text(text)
        self.log = Path(self._directory.name) / "log"
        self.run(**how)

    def run(self, **how):
        with self.log.open("wb") as log:
            how = {"stdout": subprocess.DEVNULL, "stderr": log, **how}
            self.program = subprocess.Popen([GODWIT_RELAY, "run", self.path], **how)
        self.status()

    def status(self):
        """Its figures, as soon as it answers."""
        until = time.monotonic() + PATIENCE
        while True:
            asked = subprocess.run(
                [GODWIT_RELAY, "status", "--json", self.path],
                capture_output=True,
                timeout=PATIENCE,
                check=False,
            )
            if asked.returncode == 0:
                return json.loads(asked.stdout)
            if time.monotonic() > until or self.program.poll() is not None:
                raise AssertionError(f"no status: {asked.stderr} {self.log.read_text()}")
            time.sleep(0.05)

    def address(self):
        command = [GODWIT_RELAY, "address", self.path]
        told = subprocess.run(command, capture_output=True, text=True, check=True)
        return told.stdout.strip()

    def port(self):
        return int(self.address().rsplit(":", 1)[1])

    def wait_for_log(self, words, times=1):
        until = time.monotonic() + PATIENCE
        while self.log.read_text().count(words) < times:
            if time.monotonic() > until:
                raise AssertionError(f"{words!r} is not in the log: {self.log.read_text()}")
            time.sleep(0.05)

    def close(self):
        self.program.kill()
        self.program.wait()
        self._directory.cleanup()


class OperatorTest(unittest.TestCase):
    def relay(self, **how):
        relay = Operated(**how)
        self.addCleanup(relay.close)
        return relay

    def test_closed_standard_descriptors_are_no_files_of_the_store(self):
        def close_all():
            for number in range(3):
                os.close(number)

        relay = self.relay(preexec_fn=close_all)
        self.assertEqual(relay.status()["connections"], 0)
        relay.program.send_signal(signal.SIGTERM)
        self.assertEqual(relay.program.wait(PATIENCE), 0)
        for file in relay.path.iterdir():
            if file.is_file():
                content = file.read_bytes()
                self.assertNotIn(b"info started", content, file)
                self.assertNotIn(b"ready godwit://", content, file)

    def test_sighup_ends_nothing(self):
        relay = self.relay()
        relay.program.send_signal(signal.SIGHUP)
        relay.wait_for_log("hangup_ignored")
        self.assertIsNone(relay.program.poll())
        relay.status()

    def test_what_cannot_be_printed_is_a_failure(self):
        relay = self.relay()
        new = relay.path.parent / "new"
        commands = [
            ["address", relay.path],
            ["status", relay.path],
            ["status", "--json", relay.path],
            ["check-config", relay.path],
            ["init", new],
        ]
        for command in commands:
            with self.subTest(command=command[0]), open("/dev/full", "wb") as full:
                told = subprocess.run(
                    [GODWIT_RELAY, *command],
                    stdout=full,
                    stderr=subprocess.PIPE,
                    timeout=PATIENCE,
                    check=False,
                )
                self.assertEqual(told.returncode, 1)
                self.assertIn(b"stdout cannot be written", told.stderr)

    def test_few_descriptors_are_said_and_leave_the_relay_its_own(self):
        few = 64

        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (few, few))

        relay = self.relay(preexec_fn=limit)
        relay.wait_for_log("few_descriptors limit=64")
        port = relay.port()
        sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(2 * few)]
        relay.wait_for_log("connection_refused reason=connections_max")
        self.assertLess(relay.status()["connections"], few)
        for one in sockets:
            one.close()

    def test_who_wants_short_texts_gets_no_others_and_says_so(self):
        relay = self.relay(settings={"text_size_max": '"1 KiB"'})
        people = [Person(relay.path.parent / name) for name in ("ann", "ben")]
        for person in people:
            init = ("init", "--relay", relay.address(), "--name", person.home.name)
            person.json(*init)
        refused = people[0].error("send", "ben", "x" * 1025)
        self.assertEqual(refused["code"], "refused")
        self.assertEqual(
            refused["message"], "not sent: the text has 1025 bytes, and the relay takes 1024 at most"
        )
        people[0].json("send", "ben", "x" * 1024)
        people[1].json("sync")
        *shown, _page = people[1].json("messages", "ann")
        self.assertEqual([message["text"] for message in shown], ["x" * 1024])


    def test_a_limit_on_files_is_a_full_disk_and_no_end_by_a_signal(self):
        relay = self.relay()
        relay.program.terminate()
        relay.program.wait(PATIENCE)
        (relay.path / "data.mdb").unlink()
        limit = (1 << 20, 1 << 20)
        done = subprocess.run([GODWIT_RELAY, "run", relay.path], capture_output=True,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
                              timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(b"no room", done.stderr)

    def test_an_end_by_sigbus_is_said_and_stays_one(self):
        relay = self.relay()
        relay.program.send_signal(signal.SIGBUS)
        self.assertEqual(relay.program.wait(PATIENCE), -signal.SIGBUS)
        relay.wait_for_log("godwit-relay: ended by SIGBUS: data.mdb is damaged or its disk")

    def test_a_home_becomes_no_relay(self):
        relay = self.relay()
        home = relay.path.parent / "home"
        alice = Person(home)
        alice.json("init", "--relay", relay.address(), "--name", "alice")
        before = {file: file.read_bytes() for file in home.iterdir()}
        done = subprocess.run([GODWIT_RELAY, "init", home], capture_output=True, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"is the home of a client; name another directory", done.stderr)
        self.assertEqual({file: file.read_bytes() for file in home.iterdir()}, before)

    def test_a_store_that_cannot_be_read_is_said_with_what_to_do(self):
        relay = self.relay()
        relay.program.terminate()
        relay.program.wait(PATIENCE)
        store = relay.path / "data.mdb"
        whole = store.read_bytes()
        for broken in (b"\xff" * len(whole), whole[: 3 * 4096]):
            store.write_bytes(broken)
            done = subprocess.run([GODWIT_RELAY, "run", relay.path], capture_output=True,
                                  timeout=PATIENCE, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"data.mdb is damaged or no relay's: check the disk, move", done.stderr)

    def test_a_page_that_leads_out_of_the_store_is_said_with_what_to_do(self):
        relay = self.relay()
        relay.program.terminate()
        relay.program.wait(PATIENCE)
        store = relay.path / "data.mdb"
        # LMDB's record of the table `users`, whose last eight bytes are the number of its first page.
        node = struct.pack("<IHH", 48, 2, 5) + b"users"
        content = store.read_bytes()
        self.assertIn(node, content)
        root = struct.pack("<Q", 1 << 40)
        store.write_bytes(
            re.sub(re.escape(node) + b"(.{40}).{8}", node + rb"\1" + root, content, flags=re.DOTALL)
        )
        done = subprocess.run([GODWIT_RELAY, "run", relay.path], capture_output=True,
                              timeout=PATIENCE, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"data.mdb is damaged or no relay's: check the disk, move", done.stderr)


if __name__ == "__main__":
    unittest.main()
