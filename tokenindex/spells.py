"""Spells: rows with a run of positions over which nothing about them changes.

*Reads* frames with ``[i0, i1)``, positions in a grid or dates. *Writes* such frames. *Never* looks at what a row means.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl


def split(rows: pl.LazyFrame, facts: pl.LazyFrame, *, on: Sequence[str]) -> pl.LazyFrame:
    """Return `rows` with the columns of `facts`, cut where a fact changes; a row without facts keeps nulls."""
    cut = rows.join(facts.rename({"i0": "f0", "i1": "f1"}), on=list(on), how="left")
    return (
        cut.with_columns(i0=pl.max_horizontal("i0", "f0"), i1=pl.min_horizontal("i1", "f1"))
        .filter(pl.col("i0") < pl.col("i1"))
        .drop("f0", "f1")
    )


def tile(facts: pl.DataFrame, *, on: Sequence[str], start: int | date, end: int | date) -> pl.DataFrame:
    """Return disjoint `facts` with the gaps of each key filled by rows of nulls, so that they cover ``[start, end)``."""
    kind = pl.Int64 if isinstance(end, int) else pl.Date
    ends = facts.select(*on).unique().with_columns(i0=pl.lit(end, dtype=kind), i1=pl.lit(end, dtype=kind))
    there = pl.concat([facts.filter(pl.col("i0") < pl.col("i1")), ends], how="diagonal").sort(*on, "i0")
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in on)
    before = pl.when(same).then(pl.col("i1").shift(1)).fill_null(pl.lit(start, dtype=kind))
    gaps = there.select(*on, i0=before, i1="i0")
    return pl.concat([there, gaps], how="diagonal").filter(pl.col("i0") < pl.col("i1"))


def union(spells: pl.LazyFrame, *, on: Sequence[str]) -> pl.LazyFrame:
    """Return the positions covered by at least one spell of each key, as disjoint spells."""
    ordered = spells.filter(pl.col("i0") < pl.col("i1")).sort(*on, "i0", "i1")
    begins = (pl.col("i0") > pl.col("i1").cum_max().shift(1)).over(on).fill_null(True)
    runs = ordered.with_columns(run=begins.cum_sum()).group_by(*on, "run")
    return runs.agg(pl.col("i0").min(), pl.col("i1").max()).drop("run")
