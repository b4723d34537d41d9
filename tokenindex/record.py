"""The record of a fixing: one canonical JSON text from which an outsider can repeat it.

*Reads* a determination. *Writes* bytes: RFC 8785 canonical JSON, decimals as text. *Never* holds the time of computation
or the name of a machine: two honest runs give the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import polars as pl

from . import __version__
from .adapters import Capture, adapter
from .determination import Determination
from .selection import Inputs, visible
from .tables import FIXINGS

FORMAT: Final = "tokenindex record 1"
LEFT_OUT: Final = ("unmapped", "not_in_universe")
"""Observations that concern no constituent of the index are counted in the record, not listed."""


@dataclass(frozen=True)
class Record:
    """The bytes of a record; `sha256` is its digest."""

    content: bytes

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes, 64 hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def document(self) -> dict[str, Any]:
        """The parsed JSON."""
        parsed: dict[str, Any] = json.loads(self.content)
        return parsed

    def __repr__(self) -> str:
        d = self.document
        return f"<Record {d['index']} {d['fixing_date']} {d['fixing']['status']} {self.sha256[:16]}>"


def record(determination: Determination, day: date, *, inputs: Inputs, captures: Iterable[Capture]) -> Record:
    """Return the record of the fixing of `day`.

    Parameters
    ----------
    determination : Determination
        One that holds the day; the bytes do not depend on the other dates it holds.
    day : date
        The fixing date.
    inputs : Inputs
        The input tables of the determination.
    captures : iterable of Capture
        The facts of the captured files the tables came from. Those that were allowed and known are listed.
    """
    methodology = determination.methodology
    known = used_captures(determination, day, inputs=inputs, captures=captures)
    observations = determination.observations_on(day)
    concerns = ~pl.col("excluded_by").is_in(list(LEFT_OUT)).fill_null(False)
    content = {
        "record": FORMAT,
        "index": methodology.index,
        "version": methodology.version,
        "component": methodology.component,
        "fixing_date": day.isoformat(),
        "cut_off": _plain(methodology.calendar.cut_off_at(day)),
        "known_at": _plain(determination.known_at) if determination.known_at else "cut-off",
        "methodology": {"sha256": methodology.sha256, "meaning": methodology.meaning},
        "registry": registry_digest(inputs.registry),
        "software": {"tokenindex": __version__, "adapters": {c.adapter: adapter(c.adapter).version for c in known}},
        "captures": [_capture(c) for c in known],
        "fixing": {c.name: _plain(determination.fixing(day)[c.name]) for c in FIXINGS.columns},
        "notes": list(determination.notes),
        "basket": table(determination.basket),
        "constituents": table(determination.constituents_on(day)),
        "elementary": table(determination.elementary_on(day)),
        "observations": table(observations.filter(concerns)),
        "left_out": {r: observations.filter(pl.col("excluded_by") == r).height for r in LEFT_OUT},
    }
    return Record(canonical(content))


def used_captures(
    determination: Determination, day: date, *, inputs: Inputs, captures: Iterable[Capture]
) -> list[Capture]:
    """Return the captures, by digest, that hold a row of an allowed source known for the fixing of `day`."""
    allowed = determination.methodology
    grid = determination.only(day)
    sources = [p.source for p in allowed.inputs.prices]
    wanted = {
        "observations": sources,
        "sightings": sources,
        "volumes": list(allowed.volumes.sources),
        "rates": [allowed.inputs.rates],
    }
    digests: set[str] = set()
    for name, names in wanted.items():
        rows = visible(getattr(inputs, name), grid=grid).filter(pl.col("source").is_in(names))
        digests |= set(rows["capture"].unique())
    return sorted((c for c in captures if c.sha256 in digests), key=lambda c: c.sha256)


def canonical(content: Any) -> bytes:
    """Return RFC 8785 canonical JSON of objects with ASCII keys, texts, integers below 2**53, lists and nulls."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def table(frame: pl.DataFrame) -> dict[str, Any]:
    """Return a frame as ``{"columns": […], "rows": [[…], …]}`` in the order it has."""
    return {"columns": frame.columns, "rows": [[_plain(cell) for cell in row] for row in frame.iter_rows()]}


def registry_digest(registry: pl.DataFrame) -> str:
    """Return the SHA-256 of the registry's rows in canonical order and form."""
    rows = table(registry.sort(registry.columns, nulls_last=True))
    return hashlib.sha256(canonical(rows)).hexdigest()


def _plain(cell: Any) -> Any:
    """Return a cell as JSON: decimals, dates and moments as text; integers of 2**53 and more as text."""
    if isinstance(cell, Decimal):
        return format(cell, "f")
    if isinstance(cell, datetime):
        return cell.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ").replace(".000000Z", "Z")
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, int) and not isinstance(cell, bool) and abs(cell) >= 2**53:
        return str(cell)
    return cell


def _capture(c: Capture) -> dict[str, Any]:
    names: Sequence[str] = ("sha256", "name", "adapter", "source", "seen_at", "known_at")
    return {name: _plain(getattr(c, name)) for name in names}
