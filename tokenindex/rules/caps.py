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
    """Models with more expenditure than `most` are at the cap; all others have `paid / free` times their expenditure."""

    most: int
    paid: int
    free: int


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
    whole = lcm(model_cap.denominator, vendor_cap.denominator)
    cap, most = int(model_cap * whole), int(vendor_cap * whole)
    room = sum(min(most, cap * len(models)) for models in groups.values())
    if room < whole:
        raise CapsInfeasible(
            f"{len(expenditure)} models of {len(groups)} vendors can hold {Fraction(room, whole)} of the weight under caps "
            f"of {model_cap} a model and {vendor_cap} a vendor"
        )
    full: dict[str, _Filled] = {}
    while True:
        left = {g: models for g, models in groups.items() if g not in full}
        rest = [spent for models in left.values() for spent in models]
        filled = _fill(rest, total=whole - most * len(full), cap=cap)
        over = [g for g, models in left.items() if _exceeds(most, models, filled, cap)]
        if not over:
            break
        full |= {g: _fill(groups[g], total=most, cap=cap) for g in over}
    common = lcm(filled.free, *(f.free for f in full.values()))
    each = {g: full.get(g, filled) for g in groups}
    rates = {g: f.paid * (common // f.free) for g, f in each.items()}
    return [
        cap * common if spent > each[g].most else spent * rates[g]
        for g, spent in zip(vendors, expenditure, strict=True)
    ]


def _fill(expenditure: Sequence[int], *, total: int, cap: int) -> _Filled:
    """Return shares of `total` proportional to expenditure, none above `cap`; the caller leaves room enough."""
    free = expenditure
    while free:
        paid, spent = total - cap * (len(expenditure) - len(free)), sum(free)
        most = cap * spent // paid  # it falls from round to round
        within = [each for each in free if each <= most]
        if len(within) == len(free):
            return _Filled(most, paid, spent)
        free = within
    return _Filled(0, 0, 1)


def _exceeds(most: int, models: Sequence[int], filled: _Filled, cap: int) -> bool:
    """Return whether the share of all `models` together is more than `most`."""
    free = [spent for spent in models if spent <= filled.most]
    return sum(free) * filled.paid > (most - cap * (len(models) - len(free))) * filled.free
