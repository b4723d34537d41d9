"""Connections: the only module that opens a socket.

*Reads* the bytes of a connection. *Writes* a `Wire`, on which every wait is bounded and every byte is counted. *Never*
connects to an address that was not checked, or trusts a certificate that cannot be.

The standard library is enough here, and the well-kept clients are not: what is wanted of a client is a deadline over
the whole answer, an address that is checked and then connected to, and a count of the bytes on the wire. None has these.
All three come from the socket below the client, and then little is left for one to do. No proxy is used.
"""

from __future__ import annotations

import io
import ipaddress
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from ..sources import Source
from .keys import Key

_PORTS: Final = {"https": 443, "http": 80}
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_TUNNELS: Final = (ipaddress.ip_network("2002::/16"), ipaddress.ip_network("2001::/32"))
Resolve = Callable[[str, int], Sequence[str]]
"""From a host and a port to addresses."""


class Trouble(Exception):
    """Why an attempt failed. `passing`: another one may do better, after `wait` seconds if the server said so."""

    def __init__(
        self, found: str, *, expected: str = "", remedy: str = "", passing: bool = False, wait: float | None = None
    ) -> None:
        super().__init__(found)
        self.found, self.expected, self.remedy, self.passing, self.wait = found, expected, remedy, passing, wait


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What all requests of one fetch share; `until` is its end on the monotonic clock."""

    source: Source
    key: Key | None
    until: float
    resolve: Resolve
    loopback: bool
    ca_file: Path | None
    now: Callable[[], datetime]

    def patience(self) -> float:
        """Return how many seconds the next wait may last."""
        left = self.until - time.monotonic()
        if left <= 0:
            raise self.too_slow()
        return min(left, self.source.timeout_seconds)

    def too_slow(self) -> Trouble:
        """Return the trouble of a wait that was too long, whichever limit it came to."""
        if time.monotonic() >= self.until:
            return Trouble(f"not done within deadline_seconds = {self.source.deadline_seconds}")
        return Trouble(f"no answer within timeout_seconds = {self.source.timeout_seconds}", passing=True)

    def said(self, text: str) -> str:
        """Return what the server said, for an error; nothing of it if it was sent a key."""
        return "(not shown, for a key was sent)" if self.key else ascii(text[:80])


@dataclass(frozen=True)
class Place:
    """An address in its parts; `target` is what stands after the host."""

    url: str
    scheme: str
    host: str
    port: int
    target: str

    @property
    def origin(self) -> str:
        """The host, with its port unless that is the port of the scheme."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def place(url: str, *, loopback: bool) -> Place:
    """Return the parts of `url`, if it may be asked at all: HTTPS, or HTTP where this machine may be asked."""
    wrong = Trouble("the address is not one to ask", expected="https://host/path without user, password and fragment")
    if not re.fullmatch(r"https?://([a-zA-Z0-9._-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?([/?][!-\"$-~]*)?", url):
        raise wrong
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS[parts.scheme]
    except ValueError:
        raise wrong from None
    if parts.scheme != "https" and not loopback:
        raise Trouble("the address is not HTTPS", expected="https://")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Place(url, parts.scheme, parts.hostname or "", port, target)


class Wire(io.RawIOBase):
    """A connection that ends: each wait is bounded, and each byte that comes is counted."""

    def __init__(self, connection: socket.socket, visit: Visit) -> None:
        self._connection, self._visit, self.received = connection, visit, 0
        self.reader = _Reader(self)

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what is there, or wait for it; refuse what is more than the source allows."""
        self._connection.settimeout(self._visit.patience())
        count = self._connection.recv_into(buffer)
        self.received += count
        if self.received > self._visit.source.max_bytes:
            raise too_large(self._visit.source, "on the wire")
        return count

    def sendall(self, content: bytes) -> None:
        """Send a request."""
        self._connection.settimeout(self._visit.patience())
        self._connection.sendall(content)

    def makefile(self, _: str) -> io.BufferedReader:
        """Return where the HTTP client of the standard library reads an answer."""
        return self.reader

    def close(self) -> None:
        """Leave the connection open: the HTTP client closes it before we have looked for more."""

    def __exit__(self, *_: object) -> None:
        self._connection.close()


class _Reader(io.BufferedReader):
    def close(self) -> None:
        """Stay open, like the wire."""


def connected(to: Place, visit: Visit) -> Wire:
    """Return a connection to an address that was checked: the name is not looked up a second time."""
    found = _within(visit.patience(), lambda: visit.resolve(to.host, to.port))
    addresses = [_checked(text, to, visit) for text in dict.fromkeys(found)]
    failed: OSError = socket.gaierror()
    for address in addresses:
        try:
            connection = socket.create_connection((address, to.port), timeout=visit.patience())
        except OSError as wrong:
            failed = wrong
            continue
        with ExitStack() as stack:
            stack.callback(connection.close)
            wire = Wire(_secured(connection, to, visit), visit)
            stack.pop_all()
        return wire
    raise failed


def resolved(host: str, port: int) -> list[str]:
    """Return the addresses of a host, as this machine knows them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def trouble_of(wrong: OSError | ValueError, visit: Visit) -> Trouble:
    """Return what went wrong on a connection, in words of ours."""
    match wrong:
        case ssl.SSLCertVerificationError():
            return Trouble(
                f"the certificate is not trusted: {wrong.verify_message}",
                expected="a certificate of the host, signed by an authority that this machine trusts",
                remedy="do not go on: somebody may stand between, or the clock of this machine is wrong",
            )
        case TimeoutError():
            return visit.too_slow()
        case ssl.SSLEOFError() | ConnectionError():
            return Trouble("the connection was refused, or ended before the answer did", passing=True)
        case ssl.SSLError():
            return Trouble(f"no safe connection: {wrong.reason}", expected="TLS 1.2 or later")
        case socket.gaierror():
            return Trouble("the host has no address", passing=True)
        case OSError():
            return Trouble(f"no connection: {wrong.strerror or type(wrong).__name__}", passing=True)
    return Trouble(f"the answer cannot be read ({type(wrong).__name__})", expected="HTTP/1.1")


def too_large(source: Source, how: str) -> Trouble:
    """Return the trouble of an answer that is larger than its source allows."""
    return Trouble(f"the answer is too large: {how}", expected=f"at most max_bytes = {source.max_bytes}")


def _secured(connection: socket.socket, to: Place, visit: Visit) -> socket.socket:
    """Return the connection under TLS, with the certificate checked against the host."""
    if to.scheme == "http":
        return connection
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificate and host name, and logs no secrets
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if visit.ca_file:
        context.load_verify_locations(visit.ca_file)
    else:
        context.load_default_certs()
    connection.settimeout(visit.patience())
    return context.wrap_socket(connection, server_hostname=to.host)


def _checked(text: str, to: Place, visit: Visit) -> str:
    """Return an address, if it is one of the public network."""
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):  # an address of IPv4 may stand in it, and lead inside
        inner = address.ipv4_mapped or (ipaddress.IPv4Address(address.packed[-4:]) if address in _NAT64 else None)
        hidden = address.is_site_local or any(address in network for network in _TUNNELS)
        address = inner or (ipaddress.IPv6Address(0) if hidden else address)
    public = address.is_global and not address.is_multicast and not address.is_reserved
    if (visit.loopback and address.is_loopback) or (to.scheme == "https" and public):
        return text
    raise Trouble(f"the host has the address {text}", expected="an address of the public network")


def _within(seconds: float, ask: Callable[[], Sequence[str]]) -> Sequence[str]:
    """Return what `ask` returns; raise TimeoutError if it takes longer: a look-up of a name has no time limit itself."""
    answer: queue.SimpleQueue[Sequence[str] | OSError | UnicodeError] = queue.SimpleQueue()

    def work() -> None:
        try:
            answer.put(ask())
        except (OSError, UnicodeError) as wrong:
            answer.put(wrong)

    threading.Thread(target=work, daemon=True).start()
    try:
        found = answer.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError from None
    if isinstance(found, OSError | UnicodeError):
        raise found
    return found
