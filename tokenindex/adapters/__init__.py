"""Adapters: pure functions from captured bytes to tables.

*Reads* bytes and the facts of their capture. *Writes* observations, volumes, sightings, rates and rejects, each row
with its capture digest and locator. *Never* touches disk, network or clock; never converts a unit or a currency; never
drops a row in silence: what is not an observation is a reject with a reason.

An adapter is found by name through the entry-point group ``tokenindex.adapters``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import entry_points
from typing import Any, Final

import polars as pl

from ..errors import AdapterError, InputDataError
from ..exact import parse_decimal
from ..tables import OBSERVATIONS, RATES, REJECTS, SIGHTINGS, VOLUMES, Table

GROUP: Final = "tokenindex.adapters"


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


@dataclass(frozen=True)
class Parsed:
    """What one capture held. Tables that a source does not give are empty."""

    observations: pl.DataFrame = field(default_factory=OBSERVATIONS.empty)
    volumes: pl.DataFrame = field(default_factory=VOLUMES.empty)
    sightings: pl.DataFrame = field(default_factory=SIGHTINGS.empty)
    rates: pl.DataFrame = field(default_factory=RATES.empty)
    rejects: pl.DataFrame = field(default_factory=REJECTS.empty)

    def tables(self) -> dict[Table, pl.DataFrame]:
        """Return the five tables with their definitions."""
        return {
            OBSERVATIONS: self.observations,
            VOLUMES: self.volumes,
            SIGHTINGS: self.sightings,
            RATES: self.rates,
            REJECTS: self.rejects,
        }

    def checked(self, *, where: str) -> Parsed:
        """Return self if every table keeps its definition; raise InputDataError otherwise."""
        for table, frame in self.tables().items():
            table.check(frame, where=where)
        return self


@dataclass(frozen=True)
class Adapter:
    """A named, versioned parser. `version` changes whenever the same bytes would give other rows."""

    name: str
    version: str
    parse: Callable[[bytes, Capture], Parsed]
    gives: tuple[str, ...]


class Rows:
    """Collects the rows of one capture; each price is parsed as exact decimal text or rejected.

    The fields that every observation of a file shares are given once, as `common`.
    """

    def __init__(self, capture: Capture, **common: Any) -> None:
        self.capture = capture
        self._common: dict[str, Any] = {
            "source": capture.source,
            "service_tier": "standard",
            "region": "",
            "context_from": 0,
            "tax": "unknown",
            "valid_from": capture.seen_at,
            "date_kind": "first_seen",
            **self.provenance(),
            **common,
        }
        self._observations: list[dict[str, Any]] = []
        self._rejects: list[dict[str, Any]] = []

    def provenance(self) -> dict[str, Any]:
        """Return the provenance columns that all rows of this capture share."""
        c = self.capture
        return {"known_at": c.known_at, "reference": c.reference, "licence": c.licence, "capture": c.sha256}

    def price(self, found: object, *, locator: str, **fields: Any) -> None:
        """Add one observation, or one reject if `found` is not the text of a decimal number."""
        if isinstance(found, bool) or not isinstance(found, str | int | Decimal):
            self.reject("not_a_price", found, locator=locator)
            return
        try:
            number = parse_decimal(str(found).strip())
        except ValueError:
            self.reject("not_a_price", found, locator=locator)
            return
        self._observations.append({**self._common, **fields, "price": number, "locator": locator})

    def reject(self, reason: str, found: object, *, locator: str) -> None:
        """Add one reject."""
        row = {"reason": reason, "found": str(found)[:80], "capture": self.capture.sha256, "locator": locator}
        self._rejects.append(row)

    def sighting(self, *, complete: bool) -> pl.DataFrame:
        """Return the one sighting that a snapshot is."""
        row = {"source": self.capture.source, "seen_at": self.capture.seen_at, "complete": complete, "locator": ""}
        return SIGHTINGS.frame([{**self.provenance(), **row}])

    def parsed(self, *, complete: bool = True) -> Parsed:
        """Return what was collected as the observations of one snapshot."""
        return Parsed(
            observations=OBSERVATIONS.frame(self._observations),
            sightings=self.sighting(complete=complete),
            rejects=REJECTS.frame(self._rejects),
        )


def load_json(content: bytes, capture: Capture, *, expected: type[Any]) -> Any:
    """Return the JSON of `content`, numbers with a point or exponent as exact decimals.

    Raises
    ------
    InputDataError
        If the bytes are empty, not UTF-8, not JSON, too deep, or not an `expected` at the top.
    """
    try:
        text = content.decode("utf-8-sig")
        found = json.loads(text, parse_float=Decimal, parse_constant=str)
    except UnicodeDecodeError as wrong:
        raise unreadable(capture, f"byte {wrong.start} is not UTF-8", expected="UTF-8 JSON") from None
    except json.JSONDecodeError as wrong:
        raise unreadable(capture, f"{wrong.msg} at line {wrong.lineno} column {wrong.colno}", expected="JSON") from None
    except RecursionError:
        raise unreadable(capture, "the JSON is nested too deeply", expected="a flat price list") from None
    except ValueError as wrong:  # an integer of more than 4,300 digits
        raise unreadable(capture, str(wrong), expected="JSON with numbers of sensible length") from None
    if not isinstance(found, expected):
        wanted = {dict: "an object", list: "an array"}[expected]
        raise unreadable(capture, f"the JSON is a {type(found).__name__}", expected=f"{wanted} at the top")
    return found


def unreadable(capture: Capture, found: str, *, expected: str) -> InputDataError:
    """Return the error for a file that is not what the adapter reads."""
    return InputDataError(
        found,
        where=capture.name,
        expected=f"{expected} as read by the adapter {capture.adapter!r}",
        remedy="capture the file again, or name the adapter that reads it; nothing was stored",
    )


def adapters() -> dict[str, Adapter]:
    """Return every installed adapter by name."""
    return {point.name: point.load() for point in sorted(entry_points(group=GROUP), key=lambda p: p.name)}


def adapter(name: str) -> Adapter:
    """Return the adapter called `name`.

    Raises
    ------
    AdapterError
        If none is installed under that name; the known names are listed.
    """
    for point in entry_points(group=GROUP, name=name):
        found: Adapter = point.load()
        return found
    raise AdapterError(
        f"no adapter is called {name!r}",
        expected="one of " + ", ".join(sorted({point.name for point in entry_points(group=GROUP)})),
        remedy="correct the name, or install the package that brings the adapter",
    )


def in_utc(moment: datetime) -> datetime:
    """Return `moment` in UTC; a moment without a zone is refused."""
    if moment.tzinfo is None:
        raise ValueError("a moment needs a zone")
    return moment.astimezone(UTC)


__all__ = [
    "GROUP",
    "Adapter",
    "Capture",
    "Parsed",
    "Rows",
    "adapter",
    "adapters",
    "in_utc",
    "load_json",
    "unreadable",
]

