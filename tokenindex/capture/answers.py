"""Requests and answers of HTTP: asked once, read whole or refused.

*Reads* an answer from a wire. *Writes* its body, unpacked. *Never* takes a body whose end is not known, that is shorter or
longer than was said, or that unpacks to more than the source allows.
"""

from __future__ import annotations

import http.client
import re
import zlib
from collections.abc import Iterator
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, cast

from .. import __version__
from ..sources import Source
from .keys import Key
from .wire import Place, Trouble, Visit, Wire, too_large

UNREADABLE: Final = (http.client.HTTPException, UnicodeError, zlib.error)
"""What the standard library raises for an answer that is not one."""
_PIECE: Final = 1 << 16
_TOO_MANY_REQUESTS: Final = 429


def asked(wire: Wire, to: Place, source: Source, key: Key | None) -> http.client.HTTPResponse:
    """Send a request; return the answer with its headers read."""
    client = http.client.HTTPConnection(to.host, to.port)
    client.set_debuglevel(0)  # whoever had set it for all connections would print the key
    client.auto_open = 0
    client.sock = cast(Any, wire)
    client.putrequest("GET", to.target, skip_host=True, skip_accept_encoding=True)
    client.putheader("Host", to.origin)
    client.putheader("User-Agent", f"tokenindex/{__version__}")
    client.putheader("Accept", source.accept or ", ".join(source.content_types))
    client.putheader("Accept-Encoding", "gzip")
    client.putheader("Connection", "close")
    if key and source.key_header:
        client.putheader(source.key_header, key.header())
    client.endheaders()
    return client.getresponse()


def refuse_status(answer: http.client.HTTPResponse, visit: Visit) -> None:
    """Refuse every status but 200; 429 and those from 500 may pass."""
    status = answer.status
    if status == 200:
        return
    if status != _TOO_MANY_REQUESTS and not 500 <= status <= 599:
        raise Trouble(f"the status is {status}", expected="200")
    wait, longest = _retry_after(answer.getheader("Retry-After", ""), visit.now()), visit.source.retry_after_max_seconds
    if wait is not None and wait > longest:
        found = f"the status is {status}, and the server wants to be left alone for {wait:.0f} seconds"
        raise Trouble(found, expected=f"at most retry_after_max_seconds = {longest}", remedy="fetch again later")
    raise Trouble(f"the status is {status}", expected="200", passing=True, wait=wait)


def refuse_type(answer: http.client.HTTPResponse, visit: Visit) -> None:
    """Refuse a media type that the source does not list."""
    kind = answer.getheader("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in visit.source.content_types:
        raise Trouble(f"the answer is of type {visit.said(kind)}", expected=" or ".join(visit.source.content_types))


def whole(answer: http.client.HTTPResponse, wire: Wire, visit: Visit) -> bytes:
    """Return the whole body, unpacked no further than the limit."""
    pieces = _body(answer, wire, visit)
    coding = ", ".join(answer.headers.get_all("Content-Encoding", [])).strip().lower()
    if coding in ("", "identity"):
        return b"".join(pieces)
    if coding not in ("gzip", "x-gzip"):
        raise Trouble(f"the body is packed as {visit.said(coding)}", expected="gzip, or not packed")
    content, unzip, limit = bytearray(), zlib.decompressobj(wbits=31), visit.source.max_bytes
    for piece in pieces:
        content += unzip.decompress(piece, limit + 1 - len(content))
        if len(content) > limit:
            raise too_large(visit.source, "when unpacked")
        if unzip.unused_data:
            raise Trouble("the body goes on after its packed part")
    if not unzip.eof:
        raise Trouble("the packed body is cut short", passing=True)
    return bytes(content)


def _body(answer: http.client.HTTPResponse, wire: Wire, visit: Visit) -> Iterator[bytes]:
    """Yield the pieces of a body of the length that was said, or in chunks."""
    length, count = _length(answer, visit), 0
    while piece := answer.read1(_PIECE):
        count += len(piece)
        yield piece
    if length is None:
        return
    if count < length:
        raise Trouble(f"the body ended after {count} of {length} bytes", passing=True)
    try:
        more = wire.reader.read1(1)
    except (TimeoutError, ConnectionError):  # kept open, or cut, after everything was said
        more = b""
    if more:
        raise Trouble(f"the body goes on after the {length} bytes that were said")


def _length(answer: http.client.HTTPResponse, visit: Visit) -> int | None:
    """Return the length of the body; None if it comes in chunks, which say themselves where they end."""
    lengths = set(answer.headers.get_all("Content-Length", []))
    codings = [coding.strip().lower() for coding in answer.headers.get_all("Transfer-Encoding", [])]
    if codings == ["chunked"] and not lengths:
        return None
    if codings or len(lengths) != 1 or not re.fullmatch(r"[0-9]{1,15}", min(lengths), flags=re.ASCII):
        expected = "one Content-Length, or the Transfer-Encoding chunked"
        raise Trouble("the length of the body was not said, or twice: it may be cut short", expected=expected)
    length = int(min(lengths))
    if length > visit.source.max_bytes:
        raise too_large(visit.source, f"{length} bytes are announced")
    return length


def _retry_after(text: str, now: datetime) -> float | None:
    """Return the seconds that a header Retry-After asks for: a number, or a date; None if it is neither."""
    if re.fullmatch(r"[0-9]{1,9}", text.strip(), flags=re.ASCII):
        return int(text)
    try:
        return max(0.0, (parsedate_to_datetime(text[:80]) - now).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None
