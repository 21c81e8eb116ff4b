"""Every refusal of the protocol that a client can provoke without waiting long."""

import socket
import struct
import time
import unittest

import flat
import noise
from identity import Account
from sodium import Pair, random
from stage import ERRORS, Stage
from wire import REKEY_INTERVAL, RelayRefused

SMALL_ORDER = bytes(32)


def register_fields(account, **changes):
    fields = {"version": 1, "device": account.device, "list": account.list(),
              "seal_key": account.new_seal_key(), "signed_prekey": account.new_prekey()}
    return {**fields, **changes}


class Transport(Stage):
    def raw(self):
        host, port = "127.0.0.1", self.relay.port
        link = socket.create_connection((host, port), timeout=20)
        self.addCleanup(link.close)
        return link

    def assert_closed(self, link):
        try:
            self.assertEqual(link.recv(1), b"")
        except ConnectionError:
            pass

    def test_a_handshake_that_fails_is_answered_with_nothing(self):
        link = self.raw()
        link.sendall(struct.pack(">H", 96) + random(96))
        self.assert_closed(link)
        for size in (0, 95, 97, 1000):
            with self.subTest(size=size):
                link = self.raw()
                link.sendall(struct.pack(">H", size) + random(size))
                self.assert_closed(link)

    def test_a_handshake_for_another_relay_is_answered_with_nothing(self):
        link = self.raw()
        first = noise.Initiator(Pair(), Pair().public).first()
        link.sendall(struct.pack(">H", 96) + first)
        self.assert_closed(link)

    def test_message_one_is_not_answered_twice(self):
        connection = self.connect(Account())
        link = self.raw()
        link.sendall(connection.hello)
        self.assert_closed(link)
        connection.ask("Ping")

    def test_the_cut_into_records_means_nothing(self):
        connection = self.connect(Account())
        ping = flat.encode(flat.WIRE, "Request", {"id": 7, "body": ("Ping", {})})
        framed = struct.pack("<I", len(ping)) + ping
        connection.expect(7)
        connection.send_empty_records(3)
        connection.send_stream(framed, cut=1)
        connection.send_empty_records(1)
        self.assertEqual(connection.answer(7)[0], "Done")
        connection.expect(7)
        connection.send_stream(framed)
        self.assertEqual(connection.answer(7)[0], "Done")

    def test_sizes_out_of_bounds_end_the_connection_without_a_word(self):
        for size in (0, 7, 4097, 0xffffffff):
            with self.subTest(size=size):
                connection = self.connect(Account())
                connection.send_stream(struct.pack("<I", size))
                self.assert_ends(None, connection)
        messenger = self.messenger()
        messenger.connection.send_stream(struct.pack("<I", 524289))
        self.assert_ends(None, messenger.connection)

    def test_the_key_of_a_direction_is_replaced(self):
        connection = self.connect(Account())
        connection.send_empty_records(REKEY_INTERVAL + 10)
        self.assertEqual(connection.ask("Ping")[0], "Done")

    def test_a_record_that_does_not_hold_ends_the_connection_without_a_word(self):
        for record in (b"", random(15), random(16), random(100)):
            with self.subTest(size=len(record)):
                connection = self.connect(Account())
                connection.socket.sendall(struct.pack(">H", len(record)) + record)
                self.assert_ends(None, connection)

    def test_malformed_frames(self):
        ping = flat.encode(flat.WIRE, "Request", {"id": 7, "body": ("Ping", {})})
        for name, body in (("trailing", ping + bytes(4)), ("cut", ping[:-4]),
                           ("noise", random(40)), ("zeros", bytes(8))):
            with self.subTest(name):
                connection = self.connect(Account())
                connection.send_frame(body)
                self.assert_ends("bad_request", connection)

    def test_a_member_that_is_not_known(self):
        connection = self.connect(Account())
        later = flat.Schema("godwit.fbs")
        later.unions["RequestBody"].append("Later")
        later.tables["Later"] = [("one", "ulong", False), ("two", "ulong", False)]
        connection.send_frame(flat.encode(later, "Request", {
            "id": 7, "body": ("Later", {"one": 1, "two": 2})}))
        self.assert_ends("bad_request", connection)

    def test_who_says_nothing_is_left(self):
        silent, logged_out = self.raw(), self.connect(Account())
        handshaken = self.connect(Account())
        logged_out.ask("Ping")
        begun = time.monotonic()
        silent.settimeout(30)
        self.assert_closed(silent)
        self.assertAlmostEqual(time.monotonic() - begun, 10, delta=4)
        self.assert_ends(None, handshaken)
        self.assert_ends("timeout", logged_out)


class Greeting(Stage):
    def test_requests_before_login(self):
        for kind, fields in (("SetName", {}), ("GetUser", {"name": "somebody"}),
                             ("PutKeys", {}), ("Ack", {"upto": 0})):
            with self.subTest(kind):
                connection = self.connect(Account())
                connection.ask("Ping")
                connection.post(kind, **fields)
                self.assert_ends("out_of_state", connection)

    def test_what_is_out_of_bounds_is_refused_in_each_state_and_is_no_attempt(self):
        account = Account()
        connection = self.connect(account)
        for _ in range(5):
            self.assert_refused("bad_request", connection, "GetUser", name="x" * 65)
            self.assert_refused("bad_request", connection, "Register",
                                **register_fields(account, name="x" * 65))
        self.assertEqual(connection.ask("Register", **register_fields(account))[0], "Welcome")
        self.assert_refused("bad_request", connection, "Register",
                            **register_fields(account, name="x" * 65))
        connection.post("Register", **register_fields(account))
        self.assert_ends("out_of_state", connection)

    def test_login(self):
        messenger, account = self.messenger(), Account()
        known = messenger.account
        connection = self.connect(account)
        fields = {"user": known.user, "device": known.device}
        self.assert_refused("version_unsupported", connection, "Login", version=0, **fields)
        self.assert_refused("unknown_device", connection, "Login", version=1, user=known.user,
                            device=account.device)
        self.assert_refused("unauthorized", connection, "Login", version=1, **fields)
        connection.ask("Ping")
        self.assert_refused("unauthorized", connection, "Login", version=1, **fields)
        connection.post("Login", version=1, **fields)
        self.assert_ends("unauthorized", connection)

    def test_a_later_version_gets_this_one(self):
        messenger = self.messenger()
        connection = self.connect(messenger.account)
        welcome = connection.ask("Login", version=9, user=messenger.account.user,
                                 device=messenger.account.device)[1]
        self.assertEqual(welcome["version"], 1)
        self.assertTrue(welcome["replaced"])
        self.assert_ends("replaced", messenger.connection)

    def test_nothing_but_ping_before_the_answer_to_a_registration(self):
        account = Account()
        connection = self.connect(account)
        with self.standing_still():
            connection.post("Register", **register_fields(account))
            connection.post("GetUser", name="somebody")
        self.assert_ends("out_of_state", connection)

    def register(self, account, **changes):
        """The code of the refusal, or the kind of the reply."""
        connection = self.connect(account)
        try:
            return connection.ask("Register", **register_fields(account, **changes))
        except RelayRefused as refused:
            return refused.code, refused

    def test_registrations_that_are_refused(self):
        account, other = Account(), Account()
        table = account.list()
        wrong = {**table, "signature": random(64)}
        undelegated = {**table, "delegation": random(64)}
        foreign_root = {**table, "root": other.root.public}
        left_over = account.list_of(account.body + b"\0")
        small = account.new_prekey()
        small["key"] = SMALL_ORDER
        crowd = account.list_of(self.crowd(account, 6))
        for name, changes, code in (
                ("version", {"version": 0}, "version_unsupported"),
                ("name", {"name": "no name"}, "name_invalid"),
                ("short name", {"name": "x"}, "name_invalid"),
                ("no bytes", {"name": ""}, "bad_request"),
                ("65 bytes", {"name": "x" * 65}, "bad_request"),
                ("64 bytes", {"name": "x" * 64}, "name_invalid"),
                ("hex", {"name": "0123456789abcdef" * 2}, "name_invalid"),
                ("list signature", {"list": wrong}, "unauthorized"),
                ("delegation", {"list": undelegated}, "unauthorized"),
                ("user id", {"list": foreign_root}, "bad_request"),
                ("left over", {"list": left_over}, "bad_request"),
                ("not a point", {"list": {**table, "list_key": b"\xff" * 32}}, "bad_request"),
                ("device", {"device": other.device}, "unknown_device"),
                ("key signature", {"seal_key": other.new_seal_key()}, "unauthorized"),
                ("small order", {"signed_prekey": small}, "bad_request"),
                ("devices", {"list": crowd}, "too_large")):
            with self.subTest(name):
                self.assertEqual(self.register(account, **changes)[0], code)

    def crowd(self, account, count):
        """A list of that many devices, the account's own the first."""
        others = [account.second_device()[1][1] for _ in range(count - 1)]
        return account.make_body(1, bytes(32), [account.listed(), *others])

    def test_another_transport_key_than_that_of_the_list(self):
        account = Account()
        connection = self.connect(Account())
        self.assert_refused("unauthorized", connection, "Register", **register_fields(account))

    def test_a_list_that_does_not_follow_is_answered_with_the_one_that_is_there(self):
        account = Account()
        self.assertEqual(self.register(account)[0], "Welcome")
        first = account.body
        self.assertEqual(self.register(account)[0], "Welcome")
        account.body = account.next_body()
        self.assertEqual(self.register(account)[0], "Welcome")
        reply, user = self.register(account, list=account.list_of(first))
        self.assertEqual((reply, user["list"]["body"]), ("User", account.body))

    def test_a_name_that_is_taken_undoes_nothing_else(self):
        holder, account = self.messenger(), Account()
        reply, welcome = self.register(account, name=holder.name.upper())
        self.assertEqual((reply, welcome["name"]), ("Welcome", ERRORS["name_taken"]))
        self.assertIsNone(welcome["own_name"])


class Directory(Stage):
    def test_logins_when_live(self):
        messenger = self.messenger()
        messenger.connection.post("Login", version=1, user=messenger.account.user,
                                  device=messenger.account.device)
        self.assert_ends("out_of_state", messenger.connection)

    def test_users_and_prekeys(self):
        messenger, other = self.messenger(), self.messenger()
        connection = messenger.connection
        user = other.account.user
        for fields, code in (({}, "bad_request"), ({"user": user, "name": "ab"}, "bad_request"),
                             ({"name": ""}, "bad_request"), ({"name": "x" * 65}, "bad_request"),
                             ({"name": "not a name"}, "name_invalid"),
                             ({"name": "ab" * 16}, "name_invalid"),
                             ({"name": "nobody-at-all"}, "not_found"),
                             ({"user": random(16)}, "not_found")):
            with self.subTest(**fields):
                self.assert_refused(code, connection, "GetUser", **fields)
        self.assert_refused("not_found", connection, "GetPrekeys", user=random(16))
        self.assert_refused("bad_request", connection, "GetPrekeys", user=user,
                            devices=[random(16) for _ in range(17)])
        bundles = connection.ask("GetPrekeys", user=user, devices=[random(16)])[1]["bundles"]
        self.assertEqual(bundles, [])
        for devices in (None, [], [other.account.device], [other.account.device] * 2):
            with self.subTest(devices=devices):
                reply = connection.ask("GetPrekeys", user=user, devices=devices)[1]
                self.assertEqual([one["device"] for one in reply["bundles"]],
                                 [other.account.device])

    def test_keys(self):
        messenger = self.messenger()
        account, connection = messenger.account, messenger.connection
        keys = account.new_one_time_keys(150)
        unsigned = {**account.new_prekey(), "id": 77}
        small = {**account.new_prekey(), "key": SMALL_ORDER}
        for name, code, fields in (
                ("signature", "unauthorized", {"signed_prekey": unsigned}),
                ("full", "too_large", {"one_time": keys}),
                ("too many", "bad_request", {"one_time": account.new_one_time_keys(201)}),
                ("falling", "bad_request", {"one_time": keys[1::-1]}),
                ("zero", "bad_request", {"one_time": [{"id": 0, "key": Pair().public}]}),
                ("none", "bad_request", {"one_time": [{"id": 0xffffffff, "key": Pair().public}]}),
                ("small order", "bad_request", {"signed_prekey": small})):
            with self.subTest(name):
                self.assert_refused(code, connection, "PutKeys", **fields)
        connection.ask("PutKeys")
        # The second time their ids do not rise, and they are left out.
        connection.ask("PutKeys", one_time=keys[:100])
        connection.ask("PutKeys", one_time=keys[:100])
        self.assertEqual(self.login_again(messenger)["one_time_keys_left"], 200)

    def test_names(self):
        one, other = self.messenger(), self.messenger()
        connection = one.connection
        self.assert_refused("name_taken", connection, "SetName", name=other.name)
        self.assert_refused("name_invalid", connection, "SetName", name="a name")
        self.assert_refused("bad_request", connection, "SetName", name="")
        connection.ask("SetName", name=one.name)
        connection.ask("SetName", name=one.name + ".Two")
        self.assert_refused("not_found", connection, "GetUser", name=one.name)
        other.connection.ask("SetName", name=one.name)
        self.assert_refused("not_found", connection, "GetUser", name=other.name)
        connection.ask("SetName")
        self.assertIsNone(self.login_again(one)["own_name"])
        self.assertEqual(self.login_again(other)["own_name"], one.name)


if __name__ == "__main__":
    unittest.main()
