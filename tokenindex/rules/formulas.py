"""Formulas: what the number is.

*Reads* quantities and prices. *Writes* nothing itself: a formula is its parameters, and the exact sums are taken in
`tokenindex.determination`. *Never* mixes a level and an index: they are different quantities.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from ..exact import NANO, rescale


@dataclass(frozen=True)
class FixedBasket:
    """Parameters of `fixed_basket`, ready for use."""

    base_date: date
    base_level: int
    rebalance_day: int
    announce_dates: int
    max_constituents: int
    model_cap: Fraction
    vendor_cap: Fraction
    notional: int


@dataclass(frozen=True)
class VolumeWeightedMean:
    """The formula `volume_weighted_mean`, which needs no parameters of its own."""


def fixed_basket(
    *,
    base_date: date,
    base_level: Decimal,
    rebalance_day: int,
    announce_dates: int,
    max_constituents: int,
    model_cap: Decimal,
    vendor_cap: Decimal,
    notional: int,
) -> FixedBasket:
    """Return the price of a fixed basket and its chain-linked index (a Lowe index with capped quantities).

    On the announcement date :math:`a` the quantities are fixed as :math:`q_i = w_i N / p_i(a)` with the capped
    expenditure shares :math:`w_i` and the notional :math:`N`. The price is :math:`P(t) = Σ q_i p_i(t) / Σ q_i`, the level
    :math:`I(t) = Σ q_i p_i(t) / D`. A new basket takes over after the fixing of the rebalance date :math:`r`, with
    :math:`D = Σ q_i p_i(r) / I(r)`, so that the level moves by prices only.

    References: Consumer Price Index Manual (ILO and others, 2020), paragraphs 8.27 (Lowe) and 8.78 (overlap link).

    Parameters
    ----------
    base_date, base_level
        The first fixing and its level, at most 10**6: later levels fit 64 bits in nano.
    rebalance_day : int
        Day of the month of a rebalance, 1 to 28; the first fixing date from then on.
    announce_dates : int
        Fixing dates between the announcement of a basket and its rebalance date, at least 1.
    max_constituents : int
        The models with the largest expenditure enter.
    model_cap, vendor_cap : Decimal
        Largest share of a model and of a vendor on the announcement date.
    notional : int
        Cost of the basket on the announcement date, in index currency.
    """
    if not 1 <= rebalance_day <= 28 or announce_dates < 1 or max_constituents < 1:
        raise ValueError("rebalance_day must be 1 to 28, announce_dates and max_constituents at least 1")
    if not 0 < base_level <= 10**6:
        raise ValueError("base_level must be above 0 and at most 10**6")
    if not 1 <= notional <= 10**12:
        raise ValueError("notional must be 1 to 10**12")
    if not (0 < model_cap <= 1 and 0 < vendor_cap <= 1):
        raise ValueError("caps must be above 0 and at most 1")
    caps = [Fraction(rescale(cap, scale=9), NANO) for cap in (model_cap, vendor_cap)]
    return FixedBasket(
        base_date,
        rescale(base_level, scale=9),
        rebalance_day,
        announce_dates,
        max_constituents,
        caps[0],
        caps[1],
        notional,
    )


def volume_weighted_mean() -> VolumeWeightedMean:
    """Return the usage-weighted average price :math:`P(t) = Σ v_i p_i(t) / Σ v_i` over the lagged volumes :math:`v_i`.

    It moves with the mix as well as with prices: it is a level, not a price index.
    """
    return VolumeWeightedMean()
