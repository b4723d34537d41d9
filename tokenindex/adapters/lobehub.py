"""LobeHub's model tables as JSON: models with ``pricing`` in units, US dollars or yuan per million tokens.

*Reads* ``{"provider": …, "models": […]}``, or an array of models that name their ``providerId``. *Writes* one observation
per token price and prompt-length bracket, and one sighting. *Never* reads the TypeScript that the tables are written in
(it computes prices: an export has them computed, with the dust of binary floats, which stays), nor prices per image,
video, second or character: they are left out without a reject.

A model's ``pricing`` has a currency (US dollars if it has none) and units, each with one of three strategies. ``fixed``
is one ``rate``. Of ``tiered``, the first tier whose ``upTo`` is not less than the length of the whole prompt prices *all*
tokens of its unit, output included. ``lookup`` has a price for each value of its ``pricingParams``, joined by ``_``, and
is read as follows.

- ``textInput`` and ``textInputRange`` are ranges of prompt lengths, such as ``[0, 0.032]``, and become brackets.
- ``ttl`` of a cache write, with a price for five minutes, prices `cache_write` (``5m``) and `cache_write_1h` (``1h``).
  One hour alone is rejected: so the tables write the rent of stored tokens by the hour.
- Any other parameter, the length of the output among them, is rejected, unless its several prices agree.

Lengths are written in tokens or in millions of tokens. Which of the two is told by the numbers of a unit: all at least
1,000, or all at most 10; anything else is rejected. Models without units may have the older flat fields, ``input`` and
so on. A model that stands twice is read once if its prices agree, and not at all if they do not. ``originalRate`` and
``originalPrices``, what stood there before a discount, are not read: `rate` and `prices` are what is charged.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from . import Adapter, Capture, Parsed
from .reading import load_json, pointer, unreadable
from .rows import Quote, Rows, whole
from .twins import figure, unrepeated

_COMPONENTS: Final = {
    "textInput": "input",
    "textOutput": "output",
    "textInput_cacheRead": "cache_read",
    "textInput_cacheWrite": "cache_write",
    "audioInput": "input_audio",
    "audioOutput": "output_audio",
    "audioInput_cacheRead": "cache_read_audio",
    "imageInput": "input_image",
    "imageOutput": "output_image",
    "imageInput_cacheRead": "cache_read_image",
    "videoInput": "input_video",
    "videoGeneration": "output_video",
}
_FLAT: Final = {
    "input": "input",
    "output": "output",
    "cachedInput": "cache_read",
    "writeCacheInput": "cache_write",
    "audioInput": "input_audio",
    "audioOutput": "output_audio",
    "cachedAudioInput": "cache_read_audio",
}
_NO_PRICE: Final = frozenset({"approximatePricePerImage", "approximatePricePerVideo", "currency", "units"})
_OTHER_UNITS: Final = frozenset({"image", "megapixel", "millionCharacters", "second", "video"})
_CURRENCIES: Final = frozenset({"CNY", "USD"})
_LIFETIMES: Final = {"5m": "cache_write", "1h": "cache_write_1h"}
_PROMPT: Final = frozenset({"textInput", "textInputRange"})
_SEGMENT: Final = re.compile(r"\[[^\[\]]*\]|[^\[\]_]+")
_RANGE: Final = re.compile(
    r"\[\s*(?P<low>[0-9_]+(\.[0-9]+)?)\s*,\s*(?P<high>[0-9_]+(\.[0-9]+)?|infinity)\s*\]", re.ASCII
)
_MILLION: Final = 10**6

_Slot = tuple[str, str, str, str]
"""Provider, model, currency and component."""


@dataclass(frozen=True)
class _Entry:
    """One price of a lookup: its key, the segments of the key, the price and its place."""

    key: str
    segments: tuple[str, ...]
    found: object
    locator: str


def parse(content: bytes, capture: Capture) -> Parsed:
    """Return the token prices of one table, per million tokens.

    Raises
    ------
    InputDataError
        If the bytes are neither of the two forms.
    """
    rows = Rows(capture, unit="per_1m_tokens")
    offers: list[tuple[_Slot, Quote]] = []
    for at, provider, model in _models(content, capture):
        name, pricing = (model.get("id"), model.get("pricing")) if isinstance(model, dict) else (None, None)
        with rows.about(provider=provider, model=name):
            if not isinstance(name, str) or not name:
                rows.reject("no_model", name, locator=at)
            elif not isinstance(provider, str) or not provider:
                rows.reject("no_provider", provider, locator=at)
            elif not isinstance(pricing, dict):
                rows.reject("no_pricing", pricing, locator=at + "/pricing")
            elif not isinstance(currency := pricing.get("currency", "USD"), str) or currency not in _CURRENCIES:
                rows.reject("unknown_currency", currency, locator=at + "/pricing/currency")
            else:
                found = _pricing(rows, pricing, at + "/pricing")
                offers += [((provider, name, currency, component), quote) for component, quote in found]
    _add(rows, offers)
    return rows.parsed()


def _models(content: bytes, capture: Capture) -> Iterator[tuple[str, object, object]]:
    """Yield place, provider and fields of each model."""
    if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        for number, model in enumerate(load_json(content, capture, expected=list)):
            yield pointer(number), model.get("providerId") if isinstance(model, dict) else None, model
        return
    table = load_json(content, capture, expected=dict)
    models = table.get("models")
    if not isinstance(models, list):
        raise unreadable(capture, 'the JSON has no array "models"', expected="a table of models")
    for number, model in enumerate(models):
        yield pointer("models", number), table.get("provider"), model


def _add(rows: Rows, offers: list[tuple[_Slot, Quote]]) -> None:
    """Add the offers of all models; of models that stand twice the prices are twins."""
    keyed = [((*slot, quote.context_from, quote.context_to), quote) for slot, quote in offers]

    def of(key: tuple[Any, ...]) -> dict[str, Any]:
        return dict(zip(("provider", "model", "currency", "component"), key, strict=False))

    for (provider, model, currency, component, *_), quote in unrepeated(rows, keyed, by="row", of=of):
        rows.ladders([(component, quote)], provider=provider, model=model, currency=currency)


def _pricing(rows: Rows, pricing: dict[str, Any], at: str) -> list[tuple[str, Quote]]:
    units = pricing.get("units")
    if units is None:
        return rows.quotes(pricing, names=_FLAT, ignored=_NO_PRICE, at=at + "/")
    for key in sorted(set(pricing) - _NO_PRICE):
        rows.reject("unknown_field", key, locator=at + pointer(key))
    if not isinstance(units, list):
        rows.reject("not_an_array", units, locator=at + "/units")
        return []
    quotes: list[tuple[str, Quote]] = []
    for number, unit in enumerate(units):
        quotes += _unit(rows, unit, f"{at}/units/{number}")
    return quotes


def _unit(rows: Rows, unit: object, at: str) -> Iterable[tuple[str, Quote]]:
    """Return component and quote of each price of one unit."""
    fields = unit if isinstance(unit, dict) else {}
    name, per = fields.get("name"), fields.get("unit")
    if isinstance(per, str) and per in _OTHER_UNITS:
        return []
    component = _COMPONENTS.get(name) if isinstance(name, str) else None
    if per != "millionTokens" or component is None:
        why, found = ("unknown_unit", per) if per != "millionTokens" else ("unknown_field", name)
        rows.reject(why, found, locator=at)
        return []
    strategy = fields.get("strategy")
    if strategy == "fixed":
        return [(component, Quote(fields.get("rate"), at + "/rate"))]
    if strategy == "tiered":
        return [(component, quote) for quote in _tiers(rows, fields.get("tiers"), at + "/tiers")]
    if strategy == "lookup":
        return _lookup(rows, fields.get("lookup"), component, at + "/lookup")
    rows.reject("unknown_field", strategy, locator=at + "/strategy")
    return []


def _tiers(rows: Rows, tiers: object, at: str) -> list[Quote]:
    """Return the quotes of tiers, each from where the one before it ends."""
    if not isinstance(tiers, list) or not all(isinstance(tier, dict) for tier in tiers):
        rows.reject("not_an_array", tiers, locator=at)
        return []
    ends = ["missing" if tier.get("upTo") is None else tier["upTo"] for tier in tiers]
    lengths = _tokens([None if end == "infinity" else end for end in ends])
    if lengths is None:
        rows.reject("not_a_context_length", tiers, locator=at)
        return []
    starts = [0, *(length or 0 for length in lengths)]
    return [
        Quote(tier.get("rate"), f"{at}/{number}/rate", start, end)
        for number, (tier, start, end) in enumerate(zip(tiers, starts, lengths, strict=False))
    ]


def _tokens(lengths: list[Any]) -> list[int | None] | None:
    """Return lengths in tokens (null: no end), or null if it cannot be told in what they are written."""
    finite = [length for length in lengths if length is not None]
    if not all(isinstance(n, int | Decimal) and not isinstance(n, bool) and 0 <= n <= 10**12 for n in finite):
        return None
    told = [n for n in finite if n != 0]
    scale = 1 if all(n >= 1000 for n in told) else _MILLION if all(n <= 10 for n in told) else 0
    tokens = [None if n is None else whole(n * scale) for n in lengths]
    return tokens if scale and all((n is None) == (t is None) for n, t in zip(lengths, tokens, strict=True)) else None


def _lookup(rows: Rows, lookup: object, component: str, at: str) -> list[tuple[str, Quote]]:
    """Return component and quote of each price of a lookup whose condition the tables can hold."""
    fields = lookup if isinstance(lookup, dict) else {}
    parameters, prices = fields.get("pricingParams"), fields.get("prices")
    if not isinstance(parameters, list) or not parameters or not isinstance(prices, dict):
        rows.reject("unknown_condition", parameters, locator=at)
        return []
    entries = [
        _Entry(key, tuple(_SEGMENT.findall(key)), found, f"{at}/prices{pointer(key)}") for key, found in prices.items()
    ]
    if component == "cache_write" and parameters == ["ttl"]:
        return _by_lifetime(rows, entries)
    place = next((n for n, name in enumerate(parameters) if isinstance(name, str) and name in _PROMPT), None)
    quotes = _settled(rows, entries, 0, None) if place is None else _by_prompt(rows, entries, place, len(parameters))
    return [(component, quote) for quote in quotes]


def _by_lifetime(rows: Rows, entries: list[_Entry]) -> list[tuple[str, Quote]]:
    quotes = []
    known = _LIFETIMES if any(entry.key == "5m" for entry in entries) else {}
    for entry in entries:
        if entry.key in known:
            quotes.append((known[entry.key], Quote(entry.found, entry.locator)))
        else:
            rows.reject("unknown_condition", entry.key, locator=entry.locator)
    return quotes


def _by_prompt(rows: Rows, entries: list[_Entry], place: int, parameters: int) -> list[Quote]:
    """Return one quote for each range of prompt lengths in which the price depends on nothing else."""
    ranged: list[tuple[_Entry, re.Match[str]]] = []
    for entry in entries:
        ranges = entry.segments[place : place + 1] if len(entry.segments) <= parameters else ()
        match = _RANGE.fullmatch(ranges[0]) if ranges else None
        if match is None:
            rows.reject("not_a_context_length", entry.key, locator=entry.locator)
        else:
            ranged.append((entry, match))
    ends = [_length(match[side]) for _, match in ranged for side in ("low", "high")]
    tokens = _tokens(ends)
    if tokens is None:
        for entry, _ in ranged:
            rows.reject("not_a_context_length", entry.key, locator=entry.locator)
        return []
    groups: dict[tuple[int | None, int | None], list[_Entry]] = {}
    for number, (entry, _) in enumerate(ranged):
        rest = entry.segments[:place] + entry.segments[place + 1 :]
        low, high = tokens[2 * number : 2 * number + 2]
        groups.setdefault((low, high), []).append(replace(entry, segments=rest))
    return [quote for (low, high), group in groups.items() for quote in _settled(rows, group, low, high)]


def _length(text: str) -> Decimal | None:
    return None if text == "infinity" else Decimal(text.replace("_", "") or "-1")


def _settled(rows: Rows, entries: list[_Entry], start: int | None, end: int | None) -> list[Quote]:
    """Return the one price of entries that differ in what no row can hold: their prices agree, or none is believed.

    A single entry must hold for every value of the other parameters.
    """
    figures = {figure(entry.found) for entry in entries}
    alone = len(entries) == 1 and all(_is_everything(segment) for segment in entries[0].segments)
    if not alone and (len(entries) < 2 or len(figures) > 1 or None in figures):
        for entry in entries:
            rows.reject("unknown_condition", entry.key, locator=entry.locator)
        return []
    for entry in entries[1:]:
        rows.reject("repeats_another_field", entry.found, locator=entry.locator, hides=False)
    return [Quote(entries[0].found, entries[0].locator, start, end)]


def _is_everything(segment: str) -> bool:
    match = _RANGE.fullmatch(segment)
    return match is not None and match["high"] == "infinity" and not _length(match["low"])


ADAPTER: Final = Adapter("lobehub", "3", parse, ("OBSERVATIONS", "SIGHTINGS"))
