"""genai-prices: a list of providers with models and their prices, USD per million tokens.

*Reads* the JSON of one snapshot (v1 and v2), or the list that the PyPI package of the same name carries. *Writes* one
observation per price, prompt-length bracket, service tier, start date and time of day, and one sighting. *Never* reads
prices per request, search, page, hour or character: they are left out without a reject.

Of a list of prices the last active entry wins, so an entry ends (``valid_to``) on the start date of a later one. What
ended before the snapshot was seen has no known start: it stands as undated from 1970. An entry with a time of day
overrides the one without while its hours last; hours may pass midnight.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Final

from ..errors import AdapterError
from . import Adapter, Capture, Parsed
from .reading import load_json, pointer
from .rows import Quote, Rows

UNKNOWN_START: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for the unknown start of a price that had ended before it was seen."""

_COMPONENTS: Final = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_reasoning_mtok": "output_reasoning",
    "input_audio_mtok": "input_audio",
    "output_audio_mtok": "output_audio",
    "cache_audio_read_mtok": "cache_read_audio",
    "cache_audio_write_mtok": "cache_write_audio",
    "input_image_mtok": "input_image",
    "output_image_mtok": "output_image",
    "cache_image_read_mtok": "cache_read_image",
    "input_video_mtok": "input_video",
    "output_video_mtok": "output_video",
    "output_citation_mtok": "output_citation",
}
_TIERS: Final = {
    ("processing", "batch"): "batch",
    ("service_tier", "default"): "standard",
    ("service_tier", "flex"): "flex",
    ("service_tier", "priority"): "priority",
    ("service_tier", "fast"): "fast",
    ("speed", "fast"): "fast",
}
_CLOCK: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d:[0-5]\dZ?", re.ASCII)
_DAY: Final = re.compile(r"[12]\d{3}-\d\d-\d\d", re.ASCII)


@dataclass(frozen=True)
class _Entry:
    """One entry of a price list: its prices, and since when or in which hours they hold."""

    prices: dict[str, Any]
    locator: str
    start: datetime | None = None
    hours: tuple[str, str] | None = None


def parse(content: bytes, capture: Capture) -> Parsed:
    """Return the token prices of one snapshot, USD per million tokens.

    Raises
    ------
    InputDataError
        If the bytes are not a JSON array.
    """
    rows = Rows(capture, currency="USD", unit="per_1m_tokens")
    for number, provider in enumerate(load_json(content, capture, expected=list)):
        models = provider.get("models") if isinstance(provider, dict) else None
        if not isinstance(models, list) or not _is_name(provider.get("id")):
            name = provider.get("id") if isinstance(provider, dict) else None
            rows.reject("no_provider", provider, locator=pointer(number), provider=name)
            continue
        for position, model in enumerate(models):
            at = pointer(number, "models", position)
            if isinstance(model, dict) and _is_name(model.get("id")):
                seller = {"provider": provider["id"], "model": model["id"]}
                with rows.about(**seller):
                    _model(rows, model, at=at, **seller)
            else:
                rows.reject("no_model", model, locator=at, provider=provider["id"])
    return rows.parsed()


def _is_name(found: object) -> bool:
    return isinstance(found, str) and found != ""


def _model(rows: Rows, fields: dict[str, Any], *, at: str, **seller: str) -> None:
    prices = fields.get("prices")
    whole_list = prices if isinstance(prices, list) else [{"prices": prices}]
    where = f"{at}/prices/{{}}/prices" if isinstance(prices, list) else f"{at}/prices"
    standard = [e for i, entry in enumerate(whole_list) if (e := _entry(rows, entry, where.format(i)))]
    _periods(rows, standard, service_tier="standard", **seller)
    for tier, entries in _variants(rows, _listed(rows, fields, "price_variants", at), at).items():
        # the first active variant wins, for each price on its own
        alone: dict[str, list[_Entry]] = {}
        for entry in entries:
            for key, price in entry.prices.items():
                alone.setdefault(key, []).append(replace(entry, prices={key: price}))
        for _, found in sorted(alone.items()):
            _periods(rows, found[::-1], service_tier=tier, **seller)


def _listed(rows: Rows, fields: dict[str, Any], key: str, at: str) -> list[Any]:
    """Return the array under `key`, empty if there is none; anything else is rejected."""
    found = fields.get(key)
    if found is not None and not isinstance(found, list):
        rows.reject("not_an_array", found, locator=at + pointer(key))
    return found if isinstance(found, list) else []


def _variants(rows: Rows, variants: list[Any], at: str) -> dict[str, list[_Entry]]:
    by_tier: dict[str, list[_Entry]] = {}
    for number, variant in enumerate(variants):
        place = f"{at}/price_variants/{number}"
        entry = _entry(rows, variant, f"{place}/prices")
        if entry is None or not entry.prices:
            continue
        when = variant.get("when")
        pair = next(iter(when.items())) if isinstance(when, dict) and len(when) == 1 else ("", "")
        tier = _TIERS.get(pair) if isinstance(pair[1], str) else None
        if tier is None:
            rows.reject("unknown_service_tier", "=".join(map(str, pair)), locator=place)
        else:
            by_tier.setdefault(tier, []).append(entry)
    return by_tier


def _entry(rows: Rows, entry: object, locator: str) -> _Entry | None:
    prices = entry.get("prices") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(prices, dict):
        rows.reject("not_an_object", prices, locator=locator)
        return None
    constraint = entry.get("constraint")
    if constraint is None:
        return _Entry(prices, locator)
    if isinstance(constraint, dict) and set(constraint) == {"start_date"}:
        start = _midnight(constraint["start_date"])
        if start is not None:
            return _Entry(prices, locator, start)
        rows.reject("not_a_date", constraint["start_date"], locator=locator)
        return None
    if isinstance(constraint, dict) and set(constraint) == {"start_time", "end_time"}:
        clocks = constraint["start_time"], constraint["end_time"]
        if all(isinstance(clock, str) and _CLOCK.fullmatch(clock) for clock in clocks) and clocks[0] != clocks[1]:
            return _Entry(prices, locator, hours=(clocks[0][:8], clocks[1][:8]))
        rows.reject("not_a_time_window", f"{clocks[0]} to {clocks[1]}", locator=locator)
        return None
    rows.reject("unknown_constraint", constraint, locator=locator)
    return None


def _midnight(found: object) -> datetime | None:
    try:
        day = date.fromisoformat(found) if isinstance(found, str) and _DAY.fullmatch(found) else None
    except ValueError:
        return None
    return datetime.combine(day, time(), UTC) if day else None


def _periods(rows: Rows, entries: list[_Entry], **fields: str) -> None:
    """Add the prices of `entries`, of which the last active one wins, each until a later one takes over."""
    seen = rows.capture.seen_at
    until: datetime | None = None
    for position in range(len(entries) - 1, -1, -1):
        entry = entries[position]
        if until == UNKNOWN_START or (until and entry.start and entry.start >= until):
            rows.reject("superseded_entry", entry.locator, locator=entry.locator, hides=False)
            continue
        since = {"valid_from": seen, "date_kind": "first_seen"}
        if entry.start:
            since = {"valid_from": entry.start, "date_kind": "declared"}
        elif until and until <= seen:
            since = {"valid_from": UNKNOWN_START, "date_kind": "undated"}
        hours = {"time_from": entry.hours[0], "time_to": entry.hours[1]} if entry.hours else {}
        rows.ladders(_quotes(rows, entry), valid_to=until, **since, **hours, **fields)
        if not entry.hours:
            until = entry.start or UNKNOWN_START


def _quotes(rows: Rows, entry: _Entry) -> Iterator[tuple[str, Quote]]:
    """Yield the quotes of one entry; a tier applies to all tokens of a longer prompt."""
    for key, price in entry.prices.items():
        at, component = entry.locator + pointer(key), _COMPONENTS.get(key)
        if component is None:
            if key.endswith("_mtok"):
                rows.reject("unknown_field", key, locator=at)
        elif not isinstance(price, dict):
            yield component, Quote(price, at)
        else:
            yield component, Quote(price.get("base"), f"{at}/base")
            for number, tier in enumerate(_listed(rows, price, "tiers", at)):
                place = f"{at}/tiers/{number}/price"
                if isinstance(tier, dict):
                    yield component, Quote(tier.get("price"), place, tier.get("start"))
                else:
                    rows.reject("not_an_object", tier, locator=place, component=component)


def from_package() -> bytes:
    """Return the price list that the installed package ``genai_prices`` carries, as JSON that `parse` reads.

    The same release of the package gives the same bytes: keys are sorted, decimals are written as text.

    Raises
    ------
    AdapterError
        If the package is not installed.
    """
    try:
        from genai_prices.data import providers
    except ImportError:
        raise AdapterError(
            "the package genai-prices is not installed",
            expected="the optional dependency tokenindex[genai-prices]",
            remedy="pip install 'tokenindex[genai-prices]', or capture the list as a file",
        ) from None
    listed = [
        {"id": provider.id, "name": provider.name, "models": [_carried(model) for model in provider.models]}
        for provider in providers
    ]
    return json.dumps(listed, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _carried(model: Any) -> dict[str, Any]:
    prices = model.prices
    entries = [_carried_entry(entry) for entry in prices] if isinstance(prices, list) else _carried_prices(prices)
    variants = getattr(model, "price_variants", None) or []
    return {
        "id": model.id,
        "prices": entries,
        "price_variants": [{"when": variant.when, **_carried_entry(variant)} for variant in variants],
    }


def _carried_entry(entry: Any) -> dict[str, Any]:
    constraint = {key: _carried_moment(at) for key, at in vars(entry.constraint).items()} if entry.constraint else None
    return {"constraint": constraint, "prices": _carried_prices(entry.prices)}


def _carried_moment(at: date | time) -> str:
    # without a zone the package means UTC
    return at.isoformat().removesuffix("+00:00")


def _carried_prices(prices: Any) -> dict[str, Any]:
    return {key: _carried_price(price) for key, price in vars(prices).items() if price is not None}


def _carried_price(price: Any) -> Any:
    if isinstance(price, Decimal | int):
        return str(price)
    tiers = [{"start": tier.start, "price": str(tier.price)} for tier in price.tiers]
    return {"base": str(price.base), "tiers": tiers}


ADAPTER: Final = Adapter("genai-prices", "3", parse, ("OBSERVATIONS", "SIGHTINGS"))
