"""A relay, real people with the chat client, and people played by this client."""

import contextlib
import os
import signal
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "integration"))

from programs import Person, Relay  # noqa: E402

import flat  # noqa: E402
from identity import Account  # noqa: E402
from messenger import Messenger  # noqa: E402
from wire import Connection, RelayRefused  # noqa: E402

ERRORS = flat.WIRE.enums["ErrorCode"]


class Stage(unittest.TestCase):
    """A relay for all tests of a class; each test has people of its own."""

    CONFIG = {}
    _people = 0

    @classmethod
    def setUpClass(cls):
        cls.relay = Relay()
        cls.addClassCleanup(cls.relay.close)
        homes = tempfile.TemporaryDirectory(prefix="godwit-test-")
        cls.addClassCleanup(homes.cleanup)
        cls.homes = Path(homes.name)
        if cls.CONFIG:
            cls.configure(cls.CONFIG)

    @classmethod
    def configure(cls, settings):
        """Sets what relay.toml says already, and starts the relay again."""
        path = cls.relay.path / "relay.toml"
        lines = path.read_text().splitlines()
        for name, value in settings.items():
            places = [index for index, line in enumerate(lines)
                      if line.lstrip("# ").split("=")[0].strip() == name]
            if len(places) != 1:
                raise AssertionError(f"{name}: {places}")
            lines[places[0]] = f"{name} = {value}"
        path.write_text("\n".join(lines) + "\n")
        cls.relay.stop()
        cls.relay.start()

    @classmethod
    @contextlib.contextmanager
    def standing_still(cls):
        """The relay does nothing meanwhile; what is sent to it arrives at once."""
        os.kill(cls.relay.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(cls.relay.pid, signal.SIGCONT)

    @classmethod
    def new_name(cls, kind):
        Stage._people += 1
        return f"{kind}{Stage._people}"

    def connect(self, account):
        connection = Connection(self.relay.address, account.transport)
        self.addCleanup(connection.close)
        return connection

    def messenger(self, name=None):
        """Somebody new who is played by this client."""
        account = Account()
        messenger = Messenger(account, self.connect(account), name or self.new_name("python"))
        messenger.register()
        return messenger

    def login_again(self, messenger):
        messenger.connection.close()
        return messenger.login(self.connect(messenger.account))

    def person(self, name=None):
        """Somebody new with the chat client, as a pair of a Person and a name."""
        name = name or self.new_name("real")
        person = Person(self.homes / name)
        person.made = person.json("init", "--relay", self.relay.address, "--name", name)[0]
        return person, name

    def met(self):
        """One of each kind who have written to one another, and have both confirmed it."""
        messenger, (person, name) = self.messenger(), self.person()
        peer = messenger.find(name)
        messenger.send(peer, "hello")
        person.run("sync")
        person.run("send", messenger.name, "hello yourself")
        messenger.deliveries(20, lambda taken: any(one.kind == "Text" for one in taken))
        peer.knows_name = True
        self.confirm(messenger, peer)
        person.run("sync")
        return messenger, peer, person

    def confirm(self, messenger, peer, read=None):
        outcome = messenger.submit(peer, messenger.receipt(peer, read))
        self.assertEqual(outcome["code"], ERRORS["ok"])

    def wait_kind(self, messenger, kind, seconds=20):
        """All that came until one of that kind, which is the last."""
        taken = messenger.deliveries(seconds, lambda got: any(one.kind == kind for one in got))
        self.assertIn(kind, [one.kind for one in taken])
        return [one for one in taken if one.kind == kind][-1]

    def texts(self, person, name):
        return [one["text"] for one in person.json("messages", name) if "text" in one]

    def status(self, person, message_id):
        return person.json("status", message_id)[0]["status"]

    def assert_refused(self, code, connection, kind, **fields):
        with self.assertRaises(RelayRefused) as caught:
            connection.ask(kind, **fields)
        self.assertEqual(caught.exception.code, code)
        return caught.exception

    def assert_ends(self, code, connection, seconds=20):
        """Ends with Closing of that code; without a word when it is None."""
        self.assertEqual(connection.wait_for_end(seconds), code)
