"""Anthropic's organization reports: usage of messages (tokens), and costs (spend).

*Reads* the JSON of the messages usage report and of the cost report: pages of buckets whose bounds are moments with a
zone. *Writes* volumes: tokens from the one, spend without tokens from the other. *Never* adds cached tokens to the input:
`uncached_input_tokens` holds none.

Cache writes kept five minutes are component `cache_write`, those kept an hour `cache_write_1h`. The cost report states
an amount as a decimal text in **cents**; rows whose `cost_type` is not `tokens` (search, code execution, sessions) are
rejected. A volume has no prompt length and no place, so both context windows and every geography are one series. A
service tier that was not grouped by is the standard one; `priority_on_demand` and `flex_discount` are no tiers of ours.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from . import Adapter, Capture, Parsed
from .fields import (
    SCALE,
    UnusableRecord,
    Word,
    amount,
    counted,
    currency_of,
    moment,
    named,
    nested,
    refuse_unknown,
    tier_of,
    word,
)
from .reports import Bucket, identity, report
from .usage import Usage

_PROVIDER: Final = "anthropic"
_TOKENS: Final = {
    "uncached_input_tokens": "input",
    "cache_read_input_tokens": "cache_read",
    "output_tokens": "output",
}
_CREATION: Final = {"ephemeral_5m_input_tokens": "cache_write", "ephemeral_1h_input_tokens": "cache_write_1h"}
_TOKEN_TYPES: Final = {**_TOKENS, **{f"cache_creation.{name}": component for name, component in _CREATION.items()}}
_SPEEDS: Final = {None: None, "standard": None, "fast": "fast"}

_report: Final = partial(report, start="starting_at", end="ending_at", moment_of=moment)


def parse_usage(content: bytes, capture: Capture) -> Parsed:
    """Return the tokens a model, component, service tier and UTC day.

    Raises
    ------
    InputDataError
        If the bytes are not the JSON of a page. So does the other.
    """
    return _report(content, capture, read=_usage)


def _usage(bucket: Bucket, result: dict[str, Any], locator: str) -> Usage:
    creation = nested(result.get("cache_creation"))
    refuse_unknown(result, frozenset(_TOKENS))
    refuse_unknown(creation, frozenset(_CREATION))
    tokens = {
        component: number
        for fields, names in ((result, _TOKENS), (creation, _CREATION))
        for name, component in names.items()
        if (number := counted(fields, name)) is not None
    }
    return Usage(
        provider=_PROVIDER,
        model=named(result, "model", reason="no_model"),
        service_tier=_tier(result),
        day=bucket.day,
        locator=locator,
        tokens=tokens,
        identity=identity(bucket, result, counts=lambda name: name in _TOKENS),
    )


def _tier(result: dict[str, Any]) -> str:
    speed = result.get("speed")
    if not (speed is None or isinstance(speed, str)) or speed not in _SPEEDS:
        raise UnusableRecord("unknown_service_tier", word(speed))
    tier = tier_of(result.get("service_tier"))
    if _SPEEDS[speed] is None:
        return tier
    if tier != "standard":
        raise UnusableRecord("unknown_service_tier", Word(f"{tier}, {speed}"))
    return "fast"


def parse_costs(content: bytes, capture: Capture) -> Parsed:
    """Return the spend a model, component, service tier and UTC day, without tokens."""
    return _report(content, capture, read=_cost)


def _cost(bucket: Bucket, result: dict[str, Any], locator: str) -> Usage:
    kind = result.get("cost_type")
    if kind is None:
        raise UnusableRecord("not_by_description")
    if kind != "tokens":
        raise UnusableRecord("not_tokens", word(kind))
    token_type = result.get("token_type")
    if not isinstance(token_type, str) or token_type not in _TOKEN_TYPES:
        raise UnusableRecord("unknown_meter", word(token_type))
    return Usage(
        provider=_PROVIDER,
        model=named(result, "model", reason="no_model"),
        service_tier=_tier(result),
        day=bucket.day,
        locator=locator,
        spend={_TOKEN_TYPES[token_type]: amount(result.get("amount"), scale=SCALE - 2)},
        currency=currency_of(result.get("currency")),
        identity=identity(bucket, result, counts=lambda name: name == "amount"),
    )


USAGE: Final = Adapter("anthropic-usage", "3", parse_usage, ("VOLUMES",))
COSTS: Final = Adapter("anthropic-costs", "3", parse_costs, ("VOLUMES",))
