"""The waterfall: what is published when the inputs are thin, down to an explicit last rung.

*Reads* the facts of one fixing date. *Writes* a verdict. *Never* lets a date pass without one.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from ..exact import rescale


class Minimums(NamedTuple):
    """Publish the calculated figure if every minimum is met."""

    status: str
    constituents: int
    vendors: int
    coverage: int


class CarryForward(NamedTuple):
    """Publish the last calculated figure if it is recent enough."""

    status: str
    max_dates: int


class NoFixing(NamedTuple):
    """Publish no figure."""

    status: str


Rung = Minimums | CarryForward | NoFixing


def minimums(*, status: str, constituents: int, vendors: int, coverage: Decimal) -> Minimums:
    """Publish the calculated figure where at least so many constituents and vendors have a price, and enough weight.

    Parameters
    ----------
    status : str
        The status of such a fixing.
    constituents, vendors : int
        Smallest number with a price in use.
    coverage : Decimal
        Smallest share of the weight whose price was observed for the fixing date itself (not carried), 0 to 1.
    """
    if constituents < 1 or vendors < 1 or not 0 <= coverage <= 1:
        raise ValueError("constituents and vendors must be at least 1, coverage between 0 and 1")
    return Minimums(status, constituents, vendors, rescale(coverage, scale=9))


def carry_forward(*, status: str, max_dates: int) -> CarryForward:
    """Publish the last calculated figure again, at most `max_dates` fixing dates later."""
    if max_dates < 1:
        raise ValueError("max_dates must be at least 1")
    return CarryForward(status, max_dates)


def no_fixing(*, status: str) -> NoFixing:
    """Publish no figure: the administrator must act."""
    return NoFixing(status)
