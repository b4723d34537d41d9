"""Divergence: how far apart a basket, a level and the index numbers of the same frozen inputs are.

*Reads* two determinations of the same dates. *Writes* one row a date. *Never* enters a fixing: index numbers are float64,
for research.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from .determination import Determination
from .errors import DeterminationError
from .numbers import bilateral, chained, multilateral


@dataclass(frozen=True)
class Divergence:
    """Series of the same prices and volumes, 1 on the first date.

    Parameters
    ----------
    frame : DataFrame
        ``fixing_date, basket, level, matched, multilateral``: the level of the fixed basket, the usage-weighted mean
        price, the chained matched Fisher index and the CCDI index of one window.
    chain_drift : float
        The chained Fisher index of the last date over the direct one of first and last date: 1 without drift, for the
        chain back to the first date would end where it began (multiperiod identity, Walsh 1901).
    arithmetic : str
        The two published series are exact; everything here is float64, for research.
    """

    frame: pl.DataFrame
    chain_drift: float
    arithmetic: str = "float64, research"


def divergence(*, basket: Determination, level: Determination) -> Divergence:
    """Return how a basket, a level, a matched and a multilateral index of the same inputs part.

    A level follows the mix and an index does not: where they part, users moved, and prices did not.

    Parameters
    ----------
    basket : Determination
        By a fixed basket.
    level : Determination
        By a usage-weighted mean; its prices in use and lagged tokens are those that the index numbers are made of.

    Returns
    -------
    Divergence
        One row for every date on which both have a calculated figure.

    Raises
    ------
    DeterminationError
        If one of them is of the other kind, or fewer than two dates have both figures.
    """
    if not basket.baskets or level.baskets:
        raise DeterminationError(
            f"{basket.methodology.index} and {level.methodology.index} cannot be set against each other",
            expected="basket: a determination with baskets; level: one without",
        )
    figures = _figures(basket, "level", "basket").join(_figures(level, "price", "level"), on="fixing_date")
    if len(figures) < 2:
        raise DeterminationError("fewer than two dates have both figures", expected="dates that both determined")
    dates = figures["fixing_date"]
    used = level.constituents.filter(
        pl.col("fixing_date").is_in(dates.implode()) & pl.col("used_price").is_not_null() & (pl.col("tokens") > 0)
    )
    table = used.select(
        period="fixing_date",
        item="constituent",
        price=pl.col("used_price").cast(pl.Float64),
        quantity=pl.col("tokens").cast(pl.Float64),
    )
    matched = chained(table, formula="fisher")
    whole = multilateral(table, method="geks_tornqvist")
    direct = bilateral(table, formula="fisher", base=dates[0])
    frame = figures.sort("fixing_date").select(
        "fixing_date", *(pl.col(c).cast(pl.Float64) / pl.col(c).cast(pl.Float64).first() for c in ("basket", "level"))
    )
    frame = frame.with_columns(matched=matched.frame["index"], multilateral=whole.frame["index"])
    return Divergence(frame, float(matched.frame["index"][-1] / direct.frame["index"][-1]))


def _figures(found: Determination, column: str, name: str) -> pl.DataFrame:
    calculated = found.fixings.filter((pl.col("dates_stale") == 0) & pl.col(column).is_not_null())
    return calculated.select("fixing_date", pl.col(column).alias(name))
