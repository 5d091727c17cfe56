# SPDX-License-Identifier: Apache-2.0
"""An end of ICX's control plane on aioquic, to test ours against an implementation that shares nothing with it.

peer.py client|server KEY_FILE PINNED_KEY PORT BEHAVIOUR

The client calls 127.0.0.1:PORT, the server listens there. Each prints one line of JSON: what it derived, or how it ended.
"""

import asyncio
import base64
import datetime
import json
import struct
import sys

from aioquic import tls
from aioquic.asyncio import connect, serve
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import (
    ConnectionTerminated,
    HandshakeCompleted,
    PingAcknowledged,
    StreamDataReceived,
    StreamReset,
)
from aioquic.quic.connection import QuicConnection
import hostile
from cryptography.hazmat.primitives.asymmetric import ec
from keys import certificate, frame, read_key, sa_key, spki

side, key_file, pinned, port, behaviour = sys.argv[1:6]
port = int(port)
is_client = side == "client"
if behaviour == "no-tls13":
    begin_mutually = tls.Context.__init__

    def begin_with_older(self, *arguments, **options):
        begin_mutually(self, *arguments, **options)
        self._supported_versions = [0x0303]

    tls.Context.__init__ = begin_with_older
# A key server's tenant, which behaves until it has a network.
is_tenant = behaviour == "key-plane" or behaviour.startswith("tenant-")
behaviour = behaviour.removeprefix("tenant-")
is_hostile = behaviour in hostile.BEHAVIOURS
if is_hostile:
    hostile.install(behaviour)

if not is_client and behaviour == "no-certificate":
    # A handshake as with a shared key that nobody has: neither certificate nor signature.
    push_certificate = tls.push_certificate
    tls.push_certificate = lambda buffer, shown: push_certificate(buffer, tls.Certificate())
    tls.push_certificate_verify = lambda buffer, verify: None

if not is_client and behaviour == "ticket":
    # aioquic gives tickets to those who say that they could use them, which ours doesn't.
    finish_handshake = tls.Context._server_handle_finished

    def finish_with_ticket(self, *arguments):
        self._psk_key_exchange_mode = tls.PskKeyExchangeMode.PSK_DHE_KE
        finish_handshake(self, *arguments)

    tls.Context._server_handle_finished = finish_with_ticket


own = read_key(key_file)
stranger = ec.generate_private_key(ec.SECP256R1())
if behaviour == "wrong-key":
    own = stranger

configuration = QuicConfiguration(
    is_client=is_client,
    alpn_protocols={"wrong-alpn": ["h3"], "no-alpn": None}.get(behaviour, ["icx-ctrl/1"]),
    server_name="icx" if is_client else None,
    verify_mode=0,
)
if behaviour != "no-certificate" or not is_client:
    configuration.certificate = certificate(own, own)
    configuration.private_key = stranger if behaviour == "no-private-key" else own
if behaviour == "ticket" and is_client:
    now = tls.utcnow()
    configuration.session_ticket = tls.SessionTicket(
        age_add=1,
        cipher_suite=tls.CipherSuite.AES_128_GCM_SHA256,
        not_valid_after=now + datetime.timedelta(days=1),
        not_valid_before=now - datetime.timedelta(days=1),
        resumption_secret=bytes(32),
        server_name="icx",
        ticket=bytes(64),
    )

finished = asyncio.Event()
result = {}


def finish(**values):
    if "end" not in result:
        result.update(values)
    finished.set()


def offer(spi):
    payload = bytes([1, 1, 0]) + struct.pack(">I", spi)
    if behaviour == "oversized":
        return struct.pack(">H", 5000) + bytes(5000)
    return struct.pack(">H", len(payload)) + payload


# 10.9.1.1, mapped into IPv6.
OVERLAY_ADDRESS = bytes(10) + b"\xff\xff" + bytes([10, 9, 1, 1])
GRANTED_VNI = 77


class KeyPlane:
    """An initiator that asks for a network and gives it back, or a responder that grants one."""

    def __init__(self, peer):
        self.peer = peer
        self.streams = {}
        self.grant = {}

    def send(self, data, stream=None):
        quic = self.peer._quic
        stream = quic.get_next_available_stream_id() if stream is None else stream
        quic.send_stream_data(stream, data, end_stream=True)
        self.peer.transmit()

    def begin(self):
        self.send(frame(2, b"\0" + struct.pack(">I", self.peer.spi) + OVERLAY_ADDRESS))

    def receive(self, event):
        data = self.streams.get(event.stream_id, b"") + event.data
        self.streams[event.stream_id] = data
        if not event.end_stream:
            return
        length, version, kind = struct.unpack(">HBB", data[:4])
        body = data[4:]
        if (length, version) != (len(data) - 2, 1):
            return finish(end="bad frame", reason=data.hex())
        if kind == 2:
            suite, spi = struct.unpack(">BI", body[:5])
            if suite != 0 or body[5:] != OVERLAY_ADDRESS:
                return finish(end="bad request", reason=data.hex())
            self.keep(spi, GRANTED_VNI)
            own = self.peer.spi
            self.send(frame(3, struct.pack(">BBII", 0, 0, own, GRANTED_VNI)), event.stream_id)
        elif kind == 3:
            status, suite, spi, vni = struct.unpack(">BBII", body)
            if status != 0:
                return finish(end="refused", code=status)
            self.keep(spi, vni)
            if is_hostile:
                return hostile.go_on(self.peer, behaviour)
            # Time for the test to look at what the other end has.
            asyncio.get_event_loop().call_later(0.7, lambda: self.send(frame(4, struct.pack(">I", vni))))
        elif kind == 4:
            self.send(frame(5, b"\0"), event.stream_id)
            released = struct.unpack(">I", body)[0]
            asyncio.get_event_loop().call_later(
                0.3, lambda: finish(end="released" if released == GRANTED_VNI else "bad release", **self.grant)
            )
        elif kind == 5:
            finish(end="released", code=body[0], **self.grant)

    def keep(self, spi, vni):
        own = self.peer.spi
        self.grant = dict(
            own_spi=own, peer_spi=spi, vni=vni, receive_key=sa_key(own), transmit_key=sa_key(spi)
        )


class Peer(QuicConnectionProtocol):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.received = b""
        role = 0 if is_client else 1
        if behaviour == "own-half":
            role = 1 - role
        self.spi = role << 30 | 9
        self.key_plane = KeyPlane(self) if is_tenant else None
        if is_hostile:
            hostile.begin(self, behaviour)

    def quic_event_received(self, event):
        if isinstance(event, HandshakeCompleted):
            shown = self._quic.tls._peer_certificate
            if shown is None or spki(shown) != base64.b64decode(pinned):
                return finish(end="pinned key not shown")
            if self.key_plane:
                if is_client:
                    self.key_plane.begin()
            elif is_client:
                stream = self._quic.get_next_available_stream_id()
                self._quic.send_stream_data(stream, offer(self.spi), end_stream=True)
                self.transmit()
        elif isinstance(event, StreamDataReceived) and self.key_plane:
            self.key_plane.receive(event)
        elif isinstance(event, StreamDataReceived):
            self.received += event.data
            if len(self.received) >= 9:
                length, version, kind, suite, spi = struct.unpack(">HBBBI", self.received[:9])
                if not is_client:
                    self._quic.send_stream_data(event.stream_id, offer(self.spi), end_stream=True)
                    self.transmit()
                if behaviour == "key-update":
                    self._quic.request_key_update()
                    self._quic.send_ping(1)
                    self.transmit()
                if is_hostile:
                    return hostile.go_on(self, behaviour)
                # Give the other end time to take the answer, or to object.
                loop = asyncio.get_event_loop()
                loop.call_later(
                    0.5,
                    lambda: finish(
                        end="agreed", length=length, version=version, type=kind, suite=suite, own_spi=self.spi,
                        peer_spi=spi, receive_key=sa_key(self.spi), transmit_key=sa_key(spi),
                    ),
                )
        elif isinstance(event, PingAcknowledged):
            result["updated"] = True
            if is_hostile and event.uid == hostile.PING:
                finish(end="answered")
        elif isinstance(event, StreamReset):
            finish(end="reset")
        elif isinstance(event, ConnectionTerminated):
            finish(end="closed", code=event.error_code, reason=event.reason_phrase)


async def main():
    if is_client:
        try:
            async with connect(
                "127.0.0.1", port, configuration=configuration, create_protocol=Peer, wait_connected=False
            ) as protocol:
                protocol.transmit()
                await asyncio.wait_for(finished.wait(), 8)
        except (asyncio.TimeoutError, ConnectionError) as error:
            finish(end="timeout", reason=str(error))
    else:
        tickets = (lambda ticket: None) if behaviour == "ticket" else None
        server = await serve(
            "127.0.0.1", port, configuration=configuration, create_protocol=Peer, session_ticket_handler=tickets
        )
        print(json.dumps({"end": "listening"}), flush=True)
        try:
            await asyncio.wait_for(finished.wait(), 8)
        except asyncio.TimeoutError:
            finish(end="timeout")
        server.close()
    print(json.dumps(result), flush=True)


asyncio.run(main())
