"""Weighted location: the exact lower weighted median by day, against the same engine's unweighted median and others.

    python benchmarks/location.py [--rows N] [--days N] [--repeats N] [--no-peers]

The values are prices in nano and the weights tokens, both whole numbers from a seed: log-normal with a heavy tail, prices
rounded as prices are, so that there are ties. The rows are in order of day, and marked so as a sort leaves them, or in no
order. Every candidate returns its medians; they are compared with the definition written out on ten of the days.

Times are minima of repeats that take turns, on the wall and of all threads together; on a busy machine the second says
more.
Peers that are not installed are left out.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
import polars as pl

from tokenindex.location import weighted_mean, weighted_median

TARGET: Final = 3
OURS: Final = "library, exact lower weighted median"
BASE: Final = "polars, unweighted median"
Run = Callable[[], Any]


def market(rows: int, days: int, *, ordered: bool) -> pl.DataFrame:
    """Return ``day, price, tokens`` from a seed."""
    draw = np.random.Generator(np.random.PCG64(1))
    day = draw.integers(0, days, rows)
    price = np.exp(draw.normal(0, 1.5, rows)) * 100
    digits = 10.0 ** np.floor(np.log10(price) - 2)
    frame = pl.DataFrame(
        {
            "day": np.sort(day) if ordered else day,
            "price": (np.round(price / digits) * digits * 1e7).astype(np.int64),
            "tokens": 1 + np.exp(draw.normal(8, 2, rows)).astype(np.int64),
        }
    )
    return frame.with_columns(pl.col("day").set_sorted()) if ordered else frame


def definition(frame: pl.DataFrame, day: int) -> int:
    """Return the lower weighted median of a day, in Python integers."""
    rows = sorted(frame.filter(pl.col("day") == day).select("price", "tokens").iter_rows())
    total, so_far = sum(w for _, w in rows), 0
    for price, tokens in rows:
        so_far += tokens
        if 2 * so_far >= total:
            return int(price)
    raise AssertionError("a day without rows")


def ours(frame: pl.DataFrame, **facts: Any) -> dict[int, int]:
    found = weighted_median(frame, by=["day"], value="price", weight="tokens", tie="lower", **facts)
    return dict(found.select("day", "median").iter_rows())


def sorting(frame: pl.DataFrame) -> dict[int, int]:
    """Sort each group in polars, with Int128 sums."""
    at = (
        pl.col("tokens").cast(pl.Int128).sort_by("price").cum_sum() * 2 < pl.col("tokens").cast(pl.Int128).sum()
    ).sum()
    found = frame.group_by("day").agg(pl.col("price").sort().get(at))
    return dict(found.iter_rows())


def pandas_loop(frame: Any) -> dict[int, int]:
    """Call `numpy.quantile` with weights for each group, as an analyst would: in floats."""
    return {
        int(day): int(np.quantile(g["price"].to_numpy(), 0.5, weights=g["tokens"].to_numpy(), method="inverted_cdf"))
        for day, g in frame.groupby("day")
    }


def duck(frame: Any) -> dict[int, int]:
    """Ask DuckDB with a window sum, which is exact in its HUGEINT."""
    import duckdb

    query = """select day, min(price) from (select day, price,
        sum(tokens) over (partition by day order by price rows unbounded preceding) * 2 as below,
        sum(tokens) over (partition by day) as total from frame) where below >= total group by day"""
    return {int(day): int(price) for day, price in duckdb.sql(query).fetchall()}


def candidates(frame: pl.DataFrame, *, all_of_them: bool) -> dict[str, Run]:
    """Return what is timed, by name."""
    found: dict[str, Run] = {
        BASE: lambda: frame.group_by("day").agg(pl.col("price").median()),
        OURS: lambda: ours(frame),
        "library, exact weighted mean": lambda: weighted_mean(frame, by=["day"], value="price", weight="tokens"),
    }
    if all_of_them:
        found["polars, each group sorted"] = lambda: sorting(frame)
        pandas = frame.to_pandas()
        found["pandas and numpy.quantile"] = lambda: pandas_loop(pandas)
        if find_spec("duckdb"):
            found["duckdb, window sum"] = lambda: duck(frame)
    return found


def timed(runs: dict[str, Run], repeats: int) -> tuple[dict[str, tuple[float, float]], dict[str, Any]]:
    """Return the shortest wall and CPU seconds of each, which take turns, and what they returned."""
    best = dict.fromkeys(runs, (float("inf"), float("inf")))
    answers = {}
    for k in range(repeats):
        for name, run in runs.items():
            if k >= 2 and not name.startswith(("library", BASE)):
                continue  # the slow ones only twice
            wall, cpu = time.perf_counter(), time.process_time()
            answers[name] = run()
            spent = (time.perf_counter() - wall, time.process_time() - cpu)
            best[name] = (min(best[name][0], spent[0]), min(best[name][1], spent[1]))
    return best, answers


def report(title: str, frame: pl.DataFrame, *, repeats: int, all_of_them: bool) -> None:
    """Print the times and ratios of one table."""
    print(f"timing {title}", file=sys.stderr)
    best, answers = timed(candidates(frame, all_of_them=all_of_them), repeats)
    days = frame["day"].unique().sort().to_list()
    for day in days[:: max(1, len(days) // 10)]:
        expected = definition(frame, day)
        for name, found in answers.items():
            if isinstance(found, dict) and found[day] != expected:
                print(f"{name} says {found[day]} for day {day}, which is {expected}")
                if name == OURS:
                    raise SystemExit("the library is wrong")
    print(f"\n{title:<44}{'wall s':>9}{'ratio':>8}{'CPU s':>9}{'ratio':>8}{'ns a row':>10}")
    for name, (wall, cpu) in sorted(best.items(), key=lambda each: each[1]):
        ratios = [wall / best[BASE][0], cpu / best[BASE][1]]
        print(f"{name:<44}{wall:>9.3f}{ratios[0]:>8.1f}{cpu:>9.3f}{ratios[1]:>8.1f}{wall / len(frame) * 1e9:>10.1f}")
    met = best[OURS][0] <= TARGET * best[BASE][0]
    print(f"target {TARGET}: {'met' if met else 'NOT met'}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the measurement; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10**7)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--repeats", type=int, default=7)
    chosen = parser.parse_args(arguments)
    for ordered, title in ((True, "rows in order of day"), (False, "rows in no order")):
        frame = market(chosen.rows, chosen.days, ordered=ordered)
        report(f"{title}, {chosen.rows:,}", frame, repeats=chosen.repeats, all_of_them=chosen.peers)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of the run, peers included: {peak:,.0f} MB, one table is {frame.estimated_size('mb'):,.0f} MB")
    for rows, days in (
        (chosen.rows // 10, chosen.days),
        (chosen.rows, chosen.rows // 1000),
        (chosen.rows, chosen.rows // 10),
    ):
        frame = market(rows, days, ordered=False)
        report(f"{rows:,} rows, {days:,} groups", frame, repeats=2, all_of_them=False)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
