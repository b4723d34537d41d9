"""A server on this machine that answers with the bytes it is told to, right or wrong, and remembers what it was asked."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType

LAST = 60.0
"""Seconds after which a server gives a client up, whatever happens."""


class Server:
    """Answers the first connection with the first reply, and so on; the last reply is given again and again.

    A reply is bytes, or a function that gets the connection and the server. The server listens on 127.0.0.1 alone.
    """

    def __init__(self, *replies: bytes | Callable[[socket.socket, Server], object], tls: Path | None = None) -> None:
        self.replies, self.connections = list(replies), 0
        self.requests: list[bytes] = []
        self.stopped = threading.Event()
        self.context: ssl.SSLContext | None = None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(tls)

    def __enter__(self) -> Server:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stopped.set()
        self.thread.join(timeout=LAST)
        self.listener.close()
        assert not self.thread.is_alive()

    @property
    def url(self) -> str:
        """The address of a list of prices."""
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.port}/prices.csv"

    def asked(self, line: str) -> list[str]:
        """Return what each request said in the header `line`, empty text if nothing."""
        found = []
        for request in self.requests:
            lines = request.decode("latin-1").split("\r\n")[1:]
            found.append(next((text.partition(": ")[2] for text in lines if text.startswith(f"{line}: ")), ""))
        return found

    def _serve(self) -> None:
        while not self.stopped.is_set():
            if not select.select([self.listener], [], [], 0.02)[0]:
                continue
            connection, _ = self.listener.accept()
            reply = self.replies[min(self.connections, len(self.replies) - 1)]
            self.connections += 1
            # a client that leaves is what is tested
            with contextlib.suppress(OSError):
                self._answer(connection, reply)
            connection.close()

    def _answer(self, connection: socket.socket, reply: bytes | Callable[[socket.socket, Server], object]) -> None:
        connection.settimeout(5)
        if self.context:
            with self.context.wrap_socket(connection, server_side=True) as secured:
                self._talk(secured, reply)
        else:
            self._talk(connection, reply)

    def _talk(self, connection: socket.socket, reply: bytes | Callable[[socket.socket, Server], object]) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            piece = connection.recv(65536)
            if not piece:
                return
            request += piece
        self.requests.append(request)
        if isinstance(reply, bytes):
            connection.sendall(reply)
        else:
            reply(connection, self)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):  # until the client leaves: a reset would take bytes from it
            pass


def answer(
    body: bytes = b"hello",
    *headers: str,
    status: str = "200 OK",
    kind: str | None = "text/csv",
    length: int | None = -1,
) -> bytes:
    """Return an answer with the headers Content-Type and Content-Length, unless they are None, and others."""
    lines = [f"HTTP/1.1 {status}"]
    lines += [f"Content-Type: {kind}"] if kind else []
    lines += [f"Content-Length: {len(body) if length == -1 else length}"] if length is not None else []
    return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1") + body


def chunked(pieces: Iterable[bytes], *headers: str, end: bytes = b"0\r\n\r\n") -> bytes:
    """Return an answer in chunks."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + end
    return answer(body, "Transfer-Encoding: chunked", *headers, length=None)


def redirect(to: str, *headers: str, status: str = "302 Found") -> bytes:
    """Return a redirect."""
    return answer(b"", f"Location: {to}", *headers, status=status)


def drip(pieces: Iterable[bytes], *, every: float, first: bytes = b"") -> Callable[[socket.socket, Server], None]:
    """Return a reply that sends one piece, waits, sends the next."""

    def reply(connection: socket.socket, server: Server) -> None:
        connection.sendall(first)
        for piece in pieces:
            connection.sendall(piece)
            if server.stopped.wait(every):
                return

    return reply
