"""What several server processes answer leaves at once, although they share a socket that nobody told so."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import uvicorn
from feldsher_cloud_api.prompt import PromptProtocol

DELAYS = list[int]()


class _Watched(PromptProtocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - as PromptProtocol
        super().connection_made(transport)
        connection: Any = transport.get_extra_info("socket")
        DELAYS.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))


async def _app(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def test_connections_of_a_shared_socket_send_at_once() -> None:
    with socket.socket(socket.AF_INET) as shared:  # without its protocol's number, as uvicorn makes it
        shared.bind(("127.0.0.1", 0))
        shared.listen()
        server = uvicorn.Server(uvicorn.Config(_app, http=_Watched, lifespan="off", log_level="error"))
        running = asyncio.create_task(server.serve(sockets=[shared]))
        reader, writer = await asyncio.open_connection(*shared.getsockname())
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 204")
        writer.close()
        server.should_exit = True
        await running
    assert DELAYS == [1]
