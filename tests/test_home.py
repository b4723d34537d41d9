"""The home folder: whole or untouched, whatever is put into it and whenever it is interrupted."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from conftest import DAY, RATES, SEEN, made, price_rows, relist, tree

from tokenindex.adapters import Parsed, adapter
from tokenindex.captures import moment
from tokenindex.chains import Chain
from tokenindex.determination import determine
from tokenindex.errors import AdapterError, InputDataError, LedgerError, TokenIndexError
from tokenindex.files import LocalFiles
from tokenindex.home import Home
from tokenindex.inputs import Inputs
from tokenindex.records import record
from tokenindex.registers import read_registry
from tokenindex.verification import verify

FACTS: dict[str, Any] = {"adapter_name": "prices", "source": "models.dev", "seen_at": SEEN, "known_at": SEEN}
LITELLM = b'{"gpt-4o": {"litellm_provider": "openai", "mode": "chat", "input_cost_per_token": 2.5e-06}}\n'
TABLES = ("observations", "volumes", "sightings", "rates", "registry")


def same(a: Inputs, b: Inputs) -> bool:
    """Return whether two homes give the same input tables."""
    return all(getattr(a, name).equals(getattr(b, name)) for name in TABLES)


def unread(name: str) -> Any:
    """Return an adapter that must not be asked."""

    def parse(*_: object) -> Parsed:
        raise AssertionError("a capture was parsed")

    return replace(adapter(name), parse=parse)


def parsed_anew(home: Home) -> Inputs:
    """Return the input tables of the captures of a home as if it had no store."""
    without = Home(home.files)
    without.__dict__["store"] = None
    return without.inputs()


def stored_batches(home: Home) -> set[str]:
    """Return the batches of the store of a home as it is now."""
    store = Home(home.files).store
    assert store
    return set(store.batches())


def files(home: Home) -> dict[str, str]:
    """Return the digests of the files that a home shows: those that its list names, and the list."""
    listed = (
        {f"captures/{c.name}" for c in home.captures()} | {"registry.csv", "home.toml"} | set(home.files.names("looks"))
    )
    return {name: digest for name, digest in tree(home.path).items() if name in listed}


# opening and making ----------------------------------------------------------------------------------------------


def test_a_new_home_is_empty_and_opens(empty: Home) -> None:
    home = Home.open(empty.path)
    assert home.captures() == []
    assert home.known_at is None
    assert home.inputs().observations.is_empty()
    assert len(home.registry) == len(Home.sample().registry)


def test_a_home_is_made_only_where_nothing_is(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    assert Home.init(tmp_path / "there").captures() == []
    with pytest.raises(LedgerError, match="not empty"):
        Home.init(tmp_path / "there")
    with pytest.raises(LedgerError, match="not a home"):
        Home.open(tmp_path)


# bytes that are stored -------------------------------------------------------------------------------------------


def test_the_same_bytes_are_stored_once(empty: Home, prices: Path, tmp_path: Path) -> None:
    assert empty.ingest(prices, **FACTS)
    before = tree(empty.path)
    assert empty.ingest(prices, **FACTS) is None
    again = tmp_path / "other name.csv"
    again.write_bytes(prices.read_bytes())
    assert empty.ingest(again, **FACTS) is None
    assert tree(empty.path) == before


def test_bytes_seen_again_are_listed_again_and_stored_once(empty: Home, tmp_path: Path) -> None:
    """A price list that did not change is still on offer: the second look counts, and withdraws nothing."""
    listed = tmp_path / "models.json"
    prices_ = {"prompt": "0.000001", "completion": "0.000005"}
    listed.write_text(json.dumps({"data": [{"id": "anthropic/claude-haiku-4.5", "pricing": prices_}]}))
    look = {"adapter_name": "openrouter-models", "source": "openrouter-models"}
    for seen in (datetime(2026, 6, 1, 9, tzinfo=UTC), datetime(2026, 6, 5, 9, tzinfo=UTC)):
        assert empty.ingest(listed, **look, seen_at=seen, known_at=seen)
    assert len(list((empty.path / "captures").iterdir())) == 1
    assert [c.seen_at.day for c in empty.captures()] == [1, 5]
    inputs, days = empty.inputs(), [date(2026, 6, 4), date(2026, 6, 6)]
    found = determine(empty.methodology("tix", days[-1]), inputs, dates=days, known_at=None)
    for day in days:
        used = found.observations_on(day).filter(pl.col("excluded_by").is_null())
        assert used["component"].sort().to_list() == ["input", "output"]
    first, second = (record(found, day, inputs=inputs, captures=empty.captures()) for day in days)
    assert [len(r.document["captures"]) for r in (first, second)] == [1, 2]
    for one in (first, second):
        assert len(list(verify(one.content, evidence=empty.evidence()))) == 9


def test_a_file_of_which_no_row_can_be_read_is_not_stored(empty: Home, prices: Path) -> None:
    before = tree(empty.path)
    prices.write_bytes(price_rows("input,free,per_1m_tokens", "output,,per_moon"))
    with pytest.raises(InputDataError, match="all 2 rows were rejected: not_a_price, unknown_unit"):
        empty.ingest(prices, **FACTS)
    assert tree(empty.path) == before


def test_a_capture_is_kept_byte_for_byte(empty: Home, prices: Path) -> None:
    empty.ingest(prices, **FACTS, licence="MIT", reference='say "hello", again')
    (capture,) = Home.open(empty.path).captures()
    assert (capture.licence, capture.reference) == ("MIT", 'say "hello", again')
    assert capture.sha256 == hashlib.sha256(prices.read_bytes()).hexdigest()
    assert empty.content(capture.sha256) == prices.read_bytes()
    assert empty.content("0" * 64) is None
    assert empty.capture(capture.sha256) == capture


@pytest.mark.parametrize(
    ("name", "content", "adapter_name"),
    [
        ("empty.csv", b"", "prices"),
        ("blank.csv", b"\n\n\n", "prices"),
        ("truncated in a line.csv", price_rows("input,3,per_1m_tokens")[:-20], "prices"),
        ("truncated in the header.csv", price_rows()[:40], "prices"),
        ("a column twice.csv", price_rows("input,3,per_1m_tokens").replace(b",tax,", b",unit,"), "prices"),
        ("an unknown column.csv", price_rows("input,3,per_1m_tokens").replace(b",tax,", b",tacks,"), "prices"),
        ("utf-16.csv", price_rows("input,3,per_1m_tokens").decode().encode("utf-16"), "prices"),
        ("latin-1.csv", price_rows("input,3,per_1m_tokens").replace(b"claude", b"cl\xe4ude"), "prices"),
        ("other rows.csv", price_rows("input,3,per_1m_tokens"), "volumes"),
        ("other rows.csv", RATES.encode() + b"ecb,EUR,USD,2026-06-01,1.1,2026-06-01\n", "prices"),
        ("html.json", b"<html><body>503</body></html>", "litellm"),
        ("truncated.json", LITELLM[:-9], "litellm"),
        ("list.json", b"[1, 2, 3]\n", "litellm"),
        ("number.json", b"7\n", "openrouter-models"),
        ("empty.json", b"", "openrouter-rankings"),
        ("utf-16.json", LITELLM.decode().encode("utf-16"), "litellm"),
        ("deep.json", b"[" * 100_000, "models-dev"),
        ("litellm.json", LITELLM, "openrouter-models"),
        ("litellm.json", LITELLM, "openrouter-rankings"),
        ("litellm.json", LITELLM, "ecb"),
        ("litellm.json", LITELLM, "prices"),
        ("not parquet.csv", b"PAR1" + b"\0" * 40 + b"PAR1", "prices"),
        ("rates.zip", b"PK\x03\x04" + b"\0" * 60, "ecb"),
    ],
)
def test_a_file_that_cannot_be_read_leaves_the_home_as_it_was(
    home: Home, tmp_path: Path, name: str, content: bytes, adapter_name: str
) -> None:
    before = tree(home.path)
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(InputDataError) as found:
        home.ingest(file, **FACTS | {"adapter_name": adapter_name})
    assert name in found.value.where
    assert tree(home.path) == before


def test_facts_that_cannot_be_listed_leave_the_home_as_it_was(home: Home, prices: Path, tmp_path: Path) -> None:
    before = tree(home.path)
    for key in ("source", "licence", "reference"):
        for text in ("a\nb", "a\rb", "a\0b", "a\ud800b"):
            with pytest.raises(InputDataError, match="not printable"):
                home.ingest(prices, **FACTS | {key: text})
    with pytest.raises(AdapterError, match="prices"):
        home.ingest(prices, **FACTS | {"adapter_name": "price"})
    with pytest.raises(FileNotFoundError):
        home.ingest(tmp_path / "nowhere", **FACTS)
    assert tree(home.path) == before


@pytest.mark.parametrize("name", ["a,b.csv", 'a"b.csv', "a\nb.csv", "a\rb.csv", "é" * 100, "x" * 255, "価格.csv", " "])
def test_any_file_name_can_be_stored(empty: Home, tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(price_rows("input,3,per_1m_tokens"))
    assert empty.ingest(file, **FACTS)
    (capture,) = Home.open(empty.path).captures()
    assert empty.content(capture.sha256) == file.read_bytes()


@pytest.mark.parametrize(
    "seen_at",
    [
        datetime(2026, 6, 20, 12, 30, 15, 123456, tzinfo=UTC),
        datetime(2026, 6, 20, 23, 30, tzinfo=timezone(timedelta(hours=-8))),
        datetime(999, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    ],
)
def test_moments_are_kept_exactly(empty: Home, tmp_path: Path, seen_at: datetime) -> None:
    file = tmp_path / "litellm.json"
    file.write_bytes(LITELLM)
    parsed = empty.ingest(file, **FACTS | {"adapter_name": "litellm", "seen_at": seen_at, "known_at": seen_at})
    assert parsed
    home = Home.open(empty.path)
    (capture,) = home.captures()
    assert (capture.seen_at, capture.known_at) == (seen_at, seen_at)
    assert capture.seen_at.utcoffset() == timedelta(0)
    stored = home.inputs()
    assert same(stored, parsed_anew(home))
    assert len(stored.observations) == 1


def test_a_moment_without_a_zone_is_refused(empty: Home, prices: Path) -> None:
    before = tree(empty.path)
    for key in ("seen_at", "known_at"):
        with pytest.raises(ValueError, match="zone"):
            empty.ingest(prices, **FACTS | {key: datetime(2026, 6, 20)})  # noqa: DTZ001
    assert tree(empty.path) == before


def test_stored_rows_are_the_captures_parsed_again(
    empty: Home, sample: Home, inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for capture in sample.captures():
        facts: dict[str, Any] = {"source": capture.source, "seen_at": capture.seen_at, "known_at": capture.known_at}
        facts |= {"licence": capture.licence, "reference": capture.reference}
        empty.ingest(sample.path / "captures" / capture.name, adapter_name=capture.adapter, **facts)
    assert same(parsed_anew(empty), inputs)
    with monkeypatch.context() as patch:  # nothing is parsed
        patch.setattr("tokenindex.home.adapter", unread)
        assert same(empty.inputs(), inputs)
        assert same(Home.open(empty.path).inputs(), inputs)
    shutil.rmtree(empty.path / "store")
    shutil.rmtree(empty.path / "batches")
    assert same(Home.open(empty.path).inputs(), inputs)
    with monkeypatch.context() as patch:  # they were stored again
        patch.setattr("tokenindex.home.adapter", unread)
        assert same(Home.open(empty.path).inputs(), inputs)


def test_tables_of_another_adapter_version_are_made_again(
    empty: Home, prices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty.ingest(prices, **FACTS)

    def newer(name: str) -> Any:
        found = adapter(name)
        return replace(
            found,
            version="next",
            parse=lambda content, facts: found.parse(b"\n".join(content.split(b"\n")[:2]) + b"\n", facts),
        )

    assert len(empty.inputs().observations) == 2
    with monkeypatch.context() as patch:
        patch.setattr("tokenindex.home.adapter", newer)
        assert len(empty.inputs().observations) == 1
        assert len(Home.open(empty.path).inputs().observations) == 1
    # rows of the other version stay
    assert len(list((empty.path / "store/observations").iterdir())) == 2
    monkeypatch.setattr("tokenindex.home.adapter", unread)
    assert len(empty.inputs().observations) == 2


def test_rows_that_are_not_as_they_were_written_are_made_again(
    empty: Home, prices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store may be lost or spoilt; no row is."""
    empty.ingest(prices, **FACTS)
    good = empty.inputs()
    (path,) = (empty.path / "store/observations").iterdir()
    whole = path.read_bytes()
    other = io.BytesIO()
    pl.read_parquet(path).with_columns(pl.col("price") + 1).write_parquet(other)
    cut = bytes([*whole[:-99], whole[-99] ^ 1, *whole[-98:]])
    for spoilt in (None, b"", whole[:-7], b"junk", cut, b"PAR1" + b"\0" * 40 + b"PAR1", other.getvalue()):
        path.unlink(missing_ok=True)
        if spoilt is not None:
            path.write_bytes(spoilt)
        home = Home.open(empty.path)
        assert same(home.inputs(), good)
        with monkeypatch.context() as patch:  # they were stored again, beside what is spoilt
            patch.setattr("tokenindex.home.adapter", unread)
            assert same(home.inputs(), good)
            assert same(Home.open(empty.path).inputs(), good)
        path = max((empty.path / "store/observations").iterdir(), key=lambda file: file.stat().st_mtime_ns)


def test_a_changed_byte_of_a_capture_is_refused_with_rows_in_the_store_or_without(empty: Home, prices: Path) -> None:
    empty.ingest(prices, **FACTS)
    (capture,) = empty.captures()
    path = empty.path / "captures" / capture.name
    path.write_bytes(path.read_bytes().replace(b",3,", b",4,"))
    for _ in range(2):
        with pytest.raises(InputDataError, match="hashes to") as found:
            Home.open(empty.path).inputs()
        assert found.value.expected == capture.sha256
        shutil.rmtree(empty.path / "store", ignore_errors=True)
    path.unlink()
    with pytest.raises(InputDataError, match="gone"):
        Home.open(empty.path).inputs()
    assert empty.content(capture.sha256) is None


# interruptions ---------------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process ended here."""


class Death:
    """Ends the process, as far as the disk can tell, at the n-th operation that changes the disk, and at all later ones.

    A file that is being written is cut in half.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = 10**9
        for owner, name in (
            (os, "link"),
            (pathlib.Path, "unlink"),
            (pathlib.Path, "mkdir"),
            (os, "fsync"),
            (os, "open"),
            (shutil, "copyfile"),
            (shutil, "rmtree"),
        ):
            monkeypatch.setattr(owner, name, self.deadly(getattr(owner, name)))
        opened = pathlib.Path.open

        def half_written(path: Path, mode: str = "r", *rest: Any, **named: Any) -> Any:
            if "w" not in mode:
                return opened(path, mode, *rest, **named)
            self.step()
            file: Any = opened(path, mode, *rest, **named)
            write = file.write

            class Half:
                def __enter__(self) -> Any:
                    return self

                def __exit__(self, *_: object) -> None:
                    file.close()

                def __getattr__(self, name: str) -> Any:
                    return getattr(file, name)

                def write(half, content: bytes) -> int:  # noqa: N805
                    write(content[: len(content) // 2])
                    self.step()
                    return int(write(content[len(content) // 2 :]))

            return Half()

        monkeypatch.setattr(pathlib.Path, "open", half_written)

    def step(self) -> None:
        """Count one operation."""
        self.left -= 1
        if self.left < 0:
            raise Killed

    def deadly(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        """Return an operation that is counted."""

        def counted(*arguments: Any, **named: Any) -> Any:
            self.step()
            return operation(*arguments, **named)

        return counted


def test_an_ingest_that_is_killed_anywhere_shows_nothing_and_can_be_repeated(
    tmp_path: Path, prices: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tmp_path / "first.csv"
    first.write_bytes(price_rows("cache_read,1,per_1m_tokens"))
    clean = Home.init(tmp_path / "clean", store="parquet")
    clean.ingest(first, **FACTS)
    shutil.copytree(clean.path, tmp_path / "start")
    before, shown = clean.inputs(), files(clean)
    clean.ingest(prices, **FACTS)
    after, whole = clean.inputs(), files(clean)
    assert not same(before, after)
    copytree, rmtree = shutil.copytree, shutil.rmtree
    death = Death(monkeypatch)
    points = 0
    while True:
        death.left = 10**9
        home = Home(LocalFiles(tmp_path / f"killed at {points}"))
        copytree(tmp_path / "start", home.path)
        death.left = points
        try:
            home.ingest(prices, **FACTS)
        except Killed:
            points += 1
        else:
            break
        death.left = 10**9
        again = Home.open(home.path)
        stored = files(again) == whole
        assert files(again) == (whole if stored else shown)
        assert same(again.inputs(), after if stored else before)
        found = again.ingest(prices, **FACTS)
        assert (found is None) == stored
        assert files(Home.open(home.path)) == whole
        assert same(Home.open(home.path).inputs(), after)
        assert same(parsed_anew(home), after)
        assert set(Home.open(home.path).current()) <= stored_batches(home)
        rmtree(home.path / "store")
        assert same(Home.open(home.path).inputs(), after)
    assert points > 25


def test_a_compaction_that_is_killed_anywhere_changes_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = Home.init(tmp_path / "start", store="parquet")
    for price in (1, 2, 3):
        file = tmp_path / f"{price}.csv"
        file.write_bytes(price_rows(f"input,{price},per_1m_tokens"))
        start.ingest(file, **FACTS)
        if price == 2:
            assert start.store
            start.store.compact(start.current())
    expected = start.inputs()
    copytree = shutil.copytree
    death = Death(monkeypatch)
    points = 0
    while True:
        death.left = 10**9
        home = Home(LocalFiles(tmp_path / f"killed at {points}"))
        copytree(start.path, home.path)
        assert home.store
        death.left = points
        try:
            home.store.compact(home.current())
        except Killed:
            points += 1
        else:
            break
        death.left = 10**9
        again = Home.open(home.path)
        assert same(again.inputs(), expected)
        assert again.store
        again.store.compact(again.current())
        assert same(Home.open(home.path).inputs(), expected)
        assert len(list((home.path / "store/observations").glob("*.parquet"))) == 1
        assert stored_batches(home) == set(again.current())
    assert points > 12


def test_a_killed_ingest_leaves_nothing_to_one_with_another_adapter(
    empty: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "figures.csv"
    file.write_bytes(price_rows("input,3,per_1m_tokens"))

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Chain, "append", killed)
        empty.ingest(file, **FACTS)
    # the same bytes, read as something else: nothing of the first reading may be left
    other = replace(adapter("prices"), parse=lambda content, facts: adapter("rates").parse(RATES.encode(), facts))
    monkeypatch.setattr("tokenindex.home.adapter", lambda _: other)
    empty.ingest(file, **FACTS)
    assert empty.inputs().observations.is_empty()


def test_a_home_that_is_killed_while_it_is_made_is_no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    death = Death(monkeypatch)
    points = 0
    while True:
        path = tmp_path / f"home {points}"
        death.left = points
        try:
            Home.init(path)
        except Killed:
            points += 1
            death.left = 10**9
            if (path / "home.toml").exists():
                assert Home.open(path).inputs().observations.is_empty()
            else:
                with pytest.raises(LedgerError):
                    Home.open(path)
        else:
            break
    assert points > 8


def test_a_record_that_is_killed_while_it_is_stored_is_whole_or_absent(
    home: Home, small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    death = Death(monkeypatch)
    points = 0
    while True:
        death.left = points
        try:
            path = home.save(small)
            break
        except Killed:
            points += 1
            death.left = 10**9
            for found in home.path.glob("records/*/*.json"):
                assert found.read_bytes() == small.content
            for kept in home.path.glob("registries/*.csv"):
                assert kept.read_bytes() == (home.path / "registry.csv").read_bytes()
    assert home.files.read(path) == small.content
    assert points > 5
    death.left = 10**9
    assert home.save(small) == path


@pytest.mark.parametrize("programs", [4])
def test_programs_that_ingest_at_the_same_time_lose_nothing(empty: Home, tmp_path: Path, programs: int) -> None:
    code = (
        "import sys, pathlib, datetime\nfrom tokenindex.home import Home\n"
        "at = datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC)\n"
        "home = Home.open(sys.argv[1])\n"
        "for file in sys.argv[2:]:\n"
        "    home.ingest(pathlib.Path(file), adapter_name='prices', source='s', seen_at=at, known_at=at)\n"
    )
    names = []
    for n in range(programs * 4):
        file = tmp_path / f"{n}.csv"
        file.write_bytes(price_rows(f"input,{n + 1},per_1m_tokens"))
        names.append(str(file))
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(empty.path), *names[k::programs]]) for k in range(programs)
    ]
    assert [program.wait(timeout=60) for program in started] == [0] * programs
    assert len(Home.open(empty.path).captures()) == len(names)
    assert len(Home.open(empty.path).inputs().observations) == len(names)


# registry and settings -------------------------------------------------------------------------------------------

REGISTRY = "source,provider,model,vendor,constituent,kind,host,valid_from,valid_to,reference\n"


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("s,p,m,v,v/m,text,seller,,,why", "column host holds 'seller'"),
        ("s,p,m,v,v/m,text,,,,why", "column host holds None"),
        ("s,p,m,v,,text,vendor,,,why", "column constituent holds None"),
        ("s,p,m,v,v/m,text,vendor,1.6.2026,,why", "column valid_from holds '1.6.2026'"),
        ("s,p,m,v,v/m,text,vendor,2026-02-30,,why", "column valid_from"),
        ("s,p,m,v,v/m,text,vendor,,,why,more", "registry"),
    ],
)
def test_a_wrong_registry_is_named_by_line_and_column(tmp_path: Path, row: str, said: str) -> None:
    path = tmp_path / "registry.csv"
    path.write_text(REGISTRY + "s,p,n,v,v/n,text,vendor,,,why\n" + row + "\n")
    with pytest.raises(InputDataError, match="registry") as found:
        read_registry(path.read_bytes(), where="registry.csv")
    assert said in str(found.value)
    path.write_text(REGISTRY.replace("host", "hosts"))
    with pytest.raises(InputDataError, match="the columns are"):
        read_registry(path.read_bytes(), where="registry.csv")


def test_a_registry_that_contradicts_itself_stops_the_fixing(home: Home) -> None:
    path = home.path / "registry.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[1], ""]))
    with pytest.raises(InputDataError, match="twice at the same time"):
        made(Home.open(home.path), "tix")
    path.write_text("\n".join([*lines, "s,p,m,v,v/m,text,vendor,2026-06-02,2026-06-01,why", ""]))
    with pytest.raises(InputDataError, match="not after its first"):
        made(Home.open(home.path), "tix")


def test_more_constituents_than_the_bounds_of_exact_sums_allow_are_refused(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tokenindex.inputs.ROWS_MAX", 3)
    with pytest.raises(InputDataError, match="at most 3"):
        made(home, "tix")


def test_the_registry_of_a_record_is_kept_when_the_registry_changes(home: Home, small: Any) -> None:
    home.save(small)
    path = home.path / "registry.csv"
    path.write_text(
        "\n".join(line for line in path.read_text().split("\n") if "anthropic/claude-haiku-4.5" not in line)
    )
    changed = Home.open(home.path)
    digest = small.document["registry"]
    evidence = changed.evidence()
    kept = evidence.registry(digest)
    assert kept is not None
    assert kept.equals(home.registry)
    assert made(changed, "anthropic-output").document["registry"] != digest
    for hostile in ("", "0" * 64, "../registry", "/etc/passwd", "a\0b", "x" * 10_000, digest.upper()):
        assert evidence.registry(hostile) is None
    next((home.path / "registries").iterdir()).write_text(REGISTRY)
    assert evidence.registry(digest) is None


def test_a_home_elsewhere_gives_the_same_records(home: Home, small: Any, tmp_path: Path) -> None:
    assert made(home, "anthropic-output").content == small.content
    (tmp_path / "deep" / "er").mkdir(parents=True)
    shutil.move(home.path, tmp_path / "deep" / "er" / "ü home")
    assert made(Home.open(tmp_path / "deep" / "er" / "ü home"), "anthropic-output").content == small.content


def test_the_order_of_the_list_does_not_matter(home: Home, small: Any) -> None:
    relist(home, lambda looks: looks[::-1])
    assert made(Home.open(home.path), "anthropic-output").content == small.content


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-06-20", datetime(2026, 6, 20, tzinfo=UTC)),
        ("2026-06-20T12:00:00Z", datetime(2026, 6, 20, 12, tzinfo=UTC)),
        ("2026-06-20T12:00:00.5+08:00", datetime(2026, 6, 20, 4, 0, 0, 500000, tzinfo=UTC)),
        ("2026-06-20T12:00:00", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("2026-13-01", None),
        ("now", None),
        ("", None),
    ],
)
def test_moments(text: str, found: datetime | None) -> None:
    if found:
        assert moment(text) == found
    else:
        with pytest.raises(ValueError, match=r"moment|iso|zone|month"):
            moment(text)


def test_every_listed_fact_must_be_readable(empty: Home, prices: Path) -> None:
    empty.ingest(prices, **FACTS)
    for change in ({"seen_at": "soon"}, {"seen_at": "2026-07-01T00:00:00"}, {"seen_at": None}):
        relist(empty, lambda looks, change=change: [look | change for look in looks])  # type: ignore[misc]
        with pytest.raises(TokenIndexError, match="looks entry 1"):
            Home.open(empty.path).captures()


def test_inputs_have_the_types_of_the_tables(inputs: Inputs) -> None:
    assert inputs.observations.schema["price"] == pl.Decimal(38, 24)
    assert {str(c) for c in inputs.observations["capture"].unique()} <= {c.sha256 for c in Home.sample().captures()}
    assert DAY.year == 2026
