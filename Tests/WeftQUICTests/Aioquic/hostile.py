# SPDX-License-Identifier: Apache-2.0
"""What an end does that has a key and wants to stop the other one: frames and moves that no honest end makes.

BEHAVIOURS names them, each with the side that it is for (None: both) and whether it comes before the handshake is done.
"""

import asyncio
import os
import socket

from aioquic import tls
from aioquic.quic.connection import QuicConnection
from aioquic.quic.rangeset import RangeSet


def new_connection_id(sequence, retire_prior_to):
    return bytes([0x18, sequence, retire_prior_to, 8]) + os.urandom(8 + 16)


HANDSHAKE_DONE = bytes([0x1E])

# name: (side, early, frames)
BEHAVIOURS = {
    "retire": (None, False, lambda: [new_connection_id(8, 8), new_connection_id(5, 0), new_connection_id(5, 0)]),
    "retire-early": ("server", True, lambda: [new_connection_id(1, 1)]),
    "done-early": ("server", True, lambda: [HANDSHAKE_DONE]),
    "unknown-frame": (None, False, lambda: [bytes([0x3F, 1, 2, 3])]),
    "cut-frame": (None, False, lambda: [new_connection_id(2, 0)[:9]]),
    "new-ids": ("client", False, None),
    "comes-back": ("client", False, None),
}

PING = 77


def install(behaviour):
    """To be called before there is a connection."""
    write_after_pings()
    if behaviour == "new-ids":
        notice_retirement()
        # Each place stays unproved, so that the next move gives it up.
        QuicConnection._handle_path_challenge_frame = lambda quic, context, kind, buffer: buffer.pull_bytes(8)


def write_after_pings():
    """Has frames that wait in `hostile` leave in the packet of the next PING."""
    write_ping = QuicConnection._write_ping_frame

    def write(quic, builder, *arguments, **options):
        write_ping(quic, builder, *arguments, **options)
        frames, quic.hostile = getattr(quic, "hostile", []), []
        for frame in frames:
            builder.start_frame(frame[0], capacity=len(frame)).push_bytes(frame[1:])

    QuicConnection._write_ping_frame = write


def begin(peer, behaviour):
    """To be called with a connection that is new."""
    _, early, frames = BEHAVIOURS[behaviour]
    if early:
        peer._quic.hostile = frames()
        peer._quic.send_ping(PING)


def go_on(peer, behaviour):
    """To be called once keys were agreed."""
    _, early, frames = BEHAVIOURS[behaviour]
    if behaviour == "new-ids":
        peer.moves = asyncio.ensure_future(take_new_ids(peer))
    elif behaviour == "comes-back":
        peer.moves = asyncio.ensure_future(come_back(peer))
    elif not early:
        peer._quic.hostile = frames()
        peer._quic.send_ping(PING)
        peer.transmit()


class Forwarder(asyncio.DatagramProtocol):
    def __init__(self, peer):
        self.peer = peer

    def datagram_received(self, data, place):
        self.peer.datagram_received(data, place)


async def another_place(protocol):
    """A socket with a port of its own."""
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    sock.bind(("::", 0))
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: protocol, sock=sock)
    return transport


class Forgetful(RangeSet):
    """Numbers of packets to acknowledge, but for those that retire ids of ours."""

    def __init__(self, quic):
        super().__init__()
        self.quic = quic

    def add(self, start, stop=None):
        if getattr(self.quic, "retired", False):
            self.quic.retired = False
        else:
            super().add(start, stop)


def notice_retirement():
    handle = QuicConnection._handle_retire_connection_id_frame

    def notice(quic, *arguments):
        quic.retired = True
        handle(quic, *arguments)

    QuicConnection._handle_retire_connection_id_frame = notice


async def take_new_ids(peer):
    """Moves again and again, to a new id each time, and doesn't acknowledge that its own are retired for it."""
    peer._quic._spaces[tls.Epoch.ONE_RTT].ack_queue = Forgetful(peer._quic)
    for _ in range(60):
        await asyncio.sleep(0.1)
        peer._transport = await another_place(Forwarder(peer))
        peer._quic.change_connection_id()
        # Room for the answer, which is thrice as much at most.
        peer._quic.hostile = [bytes(1000)]
        peer._quic.send_ping(1)
        peer.transmit()


async def come_back(peer):
    """Shows up elsewhere, as behind a NAT that was restarted, and is back before that place was looked at."""
    home = peer._transport
    peer._transport = await another_place(asyncio.DatagramProtocol())
    peer._quic.send_ping(1)
    peer.transmit()
    await asyncio.sleep(0.05)
    peer._transport = home
    peer._quic.send_ping(PING)
    peer.transmit()
