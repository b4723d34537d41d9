"""The rules: functions that make rules, by slot and name.

*Reads* nothing. *Writes* expressions and small objects. *Never* has a default: the keyword-only signature of a factory
is the schema of its table in the methodology document. A rule's meaning never changes under its name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from .caps import capped_shares
from .consolidation import tiered_lower_median
from .formulas import fixed_basket, volume_weighted_mean
from .guards import (
    alias_repointed,
    component_order,
    component_swapped,
    currency_factor,
    flapping,
    frozen,
    promotional_zero,
    sources_disagree,
    stale_source,
    tiers_reordered,
    unconfirmed_jump,
    unit_factor,
    vat_factor,
)
from .outliers import confirmed_jump, fixed_cutoff, robust_z, worse_tier
from .screens import date_kind, not_alias, positive_price, price_bounds, region
from .waterfall import carry_forward, minimums, no_fixing

RULES: Final[dict[str, dict[str, Callable[..., Any]]]] = {
    "guard": {
        "alias_repointed": alias_repointed,
        "component_order": component_order,
        "component_swapped": component_swapped,
        "currency_factor": currency_factor,
        "flapping": flapping,
        "frozen": frozen,
        "promotional_zero": promotional_zero,
        "sources_disagree": sources_disagree,
        "stale_source": stale_source,
        "tiers_reordered": tiers_reordered,
        "unconfirmed_jump": unconfirmed_jump,
        "unit_factor": unit_factor,
        "vat_factor": vat_factor,
    },
    "screen": {
        "date_kind": date_kind,
        "not_alias": not_alias,
        "positive_price": positive_price,
        "price_bounds": price_bounds,
        "region": region,
    },
    "consolidation": {"tiered_lower_median": tiered_lower_median},
    "outlier": {
        "confirmed_jump": confirmed_jump,
        "fixed_cutoff": fixed_cutoff,
        "robust_z": robust_z,
        "worse_tier": worse_tier,
    },
    "formula": {"fixed_basket": fixed_basket, "volume_weighted_mean": volume_weighted_mean},
    "waterfall": {"minimums": minimums, "carry_forward": carry_forward, "no_fixing": no_fixing},
}

__all__ = ["RULES", "capped_shares"]
