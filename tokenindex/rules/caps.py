"""Caps: exact shares that keep a limit for each model and each vendor.

*Reads* expenditures as integers. *Writes* fractions that sum to one. *Never* rounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction


class CapsInfeasible(ValueError):
    """No shares can meet the caps: there are too few models or vendors."""


def capped_shares(
    expenditure: Mapping[str, int], *, vendor: Mapping[str, str], model_cap: Fraction, vendor_cap: Fraction
) -> dict[str, Fraction]:
    """Return shares proportional to expenditure, except where a cap binds; what a cap cuts off goes to the rest pro rata.

    The shares are :math:`w_i = \\min(c_m, λ_g e_i)` with :math:`λ_g = λ` for a vendor below its cap, and
    :math:`λ_g ≤ λ` such that the vendor's shares sum to :math:`c_v` otherwise; :math:`λ` makes all shares sum to one.
    They exist if and only if :math:`\\sum_g \\min(c_v, n_g c_m) ≥ 1`, and are unique then.

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
    room = sum((min(vendor_cap, len(models) * model_cap) for models in groups.values()), Fraction(0))
    if room < 1:
        raise CapsInfeasible(
            f"{len(expenditure)} models of {len(groups)} vendors can hold {room} of the weight under caps of "
            f"{model_cap} a model and {vendor_cap} a vendor"
        )
    full: dict[str, dict[str, Fraction]] = {}
    while True:
        open_models = {m: expenditure[m] for g, models in groups.items() if g not in full for m in models}
        left = Fraction(1) - sum((s for shares in full.values() for s in shares.values()), Fraction(0))
        shares = _fill(open_models, total=left, cap=model_cap)
        over = [g for g, ms in groups.items() if g not in full and sum(shares[m] for m in ms) > vendor_cap]
        if not over:
            return {m: s for part in (*full.values(), shares) for m, s in part.items()}
        for g in over:
            full[g] = _fill({m: expenditure[m] for m in groups[g]}, total=vendor_cap, cap=model_cap)


def _fill(expenditure: Mapping[str, int], *, total: Fraction, cap: Fraction) -> dict[str, Fraction]:
    """Return shares of `total` proportional to expenditure, none above `cap`; the caller leaves room enough."""
    capped: set[str] = set()
    while True:
        free = sum(e for m, e in expenditure.items() if m not in capped)
        left = total - cap * len(capped)
        over = {m for m, e in expenditure.items() if m not in capped and left * e > cap * free}
        if not over:
            return {m: cap if m in capped else left * Fraction(e, free) for m, e in expenditure.items()}
        capped |= over
