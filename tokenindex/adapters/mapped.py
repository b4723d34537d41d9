"""Any price table with a mapping: a vendor's page copied into a spreadsheet, with its address and date.

*Reads* a table of text cells and the TOML mapping that says what its columns mean, both in one capture: either a zip file
of ``mapping.toml`` and ``table.csv``, or one text file in which the mapping stands between two lines ``+++`` before the
table. *Writes* one observation per price cell, with the address and licence that the mapping names, and one sighting.
*Never* guesses: a key or column that neither side knows is an error, and a cell that is not written as the mapping declares
is a reject that names its line and column.

A complete example. ``1.234`` is a thousand two hundred and thirty-four in it, because it declares ``.`` as the thousands
mark; without that line the cell would be rejected::

    +++
    [offer]
    provider = "acme"
    currency = "EUR"
    unit = "per_1m_tokens"          # or per_1k_tokens, per_token, cents_per_token
    tax = "excluded"                # or included, unknown
    reference = "https://acme.example/prices"
    licence = "quoted from the price page"
    complete = true                 # a model that is not in the table is not sold

    [table]
    separator = ";"                 # or "," "|" and the tab
    model = "Model"
    ignored = ["Notes"]             # columns that are no prices

    [numbers]
    decimal_mark = ","
    thousands_mark = "."            # optional
    currency_signs = ["€"]
    not_offered = ["", "n/a"]       # such a cell is no price
    free = ["free"]                 # such a cell is the price 0

    [components]                    # component = column
    input = "Input"
    output = "Output"

    [service_tier]
    column = "Mode"                 # or fixed = "standard" alone
    names = { Online = "standard", Batch = "batch" }

    [region]
    fixed = ""                      # or column = "Region" with everywhere = ["global"]

    [context]                       # optional
    above = "Longer than"
    up_to = "Up to"
    unit_tokens = 1000              # both columns count thousands of tokens
    no_end = [""]

    [valid_from]
    kind = "declared"               # or undated; first_seen goes without a date
    column = "Since"                # or fixed = 2026-06-01
    format = "%d.%m.%Y"
    +++
    Model;Mode;Longer than;Up to;Input;Output;Since;Notes
    acme-1;Online;0;128;€ 1,25;10;1.6.2026;
    acme-1;Online;128;;€ 2,50;20;1.6.2026;long prompts
    acme-1;Batch;0;;free;n/a;1.6.2026;
    acme-max;Online;0;;1.234;n/a;1.6.2026;

A table with one price a row names its two columns in place of ``[components]``::

    [long]
    component = "Kind"
    names = { "Input tokens" = "input", "Output tokens" = "output" }
    price = "Price"

A date is the beginning of that day in UTC. A bracket holds for prompts longer than its first length and up to its second.
Two rows that price the same thing are one if their prices agree, and none is believed if they do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any, Final

from ..errors import InputDataError
from . import Adapter, Capture, Parsed
from .archives import unzipped
from .mapping import Mapping, load_mapping
from .reading import load_csv, shown, unreadable
from .rows import Quote, Rows, whole
from .twins import unrepeated

MAPPING_MAX: Final = 2**14
"""Largest size of a mapping, in bytes: the time to read TOML grows with its square."""
TABLE_MAX: Final = 2**24
"""Largest size of a table, in bytes."""
CELLS_MAX: Final = 200_000
"""Largest number of price cells."""

_FENCE: Final = b"+++"

_Cells = dict[str, str]
"""The cells of one row by column; an empty cell is empty text."""
_Slot = tuple[tuple[str, Any], ...]
"""The columns of an observation that say what a cell prices."""


def parse(content: bytes, capture: Capture) -> Parsed:
    """Return the prices of one table.

    Raises
    ------
    InputDataError
        If the bytes are neither form, the mapping is wrong, or the table has other columns than the mapping names.
    """
    head, table, place = _zipped(content, capture) if content.startswith(b"PK") else _fenced(content, capture)
    mapping = load_mapping(head, where=f"{capture.name}, mapping")
    return _Sheet(capture, mapping).parsed(table, place)


def _fenced(content: bytes, capture: Capture) -> tuple[bytes, bytes, tuple[str, int]]:
    """Return mapping and table of a text file, and what stands before a line's number, with the lines before the table."""
    lines = content.removeprefix(b"\xef\xbb\xbf")[: MAPPING_MAX + 1].splitlines(keepends=True)
    fences = [number for number, line in enumerate(lines) if line.rstrip(b"\r\n") == _FENCE and line != _FENCE]
    if len(fences) < 2 or fences[0] != 0:
        expected = (
            f"a mapping of at most {MAPPING_MAX} bytes between two lines +++ before the table, or a zip file of both,"
        )
        raise unreadable(capture, "there is no mapping", expected=expected)
    end = fences[1] + 1
    table = content.removeprefix(b"\xef\xbb\xbf")[sum(map(len, lines[:end])) :]
    if len(table) > TABLE_MAX:
        raise unreadable(capture, f"the table has more than {TABLE_MAX} bytes", expected="a smaller table")
    return b"".join(lines[1 : fences[1]]), table, ("line ", end)


def _zipped(content: bytes, capture: Capture) -> tuple[bytes, bytes, tuple[str, int]]:
    members = unzipped(content, capture, largest={"mapping.toml": MAPPING_MAX, "table.csv": TABLE_MAX})
    return members["mapping.toml"], members["table.csv"], ("table.csv line ", 0)


class _Sheet:
    """One table under its mapping."""

    def __init__(self, capture: Capture, mapping: Mapping) -> None:
        self.capture, self.mapping = capture, mapping
        offer = mapping.offer
        terms = {"provider": offer.provider, "currency": offer.currency, "unit": offer.unit, "tax": offer.tax}
        origin = {"reference": offer.reference, "licence": offer.licence, "date_kind": mapping.valid_from.kind}
        self.rows = Rows(capture, **terms, **origin)

    def parsed(self, content: bytes, place: tuple[str, int]) -> Parsed:
        offers: list[tuple[_Slot, Quote]] = []
        for at, cells in self._lines(content, place):
            offers += self._offers(cells, at)
        for slot, quote in unrepeated(self.rows, offers, by="row", of=dict):
            self.rows.price(quote.found, locator=quote.locator, **dict(slot))
        return self.rows.parsed(complete=self.mapping.offer.complete)

    def _lines(self, content: bytes, place: tuple[str, int]) -> Iterator[tuple[str, _Cells]]:
        """Yield place and cells of each row."""
        found = load_csv(content, self.capture, separator=self.mapping.table.separator)
        table, lines = found.cells, found.lines
        self._refuse_columns(table.columns)
        self.rows.ragged(found, at=place[0], after=place[1])
        if table.height * len(self.mapping.prices()) > CELLS_MAX:
            raise unreadable(self.capture, f"more than {CELLS_MAX} prices", expected="a smaller table")
        for row, line in zip(table.iter_rows(named=True), lines, strict=True):
            yield f"{place[0]}{place[1] + line}, ", {name: cell or "" for name, cell in row.items()}

    def _refuse_columns(self, found: list[str]) -> None:
        named = self.mapping.columns()
        there, known = set(found), set(named)
        missing = [name for name in named if name not in there]
        unknown = [name for name in found if name not in known]
        if missing or unknown:
            parts = ["no column " + ", ".join(map(shown, missing[:5]))] * bool(missing)
            parts += ["unknown column " + ", ".join(map(shown, unknown[:5]))] * bool(unknown)
            raise InputDataError(
                "; ".join(parts),
                where=f"{self.capture.name}, table",
                expected="the columns that the mapping names: " + ", ".join(map(shown, named[:40])),
                remedy="name the column in the mapping, under [table] ignored if it is no price; nothing was stored",
            )

    def _offers(self, cells: _Cells, at: str) -> Iterator[tuple[_Slot, Quote]]:
        """Yield what each price cell of a row prices, and its price; a row of which that is not known is rejected."""
        model = self._model(cells, at)
        with self.rows.about(**(model or {})):
            facts = (self._tier, self._region, self._bracket, self._since)
            found = [model, *(fact(cells, at) for fact in facts)]
            row = {name: fact for part in found if part is not None for name, fact in part.items()}
            if None in found:
                return
            for column, name in self.mapping.prices().items():
                component = name or self._component(cells, at)
                price = self._price(cells[column], at + column, component)
                if component is not None and price is not None:
                    yield tuple({**row, "component": component}.items()), Quote(price, at + column)

    def _model(self, cells: _Cells, at: str) -> dict[str, Any] | None:
        column = self.mapping.table.model
        return {"model": cells[column]} if cells[column].strip() else self._no("no_model", cells, column, at)

    def _tier(self, cells: _Cells, at: str) -> dict[str, Any] | None:
        tier = self.mapping.service_tier
        if tier.column is None:
            return {"service_tier": tier.fixed}
        name = (tier.names or {}).get(cells[tier.column].strip())
        return {"service_tier": name} if name else self._no("unknown_service_tier", cells, tier.column, at)

    def _region(self, cells: _Cells, at: str) -> dict[str, Any] | None:
        region = self.mapping.region
        if region.column is None:
            return {"region": region.fixed}
        if cells[region.column].strip() in (region.everywhere or ()):
            return {"region": ""}
        blank = not cells[region.column].strip()
        return self._no("missing_field", cells, region.column, at) if blank else {"region": cells[region.column]}

    def _bracket(self, cells: _Cells, at: str) -> dict[str, Any] | None:
        context = self.mapping.context
        if context is None:
            return {}
        endless = cells[context.up_to].strip() in context.no_end
        start, end = self._tokens(cells[context.above]), None if endless else self._tokens(cells[context.up_to])
        if start is None:
            return self._no("not_a_context_length", cells, context.above, at)
        if end is None and not endless:
            return self._no("not_a_context_length", cells, context.up_to, at)
        if end is not None and end <= start:
            return self._no("empty_bracket", cells, context.up_to, at)
        return {"context_from": start, "context_to": end}

    def _tokens(self, text: str) -> int | None:
        try:
            length = self.mapping.numbers.exact(text)
        except ValueError:
            return None
        return whole(length * self.mapping.context.unit_tokens) if self.mapping.context else None

    def _since(self, cells: _Cells, at: str) -> dict[str, Any] | None:
        since = self.mapping.valid_from
        if since.column is None:
            return {"valid_from": datetime.combine(since.fixed, time(), UTC)} if since.fixed else {}
        try:
            return {"valid_from": datetime.combine(since.day(cells[since.column]), time(), UTC)}
        except ValueError:
            return self._no("not_a_date", cells, since.column, at)

    def _component(self, cells: _Cells, at: str) -> str | None:
        assert self.mapping.long is not None
        name = self.mapping.long.names.get(cells[self.mapping.long.component].strip())
        if name is None:
            self._no("unknown_component", cells, self.mapping.long.component, at)
        return name

    def _price(self, text: str, at: str, component: str | None) -> Decimal | None:
        """Return the price that a cell writes; null after a reject, or where nothing is offered."""
        numbers, word = self.mapping.numbers, text.strip()
        if word in numbers.not_offered:
            return None
        if word in numbers.free:
            return Decimal(0)
        try:
            return numbers.exact(text)
        except ValueError:
            self.rows.reject("not_a_price" if word else "missing_field", text, locator=at, component=component)
            return None

    def _no(self, reason: str, cells: _Cells, column: str, at: str) -> dict[str, Any] | None:
        """Reject the row for one of its cells, and return null."""
        self.rows.reject(reason, cells[column], locator=at + column)
        return None


ADAPTER: Final = Adapter("mapped", "3", parse, ("OBSERVATIONS", "SIGHTINGS"))
