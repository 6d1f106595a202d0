"""A web proxy as clinics have them (HTTP CONNECT), for tests: notes what is asked, may refuse or want a password."""

from __future__ import annotations

import base64
import socket
import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self


@dataclass
class WebProxy:
    """A proxy on loopback. `credentials`: what it wants; `answer`: the status line for everyone; `asked`: targets."""

    credentials: str | None = None
    answer: str = "200 Connection established"
    asked: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        """Listen."""
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._open: list[socket.socket] = []

    @property
    def url(self) -> str:
        """Its address, with the credentials that it wants."""
        return f"http://{self.credentials + '@' if self.credentials else ''}127.0.0.1:{self.port}"

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._open.append(client)
        head = bytearray()
        while not head.endswith(b"\r\n\r\n"):
            byte = client.recv(1)
            if not byte:
                return
            head += byte
        lines = head.decode().split("\r\n")
        target = lines[0].split(" ")[1]
        self.asked.append(target)
        wanted = base64.b64encode((self.credentials or "").encode()).decode()
        allowed = self.credentials is None or f"Proxy-Authorization: Basic {wanted}" in lines
        answer = self.answer if allowed else "407 Proxy Authentication Required"
        client.sendall(f"HTTP/1.1 {answer}\r\nVia: test\r\n\r\n".encode())
        if not answer.startswith("200"):
            client.close()
            return
        host, _, port = target.rpartition(":")
        there = socket.create_connection((host, int(port)))
        self._open.append(there)
        threading.Thread(target=_copy, args=(there, client), daemon=True).start()
        _copy(client, there)

    def __enter__(self) -> Self:
        """Begin to answer."""
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and cut what goes through."""
        self._server.close()
        for connection in self._open:
            connection.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return
