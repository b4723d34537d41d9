"""LiteLLM's ``model_prices_and_context_window.json``: one object, model key to fields, USD per token.

*Reads* the JSON of one snapshot. *Writes* one observation per priced field, with the prompt-length bracket, service
tier and off-peak hours that the field's name or table carries, and one sighting. *Never* reads prices per image,
second, character or query: they are not token prices and are left out without a reject.

A row without hours holds whenever no row with hours does: an off-peak row overrides it. Hours may pass midnight.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from . import Adapter, Capture, Parsed
from .reading import load_json, pointer
from .rows import Quote, Rows

_COMPONENTS: Final = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "input_cost_per_token_cache_hit": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "output_cost_per_reasoning_token": "output_reasoning",
    "input_cost_per_audio_token": "input_audio",
    "output_cost_per_audio_token": "output_audio",
    "cache_read_input_audio_token_cost": "cache_read_audio",
    "cache_creation_input_audio_token_cost": "cache_write_audio",
    "input_cost_per_image_token": "input_image",
    "output_cost_per_image_token": "output_image",
    "cache_read_input_image_token_cost": "cache_read_image",
    "input_cost_per_video_token": "input_video",
    "output_cost_per_video_token": "output_video",
    "citation_cost_per_token": "output_citation",
}
_TIERS: Final = {
    None: "standard",
    "batches": "batch",
    "batch_requests": "batch",
    "flex": "flex",
    "priority": "priority",
}
_TOKEN_FIELD: Final = re.compile(r".*(_token_cost|cost_per_(\w+_)?token|cost_per_1[km]_tokens)(_.*)?")
_FIELD: Final = re.compile(
    rf"(?P<stem>{'|'.join(_COMPONENTS)})(?P<hour>_above_1hr)?(_above_(?P<thousands>\d{{1,9}})k_tokens)?"
    r"(_(?P<tier>batches|batch_requests|flex|priority))?",
    re.ASCII,
)
_FIELD_MAX: Final = 200
"""Longest name of a field that is looked at."""
_HOURS: Final = re.compile(r"((?:[01]\d|2[0-3]):[0-5]\d)-((?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII)

_Slot = tuple[str, str, int]
"""Component, service tier, and the prompt length above which a price holds."""


def parse(content: bytes, capture: Capture) -> Parsed:
    """Return the token prices of one snapshot, USD per token.

    Raises
    ------
    InputDataError
        If the bytes are not one JSON object.
    """
    rows = Rows(capture, currency="USD", unit="per_token")
    for model, fields in load_json(content, capture, expected=dict).items():
        if model == "sample_spec":
            rows.reject("documentation_row", model, locator=pointer(model), hides=False)
        elif not isinstance(fields, dict):
            rows.reject("not_an_object", fields, locator=pointer(model), model=model)
        elif not isinstance(provider := fields.get("litellm_provider"), str) or not provider:
            rows.reject("no_provider", provider, locator=pointer(model), model=model)
        else:
            with rows.about(provider=provider, model=model):
                _Entry(rows, provider, model, fields).read()
    return rows.parsed()


class _Entry:
    """One model of the list."""

    def __init__(self, rows: Rows, provider: str, model: str, fields: dict[str, object]) -> None:
        self.rows, self.provider, self.model, self.fields = rows, provider, model, fields

    def read(self) -> None:
        quotes = self._quotes(self.fields, pointer(self.model))
        for slot, quote in self._tiers():
            quotes.append((slot, quote))
        self._add(quotes)
        self._off_peak(self.fields.get("off_peak_pricing"))

    def _add(self, quotes: list[tuple[_Slot, Quote]], **hours: str) -> None:
        for tier in dict.fromkeys(tier for (_, tier, _), _ in quotes):
            ladder = [(component, quote) for (component, of, _), quote in quotes if of == tier]
            self.rows.ladders(ladder, provider=self.provider, model=self.model, service_tier=tier, **hours)

    def _quotes(self, fields: dict[str, object], at: str) -> list[tuple[_Slot, Quote]]:
        """Return the quotes of one table of fields; a second name of a quote already read is rejected."""
        read: dict[_Slot, Quote] = {}
        for key in sorted(fields, key=lambda key: key.startswith("input_cost_per_token_cache_hit")):
            found, locator = fields[key], at + pointer(key)
            long = len(key) > _FIELD_MAX  # the time to match one grows with the square of its length
            if found is None or not (long or _TOKEN_FIELD.fullmatch(key)):
                continue
            slot = None if long else _slot(key)
            if slot is None:
                money = not re.search("_dbu?_cost_", key[:_FIELD_MAX])
                self.rows.reject("unknown_field" if money else "not_money", key, locator=locator, hides=money)
            elif slot in read:
                same = read[slot].found == found
                reason = "repeats_another_field" if same else "contradicts_another_field"
                self.rows.reject(reason, found, locator=locator, hides=not same, component=slot[0])
            else:
                read[slot] = Quote(found, locator, slot[2])
        return list(read.items())

    def _tiers(self) -> Iterator[tuple[_Slot, Quote]]:
        """Yield the quotes of ``tiered_pricing``, a list of fields that hold in a range of prompt lengths."""
        tiers = self.fields.get("tiered_pricing")
        if tiers is not None and not isinstance(tiers, list):
            self.rows.reject("not_an_array", tiers, locator=pointer(self.model, "tiered_pricing"))
        for number, tier in enumerate(tiers if isinstance(tiers, list) else []):
            at = pointer(self.model, "tiered_pricing", number)
            if not isinstance(tier, dict):
                self.rows.reject("not_an_object", tier, locator=at)
                continue
            quotes = self._quotes(tier, at)
            if not quotes:  # search engines price their tiers per query
                continue
            ends = tier.get("range")
            low, high = ends if isinstance(ends, list) and len(ends) == 2 else (None, None)
            for (component, service, start), quote in quotes:
                if start or high is None:
                    self.rows.reject("unknown_field" if start else "not_a_context_length", ends, locator=quote.locator)
                else:
                    yield (component, service, 0), Quote(quote.found, quote.locator, low, high)

    def _off_peak(self, block: object) -> None:
        """Add the prices of ``off_peak_pricing``, once for each of its daily windows."""
        at = pointer(self.model, "off_peak_pricing")
        if not isinstance(block, dict):
            if block is not None:
                self.rows.reject("not_an_object", block, locator=at)
            return
        if "windows" in block:
            self.rows.reject("weekday_window", block["windows"], locator=at + "/windows")
        hours = block.get("hours_utc", [])
        quotes = self._quotes(block, at)
        for window in hours if isinstance(hours, list) else [hours]:
            match = _HOURS.fullmatch(window) if isinstance(window, str) else None
            if match is None or match[1] == match[2]:
                self.rows.reject("not_a_time_window", window, locator=at + "/hours_utc")
            else:
                self._add(quotes, time_from=match[1] + ":00", time_to=match[2] + ":00")


def _slot(key: str) -> _Slot | None:
    match = _FIELD.fullmatch(key)
    if match is None:
        return None
    component = _COMPONENTS[match["stem"]]
    if match["hour"] and component != "cache_write":
        return None
    start = int(match["thousands"] or 0) * 1000
    return component + ("_1h" if match["hour"] else ""), _TIERS[match["tier"]], start


ADAPTER: Final = Adapter("litellm", "3", parse, ("OBSERVATIONS", "SIGHTINGS"))
