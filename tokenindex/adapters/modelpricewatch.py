"""Model Price Watch's price history: one line per day and model, USD per million tokens.

*Reads* the CSV with the columns ``model_id, provider, date, event, source`` and a price per component. *Writes* one
observation each time a figure was first seen, and one sighting per day and source. *Never* reads an empty cell or a day
without a line as a price or as a withdrawal: the figure is unknown there, and what was seen before still stands.

A figure holds from the day on which it was first seen: the lines that repeat it are looks, not observations. The lines of
an event that tells of a change hold the new figure like any other line.

What ``source`` says decides whose price it is. Nothing, an address, and words for a check of its own (``verified``,
``cross-check…``, ``first-party…``) are the list's own looks. Any other word names a list that the figure was taken from,
as all lines filled in afterwards do: those rows bear the name of the capture's source, a slash and that word, so that no
methodology counts a copy as a confirmation unless it allows the copy by name. The daily lines do not say where they come
from.

A day is a complete look if the list's own lines hold a baseline or a snapshot, and every model of its own earlier days.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import polars as pl

from ..exact import parse_decimal
from ..tables import SIGHTINGS
from . import Adapter, Capture, Parsed
from .reading import load_csv, moment, unreadable
from .rows import Rows

_COMPONENTS: Final = {
    "input_per_mtok": "input",
    "output_per_mtok": "output",
    "cached_input_per_mtok": "cache_read",
}
_NEEDED: Final = ("model_id", "provider", "date", "event", "source", *_COMPONENTS)
_WHOLE_LISTS: Final = frozenset({"baseline", "snapshot"})
_EVENTS: Final = _WHOLE_LISTS | {
    "backfill",
    "change",
    "correction",
    "new_model",
    "price_drop",
    "price_increase",
    "reverify",
}
_OWN: Final = re.compile(r"(verified|cross-check|first-party)\b.*", re.DOTALL)
_ADDRESS: Final = re.compile(r"https?://\S+")


@dataclass(frozen=True)
class _Look:
    """One line: whose look it was, when, and the text of each price."""

    day: datetime
    source: str
    provider: str
    model: str
    event: str
    reference: str | None
    prices: dict[str, str | None]
    line: int


@dataclass(frozen=True)
class _Figure:
    """One cell with a price, and the look that it belongs to."""

    look: _Look
    column: str
    text: str

    @property
    def locator(self) -> str:
        return f"line {self.look.line}, {self.column}"

    @property
    def offer(self) -> dict[str, str]:
        """Whose price it is, and of what."""
        look = self.look
        seller = {"source": look.source, "provider": look.provider, "model": look.model}
        return {**seller, "component": _COMPONENTS[self.column]}

    @property
    def number(self) -> Decimal | None:
        """The price, or null if the text writes none."""
        try:
            return parse_decimal(self.text)
        except ValueError:
            return None


def parse(content: bytes, capture: Capture) -> Parsed:
    """Return the prices of a history, USD per million tokens.

    Raises
    ------
    InputDataError
        If the bytes are not such a CSV file, or a column is missing.
    """
    rows = Rows(capture, currency="USD", unit="per_1m_tokens")
    looks = list(_looks(rows, content))
    series: dict[tuple[str, str, str, str], list[_Figure]] = {}
    for look in looks:
        for column, text in look.prices.items():
            if text is not None:
                key = look.source, look.provider, look.model, column
                series.setdefault(key, []).append(_Figure(look, column, text))
    for figures in series.values():
        _first_seen(rows, figures)
    return rows.parsed(looks=lambda observations: _sightings(rows, looks, seen=not observations.is_empty()))


def _looks(rows: Rows, content: bytes) -> Iterator[_Look]:
    table = load_csv(content, rows.capture)
    rows.ragged(table)
    cells = table.cells
    if missing := [name for name in _NEEDED if name not in cells.columns]:
        expected = "a price history of Model Price Watch with the columns " + ", ".join(_NEEDED)
        raise unreadable(rows.capture, "no column " + ", ".join(missing), expected=expected)
    for name in cells.columns:
        if name.endswith("_per_mtok") and name not in _COMPONENTS:
            rows.reject("unknown_field", name, locator="line 1", hides=False)
    for fields, line in zip(cells.select(_NEEDED).iter_rows(named=True), table.lines, strict=True):
        look = _look(rows, fields, line)
        if look is not None:
            yield look


def _look(rows: Rows, fields: dict[str, str | None], line: int) -> _Look | None:
    at = f"line {line}"
    model, provider, event = fields["model_id"], fields["provider"], fields["event"]
    day, note = moment(fields["date"]), fields["source"]
    seller: dict[str, Any] = {"provider": provider, "model": model}
    if model is None:
        rows.reject("no_model", "", locator=at, **seller)
    elif provider is None:
        rows.reject("no_provider", "", locator=at, **seller)
    elif day is None:
        rows.reject("not_a_date", fields["date"] or "", locator=at, **seller)
    elif day > rows.capture.known_at:
        rows.reject("known_after_capture", fields["date"], locator=at, **seller)
    elif event not in _EVENTS:
        rows.reject("unknown_event", event or "", locator=at, **seller)
    else:
        address = note if note is not None and _ADDRESS.fullmatch(note) else None
        own = event != "backfill" and (note is None or address is not None or _OWN.fullmatch(note) is not None)
        source = rows.capture.source if own else f"{rows.capture.source}/{note or event}"
        prices = {column: fields[column] for column in _COMPONENTS}
        return _Look(day, source, provider, model, event, address or rows.capture.reference, prices, line)
    return None


def _first_seen(rows: Rows, figures: list[_Figure]) -> None:
    """Add an observation where a figure of one series differs from the one seen before it."""
    by_day: dict[datetime, list[_Figure]] = {}
    for figure in sorted(figures, key=lambda figure: (figure.look.day, figure.look.line)):
        by_day.setdefault(figure.look.day, []).append(figure)
    last: Decimal | None = None
    for day, (first, *others) in by_day.items():
        agree = all(other.number == first.number for other in others)
        for figure in others if agree else [first, *others]:
            reason = "repeats_another_row" if agree else "contradicts_another_row"
            rows.reject(reason, figure.text, locator=figure.locator, hides=not agree, **figure.offer)
        if agree and (first.number is None or first.number != last):
            _add(rows, first, day)
            last = last if first.number is None else first.number


def _add(rows: Rows, figure: _Figure, day: datetime) -> None:
    reference = figure.look.reference
    rows.price(figure.text, locator=figure.locator, **figure.offer, valid_from=day, reference=reference)


def _sightings(rows: Rows, looks: list[_Look], *, seen: bool) -> pl.DataFrame:
    """Return one sighting per source and day."""
    days: dict[tuple[datetime, str], list[_Look]] = {}
    for look in looks:
        days.setdefault((look.day, look.source), []).append(look)
    sightings, known = [], set()
    for (day, source), found in sorted(days.items()):
        complete = False
        if source == rows.capture.source:
            models = {(look.provider, look.model) for look in found}
            known |= models
            complete = len(known) == len(models) and not _WHOLE_LISTS.isdisjoint(look.event for look in found)
        row = {"source": source, "seen_at": day, "complete": complete and seen, "locator": f"line {found[0].line}"}
        sightings.append({**rows.provenance(), **row})
    return SIGHTINGS.frame(sightings)


ADAPTER: Final = Adapter("modelpricewatch", "3", parse, ("OBSERVATIONS", "SIGHTINGS"))
