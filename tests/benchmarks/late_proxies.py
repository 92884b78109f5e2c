"""A node that is far away: a proxy in a process of its own that keeps every answer back for some milliseconds."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from urllib.parse import urlsplit


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_secs: float) -> None:
    """Pass on what comes, each piece no sooner than `delay_secs` after it came: late, and not slower for it."""
    loop = asyncio.get_running_loop()
    waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def hand_on() -> None:
        while True:
            due, piece = await waiting.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not piece:
                break
            writer.write(piece)
            await writer.drain()
        writer.close()

    handing = asyncio.create_task(hand_on())
    while piece := await reader.read(1 << 16):
        waiting.put_nowait((loop.time() + delay_secs, piece))
    waiting.put_nowait((loop.time() + delay_secs, b""))
    await handing


async def _serve(host: str, port: int, delay_secs: float, port_to: Connection) -> None:
    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        node_reader, node_writer = await asyncio.open_connection(host, port)
        await asyncio.gather(
            _pipe(reader, node_writer, delay_secs / 2),
            _pipe(node_reader, writer, delay_secs / 2),
            return_exceptions=True,
        )

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    port_to.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def _run(host: str, port: int, delay_secs: float, port_to: Connection) -> None:
    asyncio.run(_serve(host, port, delay_secs, port_to))


@contextmanager
def late(url: str, delay_ms: int) -> Iterator[str]:
    """The url of a proxy before `url` that adds `delay_ms` to every question and its answer, half to each way."""
    parts = urlsplit(url)
    here, there = multiprocessing.Pipe()
    arguments = (parts.hostname or "127.0.0.1", parts.port or 80, delay_ms / 1000, there)
    process = multiprocessing.get_context("spawn").Process(target=_run, args=arguments, daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.terminate()
        process.join()
