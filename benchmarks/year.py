"""A year of daily fixings over all sources together, with every contingency listed.

    python benchmarks/year.py DATA_DIR [--from 2025-06-15] [--to 2026-06-30]

A study, not an index: its volumes until May 2026 are tokens by week that somebody else worked out from spend. They may
not be passed on, so the home is made in a temporary folder and nothing of it is left.

Printed are the days by status and every day below the first rung with its reason; the baskets, and every rebalance that
could not be made; which members were carried and why; over which days each source had not been looked at; what kept
observations out; what was held back as an outlier; the share of the volume that is mapped; the level by month, and the
days on which it moved most, with whom.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path

import archive
import history
import polars as pl

from tokenindex import Determination, Home, Inputs, contributions, determine, load

DOCUMENT = Path(__file__).parent / "study" / "1.0.0.toml"


def unseen(inputs: Inputs, found: Determination) -> None:
    """Print the runs of dates on which the last look at a source was too long ago, or there was none."""
    allowed, dates = found.methodology.inputs, found.dates
    print(f"\n## Sources not looked at within {allowed.max_days_unseen} days")
    seen = inputs.sightings.select("source", day=pl.col("seen_at").dt.date()).unique()
    for source in dict.fromkeys(p.source for p in allowed.prices):
        days = set(seen.filter(pl.col("source") == source)["day"])
        spans = [timedelta(days=k) for k in range(allowed.max_days_unseen + 1)]
        blind = [not any(day - span in days for span in spans) for day in dates]
        runs = ", ".join(f"{a} to {b}" for a, b in _runs(dates, blind)) or "none"
        inside = sum(dates[0] <= day <= dates[-1] for day in days)
        print(f"  {source}: {inside} looks; unseen on {sum(blind)} days: {runs}")


def _runs(dates: Sequence[date], flags: Sequence[bool]) -> list[tuple[date, date]]:
    """Return the first and the last date of each run of flags."""
    starts = [k for k, on in enumerate(flags) if on and not (k and flags[k - 1])]
    ends = [k for k, on in enumerate(flags) if on and not (k + 1 < len(flags) and flags[k + 1])]
    return [(dates[a], dates[b]) for a, b in zip(starts, ends, strict=True)]


def excluded(found: Determination, inputs: Inputs) -> None:
    """Print how many observations a day were used and what kept the others out, by source."""
    first = found.grid.dates.index(found.dates[0])
    rows = found.frames.rows.with_columns(days=pl.col("i1") - pl.max_horizontal("i0", pl.lit(first)))
    counts = (
        rows.filter(pl.col("days") > 0)
        .group_by("source", pl.col("excluded_by").fill_null("used"))
        .agg(pl.col("days").sum())
        .sort("source", "days", descending=[False, True])
    )
    whole = counts["days"].sum()
    print(f"\n## Observations in force, {whole:,} rows and days; average a day by source and reason (unmapped apart)")
    for (source,), group in counts.group_by("source", maintain_order=True):
        facts = ", ".join(f"{reason} {days / len(found.dates):,.1f}" for _, reason, days in group.iter_rows())
        print(f"  {source}: {facts}")
    unmapped = found.frames.quotes[found.frames.unmapped.filter(pl.col("i1") > first)["row"].unique()]
    sellers = unmapped.select("source", "provider", "model").n_unique()
    print(f"  {sellers:,} spellings are unmapped; the registry has {len(inputs.registry):,}")


def baskets(found: Determination) -> None:
    """Print each basket, and each rebalance that could not be made."""
    print("\n## Baskets")
    for basket in found.baskets:
        largest = max(basket.members, key=lambda m: (m.weight, m.constituent))
        vendors = len({m.vendor for m in basket.members})
        print(
            f"  {basket.number:>2}  announced {basket.announced_on}, after {basket.takes_over_after}: "
            f"{len(basket.members)} members of {vendors} vendors, "
            f"{largest.constituent} {largest.weight / 1e9:.1%}"
        )
    print(f"  rebalances that could not be made: {len(found.notes)}")
    for note in found.notes:
        print(f"  {note}")


def volumes(found: Determination) -> None:
    """Print, for the first fixing of each month, the window of volumes and the share of it that was used."""
    print("\n## Volumes: days in the window, known tokens, share used")
    for row in _first_of_months(found).iter_rows(named=True):
        share = f"{row['volume_coverage']:.1%}" if row["volume_coverage"] is not None else "-"
        print(f"  {row['fixing_date']}  {row['volume_days']:>3} days  {int(row['volume'] or 0):>22,}  {share}")


def unpriced(found: Determination) -> None:
    """Print how much of the mapped volume had no price on a date, why, and the models with most of it."""
    rows = found.constituents.filter(pl.col("tokens").is_not_null()).with_columns(
        tokens=pl.col("tokens").cast(pl.Int128), lost=pl.col("excluded_by").is_not_null()
    )
    whole = int(rows["tokens"].sum())
    missing = rows.filter("lost")
    print(
        f"\n## Mapped volume without a price on the date: {int(missing['tokens'].sum()) / whole:.1%} of tokens and days"
    )
    for keys, shown in ((["excluded_by"], 9), (["constituent", "excluded_by"], 15)):
        days = pl.col("fixing_date").n_unique().alias("days")
        groups = missing.group_by(keys).agg(pl.col("tokens").sum(), days)
        for *names, tokens, number in (
            groups.sort("tokens", *keys, descending=[True, *(False for _ in keys)]).head(shown).iter_rows()
        ):
            print(f"  {tokens / whole:>6.1%}  {number:>3} days  {', '.join(names)}")


def levels(found: Determination) -> None:
    """Print the first fixing of each month, and the largest moves with the constituents that made them."""
    print("\n## Level and price by month")
    for row in _first_of_months(found).iter_rows(named=True):
        facts = f"{row['constituents']} constituents, {row['carried']} carried, coverage {row['coverage'] or 0:.3f}"
        print(f"  {row['fixing_date']}  {row['status']:<11} {_figure(row['level'])} {_figure(row['price'])}  {facts}")
    fixed = found.fixings.drop_nulls("level").select("fixing_date", "level").rows()
    moves = [(float(b) / float(a) - 1, d0, d1) for (d0, a), (d1, b) in pairwise(fixed)]
    largest = sorted(moves, key=lambda m: (-abs(m[0]), m[1]))[:12]
    print(f"largest of {len(moves)} moves; {sum(m[0] != 0 for m in moves)} are not zero")
    for change, start, end in sorted(largest, key=lambda m: m[1]):
        print(f"  {end}  {change:+.2%}  {_movers(found, start, end)}")


def _figure(amount: object) -> str:
    return f"{amount:>16}" if amount is not None else f"{'-':>16}"


def _first_of_months(found: Determination) -> pl.DataFrame:
    return found.fixings.group_by(pl.col("fixing_date").dt.truncate("1mo").alias("month"), maintain_order=True).first()


def _movers(found: Determination, start: date, end: date) -> str:
    parts = contributions(found, start=start, end=end).with_columns(size=pl.col("contribution").abs())
    top = (
        parts.filter((pl.col("size") > 0) & (pl.col("vendor") != ""))
        .sort("size", "constituent", descending=[True, False])
        .head(3)
    )
    return ", ".join(f"{name} {part:+.2f}" for name, part in top.select("constituent", "contribution").iter_rows())


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the year; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA_DIR", help="folder of the archive")
    parser.add_argument("--from", type=date.fromisoformat, default=date(2025, 6, 15), dest="start")
    parser.add_argument("--to", type=date.fromisoformat, default=date(2026, 6, 30), dest="end")
    chosen = parser.parse_args(arguments)
    methodology = load(DOCUMENT.read_bytes(), where=DOCUMENT.name)
    dates = methodology.calendar.between(chosen.start, chosen.end)
    with tempfile.TemporaryDirectory() as temporary:
        begin = time.perf_counter()
        archive.main([str(chosen.data), temporary, "--derived-volumes"])
        home = Home.open(temporary)
        made = time.perf_counter()
        inputs = home.inputs()
        read = time.perf_counter()
        found = determine(methodology, inputs, dates=dates, known_at=home.known_at)
        done = time.perf_counter()
    print(f"{inputs!r}, as known at {home.known_at}", file=sys.stderr)
    print(f"## {methodology.identity.name}: {dates[0]} to {dates[-1]}, {len(dates)} fixings")
    print(f"home made in {made - begin:.1f} s, read in {read - made:.2f} s, determined in {done - read:.2f} s")
    history.report(found)
    baskets(found)
    unseen(inputs, found)
    excluded(found, inputs)
    volumes(found)
    unpriced(found)
    levels(found)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
