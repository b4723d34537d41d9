"""Portkey's price lists: one JSON file a provider, model to ``pricing_config``, US cents per token.

*Reads* the JSON of one provider's file. *Writes* one observation per token price, with its service tier and prompt-length
bracket, and one sighting. *Never* reads prices per image, search, second or formula: they are left out without a reject.

The provider's name is not in the file. It is the file's name before ``.json``, as the publisher names it: lower case and
hyphens (``together-ai.json``); the date and digest that a home puts before a stored file's name do not count.

The entry ``default`` is the template of the others and no model. A price of 0 stands as it is written, and may mean free or
unknown. ``pay_as_you_go`` is the standard tier, ``batch_config`` the batch tier. A model name that ends with ``-lte-128k``
or ``-gt-128k`` prices prompts of up to, or of more than, 128,000 tokens of the model without that ending. A lifetime of one
hour and thinking stand among ``additional_units``; ``image_token`` does too, but whether it is read or written is said
nowhere, so it is rejected.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from ..errors import InputDataError
from . import Adapter, Capture, Parsed
from .reading import load_json, pointer
from .rows import Quote, Rows
from .twins import unrepeated

_COMPONENTS: Final = {
    "request_token": "input",
    "response_token": "output",
    "cache_read_input_token": "cache_read",
    "cache_write_input_token": "cache_write",
    "request_audio_token": "input_audio",
    "response_audio_token": "output_audio",
    "cache_read_audio_input_token": "cache_read_audio",
}
_UNITS: Final = {
    "cache_write_1h": "cache_write_1h",
    "thinking_token": "output_reasoning",
    "request_audio_token": "input_audio",
    "response_audio_token": "output_audio",
}
_NO_TOKEN_UNIT: Final = re.compile(
    r"(file_|web_)?search|web_search_(low|medium|high)_context|image_1k|input_image|megapixels"
    r"|video_(duration_)?seconds(_\d+_\d+)?|input_video_(essential|standard|plus)|default_\w+",
    re.ASCII,
)
_TIERS: Final = {"pay_as_you_go": "standard", "batch_config": "batch"}
_NO_PRICE: Final = frozenset({"calculate", "currency", "finetune_config"})
_NAME: Final = re.compile(
    r"(?:.*/)?(?:\d{4}-\d\d-\d\d_[0-9a-f]{12}_)?(?P<provider>[a-z][a-z0-9]*(-[a-z0-9]+)*)\.json", re.ASCII | re.DOTALL
)
_NO_PROVIDER: Final = frozenset({"default", "general", "models", "portkey", "prices", "pricing"})
_BRACKET: Final = re.compile(r"(?P<model>.+)-(?P<side>lte|gt)-(?P<thousands>\d{1,6})k", re.ASCII | re.DOTALL)


def parse(content: bytes, capture: Capture) -> Parsed:
    """Return the token prices of one provider, US cents per token.

    Raises
    ------
    InputDataError
        If the bytes are not one JSON object, or the file is not named after a provider.
    """
    models = load_json(content, capture, expected=dict)
    rows = Rows(capture, currency="USD", unit="cents_per_token", provider=_provider(capture))
    currency = _currency(models.get("default"))
    for model, entry in models.items():
        if model == "default":
            rows.reject("documentation_row", model, locator=pointer(model), hides=False)
        elif not model:
            rows.reject("no_model", model, locator=pointer(model))
        else:
            name, bracket = _bracket(model)
            with rows.about(model=name):
                _model(rows, name, bracket, entry, currency, at=pointer(model))
    return rows.parsed()


def _provider(capture: Capture) -> str:
    match = _NAME.fullmatch(capture.name)
    if match is None or match["provider"] in _NO_PROVIDER:
        raise InputDataError(
            "the file's name does not say whose prices these are",
            where=capture.name,
            expected="a file named PROVIDER.json, as the publisher names it, such as together-ai.json",
            remedy="name the file after its provider, in lower case and hyphens; nothing was stored",
        )
    return match["provider"]


def _currency(entry: object) -> object:
    """Return the currency that an entry declares, US dollars if it declares none."""
    config = entry.get("pricing_config") if isinstance(entry, dict) else None
    return config.get("currency", "USD") if isinstance(config, dict) else "USD"


def _bracket(name: str) -> tuple[str, tuple[int, int | None]]:
    """Return the model that an entry prices, and the prompt lengths for which it does."""
    match = _BRACKET.fullmatch(name)
    if match is None:
        return name, (0, None)
    edge = int(match["thousands"]) * 1000
    return match["model"], (edge, None) if match["side"] == "gt" else (0, edge)


def _model(rows: Rows, model: str, bracket: tuple[int, int | None], entry: object, usual: object, *, at: str) -> None:
    if not isinstance(entry, dict):
        rows.reject("not_an_object", entry, locator=at)
        return
    _refuse_unknown(rows, entry, {"pricing_config"}, at)
    at, config = at + pointer("pricing_config"), entry.get("pricing_config")
    if not isinstance(config, dict):
        rows.reject("no_pricing", config, locator=at)
        return
    if (currency := config.get("currency", usual)) != "USD":  # cents of another currency are documented nowhere
        rows.reject("unknown_currency", currency, locator=f"{at}/currency")
        return
    _refuse_unknown(rows, config, {*_TIERS, *_NO_PRICE}, at)
    for key, tier in _TIERS.items():
        prices = config.get(key)
        if isinstance(prices, dict):
            offers = [
                (name, Quote(price, place, *bracket)) for name, price, place in _found(rows, prices, at + pointer(key))
            ]
            offers = unrepeated(rows, offers, by="field", of=lambda component: {"component": component})
            rows.ladders(offers, model=model, service_tier=tier)
        elif prices is not None:
            rows.reject("not_an_object", prices, locator=at + pointer(key))


def _refuse_unknown(rows: Rows, fields: dict[str, Any], known: set[str], at: str) -> None:
    for key in fields:
        if key not in known:
            rows.reject("unknown_field", key, locator=at + pointer(key))


def _found(rows: Rows, prices: dict[str, Any], at: str) -> Iterator[tuple[str, object, str]]:
    """Yield component, price and place of each token price."""
    for key, found in prices.items():
        place = at + pointer(key)
        if key in _COMPONENTS:
            yield _COMPONENTS[key], _price(rows, found, place), f"{place}/price"
        elif key == "additional_units":
            yield from _additional(rows, found, place)
        elif key != "image":
            rows.reject("unknown_field", key, locator=place)


def _additional(rows: Rows, units: object, at: str) -> Iterator[tuple[str, object, str]]:
    if not isinstance(units, dict):
        if units is not None:
            rows.reject("not_an_object", units, locator=at)
        return
    for key, found in units.items():
        place = at + pointer(key)
        if key in _UNITS:
            yield _UNITS[key], _price(rows, found, place), f"{place}/price"
        elif not _NO_TOKEN_UNIT.fullmatch(key):
            rows.reject("unknown_field", key, locator=place)


def _price(rows: Rows, found: object, at: str) -> object:
    """Return what stands under ``price``; null after a reject."""
    if found is None:
        return None
    if not isinstance(found, dict):
        rows.reject("not_an_object", found, locator=at)
        return None
    _refuse_unknown(rows, found, {"price"}, at)
    if "price" not in found:
        rows.reject("missing_field", "price", locator=at)
    return found.get("price")


ADAPTER: Final = Adapter("portkey", "3", parse, ("OBSERVATIONS", "SIGHTINGS"))
