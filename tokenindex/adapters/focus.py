"""FOCUS 1.0, 1.1 and 1.2: the common billing table of clouds and vendors, as CSV.

*Reads* the usage charges that are metered in tokens. *Writes* volumes with spend. *Never* guesses what a meter counts:
the component comes from the vocabularies of `meters` or from the key ``TokenType`` of ``SkuPriceDetails``, matched as a
whole, in ``SkuPriceDetails``, ``SkuMeter`` and ``ChargeDescription``; if two of them disagree the row is rejected.

The quantity is ``ConsumedQuantity`` in ``ConsumedUnit``, or ``PricingQuantity`` in ``PricingUnit`` where the first is not
in tokens; a unit is ``tokens`` with or without a number before it (``1000 tokens``, ``1K Tokens``, ``1M tokens``). The
model is the one that the meter names, or the key ``Model`` (``ModelName``) of ``SkuPriceDetails``; names of resources,
accounts and tags are never read, since they are the buyer's own.

Spend is ``EffectiveCost``: what this usage cost after every discount, with its part of what was paid in advance.
``BilledCost`` is zero for usage that a commitment covers, and has the commitment on a row that has no tokens; ``ListCost``
nobody paid. So credits, taxes, purchases and adjustments are rejected, as are corrections of earlier invoices and
commitments that stayed unused. A charge of more than one UTC day is rejected: its tokens belong to no day.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from fractions import Fraction
from typing import Any, Final

from . import Adapter, Capture, Parsed
from .fields import SCALE, UnusableRecord, Word, amount, count, currency_of, moment, named, nested, tier_of, word
from .meters import Meter, azure_meter, line_item, plain_meter
from .usage import Tally, Usage, csv_records

_NEEDED: Final = frozenset(
    "BillingCurrency ChargeCategory ChargeDescription ChargePeriodEnd ChargePeriodStart EffectiveCost ProviderName "
    "PricingQuantity PricingUnit".split()
)
_UNIT: Final = re.compile(r"((?P<number>\d{1,9})(?P<letter>[km]?)\s+)?tokens?", re.ASCII | re.IGNORECASE)
_LETTERS: Final = {"": 1, "k": 10**3, "m": 10**6}
_QUANTITIES: Final = (("ConsumedQuantity", "ConsumedUnit"), ("PricingQuantity", "PricingUnit"))
_MODEL_KEYS: Final = ("Model", "ModelName", "x_Model", "x_ModelName")
_TYPE_KEYS: Final = ("TokenType", "x_TokenType")
_TIER_KEYS: Final = ("ServiceTier", "x_ServiceTier")


def parse(content: bytes, capture: Capture) -> Parsed:
    """Return the tokens and the spend a provider, model, component, service tier and UTC day.

    Raises
    ------
    InputDataError
        If the bytes are not a CSV file with the mandatory columns.
    """
    tally = Tally(capture, scope="own")
    tally.read(csv_records(tally, content, columns=_NEEDED), _charge)
    return tally.parsed()


def _charge(fields: dict[str, Any], locator: str) -> Usage:
    if fields.get("ChargeCategory") != "Usage":
        raise UnusableRecord("not_usage", word(fields.get("ChargeCategory")))
    if fields.get("ChargeClass") == "Correction":
        raise UnusableRecord("correction")
    if fields.get("CommitmentDiscountStatus") == "Unused":
        raise UnusableRecord("unused_commitment")
    tokens = _quantity(fields)
    meter = _meter(fields)
    if meter.model is None:
        raise UnusableRecord("no_model")
    return Usage(
        provider=named(fields, "ProviderName", reason="no_provider"),
        model=meter.model,
        service_tier=meter.service_tier,
        day=_day(fields),
        locator=locator,
        tokens={meter.component: tokens},
        spend={meter.component: amount(fields.get("EffectiveCost"))},
        currency=currency_of(fields.get("BillingCurrency")),
    )


def _quantity(fields: dict[str, Any]) -> int:
    for quantity, unit in _QUANTITIES:
        match = _UNIT.fullmatch(str(fields.get(unit, "")).strip())
        if match is None or fields.get(quantity) is None:
            continue
        if str(fields[quantity]).strip().startswith("-"):
            raise UnusableRecord("negative_count", fields[quantity])
        try:
            exact = Fraction(amount(fields[quantity]), 10**SCALE)
        except UnusableRecord as why:
            raise UnusableRecord("not_a_count", why.found) from None
        tokens = exact * int(match["number"] or 1) * _LETTERS[(match["letter"] or "").lower()]
        if tokens.denominator != 1:
            raise UnusableRecord("not_a_count", fields[quantity])
        return count(int(tokens))
    raise UnusableRecord("not_tokens", word(fields.get("ConsumedUnit") or fields.get("PricingUnit")))


def _meter(fields: dict[str, Any]) -> Meter:
    """Return the one meter that the row names; a model may stand apart from what was counted."""
    details = nested(fields.get("SkuPriceDetails"))
    found = [
        meter
        for text in (fields.get("SkuMeter"), fields.get("ChargeDescription"))
        if isinstance(text, str) and (meter := line_item(text) or azure_meter(text) or plain_meter(text))
    ]
    kind = _text(details, _TYPE_KEYS)
    if kind is not None:
        plain = plain_meter(kind)
        if plain is None:
            raise UnusableRecord("unknown_meter", Word(kind))
        found.append(plain)
    if not found:
        raise UnusableRecord("unknown_meter", word(fields.get("SkuMeter")))
    models = {meter.model for meter in found if meter.model} | {_text(details, _MODEL_KEYS)} - {None}
    tiers = {meter.service_tier for meter in found if meter.model}
    tier = _text(details, _TIER_KEYS)
    tiers |= {tier_of(tier.lower())} if tier else set()
    if len({meter.component for meter in found}) > 1 or len(models) > 1 or len(tiers) > 1:
        raise UnusableRecord("meters_disagree")
    return Meter(found[0].component, next(iter(models), None), next(iter(tiers), "standard"))


def _text(details: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    return next((details[key] for key in keys if isinstance(details.get(key), str) and details[key].strip()), None)


def _day(fields: dict[str, Any]) -> date:
    start, end = moment(fields.get("ChargePeriodStart")), moment(fields.get("ChargePeriodEnd"))
    if end <= start:
        raise UnusableRecord("ends_before_it_starts", int((end - start).total_seconds()))
    if (end - timedelta(microseconds=1)).date() != start.date():
        raise UnusableRecord("spans_days", int((end - start).total_seconds()))
    return start.date()


ADAPTER: Final = Adapter("focus", "2", parse, ("VOLUMES",))
