"""Langfuse's ``default-model-prices.json``: a list of models with their pricing tiers, USD per token.

*Reads* the JSON of one snapshot, with ``pricingTiers`` or, as it was before, with ``prices`` on the model itself. *Writes*
one observation per component and prompt-length bracket, and one sighting. *Never* reads prices per query: they are left
out without a reject.

The file names no seller. The one it means is the prefix that the model's ``matchPattern`` allows before the name, as in
``^(openai/)?(gpt-4o)$``; a pattern without one is rejected, because a tokenizer is no seller. The pattern may also match
the model's names at other hosts: the price is still the one of the prefix.

One component stands under several names, one for each way in which usage is reported. Identical twins are one
observation; of twins that differ none is believed. ``total`` is one price for all tokens, and no component.

A tier that is not the default holds for prompts longer than its one condition says, for all tokens of the request; tiers
are tried by priority, and one that an earlier one always precedes never holds. Any other condition is rejected.
"""

from __future__ import annotations

import itertools
import re
from typing import Any, Final

from . import Adapter, Capture, Parsed
from .reading import load_json, pointer
from .rows import Quote, Rows, whole
from .twins import unrepeated

_NAMES: Final = {
    "input": ("input input_tokens input_text input_text_tokens input_modality_1 prompt_token_count promptTokenCount"),
    "output": (
        "output output_tokens output_text output_text_tokens text_output_tokens output_modality_1 "
        "candidates_token_count candidatesTokenCount"
    ),
    "cache_read": (
        "input_cached_tokens input_cached_text_tokens input_cache_read cache_read_input_tokens cached_tokens "
        "cached_content_token_count"
    ),
    "cache_write": (
        "input_cache_creation cache_creation_input_tokens input_cache_write cache_write_tokens input_cache_creation_5m "
        "cache_creation.ephemeral_5m_input_tokens ephemeral_5m_input_tokens"
    ),
    "cache_write_1h": ("input_cache_creation_1h cache_creation.ephemeral_1h_input_tokens ephemeral_1h_input_tokens"),
    "output_reasoning": (
        "output_reasoning output_reasoning_tokens reasoning.output_tokens reasoning_tokens "
        "completion_details.reasoning thoughtsTokenCount thoughts_token_count"
    ),
    "input_audio": "input_audio input_audio_tokens audio_input_tokens",
    "output_audio": "output_audio output_audio_tokens audio_output_tokens",
    "cache_read_audio": "input_cached_audio_tokens",
    "input_image": "input_image",
}
_COMPONENTS: Final = {name: component for component, names in _NAMES.items() for name in names.split()}
_NO_TOKEN_PRICE: Final = frozenset({"grounding_queries", "groundingQueries", "web_search_queries", "webSearchQueries"})
_SELLER: Final = re.compile(r"(?:\(\?i\))?\^\(?\((?P<seller>[a-z][a-z0-9-]*)(?:\([a-z]+\)\?)?\\*/\)\?", re.ASCII)
_PROMPT: Final = frozenset({"input", "^input", "(input|prompt|cached)"})
"""Patterns of usage names that together count the prompt."""
_TIER: Final = frozenset({"id", "name", "isDefault", "priority", "conditions", "prices"})
_CONDITION: Final = frozenset({"usageDetailPattern", "operator", "value", "caseSensitive"})


def parse(content: bytes, capture: Capture) -> Parsed:
    """Return the token prices of one snapshot, USD per token.

    Raises
    ------
    InputDataError
        If the bytes are not a JSON array.
    """
    rows = Rows(capture, currency="USD", unit="per_token")
    for number, model in enumerate(load_json(content, capture, expected=list)):
        fields = model if isinstance(model, dict) else {}
        name, provider = fields.get("modelName"), _seller(fields.get("matchPattern"))
        if not isinstance(name, str) or not name:
            rows.reject("no_model", name, locator=pointer(number), provider=provider)
        elif provider is None:
            rows.reject("no_provider", fields.get("matchPattern"), locator=pointer(number, "matchPattern"), model=name)
        else:
            with rows.about(provider=provider, model=name):
                _model(rows, fields, at=pointer(number), provider=provider, model=name)
    return rows.parsed()


def _seller(pattern: object) -> str | None:
    match = _SELLER.match(pattern) if isinstance(pattern, str) else None
    return match["seller"] if match else None


def _model(rows: Rows, fields: dict[str, Any], *, at: str, **seller: str) -> None:
    tiers, prices = fields.get("pricingTiers"), fields.get("prices")
    quotes: list[tuple[str, Quote]] = []
    if prices is not None:
        quotes += _quotes(rows, prices, at + "/prices", 0, None)
    if isinstance(tiers, list):
        found = _brackets(rows, tiers, at + "/pricingTiers")
        following = dict(itertools.pairwise(sorted({start for _, start, _ in found})))
        for place, start, tier in found:  # a tier replaces the whole table, also what it does not price itself
            quotes += _quotes(rows, tier.get("prices"), place + "/prices", start, following.get(start))
    elif tiers is not None or prices is None:
        rows.reject("no_pricing", tiers, locator=at)
    rows.ladders(quotes, **seller)


def _brackets(rows: Rows, tiers: list[Any], at: str) -> list[tuple[str, int, dict[str, Any]]]:
    """Return place, lowest prompt length and fields of each tier that can hold."""
    found: list[tuple[str, int, dict[str, Any]]] = []
    conditional: list[tuple[int, str, int, dict[str, Any]]] = []
    for number, tier in enumerate(tiers):
        place = at + pointer(number)
        unknown = sorted(set(tier) - _TIER) if isinstance(tier, dict) else [""]
        if unknown:  # an unknown field may be a condition: the prices hold nobody knows when
            rows.reject("unknown_field", ", ".join(unknown), locator=place)
            continue
        default, conditions = tier.get("isDefault"), tier.get("conditions")
        start, priority = _start(conditions), whole(tier.get("priority"))
        if default is True and not conditions:
            found.append((place, 0, tier))
        elif default is True or start is None or priority is None:
            rows.reject("unknown_condition", tier.get("name"), locator=place + "/conditions")
        else:
            conditional.append((priority, place, start, tier))
    reached: int | None = None
    for _, place, start, tier in sorted(conditional, key=lambda one: one[0]):
        if reached is not None and start >= reached:
            rows.reject("superseded_entry", tier.get("name"), locator=place, hides=False)
        else:
            found.append((place, start, tier))
            reached = start
    return found


def _start(conditions: object) -> int | None:
    """Return the length above which prompts meet the one condition, or null if it is not such a condition."""
    one = conditions[0] if isinstance(conditions, list) and len(conditions) == 1 else None
    if not isinstance(one, dict) or set(one) - _CONDITION:
        return None
    pattern, value = one.get("usageDetailPattern"), whole(one.get("value"))
    if not isinstance(pattern, str) or pattern not in _PROMPT or not value:
        return None
    above = {"gt": value, "gte": value - 1}
    operator = one.get("operator")
    return above.get(operator) if isinstance(operator, str) else None


def _quotes(rows: Rows, prices: object, at: str, start: int, end: int | None) -> list[tuple[str, Quote]]:
    if not isinstance(prices, dict):
        rows.reject("not_an_object", prices, locator=at)
        return []
    offers = []
    for key, found in prices.items():
        place = at + pointer(key)
        if key in _COMPONENTS:
            offers.append((_COMPONENTS[key], Quote(found, place, start, end)))
        elif key == "total":
            rows.reject("no_component", found, locator=place)
        elif key not in _NO_TOKEN_PRICE:
            rows.reject("unknown_field", key, locator=place)
    return unrepeated(rows, offers, by="field", of=lambda component: {"component": component})


ADAPTER: Final = Adapter("langfuse", "3", parse, ("OBSERVATIONS", "SIGHTINGS"))
