"""Submits, acks and device lists: what a relay answers, delivers and refuses."""

import os
import signal
import struct
import time
import unittest

from identity import Account, DeviceList
from sodium import Pair, random
from stage import ERRORS, Stage
from wire import CODES, RelayRefused

NO_LIST = 0xffff


def recipient(account, body=0, version=None, **changes):
    gen, seq = version or struct.unpack("<IQ", account.body[29:41])
    return {"user": account.user, "device": account.device, "list_gen": gen,
            "list_seq_low": seq & 0xffffffff, "list_seq_high": seq >> 32, "body": body, **changes}


class Mailbox(Stage):
    def submit(self, messenger, to, parts, **changes):
        fields = {"request_id": random(16), "ttl_s": 0,
                  "recipients": sorted(to, key=lambda one: one["device"]),
                  "body_sizes": [len(part) for part in parts], "bodies": b"".join(parts)}
        return messenger.connection.ask("Submit", **{**fields, **changes})[1]

    def outcomes(self, *arguments, **changes):
        return [CODES[one["code"]] for one in self.submit(*arguments, **changes)["outcomes"]]

    def received(self, messenger, count):
        """The next envelopes, unopened and not acknowledged, as pairs of number and bytes."""
        connection, out = messenger.connection, []
        connection.wait_for(lambda: sum(1 for kind, _ in connection.events
                                        if kind == "Deliver") >= count)
        for event in connection.take_events("Deliver"):
            out.append((event["number"], event["envelope"]))
        self.assertEqual(len(out), count)
        return out

    def assert_nothing_comes(self, messenger):
        """Nothing is under way to it: its own mail to itself would be behind that."""
        last = random(8)
        self.assertEqual(self.outcomes(messenger, [recipient(messenger.account)], [last]), ["ok"])
        self.assertEqual([one[1] for one in self.received(messenger, 1)], [last])

    def test_submits_that_are_refused_as_a_whole(self):
        sender, other = self.messenger(), self.messenger().account
        one, two = sorted((recipient(sender.account), recipient(other, 1)),
                          key=lambda one: one["device"])
        one["body"], two["body"] = 0, 1
        for name, recipients, bodies, changes, code in (
                ("nobody", [], [b"x"], {}, "bad_request"),
                ("no body", [one], [], {}, "bad_request"),
                ("an empty body", [one], [b""], {}, "bad_request"),
                ("falling", [], [b"x", b"y"], {"recipients": [two, one]}, "bad_request"),
                ("twice", [one, {**one, "body": 1}], [b"x", b"y"], {}, "bad_request"),
                ("a body that is not there", [two], [b"x"], {}, "bad_request"),
                ("a body of nobody", [one], [b"x", b"y"], {}, "bad_request"),
                ("sizes below", [one], [], {"body_sizes": [1], "bodies": b"xy"}, "bad_request"),
                ("sizes above", [one], [], {"body_sizes": [3], "bodies": b"xy"}, "bad_request"),
                ("a long life", [one], [b"x"], {"ttl_s": 3888001}, "too_large"),
                ("a large body", [one], [bytes(73729)], {}, "bad_request")):
            with self.subTest(name):
                with self.assertRaises(RelayRefused) as caught:
                    self.submit(sender, recipients, bodies, **changes)
                self.assertEqual(caught.exception.code, code)

    def test_too_many_recipients(self):
        sender = self.messenger()
        many = [recipient(sender.account, device=number.to_bytes(16, "big"))
                for number in range(1025)]
        self.assertEqual(set(self.outcomes(sender, many[:1024], [b"x"])), {"unknown_device"})
        with self.assertRaises(RelayRefused) as caught:
            self.submit(sender, many, [b"x"])
        self.assertEqual(caught.exception.code, "bad_request")

    def test_one_body_for_many_and_a_body_for_each(self):
        sender, others = self.messenger(), [self.messenger() for _ in range(3)]
        shared = random(300)
        recipients = [recipient(one.account) for one in others]
        self.assertEqual(self.outcomes(sender, recipients, [shared]), ["ok"] * 3)
        bodies = [random(10), random(20), random(30)]
        for index, one in enumerate(recipients):
            one["body"] = index
        self.assertEqual(self.outcomes(sender, recipients, bodies), ["ok"] * 3)
        for other, body in zip(others, bodies):
            self.assertEqual(self.received(other, 2), [(1, shared), (2, body)])

    def test_the_largest_envelope_and_the_largest_frame(self):
        sender, other = self.messenger(), self.messenger()
        largest = [random(73728) for _ in range(7)]
        for body in largest[:2]:
            self.assertEqual(self.outcomes(sender, [recipient(other.account)], [body]), ["ok"])
            self.assertEqual([one[1] for one in self.received(other, 1)], [body])
        others = [self.messenger() for _ in range(7)]
        recipients = [recipient(one.account, index) for index, one in enumerate(others)]
        self.assertEqual(self.outcomes(sender, recipients, largest), ["ok"] * 7)

    def test_outcomes(self):
        sender, other = self.messenger(), self.messenger()
        nobody = Account()
        reply = self.submit(sender, [recipient(nobody)], [b"x"])["outcomes"][0]
        self.assertEqual(reply, {"code": ERRORS["unknown_device"], "list": NO_LIST,
                                 "retry_after_ms": 60000})
        wrong_user = recipient(other.account, user=sender.account.user)
        self.assertEqual(self.outcomes(sender, [wrong_user], [b"x"]), ["unknown_device"])
        account, before = other.account, other.account.list()
        first = account.body
        account.body = account.next_body()
        other.connection.ask("PutDevices", list=account.list(), expected_gen=1, expected_seq=1)
        reply = self.submit(sender, [recipient(account, version=(1, 1))], [b"x"])
        self.assertEqual(CODES[reply["outcomes"][0]["code"]], "stale_list")
        newer = DeviceList(reply["lists"][reply["outcomes"][0]["list"]])
        self.assertEqual((newer.version, newer.previous), ((1, 2), DeviceList(before).hash[:32]))
        self.assertNotEqual(first, account.body)
        self.assertEqual(self.outcomes(sender, [recipient(account)], [b"x"]), ["ok"])

    def test_a_retry_is_delivered_once(self):
        sender, other = self.messenger(), self.messenger()
        for acknowledged in (False, True):
            with self.subTest(acknowledged=acknowledged):
                request, body = random(16), random(50)
                to = [recipient(other.account)]
                self.assertEqual(self.outcomes(sender, to, [body], request_id=request), ["ok"])
                number, got = self.received(other, 1)[0]
                self.assertEqual(got, body)
                if acknowledged:
                    other.ack(upto=number)
                self.assertEqual(self.outcomes(sender, to, [body], request_id=request), ["ok"])
                self.assertEqual(self.outcomes(sender, to, [b"x"], request_id=request), ["ok"])
                self.assert_nothing_comes(other)

    def test_a_lost_reply(self):
        sender, other = self.messenger(), self.messenger()
        request, body, to = random(16), random(50), [recipient(other.account)]
        sender.connection.post("Submit", request_id=request, ttl_s=0, recipients=to,
                               body_sizes=[len(body)], bodies=body)
        self.login_again(sender)
        self.assertEqual(self.outcomes(sender, to, [body], request_id=request), ["ok"])
        self.assertEqual([one[1] for one in self.received(other, 1)], [body])
        self.assert_nothing_comes(other)

    def test_what_was_accepted_outlives_the_relay(self):
        sender, other = self.messenger(), self.messenger()
        other.connection.close()
        request, body, to = random(16), random(50), [recipient(other.account)]
        self.assertEqual(self.outcomes(sender, to, [body], request_id=request), ["ok"])
        self.relay.stop()
        self.relay.start()
        welcome = self.login_again(sender)
        self.assertFalse(welcome["replaced"])
        self.assertEqual(self.outcomes(sender, to, [body], request_id=request), ["ok"])
        again = self.login_again(other)
        self.assertEqual((again["store_id"], again["store_generation"]),
                         (welcome["store_id"], welcome["store_generation"]))
        self.assertEqual(self.received(other, 1), [(1, body)])
        self.assert_nothing_comes(other)

    def test_a_relay_that_stops_says_so(self):
        messenger = self.messenger()
        os.kill(self.relay.pid, signal.SIGTERM)
        self.assert_ends("busy", messenger.connection)
        self.assertGreater(messenger.connection.ended.closing["retry_after_ms"], 0)
        self.relay.stop()
        self.relay.start()
        self.login_again(messenger)

    def test_two_submits_of_one_request(self):
        sender, others = self.messenger(), [self.messenger() for _ in range(2)]
        request, body = random(16), random(50)
        for other in others:
            to = [recipient(other.account)]
            self.assertEqual(self.outcomes(sender, to, [body], request_id=request), ["ok"])
        for other in others:
            self.assertEqual(self.received(other, 1), [(1, body)])

    def test_what_expires_is_gone(self):
        sender, other = self.messenger(), self.messenger()
        self.assertEqual(self.outcomes(sender, [recipient(other.account)], [b"seen"], ttl_s=1),
                         ["ok"])
        number, _ = self.received(other, 1)[0]
        away = self.messenger()
        away.connection.close()
        self.assertEqual(self.outcomes(sender, [recipient(away.account)], [b"unseen"], ttl_s=1),
                         ["ok"])
        time.sleep(2.5)
        other.ack(upto=number)
        self.login_again(away)
        self.assert_nothing_comes(away)

    def test_a_greater_list_version_than_the_relays_is_no_error(self):
        messenger = self.messenger()
        to = [recipient(messenger.account, version=(2, 7))]
        self.assertEqual(self.outcomes(messenger, to, [b"x"]), ["ok"])

    def test_acks(self):
        sender, other = self.messenger(), self.messenger()
        bodies = [random(20) for _ in range(5)]
        for body in bodies:
            self.assertEqual(self.outcomes(sender, [recipient(other.account)], [body]), ["ok"])
        self.assertEqual(self.received(other, 5), list(enumerate(bodies, 1)))
        for fields in ({"upto": 6}, {"numbers": [6]}, {"numbers": [0]}, {"upto": 2, "numbers": [9]},
                       {"numbers": [1] * 1025}):
            with self.subTest(**fields):
                self.assert_refused("bad_request", other.connection, "Ack", **fields)
        other.ack(upto=1, numbers=[4, 4, 1])
        other.ack(upto=1)
        other.ack()
        self.login_again(other)
        self.assertEqual(self.received(other, 3),
                         [(1, bodies[1]), (2, bodies[2]), (3, bodies[4])])
        other.ack(numbers=[3, 1, 2])
        self.login_again(other)
        self.assert_nothing_comes(other)

    def test_the_window_and_caught_up(self):
        sender, other = self.messenger(), self.messenger()
        other.connection.close()
        numbers = [sender.connection.post(
            "Submit", request_id=random(16), ttl_s=0, recipients=[recipient(other.account)],
            body_sizes=[1], bodies=bytes([index])) for index in range(70)]
        for number in numbers:
            self.assertEqual(sender.connection.answer(number)[1]["outcomes"][0]["code"], 0)
        limits = self.login_again(other)["limits"]
        self.assertEqual(limits["window_envelopes"], 64)
        got = self.received(other, 64)
        other.connection.ask("Ping")
        self.assertEqual(other.connection.events, [])
        other.ack(upto=64)
        got += self.received(other, 6)
        self.assertEqual([body[0] for _, body in got], list(range(70)))
        other.connection.wait_for(lambda: other.connection.events)
        self.assertEqual(other.connection.events, [("CaughtUp", {})])

    def test_keys_low(self):
        owner, taker = self.messenger(), self.messenger()
        connection = owner.connection
        for _ in range(100):
            taker.connection.ask("GetPrekeys", user=owner.account.user)
        connection.wait_for(lambda: sum(1 for kind, _ in connection.events
                                        if kind == "KeysLow") == 2)
        self.assertEqual([one["one_time_keys_left"] for one in connection.take_events("KeysLow")],
                         [20, 0])
        _, reply = taker.connection.ask("GetPrekeys", user=owner.account.user)
        self.assertIsNone(reply["bundles"][0]["one_time"])


class Devices(Stage):
    """Lists that change while the device is live."""

    def put(self, messenger, body, expected=(1, 1), account=None):
        account = account or messenger.account
        return messenger.connection.ask("PutDevices", list=account.list_of(body),
                                        expected_gen=expected[0], expected_seq=expected[1])

    def test_refusals(self):
        messenger, other = self.messenger(), self.messenger()
        account = messenger.account
        following = account.next_body()
        table = account.list_of(following)
        self.assert_refused("conflict", messenger.connection, "PutDevices", list=table,
                            expected_gen=1, expected_seq=2)
        self.assert_refused("unauthorized", messenger.connection, "PutDevices",
                            list={**table, "signature": random(64)},
                            expected_gen=1, expected_seq=1)
        self.assert_refused("unauthorized", other.connection, "PutDevices", list=table,
                            expected_gen=1, expected_seq=1)
        self.assert_refused("bad_request", messenger.connection, "PutDevices",
                            list=account.list_of(following + b"\0"),
                            expected_gen=1, expected_seq=1)
        self.put(messenger, account.body, (7, 7))
        self.put(messenger, following)
        self.assert_refused("conflict", messenger.connection, "PutDevices", list=account.list(),
                            expected_gen=1, expected_seq=2)

    def test_a_crowd(self):
        messenger = self.messenger()
        account = messenger.account
        pairs = account.second_device()[1][:1]
        for _ in range(5):
            pairs.append(account.second_device()[1][1])
        for count, code in ((5, None), (6, "too_large")):
            body = account.make_body(2 if code is None else 3, bytes(32), pairs[:count])
            try:
                self.put(messenger, body, (1, 1) if code is None else (1, 2))
            except RelayRefused as refused:
                self.assertEqual(refused.code, code)
            else:
                self.assertIsNone(code)

    def test_a_second_device_comes_and_goes(self):
        messenger = self.messenger()
        account = messenger.account
        second, pairs = account.second_device()
        self.put(messenger, account.make_body(2, bytes(32), pairs))
        connection = self.connect(second)
        welcome = connection.ask("Login", version=1, user=account.user, device=second.device)[1]
        self.assertEqual((welcome["list_seq"], welcome["one_time_keys_left"]), (2, 0))
        self.assert_refused("bad_request", connection, "PutKeys", seal_key=second.new_seal_key())
        connection.ask("PutKeys", seal_key=second.new_seal_key(),
                       signed_prekey=second.new_prekey())
        self.put(messenger, account.make_body(3, bytes(32), pairs[:1]), (1, 2))
        self.assert_ends("removed", connection)
        connection = self.connect(second)
        self.assert_refused("unknown_device", connection, "Login", version=1, user=account.user,
                            device=second.device)

    def test_a_device_removes_itself(self):
        messenger = self.messenger()
        account = messenger.account
        _, pairs = account.second_device()
        body = account.make_body(2, bytes(32), pairs[1:])
        messenger.connection.post("PutDevices", list=account.list_of(body), expected_gen=1,
                                  expected_seq=1)
        self.assert_ends("removed", messenger.connection)

    def test_another_transport_key(self):
        messenger = self.messenger()
        account = messenger.account
        second, pairs = account.second_device()
        self.put(messenger, account.make_body(2, bytes(32), pairs))
        connection = self.connect(second)
        connection.ask("Login", version=1, user=account.user, device=second.device)
        second.transport = Pair()
        pairs[1] = second.listed()
        self.put(messenger, account.make_body(3, bytes(32), pairs), (1, 2))
        self.assert_ends("unauthorized", connection)
        self.connect(second).ask("Login", version=1, user=account.user, device=second.device)


if __name__ == "__main__":
    unittest.main()
