"""Langfuse's export of observations: what each generation used and cost.

*Reads* a JSON array, JSON lines or CSV; fields in either spelling (``usageDetails``, ``usage_details``). *Writes* volumes
with the spend of each component where the export attributes it. *Never* reads inputs, outputs, metadata or users, and
never takes a usage type for a component that it only resembles.

``usageDetails`` are disjoint parts with a ``total``: a total that is not their sum says that they overlap, and the
observation is rejected. An older export has only ``usage`` (or its fields side by side), whose input holds what was
cached, so that its costs are taken as one. Langfuse names no seller, so the provider is `unnamed`. Observations that are
no model call may repeat the usage of the calls below them and are rejected if they hold usage; without any they say
nothing here and are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from . import Adapter, Capture, Parsed
from .fields import SCALE, UnusableRecord, Word, amount, count, moment, named, nested, tier_of, word
from .usage import UNNAMED, Tally, Usage, records

_COMPONENTS: Final = {
    "input": "input",
    "input_text_tokens": "input",
    "input_cached_tokens": "cache_read",
    "input_cache_read": "cache_read",
    "cache_read_input_tokens": "cache_read",
    "input_cache_creation": "cache_write",
    "cache_creation_input_tokens": "cache_write",
    "input_cache_creation_5m": "cache_write",
    "input_cache_creation_1h": "cache_write_1h",
    "input_audio_tokens": "input_audio",
    "input_image_tokens": "input_image",
    "output": "output",
    "output_text_tokens": "output",
    "output_accepted_prediction_tokens": "output",
    "output_rejected_prediction_tokens": "output",
    "output_reasoning": "output_reasoning",
    "output_reasoning_tokens": "output_reasoning",
    "output_audio_tokens": "output_audio",
    "output_image_tokens": "output_image",
}
_CALLS: Final = ("GENERATION", "EMBEDDING")
_UNITS: Final = (None, "", "TOKENS")
_OLDER: Final = {
    "input": ("input", "promptTokens", "inputUsage"),
    "output": ("output", "completionTokens", "outputUsage"),
    "total": ("total", "totalTokens", "totalUsage"),
}
_OLDER_COSTS: Final = {
    "older input": ("inputCost", "calculatedInputCost"),
    "older output": ("outputCost", "calculatedOutputCost"),
    "total": ("totalCost", "calculatedTotalCost"),
}
"""The first two are no components: their spend is never attributed."""
_COLUMNS: Final = frozenset({"id"})


def parse(content: bytes, capture: Capture) -> Parsed:
    """Return the tokens and the spend a model, component, service tier and UTC day.

    Raises
    ------
    InputDataError
        If the bytes are neither JSON nor a CSV file of observations.
    """
    tally = Tally(capture, scope="own")
    tally.read(records(tally, content, columns=_COLUMNS), _observation)
    return tally.parsed()


def _observation(fields: dict[str, Any], locator: str) -> Usage | None:
    kind = _either(fields, "type")
    counts, costs = _details(fields)
    if kind is not None and kind not in _CALLS:
        if not any(found not in (None, 0, "", "0") for found in counts.values()):
            return None
        raise UnusableRecord("not_an_inference", word(kind))
    tokens = _tokens(counts)
    spend = _spend(costs, tokens)
    parameters = nested(_either(fields, "modelParameters", "model_parameters"))
    identity = fields.get("id")
    return Usage(
        provider=UNNAMED,
        model=named(fields, "model", "providedModelName", "provided_model_name", reason="no_model"),
        service_tier=tier_of(parameters.get("service_tier")),
        day=moment(_either(fields, "startTime", "start_time"), naive_is_utc=True).date(),
        locator=locator,
        tokens=tokens,
        spend=spend,
        currency="USD",
        identity=identity if isinstance(identity, str) and identity else None,
    )


def _either(fields: Mapping[str, Any], *names: str) -> Any:
    return next((fields[name] for name in names if fields.get(name) not in (None, "")), None)


def _details(fields: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the counts and the costs of an observation by usage type, in the newer form or the older one."""
    counts = nested(_either(fields, "usageDetails", "usage_details"))
    costs = nested(_either(fields, "costDetails", "cost_details"))
    older = nested(fields.get("usage"))
    if older.get("unit") not in _UNITS:
        raise UnusableRecord("not_tokens", word(older["unit"]))
    if not counts:
        # beside each other the words "input" and "output" name the texts
        flat = {name: fields.get(name) for names in _OLDER.values() for name in names[1:]}
        counts = {kind: _either({**flat, **older}, *names) for kind, names in _OLDER.items()}
    if not costs:  # the older parts hold what was cached, so only their sum is what it says
        paid = {kind: _either({**fields, **older}, *names) for kind, names in _OLDER_COSTS.items()}
        costs = {"total": paid["total"]} if paid["total"] is not None else paid
    return counts, costs


def _tokens(counts: dict[str, Any]) -> dict[str, int]:
    tokens: dict[str, int] = {}
    for kind, found in counts.items():
        if kind == "total" or found is None:
            continue
        number = count(found)
        if kind in _COMPONENTS:
            tokens[_COMPONENTS[kind]] = tokens.get(_COMPONENTS[kind], 0) + number
        elif number:
            raise UnusableRecord("unknown_field", Word(kind))
    total = counts.get("total")
    if total is not None and count(total) != sum(tokens.values()):
        raise UnusableRecord("parts_do_not_add_up", total)
    return tokens


def _spend(costs: dict[str, Any], tokens: dict[str, int]) -> dict[str, int]:
    """Return the spend by component if the export attributes all of it, and otherwise as a whole.

    Parts and total are sums of binary floats: they agree if they are the same to nine decimals.
    """
    stated = {kind: amount(found) for kind, found in costs.items() if found is not None}
    parts = {kind: paid for kind, paid in stated.items() if kind != "total"}
    whole = stated.get("total", sum(parts.values()))
    if not stated or (not whole and any(tokens.values())):  # nothing, or zero where no price is known
        return {}
    dust: int = 10 ** (SCALE - 9)
    if not parts or not set(parts) <= set(_COMPONENTS) or abs(whole - sum(parts.values())) >= dust:
        return {"total": whole}
    spend: dict[str, int] = {}
    for kind, paid in parts.items():
        spend[_COMPONENTS[kind]] = spend.get(_COMPONENTS[kind], 0) + paid
    return spend


ADAPTER: Final = Adapter("langfuse-observations", "2", parse, ("VOLUMES",))
