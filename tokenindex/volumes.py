"""Volumes: which periods of usage belong to the window of each fixing date.

*Reads* the volumes of the inputs and a grid of fixing dates. *Writes* spells of periods with their tokens. *Never* counts
the same tokens twice, and never a period before it was over.
"""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from .methodology import Volumes
from .selection import SELLER, Grid, Inputs, entered, split, tile, union, visible


def select_volumes(inputs: Inputs, rule: Volumes, grid: Grid) -> pl.DataFrame:
    """Return the complete volumes of the allowed sources as spells of the dates whose window they belong to.

    Returns
    -------
    DataFrame
        ``place`` (null where unmapped), ``period_start, period_end, tokens, i0, i1`` and ``counted``: the tokens are
        of an allowed class of service.
    """
    sources = list(rule.sources)
    again = pl.col("contained_in").is_in(sources).fill_null(False)
    rows = visible(inputs.usage, grid=grid).filter(
        pl.col("source").is_in(sources) & pl.col("component").is_in(list(rule.components)) & ~again
    )
    if grid.known_at is None:
        rows = entered(rows, seen=pl.col("known_at"), of="series", grid=grid)
    else:
        last = (pl.col("series") != pl.col("series").shift(-1)).fill_null(True)
        rows = rows.filter(last).with_columns(i0=pl.lit(0, dtype=pl.Int64), i1=pl.lit(grid.size, dtype=pl.Int64))
    first = grid.from_date(pl.col("period_end") + timedelta(days=rule.lag_days))
    after = grid.from_date(pl.col("period_start") + timedelta(days=rule.lag_days + rule.window_days))
    complete = rows.filter(~pl.col("partial")).collect(engine="in-memory")
    spells = (
        _counted_once(complete, grid)
        .lazy()
        .select(
            "place",
            "period_start",
            "period_end",
            "tokens",
            i0=pl.max_horizontal(first, "i0"),
            i1=pl.min_horizontal(after, "i1"),
            counted=pl.col("service_tier").is_in(list(rule.service_tiers)),
        )
    )
    return spells.filter(pl.col("i0") < pl.col("i1")).collect(engine="in-memory")


def _counted_once(rows: pl.DataFrame, grid: Grid) -> pl.DataFrame:
    """Return volumes cut where a finer period of the same seller, which overlaps theirs, is in force.

    Of two periods that overlap the shorter one counts, of two as long the one that starts first.
    """
    length = pl.col("period_end") - pl.col("period_start")
    long = rows.filter(length > timedelta(0))
    if long.is_empty():
        return rows
    key = [*SELLER, "component", "service_tier"]
    facts = [*key, "period_start", "period_end", "i0", "i1"]
    finer = rows.select(facts).rename({name: f"{name}_finer" for name in facts})
    length_finer = pl.col("period_end_finer") - pl.col("period_start_finer")
    pairs = long.select("row", *facts[:-2]).join_where(
        finer,
        *(pl.col(name) == pl.col(f"{name}_finer") for name in key),
        pl.col("period_start_finer") <= pl.col("period_end"),
        pl.col("period_end_finer") >= pl.col("period_start"),
    )
    earlier = (length_finer == length) & (pl.col("period_start_finer") < pl.col("period_start"))
    taken = pairs.lazy().filter((length_finer < length) | earlier).select("row", i0="i0_finer", i1="i1_finer")
    spells = union(taken, on=["row"]).with_columns(taken=pl.lit(True))
    cut = split(rows.lazy(), tile(spells, on=["row"], start=0, end=grid.size), on=["row"])
    return cut.filter(pl.col("taken").is_null()).drop("taken").collect(engine="in-memory")
