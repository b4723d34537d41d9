"""Screens: which observations may enter, decided row by row.

*Reads* one observation in force. *Writes* a reason code. *Never* looks at another row.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from ..exact import NANO, rescale


@dataclass(frozen=True)
class Screen:
    """A reason code, and the expression that is true where it applies."""

    reason: str
    applies: pl.Expr


def region(*, allowed: tuple[str, ...]) -> Screen:
    """Exclude prices of regions that are not `allowed`; the empty text is a price that holds everywhere."""
    return Screen("region", ~pl.col("region").is_in(list(allowed)))


def date_kind(*, allowed: tuple[str, ...]) -> Screen:
    """Exclude prices whose beginning is not of an `allowed` kind: nobody knows when an undated price began."""
    return Screen("date_kind", ~pl.col("date_kind").is_in(list(allowed)))


def not_alias() -> Screen:
    """Exclude rows that repeat the price of another model."""
    return Screen("alias", pl.col("alias_of").is_not_null())


def positive_price() -> Screen:
    """Exclude zero (free, subscription or unknown) and negative (not a price) prices.

    A component whose price is excluded counts as one without a price of its own: see ``blend.instead``.
    """
    return Screen("not_positive", pl.col("price") <= 0)


def price_bounds(*, lowest: Decimal, highest: Decimal) -> Screen:
    """Exclude prices outside ``lowest <= price <= highest``, in index currency per million tokens."""
    low, high = rescale(lowest, scale=9), rescale(highest, scale=9)
    if not 0 < low < high:
        raise ValueError(f"bounds must satisfy 0 < lowest < highest, not {lowest} and {highest}")
    if high > 10**6 * NANO:
        raise ValueError("highest must not exceed one million per million tokens")
    return Screen("price_bounds", ~pl.col("standard_price").is_between(low, high))
