"""Caps: exact shares that keep a limit for each model and each vendor.

*Reads* expenditures as integers. *Writes* integers in proportion to the shares. *Never* rounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import lcm
from typing import NamedTuple


class CapsInfeasible(ValueError):
    """No shares can meet the caps: there are too few models or vendors."""


class _Filled(NamedTuple):
    """The models at the cap; all others have `rate` times their expenditure."""

    capped: frozenset[str]
    rate: Fraction


def capped_shares(
    expenditure: Mapping[str, int], *, vendor: Mapping[str, str], model_cap: Fraction, vendor_cap: Fraction
) -> dict[str, int]:
    """Return integers in proportion to expenditure, except where a cap binds; what it cuts off goes to the rest pro rata.

    The share of a model is its integer over the sum of all: :math:`w_i = \\min(c_m, λ_g e_i)` with :math:`λ_g = λ` for a
    vendor below its cap, and :math:`λ_g ≤ λ` such that the vendor's shares sum to :math:`c_v` otherwise; :math:`λ` makes
    all shares sum to one. They exist if and only if :math:`\\sum_g \\min(c_v, n_g c_m) ≥ 1`, and are unique then.

    Parameters
    ----------
    expenditure : mapping of str to int
        Positive expenditure of each model.
    vendor : mapping of str to str
        Vendor of each model.
    model_cap, vendor_cap : Fraction
        Largest share of a model and of a vendor, above 0 and at most 1.

    Raises
    ------
    CapsInfeasible
        With the largest share that the caps leave room for.
    """
    groups: dict[str, list[str]] = {}
    for model in sorted(expenditure):
        groups.setdefault(vendor[model], []).append(model)
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
        filled = _fill(
            {m: expenditure[m] for models in left.values() for m in models},
            total=1 - vendor_cap * len(full),
            cap=model_cap,
        )
        over = [g for g, models in left.items() if _exceeds(vendor_cap, models, expenditure, filled, model_cap)]
        if not over:
            break
        for g in over:
            full[g] = _fill({m: expenditure[m] for m in groups[g]}, total=vendor_cap, cap=model_cap)
    whole = lcm(model_cap.denominator, *(f.rate.denominator for f in (filled, *full.values())))
    most = int(model_cap * whole)
    shares: dict[str, int] = {}
    for g, models in groups.items():
        capped, rate = full.get(g, filled)
        each = int(rate * whole)
        shares |= {m: most if m in capped else expenditure[m] * each for m in models}
    return shares


def _fill(expenditure: Mapping[str, int], *, total: Fraction, cap: Fraction) -> _Filled:
    """Return shares of `total` proportional to expenditure, none above `cap`; the caller leaves room enough."""
    capped: set[str] = set()
    free = sum(expenditure.values())
    while free:
        rate = (total - cap * len(capped)) / free
        most = cap // rate
        over = [m for m, e in expenditure.items() if e > most and m not in capped]
        if not over:
            return _Filled(frozenset(capped), rate)
        capped.update(over)
        free -= sum(expenditure[m] for m in over)
    return _Filled(frozenset(capped), Fraction(0))


def _exceeds(most: Fraction, models: list[str], expenditure: Mapping[str, int], filled: _Filled, cap: Fraction) -> bool:
    """Return whether the share of all `models` together is more than `most`."""
    capped, rate = filled
    held = sum(m in capped for m in models)
    free = sum(expenditure[m] for m in models if m not in capped)
    left = most - cap * held if held else most
    # cross-multiplied: this is asked of every vendor
    return free * rate.numerator * left.denominator > left.numerator * rate.denominator
