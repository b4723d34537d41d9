"""The token price index of AWS, Azure, LiteLLM and OpenRouter prices: one list of rows, USD per thousand tokens.

*Reads* the JSON array of one snapshot, numbers as exact decimals with the float dust that they carry. *Writes* one
observation per price, and one sighting per list and moment at which it was fetched. *Never* reads prices per image, nor
takes a row for an independent one: every row is copied from the list that it names in ``source``.

The source of a row is therefore the name of the capture's source, a slash and the list it was copied from, as in
``token-price-index/litellm``. A methodology that allows LiteLLM's own list does not allow this copy of it by accident, so
a copy never counts as a confirmation.

The seller is the channel and the provider in the source's spelling: ``aws/anthropic``, ``azure/openai``, ``gcp/gemini``,
``direct/anthropic``, ``aggregator/anthropic``; the region is empty where the price holds everywhere. A price holds from
the moment at which the list was fetched, midnight where only a day is named. A row that says that prices vary by the time
of day holds the base price.

The collector copies LiteLLM's and OpenRouter's lists whole, so these are complete looks. It leaves out AWS regions that
did not answer and stops reading Azure's list after some pages: those looks are never complete.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import polars as pl

from ..tables import SIGHTINGS
from . import Adapter, Capture, Parsed
from .openrouter_pricing import service_tier
from .reading import load_json, moment, pointer
from .rows import Rows

_COMPONENTS: Final = {
    "input_per_1k": "input",
    "output_per_1k": "output",
    "cached_input_per_1k": "cache_read",
}
_NO_TOKEN_PRICE: Final = frozenset(
    "provider model_id family hyperscaler region image_per_1k context_window context_window_estimated pricing_varies "
    "alias_of source source_url fetched_at".split()
)
_NAMES: Final = {
    "source": "no_source",
    "hyperscaler": "no_provider",
    "provider": "no_provider",
    "model_id": "no_model",
}
"""What every row must name, and the reason if it does not."""
_WHOLE: Final = frozenset({"litellm", "openrouter"})


def parse(content: bytes, capture: Capture) -> Parsed:
    """Return the token prices of one snapshot, USD per thousand tokens.

    Raises
    ------
    InputDataError
        If the bytes are not a JSON array.
    """
    rows = Rows(capture, currency="USD", unit="per_1k_tokens")
    for number, record in enumerate(load_json(content, capture, expected=list)):
        if isinstance(record, dict):
            _record(rows, record, at=pointer(number))
        else:
            rows.reject("not_an_object", record, locator=pointer(number))
    return rows.parsed(looks=lambda observations: _sightings(rows, observations))


def _record(rows: Rows, record: dict[str, Any], *, at: str) -> None:
    names = {key: found for key in _NAMES if isinstance(found := record.get(key), str) and found}
    with rows.about(**_offer(rows, names)):
        for key, reason in _NAMES.items():
            if key not in names:
                rows.reject(reason, record.get(key), locator=at)
                return
        _named(rows, record, at=at)


def _offer(rows: Rows, names: dict[str, str]) -> dict[str, str]:
    """Return the source, the seller and the model of a record, as far as it names them."""
    sellers = [names[key] for key in ("hyperscaler", "provider") if key in names]
    found = {"provider": "/".join(sellers)} if len(sellers) == 2 else {}
    found |= {"source": f"{rows.capture.source}/{names['source']}"} if "source" in names else {}
    return found | ({"model": names["model_id"]} if "model_id" in names else {})


def _named(rows: Rows, record: dict[str, Any], *, at: str) -> None:
    region, fetched = record.get("region"), moment(record.get("fetched_at"))
    if region is not None and not isinstance(region, str):
        rows.reject("not_a_region", region, locator=at + pointer("region"))
    elif fetched is None:
        rows.reject("not_a_date", record.get("fetched_at"), locator=at + pointer("fetched_at"))
    elif fetched > rows.capture.known_at:
        rows.reject("known_after_capture", record["fetched_at"], locator=at + pointer("fetched_at"))
    else:
        _add(rows, record, region=region or "", fetched=fetched, at=at)


def _add(rows: Rows, record: dict[str, Any], *, region: str, fetched: datetime, at: str) -> None:
    model, copied_from = record["model_id"], record["source"]
    target, address = record.get("alias_of"), record.get("source_url")
    alias = model if model.startswith("~") else None
    rows.ladders(
        rows.quotes(record, names=_COMPONENTS, ignored=_NO_TOKEN_PRICE, at=f"{at}/"),
        **_offer(rows, record),
        service_tier=service_tier(model) if copied_from == "openrouter" else "standard",
        region=region,
        alias_of=target if isinstance(target, str) and target else alias,
        valid_from=fetched,
        reference=address if isinstance(address, str) and address else rows.capture.reference,
    )


def _sightings(rows: Rows, observations: pl.DataFrame) -> pl.DataFrame:
    """Return one sighting per list and moment; a list fetched at several moments was never seen whole."""
    looks = observations.select("source", seen_at="valid_from").unique().sort("source", "seen_at")
    prefix = f"{rows.capture.source}/"
    whole = pl.col("source").is_in([prefix + name for name in sorted(_WHOLE)]) & (pl.len().over("source") == 1)
    provenance = [pl.lit(found).alias(name) for name, found in rows.provenance().items()]
    return SIGHTINGS.conform(looks.with_columns(*provenance, complete=whole, locator=pl.lit("")))


ADAPTER: Final = Adapter("token-price-index", "3", parse, ("OBSERVATIONS", "SIGHTINGS"))
