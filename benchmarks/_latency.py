"""A proxy on loopback that holds back what it passes on: python _latency.py URL SECONDS; prints its own URL."""

from __future__ import annotations

import asyncio
import sys
from urllib.parse import urlsplit


async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    loop = asyncio.get_running_loop()
    while data := await reader.read(1 << 16):
        loop.call_later(delay, writer.write, data)  # in order, since all wait as long
    loop.call_later(delay, writer.close)


async def main(url: str, delay: float) -> None:
    target = urlsplit(url)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(target.hostname, target.port)
        await asyncio.gather(pass_on(reader, back, delay), pass_on(there, writer, 0))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


asyncio.run(main(sys.argv[1], float(sys.argv[2])))
