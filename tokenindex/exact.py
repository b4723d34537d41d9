"""Exact arithmetic: fixed point, the only division, the only rounding.

*Reads* decimal text and integers. *Writes* integers. *Never* lets a binary float into a published figure.

Prices are integers of 1e-9 currency units per million tokens ("nano"), tokens are integers. Sums and products of whole
columns run in polars as ``Decimal(38, 0)``, which raises on overflow, but wraps in silence inside of groups. The bounds
below keep every such sum under 38 digits: ``PRICE_MAX * TOKENS_MAX * ROWS_MAX < 10**38``; what exceeds one is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Final

import polars as pl

NANO: Final = 10**9
PRICE_MAX: Final = 10**15
"""Largest price: a million currency units per million tokens, in nano."""
TOKENS_MAX: Final = 10**17
"""Largest volume of one row, and largest quantity of one constituent in a basket, in tokens."""
RATE_MAX: Final = 10**9
"""Largest exchange rate, units of quote per unit of base: a rate in nano fits 64 bits."""
ROWS_MAX: Final = 10**5
"""Largest number of constituents on one fixing date."""
SOURCE_SCALE: Final = 24
"""Decimals kept of a price in the source's own unit (a price per token needs many)."""

WIDE: Final = pl.Decimal(38, 0)
MONEY: Final = pl.Decimal(38, 9)
SOURCE_MONEY: Final = pl.Decimal(38, SOURCE_SCALE)

_PLAIN = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")


def parse_decimal(text: str) -> Decimal:
    """Return the exact decimal that `text` writes, with at most 14 digits before and 24 after the point.

    Raises
    ------
    ValueError
        If the text is not a plain or scientific decimal number, or would lose a digit in ``decimal128(38, 24)``.
    """
    if not _PLAIN.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not a decimal number")
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent beyond the limits of the decimal module
        raise ValueError(f"{text[:40]!r} is out of range") from None
    if not number:
        return Decimal(0)  # 0e39 is a zero too, and polars has no room for its exponent
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    if -exponent > SOURCE_SCALE or len(digits) + exponent > 38 - SOURCE_SCALE:
        raise ValueError(f"{text[:40]!r} has more than 14 digits before or {SOURCE_SCALE} after the point")
    return number


def divide(numerator: int, denominator: int) -> int:
    """Return ``numerator / denominator`` rounded half-even to an integer.

    Examples
    --------
    >>> divide(5, 2), divide(7, 2), divide(-5, 2)
    (2, 4, -2)
    """
    if denominator <= 0:
        raise ZeroDivisionError("the denominator of an exact division must be positive")
    quotient, rest = divmod(numerator, denominator)
    return quotient + (2 * rest > denominator or (2 * rest == denominator and quotient % 2 == 1))


def divide_columns(numerator: pl.Expr, denominator: pl.Expr) -> pl.Expr:
    """Return the half-even quotient of two non-negative columns as Int128.

    Half up is :math:`⌊(2a + b) / 2b⌋`; at a tie that gave an odd number, where :math:`2a + b ≡ 2b` modulo :math:`4b`, it
    is one too many. Both sides must be proven to stay under 2**125: Int128 wraps in silence beyond its range.
    """
    a, b = numerator.cast(pl.Int128), denominator.cast(pl.Int128)
    doubled, half = a * 2 + b, b * 2
    return doubled // half - (doubled % (b * 4) == half).cast(pl.Int128)


def step_of(decimals: int) -> int:
    """Return the rounding step in nano of a figure with so many decimals, 0 to 9."""
    return int(10 ** (9 - decimals))


def rescale(amount: Decimal, *, scale: int) -> int:
    """Return `amount` in units of ``10**-scale``.

    Raises
    ------
    ValueError
        If the amount has more decimals than that: nothing is rounded here.
    """
    number = Fraction(amount) * 10**scale
    if number.denominator != 1:
        raise ValueError(f"{amount} has more than {scale} decimals")
    return int(number.numerator)


def money(column: str) -> pl.Expr:
    """Return a nano column as the public ``decimal128(38, 9)`` in currency units."""
    return (pl.col(column).cast(WIDE) * pl.lit("0.000000001").cast(MONEY)).cast(MONEY)


def wide_sum(*factors: pl.Expr) -> pl.Expr:
    """Return the exact sum of the product of integer columns within the bounds of this module."""
    product = factors[0].cast(WIDE)
    for factor in factors[1:]:
        product = product * factor.cast(WIDE)
    return product.sum()


def apportion(parts: Sequence[int], *, total: int, room: Sequence[int] | None = None) -> list[int]:
    """Return integers that sum to `total`, as near to proportional as whole numbers come (largest remainder).

    Parameters
    ----------
    parts : sequence of int
        Non-negative, not all zero; the result is in proportion to them.
    total : int
        The sum to hand out.
    room : sequence of int, optional
        An upper bound of each result. A unit goes to the largest remainder that has room; ties go to the first.

    Raises
    ------
    ValueError
        If all parts are zero or there is not enough room.
    """
    sum_of_parts = sum(parts)
    if sum_of_parts <= 0:
        raise ValueError("nothing to apportion to: all parts are zero")
    whole, rest = [], []
    for part in parts:
        quotient, remainder = divmod(part * total, sum_of_parts)
        whole.append(quotient)
        rest.append(remainder)
    missing = total - sum(whole)
    order = sorted(range(len(parts)), key=rest.__getitem__, reverse=True)  # ties stay in order
    fractional = [i for i in order if rest[i]]
    for i in fractional + order:  # the second round is reached only where room is short
        if not missing:
            break
        if room is None or whole[i] < room[i]:
            whole[i] += 1
            missing -= 1
    if missing:
        raise ValueError("no room to hand out the whole total")
    return whole
