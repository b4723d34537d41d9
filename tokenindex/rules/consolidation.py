"""Consolidation: one elementary price for one homogeneous thing out of several reports of it.

*Reads* the usable observations of a group. *Writes* one price a group. *Never* averages prices that disagree.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import polars as pl

from ..exact import NANO, rescale

Consolidate = Callable[[pl.DataFrame, str], pl.DataFrame]


def tiered_lower_median(*, agreement: Decimal, min_agreeing: Decimal) -> Consolidate:
    """Return a rule: the lower median of the best source tier, if enough of that tier agree with it.

    With the prices :math:`p_1 ≤ … ≤ p_n` of the lowest tier number present, the elementary price is
    :math:`m = p_{⌊(n+1)/2⌋}`. A price agrees if :math:`|p - m| ≤ agreement · m`. There is no elementary price
    (reason ``sources_disagree``) unless more than ``min_agreeing · n`` agree: at one half, two that differ give no price.

    Parameters
    ----------
    agreement : Decimal
        Relative tolerance, 0 to 1.
    min_agreeing : Decimal
        Share of the observations of the tier of which more must agree, from 0 to below 1.

    Returns
    -------
    callable
        ``(rows, key) -> frame``, in the order of the key: one row a group with ``price`` (null without agreement),
        ``source_tier``, ``quotes`` (observations in the tier), ``agreeing``, ``sources`` (distinct sources among the
        agreeing) and ``excluded_by``.
    """
    near, share = rescale(agreement, scale=9), rescale(min_agreeing, scale=9)
    if not (0 <= near <= NANO and 0 <= share < NANO):
        raise ValueError("agreement must lie between 0 and 1, min_agreeing too and below 1")

    def consolidate(rows: pl.DataFrame, key: str) -> pl.DataFrame:
        ordered = rows.sort(key, "source_tier", "standard_price").with_columns(run=pl.col(key).rle_id())
        begins = pl.col("run").ne_missing(pl.col("run").shift())
        lowest = pl.when(begins).then("source_tier").forward_fill()
        best = ordered.filter(pl.col("source_tier") == lowest).with_row_index("at")
        groups = best.group_by("run", maintain_order=True).agg(
            pl.col(key, "source_tier", "at").first(), quotes=pl.len().cast(pl.Int64)
        )
        middle = pl.col("at") + (pl.col("quotes") - 1) // 2
        groups = groups.with_columns(median=pl.lit(best["standard_price"]).gather(middle))
        median = pl.lit(groups["median"]).gather("run")
        distance = (pl.col("standard_price") - median).abs().cast(pl.Int128)
        agreeing = best.filter(distance * NANO <= median.cast(pl.Int128) * near)
        counts = agreeing.group_by("run", maintain_order=True).agg(
            agreeing=pl.len().cast(pl.Int64), sources=pl.col("source").n_unique().cast(pl.Int64)
        )  # a median agrees with itself, so every run is there
        enough = pl.col("agreeing").cast(pl.Int128) * NANO > pl.col("quotes").cast(pl.Int128) * share
        return groups.hstack(counts.drop("run")).select(
            key,
            "source_tier",
            "quotes",
            "agreeing",
            "sources",
            price=pl.when(enough).then("median"),
            excluded_by=pl.when(~enough).then(pl.lit("sources_disagree")),
        )

    return consolidate
