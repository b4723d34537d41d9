"""A home in object storage: both stores and the lists, with two writers at once, on a server of this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from conftest import SEEN, price_rows

from tokenindex.chains import Chain
from tokenindex.errors import LedgerError
from tokenindex.files import ObjectFiles, files_at
from tokenindex.home import Home

pytest.importorskip("obstore")
pytest.importorskip("moto")
KINDS = ("parquet", "delta")
BUCKET = "tokenindex"


@pytest.fixture(scope="module")
def storage() -> Iterator[dict[str, str]]:
    """The variables that lead to a server of object storage."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    address = f"http://127.0.0.1:{port}"
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(200):
                try:
                    request = urllib.request.Request(f"{address}/{BUCKET}", method="PUT")
                    urllib.request.urlopen(request, timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.1)
            yield {
                "AWS_ENDPOINT_URL": address,
                "AWS_ALLOW_HTTP": "true",
                "AWS_ACCESS_KEY_ID": "testing",
                "AWS_SECRET_ACCESS_KEY": "testing",
                "AWS_REGION": "us-east-1",
            }
        finally:
            server.terminate()


@pytest.fixture
def place(storage: dict[str, str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """An address for a home of the test."""
    for name, text in storage.items():
        monkeypatch.setenv(name, text)
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)
    return f"s3://{BUCKET}/{name}"


def prices(folder: Path, number: int) -> Path:
    """Return a file of one price."""
    path = folder / f"{number}.csv"
    path.write_bytes(price_rows(f"input,{number + 1},per_1m_tokens"))
    return path


def test_an_object_is_made_once(place: str) -> None:
    files = files_at(place)
    assert isinstance(files, ObjectFiles)
    assert files.read("a/b") is None
    assert files.names("a") == []
    assert files.create("a/b", b"1")
    assert not files.create("a/b", b"2")
    assert files.create("a/c", b"33")
    assert files.read("a/b") == b"1"
    assert list(files.read_each(["a/c", "a/x", "a/b"])) == [b"33", None, b"1"]
    assert files.sizes("a") == {"a/b": 1, "a/c": 2}
    files.remove("a/b")
    assert files.names("") == ["a/c"]


def test_what_the_storage_says_is_an_error_of_a_disk(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="nowhere"):
        files_at("s3://nowhere/home").create("a", b"")
    assert files_at(place).read("home.toml") is None
    with pytest.raises(LedgerError, match="not a home"):
        Home.open(place)


def test_a_chain_is_one_list(place: str) -> None:
    one, two = (Chain(files_at(place), "numbers") for _ in range(2))
    for number in range(6):
        (one, two)[number % 2].append(lambda there: {"n": len(there)})
    assert [entry.fields["n"] for entry in Chain(files_at(place), "numbers").entries()] == list(range(6))


CODE = """
import sys, pathlib, datetime
from tokenindex.home import Home
at = datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC)
home = Home.open(sys.argv[1])
for file in sys.argv[2:]:
    home.ingest(pathlib.Path(file), adapter_name='prices', source='s', seen_at=at, known_at=at)
"""


@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_lose_nothing(place: str, tmp_path: Path, kind: str) -> None:
    if kind == "delta":
        pytest.importorskip("deltalake")
    Home.init(place, store=kind)
    names = [str(prices(tmp_path, number)) for number in range(12)]
    # some of the same files, some of their own
    parts = (names[:8], names[4:])
    started = [subprocess.Popen([sys.executable, "-c", CODE, place, *part], env=dict(os.environ)) for part in parts]
    assert [process.wait(timeout=180) for process in started] == [0, 0]
    home = Home.open(place)
    assert len(home.captures()) == len(names)
    expected = home.inputs().observations
    assert sorted(expected["price"].cast(int)) == list(range(1, 13))
    assert home.store
    assert len(home.store.batches()) == len(names)
    pinned = home.store.snapshot()["tables"]
    home.store.compact(home.current())
    again = Home.open(place)
    assert again.inputs().observations.sort("price").equals(expected.sort("price"))
    assert again.store
    assert again.store.snapshot()["tables"] == pinned
    if kind == "parquet":
        assert len(home.files.names("store/observations")) == 1


def test_both_stores_of_a_storage_pin_the_same(place: str, tmp_path: Path) -> None:
    pytest.importorskip("deltalake")
    pinned = []
    for kind in KINDS:
        home = Home.init(f"{place}-{kind}", store=kind)
        for number in range(3):
            at = SEEN + timedelta(days=number)
            home.ingest(prices(tmp_path, number), adapter_name="prices", source="s", seen_at=at, known_at=at)
        assert home.store
        pinned.append(home.store.snapshot()["tables"])
    assert pinned[0] == pinned[1]
