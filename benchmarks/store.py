"""Measure the store: both kinds against deltalake as it comes and against bare Parquet files, in one run.

    python benchmarks/store.py [--appends N] [--rows N] [--captures N] [--folder FOLDER]

Every batch is appended to all four in turn, so that what else the machine does hits all of them. A bare Parquet file is
written by polars and neither flushed nor listed: what it leaves out is what a store is for. Then all rows, those of one
day, and those known at half of the time are read, before and after a compaction, and must be the same rows in all four. At
the end a home of many small captures is made without parsing them, and opened.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import DeltaTable, write_deltalake

from tokenindex.adapters import Capture, Parsed, adapter
from tokenindex.files import LocalFiles
from tokenindex.home import Home
from tokenindex.store import Batch, Store, open_store

START = datetime(2023, 1, 1, tzinfo=UTC)
ENDS = 50
"""How many appends at the beginning and at the end are compared."""


def batches(count: int, rows: int) -> Iterator[tuple[Batch, Parsed]]:
    """Yield a batch a day of real observations, with the prices and moments of the day."""
    real = Home.sample().inputs().observations
    real = pl.concat([real] * (rows // len(real) + 1))[:rows]
    for day in range(count):
        at = START + timedelta(days=day)
        capture = Capture.of(
            str(day).encode(), name=f"{day}.csv", adapter="prices", source="s", seen_at=at, known_at=at
        )
        day_rows = real.with_columns(
            pl.lit(at).cast(real.schema["known_at"]).alias("known_at"),
            pl.lit(capture.sha256).alias("capture"),
            (pl.col("price") + day).cast(real.schema["price"]).alias("price"),
        )
        yield Batch(capture, "1"), Parsed(observations=day_rows)


class Bare:
    """Parquet files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def append(self, batch: Batch, parsed: Parsed) -> None:
        """Write one file."""
        parsed.observations.write_parquet(self.folder / f"{batch.key[:16]}.parquet", compression="zstd")

    def read(self, since: datetime, until: datetime) -> pl.DataFrame:
        """Return the rows known in a time."""
        return pl.scan_parquet(self.folder / "*.parquet").filter(known(since, until)).collect()

    def compact(self) -> None:
        """Put all files into one."""
        whole = pl.read_parquet(self.folder / "*.parquet")
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        whole.write_parquet(self.folder / "all.parquet", compression="zstd")


class Raw(Bare):
    """A Delta table as deltalake writes it."""

    def append(self, batch: Batch, parsed: Parsed) -> None:
        """Commit one batch."""
        write_deltalake(self.folder, parsed.observations, mode="append")

    def read(self, since: datetime, until: datetime) -> pl.DataFrame:
        """Return the rows known in a time."""
        return pl.scan_delta(str(self.folder)).filter(known(since, until)).collect()

    def compact(self) -> None:
        """Put all files into one."""
        DeltaTable(self.folder).optimize.compact()


class Ours:
    """A store of ours."""

    def __init__(self, kind: str, folder: Path) -> None:
        folder.mkdir()
        self.kind, self.files = kind, LocalFiles(folder)
        self.store: Store = open_store(kind, self.files)
        self.days: dict[str, datetime] = {}

    def append(self, batch: Batch, parsed: Parsed) -> None:
        """Append one batch."""
        self.store.append(batch, parsed)
        self.days[batch.key] = batch.capture.known_at

    def append_anew(self, batch: Batch, parsed: Parsed) -> None:
        """Append one batch as a program that has just begun."""
        open_store(self.kind, self.files).append(batch, parsed)

    def read(self, since: datetime, until: datetime) -> pl.DataFrame:
        """Return the rows known in a time, as a program that has just begun."""
        store = open_store(self.kind, self.files)
        keys = [key for key, day in self.days.items() if since <= day <= until]
        return store.read(keys).frames["observations"]

    def compact(self) -> None:
        """Put small files together."""
        self.store.compact(self.days)


def known(since: datetime, until: datetime) -> pl.Expr:
    """Return whether a row became known in a time."""
    return pl.col("known_at").is_between(pl.lit(since), pl.lit(until))


def took(run: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """Return the least seconds of some runs, and the result."""
    best, found = float("inf"), None
    for _ in range(repeats):
        begin = time.perf_counter()
        found = run()
        best = min(best, time.perf_counter() - begin)
    return best, found


def compare(folder: Path, appends: int, rows: int) -> None:
    """Append to all four and read them."""
    all_four: dict[str, Any] = {
        "bare Parquet": Bare(folder / "bare"),
        "raw deltalake": Raw(folder / "raw"),
        "Parquet store": Ours("parquet", folder / "parquet"),
        "Delta store": Ours("delta", folder / "delta"),
    }
    spent: dict[str, list[float]] = {name: [] for name in all_four}
    for number, (batch, parsed) in enumerate(batches(appends, rows), start=1):
        for name, one in all_four.items():
            spent[name].append(took(partial(one.append, batch, parsed))[0])
        if number % 100 == 0:
            print(f"{number} of {appends}", file=sys.stderr)
    fresh = {}
    last = list(batches(appends + 3, rows))[appends:]
    for name, one in all_four.items():
        if isinstance(one, Ours):
            times = []
            for batch, parsed in last:
                times.append(took(partial(one.append_anew, batch, parsed))[0])
                one.days[batch.key] = batch.capture.known_at
            fresh[name] = min(times)
        else:
            fresh[name] = min(took(partial(one.append, b, p))[0] for b, p in last)
    print(f"| {appends:,} appends of {rows} rows | " + " | ".join(all_four) + " |")
    print("|---" * (1 + len(all_four)) + "|")
    ends = {name: (statistics.median(t[:ENDS]), statistics.median(t[-ENDS:])) for name, t in spent.items()}
    line("append, first and last 50, median ms", {n: f"{a * 1e3:.1f}, {b * 1e3:.1f}" for n, (a, b) in ends.items()})
    line("last over first", {n: f"{b / a:.1f}" for n, (a, b) in ends.items()})
    line("last over raw deltalake's last", {n: f"{b / ends['raw deltalake'][1]:.2f}" for n, (_, b) in ends.items()})
    line("append of a program that has just begun, least of 3, ms", {n: f"{t * 1e3:.1f}" for n, t in fresh.items()})
    line("all appends, s", {n: f"{sum(t):.1f}" for n, t in spent.items()})
    for when in ("", ", compacted"):
        if when:
            line("compaction, s", {n: f"{took(one.compact)[0]:.2f}" for n, one in all_four.items()})
        reads(all_four, appends, when)
        sizes = {n: [p.stat().st_size for p in Path(folder / f).rglob("*") if p.is_file()] for n, f in FOLDERS.items()}
        line(f"files, MB{when}", {n: f"{len(s):,}, {sum(s) / 1e6:.1f}" for n, s in sizes.items()})


FOLDERS = {"bare Parquet": "bare", "raw deltalake": "raw", "Parquet store": "parquet", "Delta store": "delta"}


def reads(all_four: dict[str, Any], appends: int, when: str) -> None:
    """Read all, one day and half, and compare what was read."""
    end, middle = START + timedelta(days=appends + 10), START + timedelta(days=appends // 2)
    for what, since, until in (
        ("all", START, end),
        ("one day", middle, middle),
        ("as of half the time", START, middle),
    ):
        found = {n: took(partial(one.read, since, until), 3) for n, one in all_four.items()}
        sums = {name: (len(frame), frame["price"].sum()) for name, (_, frame) in found.items()}
        if len(set(sums.values())) != 1:
            raise SystemExit(f"the stores do not hold the same rows: {sums}")
        line(f"read {what}, ms{when}", {n: f"{t * 1e3:.0f}" for n, (t, _) in found.items()})


def line(what: str, cells: dict[str, str]) -> None:
    """Print one row of the table."""
    print(f"| {what} | " + " | ".join(cells.values()) + " |", flush=True)


def many(folder: Path, captures: int) -> None:
    """Make a home of many small captures, and open it."""
    home = Home.init(folder / "home")
    flush, os.fsync = os.fsync, lambda fd: None  # what is measured is the opening
    try:
        reader = adapter("prices")
        (_, parsed), *_ = batches(1, 2)
        spent = []
        for number in range(captures):
            content = io.BytesIO(f"{number}\n".encode() * 20).getvalue()
            at = START + timedelta(minutes=number)
            facts: dict[str, Any] = {"adapter": "prices", "source": "s", "seen_at": at, "known_at": at}
            capture = Capture.of(content, name=f"{number}.csv", **facts)
            price = parsed.observations.with_columns(capture=pl.lit(capture.sha256))
            one = replace(reader, parse=lambda *_, price=price: Parsed(observations=price))
            spent.append(took(partial(keep, home, one, content, capture))[0])
            if number % 1000 == 0:
                print(f"capture {number} of {captures}", file=sys.stderr)
    finally:
        os.fsync = flush
    print(f"\n| home of {captures:,} captures of 2 rows | |\n|---|---|")
    first, last = (statistics.median(part) * 1e3 for part in (spent[:ENDS], spent[-ENDS:]))
    line(
        "keeping a capture, not parsed and not flushed, first and last 50, median ms",
        {"": f"{first:.1f}, {last:.1f}"},
    )
    line(
        "input tables, a program that has just begun, s", {"": f"{took(lambda: Home.open(home.path).inputs())[0]:.2f}"}
    )
    line("the same again in the same program, s", {"": f"{took(home.inputs)[0]:.2f}"})
    line("the list of captures, just begun, s", {"": f"{took(lambda: Home.open(home.path).captures())[0]:.2f}"})
    assert home.store
    line("compaction, s", {"": f"{took(lambda: home.store.compact(home.current()))[0]:.2f}"})  # type: ignore[union-attr]
    home.looks.gather()
    home.store.chain.gather()  # type: ignore[attr-defined]
    line("input tables, just begun, compacted, s", {"": f"{took(lambda: Home.open(home.path).inputs())[0]:.2f}"})
    line(
        "the list of captures, just begun, compacted, s",
        {"": f"{took(lambda: Home.open(home.path).captures())[0]:.2f}"},
    )


def keep(home: Home, reader: Any, content: bytes, capture: Capture) -> None:
    """Keep a capture as `Home.keep` does, with rows that were made before."""
    home.files.create(f"captures/{capture.name}", content)
    assert home.store
    home.store.append(Batch(capture, reader.version), reader.parse(content, capture))
    home.seen.add(capture, None)


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--appends", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--captures", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="where the stores are made (without it: a temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        if options.appends:
            compare(Path(folder), options.appends, options.rows)
        if options.captures:
            many(Path(folder), options.captures)


if __name__ == "__main__":
    main()
