"""Fetching, against a server on this machine that does everything a server should not do."""

from __future__ import annotations

import base64
import contextlib
import gc
import gzip
import hashlib
import http.client
import json
import logging
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import traceback
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import price_rows, tree
from local_server import Server, answer, chunked, drip, redirect

import tokenindex
from tokenindex import capture, cli
from tokenindex.capture import Fetched, fetch
from tokenindex.chains import Chain
from tokenindex.errors import CaptureError, InputDataError
from tokenindex.home import Home
from tokenindex.sources import EXAMPLE, LIMITS, Source, read_sources

START = datetime(2026, 7, 1, 12, tzinfo=UTC)
HELLO = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"  # what another program says of hello
KEY = "sk-or/V1+0123456789.abc=XYZ"
OTHER = "feed.example"


class Clock:
    """A clock that goes on by a second whenever it is read, and a wait that takes no time."""

    def __init__(self) -> None:
        self.read, self.waits = 0, list[float]()

    def now(self) -> datetime:
        self.read += 1
        return START + timedelta(seconds=self.read)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def entry(url: str, **changes: Any) -> Source:
    """Return an entry of the allow-list with small limits."""
    facts: dict[str, Any] = {
        "name": "feed",
        "url": url,
        "adapter": "prices",
        "source": "my-feed",
        "licence": "MIT",
        "reference": "feed.example",
        "content_types": ("text/csv", "application/json"),
        "max_bytes": 100_000,
        "timeout_seconds": 0.25,
        "deadline_seconds": 5,
        "retries": 0,
        "backoff_seconds": 2,
        "retry_after_max_seconds": 30,
        "redirect_hosts": (),
        "max_redirects": 3,
    }
    return Source(**facts | changes)


def get(source: Source, clock: Clock | None = None, **more: Any) -> Fetched:
    """Fetch from this machine."""
    clock = clock or Clock()
    given: dict[str, Any] = {"now": clock.now, "environment": {}, "sleep": clock.waits.append, "loopback": True}
    return fetch(source, **given | more)


def refused(server: Server, *, asked: int | None = None, clock: Clock | None = None, **changes: Any) -> str:
    """Return the error of a fetch that must fail; `asked` is how often the server was asked."""
    with pytest.raises(CaptureError) as found:
        get(entry(server.url, **changes), clock)
    assert found.value.where == server.url
    assert asked in (None, len(server.requests))
    return str(found.value)


def local(host: str, port: int) -> list[str]:
    """Return this machine as the address of every host."""
    return ["127.0.0.1"]


# a good answer -----------------------------------------------------------------------------------------------------


def test_a_good_answer_and_the_record_of_it(clock: Clock) -> None:
    headers = ('ETag: "abc"', "Set-Cookie: session=secret", "Authorization: no", "X-Other: x", "Age: 7")
    with Server(answer(b"hello", *headers, kind="text/CSV; charset=utf-8")) as server:
        found = get(entry(server.url), clock)
        assert server.requests == [
            f"GET /prices.csv HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUser-Agent: tokenindex/"
            f"{tokenindex.__version__}\r\nAccept: text/csv, application/json\r\nAccept-Encoding: gzip\r\n"
            "Connection: close\r\n\r\n".encode()
        ]
    assert found.content == b"hello"
    assert found.sha256 == HELLO
    assert (found.url, found.final_url, found.status, found.attempts) == (server.url, server.url, 200, 1)
    kept = {"age": "7", "content-length": "5", "content-type": "text/CSV; charset=utf-8", "etag": '"abc"'}
    assert found.headers == kept
    assert found.asked_at == datetime(2026, 7, 1, 12, 0, 1, tzinfo=UTC)
    assert found.answered_at == datetime(2026, 7, 1, 12, 0, 2, tzinfo=UTC)
    assert found.wire_bytes == len(answer(b"hello", *headers, kind="text/CSV; charset=utf-8"))
    assert clock.waits == []
    assert "hello" not in repr(found)


def test_the_record_names_its_capture() -> None:
    with Server(answer(b"hello")) as server:
        found = get(entry(server.url))
    facts, row = found.capture(), found.row()
    assert (facts.sha256, facts.name, facts.adapter, facts.source) == (HELLO, "feed.csv", "prices", "my-feed")
    assert (facts.licence, facts.reference) == ("MIT", "feed.example")
    assert (facts.seen_at, facts.known_at) == (found.asked_at, found.answered_at)
    assert row["headers"] == '{"content-length": "5", "content-type": "text/csv"}'
    assert {key: row[key] for key in ("sha256", "name", "adapter", "source", "asked_at", "answered_at", "status")} == {
        "sha256": HELLO,
        "name": "feed",
        "adapter": "prices",
        "source": "my-feed",
        "asked_at": "2026-07-01T12:00:01Z",
        "answered_at": "2026-07-01T12:00:02Z",
        "status": "200",
    }
    assert (row["bytes"], row["wire_bytes"], row["attempts"]) == ("5", "67", "1")


PACKED = gzip.compress(b"hello")
WHOLE: dict[str, bytes] = {
    "of a length": answer(b"hello"),
    "the length twice, the same": answer(b"hello", "Content-Length: 5"),
    "in chunks": chunked([b"he", b"llo"]),
    "in chunks, with a trailer": chunked([b"hello"], end=b"0\r\nX-Sum: 1\r\n\r\n"),
    "packed": answer(PACKED, "Content-Encoding: gzip"),
    "packed, in chunks": chunked([PACKED[:9], PACKED[9:]], "Content-Encoding: X-GZIP"),
    "packed not at all": answer(b"hello", "Content-Encoding: identity"),
    "HTTP/1.0": answer(b"hello").replace(b"HTTP/1.1", b"HTTP/1.0"),
    "after an early answer": b"HTTP/1.1 100 Continue\r\n\r\n" + answer(b"hello"),
}


@pytest.mark.parametrize("case", WHOLE)
def test_a_whole_body_however_it_is_sent(case: str) -> None:
    with Server(WHOLE[case]) as server:
        found = get(entry(server.url))
    assert (found.content, found.sha256) == (b"hello", HELLO)
    assert found.wire_bytes == len(WHOLE[case])


def test_an_empty_body_is_an_answer() -> None:
    with Server(answer(b"")) as server:
        assert get(entry(server.url)).content == b""


def test_a_server_that_does_not_close_is_not_waited_for_long() -> None:
    with Server(drip([answer(b"hello")], every=30)) as server:
        began = time.monotonic()
        assert get(entry(server.url)).content == b"hello"
        assert time.monotonic() - began < 1


def test_the_header_accept_can_be_given() -> None:
    with Server(answer()) as server:
        get(entry(server.url, accept="text/csv;q=0.5"))
        assert server.asked("Accept") == ["text/csv;q=0.5"]


# a body that is not whole ------------------------------------------------------------------------------------------

BROKEN: dict[str, tuple[bytes, str]] = {
    "shorter than said": (answer(b"hello", length=6), "ended after 5 of 6 bytes"),
    "longer than said": (answer(b"hello", length=4), "goes on after the 4 bytes"),
    "nothing after the headers": (answer(b"", length=6), "ended after 0 of 6 bytes"),
    "cut in a chunk": (chunked([b"hello"], end=b"5\r\nhel"), "ended before the answer did"),
    "cut between chunks": (chunked([b"hello"], end=b""), "ended before the answer did"),
    "a chunk of nonsense": (chunked([b"hello"], end=b"zz\r\n\r\n"), "ended before the answer did"),
    "a negative chunk": (chunked([b"hello"], end=b"-5\r\nhello\r\n"), "ended before the answer did"),
    "no length": (answer(b"hello", length=None), "the length of the body was not said"),
    "two lengths": (answer(b"hello", "Content-Length: 4"), "not said, or twice"),
    "length and chunks": (chunked([b"hello"], "Content-Length: 5"), "not said, or twice"),
    "a negative length": (answer(b"hello", "Content-Length: -5", length=None), "not said"),
    "a length in words": (answer(b"hello", "Content-Length: five", length=None), "not said"),
    "an unknown transfer coding": (answer(b"hello", "Transfer-Encoding: gzip, chunked", length=None), "not said"),
    "packed and cut": (answer(PACKED[:-1], "Content-Encoding: gzip"), "packed body is cut short"),
    "packed, with a wrong sum": (answer(PACKED[:-8] + b"\0" * 8, "Content-Encoding: gzip"), "cannot be read (error)"),
    "packed, and more": (answer(PACKED + b"more", "Content-Encoding: gzip"), "goes on after its packed part"),
    "packed twice over": (answer(PACKED + PACKED, "Content-Encoding: gzip"), "goes on after its packed part"),
    "not packed at all": (answer(b"hello", "Content-Encoding: gzip"), "cannot be read (error)"),
    "packed by brotli": (answer(b"hello", "Content-Encoding: br"), "packed as 'br'"),
    "packed as deflate": (answer(zlib.compress(b"hello"), "Content-Encoding: deflate"), "packed as 'deflate'"),
    "packed two times": (answer(gzip.compress(PACKED), "Content-Encoding: gzip, gzip"), "packed as 'gzip, gzip'"),
    "no answer": (b"", "ended before the answer did"),
    "half a status line": (b"HTTP/1.1 20", "cannot be read (BadStatusLine)"),
    "half a header": (b"HTTP/1.1 200 OK\r\nContent-Le", "of type ''"),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "cannot be read (BadStatusLine)"),
    "a hundred and one headers": (answer(b"hello", *["X: y"] * 101), "cannot be read (HTTPException)"),
    "a very long header": (answer(b"hello", "X: " + "y" * 70_000), "cannot be read (LineTooLong)"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_body_that_is_not_whole_is_refused(case: str) -> None:
    reply, said = BROKEN[case]
    with Server(reply) as server:
        assert said in refused(server, asked=1)


def test_an_answer_that_ended_early_is_asked_for_again() -> None:
    with Server(answer(b"hello", length=6), chunked([b"he"], end=b""), b"", answer(b"hello")) as server:
        found = get(entry(server.url, retries=3, deadline_seconds=60))
        assert (found.content, found.attempts, len(server.requests)) == (b"hello", 4, 4)


# too large ---------------------------------------------------------------------------------------------------------


def test_the_limit_counts_every_byte_on_the_wire() -> None:
    whole = answer(b"hello")
    with Server(whole) as server:
        assert get(entry(server.url, max_bytes=len(whole))).content == b"hello"
        assert "too large: on the wire" in refused(server, max_bytes=len(whole) - 1)


def test_what_is_announced_too_large_is_not_read() -> None:
    with Server(answer(b"", length=10**14)) as server:
        assert f"{10**14} bytes are announced" in refused(server, asked=1, retries=3)


ENDLESS: dict[str, tuple[bytes, bytes]] = {
    "chunks": (chunked([], end=b""), b"400\r\n" + b"x" * 1024 + b"\r\n"),
    "small chunks": (chunked([], end=b""), b"1\r\nx\r\n" * 200),
    "a chunk": (chunked([], end=b"fffffffffffffff\r\n"), b"x" * 1024),
    "chunk sizes": (chunked([], end=b""), b"0" * 1024),
    "trailers": (chunked([], end=b"0\r\n"), b"X: y\r\n" * 200),
    "early answers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50),
    "headers of early answers": (b"HTTP/1.1 100 Continue\r\n", b"X: y\r\n" * 200),
    "a packed body": (answer(b"", "Content-Encoding: gzip", length=90_000), gzip.compress(os.urandom(2048))[:-8]),
}


@pytest.mark.parametrize("case", ENDLESS)
def test_what_does_not_end_is_cut_off(case: str) -> None:
    first, piece = ENDLESS[case]
    with Server(drip(iter(lambda: piece, b""), every=0, first=first)) as server:
        began = time.monotonic()
        refused(server, max_bytes=100_000, deadline_seconds=2)
        assert time.monotonic() - began < 2.5


@pytest.mark.parametrize("size", [100_001, 50_000_000])
def test_what_unpacks_to_too_much_is_refused(size: int) -> None:
    bomb = gzip.compress(b"0" * size)
    with Server(answer(bomb, "Content-Encoding: gzip"), chunked([bomb], "Content-Encoding: gzip")) as server:
        tracemalloc.start()
        assert "too large: when unpacked" in refused(server)
        assert "too large: when unpacked" in refused(server)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 5_000_000
    with Server(answer(gzip.compress(b"0" * 100_000), "Content-Encoding: gzip")) as server:
        assert len(get(entry(server.url)).content) == 100_000


# too slow ----------------------------------------------------------------------------------------------------------


def test_a_server_that_says_nothing() -> None:
    with Server(drip([], every=0, first=b""), lambda _, server: server.stopped.wait(30)) as server:
        refused(server)
        began = time.monotonic()
        assert "no answer within timeout_seconds = 0.25" in refused(server)
        assert 0.2 < time.monotonic() - began < 1


def test_no_single_wait_passes_the_deadline() -> None:
    with Server(lambda _, server: server.stopped.wait(30)) as server:
        began = time.monotonic()
        assert "not done within deadline_seconds = 0.2" in refused(server, timeout_seconds=30, deadline_seconds=0.2)
        assert time.monotonic() - began < 1


DRIPS: dict[str, tuple[bytes, bytes]] = {
    "a body": (answer(b"", length=1000), b"x"),
    "a body in chunks": (chunked([], end=b""), b"1\r\nx\r\n"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "a status line": (b"HTTP/1.1 2", b"0"),
    "an early answer": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "what follows the body": (answer(b"hello"), b""),
}


@pytest.mark.parametrize("case", DRIPS)
def test_a_server_that_drips_is_left_at_the_deadline(case: str) -> None:
    """Every single byte comes in time; all together they would take minutes."""
    first, piece = DRIPS[case]
    with Server(drip([piece] * 1000, every=0.05, first=first)) as server:
        began = time.monotonic()
        with contextlib.nullcontext() if not piece else pytest.raises(CaptureError, match="deadline_seconds"):
            get(entry(server.url, deadline_seconds=0.4, retries=5))
        assert time.monotonic() - began < 0.8


def test_waiting_counts_against_the_deadline(clock: Clock) -> None:
    with Server(answer(status="503 Busy")) as server:
        assert "attempt 3: the status is 503" in refused(server, clock=clock, retries=9, deadline_seconds=7)
    assert clock.waits == [2, 4]  # another 8 seconds would be past the end


def test_a_name_that_is_not_found_in_time(clock: Clock) -> None:
    stop = threading.Event()
    began = time.monotonic()
    with pytest.raises(CaptureError, match="no answer within"):
        get(entry(f"https://{OTHER}/"), clock, resolve=lambda *_: ["127.0.0.1"] * stop.wait(30))
    assert time.monotonic() - began < 1
    stop.set()


# another status ----------------------------------------------------------------------------------------------------


def test_what_passes_is_asked_again(clock: Clock) -> None:
    replies = [answer(status=f"{n} Oh") for n in (500, 502, 429, 599)]
    with Server(*replies, answer(b"hello")) as server:
        found = get(entry(server.url, retries=4, deadline_seconds=60), clock)
    assert (found.content, found.attempts) == (b"hello", 5)
    assert clock.waits == [2, 4, 8, 16]
    # each attempt reads the clock when it begins; a status that passes reads it too; then the answer is there
    assert (found.asked_at, found.answered_at) == (START + timedelta(seconds=9), START + timedelta(seconds=10))


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_the_number_of_attempts_is_the_number_that_is_said(retries: int) -> None:
    with Server(answer(status="500 Oh")) as server:
        assert "the status is 500" in refused(server, asked=retries + 1, retries=retries, deadline_seconds=60)


@pytest.mark.parametrize("status", [201, 202, 203, 204, 206, 300, 304, 400, 401, 403, 404, 408, 410, 451, 600, 999])
def test_what_does_not_pass_is_not_asked_again(status: int) -> None:
    with Server(answer(status=f"{status} Oh")) as server:
        assert f"the status is {status}; expected 200" in refused(server, asked=1, retries=3)


LATER = "Wed, 01 Jul 2026 12:00:12 GMT"  # the clock was read twice by then


@pytest.mark.parametrize(
    ("asks", "waits"),
    [
        ("7", [7]),
        ("1", [2]),
        ("0", [2]),
        ("30", [30]),
        (LATER, [10]),
        ("Wed, 01 Jul 2020 12:00:12 GMT", [2]),
        ("soon", [2]),
        ("-5", [2]),
        ("1e1", [2]),
        ("٧", [2]),
        ("Wed, 99 Jul 2026 99:99:99 GMT", [2]),
        ("Wed, 01 Jul 2026 12:00:12 -0000", [2]),
        ("Wed, 01 Jul 99999999999 12:00:12 GMT", [2]),
        ("", [2]),
        ("9" * 5000, [2]),
    ],
)
def test_the_wait_that_a_server_asks_for(clock: Clock, asks: str, waits: list[float]) -> None:
    busy = answer(status="429 Too Many").replace(b"\r\n\r\n", b"\r\nRetry-After: " + asks.encode() + b"\r\n\r\n")
    with Server(busy, answer()) as server:
        get(entry(server.url, retries=1, deadline_seconds=60), clock)
    assert clock.waits == waits


@pytest.mark.parametrize("asks", ["31", "999999999", "Wed, 01 Jul 2026 13:00:00 GMT", "Fri, 01 Jan 9999 00:00:00 GMT"])
def test_a_server_that_asks_for_a_longer_wait_is_left_alone(clock: Clock, asks: str) -> None:
    with Server(answer(b"", f"Retry-After: {asks}", status="503 Busy")) as server:
        said = refused(server, asked=1, clock=clock, retries=3, deadline_seconds=60)
    assert "wants to be left alone" in said
    assert "retry_after_max_seconds = 30" in said
    assert clock.waits == []


@pytest.mark.parametrize("kind", [None, "", "text/html", "text/csvx", "text", "text/csv, text/html", "*/*", "\x7f"])
def test_another_type_of_content_is_refused(kind: str | None) -> None:
    with Server(answer(kind=kind)) as server:
        assert "expected text/csv or application/json" in refused(server, asked=1, retries=3)


# connections -------------------------------------------------------------------------------------------------------


def closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_connection_that_is_refused_is_tried_again(clock: Clock) -> None:
    with pytest.raises(CaptureError, match="attempt 3: the connection was refused"):
        get(entry(f"http://127.0.0.1:{closed_port()}/", retries=2, deadline_seconds=60), clock)
    assert clock.waits == [2, 4]


def test_the_next_address_is_tried() -> None:
    with Server(answer()) as server:
        found = get(entry(server.url), resolve=lambda *_: ["127.0.0.2", "127.0.0.1"])
    assert found.attempts == 1


def test_a_name_that_nobody_knows(clock: Clock) -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    nobody: list[Any] = [unknown, lambda *_: []]
    for resolve in nobody:
        with pytest.raises(CaptureError, match="attempt 2: the host has no address"):
            get(entry(f"https://{OTHER}/", retries=1), clock, resolve=resolve)


def test_a_host_that_is_no_name() -> None:
    for host in ("a" * 64, "-", "..", "a..b", "1.2.3.4.5"):
        with pytest.raises(CaptureError):
            fetch(entry(f"https://{host}/"), now=Clock().now, environment={})


INSIDE = [
    "127.0.0.1",
    "127.9.9.9",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "198.18.0.1",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "fc00::1",
    "fd12:3456::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "2002:a00:1::",
    "2001:0:a00:1::",
    "2001:db8::1",
]


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_inside_are_not_asked(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_connection", None)  # nobody may even try
    for addresses in ([address], ["93.184.216.34", address]):
        with pytest.raises(CaptureError, match="expected an address of the public network"):
            get(entry(f"https://{OTHER}/", retries=3), loopback=False, resolve=lambda *_: addresses)  # noqa: B023


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_addresses_outside_are_asked(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def connect(at: tuple[str, int], timeout: float) -> None:
        asked.append(at)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    for loopback in (False, True):
        with pytest.raises(CaptureError, match="refused"):
            get(entry(f"https://{OTHER}/"), loopback=loopback, resolve=lambda *_: [address])
    assert asked == [(address, 443)] * 2


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
    ],
)
def test_this_machine_is_not_asked_however_it_is_spelt(url: str) -> None:
    with pytest.raises(CaptureError, match=r"public network|no address"):
        fetch(entry(url), now=Clock().now, environment={})


def test_this_machine_is_asked_only_where_that_is_allowed() -> None:
    with Server(answer()) as server:
        with pytest.raises(CaptureError, match="not HTTPS"):
            get(entry(server.url), loopback=False)
        with pytest.raises(CaptureError, match="public network"):
            get(entry(server.url.replace("http:", "https:")), loopback=False)
        for address in ("93.184.216.34", "10.0.0.1"):
            with pytest.raises(CaptureError, match="public network"):  # plain HTTP stays on this machine
                get(entry(f"http://{OTHER}/"), resolve=lambda *_: [address])  # noqa: B023
        assert server.connections == 0


@pytest.mark.parametrize(
    "url",
    [
        "",
        "feed.example",
        "//feed.example/",
        "ftp://feed.example/",
        "file:///etc/passwd",
        "HTTPS://feed.example/",
        "https://",
        "https:///path",
        "https://user@feed.example/",
        "https://user:password@feed.example/",
        "https://feed.example\\@other.example/",
        "https://feed.example/#part",
        "https://feed.example/a b",
        "https://feed.example/\r\nX: y",
        "https://feed.example/\t",
        "https://feed.example:0x50/",
        "https://feed.example:99999/",
        "https://[::1/",
        "https://[zz]/",
        "https://fééd.example/",
        "https://feed.example/é",
        "https://feed.example/\ud800",
        " https://feed.example/",
    ],
)
def test_what_is_not_an_address_to_ask(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "create_connection", None)
    with pytest.raises(CaptureError, match="not one to ask"):
        get(entry(url, retries=3), resolve=local)


def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    with Server(answer()) as server:
        assert get(entry(server.url)).content == b"hello"


# redirects ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("to", ["/other.csv?ticket=abc", "http://feed.example:{port}/other.csv?ticket=abc"])
def test_a_redirect_to_a_listed_host_is_followed(status: int, to: str) -> None:
    with Server() as server:
        hosts = (f"127.0.0.1:{server.port}", f"{OTHER}:{server.port}")
        server.replies = [redirect(to.format(port=server.port), status=f"{status} Over there"), answer()]
        found = get(entry(server.url, redirect_hosts=hosts, max_redirects=1), resolve=local)
        assert [request.split(b" ")[1] for request in server.requests] == [b"/prices.csv", b"/other.csv?ticket=abc"]
    host = OTHER if "feed" in to else "127.0.0.1"
    assert (found.url, found.final_url) == (server.url, f"http://{host}:{server.port}/other.csv")
    assert "abc" not in "".join(found.row().values()).replace(found.sha256, "")


WRONG_WAYS: dict[str, tuple[str, str]] = {
    "another host": ("https://other.example/", "leads to 'other.example'"),
    "another host, without scheme": ("//other.example/", "leads to 'other.example:80'"),
    "a part of a listed name": ("https://evil-feed.example/", "leads to 'evil-feed.example'"),
    "a name under a listed one": ("https://sub.feed.example/", "leads to 'sub.feed.example'"),
    "a listed name under another": ("https://feed.example.evil/", "leads to 'feed.example.evil'"),
    "a listed name with a dot": ("https://feed.example./", "leads to 'feed.example.'"),
    "a listed host, another port": ("https://feed.example:8443/", "leads to 'feed.example:8443'"),
    "a listed host as user": ("https://feed.example@other.example/", "not one to ask"),
    "a listed host and a backslash": ("https://feed.example\\.other.example/", "not one to ask"),
    "this machine": ("http://localhost/", "leads to 'localhost:80'"),
    "the own host, not listed": ("/again", "leads to '127.0.0.1:"),
    "a file": ("file:///etc/passwd", "not one to ask"),
    "a script": ("javascript:alert(1)", "not one to ask"),
    "nowhere": ("", "leads to '127.0.0.1:"),
    "a port that is none": ("https://feed.example:99999/", "not one to ask"),
    "half an address": ("https://[::1/", "cannot be read|not one to ask"),
}


@pytest.mark.parametrize("case", WRONG_WAYS)
def test_a_redirect_to_elsewhere_is_refused(case: str) -> None:
    to, said = WRONG_WAYS[case]
    with Server(redirect(to)) as server:
        found = refused(server, asked=1, retries=3, redirect_hosts=(OTHER,))
        assert re.search(said.replace(":80'", "(:80)?'"), found)


def test_a_redirect_without_an_address_is_refused() -> None:
    with Server(answer(b"", status="302 Found")) as server:
        assert "redirect_hosts is empty" in refused(server, asked=1)


def test_redirects_that_go_round_are_refused() -> None:
    with Server() as server:
        own = f"127.0.0.1:{server.port}"
        server.replies = [redirect("/a"), redirect("/b"), redirect("/prices.csv")]
        assert "in a circle" in refused(server, asked=3, redirect_hosts=(own,), max_redirects=10)


def test_more_redirects_than_allowed_are_refused() -> None:
    with Server() as server:
        own = f"127.0.0.1:{server.port}"
        server.replies = [redirect(f"/{n}") for n in range(20)]
        assert "max_redirects = 3" in refused(server, asked=4, redirect_hosts=(own,), max_redirects=3)
        server.connections = 0
        assert "max_redirects = 0" in refused(server, asked=5, redirect_hosts=(own,), max_redirects=0)


def test_a_redirect_does_not_lead_inside() -> None:
    addresses = {"127.0.0.1": ["127.0.0.1"], OTHER: ["10.0.0.1"]}
    with (
        Server(redirect(f"https://{OTHER}/")) as server,
        pytest.raises(CaptureError, match=r"has the address 10\.0\.0\.1"),
    ):
        get(entry(server.url, redirect_hosts=(OTHER,)), resolve=lambda host, _: addresses[host])


def test_every_attempt_begins_at_the_first_address() -> None:
    with Server() as server:
        server.replies = [redirect("/a"), answer(status="500 Oh"), redirect("/b"), answer()]
        found = get(entry(server.url, redirect_hosts=(f"127.0.0.1:{server.port}",), retries=1))
        assert [request.split(b" ")[1] for request in server.requests] == [b"/prices.csv", b"/a", b"/prices.csv", b"/b"]
    assert found.attempts == 2


# TLS ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody signed but itself, with its key in the same file."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl command to make a certificate with")
    path = tmp_path_factory.mktemp("tls") / "own.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    made = ["openssl", *words.split(), "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", path, "-out", f"{path}.crt"]
    done = subprocess.run([*map(str, made)], capture_output=True, text=True, check=False, timeout=30)
    if done.returncode:
        pytest.skip(f"openssl makes no certificate: {done.stderr[-200:]}")
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


def test_a_certificate_that_is_trusted(certificate: Path) -> None:
    with Server(answer(), tls=certificate) as server:
        found = get(entry(server.url), ca_file=certificate)
    assert (found.content, found.final_url) == (b"hello", f"https://127.0.0.1:{server.port}/prices.csv")


def test_a_certificate_that_is_not_trusted_ends_it(certificate: Path, clock: Clock) -> None:
    with Server(answer(), tls=certificate) as server:
        said = refused(server, asked=0, clock=clock, retries=3)
        assert "the certificate is not trusted: self-signed certificate" in said.replace("self signed", "self-signed")
        assert (server.connections, clock.waits) == (1, [])


def test_a_certificate_of_another_host_ends_it(certificate: Path, clock: Clock) -> None:
    with Server(answer(), tls=certificate) as server:
        with pytest.raises(CaptureError, match="certificate is not trusted: Hostname mismatch"):
            get(entry(server.url.replace("127.0.0.1", OTHER), retries=3), clock, ca_file=certificate, resolve=local)
        assert (server.connections, server.requests, clock.waits) == (1, [], [])


def test_a_redirect_does_not_leave_https(certificate: Path) -> None:
    with Server(answer()) as plain, Server(redirect(plain.url), tls=certificate) as server:
        with pytest.raises(CaptureError, match="a redirect leaves HTTPS"):
            get(entry(server.url, redirect_hosts=(f"127.0.0.1:{plain.port}",), retries=3), ca_file=certificate)
        assert plain.connections == 0


def test_a_server_without_tls_and_one_that_does_not_shake_hands(clock: Clock) -> None:
    with Server(answer()) as server, pytest.raises(CaptureError, match=r"no safe connection|no answer within"):
        get(entry(server.url.replace("http:", "https:")), clock)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(CaptureError, match="no answer within"):
            get(entry(f"https://127.0.0.1:{silent.getsockname()[1]}/"), clock)
        assert time.monotonic() - began < 1


def test_certificates_that_are_not_there(tmp_path: Path) -> None:
    with Server(answer()) as server:
        with pytest.raises(CaptureError, match="No such file"):
            get(entry(server.url.replace("http:", "https:")), ca_file=tmp_path / "nowhere.pem")
        gc.collect()  # a connection that was left open would be found here


def test_limits_hold_under_tls(certificate: Path) -> None:
    with Server(drip([b"x"] * 1000, every=0.05, first=answer(b"", length=1000)), tls=certificate) as server:
        began = time.monotonic()
        with pytest.raises(CaptureError, match="deadline_seconds"):
            get(entry(server.url, deadline_seconds=0.4), ca_file=certificate)
        assert time.monotonic() - began < 0.8
    with Server(answer(b"hello", length=6), answer(b"x" * 100_000), tls=certificate) as server:
        for said in ("after 5 of 6", "too large: on the wire"):
            with pytest.raises(CaptureError, match=said):
                get(entry(server.url), ca_file=certificate)


def test_no_secrets_of_tls_are_logged(certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "secrets"))
    with Server(answer(), tls=certificate) as server:
        get(entry(server.url), ca_file=certificate)
    assert not (tmp_path / "secrets").exists()


# keys --------------------------------------------------------------------------------------------------------------

KEYED: dict[str, Any] = {"key_env": "FEED_KEY", "key_header": "Authorization", "key_scheme": "Bearer"}
ECHOES: dict[str, str] = {
    "plain": KEY,
    "with its word": f"Bearer {KEY}",
    "in capitals": KEY.upper(),
    "in an address": "sk-or%2FV1%2B0123456789.abc%3DXYZ",
    "in base64": base64.b64encode(KEY.encode()).decode(),
    "in base64 for addresses": base64.urlsafe_b64encode(KEY.encode()).decode(),
    "in hexadecimal": KEY.encode().hex(),
    "in JSON": KEY.replace("/", "\\/"),
}


def traces(error: BaseException) -> str:
    """Return all that a log could show of an error: the whole chain, its arguments and attributes."""
    shown, waiting = "", [error]
    while waiting:
        one = waiting.pop()
        shown += f"{one}{one!r}{one.args}{vars(one)}" + "".join(traceback.format_exception(one))
        waiting += [e for e in (one.__cause__, one.__context__) if e]
    return shown


def holds_key(text: str) -> bool:
    """Return whether any spelling of the key stands in a text."""
    return any(echo.lower() in text.lower() for echo in ECHOES.values())


def test_a_key_is_sent_in_its_header() -> None:
    with Server(answer()) as server:
        found = get(entry(server.url, **KEYED), environment={"FEED_KEY": KEY, "OTHER": "x"})
        get(entry(server.url, key_env="FEED_KEY", key_header="X-Api-Key"), environment={"FEED_KEY": KEY})
        assert server.asked("Authorization") == [f"Bearer {KEY}", ""]
        assert server.asked("X-Api-Key") == ["", KEY]
        assert server.requests[0].count(KEY.encode()) == 1
    assert not holds_key(f"{found!r}{vars(found)}{found.row()}{found.capture()}{entry(server.url, **KEYED)!r}")


@pytest.mark.parametrize(
    "key", [None, "", "short", KEY + "\n", KEY + "\r\nX: y", "two words", KEY + "\x7f", "é" * 9, " " + KEY]
)
def test_without_a_fit_key_nobody_is_asked(key: str | None) -> None:
    with Server(answer()) as server:
        with pytest.raises(CaptureError, match="the variable that key_env names") as found:
            get(entry(server.url, **KEYED), environment={} if key is None else {"FEED_KEY": key})
        assert server.connections == 0
    assert not key or key not in traces(found.value)


@pytest.mark.parametrize("place", ["reference", "accept", "url", "licence", "key_header"])
def test_a_key_that_stands_in_the_file_is_refused(place: str) -> None:
    with Server(answer()) as server:
        facts = KEYED | {place: server.url + "?x=" + KEY if place == "url" else f"see {KEY}"}
        with pytest.raises(CaptureError, match="the key itself stands there") as found:
            get(entry(**{"url": server.url} | facts), environment={"FEED_KEY": KEY})
        assert server.connections == 0
    assert not holds_key(traces(found.value))


@pytest.mark.parametrize("echo", ECHOES)
def test_an_answer_that_repeats_the_key_is_refused(echo: str, capfd: pytest.CaptureFixture[str]) -> None:
    text = ECHOES[echo]
    replies = [
        answer(f'{{"you sent": "{text}"}}'.encode()),
        answer(gzip.compress(text.encode()), "Content-Encoding: gzip"),
        chunked([text.encode()[:9], text.encode()[9:]]),
        answer(b"hello", f'ETag: "{text}"'),
        answer(b"hello", f"Last-Modified: {'x' * 390}{text}"),
        answer(b"hello", kind=f"text/csv; note={text}"),
        redirect(f"/a?key={text}"),
        redirect(f"https://{text}.example/"),
    ]
    for reply in replies:
        with Server(reply) as server, pytest.raises(CaptureError, match="repeats the key") as found:
            hosts = (f"127.0.0.1:{server.port}",)
            get(entry(server.url, retries=3, redirect_hosts=hosts, **KEYED), environment={"FEED_KEY": KEY})
        assert len(server.requests) == 1
        assert not holds_key(traces(found.value))
    assert not holds_key("".join(capfd.readouterr()))


@pytest.mark.parametrize("echo", ECHOES)
def test_no_error_shows_what_a_server_says_that_knows_a_key(
    echo: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 9)  # as somebody may have done who looks for a fault
    text = ECHOES[echo]
    replies = [
        answer(text.encode(), f"WWW-Authenticate: {text}", status=f"401 No {text}"),
        answer(text.encode(), f"Retry-After: {text}", status=f"429 {text}"),
        answer(b"hello", kind=f"text/{text}"),
        answer(b"hello", f"Content-Encoding: {text}"),
        answer(b"hello", f"Transfer-Encoding: {text}"),
        answer(b"hello", f"Content-Length: {text}"),
        f"HTTP/1.1 {text}\r\n\r\n".encode(),
        f"{text}\r\n\r\n".encode(),
        f"HTTP/1.1 200 OK\r\n{text}\r\n\r\n".encode(),
        chunked([b"hello"], end=f"{text}\r\n\r\n".encode()),
        answer(text.encode(), length=9999),
    ]
    for reply in replies:
        with Server(reply) as server, pytest.raises(CaptureError) as found:
            get(entry(server.url, retries=1, **KEYED), environment={"FEED_KEY": KEY})
        assert not holds_key(traces(found.value))
        assert found.value.__context__ is None
    assert not holds_key("".join(capfd.readouterr()) + caplog.text)


def test_a_password_in_a_key_is_a_key_too() -> None:
    basic = base64.b64encode(b"desk:correct-horse").decode()
    with Server(answer(b"your password is correct-horse")) as server:
        with pytest.raises(CaptureError, match="repeats the key"):
            get(entry(server.url, **KEYED | {"key_scheme": "Basic"}), environment={"FEED_KEY": basic})
        assert server.asked("Authorization") == [f"Basic {basic}"]


def test_a_key_does_not_follow_a_redirect_to_another_host() -> None:
    with Server(answer()) as second, Server() as first:
        hosts = (f"127.0.0.1:{second.port}", f"127.0.0.1:{first.port}", f"{OTHER}:{first.port}")
        to = [second.url, "/own", f"http://{OTHER}:{first.port}/"]
        first.replies = [redirect(to[0]), redirect(to[1]), answer(), redirect(to[2]), answer()]
        for _ in to:
            get(entry(first.url, redirect_hosts=hosts, **KEYED), environment={"FEED_KEY": KEY}, resolve=local)
        assert second.asked("Authorization") == [""]
        assert [bool(sent) for sent in first.asked("Authorization")] == [True, True, True, True, False]
        assert KEY.encode() not in b"".join(second.requests)


def test_a_key_is_not_sent_before_the_certificate_is_trusted(certificate: Path) -> None:
    with Server(answer(), tls=certificate) as server:
        with pytest.raises(CaptureError, match="not trusted"):
            get(entry(server.url, **KEYED), environment={"FEED_KEY": KEY})
        assert server.requests == []


# the allow-list ----------------------------------------------------------------------------------------------------

ENTRY = """
[limits]
max_bytes = 1_000_000
timeout_seconds = 0.5
deadline_seconds = 5
retries = 1
backoff_seconds = 0
retry_after_max_seconds = 1
max_redirects = 0

[sources.feed]
url = "https://feed.example/prices.csv"
adapter = "prices"
source = "my-feed"
licence = "MIT"
reference = "feed.example"
content_types = ["text/csv"]
redirect_hosts = []
"""


def test_the_allow_list() -> None:
    (found,) = read_sources((ENTRY + "retries = 2\n").encode(), where="sources.toml").values()
    assert found == entry(
        "https://feed.example/prices.csv",
        content_types=("text/csv",),
        max_bytes=1_000_000,
        timeout_seconds=0.5,
        retries=2,
        backoff_seconds=0,
        retry_after_max_seconds=1,
        max_redirects=0,
    )
    assert read_sources(b"", where="sources.toml") == {}


def test_every_limit_must_be_said() -> None:
    for key in LIMITS:
        without = re.sub(rf"^{key} = .*$", "", ENTRY, flags=re.MULTILINE)
        with pytest.raises(InputDataError, match=rf"\[sources.feed\]: missing {key}; expected url, adapter"):
            read_sources(without.encode(), where="sources.toml")
    for key in ("url", "adapter", "source", "licence", "reference", "content_types", "redirect_hosts"):
        without = re.sub(rf"^{key} = .*$", "", ENTRY, flags=re.MULTILINE)
        with pytest.raises(InputDataError, match=f"missing {key}"):
            read_sources(without.encode(), where="sources.toml")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("retrys = 1", "unknown key 'retrys'.*did you mean 'retries'"),
        ("name = 'x'", "unknown key 'name'"),
        ("retries = 'three'", "retries is a str; expected a whole number"),
        ("retries = true", "retries is a bool"),
        ("retries = 1.0", "retries is a float"),
        ("retries = -1", "retries does not fit; expected 0 to 10"),
        ("retries = 11", "0 to 10"),
        ("max_bytes = 0", "1 to 1073741824"),
        ("max_bytes = 2_000_000_000", "1 to 1073741824"),
        ("timeout_seconds = 0", "timeout_seconds does not fit"),
        ("timeout_seconds = nan", "timeout_seconds does not fit"),
        ("timeout_seconds = inf", "timeout_seconds does not fit"),
        ("timeout_seconds = 2026-07-01", "timeout_seconds is a date"),
        ("accept = ''", "accept does not fit"),
        ('accept = "a\\r\\nX: y"', "accept does not fit"),
        ("key_env = 'FEED_KEY'", "half a key"),
        ("key_header = 'X-Key'", "half a key"),
        ("key_scheme = 'Bearer'", "half a key"),
        ("key_env = 'A'\nkey_header = 'Host'", "key_header does not fit"),
        ("key_env = 'A'\nkey_header = 'Accept-Encoding'", "key_header does not fit"),
        ("key_env = 'A'\nkey_header = 'X: y'", "key_header does not fit"),
        ("key_env = 'A'\nkey_header = 'X'\nkey_scheme = 'two words'", "key_scheme does not fit"),
        (f"key_env = '{KEY}'\nkey_header = 'X'", "key_env does not fit"),
        ("retries = " + "9" * 5000, "sources.toml"),
        ("retries = 1\nretries = 2", "sources.toml"),
    ],
)
def test_a_wrong_entry_is_named_and_not_shown(more: str, said: str) -> None:
    with pytest.raises(InputDataError, match=said) as found:
        read_sources((ENTRY + more).encode(), where="sources.toml")
    assert "sources.toml" in found.value.where
    assert not holds_key(traces(found.value))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("url", '""', "url does not fit"),
        ("url", '"https://feed.example/?api_key=abc"', "no key in it"),
        ("url", '"https://feed.example/?x=1&token=abc"', "no key in it"),
        ("url", '"https://desk:word@feed.example/"', "no key in it"),
        ("url", "7", "url is a int; expected a text"),
        ("source", '"a\\nb"', "source does not fit; expected one line"),
        ("licence", '" "', "licence does not fit"),
        ("content_types", "[]", "content_types does not fit"),
        ("content_types", '["text/CSV"]', "lower case"),
        ("content_types", '["text/csv; charset=utf-8"]', "content_types does not fit"),
        ("content_types", '"text/csv"', "content_types is a str; expected a list"),
        ("content_types", "[7]", "content_types is a list"),
        ("redirect_hosts", '["https://feed.example"]', "redirect_hosts does not fit"),
        ("redirect_hosts", '["*"]', "redirect_hosts does not fit"),
        ("redirect_hosts", '["Feed.example"]', "redirect_hosts does not fit"),
    ],
)
def test_a_wrong_fact_is_named(key: str, value: str, said: str) -> None:
    text = re.sub(rf"^{key} = .*$", lambda _: f"{key} = {value}", ENTRY, flags=re.MULTILINE)
    with pytest.raises(InputDataError, match=said):
        read_sources(text.encode(), where="sources.toml")


@pytest.mark.parametrize(
    "text",
    [
        *(
            b"\xff",
            b"[sources",
            b"source = 1",
            b"sources = 1",
            b"limits = []",
            b"[limits]\nurl = 'x'",
            b"[sources]\na = 1",
        ),
        *(b'[sources."a b"]', b'[sources."../x"]', b'[sources."a\\nb"]', b"[sources.feed]", b"a = " + b"[" * 100_000),
    ],
)
def test_a_wrong_file_is_named(text: bytes) -> None:
    with pytest.raises(InputDataError, match=r"sources\.toml"):
        read_sources(text, where="sources.toml")


def test_the_example_allows_nothing_until_it_is_uncommented(empty: Home) -> None:
    assert (empty.path / "sources.toml").read_text() == EXAMPLE
    assert empty.sources() == {}
    found = read_sources(re.sub(r"^#(?=\S)", "", EXAMPLE, flags=re.MULTILINE).encode(), where="example")
    assert {(s.name, s.adapter, s.key_env) for s in found.values()} == {
        ("litellm", "litellm", None),
        ("openrouter", "openrouter-models", "OPENROUTER_API_KEY"),
    }
    assert all(s.url.startswith("https://") for s in found.values())


# into the home -----------------------------------------------------------------------------------------------------

PRICES = price_rows("input,3,per_1m_tokens", "output,15,per_1m_tokens")
COMMAND = Callable[..., tuple[int, str, str]]


def allow(home: Home, **urls: str) -> None:
    """Write the allow-list of a home: a name and an address each, with the options of the entry after a blank."""
    limits, _, facts = ENTRY.partition("[sources.feed]")
    text = limits
    for name, told in urls.items():
        url, *more = told.split(" ", 1)
        text += f"[sources.{name}]" + facts.replace("https://feed.example/prices.csv", url) + "\n".join(more) + "\n"
    (home.path / "sources.toml").write_text(text)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> COMMAND:
    """Run a command inside the process, with this machine as what may be asked."""
    monkeypatch.setattr(capture, "fetch", partial(capture.fetch, loopback=True))

    def run(*words: object) -> tuple[int, str, str]:
        code = cli.main([str(word) for word in words])
        return code, *capsys.readouterr()

    return run


def rows(home: Home) -> list[dict[str, str]]:
    """Return the list of fetches of a home."""
    return [look.fields["fetched"] for look in home.looks.entries()]


def test_a_fetch_ends_in_the_store(run: COMMAND, empty: Home) -> None:
    digest = hashlib.sha256(PRICES).hexdigest()
    with Server(answer(PRICES, 'ETag: "a,b"', "Set-Cookie: s=secret")) as server:
        allow(empty, feed=server.url)
        began = datetime.now(UTC)
        code, out, err = run("fetch", "feed", "--home", empty.path, "--json")
    assert code == 0, err
    (told,) = json.loads(out)
    assert (told["name"], told["stored"], told["rows"]) == ("feed", True, {"OBSERVATIONS": 2})
    (found,) = empty.captures()
    assert (found.sha256, found.adapter, found.source, found.licence) == (digest, "prices", "my-feed", "MIT")
    assert found.name == f"{found.seen_at.date()}_{digest[:12]}_feed.csv"
    assert began <= found.seen_at <= found.known_at <= datetime.now(UTC)
    assert empty.content(digest) == PRICES
    assert empty.inputs().observations["price"].to_list() == [3, 15]
    (row,) = rows(empty)
    assert told["fetch"] == row | {"headers": json.loads(row["headers"])}
    assert datetime.fromisoformat(row.pop("asked_at")) == found.seen_at
    assert datetime.fromisoformat(row.pop("answered_at")) == found.known_at
    length = str(len(PRICES))
    assert json.loads(row.pop("headers")) == {"content-length": length, "content-type": "text/csv", "etag": '"a,b"'}
    assert int(row.pop("wire_bytes")) > len(PRICES)
    assert row == {
        "sha256": digest,
        "name": "feed",
        "adapter": "prices",
        "source": "my-feed",
        "url": server.url,
        "final_url": server.url,
        "status": "200",
        "bytes": length,
        "attempts": "1",
    }
    assert b"secret" not in b"".join(path.read_bytes() for path in empty.path.rglob("*") if path.is_file())


def test_the_answer_for_people(run: COMMAND, empty: Home) -> None:
    with Server(answer(PRICES), answer(b"", status="404 Not Found")) as server:
        allow(empty, feed=server.url, gone=server.url)
        code, out, err = run("fetch", "--all", "--home", empty.path)
    assert code == 9
    assert out.splitlines()[:2] == ["feed: stored", "        2 OBSERVATIONS"]
    assert hashlib.sha256(PRICES).hexdigest() in out
    assert out.splitlines()[-1] == "gone: failed: CaptureError"
    assert f"CaptureError: {server.url}: the status is 404" in err
    assert "to be solved by the data desk" in err


def test_the_same_bytes_again_are_another_look(run: COMMAND, empty: Home) -> None:
    listed = json.dumps({"data": [{"id": "a/b", "pricing": {"prompt": "0.000001", "completion": "0.000005"}}]}).encode()
    with Server(answer(listed)) as server:
        allow(empty, feed=server.url)
        path = empty.path / "sources.toml"
        path.write_text(path.read_text().replace('"prices"', '"openrouter-models"'))
        assert run("fetch", "feed", "--home", empty.path)[0] == 0
        before = (empty.path / "looks" / "00000001.json").read_bytes()
        assert run("fetch", "feed", "--home", empty.path)[0] == 0
    assert len(list((empty.path / "captures").iterdir())) == 1
    first, second = empty.captures()
    assert first.sha256 == second.sha256
    assert first.seen_at < second.seen_at
    assert first.name == second.name
    assert len(empty.inputs().sightings) == 2
    assert [row["sha256"] for row in rows(empty)] == [first.sha256] * 2
    assert (empty.path / "looks" / "00000001.json").read_bytes() == before


FAILURES: dict[str, tuple[int, Any]] = {
    "not found": (9, answer(status="404 Not Found")),
    "cut short": (9, answer(PRICES, length=len(PRICES) + 1)),
    "a page": (9, answer(b"<html>sign in</html>", kind="text/html")),
    "not the format": (4, answer(b"<html>sign in</html>\n")),
    "no row that can be read": (4, answer(price_rows("input,free,per_1m_tokens"))),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_fetch_that_fails_stores_nothing(run: COMMAND, home: Home, case: str) -> None:
    code, reply = FAILURES[case]
    with Server(reply) as server:
        allow(home, feed=server.url + " retries = 0")
        before = tree(home.path)
        found, out, err = run("fetch", "feed", "--home", home.path, "--json")
    assert found == code
    assert tree(home.path) == before
    (told,) = json.loads(out)
    assert (told["name"], told["stored"]) == ("feed", False)
    assert set(told) == {"name", "stored", "error", "found", "expected", "remedy", "where", "who"}
    assert told["error"] in err


def test_one_failure_does_not_prevent_the_others(run: COMMAND, empty: Home) -> None:
    with Server(answer(PRICES)) as server:
        bad = f"http://127.0.0.1:{closed_port()}/ retries = 0"
        wrong = server.url + " key_env = 'NOT_SET_ANYWHERE'\nkey_header = 'X-Key'"
        allow(empty, bad=bad, first=server.url, wrong=wrong, second=server.url)
        path = empty.path / "sources.toml"
        head, _, tail = path.read_text().partition("[sources.second]")
        path.write_text(head + "[sources.second]" + tail.replace('"prices"', '"nothing"'))
        code, out, err = run("fetch", "--all", "--home", empty.path, "--json")
        assert len(server.requests) == 1
    told = {one["name"]: one.get("error") for one in json.loads(out)}
    assert told == {"bad": "CaptureError", "first": None, "wrong": "CaptureError", "second": "AdapterError"}
    assert code == 9
    assert [row["name"] for row in rows(empty)] == ["first"]
    assert len(empty.captures()) == 1
    assert "key_env" in err


def test_the_first_failure_gives_the_exit_code(run: COMMAND, empty: Home) -> None:
    with Server(answer(b"no prices\n"), answer(status="404 No")) as server:
        allow(empty, one=server.url, two=server.url)
        assert run("fetch", "--all", "--home", empty.path)[0] == 4


def test_names_are_asked_once_and_in_order(run: COMMAND, empty: Home) -> None:
    with Server(answer(PRICES)) as server:
        allow(empty, one=server.url + "1", two=server.url + "2", three=server.url + "3")
        assert run("fetch", "two", "one", "two", "--home", empty.path)[0] == 0
        assert [request.split()[1][-1:] for request in server.requests] == [b"2", b"1"]


def test_what_is_not_allowed_is_not_asked(run: COMMAND, empty: Home, tmp_path: Path) -> None:
    with Server(answer(PRICES)) as server:
        code, _, err = run("fetch", "--all", "--home", empty.path)
        assert (code, "no source is allowed yet" in err) == (4, True)
        allow(empty, feed=server.url)
        before = tree(empty.path)
        for name in ("fed", server.url, "", "../feed"):
            code, out, err = run("fetch", "feed", name, "--home", empty.path)
            assert (code, out) == (4, "")
            assert "expected one of feed" in err
        assert run("fetch", "feed")[0] == 4  # no home is named
        assert run("fetch", "feed", "--home", tmp_path / "nowhere")[0] == 7
        for words in ((), ("feed", "--all")):
            with pytest.raises(SystemExit) as end:
                run("fetch", *words, "--home", empty.path)
            assert end.value.code == 2
        assert tree(empty.path) == before
        (empty.path / "sources.toml").write_text(ENTRY + "retrys = 1\n")
        assert run("fetch", "feed", "--home", empty.path)[0] == 4
        (empty.path / "sources.toml").unlink()
        assert run("fetch", "feed", "--home", empty.path)[0] == 4
        assert server.connections == 0


def test_a_disk_that_is_full_is_said(run: COMMAND, empty: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "somewhere")

    with Server(answer(PRICES)) as server:
        allow(empty, feed=server.url)
        monkeypatch.setattr(os, "fsync", full)
        code, out, err = run("fetch", "--all", "--home", empty.path, "--json")
    assert (code, json.loads(out)[0]["error"]) == (7, "LedgerError")
    assert "No space left" in err
    assert empty.captures() == []


class Killed(BaseException):
    """The process ended here."""


def test_a_fetch_that_is_killed_shows_nothing_and_can_be_repeated(
    run: COMMAND, empty: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise Killed

    with Server(answer(PRICES)) as server:
        allow(empty, feed=server.url)
        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(Chain, "append", killed)
            run("fetch", "feed", "--home", empty.path)
        assert empty.captures() == []
        assert empty.inputs().observations.is_empty()
        assert run("fetch", "feed", "--home", empty.path)[0] == 0
    (found,) = empty.captures()
    looks = {(row["sha256"], datetime.fromisoformat(row["asked_at"])) for row in rows(empty)}
    assert (found.sha256, found.seen_at) in looks


def test_no_key_gets_into_a_home_or_an_answer(run: COMMAND, empty: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEED_KEY", KEY)
    replies = [answer(PRICES, f"X-Echo: {KEY}", f"Set-Cookie: k={KEY}")]
    replies += [answer(KEY.encode(), f"Location: /{KEY}", status="401 No"), answer(PRICES + KEY.encode() + b"\n")]
    replies += [redirect(f"/?k={KEY}"), answer(kind=f"text/{KEY}"), answer(PRICES, f"ETag: {KEY}")]
    said = ""
    with Server(*replies) as server:
        allow(empty, feed=server.url + " key_env = 'FEED_KEY'\nkey_header = 'X-Key'")
        codes = []
        for _ in replies:
            code, out, err = run("fetch", "feed", "--home", empty.path, "--json")
            codes.append(code)
            said += out + err
        assert server.asked("X-Key") == [KEY] * len(replies)
    assert codes == [0, 9, 9, 9, 9, 9]
    assert not holds_key(said)
    for path in empty.path.rglob("*"):
        assert not path.is_file() or not holds_key(path.read_bytes().decode("latin-1"))
    assert len(empty.captures()) == len(rows(empty)) == 1


def test_nothing_of_a_fetch_stays_open() -> None:
    with Server(answer(b"hello", length=6), redirect("/"), answer(kind="text/html"), answer(b"x" * 99_990)) as server:
        before = set(Path("/proc/self/fd").iterdir()) if Path("/proc/self/fd").is_dir() else set()
        for _ in server.replies:
            refused(server)
        after = set(Path("/proc/self/fd").iterdir()) if before else set()
        time.sleep(0.1)
        assert len(after) <= len(before) + 1  # the server's own end of the last connection


@pytest.fixture(autouse=True)
def _nothing_else_is_asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test of this file leaves the machine: every connection is looked at before it is made."""
    connect = socket.socket.connect
    asked = []

    def local_only(self: socket.socket, address: Any) -> None:
        asked.append(str(address[0]))
        assert asked[-1].startswith("127."), asked
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local_only)
    yield
    assert all(address.startswith("127.") for address in asked)
