"""OpenAI's organization reports: usage of completions (tokens), and costs (spend).

*Reads* the JSON of ``organization/usage/completions`` and of ``organization/costs``: pages of buckets whose bounds are
epoch seconds, one minute, hour or day long. *Writes* volumes: tokens from the one, spend without tokens from the other.
*Never* names a model for a result that was not grouped by one, nor a component for a line item it does not know.

`input_tokens` holds everything: cached, cache-write, audio and image tokens. `input_cached_tokens` counts the cached
ones of all modalities, `input_audio_tokens` and `input_image_tokens` the uncached ones. The text left over is component
`input`. A report that also states the sums (`input_uncached_tokens`, `input_text_tokens`, …) must agree with that, so a
report in which audio counts its cached tokens again is refused and not halved. Line items do not say what was batched:
spend of a day on which a model was also used in batches covers both.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from . import Adapter, Capture, Parsed
from .fields import (
    UnusableRecord,
    Word,
    amount,
    counted,
    currency_of,
    epoch,
    named,
    refuse_unknown,
    remainder,
    tier_of,
    word,
)
from .meters import line_item
from .reports import Bucket, identity, report
from .usage import Usage

_PROVIDER: Final = "openai"
_INPUT: Final = {
    "cache_write": "input_cache_write_tokens",
    "input_audio": "input_audio_tokens",
    "input_image": "input_image_tokens",
}
_CACHED: Final = {"cache_read_audio": "input_cached_audio_tokens", "cache_read_image": "input_cached_image_tokens"}
_OUTPUT: Final = {"output_audio": "output_audio_tokens", "output_image": "output_image_tokens"}
_SUMS: Final = {
    "input_text_tokens": ("input",),
    "input_uncached_tokens": ("input", "input_audio", "input_image"),
    "input_cached_text_tokens": ("cache_read",),
    "output_text_tokens": ("output",),
}
_TOTALS: Final = ("input_tokens", "input_cached_tokens", "output_tokens")
_KNOWN: Final = frozenset((*_INPUT.values(), *_CACHED.values(), *_OUTPUT.values(), *_SUMS, *_TOTALS))

_report: Final = partial(report, start="start_time", end="end_time", moment_of=epoch)


def parse_usage(content: bytes, capture: Capture) -> Parsed:
    """Return the tokens a model, component, service tier and UTC day.

    Raises
    ------
    InputDataError
        If the bytes are not the JSON of a page. So does the other.
    """
    return _report(content, capture, read=_usage)


def _usage(bucket: Bucket, result: dict[str, Any], locator: str) -> Usage:
    if result.get("object", "organization.usage.completions.result") != "organization.usage.completions.result":
        raise UnusableRecord("unknown_record", word(result["object"]))
    refuse_unknown(result, _KNOWN)
    return Usage(
        provider=_PROVIDER,
        model=named(result, "model", reason="no_model"),
        service_tier=_tier(result),
        day=bucket.day,
        locator=locator,
        tokens=_tokens(result),
        identity=identity(bucket, result, counts=lambda name: name in _KNOWN or name == "num_model_requests"),
    )


def _tier(result: dict[str, Any]) -> str:
    batch = result.get("batch")
    if batch not in (True, False, None):
        raise UnusableRecord("unknown_service_tier", batch)
    return "batch" if batch else tier_of(result.get("service_tier"))


def _tokens(result: dict[str, Any]) -> dict[str, int]:
    cached = remainder(
        counted(result, "input_cached_tokens"),
        {component: counted(result, name) for component, name in _CACHED.items()},
        to="cache_read",
    )
    inside = {component: counted(result, name) for component, name in _INPUT.items()}
    tokens = {
        **remainder(counted(result, "input_tokens"), {**cached, **inside}, to="input"),
        **remainder(
            counted(result, "output_tokens"),
            {component: counted(result, name) for component, name in _OUTPUT.items()},
            to="output",
        ),
    }
    for name, components in _SUMS.items():
        stated = counted(result, name)
        if stated is not None and stated != sum(tokens.get(component, 0) for component in components):
            raise UnusableRecord("parts_do_not_add_up", Word(name))
    return tokens


def parse_costs(content: bytes, capture: Capture) -> Parsed:
    """Return the spend a model, component, service tier and UTC day, without tokens."""
    return _report(content, capture, read=_cost)


def _cost(bucket: Bucket, result: dict[str, Any], locator: str) -> Usage:
    if result.get("object", "organization.costs.result") != "organization.costs.result":
        raise UnusableRecord("unknown_record", word(result["object"]))
    item = named(result, "line_item", reason="not_by_line_item")
    meter = line_item(item)
    if meter is None or meter.model is None:
        raise UnusableRecord("unknown_meter", Word(item))
    paid = result.get("amount")
    if not isinstance(paid, dict):
        raise UnusableRecord("not_an_amount", paid)
    return Usage(
        provider=_PROVIDER,
        model=meter.model,
        service_tier=meter.service_tier,
        day=bucket.day,
        locator=locator,
        spend={meter.component: amount(paid.get("value"))},
        currency=currency_of(paid.get("currency")),
        identity=identity(bucket, result, counts=lambda name: name == "quantity"),
    )


USAGE: Final = Adapter("openai-usage", "3", parse_usage, ("VOLUMES",))
COSTS: Final = Adapter("openai-costs", "3", parse_costs, ("VOLUMES",))
