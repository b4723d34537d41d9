"""The history of the four shipped indices on every real figure of the archive: what was published, and when it was not.

    python benchmarks/history.py DATA_DIR [--home FOLDER] [--to 2026-06-30]

Compares nothing: it shows how the methodologies behave on real data. It builds the full home of the archive (by
`archive.py`; with `--home` it is kept there, and taken from there if it exists), determines `tix`, `tix-level`,
`tix-cn` and `anthropic-output` for every date since each is in force, and prints the days by status, every day below
the first rung with its reason, how many constituents were carried and held back as outliers, times, and levels.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import archive
import polars as pl

from tokenindex import Determination, Home, Inputs, determine

INDICES = ("tix", "tix-level", "tix-cn", "anthropic-output")


def built(data: Path, folder: Path) -> Home:
    """Return the home in `folder`, made from the archive unless it stands there already."""
    if not (folder / "home.toml").exists():
        start = time.perf_counter()
        archive.main([str(data), str(folder)])
        print(f"home built from the archive in {time.perf_counter() - start:.1f} s", file=sys.stderr)
    return Home.open(folder)


def history(home: Home, inputs: Inputs, index: str, last: date) -> Determination:
    """Return the fixings of `index` from the date since which it is in force to `last`."""
    first = min(m.identity.effective_from for m in home.documents(index))
    methodology = home.methodology(index, last)
    dates = methodology.calendar.between(max(first, methodology.calendar.opens), last)
    start = time.perf_counter()
    found = determine(methodology, inputs, dates=dates, known_at=home.known_at)
    spent = time.perf_counter() - start
    print(f"\n## {index} {methodology.version}: {dates[0]} to {dates[-1]}, {len(dates)} fixings")
    print(f"determined in {spent:.2f} s, {spent / len(dates) * 1e3:.1f} ms a fixing, grid of {found.grid.size} dates")
    return found


def report(found: Determination) -> None:
    """Print what was published, what was not and why."""
    fixings, constituents = found.fixings, found.constituents
    counts = fixings["status"].value_counts(sort=True).iter_rows()
    print("days by status: " + ", ".join(f"{n} {status}" for status, n in counts))
    below = fixings.filter(pl.col("rung") > 1)
    for row in below.iter_rows(named=True):
        print(f"  {row['fixing_date']}  rung {row['rung']} {row['status']}: {row['reason']}")
    members = constituents.filter(pl.col("weight").is_not_null())
    carried = members.filter(pl.col("used_date") < pl.col("fixing_date"))
    for name, what in (("members", "members a day: "), ("constituents", "; with a price ")):
        print(f"{what}{min(fixings[name])} to {max(fixings[name])}", end="")
    print()
    print(f"carried prices: {len(carried)} on {carried['fixing_date'].n_unique()} days")
    _named(carried, "excluded_by")
    flagged = constituents.filter(pl.col("outlier_by").is_not_null())
    of_members = members.filter(pl.col("outlier_by").is_not_null())
    print(f"outliers held back: {len(flagged)} on {flagged['fixing_date'].n_unique()} days", end="; ")
    print(f"of members {len(of_members)}")
    _named(flagged, "outlier_by")
    for note in found.notes:
        print(f"note: {note}")
    _ends(fixings)


def _named(rows: pl.DataFrame, reason: str) -> None:
    """Print which constituents, why, on how many days and between which."""
    facts = (pl.len().alias("days"), pl.col("fixing_date").min().alias("first"), pl.col("fixing_date").max())
    groups = rows.group_by("constituent", reason).agg(*facts).sort("first", "constituent", reason)
    for constituent, why, days, first, last in groups.iter_rows():
        print(f"  {constituent}: {why or 'outlier'}, {days} {'day' if days == 1 else 'days'}, {first} to {last}")


def _ends(fixings: pl.DataFrame) -> None:
    """Print the first and the last figures and the change between them."""
    for name in ("price", "level"):
        figures = fixings.drop_nulls(name)
        if len(figures):
            (day, a), (end, b) = (figures.select("fixing_date", name).row(k) for k in (0, -1))
            low, high = min(figures[name]), max(figures[name])
            print(f"{name}: {a:f} on {day}, {b:f} on {end}: {float(b) / float(a) - 1:+.2%} (between {low} and {high})")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the history of every index; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA_DIR", help="folder of the archive")
    parser.add_argument("--home", type=Path, metavar="FOLDER", help="keep the home there")
    parser.add_argument("--to", type=date.fromisoformat, default=date(2026, 6, 30), help="last date")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        home = built(chosen.data, chosen.home or Path(temporary) / "home")
        start = time.perf_counter()
        inputs = home.inputs()
        print(f"{inputs!r}, as known at {home.known_at}; read in {time.perf_counter() - start:.1f} s")
        for index in INDICES:
            report(history(home, inputs, index, chosen.to))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
