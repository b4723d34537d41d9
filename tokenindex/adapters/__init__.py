"""Adapters: pure functions from captured bytes to tables.

*Reads* bytes and the facts of their capture. *Writes* observations, volumes, sightings, rates and rejects, each row
with its capture digest and locator. *Never* touches disk, network or clock; never converts a unit or a currency; never
drops a row in silence: what is not an observation is a reject with a reason, and what a reject may have said of a price
is a row of UNREAD.

Ours are named in `OURS`; another package adds its own through the entry-point group ``tokenindex.adapters``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from ..errors import AdapterError
from ..tables import JUDGMENTS, OBSERVATIONS, RATES, REJECTS, SIGHTINGS, UNREAD, VOLUMES, Table

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP: Final = "tokenindex.adapters"
OURS: Final = {
    "litellm": "litellm:ADAPTER",
    "models-dev": "models_dev:ADAPTER",
    "genai-prices": "genai_prices:ADAPTER",
    "openrouter-models": "openrouter:MODELS",
    "openrouter-rankings": "openrouter:RANKINGS",
    "openrouter-endpoints": "openrouter_endpoints:ADAPTER",
    "modelpricewatch": "modelpricewatch:ADAPTER",
    "pi-ai": "pi_ai:ADAPTER",
    "token-price-index": "token_price_index:ADAPTER",
    "portkey": "portkey:ADAPTER",
    "langfuse": "langfuse:ADAPTER",
    "lobehub": "lobehub:ADAPTER",
    "mapped": "mapped:ADAPTER",
    "openai-usage": "openai:USAGE",
    "openai-costs": "openai:COSTS",
    "anthropic-usage": "anthropic:USAGE",
    "anthropic-costs": "anthropic:COSTS",
    "litellm-spend": "spend_logs:LITELLM",
    "helicone": "spend_logs:HELICONE",
    "langfuse-observations": "langfuse_observations:ADAPTER",
    "otel-genai": "telemetry:ADAPTER",
    "focus": "focus:ADAPTER",
    "azure-trace": "traces:AZURE",
    "mooncake-trace": "traces:MOONCAKE",
    "market-shares": "shares:ADAPTER",
    "ecb": "ecb:ADAPTER",
    "prices": "own:PRICES",
    "volumes": "own:VOLUMES",
    "sightings": "own:SIGHTINGS",
    "rates": "own:RATES",
    "judgments": "own:JUDGMENTS",
}
"""The adapters that come with tokenindex, as module and attribute."""


@dataclass(frozen=True)
class Capture:
    """The facts of one captured file: what was fetched, when it was seen, and when it could be known.

    Parameters
    ----------
    sha256 : str
        Digest of the bytes, 64 hexadecimal digits.
    name : str
        File name for people and error messages.
    adapter : str
        Name of the adapter that reads it.
    source : str
        The name under which its rows are known; own-form tables name the source on each row.
    seen_at, known_at : datetime
        When the source was looked at, and when we could know it. Both in UTC.
    licence, reference : str, optional
        Licence of the figures and address they came from.
    """

    sha256: str
    name: str
    adapter: str
    source: str
    seen_at: datetime
    known_at: datetime
    licence: str | None = None
    reference: str | None = None

    @classmethod
    def of(cls, content: bytes, **facts: Any) -> Capture:
        """Return the capture of `content`: the digest is computed here."""
        return cls(sha256=hashlib.sha256(content).hexdigest(), **facts)


def look(capture: Capture) -> tuple[str, datetime, str, str]:
    """Return what tells one look at a source from another: the bytes, the moment, the adapter and the source."""
    return capture.sha256, capture.seen_at, capture.adapter, capture.source


@dataclass(frozen=True)
class Parsed:
    """What one capture held. Tables that a source does not give are empty."""

    observations: pl.DataFrame = field(default_factory=OBSERVATIONS.empty)
    volumes: pl.DataFrame = field(default_factory=VOLUMES.empty)
    sightings: pl.DataFrame = field(default_factory=SIGHTINGS.empty)
    unread: pl.DataFrame = field(default_factory=UNREAD.empty)
    rates: pl.DataFrame = field(default_factory=RATES.empty)
    judgments: pl.DataFrame = field(default_factory=JUDGMENTS.empty)
    rejects: pl.DataFrame = field(default_factory=REJECTS.empty)

    def tables(self) -> dict[Table, pl.DataFrame]:
        """Return the tables with their definitions."""
        return {
            OBSERVATIONS: self.observations,
            VOLUMES: self.volumes,
            SIGHTINGS: self.sightings,
            UNREAD: self.unread,
            RATES: self.rates,
            JUDGMENTS: self.judgments,
            REJECTS: self.rejects,
        }

    def checked(self, *, where: str) -> Parsed:
        """Return self if every table keeps its definition; raise InputDataError otherwise."""
        for table, frame in self.tables().items():
            if len(frame) or frame.schema != table.schema:  # most tables of most captures have no rows
                table.check(frame, where=where)
        return self


@dataclass(frozen=True)
class Adapter:
    """A named, versioned parser. `version` changes whenever the same bytes would give other rows."""

    name: str
    version: str
    parse: Callable[[bytes, Capture], Parsed]
    gives: tuple[str, ...]


@cache
def _installed() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=GROUP)}


def adapters() -> dict[str, Adapter]:
    """Return every adapter by name: ours, and those that other packages bring."""
    return {name: adapter(name) for name in sorted({*OURS, *_installed()})}


@cache
def adapter(name: str) -> Adapter:
    """Return the adapter called `name`.

    Raises
    ------
    AdapterError
        If there is none under that name; the known names are listed.
    """
    if name in OURS:
        module, _, attribute = OURS[name].partition(":")
        ours: Adapter = getattr(import_module(f".{module}", __name__), attribute)
        return ours
    if name in _installed():
        theirs: Adapter = _installed()[name].load()
        return theirs
    raise AdapterError(
        f"no adapter is called {name!r}",
        expected="one of " + ", ".join(sorted({*OURS, *_installed()})),
        remedy="correct the name, or install the package that brings the adapter",
    )
