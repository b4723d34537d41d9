"""Counting the usage of one capture: records in, one volume a series and day out.

*Reads* JSON, JSON lines or CSV records and what an adapter makes of each. *Writes* volumes and rejects. *Never* writes
an identity of a record, and never quotes a file that it cannot read.

A stage downstream keeps the latest row of a series, so a capture gives one row a provider, model, component, service
tier and UTC day; its locator names the first record and how many more there are. Spend stands beside the tokens it paid
for: if every record of a model, tier and day says what each component cost, on the rows of the components, and otherwise
once, on a row of component `total` without tokens. Spend that does not cover all of the tokens is rejected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Final

import polars as pl

from ..errors import InputDataError
from ..exact import TOKENS_MAX, divide
from ..tables import VOLUMES
from ..units import VOLUME_COMPONENTS
from . import Capture, Parsed
from .fields import SCALE, UnusableRecord, Word, safe
from .reading import decoded, load_csv, load_json, pointer, refuse_cut, unreadable
from .rows import Rows

UNNAMED: Final = "unnamed"
"""The seller or the model of a source that names none: a registry maps it by hand, or nothing does."""
_SAID_SAFELY: Final = re.compile(
    r"byte \d+ is not UTF-8|the last line has no end|there is no header|line \d+: .*|.* \d+ (columns|rows) .*"
)
"""What `reading.load_csv` says without quoting the file."""

Record = tuple[str, dict[str, Any]]
"""Where a record stands, and its fields."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What one record says was used and paid.

    Parameters
    ----------
    tokens : mapping
        Component to count. Components never overlap.
    spend : mapping
        Component, or `total` for what is not attributed to one, to an amount in units of ``10**-SCALE``.
    identity : hashable, optional
        What tells this record from the others of its file; it is compared and never written.
    """

    provider: str
    model: str
    service_tier: str
    day: date
    locator: str
    tokens: Mapping[str, int] = field(default_factory=dict)
    spend: Mapping[str, int] = field(default_factory=dict)
    currency: str | None = None
    identity: Hashable = None

    def facts(self) -> Hashable:
        """Return everything but the place and the identity."""
        counts = tuple(sorted(self.tokens.items())), tuple(sorted(self.spend.items()))
        return self.provider, self.model, self.service_tier, self.day, counts, self.currency


@dataclass(slots=True)
class _Sum:
    """One component of a group: its sums, and which records they come from."""

    tokens: int | None = None
    spend: int | None = None
    first: str = ""
    records: int = 0

    def locator(self) -> str:
        return self.first if self.records == 1 else f"{self.first} and {self.records - 1} more"

    def add(self, usage: Usage, component: str) -> None:
        self.first = self.first or usage.locator
        self.records += 1
        if component in usage.tokens:
            self.tokens = (self.tokens or 0) + usage.tokens[component]
        if component in usage.spend:
            self.spend = (self.spend or 0) + usage.spend[component]


class _Group:
    """The usage of one provider, model, service tier and day."""

    def __init__(self) -> None:
        self.parts: dict[str, _Sum] = {}
        self.paid = _Sum()
        self.unpaid = False
        self.attributed = True
        self.currencies: set[str] = set()

    def add(self, usage: Usage) -> None:
        used = {component for component, tokens in usage.tokens.items() if tokens}
        self.unpaid |= bool(used) and not usage.spend
        self.attributed &= "total" not in usage.spend and used <= usage.spend.keys()
        for component in {**usage.tokens, **{name: 0 for name in usage.spend if name != "total"}}:
            self.parts.setdefault(component, _Sum()).add(usage, component)
        if usage.spend:
            whole = sum(usage.spend.values())
            self.paid.first, self.paid.records = self.paid.first or usage.locator, self.paid.records + 1
            self.paid.spend = (self.paid.spend or 0) + whole
            self.currencies.add(usage.currency or "")


class Tally:
    """Collects the usage of one capture.

    Parameters
    ----------
    capture : Capture
        Where the records come from.
    scope : str
        Whose usage was counted.
    """

    def __init__(self, capture: Capture, *, scope: str) -> None:
        self.capture, self.scope = capture, scope
        self.partial: Callable[[date], bool] = lambda day: day >= capture.seen_at.date()
        self._rows = Rows(capture)
        self._usages: list[Usage] = []

    def read(self, records: Iterable[Record], reader: Callable[[dict[str, Any], str], Usage | None]) -> None:
        """Add what `reader` makes of each record; a record that it refuses is a reject, null says nothing was used."""
        for locator, fields in records:
            try:
                usage = reader(fields, locator)
            except UnusableRecord as why:
                self.reject(why.reason, why.found, locator=locator)
            else:
                if usage is not None:
                    self.add(usage)

    def add(self, usage: Usage) -> None:
        """Add what one record says."""
        if usage.tokens or usage.spend:
            self._usages.append(usage)
        else:
            self.reject("no_usage", "", locator=usage.locator)

    def reject(self, reason: str, found: object, *, locator: str) -> None:
        """Add one reject; of `found` it shows no more than `safe` lets through."""
        self._rows.reject(reason, safe(found), locator=locator)

    def parsed(self) -> Parsed:
        """Return one volume a series and day, and the rejects; a file without records is an empty snapshot."""
        groups: dict[tuple[str, str, str, date], _Group] = {}
        for usage in self._unrepeated():
            key = (usage.provider, usage.model, usage.service_tier, usage.day)
            groups.setdefault(key, _Group()).add(usage)
        volumes = [row for key, group in groups.items() for row in self._volumes(key, group)]
        rejects = self._rows.rejects()
        if not self._usages and rejects.is_empty():
            self.reject("empty_snapshot", "", locator="")
        return Parsed(volumes=VOLUMES.frame(volumes), rejects=self._rows.rejects())

    def _unrepeated(self) -> Iterator[Usage]:
        """Yield each record once; of records that contradict each other under one identity, none."""
        facts: dict[Hashable, set[Hashable]] = {}
        for usage in self._usages:
            if usage.identity is not None:
                facts.setdefault(usage.identity, set()).add(usage.facts())
        seen: set[Hashable] = set()
        for usage in self._usages:
            if usage.identity is None or (len(facts[usage.identity]) == 1 and usage.identity not in seen):
                seen.add(usage.identity)
                yield usage
            elif len(facts[usage.identity]) > 1:
                self.reject("contradicts_another_row", "", locator=usage.locator)
            else:
                self.reject("repeats_another_row", "", locator=usage.locator)

    def _volumes(self, key: tuple[str, str, str, date], group: _Group) -> Iterator[dict[str, Any]]:
        money = self._money(group)
        by_component = money and group.attributed
        for component in VOLUME_COMPONENTS:
            part = group.parts.get(component)
            if part is None:
                continue
            spend = part.spend if by_component else None
            if part.tokens is not None and part.tokens > TOKENS_MAX:
                self.reject("not_a_count", part.tokens, locator=part.locator())
            elif part.tokens is not None or spend is not None:
                yield self._row(key, component, part.tokens, spend, group, locator=part.locator())
        if money and not by_component:
            yield self._row(key, "total", None, group.paid.spend, group, locator=group.paid.locator())

    def _money(self, group: _Group) -> bool:
        """Return whether the spend of a group covers its tokens in one currency; a spend that does not is rejected."""
        if group.paid.spend is None:
            return False
        if group.unpaid:
            self.reject("spend_incomplete", "", locator=group.paid.locator())
        elif len(group.currencies) > 1:
            self.reject("several_currencies", Word(", ".join(sorted(group.currencies))), locator=group.paid.locator())
        return not group.unpaid and len(group.currencies) == 1

    def _row(
        self,
        key: tuple[str, str, str, date],
        component: str,
        tokens: int | None,
        spend: int | None,
        group: _Group,
        *,
        locator: str,
    ) -> dict[str, Any]:
        provider, model, service_tier, day = key
        return {
            **self._rows.provenance(),
            "source": self.capture.source,
            "scope": self.scope,
            "provider": provider,
            "model": model,
            "component": component,
            "service_tier": service_tier,
            "period_start": day,
            "period_end": day,
            "tokens": tokens,
            "spend": None if spend is None else Decimal(f"{divide(spend, 10 ** (SCALE - 9))}E-9"),
            "currency": None if spend is None else next(iter(group.currencies)),
            "partial": self.partial(day),
            "locator": locator,
        }


def records(tally: Tally, content: bytes, *, columns: frozenset[str]) -> Iterator[Record]:
    """Return the records of a JSON array, of JSON lines, or of a CSV file, which are told apart by the first bytes.

    What is not an object is rejected. `columns` are those without which a CSV file is something else.

    Raises
    ------
    InputDataError
        If the bytes are none of the three.
    """
    start = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start == b"[":
        return objects(tally, placed(load_json(content, tally.capture, expected=list)))
    if start == b"{":
        return objects(tally, json_lines(tally, content))
    return csv_records(tally, content, columns=columns)


def placed(listed: Iterable[Any], *, at: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each item of the JSON array at `at` with its place."""
    return ((at + pointer(place), item) for place, item in enumerate(listed))


def objects(tally: Tally, found: Iterable[tuple[str, Any]]) -> Iterator[Record]:
    """Yield those that are objects of what was `found` at a place; the others are rejected."""
    for locator, item in found:
        if isinstance(item, dict):
            yield locator, item
        else:
            tally.reject("not_an_object", item, locator=locator)


def json_lines(tally: Tally, content: bytes) -> Iterator[tuple[str, Any]]:
    """Yield the place and the JSON of each line that is not blank; a line that is no JSON is rejected.

    Raises
    ------
    InputDataError
        If the bytes are not UTF-8, or no line is a JSON object.
    """
    expected = "one JSON object a line"
    if not content.strip():
        raise unreadable(tally.capture, "the file is empty", expected=expected)
    refuse_cut(content, tally.capture)
    decoded(content, tally.capture)
    first = ""
    read = False
    for place, line in enumerate(content.split(b"\n"), start=1):
        if line.strip():
            try:
                found = load_json(line, tally.capture, expected=object)
            except InputDataError as wrong:
                first = first or f"line {place}: {wrong.found}"
                tally.reject("not_json", "", locator=f"line {place}")
            else:
                read |= isinstance(found, dict)
                yield f"line {place}", found
    if first and not read:
        raise unreadable(tally.capture, first, expected=expected)


def private_csv(tally: Tally, content: bytes) -> tuple[pl.DataFrame, pl.Series]:
    """Return the cells and lines of a CSV file; a ragged row is rejected, and an error never quotes the file."""
    try:
        table = load_csv(content, tally.capture)
    except InputDataError as wrong:
        what = wrong.found if _SAID_SAFELY.fullmatch(wrong.found) else "a column stands twice"
        raise unreadable(tally.capture, what, expected="a CSV file with a header, each column once") from None
    for line, found in table.ragged:
        tally.reject("ragged_row", Word(found), locator=f"line {line}")
    return table.cells, table.lines


def csv_records(tally: Tally, content: bytes, *, columns: frozenset[str]) -> Iterator[Record]:
    """Yield the rows of a CSV file that has at least `columns`; an empty cell is no field.

    Raises
    ------
    InputDataError
        If the bytes are not such a file.
    """
    cells, lines = private_csv(tally, content)
    if missing := sorted(columns - set(cells.columns)):
        raise unreadable(tally.capture, "no column " + ", ".join(missing), expected="the columns of the export")
    for line, row in zip(lines, cells.iter_rows(named=True), strict=True):
        yield f"line {line}", {name: found for name, found in row.items() if found is not None}
