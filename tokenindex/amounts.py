"""Amounts: what an observation costs per million tokens of its own currency, in whole numbers.

*Reads* prices in the unit of their source. *Writes* integers. *Never* converts a currency: that depends on the date.

The amounts depend on nothing but the row, so that they are made once for all indices, dates and moments.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from .exact import NANO, PRICE_MAX, divide_columns
from .units import PER_MTOK

AMOUNT_MAX: Final = 10**28
"""Largest price that is told apart, in 1e-15 per million tokens: times `NANO` it stays under 2**125."""
_UNIT: Final = 10**15
"""Of 1e-24 in one of 1e-9: the price of a source has more decimals than ours."""


def _factor(units: pl.Series) -> pl.Series:
    """Return the whole number by which a price of each unit is multiplied."""
    factors = {unit: factor.numerator for unit, factor in PER_MTOK.items()}
    return units.replace_strict(factors, default=None, return_dtype=pl.Int128)


def nano(observations: pl.DataFrame) -> pl.Series:
    """Return prices in nano, each rounded half-even; null where there is none, or more than a million currency units."""
    facts = observations.select(raw=pl.col("price").to_physical().cast(pl.Int128), factor=_factor(observations["unit"]))
    raw, factor = pl.col("raw"), pl.col("factor")
    size = divide_columns(raw.abs() * factor, pl.lit(_UNIT, dtype=pl.Int128))
    bounded = raw.abs() <= pl.lit(PRICE_MAX * _UNIT, dtype=pl.Int128) // factor
    return facts.select(pl.when(bounded).then(size * raw.sign()).cast(pl.Int64)).to_series()


def femto(observations: pl.DataFrame) -> pl.Series:
    """Return prices in whole 1e-15, half-even, at most `AMOUNT_MAX`; null where there is none or one below zero."""
    facts = observations.select(raw=pl.col("price").to_physical().cast(pl.Int128), factor=_factor(observations["unit"]))
    raw, factor = pl.col("raw"), pl.col("factor")
    bounded = pl.min_horizontal(raw, pl.lit(AMOUNT_MAX * NANO, dtype=pl.Int128) // factor)
    whole = divide_columns(bounded * factor, pl.lit(NANO, dtype=pl.Int128))
    return facts.select(pl.when(raw >= 0).then(whole)).to_series()
