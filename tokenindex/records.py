"""The record of a fixing: one canonical JSON text from which an outsider can repeat it.

*Reads* a determination. *Writes* bytes: RFC 8785 canonical JSON, decimals as text. *Never* holds the time of computation
or the name of a machine: two honest runs give the same bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, Final

import polars as pl

from . import __version__
from .adapters import Capture, adapter, look
from .determination import Determination, determine
from .inputs import Inputs
from .selection import visible
from .tables import BASKET, CONSTITUENTS, ELEMENTARY, FIXINGS, JUDGMENTS, REGISTRY, STANDARDISED, Column, Table
from .tables import UTC as UTC_TIME

FORMAT: Final = "tokenindex record 1"
CAPTURE_FACTS: Final = ("sha256", "name", "adapter", "source", "seen_at", "known_at")
FIGURES: Final = ("status", "price", "level", "currency")
"""What of a fixing is published."""
_ESCAPED: Final = r'["\\\x00-\x1f]'
"""Characters that do not stand in JSON as they are."""
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
    allowed = [p.source for p in methodology.inputs.prices]
    observations = determination.observations_on(day).filter(pl.col("source").is_in(allowed))
    concerns = ~pl.col("excluded_by").is_in(list(LEFT_OUT)).fill_null(False)
    fixing = _fixing(determination, day)
    content = {
        "record": FORMAT,
        "index": methodology.index,
        "version": methodology.version,
        "component": methodology.component,
        "workload": methodology.workload.name,
        "fixing_date": day.isoformat(),
        "cut_off": moment_text(methodology.calendar.cut_off_at(day)),
        "known_at": moment_text(determination.known_at) if determination.known_at else "cut-off",
        "methodology": {"sha256": methodology.sha256, "meaning": methodology.meaning},
        "registry": registry_digest(inputs.registry),
        "software": {"tokenindex": __version__, "adapters": {c.adapter: adapter(c.adapter).version for c in known}},
        "captures": [_capture(c) for c in known],
        "fixing": fixing,
        "without_judgment": _without_judgment(determination, day, inputs=inputs),
        # a determination of many dates also holds the baskets formed after the day
        "notes": [str(note) for note in determination.notes if note.rebalance <= day],
        "left_out": {r: observations.filter(pl.col("excluded_by") == r).height for r in LEFT_OUT},
    }
    tables = {
        "basket": canonical_table(determination.basket.filter(pl.col("takes_over_after") <= day), BASKET),
        "constituents": canonical_table(determination.constituents_on(day), CONSTITUENTS),
        "elementary": canonical_table(determination.elementary_on(day), ELEMENTARY),
        "observations": canonical_table(observations.filter(concerns), STANDARDISED),
    }
    parts = {name: canonical(part) for name, part in content.items()} | tables
    return Record(b"{%b}" % b",".join(b'"%b":%b' % (name.encode(), parts[name]) for name in sorted(parts)))


def used_captures(
    determination: Determination, day: date, *, inputs: Inputs, captures: Iterable[Capture]
) -> list[Capture]:
    """Return the captures, by digest and moment, that hold a row of an allowed source known for the fixing of `day`.

    Of bytes that were seen several times those sightings count that were known, or else the first.
    """
    allowed = determination.methodology
    grid = determination.only(day)
    sources = [p.source for p in allowed.inputs.prices]
    wanted = {
        "observations": sources,
        "sightings": sources,
        "volumes": list(allowed.volumes.sources),
        "rates": [allowed.inputs.rates],
        "judgments": sources,
    }
    digests: set[str] = set()
    for name, names in wanted.items():
        rows = visible(getattr(inputs, name), grid=grid).filter(pl.col("source").is_in(names))
        digests |= set(rows.select(pl.col("capture").unique()).collect().to_series())
    seen = sorted((c for c in captures if c.sha256 in digests), key=look)
    first = {c.sha256: c for c in reversed(seen)}
    return [c for c in seen if c.known_at <= grid.last_moment or c is first[c.sha256]]


def judgments_for(determination: Determination, day: date, *, inputs: Inputs) -> pl.DataFrame:
    """Return the JUDGMENTS that count for the fixing of `day`: known, allowed, and about an allowed source."""
    allowed = determination.methodology
    known = visible(inputs.judgments, grid=determination.only(day)).collect()
    sources = pl.col("source").is_in([p.source for p in allowed.inputs.prices])
    decided = pl.col("decision").is_in(list(allowed.judgment.allowed))
    return known.filter(sources & decided).sort("capture", "locator")


def _without_judgment(determination: Determination, day: date, *, inputs: Inputs) -> dict[str, Any] | None:
    """Return the figures of the fixing without any judgment; None if there is none that counts."""
    if inputs.judgments.is_empty() or judgments_for(determination, day, inputs=inputs).is_empty():
        return None
    m, dates, known_at = determination.methodology, determination.dates, determination.known_at
    bare = inputs.once("without judgments", lambda: replace(inputs, judgments=JUDGMENTS.empty()))
    key = ("without judgments", m.sha256, m.index, dates, known_at)
    other = inputs.once(key, lambda: determine(m, bare, dates=dates, known_at=known_at))
    fixing = _fixing(other, day)
    return {name: fixing[name] for name in FIGURES}


def _fixing(determination: Determination, day: date) -> dict[str, Any]:
    row = table(determination.fixings.filter(pl.col("fixing_date") == day), FIXINGS)
    return dict(zip(row["columns"], row["rows"][0], strict=True))


def canonical(content: Any) -> bytes:
    """Return RFC 8785 canonical JSON of objects with ASCII keys, texts, integers below 2**53, booleans, lists and nulls."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def table(frame: pl.DataFrame, definition: Table) -> dict[str, Any]:
    """Return a frame as ``{"columns": […], "rows": [[…], …]}`` in the order it has; decimals and tokens are text."""
    cells = frame.select(_cells(column) for column in definition.columns)
    return {"columns": cells.columns, "rows": [list(row) for row in cells.iter_rows()]}


def canonical_table(frame: pl.DataFrame, definition: Table) -> bytes:
    """Return the canonical JSON of `table`.

    A row of CSV whose texts are quoted is a row of JSON, but for truth values and for what either escapes.
    """
    other = pl.any_horizontal(pl.col(pl.String).str.contains(_ESCAPED).any(), pl.col(pl.Boolean).is_not_null().any())
    if frame.is_empty() or frame.select(other).item():
        return canonical(table(frame, definition))
    cells = frame.select(_cells(column) for column in definition.columns)
    rows = io.BytesIO()
    cells.write_csv(rows, include_header=False, line_terminator="],[", quote_style="non_numeric", null_value="null")
    return b'{"columns":%b,"rows":[[%b]}' % (canonical(cells.columns), rows.getvalue()[: -len(",[")])


def _cells(column: Column) -> pl.Expr:
    cell = pl.col(column.name)
    if column.dtype == UTC_TIME:
        return cell.dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")
    if column.unit == "tokens" or column.dtype == pl.Date or isinstance(column.dtype, pl.Decimal):
        return cell.cast(pl.String)
    return cell


def registry_digest(registry: pl.DataFrame) -> str:
    """Return the SHA-256 of the registry's rows in canonical order and form."""
    rows = canonical_table(registry.sort(registry.columns, nulls_last=True), REGISTRY)
    return hashlib.sha256(rows).hexdigest()


def moment_text(moment: datetime) -> str:
    """Return a moment in UTC as records and ledgers write it."""
    # not strftime, which writes the year 999 with three digits
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _capture(c: Capture) -> dict[str, str]:
    facts = {name: getattr(c, name) for name in CAPTURE_FACTS}
    return {**facts, "seen_at": moment_text(c.seen_at), "known_at": moment_text(c.known_at)}
