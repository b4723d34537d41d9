"""What the guard finds in every recorded price change of the archive, how much of it wrongly, and how fast.

    python benchmarks/guard.py DATA_DIR [--document FILE] [--repeats N] [--list]

Compares the guards of `methodology/tix` with the recorded changes themselves: a change is a row whose price
differs from the last price of the same quote, both above zero; it is large if it exceeds a factor of ten, and ordinary
otherwise. No one wrote down which of them were mistakes, so several truths are printed:

- strict: every large change should be flagged, and every ordinary change that was held back was held wrongly;
- as it turned out: a hold was right if the source took the price back before anything confirmed it.

`unconfirmed_jump` holds by the very factor that makes a change large, so the first truth is also measured without it and
with other bounds. Last, mistakes whose truth is known are put into the archive, one kind at a time, at offers drawn by a
seed, and it is counted at how many of them the guard made for that kind spoke, and at how many any guard held the price.

A change is *flagged* if any guard but `frozen` speaks of it, and *held* if it was kept out for longer than no time at all.
Times are minima; cost a row is shown for tables of several sizes, in quotes and in length of history.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import archive
import polars as pl

from tokenindex import Home, Inputs
from tokenindex.changes import PANEL
from tokenindex.documents import load
from tokenindex.guard import guard
from tokenindex.methodology import Methodology
from tokenindex.rules.guards import unconfirmed_jump

LARGE = 10
CAUGHT, WRONG = 0.95, 0.02
TIX = Path(__file__).parent.parent / "methodology" / "tix" / "1.0.0.toml"
MISTAKEN_AT = datetime(2026, 5, 15, 12, tzinfo=UTC)
MISTAKES = 500
OFFER = ("source", "provider", "model")
PRICE, COMPONENT = pl.col("price"), pl.col("component")
EXCHANGED = (
    pl.when(COMPONENT == "input")
    .then(PRICE.filter(COMPONENT == "output").first().over(OFFER))
    .when(COMPONENT == "output")
    .then(PRICE.filter(COMPONENT == "input").first().over(OFFER))
    .otherwise(PRICE)
)
KINDS = {
    "a thousand times": ("unit_factor", PRICE * 1_000),
    "a thousandth": ("unit_factor", PRICE / 1_000),
    "a million times": ("unit_factor", PRICE * 1_000_000),
    "a hundred thousand times": ("unit_factor", PRICE * 100_000),
    "in yuan": ("currency_factor", PRICE * 7),
    "with 19% tax": ("vat_factor", PRICE * Decimal("1.19")),
    "input and output exchanged": ("component_swapped", EXCHANGED),
    "zero": ("promotional_zero", PRICE * 0),
    "a hundredth": ("unconfirmed_jump", PRICE / 100),
    "an ordinary cut by 60%": ("unconfirmed_jump", PRICE * Decimal("0.4")),
    "an ordinary rise by half": ("unconfirmed_jump", PRICE * Decimal("1.5")),
}
"""Kinds of mistake: what it does to a price, and the guard that is made for it. The last two are no mistakes."""
SHOWN = ("source", "provider", "model", "component", "last", "price", "valid_from")


def recorded(inputs: Inputs) -> pl.DataFrame:
    """Return every price with the last one of its quote, in the order in which the prices held."""
    priced = inputs.quotes.drop_nulls("price").with_columns(pl.col("row").cast(pl.Int64))
    last = pl.col("price").shift(1).over("quote")
    return priced.with_columns(last=last, factor=_factor(last)).filter(last.is_null() | (last != pl.col("price")))


def _factor(last: pl.Expr) -> pl.Expr:
    """Return the larger over the smaller price: only for sorting changes into classes, so a float serves."""
    now, before = pl.col("price").cast(pl.Float64), last.cast(pl.Float64)
    return pl.when((now > 0) & (before > 0)).then(pl.max_horizontal(now, before) / pl.min_horizontal(now, before))


def judged(changes: pl.DataFrame, findings: pl.DataFrame) -> pl.DataFrame:
    """Return the changes with whether each was flagged, held for some time, and what became of the hold."""
    spoken = findings.filter(pl.col("reason").is_in(["frozen", "stale_source"]).not_())
    hold = pl.col("severity") == "hold"
    until = pl.min_horizontal("released_at", "ended_at")
    facts = spoken.with_columns(kept=hold & (until.is_null() | (until > pl.col("held_from")))).group_by("row")
    each = facts.agg(
        pl.lit(True).alias("flagged"),
        hold.any().alias("doubted"),
        held=pl.col("kept").any(),
        taken_back=(hold & pl.col("released_at").is_null() & pl.col("ended_at").is_not_null()).any(),
        still=(hold & pl.col("released_at").is_null() & pl.col("ended_at").is_null()).any(),
    )
    found = changes.join(each, on="row", how="left", maintain_order="left")
    flags = ("flagged", "doubted", "held", "taken_back", "still")
    return found.with_columns(pl.col(flags).fill_null(False))


def share(part: int, whole: int) -> str:
    """Return a count and its share."""
    return f"{part:>6,} of {whole:,} ({part / whole:.2%})" if whole else f"{part:>6,} of 0"


def told(changes: pl.DataFrame, *, listed: bool) -> None:
    """Print what was caught and what was held wrongly, under each truth."""
    large = changes.filter(pl.col("factor") > LARGE)
    ordinary = changes.filter(pl.col("factor") <= LARGE)
    n, m = len(large), len(ordinary)
    flagged, held = (int(large[c].sum()) for c in ("flagged", "held"))
    print(f"\nchanges by more than a factor of {LARGE}: {n:,}")
    print(
        f"  flagged                            {share(flagged, n)}, target {CAUGHT:.0%}: {_met(flagged >= CAUGHT * n)}"
    )
    print(f"  held back for some time            {share(held, n)}; the others were confirmed at once or only noted")
    print(f"  held, and taken back unconfirmed   {share(large.filter('taken_back').height, n)}")
    print(f"  held to the end of the archive     {share(large.filter('still').height, n)}")
    for row in large.filter(~pl.col("flagged")).select(SHOWN).iter_rows():
        print("  not flagged:", *row[:4], f"{row[4].normalize():f} -> {row[5].normalize():f}", row[6].date())
    wrong = int(ordinary["held"].sum())
    right = ordinary.filter("held", "taken_back").height
    print(f"changes by at most a factor of {LARGE}: {m:,}")
    print(f"  held, strict: all of them wrongly  {share(wrong, m)}, target {WRONG:.0%}: {_met(wrong < WRONG * m)}")
    print(f"  of these taken back unconfirmed    {share(right, wrong)}")
    print(f"  held wrongly as it turned out      {share(wrong - right, m)}")
    print(f"  doubted, confirmed at once or not  {share(int(ordinary['doubted'].sum()), m)}")
    print(f"  noted or held                      {share(int(ordinary['flagged'].sum()), m)}")
    if listed:
        for row in ordinary.filter("held").select(SHOWN).iter_rows():
            print("  held:", *row[:4], f"{row[4].normalize():f} -> {row[5].normalize():f}", row[6].date())
    zero, positive = pl.col("price") == 0, pl.col("last") > 0
    for name, rows in (
        ("to zero", changes.filter(zero & positive)),
        ("from zero", changes.filter(pl.col("last") == 0)),
    ):
        print(f"{name + ': held back':37}{share(int(rows['held'].sum()), len(rows))}")
    first = changes.filter(pl.col("last").is_null())
    print(f"{'first prices: held back':37}{share(int(first['held'].sum()), len(first))}")


def by_bound(inputs: Inputs, methodology: Methodology, changes: pl.DataFrame) -> None:
    """Print what is caught and held wrongly under other bounds of a jump, and without that guard."""
    rest = tuple(g for g in methodology.guards if g.reason != "unconfirmed_jump")
    print(f"\n{'bound of a jump':<20}{'large, flagged':>24}{'large, held':>24}{'ordinary, held':>24}{'taken back':>12}")
    for bound in (None, 3, 5, 8, LARGE, 20, 100):
        jump = () if bound is None else (unconfirmed_jump(bound=Decimal(bound), held_until="confirmed"),)
        found = guard(inputs, replace(methodology, guards=(*rest, *jump)), known_at=None, until=archive.HOME_KNOWN_AT)
        each = judged(changes, found)
        large, ordinary = (each.filter(f) for f in (pl.col("factor") > LARGE, pl.col("factor") <= LARGE))
        counts = [
            share(int(part[c].sum()), len(part))
            for part, c in ((large, "flagged"), (large, "held"), (ordinary, "held"))
        ]
        back = ordinary.filter("held", "taken_back").height
        print(f"{bound or 'without'!s:<20}" + "".join(f"{c:>24}" for c in counts) + f"{back:>12}")


def injected(inputs: Inputs, methodology: Methodology) -> None:
    """Print how many invented mistakes of each kind are found."""
    offer = list(OFFER)
    priced = inputs.quotes.filter(
        (pl.col("valid_from") < MISTAKEN_AT)
        & (pl.col("known_at") < MISTAKEN_AT)
        & (pl.col("service_tier") == "standard")
        & (pl.col("context_from") == 0)
        & (pl.col("region") == "")
        & pl.col("time_from").is_null()
        & pl.col("component").is_in(PANEL)
    )
    last = priced.group_by("quote", maintain_order=True).last().filter(pl.col("price") > 0)
    ends = last.filter(pl.col("component").is_in(["input", "output"]))
    both = ends.group_by(offer).agg(pl.len().alias("n"), distinct=pl.col("price").n_unique())
    whole = both.filter((pl.col("n") == 2) & (pl.col("distinct") == 2)).sort(offer)  # two different prices to exchange
    drawn = whole.sample(min(len(whole), MISTAKES), seed=1).select(offer)
    base = last.join(drawn, on=offer, how="semi").with_columns(
        valid_from=MISTAKEN_AT, known_at=MISTAKEN_AT, capture=pl.lit("mistaken"), context_to=None, alias_of=None
    )
    print(f"\n{'mistakes put in':<34}{'its guard speaks':>26}{'any guard holds':>26}")
    for name, (reason, change) in KINDS.items():
        wrong = base.with_columns(price=change.cast(pl.Decimal(38, 24)))
        rows = pl.concat([inputs.observations, wrong.select(inputs.observations.columns)])
        mixed = replace(inputs, observations=rows)
        found = guard(mixed, methodology, known_at=None, until=MISTAKEN_AT + timedelta(hours=1))
        mine = found.filter(pl.col("capture") == "mistaken")
        spoke = mine.filter(pl.col("reason") == reason).select(offer).n_unique()
        held = mine.filter((pl.col("severity") == "hold") & pl.col("released_at").is_null()).select(offer).n_unique()
        print(f"{name:<34}{share(spoke, len(drawn)):>26}{share(held, len(drawn)):>26}")


def _met(met: bool) -> str:
    return "met" if met else "NOT met"


def counted(findings: pl.DataFrame) -> None:
    """Print the findings by guard, and what released them."""
    by = {name: (pl.col("released_by") == name).sum().alias(name) for name in ("second_source", "second_day")}
    ended = (pl.col("released_at").is_null() & pl.col("ended_at").is_not_null()).sum().alias("ended")
    table = findings.group_by("severity", "reason").agg(pl.len().alias("findings"), *by.values(), ended)
    print(f"\n{'guard':<20}{'severity':<10}{'findings':>9}{'2nd source':>12}{'2nd day':>9}{'ended unconfirmed':>19}")
    for severity, reason, *numbers in table.sort("severity", "reason").iter_rows():
        print(
            f"{reason:<20}{severity:<10}" + "".join(f"{n:>{w},}" for n, w in zip(numbers, (9, 12, 9, 19), strict=True))
        )


def wide(inputs: Inputs, times: int) -> Inputs:
    """Return the inputs with every seller so many times, under other names."""
    copies = [f"#{k}" if k else "" for k in range(times)]
    renamed = {
        name: pl.concat([getattr(inputs, name).with_columns(pl.col("provider") + c) for c in copies])
        for name in ("observations", "registry")
    }
    constituents = pl.concat(
        [
            inputs.registry.with_columns(pl.col("provider") + c, constituent=pl.col("constituent") + c, vendor="vendor")
            for c in copies
        ]
    )
    return replace(inputs, observations=renamed["observations"], registry=constituents)


def long(inputs: Inputs, times: int) -> Inputs:
    """Return the inputs with their history so many times, one after the other."""
    span = timedelta(days=1_000)
    moments = {"observations": ("valid_from", "known_at"), "sightings": ("seen_at", "known_at")}
    copies = {
        name: pl.concat([getattr(inputs, name).with_columns(pl.col(columns) - span * k) for k in range(times)])
        for name, columns in moments.items()
    }
    return replace(inputs, **copies)


def timed(inputs: Inputs, methodology: Methodology, *, repeats: int) -> tuple[float, pl.DataFrame]:
    """Return the shortest time of a run in seconds, and the findings; sorting the observations is part of it."""
    times = []
    for _ in range(repeats):
        fresh = replace(inputs)  # without what was sorted before
        start = time.perf_counter()
        found = guard(fresh, methodology, known_at=None, until=archive.HOME_KNOWN_AT)
        times.append(time.perf_counter() - start)
    return min(times), found


def speed(name: str, rows: int, spent: float) -> str:
    """Return a line with the time of a run and its cost a row."""
    return f"{name:<24}{spent:>8.3f} s {rows / spent:>10,.0f} rows a second, {spent / rows * 1e6:.1f} µs a row"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the measurement; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA_DIR", help="folder of the archive")
    parser.add_argument("--document", type=Path, default=TIX, help="the methodology whose guards are asked")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--list", action="store_true", help="list every ordinary change that was held")
    chosen = parser.parse_args(arguments)
    methodology = load(chosen.document.read_bytes(), where=chosen.document.name)
    with tempfile.TemporaryDirectory() as folder:
        archive.main([str(chosen.data), folder])
        home = Home.open(folder)
        inputs = home.inputs()
    best, found = timed(inputs, methodology, repeats=chosen.repeats)
    rows = len(inputs.observations)
    print(
        f"{rows:,} observations of {inputs.quotes['quote'].n_unique():,} quotes, {len(methodology.guards)} guards, "
        "as first known"
    )
    told(judged(recorded(inputs), found), listed=chosen.list)
    counted(found)
    by_bound(inputs, methodology, recorded(inputs))
    injected(inputs, methodology)
    print("\n" + speed("the archive", rows, best))
    for name, grow in (("times the quotes", wide), ("times the history", long)):
        for times in (2, 4, 8):
            larger = grow(inputs, times)
            print(f"sizing {times} {name}", file=sys.stderr)
            spent, _ = timed(larger, methodology, repeats=2)
            print(speed(f"{times} {name}", len(larger.observations), spent))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
