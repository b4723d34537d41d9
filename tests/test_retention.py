"""Retention: what is removed after the years, what stays, and what a removed capture is from then on."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from conftest import price_rows, tree

from tokenindex import cli
from tokenindex.errors import LedgerError, VerificationError
from tokenindex.files import LocalFiles
from tokenindex.home import Home
from tokenindex.publication import publish
from tokenindex.records import Record
from tokenindex.retention import due, retire
from tokenindex.verification import reproduce, verify

AT = datetime(2026, 7, 1, tzinfo=UTC)


def seen(home: Home, folder: Path, price: int, *days: date) -> str:
    """Ingest a file of one price as seen on some days, and return its digest."""
    file = folder / f"{price}.csv"
    file.write_bytes(price_rows(f"input,{price},per_1m_tokens").replace(b"2026-06-01", b"2014-01-01"))
    for day in days:
        at = datetime(day.year, day.month, day.day, tzinfo=UTC)
        assert home.ingest(file, adapter_name="prices", source="s", seen_at=at, known_at=at)
    (sha256,) = {c.sha256 for c in home.captures() if c.seen_at.date() == days[0]}
    return sha256


@pytest.fixture(params=["parquet", "delta"])
def aged(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """A home with captures of many years: 1 is old, 2 was seen again, 3 is named by a record, 4 is new."""
    if request.param == "delta":
        pytest.importorskip("deltalake")
    home = Home.init(tmp_path / "aged", store=request.param)
    digests = [
        seen(home, tmp_path, 1, date(2015, 1, 1)),
        seen(home, tmp_path, 2, date(2015, 1, 2), date(2024, 1, 2)),
        seen(home, tmp_path, 3, date(2015, 1, 3)),
        seen(home, tmp_path, 4, date(2025, 1, 4)),
    ]
    for day, named in (("2016-01-01", digests[:2]), ("2025-01-01", digests[2:3])):
        path = home.path / f"records/tix/{day}_0123456789abcdef.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"captures": [{"sha256": sha256} for sha256 in named]}))
    return home


def prices(home: Home) -> list[int]:
    """Return the prices in the input tables."""
    return sorted(home.inputs().observations["price"].cast(int))


def test_what_was_of_no_use_for_the_years_is_removed(aged: Home) -> None:
    assert prices(aged) == [1, 2, 2, 3, 4]
    before = tree(aged.path)
    found = due(aged, years=5, at=AT)
    assert tree(aged.path) == before
    assert [name.rpartition("_")[2] for name in found.captures.values()] == ["1.csv"]
    assert found.horizon == datetime(2021, 7, 1, tzinfo=UTC)
    assert retire(aged, years=5, at=AT) == found
    (gone,) = found.captures
    for home in (aged, Home.open(aged.path)):
        assert prices(home) == [2, 2, 3, 4]
        assert home.content(gone) is None
        assert len(home.captures()) == 5
        assert len(home.seen.held()) == 4
        assert home.store
        assert len(home.store.batches()) == 4
        assert home.store.read(home.current()).batches == set(home.current())
    assert not [name for name in tree(aged.path) if name.endswith("_1.csv")]
    assert due(aged, years=5, at=AT).captures == {}
    again = tree(aged.path)
    retire(aged, years=5, at=AT)
    assert tree(aged.path) == again


def test_the_records_of_the_period_count_and_no_others(aged: Home) -> None:
    assert len(due(aged, years=10, at=AT).captures) == 1
    assert len(due(aged, years=11, at=datetime(2027, 1, 1, tzinfo=UTC)).captures) == 0  # named in 2016
    assert len(due(aged, years=5, at=datetime(2030, 1, 3, tzinfo=UTC)).captures) == 3
    assert due(aged, years=6, at=datetime(2028, 2, 29, tzinfo=UTC)).horizon == datetime(2022, 2, 28, tzinfo=UTC)


def test_less_than_five_years_is_refused(aged: Home) -> None:
    for years in (4, 0, -1):
        with pytest.raises(LedgerError, match="less than must be kept"):
            retire(aged, years=years, at=AT)
    assert prices(aged) == [1, 2, 2, 3, 4]


def test_a_date_before_the_horizon_is_not_determined_from_what_is_left(aged: Home) -> None:
    aged.inputs(since=date(2015, 6, 1))
    retire(aged, years=5, at=AT)
    with pytest.raises(LedgerError, match="last of use before 2021-07-01 were retired"):
        aged.inputs(since=date(2021, 6, 30))
    aged.inputs(since=date(2021, 7, 1))


def test_bytes_that_are_seen_again_are_there_again(aged: Home, tmp_path: Path) -> None:
    (gone,) = retire(aged, years=5, at=AT).captures
    home = Home.open(aged.path)
    assert seen(home, tmp_path, 1, date(2026, 7, 2)) == gone
    for one in (home, Home.open(aged.path)):
        assert prices(one) == [1, 2, 2, 3, 4]
        assert one.content(gone)
        assert len(one.captures()) == 6
        assert len(one.seen.held()) == 5
    # running it again takes nothing of it away
    retire(home, years=5, at=datetime(2026, 7, 3, tzinfo=UTC))
    assert prices(home) == [1, 2, 2, 3, 4]


def test_a_retirement_that_is_killed_is_finished_by_the_next(aged: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(LocalFiles, "remove", killed)
        retire(aged, years=5, at=AT)
    home = Home.open(aged.path)
    assert prices(home) == [2, 2, 3, 4]
    assert [name for name in tree(aged.path) if name.endswith("_1.csv")]
    retire(home, years=5, at=AT)
    assert prices(home) == [2, 2, 3, 4]
    assert not [name for name in tree(aged.path) if name.endswith("_1.csv")]


def test_a_record_that_needs_a_retired_capture_says_so(sample: Home, tmp_path: Path) -> None:
    shutil.copytree(sample.path, tmp_path / "home")
    home = Home.open(tmp_path / "home")
    published = datetime(2026, 7, 1, 1, tzinfo=UTC)
    (entry,) = publish(home, ["anthropic-output"], days=[date(2026, 6, 24)], at=published, key=None)
    record = home.record_of(entry)
    named = {fact["sha256"] for fact in record.document["captures"]}
    # captures are known at midnight and named by an entry of an hour later
    early = published.replace(year=2031, hour=0, minute=30)
    assert named.isdisjoint(due(home, years=5, at=early).captures)
    retire(home, years=5, at=early)
    assert list(verify(record.content, evidence=home.evidence()))
    retire(home, years=5, at=early + timedelta(hours=1))
    assert home.seen.held() == []
    with pytest.raises(LedgerError, match="retired on 2031-07-01, after 5 years"):
        list(verify(record.content, evidence=home.evidence()))
    with pytest.raises(VerificationError, match="retired on 2031-07-01"):
        list(reproduce([Record(record.content)], evidence=home.evidence()))
    assert home.inputs().observations.is_empty()


def test_commands(aged: Home, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: object) -> tuple[int, Any, str]:
        code = cli.main([*map(str, words), "--home", str(aged.path), "--json"])
        out, err = capsys.readouterr()
        return code, json.loads(out), err

    before = tree(aged.path)
    code, found, _ = run("retain", "--years", 5, "--at", "2026-07-01", "--dry-run")
    assert (code, found["dry_run"], len(found["captures"]), len(found["batches"])) == (0, True, 1, 1)
    assert run("retain", "--years", 4, "--at", "2026-07-01")[0] == 7
    assert run("retain", "--years", 5, "--at", "2999-07-01")[0] == 7
    assert tree(aged.path) == before
    code, found, _ = run("store")
    assert (code, found["batches"], found["missing"], found["damaged"]) == (0, 5, 0, [])
    assert found["tables"]["observations"]["rows"] == 5
    assert found["files"] >= 5
    pinned = found["tables"]
    assert run("compact")[1]["removed"] >= 5
    code, found, _ = run("store")
    assert found["tables"] == pinned
    code, found, _ = run("retain", "--years", 5, "--at", "2026-07-01")
    assert (code, found["dry_run"], len(found["captures"])) == (0, False, 1)
    assert run("store")[1]["tables"]["observations"]["rows"] == 4
    assert cli.main(["store", "--home", str(aged.path)]) == 0
    assert "observations" in capsys.readouterr().out
    assert cli.main(["compact", "--home", str(aged.path)]) == 0
    assert cli.main(["retain", "--home", str(aged.path), "--years", "9", "--at", "2026-07-01"]) == 0


def test_a_home_without_a_store_has_nothing_to_describe(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["store", "--home", str(home.path)]) == 4
    assert "store =" in capsys.readouterr().err
    assert cli.main(["compact", "--home", str(home.path)]) == 0
    assert cli.main(["store"]) == 4
