"""The store: the rows of every capture as its adapter reads them, so that nothing is parsed twice.

*Reads* and *writes* batches. *Never* changes a row, and is never the truth: every batch can be made again from its capture,
and one that is missing or not as it was written is.

A **batch** is what one version of an adapter reads in one look at a source: its tables, which become visible together
or not at all. `plain` keeps it in Parquet files and a chain, `lake` in Delta tables.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Final, NamedTuple, Protocol

import polars as pl

from ..adapters import Capture, Parsed
from ..digests import row_digests, schema_digest
from ..files import Files
from ..records import canonical, moment_text
from ..tables import Table

KINDS: Final = ("parquet", "delta")
TABLES: Final[dict[str, Table]] = {table.name.lower(): table for table in Parsed().tables()}
PLACE: Final = {"batch": pl.String, "row": pl.Int64}
"""The columns that the store puts before those of a table: the batch, and the place of the row in it."""


@dataclass(frozen=True)
class Batch:
    """One look at a source as one version of its adapter reads it."""

    capture: Capture
    version: str

    @cached_property
    def key(self) -> str:
        """What tells it from every other batch: a digest of all that its rows depend on."""
        return hashlib.sha256(canonical({"batch": "tokenindex batch 1", "schema": _schema(), **self.facts})).hexdigest()

    @property
    def facts(self) -> dict[str, str | None]:
        """The facts of the look and the version, as text."""
        capture = self.capture
        moments = {"seen_at": moment_text(capture.seen_at), "known_at": moment_text(capture.known_at)}
        return {**vars(capture), **moments, "version": self.version}


class Part(NamedTuple):
    """The rows of one table of a batch: how many, and their digest by `tokenindex.digests`."""

    rows: int
    sha256: str


class Kept(NamedTuple):
    """A batch that is there: the facts of its look, and its tables that have rows."""

    facts: Mapping[str, Any]
    parts: Mapping[str, Part]


class Found(NamedTuple):
    """What was read: the rows by table, with the columns `PLACE` before their own, and the batches they belong to.

    Batches that were asked for and are not among `batches` are missing, or not as they were written.
    """

    frames: dict[str, pl.DataFrame]
    batches: frozenset[str]


class Store(Protocol):
    """Where batches are kept. Batches are named by their keys."""

    kind: str

    def append(self, batch: Batch, parsed: Parsed, *, damaged: bool = False) -> bool:
        """Add a batch and return True, or False if it is there. One that was found `damaged` is added again.

        When it returns the batch is on the disk; before that nobody sees a part of it.
        """

    def batches(self) -> Mapping[str, Kept]:
        """Return what is there."""

    def read(self, batches: Collection[str]) -> Found:
        """Return the rows of some batches, in no particular order."""

    def snapshot(self) -> dict[str, Any]:
        """Return what is there now, to be pinned: the version in the terms of the store, and the digest of each table."""

    def compact(self, current: Collection[str], *, forget: Collection[str] = ()) -> dict[str, Any]:
        """Put small files together, and drop the batches to `forget`; return what was done.

        Rows do not change. Those of batches that are not `current` stay, apart where the store can keep them apart.
        """


def open_store(kind: str, files: Files) -> Store:
    """Return the store of a kind in a home."""
    if kind == "delta":
        from .lake import DeltaStore

        return DeltaStore(files)
    from .plain import ParquetStore

    return ParquetStore(files)


def placed(batch: str, frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of a batch with the columns `PLACE`."""
    return frame.select(pl.lit(batch).alias("batch"), pl.int_range(pl.len(), dtype=pl.Int64).alias("row"), pl.all())


def parquet(frame: pl.DataFrame) -> bytes:
    """Return a frame as a Parquet file."""
    written = io.BytesIO()
    frame.write_parquet(written, compression="zstd")
    return written.getvalue()


def parts_of(parsed: Parsed) -> dict[str, tuple[Part, pl.DataFrame]]:
    """Return the tables of a batch that have rows."""
    return {
        table.name.lower(): (Part(len(frame), row_digests(table, frame, [len(frame)])[0]), frame)
        for table, frame in parsed.tables().items()
        if len(frame)
    }


def contents(batches: Mapping[str, Kept]) -> dict[str, dict[str, Any]]:
    """Return number and digest of the rows of each table: the same in every store, however its files are cut."""
    found = {}
    for name in TABLES:
        parts = sorted((key, kept.parts[name]) for key, kept in batches.items() if name in kept.parts)
        listed = canonical([[key, part.sha256] for key, part in parts])
        found[name] = {"rows": sum(part.rows for _, part in parts), "sha256": hashlib.sha256(listed).hexdigest()}
    return found


def intact(name: str, frame: pl.DataFrame, parts: Mapping[str, Part]) -> set[str]:
    """Return which batches are whole in a frame sorted by batch and row: those whose rows have the digest of their part."""
    if not parts:
        return set()
    runs = frame.select(pl.col("batch").rle()).unnest("batch")
    sizes, keys = runs["len"].to_list(), runs["value"].to_list()
    found = dict(zip(keys, row_digests(TABLES[name], frame, sizes), strict=True))
    return {key for key, part in parts.items() if found.get(key) == part.sha256}


def assembled(found: Found, made: Mapping[str, Parsed], order: Sequence[str]) -> dict[str, pl.DataFrame]:
    """Return the tables of batches that were read and of others that were parsed, in the order of the batches."""
    position = pl.DataFrame({"batch": order, "position": range(len(order))}, schema_overrides={"batch": pl.String})
    tables = {}
    for name, table in TABLES.items():
        parsed = [placed(key, getattr(one, name)) for key, one in made.items() if len(getattr(one, name))]
        frame = pl.concat([found.frames[name], *parsed])
        if not frame.is_empty():
            frame = frame.join(position, on="batch").sort("position", "row")
        tables[name] = frame.select(table.schema.names())
    return tables


def empty_frames() -> dict[str, pl.DataFrame]:
    """Return the tables without rows, with the columns `PLACE`."""
    return {name: pl.DataFrame(schema={**PLACE, **table.schema}) for name, table in TABLES.items()}


def joined(name: str, contents: Iterable[bytes], batches: Collection[str]) -> pl.DataFrame:
    """Return the rows of some batches in Parquet files of one table."""
    files = list(contents)
    if not files:
        return pl.DataFrame(schema={**PLACE, **TABLES[name].schema})
    wanted = pl.Series(list(batches), dtype=pl.String)
    rows = pl.scan_parquet(files).filter(pl.col("batch").is_in(wanted.implode()))
    return rows.select(*PLACE, *TABLES[name].schema.names()).collect()


@cache
def _schema() -> str:
    return schema_digest(list(TABLES.values()))
