"""How fast index numbers are: against a bare dense numpy kernel of the same job, and against packages that are installed.

    python benchmarks/indices.py [--repeats N] [--peers]

Compares, each as the minimum of repeats that take turns in one run:

- chained Fisher and Törnqvist, 1,000 items × 365 periods: the library from a panel made once, and from long tables in
  several orders, with names or categories for items;
- rolling GEKS–Törnqvist, window 25, mean splice, 500 items × 120 periods: the same;
- both with a third of the observations missing, against the same job of the library without gaps;
- window 91 on one, two and four years of daily prices: the cost of a period that is added to a longer history, and peak
  memory against the size of the panel;
- with `--peers`, PyIndexNum and statsmodels, if they are installed (two minutes).

The bare kernel starts from dense arrays of floats and knows that nothing is missing: it does not read a table, sort, check,
count or return a frame. It and the library keep what memory they were given, where the C library can be told so; otherwise
the kernel, whose arrays are larger, spends up to two thirds of its time on asking for it again. A second kernel starts from
shuffled rows whose periods and items are whole numbers already, and puts them into dense arrays first.

The figures of library and kernel are compared as well, and a difference above 1e-10 is an error.
"""

from __future__ import annotations

import argparse
import ctypes
import itertools
import os
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from functools import partial
from typing import Any

# one thread of linear algebra for library and kernel alike: on a busy machine two wait for each other
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tokenindex.numbers import chained, multilateral, panel

Floats = NDArray[np.float64]
IN_A_ROW = 3
"""Calls of a job at each turn: the first finds what it reads in no cache."""


def market(items: int, periods: int, missing: float = 0.0) -> tuple[pl.DataFrame, Floats, Floats]:
    """Return a long table of a random market, by period and item, and its dense prices and quantities."""
    draw = np.random.default_rng(7)
    steps = draw.normal(0, 0.02, (periods, items)).cumsum(axis=0)
    prices = np.exp(draw.normal(0, 1, items) + steps)
    quantities = np.exp(draw.normal(3, 1, items) - steps + draw.normal(0, 0.2, (periods, items)))
    days = [date(2024, 1, 1) + timedelta(days=n) for n in range(periods)]
    table = pl.DataFrame(
        {
            "period": pl.Series(days).gather(np.repeat(np.arange(periods), items)),
            "item": pl.Series([f"model-{n:05d}" for n in range(items)] * periods),
            "price": prices.ravel(),
            "quantity": quantities.ravel(),
        }
    )
    return table.filter(pl.Series(draw.random(len(table)) >= missing)), prices, quantities


def bare_chained(prices: Floats, quantities: Floats) -> tuple[Floats, Floats]:
    """Return chained Fisher and Törnqvist as one would write them for dense arrays and no missing prices."""
    values = prices * quantities
    totals = values.sum(axis=1)
    laspeyres = (prices[1:] * quantities[:-1]).sum(axis=1) / totals[:-1]
    paasche = totals[1:] / (prices[:-1] * quantities[1:]).sum(axis=1)
    shares = values / totals[:, None]
    growth = np.diff(np.log(prices), axis=0)
    tornqvist = (0.5 * (shares[1:] + shares[:-1]) * growth).sum(axis=1)
    return np.cumprod(np.sqrt(laspeyres * paasche)), np.exp(np.cumsum(tornqvist))


def bare_rolling(prices: Floats, quantities: Floats, window: int) -> Floats:
    """Return rolling GEKS–Törnqvist with mean splice for dense arrays: one row and column a period."""
    count = len(prices)
    values = prices * quantities
    shares, logs = values / values.sum(axis=1, keepdims=True), np.log(prices)
    own = (shares * logs).sum(axis=1)
    matrix = np.zeros((count, count))
    series = np.zeros(count)
    old = np.zeros(window)
    for new in range(count):
        low = max(0, new - window + 1)
        forward = shares[low : new + 1] @ logs[new] - own[low : new + 1]
        backward = logs[low : new + 1] @ shares[new] - own[new]
        matrix[low : new + 1, new] = 0.5 * (forward - backward)
        matrix[new, low : new + 1] = -matrix[low : new + 1, new]
        if new < window - 1:
            continue
        levels = matrix[low : new + 1, low : new + 1].mean(axis=0)
        if low == 0:
            series[:window] = levels - levels[0]
        else:
            series[new] = series[new - 1] + np.mean(levels[-1] - levels[:-1] - old[-1] + old[1:])
        old = levels
    return np.exp(series)


def keep_memory() -> None:
    """Ask the C library not to give memory back between the calls."""
    try:
        for trim_and_map_threshold in (-1, -3):
            ctypes.CDLL(None).mallopt(trim_and_map_threshold, 1 << 30)
    except (AttributeError, OSError, TypeError):
        print("memory is given back between the calls, which slows the kernel", file=sys.stderr)


def fastest(job: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """Return the least time of a job in milliseconds, and what it returned."""
    found, spent = in_turns({"": job}, repeats)
    return spent[""], found[""]


def in_turns(jobs: dict[str, Callable[[], Any]], repeats: int) -> tuple[dict[str, Any], dict[str, float]]:
    """Return what jobs that take turns returned, and the least time of each in milliseconds."""
    found: dict[str, Any] = {}
    spent = dict.fromkeys(jobs, float("inf"))
    for _ in range(repeats):
        for name, job in itertools.chain.from_iterable([each] * IN_A_ROW for each in jobs.items()):
            start = time.perf_counter()
            found[name] = job()
            spent[name] = min(spent[name], (time.perf_counter() - start) * 1e3)
    return found, spent


def show(spent: dict[str, float], base: str, targets: dict[str, float]) -> None:
    """Print one row a job: its time, its ratio to `base`, and whether that is within its target."""
    for job, each in spent.items():
        ratio = each / spent[base]
        verdict = "" if job not in targets else ("met" if ratio <= targets[job] else "NOT MET")
        print(f"| {job} | {each:.2f} | {ratio:.1f} | {verdict} |")


def agree(library: Any, bare: Floats) -> None:
    """Stop if the library and the kernel differ."""
    gap = float(np.max(np.abs(np.asarray(library) / bare - 1)))
    if gap > 1e-10:
        sys.exit(f"library and kernel differ by {gap:.1e}")


def both(table: Any) -> tuple[Any, Any]:
    """Return chained Fisher and Törnqvist of the library."""
    given = panel(table)
    return chained(given, formula="fisher"), chained(given, formula="tornqvist")


def chains(repeats: int) -> None:
    """Measure chained Fisher and Törnqvist."""
    table, prices, quantities = market(1_000, 365)
    ready, shuffled = panel(table), table.sample(fraction=1.0, shuffle=True, seed=1)
    category = shuffled.with_columns(pl.col("item").cast(pl.Categorical))
    ranks = (shuffled[name].rank("dense").to_numpy().astype(np.int64) - 1 for name in ("period", "item"))
    cell = np.ravel_multi_index(tuple(ranks), prices.shape)
    amounts = shuffled["price"].to_numpy(), shuffled["quantity"].to_numpy()
    kernel = "bare kernel, from dense arrays"

    def spread() -> tuple[Floats, Floats]:
        dense = np.empty(prices.shape), np.empty(prices.shape)
        for found, given in zip(dense, amounts, strict=True):
            found.ravel()[cell] = given
        return bare_chained(*dense)

    found, spent = in_turns(
        {
            kernel: lambda: bare_chained(prices, quantities),
            "bare kernel, from shuffled rows numbered beforehand": spread,
            "library, from a panel": lambda: both(ready),
            "library, from a long table by period and item": lambda: both(table),
            "library, from a shuffled long table of categories": lambda: both(category),
            "library, from a shuffled long table of names": lambda: both(shuffled),
        },
        repeats,
    )
    for name in list(found)[2:]:
        for library, numbers in zip(found[name], found[kernel], strict=True):
            agree(library.frame["index"][1:], numbers)
    print("\n| chained Fisher and Törnqvist, 1,000 × 365 | ms | over the kernel (target 3) | |\n|---|---|---|---|")
    show(spent, kernel, dict.fromkeys(list(spent)[2:], 3))
    some, _, _ = market(1_000, 365, 1 / 3)
    mixed = some.sample(fraction=1.0, shuffle=True, seed=1)
    missing(
        "the same",
        {"a panel": (ready, panel(some)), "a long table": (table, some), "a shuffled table": (shuffled, mixed)},
        both,
        repeats,
    )


def missing(job: str, tables: dict[str, tuple[Any, Any]], run: Callable[[Any], Any], repeats: int) -> None:
    """Measure what it costs that a third is missing, against the same without gaps."""
    print(f"\n| {job} with a third missing | ms | over the same without gaps (target 1) | |\n|---|---|---|---|")
    for name, (whole, gaps) in tables.items():
        _, spent = in_turns({"whole": partial(run, whole), "gaps": partial(run, gaps)}, repeats)
        ratio = spent["gaps"] / spent["whole"]
        print(f"| from {name} | {spent['gaps']:.2f} | {ratio:.1f} | {'met' if ratio <= 1 else 'NOT MET'} |")


def rolling(repeats: int) -> None:
    """Measure rolling GEKS–Törnqvist."""
    table, prices, quantities = market(500, 120)
    ready, shuffled = panel(table), table.sample(fraction=1.0, shuffle=True, seed=1)

    def job(given: Any) -> Any:
        return multilateral(given, method="geks_tornqvist", window=25, splice="mean")

    kernel = "bare kernel, from dense arrays"
    found, spent = in_turns(
        {
            kernel: lambda: bare_rolling(prices, quantities, 25),
            "library, from a panel": lambda: job(ready),
            "library, from a long table by period and item": lambda: job(table),
            "library, from a shuffled long table of names": lambda: job(shuffled),
        },
        repeats,
    )
    agree(found["library, from a shuffled long table of names"].frame["index"], found[kernel])
    print("\n| rolling GEKS–Törnqvist, window 25, mean splice, 500 × 120 | ms | over the kernel (target 3) | |")
    print("|---|---|---|---|")
    show(spent, kernel, dict.fromkeys(list(spent)[1:], 3))
    some, _, _ = market(500, 120, 1 / 3)
    missing("the same", {"a panel": (ready, panel(some)), "a long table": (table, some)}, job, repeats)


def history(repeats: int) -> None:
    """Measure window 91 on daily prices, in microseconds a period that is spliced on."""
    print("\n| window 91, mean splice, 500 items | spliced periods | ms | µs a period | peak memory over the panel |")
    print("|---|---|---|---|---|")
    for method, weights in (("geks_tornqvist", None), ("wtpd", "shares"), ("geary_khamis", None)):
        for days in (365, 730, 1460):
            ready = panel(market(500, days)[0])

            def job(method: str = method, given: Any = ready, weights: str | None = weights) -> Any:
                return multilateral(given, method=method, window=91, splice="mean", weights=weights)

            spent, _ = fastest(job, max(1, repeats // 8))
            tracemalloc.start()
            job()
            peak = tracemalloc.get_traced_memory()[1] / (ready.prices.nbytes * 2)
            tracemalloc.stop()
            added = days - 91
            print(f"| {method}, {days} days | {added} | {spent:.1f} | {spent * 1e3 / added:.0f} | {peak:.2f} |")


def peers() -> None:
    """Measure installed packages on whole jobs that they can do, each once, against the library from a table."""
    print("\n| job of a peer | peer, ms | library from a table, ms | peer over library |\n|---|---|---|---|")
    for name, rival in (("PyIndexNum", pyindexnum), ("statsmodels", statsmodels)):
        try:
            rival()
        except ImportError:
            print(f"| {name} is not installed | | | |")


def against(job: str, rival: Callable[[], Any], library: Callable[[], Any]) -> None:
    """Print one row of a peer, and stop if it says another number."""
    slow, theirs = fastest(rival, 1)
    fast, ours = fastest(library, 5)
    if abs(theirs / ours - 1) > 1e-8:
        sys.exit(f"{job}: {theirs} and {ours}")
    print(f"| {job} | {slow:.0f} | {fast:.1f} | {slow / fast:.0f} |")


def pyindexnum() -> None:
    """Measure PyIndexNum."""
    from pyindexnum import bilateral  # type: ignore[import-not-found]
    from pyindexnum import multilateral as windows

    names = {"price_col": "price", "id_col": "item", "quantity_col": "quantity"}
    table, _, _ = market(1_000, 365)
    days = table["period"].unique().sort()

    def chain() -> float:
        level = 1.0
        for before, day in itertools.pairwise(days):
            pair = table.filter(pl.col("period").is_in([before, day]))
            level *= bilateral.fisher(pair, **names)
            bilateral.tornqvist(pair, **names)
        return level

    against("PyIndexNum: chained Fisher and Törnqvist, 1,000 × 365", chain, lambda: both(table)[0].frame["index"][-1])
    some, _, _ = market(500, 25)
    against(
        "PyIndexNum: GEKS–Törnqvist, one window of 25, 500 items",
        lambda: windows.geks_tornqvist(some, **names)["index_value"][-1],
        lambda: multilateral(some, method="geks_tornqvist").frame["index"][-1],
    )


def statsmodels() -> None:
    """Measure statsmodels as a way to a weighted time-product dummy index."""
    from statsmodels.regression.linear_model import WLS  # type: ignore[import-not-found]

    table, prices, quantities = market(500, 25)
    values = prices * quantities
    weights = (values / values.sum(axis=1, keepdims=True)).ravel()

    def dummies() -> float:
        rows = np.arange(prices.size)
        design = np.zeros((prices.size, 500 + 24))
        design[rows, rows % 500] = 1
        later = rows[500:]
        design[later, 500 + later // 500 - 1] = 1
        return float(np.exp(WLS(np.log(prices).ravel(), design, weights=weights).fit().params[-1]))

    def library() -> float:
        return float(multilateral(table, method="wtpd", weights="shares").frame["index"][-1])

    against("statsmodels: weighted time-product dummies, one window of 25, 500 items", dummies, library)


def main(words: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--peers", action="store_true")
    asked = parser.parse_args(words)
    keep_memory()
    chains(asked.repeats)
    rolling(asked.repeats)
    history(asked.repeats)
    if asked.peers:
        peers()


if __name__ == "__main__":
    main()
