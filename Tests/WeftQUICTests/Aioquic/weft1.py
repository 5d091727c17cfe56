# SPDX-License-Identifier: Apache-2.0
"""An end of weft/1 on aioquic, written from docs/weft-1.md alone, to test ours and the document.

weft1.py dials|listens KEY_FILE PEERS_KEY PORT BEHAVIOUR

It dials 127.0.0.1:PORT, or listens there, agrees on SAs, and prints one line of JSON: what it derived, or how it ended.
"""

import asyncio
import base64
import hashlib
import json
import os
import struct
import sys

from aioquic.asyncio import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import QuicServer
from aioquic.buffer import Buffer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated, HandshakeCompleted, StreamDataReceived, StreamReset
from aioquic.quic.packet import QuicPacketType, pull_quic_header
import ratchet
from keys import certificate, frame, hkdf, read_key, root_secret, spki

side, key_file, peers_key, port, behaviour = sys.argv[1:6]
port = int(port)
dials = side == "dials"
own = read_key(key_file)
pinned = base64.b64decode(peers_key)
# Whose public key sorts lower begins each exchange, whoever dialled.
is_initiator = spki(own) < pinned

# -- Tags --------------------------------------------------------------------------------------------------------------

MASK = (1 << 64) - 1


def siphash(key, data):
    """SipHash-2-4."""
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rotate(value, by):
        return (value << by | value >> (64 - by)) & MASK

    def rounds(count):
        for _ in range(count):
            v[0] = (v[0] + v[1]) & MASK
            v[2] = (v[2] + v[3]) & MASK
            v[1], v[3] = rotate(v[1], 13) ^ v[0], rotate(v[3], 16) ^ v[2]
            v[0] = rotate(v[0], 32)
            v[2] = (v[2] + v[1]) & MASK
            v[0] = (v[0] + v[3]) & MASK
            v[1], v[3] = rotate(v[1], 17) ^ v[2], rotate(v[3], 21) ^ v[0]
            v[2] = rotate(v[2], 32)

    whole = len(data) // 8 * 8
    last = data[whole:].ljust(7, b"\0") + bytes([len(data) & 0xFF])
    for (word,) in struct.iter_unpack("<Q", data[:whole] + last):
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 0xFF
    rounds(4)
    return struct.pack("<Q", v[0] ^ v[1] ^ v[2] ^ v[3])


def call_key(public_key):
    return hkdf(public_key, b"weft/1 call", 16)


def is_call(connection_id):
    return len(connection_id) == 16 and siphash(call_key(spki(own)), connection_id[:8]) == connection_id[8:]


def dial_by_tag(protocol):
    """Gives a new connection the first id that shows that we know whom we call."""
    quic = protocol._quic
    noise = os.urandom(8)
    connection_id = noise + siphash(call_key(pinned), noise)
    if behaviour == "no-tag":
        connection_id = os.urandom(16)
    quic._peer_cid.cid = quic._original_destination_connection_id = connection_id


class SilentServer(QuicServer):
    """Drops each first packet that doesn't show that its sender knows our public key."""

    def datagram_received(self, data, addr):
        header = pull_quic_header(Buffer(data=data), host_cid_length=self._configuration.connection_id_length)
        is_first = header.packet_type == QuicPacketType.INITIAL and not header.token
        if not is_first or header.destination_cid in self._protocols or is_call(header.destination_cid):
            super().datagram_received(data, addr)
        else:
            finish(end="a call without a tag")


# -- Messages ----------------------------------------------------------------------------------------------------------

# The VNI that this end receives with.
own_vni = int.from_bytes(os.urandom(3), "big") or 1
# What this end can do: number, version, value.
CAPABILITIES = [] if behaviour == "no-capabilities" else [(1, 1, struct.pack(">I", own_vni))]


def capabilities():
    entries = list(CAPABILITIES)
    if behaviour == "unknown-capabilities":
        entries += [(0x7F01, 3, b"whatever"), (0xFFFF, 255, bytes(255))]
    if behaviour == "repeated-capability":
        entries += [(0x7F01, 1, b""), (0x7F01, 2, b"")]
    body = b"".join(struct.pack(">HBB", number, version, len(value)) + value for number, version, value in entries)
    if behaviour == "cut-capability":
        body += b"\x7f\x01\x01\x09short"
    return frame(1 if behaviour == "offer-first" else 16, body)


def vnis(peers):
    """What this end receives and sends with: as both ends name it, else what follows from their keys."""
    if CAPABILITIES and peers.get(1, (0, b""))[0] == 1:
        return own_vni, int.from_bytes(peers[1][1], "big")
    both = b"".join(sorted([spki(own), pinned]))
    common = int.from_bytes(hashlib.sha256(b"weft vni v1" + both).digest()[:3], "big") or 1
    return common, common


def read_capabilities(payload):
    if payload[:2] != b"\x01\x10":
        return None
    entries, rest = {}, payload[2:]
    while rest:
        number, version, size = struct.unpack(">HBB", rest[:4])
        if number in entries or len(rest) < 4 + size:
            return None
        entries[number] = (version, rest[4 : 4 + size])
        rest = rest[4 + size :]
    return entries


# Exchanges until the keys are told.
EXCHANGES = {"renews": 3, "repeated-spi": 2}.get(behaviour, 1)
# What a person carried to both ends, who may have got it wrong.
PRESHARED = bytes(range(32)) if behaviour in ("preshared", "renews") else None
# How long an answer is waited for, in seconds.
PATIENCE = 2 if behaviour == "no-tag" else 8
finished = asyncio.Event()
result = {}


def finish(**values):
    if "end" not in result:
        result.update(values)
    finished.set()


class End(QuicConnectionProtocol):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        if dials:
            dial_by_tag(self)
        self.streams = {}
        self.chain = None
        self.peers_capabilities = None

    def send(self, data, stream=None):
        stream = self._quic.get_next_available_stream_id() if stream is None else stream
        for piece in [data[index : index + 1] for index in range(len(data))] if behaviour == "piecemeal" else [data]:
            self._quic.send_stream_data(stream, piece)
            self.transmit()
        self._quic.send_stream_data(stream, b"", end_stream=True)
        self.transmit()

    def quic_event_received(self, event):
        if isinstance(event, HandshakeCompleted):
            if event.alpn_protocol != "weft/1":
                return finish(end="other protocol", reason=str(event.alpn_protocol))
            shown = self._quic.tls._peer_certificate
            if shown is None or spki(shown) != pinned:
                return finish(end="pinned key not shown")
            if dials and behaviour != "says-nothing":
                self.send(capabilities())
        elif isinstance(event, StreamDataReceived):
            data = self.streams.get(event.stream_id, b"") + event.data
            self.streams[event.stream_id] = data
            if event.end_stream:
                self.received(event.stream_id, data)
        elif isinstance(event, StreamReset):
            finish(end="reset")
        elif isinstance(event, ConnectionTerminated):
            finish(end="closed", code=event.error_code, reason=event.reason_phrase)

    def received(self, stream, data):
        (length,) = struct.unpack(">H", data[:2])
        payload = data[2:]
        if len(payload) != length:
            return finish(end="bad frame", reason=data.hex())
        if self.peers_capabilities is None:
            self.peers_capabilities = read_capabilities(payload)
            if stream != 0 or self.peers_capabilities is None:
                return finish(end="bad first message", reason=data.hex())
            if not dials and behaviour != "says-nothing":
                self.send(capabilities(), 0)
            self.greeted()
        else:
            self.exchanged(stream, payload)

    def greeted(self):
        """Both ends know what the other can do."""
        self.chain = ratchet.Chain(root_secret(), PRESHARED, spki(own), pinned, behaviour)
        if behaviour == "old-offer":
            self.send(frame(1, struct.pack(">BI", 0, (0 if is_initiator else 1) << 30 | 9)))
        elif is_initiator or behaviour == "offer-by-responder":
            self.send(self.chain.begin())

    def exchanged(self, stream, payload):
        """A message of an exchange (docs/weft-1.md, "An exchange")."""
        kind = payload[1] if len(payload) > 1 and payload[0] == 1 else None
        try:
            if behaviour == "offer-by-responder":
                return
            if kind == ratchet.OFFER and not is_initiator:
                self.send(self.chain.respond(payload), stream)
            elif kind == ratchet.ANSWER and is_initiator:
                self.send(self.chain.conclude(payload))
            elif kind == ratchet.CONFIRMATION and not is_initiator:
                self.send(self.chain.confirmed(payload), stream)
                self.agreed()
            elif kind == ratchet.INSTALLED and is_initiator:
                self.chain.installed(payload)
                self.agreed()
            else:
                finish(end="bad message", reason=payload.hex())
        except ratchet.Refused as why:
            self._quic.close(error_code=4 if why.is_different else 1)
            self.transmit()
            finish(end="refused", reason=str(why))

    def agreed(self):
        if self.chain.number < EXCHANGES:
            if is_initiator:
                self.send(self.chain.begin())
            return
        receive_vni, transmit_vni = vnis(self.peers_capabilities)
        # Give the other end time to take the last message, or to object.
        values = dict(
            end="agreed", own_spi=self.chain.own_spi, peer_spi=self.chain.peer_spi,
            receive_key=self.chain.receive_key, transmit_key=self.chain.transmit_key,
            receive_vni=receive_vni, transmit_vni=transmit_vni,
        )
        asyncio.get_event_loop().call_later(0.5, lambda: finish(**values))


async def patience():
    """Waits for the end, while the connection is still there."""
    try:
        await asyncio.wait_for(finished.wait(), PATIENCE)
    except asyncio.TimeoutError:
        finish(end="timeout")


async def main():
    configuration = QuicConfiguration(
        is_client=dials,
        alpn_protocols=["weft/1", "icx-ctrl/1"],
        server_name="icx" if dials else None,
        verify_mode=0,
        certificate=certificate(own, own),
        private_key=own,
    )
    try:
        if dials:
            async with connect(
                "127.0.0.1", port, configuration=configuration, create_protocol=End, wait_connected=False
            ) as end:
                end.transmit()
                await patience()
        else:
            loop = asyncio.get_running_loop()
            _, server = await loop.create_datagram_endpoint(
                lambda: SilentServer(configuration=configuration, create_protocol=End, retry=True),
                local_addr=("127.0.0.1", port),
            )
            print(json.dumps({"end": "listening"}), flush=True)
            await patience()
            server.close()
    except ConnectionError:
        finish(end="timeout")
    print(json.dumps(result), flush=True)


if behaviour == "example":
    # The document's, for PEERS_KEY.
    key = call_key(pinned)
    print(json.dumps({"end": key.hex(" "), "reason": siphash(key, bytes(range(8))).hex(" ")}))
else:
    asyncio.run(main())
