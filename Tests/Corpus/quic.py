# SPDX-License-Identifier: Apache-2.0
"""A QUIC server and a client that talk a little: quic.py server|client FOLDER, which holds quic.key and quic.crt."""
import asyncio
import ssl
import sys

from aioquic.asyncio import connect, serve
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import StreamDataReceived


class Echo(QuicConnectionProtocol):
    def quic_event_received(self, event):
        if isinstance(event, StreamDataReceived):
            self._quic.send_stream_data(event.stream_id, event.data, event.end_stream)


async def server(folder):
    configuration = QuicConfiguration(is_client=False, alpn_protocols=["weft-corpus"])
    configuration.load_cert_chain(f"{folder}/quic.crt", f"{folder}/quic.key")
    await serve("192.0.2.2", 4433, configuration=configuration, create_protocol=Echo)
    await asyncio.Future()


async def client(folder):
    configuration = QuicConfiguration(is_client=True, alpn_protocols=["weft-corpus"], verify_mode=ssl.CERT_NONE)
    async with connect("192.0.2.2", 4433, configuration=configuration) as connection:
        for count in (100, 3000):
            reader, writer = await connection.create_stream()
            writer.write(b"x" * count)
            writer.write_eof()
            assert len(await reader.read()) == count
        await connection.ping()


asyncio.run(server(sys.argv[2]) if sys.argv[1] == "server" else client(sys.argv[2]))
