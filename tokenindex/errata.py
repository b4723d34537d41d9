"""Errata: every published figure determined again, and the differences by cause.

*Reads* a home. *Writes* a table. *Never* changes a figure: what follows from a difference is decided by people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any, Final

import polars as pl

from .chains import Entry
from .determination import determine
from .errors import LedgerError
from .home import Home, Progress
from .inputs import CAPTURED, Inputs
from .ledger import figures
from .publication import fixing_figures, known_of
from .records import Record
from .registers import read_registry

CAUSES: Final = {
    "software": "the same captures, registry and moment give another figure in this version of tokenindex",
    "captures": "captured files that were listed later, with an earlier known_at",
    "registry": "the registry of today maps spellings otherwise",
    "knowledge": "prices, volumes or rates that became known later",
    "judgment": "the figure rests on a judgment: this is the one without it",
}
SCHEMA: Final = {
    "index": pl.String,
    "fixing_date": pl.Date,
    "entry": pl.Int64,
    "cause": pl.String,
    **{f"{name}_{turn}": pl.String for turn in ("before", "after") for name in ("status", "price", "level")},
}


def errata(home: Home, *, at: datetime, progress: Progress = lambda _: None) -> pl.DataFrame:
    """Return every difference between a published figure and the same one determined again, by cause.

    Each cause is added to those before it (see `CAUSES`): a row says what it changes from the figure so far. Figures that
    come out as published have no row.

    Parameters
    ----------
    home : Home
    at : datetime
        The moment whose knowledge counts for the cause ``knowledge``.

    Returns
    -------
    DataFrame
        ``index, fixing_date, entry, cause``, and status, price and level before and after; one row a difference.
    """
    inputs = home.inputs(progress=progress)
    rows: list[dict[str, Any]] = []
    for index, entries in _official(home).items():
        progress(f"determining {len(entries)} published fixings of {index} again")
        rows += _differences(home, entries, inputs, at=at)
        inputs.forget()
    return pl.DataFrame(rows, schema=SCHEMA).sort("index", "fixing_date", "entry", maintain_order=True)


def _official(home: Home) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    ledger = home.ledger()
    for index, day in sorted(ledger.figures):
        entry = ledger.official(index, day)
        if entry is not None:
            found.setdefault(index, []).append(entry)
    return found


def _differences(home: Home, entries: Sequence[Entry], inputs: Inputs, *, at: datetime) -> Iterator[dict[str, Any]]:
    records = {entry.number: home.record_of(entry) for entry in entries}
    now = {entry.number: entry.fields["body"]["fixing"] for entry in entries}
    digests = sorted({record.document["registry"] for record in records.values()})
    registered = {digest: replace(inputs, registry=_registry(home, digest)) for digest in digests}
    of_records = {digest: _only(tables, records.values()) for digest, tables in registered.items()}
    steps: dict[str, Callable[[Record], tuple[Inputs, datetime | None]]] = {
        "software": lambda r: (of_records[r.document["registry"]], known_of(r)),
        "captures": lambda r: (registered[r.document["registry"]], known_of(r)),
        "registry": lambda r: (inputs, known_of(r)),
        "knowledge": lambda _: (inputs, at),
    }
    for cause, step in steps.items():
        groups: dict[Any, tuple[Inputs, datetime | None, list[Entry]]] = {}
        for entry in entries:
            tables, known = step(records[entry.number])
            key = (id(tables), known, entry.fields["body"]["methodology"])
            groups.setdefault(key, (tables, known, []))[2].append(entry)
        for tables, known, members in groups.values():
            for entry, made in _again(home, members, tables, known):
                if made != now[entry.number] and cause == "software":
                    # a file of another record may have been listed later: its own files alone decide
                    ((_, made),) = _again(home, [entry], _only(tables, [records[entry.number]]), known)
                if made != now[entry.number]:
                    yield _row(entry, cause, now[entry.number], made)
                    now[entry.number] = made
    for entry in entries:
        without = records[entry.number].document["without_judgment"]
        published = entry.fields["body"]["fixing"]
        if without is not None and without != published:
            yield _row(entry, "judgment", published, without)


def _again(
    home: Home, members: Sequence[Entry], tables: Inputs, known: datetime | None
) -> list[tuple[Entry, dict[str, Any]]]:
    """Return the figures of published fixings of one document, determined again."""
    body = members[0].fields["body"]
    methodology = home.document(body["methodology"])
    if methodology is None:
        raise LedgerError(f"no document hashes to {body['methodology']}", expected=f"{body['index']} {body['version']}")
    days = {entry.number: date.fromisoformat(entry.fields["body"]["fixing_date"]) for entry in members}
    found = determine(methodology.named(body["index"]), tables, dates=sorted(set(days.values())), known_at=known)
    return [(entry, fixing_figures(found, days[entry.number])) for entry in members]


def _only(tables: Inputs, records: Iterable[Record]) -> Inputs:
    """Return the rows of the captures that records name."""
    digests = sorted({capture["sha256"] for record in records for capture in record.document["captures"]})
    return replace(
        tables, **{name: getattr(tables, name).filter(pl.col("capture").is_in(digests)) for name in CAPTURED}
    )


def _registry(home: Home, digest: str) -> pl.DataFrame:
    content = home.registry_bytes(digest)
    if content is None:
        raise LedgerError(
            f"no registry has the digest {digest}", where=str(home.files), remedy="restore it from a copy"
        )
    return read_registry(content, where=f"registries/{digest}.csv")


def _row(entry: Entry, cause: str, before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    body = entry.fields["body"]
    both = {
        f"{name}_{turn}": told[name] for turn, told in (("before", before), ("after", after)) for name in figures(told)
    }
    row = {"index": body["index"], "fixing_date": date.fromisoformat(body["fixing_date"]), "entry": entry.number}
    return {**row, "cause": cause, **{name: both[name] for name in SCHEMA if name in both}}
