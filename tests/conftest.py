"""Fixtures that several test files share: the sample home, its inputs, and homes that a test may write to."""

from __future__ import annotations

import csv
import hashlib
import io
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tokenindex.chains import entry
from tokenindex.determination import determine
from tokenindex.home import Home
from tokenindex.inputs import Inputs
from tokenindex.records import Record, record

settings.register_profile("tokenindex", deadline=None, derandomize=True)
settings.load_profile("tokenindex")

DAY = date(2026, 6, 25)
SEEN = datetime(2026, 7, 1, tzinfo=UTC)
PRICES = (
    "source,provider,model,component,service_tier,region,context_from,"
    "price,currency,unit,tax,valid_from,date_kind,known_at"
)
RATES = "source,base,quote,rate_date,rate,known_at\n"


def tree(folder: Path) -> dict[str, str]:
    """Return the digest of every file below a folder, and every folder."""
    files = sorted(folder.rglob("*"))
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else "folder"
        for p in files
    }


def price_rows(*rows: str) -> bytes:
    """Return prices in the project's own form; a row gives component, price, unit, and bracket start if it is not 0."""
    lines = [PRICES]
    for row in rows:
        component, price, unit, start = (*row.split(","), "0")[:4]
        lines.append(
            f"models.dev,anthropic,claude-haiku-4-5-20251001,{component},standard,,{start},{price},USD,{unit},unknown,2026-06-01,"
            "first_seen,2026-06-01"
        )
    return "\n".join([*lines, ""]).encode()


def cut(home: Home, name: str, keep: Callable[[dict[str, str]], bool]) -> None:
    """Leave only some rows of a captured CSV file of a copied home, and list the digest of what is left."""
    path = home.path / "captures" / name
    old = path.read_bytes()
    rows = list(csv.DictReader(io.StringIO(old.decode())))
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row for row in rows if keep(row))
    new = text.getvalue().encode()
    path.write_bytes(new)
    was, now = (hashlib.sha256(content).hexdigest() for content in (old, new))
    assert was in {capture.sha256 for capture in home.captures()}
    relist(home, lambda looks: [look | {"sha256": now} if look["sha256"] == was else look for look in looks])


def relist(home: Home, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    """Write the list of captures of a copied home anew, as an archivist would who begins it again."""
    links = ("looks", "number", "previous")
    facts = [{k: v for k, v in e.fields.items() if k not in links} for e in home.looks.entries()]
    shutil.rmtree(home.path / "looks")
    (home.path / "looks").mkdir()
    last = None
    for fields in change(facts):
        last = entry("looks", last, fields)
        (home.path / "looks" / f"{last.number:08}.json").write_bytes(last.content)
    home.__dict__.pop("seen")


def made(home: Home, index: str, *, day: date = DAY, inputs: Inputs | None = None) -> Record:
    """Return the record of one fixing."""
    inputs = inputs or home.inputs()
    found = determine(home.methodology(index, day), inputs, dates=[day], known_at=home.known_at)
    return record(found, day, inputs=inputs, captures=home.captures())


@pytest.fixture(scope="session")
def sample() -> Iterator[Home]:
    """The home that comes with tokenindex; no test may change it."""
    home = Home.sample()
    before = tree(home.path)
    yield home
    assert tree(home.path) == before


@pytest.fixture(scope="session")
def inputs(sample: Home) -> Inputs:
    """The input tables of the sample."""
    return sample.inputs()


@pytest.fixture(scope="session")
def small(sample: Home, inputs: Inputs) -> Record:
    """A small record of the sample."""
    return made(sample, "anthropic-output", inputs=inputs)


@pytest.fixture(scope="session")
def chained(sample: Home, inputs: Inputs) -> Record:
    """A record with a basket."""
    return made(sample, "tix-cn", inputs=inputs)


@pytest.fixture
def home(sample: Home, tmp_path: Path) -> Home:
    """A copy of the sample that a test may write to."""
    shutil.copytree(sample.path, tmp_path / "home")
    return Home.open(tmp_path / "home")


@pytest.fixture
def empty(tmp_path: Path) -> Home:
    """A home without captures."""
    return Home.init(tmp_path / "empty")


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    """A file of two good prices in the project's own form."""
    path = tmp_path / "prices.csv"
    path.write_bytes(price_rows("input,3,per_1m_tokens", "output,0.000015,per_token"))
    return path


__all__ = ["DAY", "RATES", "SEEN", "cut", "made", "price_rows", "relist", "tree"]
