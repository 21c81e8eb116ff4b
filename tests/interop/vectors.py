"""The data files of the tree: this client computes the same as the independent model."""

import hashlib
import json
import struct
import unittest
from types import SimpleNamespace

import flat
import noise
import ratchet
from identity import DeviceList, device_id_of
from safety import recovery_code, safety_number, seed_of
from sequence import Chain
from sodium import Pair, Refused, SigningPair, lab

TESTS = flat.SCHEMA.parent / "tests"
KAT = json.loads((TESTS / "vectors" / "design_kat.json").read_text())


def unhex(text):
    return bytes.fromhex(text)


class Draws:
    """The random numbers of the model."""

    def __init__(self, seed):
        self._seed, self._count = unhex(seed), 0

    def take(self, size):
        self._count += 1
        out, block = b"", 0
        while len(out) < size:
            out += hashlib.blake2b(self._seed + struct.pack("<II", self._count, block)).digest()
            block += 1
        return out[:size]


def account_of(side, session):
    """As much of an account as a session looks at."""
    return SimpleNamespace(id=unhex(side["user_id"]) + unhex(side["ik_pk"]),
                           identity=SigningPair(unhex(side["ik_seed"])),
                           prekeys={session["spk_id"]: Pair(unhex(session["spk_sk"]))},
                           one_time={session["opk_id"]: Pair(unhex(session["opk_sk"]))}
                           if session["opk"] else {})


class Vectors(unittest.TestCase):
    def test_each_frame_of_the_golden_files_is_read_and_written_again(self):
        files = sorted((TESTS / "golden").glob("*.bin"))
        self.assertGreaterEqual(len(files), 25)
        for file in files:
            values = []
            for root in ("Request", "RelayFrame"):
                try:
                    value = flat.decode(flat.WIRE, root, file.read_bytes())
                except Refused:
                    continue
                again = flat.encode(flat.WIRE, root, value)
                self.assertEqual(flat.decode(flat.WIRE, root, again), value)
                values.append(value)
            self.assertTrue(values, file.name)

    def test_the_end_of_each_frame_is_that_of_the_parts_that_the_document_lists(self):
        text = " ".join((flat.SCHEMA / "README.md").read_text().split())
        for part in flat.PARTS:
            self.assertIn(part, text)
        needed = {}  # by part: the frames that have another end without it
        for file in sorted((TESTS / "golden").glob("*.bin")):
            size = file.stat().st_size
            for root in ("Request", "RelayFrame"):
                try:
                    _, ends = flat.read(flat.WIRE, root, file.read_bytes())
                except Refused:
                    continue
                if flat.end_of(ends) != size:
                    continue  # another root's, and it happens to parse
                for part in flat.PARTS:
                    if flat.end_of({**ends, part: 0}) < size:
                        needed.setdefault(part, set()).add(file.stem)
        self.assertEqual(set(needed), {flat.TABLE, flat.FIELD, flat.VECTOR, flat.STRING})
        self.assertEqual(needed[flat.TABLE],
                         {"caught_up", "done", "ping", "put_keys_none", "set_name_release"})
        self.assertEqual(len(set().union(*needed.values())),
                         len(list((TESTS / "golden").glob("*.bin"))))

    def test_the_account_of_the_example_verifies(self):
        alice = KAT["sessions"][0]["alice"]
        devices = DeviceList({
            "root": unhex(alice["root_pk"]), "list_key": unhex(alice["list_pk"]),
            "delegation": unhex(alice["delegation_sig"]), "body": unhex(alice["list_body"]),
            "signature": unhex(alice["list_sig"])})
        self.assertEqual(devices.user, unhex(alice["user_id"]))
        self.assertEqual(list(devices.devices), [unhex(alice["device_id"])])
        self.assertEqual(device_id_of(unhex(alice["ik_pk"])), unhex(alice["device_id"]))
        self.assertEqual(SigningPair(unhex(alice["ik_seed"])).as_x25519().public,
                         unhex(alice["ik_x25519"]))

    def test_sessions_are_those_of_the_model(self):
        for number in (0, 1):
            with self.subTest(session=number):
                self._play(KAT["sessions"][number])

    def _play(self, kat):
        sides = {"A": account_of(kat["alice"], kat), "B": account_of(kat["bob"], kat)}
        draws = {side: Draws(kat[f"rng{side}_seed"]) for side in "AB"}
        draws["B"].take(32)
        if kat["opk"]:
            draws["B"].take(32)
        base, pair = Pair(draws["A"].take(32)), Pair(draws["A"].take(32))
        self.assertEqual(base.public, unhex(kat["ek_pk"]))
        bundle = SimpleNamespace(
            id=sides["B"].id, identity=unhex(kat["bob"]["ik_pk"]),
            prekey={"id": kat["spk_id"], "key": unhex(kat["spk_pk"])},
            one_time={"id": kat["opk_id"], "key": unhex(kat["opk_pk"])} if kat["opk"] else None)
        a = ratchet.Session.begin(sides["A"], bundle, kat["gen"], base, pair)
        self.assertEqual(a.id, unhex(kat["session_id"]))
        self.assertEqual(a.ad, unhex(kat["ad"]))
        self.assertEqual(a.header.encode(), unhex(kat["prekey_header"]))
        b = ratchet.Session.answer(sides["B"], sides["A"].id, unhex(kat["alice"]["ik_pk"]),
                                   a.header)
        # The model keeps the prekey header apart from the ratchet's messages.
        a.header = None
        ends = {"A": a, "B": b}
        for step in kat["log"]:
            self._step(step, ends, draws)
        frame = kat["ephemeral_frame"]
        self.assertEqual(b.decrypt_ephemeral(unhex(frame["frame"])), unhex(frame["pt"]))

    def _step(self, step, ends, draws):
        if step["op"] == "send":
            who = step["from"]
            made = ends[who].encrypt(unhex(step["pt"]), draws[who].take(24))
            self.assertEqual(made, unhex(step["msg"]))
            return
        end, before = ends[step["by"]], ends[step["by"]].state
        if step["op"] == "fail":
            with self.assertRaises(Refused):
                end.decrypt(unhex(step["msg"]), Pair())
            self.assertIs(end.state, before)
            return
        fresh = Draws("")
        fresh.__dict__.update(draws[step["by"]].__dict__)
        pair = Pair(fresh.take(32))
        self.assertEqual(end.decrypt(unhex(step["msg"]), pair), unhex(step["pt"]))
        if end.state.pair is not before.pair and end.state.pair.public == pair.public:
            draws[step["by"]].take(32)

    def test_the_sealed_envelope_opens(self):
        kat = KAT["sealed_envelope"]
        bob, envelope = kat["bob"], unhex(kat["envelope"])
        prologue = lab("seal") + unhex(bob["device_id"]) + struct.pack("<I", bob["seal_id"])
        static, payload = noise.open_from(Pair(unhex(bob["seal_sk"])), prologue, envelope[5:])
        self.assertEqual(static, unhex(kat["alice"]["ik_x25519"]))
        self.assertEqual(payload, unhex(kat["alice"]["user_id"]) + unhex(kat["inner"]))
        self.assertEqual(hashlib.blake2b(envelope, digest_size=16).digest(),
                         unhex(kat["seen_key"]))

    def test_the_chain_of_the_sequence(self):
        chain = Chain()
        for entry in KAT["sequence_hash"]:
            self.assertEqual(chain.next(unhex(entry["payload"])), unhex(entry["h"]))

    def test_the_safety_number(self):
        kat = KAT["safety_number"]
        a, b = (unhex(kat["id_a"]), unhex(kat["key_a"])), (unhex(kat["id_b"]), unhex(kat["key_b"]))
        self.assertEqual(safety_number(a, b), kat["digits"])
        self.assertEqual(safety_number(b, a), kat["digits"])

    def test_a_recovery_code_is_read_back(self):
        seed = bytes(range(32))
        self.assertEqual(seed_of(recovery_code(seed).lower().replace("-", " ")), seed)


if __name__ == "__main__":
    unittest.main()
