"""Caps: exact shares that keep a limit for each model and each vendor.

*Reads* expenditures as integers. *Writes* integers in proportion to the shares. *Never* rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm
from typing import NamedTuple


class CapsInfeasible(ValueError):
    """No shares can meet the caps: there are too few models or vendors."""


class _Filled(NamedTuple):
    """Models with more expenditure than `most` are at the cap; all others have `rate` times their expenditure."""

    most: int
    rate: Fraction


def capped_shares(
    expenditure: Sequence[int], *, vendors: Sequence[str], model_cap: Fraction, vendor_cap: Fraction
) -> list[int]:
    """Return integers in proportion to expenditure, except where a cap binds; what it cuts off goes to the rest pro rata.

    The share of a model is its integer over the sum of all: :math:`w_i = \\min(c_m, λ_g e_i)` with :math:`λ_g = λ` for a
    vendor below its cap, and :math:`λ_g ≤ λ` such that the vendor's shares sum to :math:`c_v` otherwise; :math:`λ` makes
    all shares sum to one. They exist if and only if :math:`\\sum_g \\min(c_v, n_g c_m) ≥ 1`, and are unique then.

    Parameters
    ----------
    expenditure : sequence of int
        Positive expenditure of each model.
    vendors : sequence of str
        Vendor of each model.
    model_cap, vendor_cap : Fraction
        Largest share of a model and of a vendor, above 0 and at most 1.

    Raises
    ------
    CapsInfeasible
        With the largest share that the caps leave room for.
    """
    groups: dict[str, list[int]] = {}
    for vendor, spent in zip(vendors, expenditure, strict=True):
        groups.setdefault(vendor, []).append(spent)
    enough = vendor_cap / model_cap  # models of a vendor that reach its cap
    room = vendor_cap * sum(len(models) >= enough for models in groups.values())
    room += model_cap * sum(len(models) for models in groups.values() if len(models) < enough)
    if room < 1:
        raise CapsInfeasible(
            f"{len(expenditure)} models of {len(groups)} vendors can hold {room} of the weight under caps of "
            f"{model_cap} a model and {vendor_cap} a vendor"
        )
    full: dict[str, _Filled] = {}
    while True:
        left = {g: models for g, models in groups.items() if g not in full}
        rest = [spent for models in left.values() for spent in models]
        filled = _fill(rest, total=1 - vendor_cap * len(full), cap=model_cap)
        over = [g for g, models in left.items() if _exceeds(vendor_cap, models, filled, model_cap)]
        if not over:
            break
        full |= {g: _fill(groups[g], total=vendor_cap, cap=model_cap) for g in over}
    whole = lcm(model_cap.denominator, *(f.rate.denominator for f in (filled, *full.values())))
    capped = int(model_cap * whole)
    each = {g: (most, int(rate * whole)) for g, (most, rate) in ((g, full.get(g, filled)) for g in groups)}
    return [
        capped if spent > each[g][0] else spent * each[g][1] for g, spent in zip(vendors, expenditure, strict=True)
    ]


def _fill(expenditure: Sequence[int], *, total: Fraction, cap: Fraction) -> _Filled:
    """Return shares of `total` proportional to expenditure, none above `cap`; the caller leaves room enough."""
    free = expenditure
    while free:
        rate = (total - cap * (len(expenditure) - len(free))) / sum(free)
        most = cap // rate  # it falls from round to round, as the rate rises
        within = [spent for spent in free if spent <= most]
        if len(within) == len(free):
            return _Filled(most, rate)
        free = within
    return _Filled(0, Fraction(0))


def _exceeds(most: Fraction, models: Sequence[int], filled: _Filled, cap: Fraction) -> bool:
    """Return whether the share of all `models` together is more than `most`."""
    free = [spent for spent in models if spent <= filled.most]
    left = most - cap * (len(models) - len(free))
    # cross-multiplied: this is asked of every vendor
    return sum(free) * filled.rate.numerator * left.denominator > left.numerator * filled.rate.denominator
