"""Consolidation: one elementary price for one homogeneous thing out of several reports of it.

*Reads* the usable observations of a group. *Writes* one price a group. *Never* averages prices that disagree.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import polars as pl

from ..exact import NANO, rescale

Consolidate = Callable[[pl.DataFrame, list[str]], pl.DataFrame]


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
        ``(rows, keys) -> frame``: one row a group with ``price`` (null without agreement), ``source_tier``, ``quotes``
        (observations in the tier), ``agreeing``, ``sources`` (distinct sources among the agreeing) and ``excluded_by``.
    """
    near, share = rescale(agreement, scale=9), rescale(min_agreeing, scale=9)
    if not (0 <= near <= NANO and 0 <= share < NANO):
        raise ValueError("agreement must lie between 0 and 1, min_agreeing too and below 1")

    def consolidate(rows: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
        ordered = rows.sort([*keys, "source_tier", "standard_price", "source"])
        best = ordered.filter(pl.col("source_tier") == pl.col("source_tier").min().over(keys))
        median = best.group_by(keys, maintain_order=True).agg(
            pl.col("standard_price").get((pl.len() - 1) // 2).alias("median"),
            pl.col("source_tier").first(),
            pl.len().cast(pl.Int64).alias("quotes"),
        )
        distance = (pl.col("standard_price") - pl.col("median")).abs().cast(pl.Int128)
        agrees = distance * NANO <= pl.col("median").cast(pl.Int128) * near
        agreeing = (
            best.join(median.select(*keys, "median"), on=keys, how="left")
            .filter(agrees)
            .group_by(keys)
            .agg(pl.len().cast(pl.Int64).alias("agreeing"), pl.col("source").n_unique().cast(pl.Int64).alias("sources"))
        )
        enough = pl.col("agreeing").cast(pl.Int128) * NANO > pl.col("quotes").cast(pl.Int128) * share
        return median.join(agreeing, on=keys, how="left", maintain_order="left").with_columns(
            price=pl.when(enough).then("median"),
            excluded_by=pl.when(~enough).then(pl.lit("sources_disagree")),
        )

    return consolidate
