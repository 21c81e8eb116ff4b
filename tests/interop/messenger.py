"""What a device does with envelopes: sessions, numbers, receipts, repairs and resets.

Whoever holds a Messenger decides when it acknowledges, confirms and repairs, so that a test can
do it late, twice or never.
"""

import struct
import time
from dataclasses import dataclass, field

import flat
import noise
from identity import Bundle, DeviceList
from ratchet import EPHEMERAL_TYPE, PrekeyHeader, Session, pad, unpad
from sequence import Chain, Received
from sodium import Refused, blake2b, ed25519_as_x25519, lab, random, sha512

ENVELOPE_VERSION = 1
NO_LIST = 0xffff
KIND_PAYLOAD, KIND_TOMBSTONE = 1, 2
SESSIONS_KEPT, GEN_AHEAD_MAX = 6, 1000
EPHEMERAL_TTL = 5


def seq_of(halves):
    return halves["low"] | halves["high"] << 32


def halves_of(seq):
    return {"low": seq & 0xffffffff, "high": seq >> 32}


@dataclass
class Got:
    """One delivered envelope, and what it turned out to be."""

    number: int
    envelope: bytes
    peer: object = None
    kind: str = "unread"  # Of the payload; or duplicate, undecryptable, dropped, malformed.
    value: dict = field(default_factory=dict)
    seq: int = 0
    payload: dict = field(default_factory=dict)


class Peer:
    """One device of somebody else."""

    def __init__(self, devices, device):
        self.device = device
        self.sessions, self.gen = [], 0
        self.chain, self.sent = Chain(), {}
        self.received = Received()
        self.seal_key = None
        self.delivered, self.read, self.confirmed = 0, 0, set()
        self.read_here = 0
        self.knows_name = False
        self.used_bases = set()
        self.take_list(devices)

    def take_list(self, devices):
        self.devices, self.user = devices, devices.user
        self.identity = devices.devices[self.device][0]
        self.static = ed25519_as_x25519(self.identity)

    @property
    def id(self):
        return self.user + self.identity

    @property
    def current(self):
        return min(self.sessions, key=lambda one: (-one.gen, one.id), default=None)

    def add(self, session):
        self.sessions.append(session)
        self.gen = max(self.gen, session.gen)
        self.sessions.sort(key=lambda one: (-one.gen, one.id))
        del self.sessions[SESSIONS_KEPT:]

    def confirm(self, receipt):
        """Takes a receipt; one that claims what was never sent is ignored as a whole."""
        ranges = [(seq_of(one["first"]), seq_of(one["last"])) for one in receipt["ranges"] or []]
        highest = max([receipt["delivered"], receipt["read"]] + [last for _, last in ranges])
        if highest > self.chain.number:
            return
        self.delivered = max(self.delivered, receipt["delivered"])
        self.read = max(self.read, receipt["read"])
        for first, last in ranges:
            self.confirmed.update(range(first, last + 1))


class Messenger:
    def __init__(self, account, connection, name=None):
        self.account, self.connection, self.name = account, connection, name
        self.peers, self.seen = {}, set()
        self.hlc = 0
        self.acknowledges = True

    # The directory.

    def register(self):
        """A new user, whose one-time keys follow."""
        account = self.account
        _, welcome = self.connection.ask(
            "Register", version=1, device=account.device, list=account.list(),
            seal_key=account.new_seal_key(), signed_prekey=account.new_prekey(), name=self.name)
        self.connection.ask("PutKeys", one_time=account.new_one_time_keys(100))
        return welcome

    def login(self, connection):
        self.connection = connection
        return connection.ask("Login", version=1, user=self.account.user,
                              device=self.account.device)[1]

    def find(self, name):
        """The only device of the user of this name."""
        devices = DeviceList(self.connection.ask("GetUser", name=name)[1]["list"])
        return self.peer(devices, next(iter(devices.devices)))

    def peer(self, devices, device):
        if device not in self.peers:
            self.peers[device] = Peer(devices, device)
        return self.peers[device]

    def bundle(self, peer):
        _, prekeys = self.connection.ask("GetPrekeys", user=peer.user, devices=[peer.device])
        peer.take_list(DeviceList(prekeys["list"]))
        bundle = Bundle(peer.devices, prekeys["bundles"][0])
        peer.seal_key = bundle.seal_key
        return bundle

    def begin(self, peer):
        """A new session, which becomes the current one."""
        session = Session.begin(self.account, self.bundle(peer), peer.gen + 1)
        peer.add(session)
        return session

    # Sending.

    def next_hlc(self):
        self.hlc = max(self.hlc + 1, int(time.time() * 1000) << 16)
        return self.hlc

    def payload(self, kind, **fields):
        body = self.account.body
        gen, seq = struct.unpack("<IQ", body[29:41])
        return flat.encode(flat.PAYLOAD, "Payload", {
            "list_gen": gen, "list_seq": seq, "list_hash": sha512(body)[:16],
            "body": (kind, fields)})

    def seal(self, peer, inner):
        """The envelope around an inner message."""
        if peer.seal_key is None:
            self.bundle(peer)
        number = struct.pack("<I", peer.seal_key["id"])
        sealed = noise.seal_to(self.account.identity.as_x25519(), peer.seal_key["key"],
                               lab("seal") + peer.device + number, self.account.user + inner)
        return bytes([ENVELOPE_VERSION]) + number + sealed

    def plaintext(self, kind, seq, hashed, payload):
        return bytes([kind]) + struct.pack("<Q", seq) + hashed + payload

    def envelope(self, peer, payload):
        """Gives the payload its number, and encrypts it."""
        hashed = peer.chain.next(payload)
        peer.sent[peer.chain.number] = (hashed, payload)
        return self.encrypted(peer, peer.chain.number)

    def encrypted(self, peer, seq, kind=KIND_PAYLOAD):
        """A payload that has its number already, encrypted anew."""
        session = peer.current or self.begin(peer)
        hashed, payload = peer.sent[seq]
        payload = b"" if kind == KIND_TOMBSTONE else payload
        padded = pad(self.plaintext(kind, seq, hashed, payload))
        return self.seal(peer, session.encrypt(padded))

    def text(self, peer, text, message_id=None):
        """The id of the message, and its envelope."""
        message_id = message_id or random(16)
        name = None if peer.knows_name else self.name
        return message_id, self.envelope(peer, self.payload(
            "Text", id=message_id, hlc=self.next_hlc(), text=text, sender_name=name))

    def receipt(self, peer, read=None):
        peer.read_here = max(peer.read_here, read or 0)
        ranges = [{"first": halves_of(first), "last": halves_of(last)}
                  for first, last in peer.received.ranges()]
        return self.envelope(peer, self.payload("Receipt", delivered=peer.received.delivered,
                                                ranges=ranges, read=peer.read_here))

    def repair(self, peer, seqs):
        return self.envelope(peer, self.payload("Repair", seqs=[halves_of(one) for one in seqs]))

    def reset(self, peer, hashes):
        """In a session of its own."""
        self.begin(peer)
        return self.envelope(peer, self.payload("Reset", undecryptable=hashes))

    def typing(self, peer, active):
        frame = peer.current.encrypt_ephemeral(self.payload("Typing", active=active))
        return self.seal(peer, frame)

    def post(self, envelopes, request_id=None, ttl=0, sort=True):
        """Submits pairs of a peer and its envelope; the id of the request on the connection."""
        if sort:
            envelopes = sorted(envelopes, key=lambda pair: pair[0].device)
        bodies = list(dict.fromkeys(envelope for _, envelope in envelopes))
        recipients = [{
            "user": peer.user, "device": peer.device, "list_gen": peer.devices.gen,
            "list_seq_low": peer.devices.seq & 0xffffffff,
            "list_seq_high": peer.devices.seq >> 32, "body": bodies.index(envelope)}
            for peer, envelope in envelopes]
        return self.connection.post(
            "Submit", request_id=request_id or random(16), ttl_s=ttl, recipients=recipients,
            body_sizes=[len(body) for body in bodies], bodies=b"".join(bodies))

    def submit(self, peer, envelope, request_id=None, ttl=0):
        """The outcome for one recipient."""
        _, reply = self.connection.answer(self.post([(peer, envelope)], request_id, ttl))
        return dict(reply["outcomes"][0], lists=reply["lists"])

    def send(self, peer, text):
        """The id of a message that the relay has accepted."""
        message_id, envelope = self.text(peer, text)
        outcome = self.submit(peer, envelope)
        if outcome["code"] != 0:
            raise Refused(f"not accepted: {outcome}")
        return message_id

    # Receiving.

    def deliveries(self, seconds, until=None):
        """What arrives in that time, or until there is enough of it."""
        deadline, taken = time.monotonic() + seconds, []
        while True:
            for event in self.connection.take_events("Deliver"):
                taken.append(self.take(event["number"], event["envelope"]))
            left = deadline - time.monotonic()
            if (until and until(taken)) or left <= 0:
                return taken
            self.connection.pump(min(left, 0.5))

    def take(self, number, envelope):
        """Opens an envelope, and acknowledges it unless a test wants to do that itself."""
        got = Got(number, envelope)
        digest = blake2b(envelope)
        if digest in self.seen:
            got.kind = "duplicate"
        else:
            self.seen.add(digest)
            try:
                self._open(got)
            except Refused as error:
                got.kind, got.value = "dropped", {"why": str(error)}
        if self.acknowledges:
            self.ack(upto=number)
        return got

    def ack(self, upto=0, numbers=None):
        return self.connection.ask("Ack", upto=upto, numbers=numbers)

    def _open(self, got):
        envelope = got.envelope
        if envelope[:1] != bytes([ENVELOPE_VERSION]) or len(envelope) < 5:
            raise Refused("an envelope of another version")
        key = self.account.seal_keys.get(int.from_bytes(envelope[1:5], "little"))
        if key is None:
            raise Refused("a seal key that is not there")
        static, payload = noise.open_from(key, lab("seal") + self.account.device + envelope[1:5],
                                          envelope[5:])
        got.peer = peer = self._sender(payload[:16], static)
        inner = payload[16:]
        if inner[:4] == bytes([1, 1, EPHEMERAL_TYPE, 0]):
            body = flat.decode(flat.PAYLOAD, "Payload", peer.current.decrypt_ephemeral(inner))
            got.kind, got.value = body["body"]
            return
        try:
            plaintext = unpad(self._decrypt(peer, inner))
        except Refused as error:
            got.kind, got.value = "undecryptable", {"why": str(error), "hash": blake2b(envelope)}
            return
        self._take_plaintext(got, plaintext)

    def _sender(self, user, static):
        for peer in self.peers.values():
            if peer.user == user and peer.static == static:
                return peer
        devices = DeviceList(self.connection.ask("GetUser", user=user)[1]["list"])
        for device, (identity, _) in devices.devices.items():
            if ed25519_as_x25519(identity) == static:
                return self.peer(devices, device)
        raise Refused("a sender who is no device of that user")

    def _decrypt(self, peer, inner):
        header, message = PrekeyHeader.split(inner)
        for session in peer.sessions:
            try:
                return session.decrypt(message)
            except Refused:
                continue
        if header is None:
            raise Refused("no session opens it")
        if (header.base, header.prekey_id) in peer.used_bases:
            raise Refused("a session that began already")
        if header.gen > peer.gen + GEN_AHEAD_MAX:
            raise Refused("a gen far ahead")
        session = Session.answer(self.account, peer.id, peer.identity, header)
        padded = session.decrypt(message)
        peer.used_bases.add((header.base, header.prekey_id))
        self.account.one_time.pop(header.one_time_id, None)
        peer.add(session)
        return padded

    def _take_plaintext(self, got, plaintext):
        peer = got.peer
        if len(plaintext) < 41 or plaintext[0] not in (KIND_PAYLOAD, KIND_TOMBSTONE):
            raise Refused("a plaintext of another kind")
        got.seq, hashed = struct.unpack("<Q", plaintext[1:9])[0], plaintext[9:41]
        if got.seq == 0:
            raise Refused("a number that is none")
        payload = plaintext[41:] if plaintext[0] == KIND_PAYLOAD else None
        if not peer.received.take(got.seq, hashed, payload):
            got.kind = "duplicate"
            return
        if payload is None:
            got.kind = "tombstone"
            return
        try:
            got.payload = flat.decode(flat.PAYLOAD, "Payload", payload)
        except Refused as error:
            got.kind, got.value = "malformed", {"why": str(error)}
            return
        got.kind, got.value = got.payload["body"]
        if got.kind == "Receipt":
            peer.confirm(got.value)
        elif got.kind == "Text":
            self.hlc = max(self.hlc, min(got.value["hlc"],
                                         int(time.time() * 1000 + 300_000) << 16))
