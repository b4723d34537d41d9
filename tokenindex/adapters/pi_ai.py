"""pi-ai's model catalogue: models with their cost, USD per million tokens.

*Reads* the JSON of one provider, an object of interface → models, or of the whole published catalogue, an object of
provider → models; the models are keyed by their identifier, in later files with ``chat:`` before it. *Writes* one
observation per price and prompt-length bracket, and one sighting. *Never* reads the cost of a fallback model that stands
inside another, nor of a model that is no chat model: what its tokens are is not said.

The catalogue writes 0 where it knows no cache price, so a 0 for the cache is rejected. A 0 for input or output is kept as
it is written, though it may mean a subscription. A tier holds for a whole request whose input is longer than
``inputTokensAbove``. A file of one provider says nothing about the others: only a file of several is a complete look.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from . import Adapter, Capture, Parsed
from .reading import load_json, pointer
from .rows import Quote, Rows

_COMPONENTS: Final = {
    "input": "input",
    "output": "output",
    "cacheRead": "cache_read",
    "cacheWrite": "cache_write",
}
_NO_PRICE: Final = frozenset({"tiers", "inputTokensAbove"})


def parse(content: bytes, capture: Capture) -> Parsed:
    """Return the token prices of one catalogue, USD per million tokens.

    Raises
    ------
    InputDataError
        If the bytes are not a JSON object.
    """
    rows = Rows(capture, currency="USD", unit="per_1m_tokens")
    providers = {_model(rows, model, at=at) for at, model in _models(rows, load_json(content, capture, expected=dict))}
    return rows.parsed(complete=len(providers - {None}) > 1)


def _models(rows: Rows, groups: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the place and the fields of each model of each group."""
    for group, models in groups.items():
        if isinstance(models, dict):
            for key, model in models.items():
                yield pointer(group, key), model
        else:
            rows.reject("not_an_object", models, locator=pointer(group))


def _model(rows: Rows, fields: object, *, at: str) -> str | None:
    """Add the prices of one model, and return its provider if it has prices."""
    if not isinstance(fields, dict):
        rows.reject("not_an_object", fields, locator=at)
        return None
    model, provider, kind, cost = (
        fields.get("id"),
        fields.get("provider"),
        fields.get("type", "chat"),
        fields.get("cost"),
    )
    if not isinstance(model, str) or not model:
        rows.reject("no_model", model, locator=at, provider=provider)
    elif not isinstance(provider, str) or not provider:
        rows.reject("no_provider", provider, locator=at, model=model)
    elif kind != "chat":
        rows.reject("not_a_chat_model", kind, locator=at + pointer("type"), hides=False)
    elif not isinstance(cost, dict):
        rows.reject("no_pricing", cost, locator=at + pointer("cost"), provider=provider, model=model)
    else:
        with rows.about(provider=provider, model=model):
            rows.ladders(_quotes(rows, cost, at=at + pointer("cost")), provider=provider, model=model)
        return provider
    return None


def _quotes(rows: Rows, cost: dict[str, Any], *, at: str) -> Iterator[tuple[str, Quote]]:
    """Yield the quotes of one model; a tier applies to all tokens of a longer prompt."""
    yield from _known(rows, cost, at=at, context_from=0)
    tiers = cost.get("tiers")
    if tiers is not None and not isinstance(tiers, list):
        rows.reject("unknown_field", tiers, locator=at + pointer("tiers"))
    for number, tier in enumerate(tiers if isinstance(tiers, list) else []):
        place = at + pointer("tiers", number)
        if isinstance(tier, dict):
            yield from _known(rows, tier, at=place, context_from=tier.get("inputTokensAbove"))
        else:
            rows.reject("not_an_object", tier, locator=place)


def _known(rows: Rows, prices: dict[str, Any], *, at: str, context_from: object) -> Iterator[tuple[str, Quote]]:
    """Yield the quotes of one set of prices without the zeroes that stand for an unknown price."""
    quotes = rows.quotes(prices, names=_COMPONENTS, ignored=_NO_PRICE, at=f"{at}/", context_from=context_from)
    for component, quote in quotes:
        if component.startswith("cache") and quote.found == 0 and not isinstance(quote.found, bool):
            rows.reject("zero_is_unknown", quote.found, locator=quote.locator, component=component)
        else:
            yield component, quote


ADAPTER: Final = Adapter("pi-ai", "3", parse, ("OBSERVATIONS", "SIGHTINGS"))
