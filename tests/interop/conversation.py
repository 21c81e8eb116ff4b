"""Texts, receipts and typing between this client and the real one."""

import os
import pty
import select
import subprocess
import time
import unittest

from identity import Account, DeviceList
from safety import recovery_code, seed_of
from sodium import SigningPair, random
from stage import ERRORS, Stage

TEXT_MAX = 65536


class Conversation(Stage):
    def test_who_writes_first_is_a_new_contact(self):
        messenger, (person, name) = self.messenger(), self.person()
        peer = messenger.find(name)
        message_id = messenger.send(peer, "hello")
        self.assertIsNotNone(peer.current.header)
        got = person.json("sync")
        self.assertEqual([(one["id"], one["sender"], one["text"]) for one in got if "id" in one],
                         [(message_id.hex(), messenger.name, "hello")])
        receipt = self.wait_kind(messenger, "Receipt")
        self.assertEqual((receipt.seq, peer.delivered, peer.read), (1, 1, 0))
        self.assertIsNone(peer.current.header)
        person.run("read", messenger.name)
        person.run("sync")
        self.wait_kind(messenger, "Receipt")
        self.assertEqual((peer.delivered, peer.read), (1, 1))

    def test_who_is_written_to_first(self):
        messenger, (person, name) = self.messenger(), self.person()
        sent = person.json("send", messenger.name, "hello")[0]
        got = self.wait_kind(messenger, "Text")
        self.assertEqual((got.seq, got.value["id"].hex(), got.value["text"]),
                         (1, sent["id"], "hello"))
        self.assertEqual(got.value["sender_name"], name)
        self.assertFalse(got.peer.current.is_initiator)
        self.assertEqual(self.status(person, sent["id"]), "sent")
        self.confirm(messenger, got.peer)
        person.run("sync")
        self.assertEqual(self.status(person, sent["id"]), "delivered")
        self.confirm(messenger, got.peer, read=1)
        person.run("sync")
        self.assertEqual(self.status(person, sent["id"]), "read")
        messenger.send(got.peer, "and back")
        person.run("sync")
        self.assertEqual(self.texts(person, messenger.name), ["hello", "and back"])

    def test_a_name_is_said_until_a_text_is_confirmed(self):
        messenger, _, person = self.met()
        person.run("send", messenger.name, "now that you know")
        self.assertIsNone(self.wait_kind(messenger, "Text").value["sender_name"])

    def test_out_of_order_from_here(self):
        messenger, peer, person = self.met()
        texts = [messenger.text(peer, f"text {number}") for number in range(6)]
        for number in (3, 1, 5, 0, 4, 2):
            self.assertEqual(messenger.submit(peer, texts[number][1])["code"], ERRORS["ok"])
        person.run("sync")
        self.assertEqual(self.texts(person, messenger.name)[2:],
                         [f"text {number}" for number in range(6)])
        messenger.deliveries(10, lambda _: peer.delivered == peer.chain.number)
        self.assertEqual(peer.delivered, peer.chain.number)

    def test_out_of_order_from_there(self):
        messenger, peer, person = self.met()
        messenger.connection.close()
        sent = [person.json("send", messenger.name, f"text {number}")[0]["id"]
                for number in range(5)]
        self.login_again(messenger)
        connection = messenger.connection
        connection.wait_for(lambda: sum(1 for kind, _ in connection.events
                                        if kind == "Deliver") >= 5)
        events = connection.take_events("Deliver")
        messenger.acknowledges = False
        got = [messenger.take(event["number"], event["envelope"])
               for event in [events[index] for index in (2, 0, 4)]]
        self.assertEqual([one.value["id"].hex() for one in got], [sent[2], sent[0], sent[4]])
        first = got[1].seq
        self.assertEqual(peer.received.delivered, first)
        self.assertEqual(peer.received.ranges(),
                         [[first + 2, first + 2], [first + 4, first + 4]])
        self.confirm(messenger, peer)
        person.run("sync")
        # What a receipt says beyond the first gap is delivered as well.
        self.assertEqual([self.status(person, one) for one in sent],
                         ["delivered", "sent", "delivered", "sent", "delivered"])
        for index in (3, 1):
            messenger.take(events[index]["number"], events[index]["envelope"])
        self.confirm(messenger, peer, read=first + 4)
        person.run("sync")
        self.assertEqual({self.status(person, one) for one in sent}, {"read"})
        self.assertEqual(peer.received.contradictions, 0)

    def test_many_turns_of_the_ratchet(self):
        messenger, peer, person = self.met()
        keys = set()
        for number in range(6):
            messenger.send(peer, f"from here {number}")
            person.run("sync")
            person.run("send", messenger.name, f"from there {number}")
            self.wait_kind(messenger, "Text")
            self.confirm(messenger, peer, read=peer.received.delivered)
            keys.add(peer.current.state.root)
        self.assertEqual(len(keys), 6)
        self.assertEqual(len(peer.sessions), 1)
        self.assertEqual(len(self.texts(person, messenger.name)), 14)

    def test_the_largest_text(self):
        messenger, peer, person = self.met()
        text = "\u20ac" * (TEXT_MAX // 3) + "x"
        self.assertEqual(len(text.encode()), TEXT_MAX)
        _, envelope = messenger.text(peer, text)
        # One Noise message is full, so a second one follows.
        self.assertGreater(len(envelope), 5 + 65535 + 16)
        self.assertEqual(messenger.submit(peer, envelope)["code"], ERRORS["ok"])
        person.run("sync")
        self.assertEqual(self.texts(person, messenger.name)[-1], text)
        person.run("send", messenger.name, text)
        self.assertEqual(self.wait_kind(messenger, "Text").value["text"], text)
        self.assertNotEqual(person.run("send", messenger.name, text + "x").returncode, 0)

    def test_sizes_around_the_steps_of_the_padding(self):
        messenger, peer, person = self.met()
        sizes, texts = set(), []
        for size in (1, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 3900, 4000):
            texts.append("x" * size)
            _, envelope = messenger.text(peer, texts[-1])
            sizes.add(len(envelope))
            self.assertEqual(messenger.submit(peer, envelope)["code"], ERRORS["ok"])
        self.assertLess(len(sizes), 6)
        person.run("sync")
        self.assertEqual(self.texts(person, messenger.name)[2:], texts)

    def test_a_lost_reply_and_its_retry(self):
        messenger, peer, person = self.met()
        message_id, envelope = messenger.text(peer, "once")
        request = random(16)
        messenger.post([(peer, envelope)], request)
        self.login_again(messenger)
        self.assertEqual(messenger.submit(peer, envelope, request)["code"], ERRORS["ok"])
        person.run("sync")
        # Under another request id the relay delivers it again, and its reader knows it.
        self.assertEqual(messenger.submit(peer, envelope)["code"], ERRORS["ok"])
        # So does the same message under a number of its own.
        _, again = messenger.text(peer, "once", message_id)
        self.assertEqual(messenger.submit(peer, again)["code"], ERRORS["ok"])
        person.run("sync")
        self.assertEqual(self.texts(person, messenger.name)[2:], ["once"])
        messenger.deliveries(10, lambda _: peer.delivered == peer.chain.number)
        self.assertEqual(peer.delivered, peer.chain.number)

    def test_what_was_not_acknowledged_comes_again(self):
        messenger, peer, person = self.met()
        messenger.acknowledges = False
        person.run("send", messenger.name, "again and again")
        self.assertEqual(self.wait_kind(messenger, "Text").seq, peer.received.delivered)
        self.assertFalse(self.login_again(messenger)["replaced"])
        self.assertEqual(self.wait_kind(messenger, "duplicate").number, 1)
        messenger.acknowledges = True
        self.login_again(messenger)
        self.wait_kind(messenger, "duplicate")
        self.login_again(messenger)
        messenger.connection.wait_for(lambda: messenger.connection.events)
        self.assertEqual(messenger.connection.events, [("CaughtUp", {})])

    def test_two_recipients_of_one_submit(self):
        messenger, one, first = self.met()
        second, name = self.person()
        two = messenger.find(name)
        number = messenger.post([(one, messenger.text(one, "to both")[1]),
                                 (two, messenger.text(two, "to both")[1])])
        _, reply = messenger.connection.answer(number)
        self.assertEqual([outcome["code"] for outcome in reply["outcomes"]], [0, 0])
        for person in (first, second):
            person.run("sync")
            self.assertEqual(self.texts(person, messenger.name)[-1], "to both")

    def test_typing_on_a_terminal(self):
        messenger, peer, person = self.met()
        near, far = pty.openpty()
        chat = subprocess.Popen(person.words("chat", messenger.name), stdin=far, stdout=far,
                                stderr=far)
        os.close(far)
        self.addCleanup(os.close, near)
        try:
            self.assert_shown(near, b"hello yourself")
            self.assertEqual(messenger.submit(peer, messenger.typing(peer, True), ttl=5)["code"],
                             ERRORS["ok"])
            self.assert_shown(near, f"{messenger.name} is typing".encode())
            os.write(near, b"abc")
            self.assertTrue(self.wait_kind(messenger, "Typing").value["active"])
            os.write(near, b"\r")
            self.assertEqual(self.wait_kind(messenger, "Text").value["text"], "abc")
        finally:
            os.write(near, b"\x04")
            chat.wait()

    def assert_shown(self, terminal, words, seconds=20):
        deadline, shown = time.monotonic() + seconds, b""
        while words not in shown:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([terminal], [], [], left)[0]:
                self.fail(f"{words} is not shown")
            shown += os.read(terminal, 65536)


class Recovery(Stage):
    def test_the_code_of_the_real_client_is_its_root_key(self):
        messenger, (person, name) = self.messenger(), self.person()
        root = SigningPair(seed_of(person.made["recovery_code"]))
        self.assertEqual(messenger.find(name).devices.root, root.public)
        self.assertEqual(recovery_code(root.seed), person.made["recovery_code"])

    def test_the_real_client_takes_over_an_account_of_this_one(self):
        messenger, peer, friend = self.met()
        code = recovery_code(messenger.account.root.seed)
        person = type(friend)(self.homes / "recovered")
        recovered = person.json("recover", "--relay", self.relay.address, stdin=code)[0]
        self.assertEqual(recovered["user_id"], messenger.account.user.hex())
        self.assert_ends("removed", messenger.connection)
        other = self.messenger()
        devices = DeviceList(other.connection.ask("GetUser", name=messenger.name)[1]["list"])
        self.assertEqual(devices.gen, 2)
        self.assertEqual(devices.previous, DeviceList(messenger.account.list()).hash[:32])
        self.assertNotIn(messenger.account.device, devices.devices)

    def test_this_client_takes_over_an_account_of_the_real_one(self):
        friend, (person, name) = self.messenger(), self.person()
        account = Account()
        account.use_root(SigningPair(seed_of(person.made["recovery_code"])))
        connection = self.connect(account)
        fields = {"version": 1, "device": account.device, "seal_key": account.new_seal_key(),
                  "signed_prekey": account.new_prekey()}
        reply, user = connection.ask("Register", list=account.list(), **fields)
        self.assertEqual(reply, "User")
        known = DeviceList(user["list"])
        account.gen = known.gen + 1
        account.body = account.make_body(1, known.hash[:32])
        reply, welcome = connection.ask("Register", list=account.list(), **fields)
        self.assertEqual((reply, welcome["own_name"], welcome["list_gen"]), ("Welcome", name, 2))
        self.assertNotEqual(person.run("send", friend.name, "still me?").returncode, 0)
        peer = friend.find(name)
        self.assertEqual(peer.device, account.device)


if __name__ == "__main__":
    unittest.main()
