"""Fetching: the bytes that one allow-listed address answers, or an error.

*Reads* the address of a `Source` over HTTPS. *Writes* the bytes, and the facts of how they were got. *Never* asks another
address, takes more time or bytes than allowed, or shows a key: where one was sent no word of the server stands in an
error, and an answer that repeats the key is refused.

Sockets are opened in `wire` alone, and nowhere else in the package.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import urljoin, urlsplit

from ..adapters import Capture
from ..adapters.reading import in_utc, written
from ..errors import CaptureError
from ..sources import Source
from .answers import UNREADABLE, asked, refuse_status, refuse_type, whole
from .keys import Key, key_of
from .wire import Place, Resolve, Trouble, Visit, Wire, connected, place, resolved, trouble_of

KEPT: Final = (
    "age",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "etag",
    "expires",
    "last-modified",
)
"""Headers of an answer that are kept, if they are not longer than 400 characters; no other one is."""
_REDIRECTS: Final = (301, 302, 303, 307, 308)


@dataclass(frozen=True, kw_only=True)
class Fetched:
    """What one fetch brought, and how.

    Parameters
    ----------
    source : Source
        What was asked for.
    content : bytes
        The body, unpacked if it was sent packed.
    sha256 : str
        Its digest.
    url, final_url : str
        The address asked, and the one that answered. What a redirect put after a ``?`` is left out: it may be a ticket.
    status : int
        Status of the answer: 200.
    headers : dict of str
        Those of `KEPT` that the answer had.
    asked_at, answered_at : datetime
        When the attempt that was answered began, and when its last byte was there, by the clock of the caller.
    attempts : int
        1, or more if earlier ones failed.
    wire_bytes : int
        Bytes of the answer on the wire, headers included.
    """

    source: Source
    content: bytes = field(repr=False)
    sha256: str
    url: str
    final_url: str
    status: int
    headers: dict[str, str]
    asked_at: datetime
    answered_at: datetime
    attempts: int
    wire_bytes: int

    def capture(self) -> Capture:
        """Return the facts of the capture: seen when the source was asked, known when the answer was whole."""
        return Capture(
            sha256=self.sha256,
            name=self.source.name + PurePosixPath(urlsplit(self.url).path).suffix,
            adapter=self.source.adapter,
            source=self.source.source,
            seen_at=in_utc(self.asked_at),
            known_at=in_utc(self.answered_at),
            licence=self.source.licence,
            reference=self.source.reference,
        )

    def row(self) -> dict[str, str]:
        """Return how it was got, for the list of captures."""
        return {
            "sha256": self.sha256,
            "name": self.source.name,
            "adapter": self.source.adapter,
            "source": self.source.source,
            "asked_at": written(self.asked_at),
            "answered_at": written(self.answered_at),
            "url": self.url,
            "final_url": self.final_url,
            "status": str(self.status),
            "bytes": str(len(self.content)),
            "wire_bytes": str(self.wire_bytes),
            "attempts": str(self.attempts),
            "headers": json.dumps(self.headers, sort_keys=True),
        }


def fetch(
    source: Source,
    *,
    now: Callable[[], datetime],
    environment: Mapping[str, str],
    sleep: Callable[[float], object] = time.sleep,
    resolve: Resolve = resolved,
    loopback: bool = False,
    ca_file: Path | None = None,
) -> Fetched:
    """Return what the address of `source` answers.

    Parameters
    ----------
    now : callable
        The clock; it returns a moment with zone.
    environment : mapping of str
        Where an API key is looked for, if `source` names one.
    sleep, resolve : callable
        How to wait, and how a host becomes addresses. Tests give their own.
    loopback : bool
        Whether this machine itself may be asked, and then also over plain HTTP. For tests.
    ca_file : Path, optional
        Certificates to trust instead of those of the machine.

    Raises
    ------
    CaptureError
        If anything comes but a whole answer of status 200 that keeps every limit. Nothing of it is kept.
    """
    visit = Visit(
        source=source,
        key=key_of(source, environment),
        until=time.monotonic() + source.deadline_seconds,
        resolve=resolve,
        loopback=loopback,
        ca_file=ca_file,
        now=now,
    )
    attempt = 1
    while isinstance(found := _attempt(visit, attempt), Trouble):
        wait = max(found.wait or 0, source.backoff_seconds * 2 ** (attempt - 1))
        if not found.passing or attempt > source.retries or time.monotonic() + wait >= visit.until:
            times = f"attempt {attempt}: " if attempt > 1 else ""
            raise CaptureError(times + found.found, expected=found.expected, remedy=found.remedy, where=source.url)
        sleep(wait)
        attempt += 1
    return found


def _attempt(visit: Visit, number: int) -> Fetched | Trouble:
    """Return the answer of one attempt, or why there is none.

    The trouble is returned and not raised, so that no error carries a context in which words of the server stand.
    """
    try:
        return _followed(visit, number)
    except Trouble as trouble:
        return trouble
    except http.client.IncompleteRead:
        return Trouble("the connection ended before the answer did", passing=True)
    except (OSError, ValueError) as wrong:
        return trouble_of(wrong, visit)
    except UNREADABLE as wrong:
        return Trouble(f"the answer cannot be read ({type(wrong).__name__})", expected="HTTP/1.1")


def _followed(visit: Visit, number: int) -> Fetched:
    """Return the answer at the end of the redirects. The key goes to the first host alone."""
    asked_at = visit.now()
    first = to = place(visit.source.url, loopback=visit.loopback)
    seen = [to.url]
    while True:
        with connected(to, visit) as wire:
            own = (to.scheme, to.origin) == (first.scheme, first.origin)
            answer = asked(wire, to, visit.source, visit.key if own else None)
            if answer.status not in _REDIRECTS:
                return _taken(answer, wire, to, visit, asked_at=asked_at, attempts=number)
            to = _next(answer, to, seen, visit)
            seen.append(to.url)


def _next(answer: http.client.HTTPResponse, at: Place, seen: list[str], visit: Visit) -> Place:
    """Return where a redirect leads, if that is allowed."""
    location = answer.getheader("Location", "")
    if _repeats(visit.key, location):
        raise _repeated()
    if len(seen) > visit.source.max_redirects:
        found = f"one redirect too many, status {answer.status}"
        raise Trouble(found, expected=f"at most max_redirects = {visit.source.max_redirects}")
    to = place(urljoin(at.url, location), loopback=visit.loopback)
    if at.scheme == "https" != to.scheme:
        raise Trouble("a redirect leaves HTTPS", expected="https://")
    if to.origin not in visit.source.redirect_hosts:
        allowed = ", ".join(visit.source.redirect_hosts) or "no redirect: redirect_hosts is empty"
        raise Trouble(f"a redirect leads to {visit.said(to.origin)}", expected=allowed)
    if to.url in seen:
        raise Trouble("the redirects go round in a circle")
    return to


def _taken(
    answer: http.client.HTTPResponse, wire: Wire, at: Place, visit: Visit, *, asked_at: datetime, attempts: int
) -> Fetched:
    """Return a good answer whole."""
    refuse_status(answer, visit)
    refuse_type(answer, visit)
    content = whole(answer, wire, visit)
    answered_at = visit.now()
    headers = {name: answer.getheader(name, "") for name in KEPT}
    final_url = at.url if at.url == visit.source.url else at.url.partition("?")[0]
    if _repeats(visit.key, final_url, content, *headers.values()):
        raise _repeated()
    return Fetched(
        source=visit.source,
        content=content,
        sha256=hashlib.sha256(content).hexdigest(),
        url=visit.source.url,
        final_url=final_url,
        status=answer.status,
        headers={name: text for name, text in headers.items() if 0 < len(text) <= 400},
        asked_at=asked_at,
        answered_at=answered_at,
        attempts=attempts,
        wire_bytes=wire.received,
    )


def _repeats(key: Key | None, *found: bytes | str) -> bool:
    return key is not None and any(map(key.stands_in, found))


def _repeated() -> Trouble:
    return Trouble("the answer repeats the key", remedy="ask the publisher why, and have the key changed")
