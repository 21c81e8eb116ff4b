"""What a person at a terminal sees: the chat, and the question for a passphrase."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))
from programs import PATIENCE, Person, Relay  # noqa: E402

ROWS = 24
PAGE_UP = b"\x1b[5~"
ENTER = b"\x1b[?1049h"
LEAVE = b"\x1b[?7h\x1b[?2004l\x1b[?25h\x1b[?1049l"


class Screen:
    """A chat on a pseudo terminal, and the rows that it shows."""

    def __init__(self, person, peer, columns=80, started_by=()):
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
        self._running = subprocess.Popen(
            [*started_by, *person.words("chat", peer)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=os.environ | {"TERM": "xterm", "NO_COLOR": "1"},
            start_new_session=True,  # and its terminal is this one
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(slave)
        self._bytes = b""

    def press(self, keys):
        os.write(self._master, keys)

    def last_words(self):
        """What it says after the screen, when it has been left."""
        assert self.end() == 0
        return self._bytes.decode(errors="replace").rsplit("\x1b", 1)[1]

    def gives_back(self):
        """What was before the screen, and what is typed is shown again."""
        echo = termios.tcgetattr(self._master)[3] & termios.ECHO
        return echo != 0 and self._bytes.endswith(LEAVE)

    def end(self):
        """The exit status of what has been told to end."""
        try:
            while chunk := os.read(self._master, 65536):
                self._bytes += chunk
        except OSError:  # the other end has gone
            pass
        return self._running.wait(PATIENCE)

    def rows(self):
        """Of the last frame that is whole."""
        shown = self._bytes.decode(errors="replace")
        frames = re.findall(r"\x1b\[\?25l(.*?)\x1b\[\?25h", shown, re.S)
        return re.findall(r"\x1b\[\d+;1H\x1b\[K(.*?)(?=\x1b\[)", frames[-1]) if frames else []

    def wait_until(self, holds):
        """The rows for which this holds."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            rows = self.rows()
            if rows and holds(rows):
                return rows
            if select.select([self._master], [], [], 0.1)[0]:
                self._bytes += os.read(self._master, 65536)
        raise AssertionError(f"it did not come: {self.rows()}")

    def wait_for_output(self, part):
        """Also of another program. What was shown before it is forgotten."""
        end = time.monotonic() + PATIENCE
        while part not in self._bytes:
            assert time.monotonic() < end, f"{part} did not come: {self._bytes[-200:]}"
            if select.select([self._master], [], [], 0.1)[0]:
                self._bytes += os.read(self._master, 65536)
        self._bytes = self._bytes.split(part, 1)[1]

    def wait_for(self, *parts):
        """Each of the parts in some row."""
        return self.wait_until(lambda rows: all(any(part in row for row in rows) for part in parts))

    def close(self):
        self._running.terminate()
        self._running.send_signal(signal.SIGCONT)
        try:
            while os.read(self._master, 65536):  # so that its last words have room
                pass
        except OSError:  # the other end has gone
            pass
        self._running.wait()
        os.close(self._master)


class PassphraseTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="godwit-test-")
        self.addCleanup(directory.cleanup)
        self.place = Path(directory.name)
        self.relay = Relay()
        self.addCleanup(self.relay.close)
        self.alice = Person(self.place / "alice")
        self.init = ("init", "--relay", self.relay.address, "--name", "alice")

    def at_a_terminal(self, *command, types):
        """What is shown, and the exit status. What is typed may be a signal, too."""
        words = self.alice.words(*command)
        try:
            child, master = pty.fork()  # /dev/tty is this one
        except OSError:
            self.skipTest("this system has no pseudo terminals (/dev/pts is not mounted)")
        if child == 0:
            os.execv(words[0], words)
        shown = b""
        try:
            while part := os.read(master, 65536):
                shown += part
                if types and shown.endswith((b"passphrase: ", b"once more: ")):
                    typed = types.pop(0)
                    if isinstance(typed, bytes):
                        os.write(master, typed)
                    else:
                        os.kill(child, typed)
        except OSError:  # the other end has gone
            pass
        self.assertTrue(termios.tcgetattr(master)[3] & termios.ECHO, "what is typed is not shown")
        os.close(master)
        return shown.decode(), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def test_a_passphrase_is_asked_for_twice_never_shown_and_wanted_each_time(self):
        shown, status = self.at_a_terminal(
            *self.init, "--passphrase", types=[b"open sesame\n", b"open sesame\n"]
        )
        self.assertEqual(status, 0, shown)
        self.assertNotIn("sesame", shown)
        self.assertFalse((self.alice.home / "key").exists())
        self.assertEqual(self.alice.error("conversations")["code"], "wrong_key")
        for typed, expected in ((b"open sesame\n", 0), (b"open barley\n", 1)):
            _, status = self.at_a_terminal("conversations", "--passphrase", types=[typed])
            self.assertEqual(status, expected)
        file = self.place / "passphrase"
        file.write_text("open sesame\n")
        self.alice.text("conversations", "--passphrase-file", file)

    def test_a_mistyped_an_empty_or_no_passphrase_makes_no_home(self):
        for types in ([b"one\n", b"other\n"], [b"\n", b"\n"], [b"one\x1a\n"] * 2):
            _, status = self.at_a_terminal(*self.init, "--passphrase", types=types)
            self.assertEqual(status, 1)
        for types, ended_by in (
            ([b"begun\x03"], signal.SIGINT),
            ([b"one\n", signal.SIGTERM], signal.SIGTERM),
            ([signal.SIGHUP], signal.SIGHUP),
        ):
            _, status = self.at_a_terminal(*self.init, "--passphrase", types=types)
            self.assertEqual(status, -ended_by)
        file = self.place / "passphrase"
        file.touch()
        for path in (file, self.place / "nowhere"):
            refused = self.alice.error(*self.init, "--passphrase-file", path)
            self.assertEqual(refused["code"], "invalid_argument")
        self.assertFalse(self.alice.home.exists())

    def test_a_passphrase_takes_the_place_of_the_key_file_is_changed_and_taken_away(self):
        self.alice.json(*self.init)
        self.alice.json("send", "bob", "still here", "--no-wait")
        files = self.place / "first", self.place / "second"
        for file in files:
            file.write_text(f"open {file.name}\n")
        by_key = []
        by_first, by_second = (["--passphrase-file", file] for file in files)
        for before, change, after in (
            (by_key, ["--new-passphrase-file", files[0]], by_first),
            (by_first, ["--new-passphrase-file", files[1]], by_second),
            (by_second, ["--none"], by_key),
        ):
            self.assertEqual(self.alice.json("passphrase", *change, *before), [])
            self.assertEqual((self.alice.home / "key").exists(), after == by_key)
            self.assertEqual(self.alice.error("conversations", *before)["code"], "wrong_key")
            self.assertEqual(self.alice.json("messages", "bob", *after)[0]["text"], "still here")

    def test_the_new_passphrase_is_asked_for_twice_after_the_present_one_and_never_shown(self):
        self.alice.json(*self.init)
        new = [b"open sesame\n", b"open sesame\n"]
        shown, status = self.at_a_terminal("passphrase", types=new)
        self.assertEqual((status, shown.count("passphrase: ")), (0, 1), shown)
        self.assertNotIn("sesame", shown)
        types = [b"open sesame\n", b"open barley\n", b"open barley\n"]
        shown, status = self.at_a_terminal("passphrase", "--passphrase", types=types)
        self.assertEqual(status, 0, shown)
        self.assertRegex(shown, r"(?s)^passphrase: .*new passphrase: .*once more: ")
        file = self.place / "passphrase"
        file.write_text("open barley\n")
        self.alice.text("conversations", "--passphrase-file", file)

    def test_a_new_passphrase_that_is_mistyped_empty_or_not_there_changes_nothing(self):
        self.alice.json(*self.init)
        for types in ([b"one\n", b"other\n"], [b"\n", b"\n"]):
            _, status = self.at_a_terminal("passphrase", types=types)
            self.assertEqual(status, 1)
        _, status = self.at_a_terminal("passphrase", types=[b"begun\x03"])
        self.assertEqual(status, -signal.SIGINT)
        file = self.place / "passphrase"
        file.touch()
        for path in (file, self.place / "nowhere"):
            refused = self.alice.error("passphrase", "--new-passphrase-file", path)
            self.assertEqual(refused["code"], "invalid_argument")
        file.write_text("a guess\n")
        refused = self.alice.error("passphrase", "--none", "--passphrase-file", file)
        self.assertEqual(refused["code"], "wrong_key")
        self.alice.json("conversations")


class ChatScreenTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory(prefix="godwit-test-")
        self.addCleanup(directory.cleanup)
        self.homes = Path(directory.name)
        self.relay = Relay()
        self.addCleanup(self.relay.close)
        self.alice, self.bob, self.carol = map(self.join, ("alice", "bob", "carol"))

    def join(self, name):
        person = Person(self.homes / name)
        (person.account,) = person.json("init", "--relay", self.relay.address, "--name", name)
        return person

    def chat(self, person, peer, **how):
        try:
            screen = Screen(person, peer, **how)
        except OSError:
            self.skipTest("this system has no pseudo terminals (/dev/pts is not mounted)")
        self.addCleanup(screen.close)
        return screen

    def test_page_up_reaches_the_first_message_and_says_that_it_is_the_first(self):
        texts = "".join(f"line {number}.\n" for number in range(250))
        self.alice.text("chat", "bob", stdin=texts)
        screen = self.chat(self.alice, "bob")
        screen.wait_for("line 249.")
        screen.press(PAGE_UP * 20)
        rows = screen.wait_for("line 0.")
        self.assertIn("-- the beginning --", rows[0])

    def test_a_changed_device_of_another_contact_has_its_name_and_stays(self):
        self.alice.json("send", "bob", "to bob")
        self.alice.json("send", "carol", "to carol")
        screen = self.chat(self.alice, "bob")
        screen.wait_for("to bob ✓")
        code = self.carol.account["recovery_code"]
        fresh = Person(self.homes / "fresh")
        fresh.json("recover", "--relay", self.relay.address, stdin=code + "\n")
        fresh.json("send", "alice", "from the new device")
        screen.wait_for("! carol: devices changed: new device", "! carol: devices changed: device l")
        self.relay.stop()
        screen.wait_for("! carol: devices changed: new device", "bob  ·  ")
        self.relay.start()
        self.bob.json("send", "alice", "from bob")
        rows = screen.wait_for("bob: from bob")
        self.assertTrue(any("! carol: devices changed: new device" in row for row in rows))

    def test_while_the_relay_is_away_the_reason_stands_there(self):
        self.relay.stop()
        screen = self.chat(self.alice, "bob")
        screen.wait_until(lambda rows: "nobody listens there" in rows[-2])
        self.relay.start()
        screen.wait_until(lambda rows: rows[-2] == "bob")

    def test_what_is_typed_last_still_leaves_with_who_typed_it(self):
        screen = self.chat(self.alice, "bob")
        screen.wait_until(lambda rows: rows[-2] == "bob")
        screen.press(b"good night\r\x04")
        self.assertNotIn("waits", screen.last_words())
        self.assertEqual(self.bob.json("sync")[0]["text"], "good night")

    def test_what_cannot_leave_is_said_to_wait(self):
        self.relay.stop()
        screen = self.chat(self.alice, "bob")
        screen.wait_until(lambda rows: "nobody listens there" in rows[-2])
        screen.press(b"good night\r\x04")
        self.assertIn("1 message waits for the next `godwit sync`", screen.last_words())

    def test_who_quits_with_a_signal_gets_the_terminal_back(self):
        screen = self.chat(self.alice, "bob")
        screen.wait_until(lambda rows: rows[-2] == "bob")
        screen.press(b"\x1c")  # Ctrl-\
        self.assertEqual(screen.end(), -signal.SIGQUIT)
        self.assertTrue(screen.gives_back())

    def test_ctrl_z_does_not_stop_what_nobody_could_continue(self):
        screen = self.chat(self.alice, "bob")  # no shell: the terminal is this chat's alone
        screen.wait_until(lambda rows: rows[-2] == "bob")
        screen.wait_for_output(ENTER)
        screen.press(b"\x1a")
        screen.wait_for_output(ENTER)
        screen.press(b"still here")
        screen.wait_for("still here")

    def test_under_a_shell_ctrl_z_stops_it_and_it_goes_on_where_it_was(self):
        shell = ("bash", "-c", 'set -m; "$@"; jobs; read -r; fg', "bash")
        screen = self.chat(self.alice, "bob", started_by=shell)
        screen.wait_until(lambda rows: rows[-2] == "bob")
        screen.press(b"half a ")
        screen.wait_for("half a")
        screen.press(b"\x1a")
        screen.wait_for_output(b"Stopped")
        screen.press(b"\n")
        screen.wait_for_output(ENTER)
        screen.wait_for("half a")
        screen.press(b"line")
        screen.wait_for("half a line")


if __name__ == "__main__":
    unittest.main()
