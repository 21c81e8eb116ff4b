"""What is lost, doubled, spoiled or made up between this client and the real one."""

import unittest

from identity import DeviceList
from messenger import KIND_TOMBSTONE, Messenger, halves_of, seq_of
from ratchet import pad
from sodium import blake2b, random
from stage import ERRORS, Stage


class Loss(Stage):
    def put(self, messenger, peer, envelope):
        self.assertEqual(messenger.submit(peer, envelope)["code"], ERRORS["ok"])

    def syncing(self, person):
        sync = person.start("sync", "--for", "30")
        self.addCleanup(self.end, sync)
        return sync

    def end(self, program):
        program.terminate()
        program.communicate()

    def confirmed(self, messenger, peer, seconds=20):
        """Everything that was sent is confirmed in that time."""
        messenger.deliveries(seconds, lambda _: peer.delivered == peer.chain.number)
        self.assertEqual(peer.delivered, peer.chain.number)

    def test_a_lost_message_is_asked_for(self):
        messenger, peer, person = self.met()
        messenger.text(peer, "lost")
        lost = peer.chain.number
        messenger.send(peer, "after it")
        sync = self.syncing(person)
        repair = self.wait_kind(messenger, "Repair")
        self.assertEqual([seq_of(one) for one in repair.value["seqs"]], [lost])
        self.assertEqual(peer.delivered, lost - 1)
        self.put(messenger, peer, messenger.encrypted(peer, lost))
        self.confirmed(messenger, peer)
        self.end(sync)
        self.assertEqual(self.texts(person, messenger.name)[2:], ["lost", "after it"])

    def test_a_lost_message_is_brought_again(self):
        messenger, peer, person = self.met()
        messenger.acknowledges = False
        sent = [person.json("send", messenger.name, text)[0]["id"] for text in ("one", "two")]
        connection = messenger.connection
        connection.wait_for(lambda: sum(1 for kind, _ in connection.events
                                        if kind == "Deliver") >= 2)
        events = connection.take_events("Deliver")
        messenger.acknowledges = True
        got = messenger.take(events[1]["number"], events[1]["envelope"])
        self.assertEqual(got.value["id"].hex(), sent[1])
        self.assertEqual(peer.received.missing(), [got.seq - 1])
        self.put(messenger, peer, messenger.repair(peer, [got.seq - 1]))
        person.run("sync")
        again = self.wait_kind(messenger, "Text")
        self.assertEqual((again.seq, again.value["id"].hex()), (got.seq - 1, sent[0]))
        self.assertNotEqual(again.envelope, events[0]["envelope"])
        self.assertEqual(peer.received.contradictions, 0)
        self.confirm(messenger, peer)
        person.run("sync")
        self.assertEqual([self.status(person, one) for one in sent], ["delivered"] * 2)

    def test_what_was_never_sent_is_passed_over(self):
        messenger, peer, person = self.met()
        self.put(messenger, peer, messenger.repair(peer, [1000, 2000]))
        person.run("sync", "--for", "2")
        messenger.send(peer, "still there?")
        person.run("sync")
        self.confirmed(messenger, peer)

    def test_a_tombstone_closes_a_gap(self):
        messenger, peer, person = self.met()
        messenger.text(peer, "gone")
        self.put(messenger, peer, messenger.encrypted(peer, peer.chain.number, KIND_TOMBSTONE))
        messenger.send(peer, "after it")
        person.run("sync")
        self.confirmed(messenger, peer)
        self.assertEqual(self.texts(person, messenger.name)[2:], ["after it"])

    def test_a_tombstone_of_zeros_closes_a_gap(self):
        messenger, peer, person = self.met()
        messenger.text(peer, "gone")
        number = peer.chain.number
        messenger.send(peer, "after it")
        peer.sent[number] = (bytes(32), b"")
        self.put(messenger, peer, messenger.encrypted(peer, number, KIND_TOMBSTONE))
        person.run("sync")
        self.confirmed(messenger, peer)

    def test_payloads_that_break_a_bound_count_as_received(self):
        messenger, peer, person = self.met()
        spoiled = [
            random(60),
            messenger.payload("Text", id=random(16), hlc=0, text="no hlc"),
            messenger.payload("Text", id=random(16), hlc=messenger.next_hlc(), text=""),
            messenger.payload("Text", id=random(16), hlc=messenger.next_hlc(), text=b"\xff\xfe"),
            messenger.payload("Text", id=random(16), hlc=messenger.next_hlc(), text="x" * 65537),
            messenger.payload("Receipt", delivered=0, read=1),
            messenger.payload("Receipt", delivered=1, read=0, ranges=[
                {"first": halves_of(2), "last": halves_of(2)}]),
            messenger.payload("Repair", seqs=[]),
            messenger.payload("Repair", seqs=[halves_of(2), halves_of(1)]),
            messenger.payload("Repair", seqs=[halves_of(1 + one) for one in range(101)]),
            messenger.payload("Reset", undecryptable=[random(16) for _ in range(101)]),
            messenger.payload("Typing", active=True),
        ]
        for payload in spoiled:
            self.put(messenger, peer, messenger.envelope(peer, payload))
        messenger.send(peer, "after them")
        person.run("sync")
        self.confirmed(messenger, peer)
        self.assertEqual(self.texts(person, messenger.name)[2:], ["after them"])

    def test_a_plaintext_of_another_kind_stays_a_gap(self):
        messenger, peer, person = self.met()
        messenger.text(peer, "of a later version")
        number = peer.chain.number
        hashed, payload = peer.sent[number]
        padded = pad(messenger.plaintext(3, number, hashed, payload))
        self.put(messenger, peer, messenger.seal(peer, peer.current.encrypt(padded)))
        messenger.send(peer, "after it")
        self.syncing(person)
        kinds = [one.kind for one in messenger.deliveries(
            20, lambda got: any(one.kind == "Repair" for one in got))]
        self.assertIn("Repair", kinds)
        self.assertNotIn("Reset", kinds)
        self.assertEqual(peer.delivered, number - 1)
        self.put(messenger, peer, messenger.encrypted(peer, number))
        self.confirmed(messenger, peer)

    def test_receipts_of_what_was_never_sent_are_ignored(self):
        messenger, peer, person = self.met()
        sent = person.json("send", messenger.name, "really?")[0]["id"]
        self.wait_kind(messenger, "Text")
        delivered = peer.received.delivered
        for fields in ({"delivered": delivered + 1, "read": delivered},
                       {"delivered": delivered, "read": delivered, "ranges": [
                           {"first": halves_of(delivered + 5), "last": halves_of(delivered + 6)}]}):
            self.put(messenger, peer, messenger.envelope(
                peer, messenger.payload("Receipt", **fields)))
        person.run("sync")
        self.assertEqual(self.status(person, sent), "sent")

    def test_a_receipt_takes_nothing_back(self):
        messenger, peer, person = self.met()
        sent = person.json("send", messenger.name, "take it back")[0]["id"]
        self.wait_kind(messenger, "Text")
        self.confirm(messenger, peer, read=peer.received.delivered)
        self.put(messenger, peer, messenger.envelope(
            peer, messenger.payload("Receipt", delivered=0, read=0)))
        person.run("sync")
        self.assertEqual(self.status(person, sent), "read")

    def test_sessions_that_are_lost_here(self):
        messenger, peer, person = self.met()
        sent = person.json("send", messenger.name, "into the void")[0]["id"]
        peer.sessions.clear()
        got = self.wait_kind(messenger, "undecryptable")
        self.put(messenger, peer, messenger.reset(peer, [got.value["hash"]]))
        person.run("sync")
        again = self.wait_kind(messenger, "Text")
        self.assertEqual((again.value["id"].hex(), again.value["text"]), (sent, "into the void"))
        self.assertIsNone(peer.current.header)
        self.assertEqual(len(peer.sessions), 1)
        self.confirm(messenger, peer)
        person.run("sync")
        self.assertEqual(self.status(person, sent), "delivered")

    def test_an_envelope_that_nothing_opens_there(self):
        messenger, peer, person = self.met()
        spoiled = messenger.seal(peer, bytes([1, 1, 2, 0]) + random(24 + 56 + 272))
        self.put(messenger, peer, spoiled)
        person.run("sync")
        reset = self.wait_kind(messenger, "Reset")
        self.assertEqual(reset.value["undecryptable"], [blake2b(spoiled)])
        self.assertFalse(peer.current.is_initiator)
        self.assertEqual(len(peer.sessions), 2)
        # In the session that came with the Reset all goes on.
        self.confirm(messenger, peer)
        messenger.send(peer, "in the new one")
        person.run("sync")
        self.confirmed(messenger, peer)
        self.assertEqual(self.texts(person, messenger.name)[-1], "in the new one")

    def test_two_sessions_that_begin_at_once(self):
        messenger, (person, name) = self.messenger(), self.person()
        person.run("send", messenger.name, "from there")
        peer = messenger.find(name)
        ours = messenger.begin(peer)
        messenger.send(peer, "from here")
        theirs = self.wait_kind(messenger, "Text")
        self.assertEqual(theirs.value["text"], "from there")
        self.assertEqual([one.gen for one in peer.sessions], [1, 1])
        self.assertIs(peer.current, min(peer.sessions, key=lambda one: one.id))
        self.assertIn(ours, peer.sessions)
        for number in range(3):
            messenger.send(peer, f"round {number}")
            person.run("sync")
            person.run("send", messenger.name, f"back {number}")
            self.wait_kind(messenger, "Text")
            self.confirm(messenger, peer)
        messenger.send(peer, "the last")
        person.run("sync")
        self.confirmed(messenger, peer)
        self.assertEqual(len(self.texts(person, messenger.name)), 9)

    def skip(self, peer, count):
        for _ in range(count):
            peer.current.encrypt(pad(bytes(41)))

    def test_as_many_as_may_be_skipped(self):
        messenger, peer, person = self.met()
        for text in ("after a thousand", "after two thousand"):
            self.skip(peer, 1000)
            messenger.send(peer, text)
        person.run("sync")
        self.assertEqual(self.texts(person, messenger.name)[2:],
                         ["after a thousand", "after two thousand"])
        self.skip(peer, 1001)
        messenger.send(peer, "after too many")
        person.run("sync")
        self.wait_kind(messenger, "Reset")

    def test_a_session_of_a_gen_far_ahead(self):
        messenger, peer, person = self.met()
        self.assertEqual(peer.gen, 1)
        sessions = list(peer.sessions)
        for gen, taken in ((1002, False), (1001, True)):
            peer.gen = gen - 1
            messenger.begin(peer)
            messenger.send(peer, f"gen {gen}")
            person.run("sync")
            self.assertEqual(f"gen {gen}" in self.texts(person, messenger.name), taken)
            if not taken:
                peer.sessions = sessions
        got = messenger.deliveries(10, lambda got: any(one.kind == "Receipt" for one in got))
        self.assertNotIn("Reset", [one.kind for one in got])
        self.assertIsNone(peer.current.header)

    def test_junk_is_acknowledged_without_a_word(self):
        messenger, peer, person = self.met()
        other = self.messenger()
        forged = other.account.user
        for envelope in (b"\x01", random(300), messenger.seal(peer, b""),
                         messenger.seal(peer, bytes([2, 1, 2, 0]) + random(400)),
                         messenger.seal(peer, bytes([1, 1, 7, 0]) + random(400))):
            self.put(messenger, peer, envelope)
        # The static key of one user under the id of another.
        messenger.account.user, mine = forged, messenger.account.user
        envelope = messenger.seal(peer, bytes([1, 1, 2, 0]) + random(400))
        messenger.account.user = mine
        self.put(messenger, peer, envelope)
        messenger.send(peer, "still here")
        person.run("sync")
        got = messenger.deliveries(6, lambda _: peer.delivered == peer.chain.number)
        self.assertNotIn("Reset", [one.kind for one in got])
        self.assertEqual(self.texts(person, messenger.name)[2:], ["still here"])

    def test_a_chain_that_does_not_fit_is_told_and_counts(self):
        messenger, peer, person = self.met()
        messenger.text(peer, "in doubt")
        number = peer.chain.number
        payload = peer.sent[number][1]
        peer.sent[number] = (random(32), payload)
        self.put(messenger, peer, messenger.encrypted(peer, number))
        person.run("sync")
        self.confirmed(messenger, peer)
        self.assertEqual(self.texts(person, messenger.name)[2:], ["in doubt"])


class Lists(Stage):
    """Device lists that change under a conversation."""

    def test_a_newer_list_of_ours(self):
        messenger, peer, person = self.met()
        account = messenger.account
        account.body = account.next_body()
        messenger.connection.ask("PutDevices", list=account.list(), expected_gen=1, expected_seq=1)
        sent = person.json("send", messenger.name, "to the new list")[0]
        self.assertEqual(sent["state"], "sent")
        self.assertEqual(self.wait_kind(messenger, "Text").value["text"], "to the new list")
        messenger.send(peer, "seen")
        person.run("sync")
        self.assertEqual(self.texts(person, messenger.name)[-1], "seen")

    def test_two_lists_of_one_version_stop_the_sending(self):
        messenger, peer, person = self.met()
        account = messenger.account
        account.body = account.make_body(1, random(32))
        messenger.send(peer, "with another hash")
        person.run("sync")
        sent = person.json("send", "--timeout", "2", messenger.name, "to a liar")[0]
        self.assertEqual(sent["state"], "queued")

    def test_a_second_device_of_ours(self):
        messenger, peer, person = self.met()
        account = messenger.account
        second, listed = account.second_device()
        account.body = second.body = account.make_body(
            2, DeviceList(account.list()).hash[:32], listed)
        messenger.connection.ask("PutDevices", list=account.list(), expected_gen=1, expected_seq=1)
        # As long as it has put no keys it is passed over.
        sent = person.json("send", messenger.name, "to one")[0]
        self.assertEqual(sent["state"], "sent")
        first = self.wait_kind(messenger, "Text").seq
        other = Messenger(second, self.connect(second), messenger.name)
        other.login(other.connection)
        other.connection.ask("PutKeys", seal_key=second.new_seal_key(),
                             signed_prekey=second.new_prekey())
        sent = person.json("send", messenger.name, "to both")[0]
        self.assertEqual(self.wait_kind(messenger, "Text").seq, first + 1)
        got = self.wait_kind(other, "Text")
        self.assertEqual((got.seq, got.value["id"].hex()), (1, sent["id"]))
        self.assertEqual(self.status(person, sent["id"]), "sent")
        self.confirm(other, got.peer, read=1)
        other.send(got.peer, "from the second")
        messenger.send(peer, "from the first")
        person.run("sync")
        self.assertEqual(self.status(person, sent["id"]), "read")
        self.assertEqual(self.texts(person, messenger.name)[-2:],
                         ["from the second", "from the first"])

    def test_new_keys_of_ours(self):
        messenger, peer, person = self.met()
        messenger.connection.ask("PutKeys", seal_key=messenger.account.new_seal_key(),
                                 signed_prekey=messenger.account.new_prekey())
        person.run("send", messenger.name, "under an old seal key")
        self.assertEqual(self.wait_kind(messenger, "Text").value["text"], "under an old seal key")


if __name__ == "__main__":
    unittest.main()
