"""A year of daily publications: made, restated, bundled, and verified in another folder without the home.

    python benchmarks/publication.py [--days 365] [--constituents 60] [--keep FOLDER]

The figures are those of an invented market (`market.py`); all else is what an administrator does. Every day the files
of the day are ingested and four indices published, signed, an hour after the cut-off. On one day a price is held by a
judgment of two people; on two days a price becomes known an hour after the publication and both indices that it touches are
restated; once it becomes known a day late, which is a correction. The evidence of all is written into one bundle.

Printed are the counts, and in one run: the time to compute the year (reading the captures, determining every date, making
every record) and to verify the bundle, both in processes that do nothing else, with the ratio of the two.
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import market
import polars as pl

from tokenindex import Home
from tokenindex.bundles import write_bundle
from tokenindex.publication import anchor, introduce_key, publish, restate
from tokenindex.signing import key_id, new_key, public_of

BOTH: Final = ["A. Person, administrator", "B. Person, oversight"]
METHODOLOGY: Final = Path(__file__).parent.parent / "methodology"
INDICES: Final = ("broad", "wide", "level", "vendor-output")
COMPUTE: Final = """
import sys
from datetime import date
from tokenindex import Home, determine
from tokenindex.records import record
home = Home.open(sys.argv[1])
inputs, captures, made = home.inputs(), home.captures(), 0
for index in sys.argv[3:]:
    dates = sorted(date.fromisoformat(day) for name, day in home.ledger().figures if name == index)
    found = determine(home.methodology(index, dates[-1]), inputs, dates=dates, known_at=None)
    for day in dates:
        made += len(record(found, day, inputs=inputs, captures=captures).content) > 0
    inputs.forget()
print(made)
"""
VERIFY: Final = """
import sys
from pathlib import Path
from tokenindex.bundles import verify_bundle
for step in verify_bundle(Path(sys.argv[1]), key=sys.argv[2]):
    print(step)
"""

SECOND: Final = "import runpy, sys; runpy.run_path(sys.argv.pop(1), run_name='__main__')"


def documents(days: int) -> dict[str, str]:
    """Return the four documents: two baskets, a level, and the output tokens of one vendor."""
    level = (METHODOLOGY / "tix-level" / "1.0.0.toml").read_text(encoding="utf-8")
    output = (METHODOLOGY / "anthropic-output" / "1.0.0.toml").read_text(encoding="utf-8")
    output = output.replace('vendors = ["anthropic"]', 'vendors = ["vendor00", "vendor01", "vendor02"]')
    found = {name: market.document(name, days, market.PARAMETER_SETS[name]) for name in INDICES[:2]}
    found["level"] = market.fitted(level, days, {"index": '"level"'})
    found["vendor-output"] = market.fitted(output, days, {"index": '"vendor-output"'})
    return found


def made_home(folder: Path, days: int, registry: pl.DataFrame) -> Home:
    """Return a new home with the documents and the registry of the market."""
    Home.init(folder)
    (folder / "home.toml").write_text('redistributable = ["invented"]\nstore = "parquet"\n')
    registry.write_csv(folder / "registry.csv")
    (folder / "links.csv").unlink()
    for name, text in documents(days).items():
        (folder / "methodology" / name).mkdir(parents=True)
        (folder / "methodology" / name / "1.0.0.toml").write_text(text, encoding="utf-8")
    return Home.open(folder)


def csv(frame: pl.DataFrame) -> bytes:
    """Return rows in the project's own form."""
    moments = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Datetime)]
    kept = frame.drop("capture", "locator").with_columns(pl.col(moments).dt.strftime("%Y-%m-%dT%H:%M:%SZ"))
    return kept.select(c for c in kept.columns if kept[c].null_count() < len(kept)).write_csv().encode()


def by_day(frame: pl.DataFrame) -> dict[date, pl.DataFrame]:
    """Return the rows by the day on which they become known."""
    parts = frame.with_columns(day=pl.col("known_at").dt.date()).partition_by("day", as_dict=True, include_key=False)
    return {key[0]: part for key, part in parts.items()}


class Desk:
    """What the people at the desk do."""

    def __init__(self, home: Home, folder: Path, inputs: Any) -> None:
        self.home, self.folder, self.key = home, folder, new_key()
        self.days = {
            "prices": by_day(inputs.observations),
            "volumes": by_day(inputs.volumes),
            "sightings": by_day(inputs.sightings),
        }

    def ingest(self, adapter: str, content: bytes, *, at: datetime) -> None:
        """Store a file that was got at a moment."""
        file = self.folder / f"{adapter}.csv"
        file.write_bytes(content)
        self.home.ingest(file, adapter_name=adapter, source=adapter, seen_at=at, known_at=at, licence="invented")

    def morning(self, first: date, last: date) -> None:
        """Store the files of some days, each table in one file."""
        at = datetime(last.year, last.month, last.day, 12, tzinfo=UTC)
        for adapter, parts in self.days.items():
            span = [parts[day] for day in sorted(parts) if first <= day <= last]
            if span:
                self.ingest(adapter, csv(pl.concat(span)), at=at)

    def late_price(self, day: date, *, at: datetime) -> None:
        """Let both sources say, too late, that the output price of the heaviest model was 7% higher on a day."""
        observed = self.home.inputs().observations
        entry = self.home.ledger().official("broad", day)
        assert entry is not None
        held = self.home.record_of(entry).document["constituents"]
        rows = [dict(zip(held["columns"], row, strict=True)) for row in held["rows"]]
        heaviest = max(
            (r for r in rows if r["weight"] and r["used_date"] == str(day)),
            key=lambda r: (float(r["weight"]), r["constituent"]),
        )
        vendor, model = heaviest["constituent"].split("/")
        begin = datetime(day.year, day.month, day.day, 10, tzinfo=UTC)
        chosen = observed.filter(
            (pl.col("model") == model) & (pl.col("component") == "output") & (pl.col("valid_from") <= begin)
        )
        last = chosen.sort("valid_from").group_by("source", maintain_order=True).last().select(observed.columns)
        price = max(last["price"].drop_nulls(), default=Decimal(0)) * 107 / 100
        frame = last.with_columns(
            price=pl.lit(f"{price:f}").cast(pl.Decimal(38, 24)), valid_from=pl.lit(begin), known_at=pl.lit(at)
        )
        assert vendor
        self.ingest("prices", csv(frame), at=at)

    def hold(self, day: date) -> None:
        """Let two people hold, for a day, a price that came in the morning."""
        new = self.days["prices"].get(day, next(iter(self.days["prices"].values())))
        row = new.filter(pl.col("price") > 0).row(0, named=True)
        head = "decided_at,decision,source,provider,model,component,price,valid_from,reason,decided_by,approved_by\n"
        what = (
            f"{row['source']},{row['provider']},{row['model']},{row['component']},{row['price']:f},"
            f"{row['valid_from']:%Y-%m-%dT%H:%M:%SZ}"
        )
        at = datetime(day.year, day.month, day.day, 14, tzinfo=UTC)
        people = '"A. Person, administrator","B. Person, oversight"'
        text = f"{head}{at:%Y-%m-%dT%H:%M:%SZ},hold,{what},asked the vendor,{people}\n"
        self.ingest("judgments", text.encode(), at=at + timedelta(minutes=5))


def year(desk: Desk, days: int) -> Iterator[str]:
    """Publish every day; yield what happened besides."""
    home, key = desk.home, desk.key
    dates = market.fixing_dates(days)
    start = datetime(market.FIRST.year, market.FIRST.month, market.FIRST.day, tzinfo=UTC)
    introduce_key(home, key, at=start, valid_to=None, key=None)
    desk.morning(market.FIRST, dates[0])
    judgment, restated, corrected = dates[days // 4], (dates[days // 3], dates[days // 2]), dates[days * 2 // 3]
    for number, day in enumerate(dates, start=1):
        if day != dates[0]:
            desk.morning(day, day)
        if day == judgment:
            desk.hold(day)
        at = datetime(day.year, day.month, day.day, 17, tzinfo=UTC)
        publish(home, INDICES, days=[day], at=at, key=key)
        if day in restated or day == corrected:
            late = at + (timedelta(hours=1) if day in restated else timedelta(hours=6))
            desk.late_price(day, at=late)
            for index in ("broad", "level"):
                reason = "a price became known late"
                entry = restate(home, index, day, at=late, reason=reason, approved_by=BOTH, key=key)
                yield f"{day} {index}: {entry.fields['kind']}, a change of {entry.fields['body']['change']}"
        if sys.stderr.isatty() or number % 50 == 0:
            print(f"{number} of {days} days", file=sys.stderr)
    anchor(home)


def timed(code: str, *words: object) -> tuple[float, str]:
    """Return the seconds that a program of its own took in an empty folder, and what it printed."""
    with tempfile.TemporaryDirectory() as empty:
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=False, cwd=empty
        )
        spent = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(done.stderr)
    return spent, done.stdout


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the counts and the ratio; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--constituents", type=int, default=60)
    parser.add_argument("--keep", type=Path, help="a folder in which home and bundle stay")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        base = chosen.keep or Path(folder)
        base.mkdir(parents=True, exist_ok=True)
        run(base, chosen.days, chosen.constituents)
    return 0


def run(base: Path, days: int, constituents: int) -> None:
    """Make the year in `base`, and measure."""
    inputs = market.market(constituents=constituents, days=days)
    desk = Desk(made_home(base / "home", days, inputs.registry), base, inputs)
    start = time.perf_counter()
    for event in year(desk, days):
        print(event)
    print(f"published day by day in {time.perf_counter() - start:.1f} s")
    ledger = desk.home.ledger()
    counts = Counter(entry.fields["kind"] for entry in ledger.entries)
    print("ledger: " + ", ".join(f"{n:,} {kind}" for kind, n in counts.items()))
    (base / "elsewhere").mkdir()
    bundle = base / "elsewhere" / "evidence.zip"
    start = time.perf_counter()
    written = write_bundle(desk.home, bundle, indices=[], start=date.min, end=date.max, key=desk.key)
    print(
        f"bundled {len(written['fixings']):,} fixings into {len(written['files']):,} files, "
        f"{bundle.stat().st_size / 1e6:.1f} MB, in {time.perf_counter() - start:.1f} s"
    )
    away = desk.home.path.rename(base / "out of reach")
    first = key_id(public_of(desk.key))
    verify, told = timed(VERIFY, bundle, first)
    print(told.rstrip())
    second = Path(__file__).parent.parent / "tokenindex" / "recompute.py"
    alone, said = timed(SECOND, second, bundle, "--key", first)
    print(said.rstrip().split("\n")[-1])
    compute, made = timed(COMPUTE, away, days, *INDICES)
    print(f"computed {int(made):,} fixings with their records in {compute:.1f} s")
    print(f"verified in {verify:.1f} s: {verify / compute:.2f} of the time to compute it")
    print(f"verified by the standard library alone in {alone:.1f} s")


if __name__ == "__main__":
    io.TextIOWrapper.reconfigure(sys.stdout, line_buffering=True)  # type: ignore[arg-type]
    sys.exit(main())
