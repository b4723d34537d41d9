"""The store of Parquet files and a chain: every engine reads it, and nothing but polars is needed to write it.

*Reads* and *writes* through `tokenindex.files`. *Never* changes a file: a batch is there when its entry is on the chain,
and a file that no entry names is not there.

    HOME/batches/NUMBER.json            the chain: batches with the digests of their rows and files, and compactions
    HOME/store/TABLE/DATE_KEY-N.parquet the rows of one table of one batch
    HOME/store/TABLE/merged_….parquet   those of many, after a compaction
    HOME/store/older/TABLE/             after a compaction, batches that are not current: of older versions of an adapter

The chain orders everything. A file that no entry names is collected by a compaction, which says so in an entry of its own
before it does; a writer whose file was collected before its entry was made sees that, and writes it anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any, Final

import polars as pl

from ..adapters import Parsed
from ..chains import Chain, Entry
from ..errors import LedgerError
from ..files import Files
from . import TABLES, Batch, Found, Kept, Part, contents, empty_frames, intact, joined, parquet, parts_of, placed

SEGMENT_ROWS: Final = 1_000_000
"""A merged file of so many rows is not merged again."""
GROUP_BYTES: Final = 2**26
"""Bytes of files that are read together."""
ATTEMPTS: Final = 10
OLDER: Final = "store/older/"


@dataclass
class _Stored:
    """A batch on the chain: the number of its entry, its tables, and the file that holds each now."""

    number: int
    kept: Kept
    files: dict[str, str]


@dataclass
class _State:
    """What the entries of the chain say together."""

    entries: int = 0
    compactions: int = 0
    stored: dict[str, _Stored] = field(default_factory=dict)
    keys: list[str | None] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)

    def follow(self, entry: Entry) -> None:
        """Add an entry."""
        fields = entry.fields
        self.entries += 1
        if fields["kind"] == "batch":
            tables = fields["tables"]
            parts = {name: Part(facts["rows"], facts["sha256"]) for name, facts in tables.items()}
            files = {name: facts["file"] for name, facts in tables.items()}
            self.digests |= {facts["file"]: facts["file_sha256"] for facts in tables.values()}
            self.stored[fields["batch"]] = _Stored(entry.number, Kept(fields["look"], parts), files)
            self.keys.append(fields["batch"])
            return
        self.keys.append(None)
        self.compactions += 1
        for name in fields["removed"]:
            self.digests.pop(name, None)
            self.removed.add(name)
        for key in self._held(fields["forgotten"]):
            del self.stored[key]
        for facts in fields["files"]:
            self.digests[facts["file"]] = facts["file_sha256"]
            for key in self._held(facts["batches"]):
                self.stored[key].files[facts["table"]] = facts["file"]

    def _held(self, ranges: Iterable[tuple[int, int]]) -> Iterator[str]:
        """Yield the batches whose entries have these numbers, if those entries are their last."""
        for first, last in ranges:
            for number in range(first, last + 1):
                key = self.keys[number - 1]
                if key is not None and key in self.stored and self.stored[key].number == number:
                    yield key

    def by_file(self, name: str, keys: Collection[str]) -> dict[str, list[str]]:
        """Return the files that hold a table of some batches, with those batches, in the order of the chain."""
        found: dict[str, list[str]] = {}
        for key in sorted(keys, key=lambda key: self.stored[key].number):
            if name in self.stored[key].files:
                found.setdefault(self.stored[key].files[name], []).append(key)
        return found


@dataclass
class ParquetStore:
    """Batches in Parquet files of a home."""

    files: Files
    kind: str = "parquet"
    _state: _State = field(default_factory=_State, repr=False)

    @cached_property
    def chain(self) -> Chain:
        """The entries of batches and compactions."""
        return Chain(self.files, "batches")

    def _now(self) -> _State:
        for entry in self.chain.entries()[self._state.entries :]:
            self._state.follow(entry)
        return self._state

    def append(self, batch: Batch, parsed: Parsed, *, damaged: bool = False) -> bool:
        """Add a batch and return True, or False if it is there. One that was found `damaged` is added again."""
        if batch.key in self._now().stored and not damaged:
            return False
        tables = parts_of(parsed)
        written = {name: parquet(placed(batch.key, frame)) for name, (_, frame) in tables.items()}
        stem = f"{batch.capture.known_at.date()}_{batch.key[:16]}"
        names: dict[str, str] = {}

        def fields(_: Sequence[Entry]) -> dict[str, Any] | None:
            state = self._now()
            if batch.key in state.stored and not damaged:
                return None
            for name, content in written.items():
                if name not in names or names[name] in state.removed:
                    names[name] = self._put(f"store/{name}/{stem}", content)
            facts = {
                name: {**part._asdict(), "file": names[name], "file_sha256": hashlib.sha256(written[name]).hexdigest()}
                for name, (part, _) in tables.items()
            }
            return {"kind": "batch", "batch": batch.key, "look": batch.facts, "tables": facts}

        if self.chain.append(fields) is not None:
            return True
        for name in names.values():
            self.files.remove(name)
        return False

    def _put(self, stem: str, content: bytes) -> str:
        """Make a file under a name that was never used, and return the name."""
        names = (f"{stem}-{n}.parquet" for n in count())
        return next(n for n in names if n not in self._state.removed and self.files.create(n, content))

    def batches(self) -> Mapping[str, Kept]:
        """Return what is there."""
        return {key: stored.kept for key, stored in self._now().stored.items()}

    def read(self, batches: Collection[str]) -> Found:
        """Return the rows of some batches. Files are compared with their digests before anything reads them."""
        for _ in range(ATTEMPTS):
            state = self._now()
            before = state.compactions
            wanted = [key for key in batches if key in state.stored]
            found, damaged = self._read(wanted)
            if not damaged or self._now().compactions == before:  # else files were merged while they were read
                break
        whole = frozenset(wanted) - damaged
        if damaged:
            found = {n: f.filter(pl.col("batch").is_in(list(whole))) for n, f in found.items()}
        return Found(found, whole)

    def _read(self, wanted: Collection[str]) -> tuple[dict[str, pl.DataFrame], set[str]]:
        """Return the rows of batches, and which of them have a file that is not as it was written."""
        frames, damaged = empty_frames(), set()
        for name in TABLES:
            by_file = self._state.by_file(name, wanted)
            pieces = [frames[name]]
            for group in self._groups(by_file):
                damaged |= {key for file, content in group if content is None for key in by_file[file]}
                pieces.append(joined(name, [c for _, c in group if c is not None], wanted))
            frames[name] = pl.concat(pieces)
        return frames, damaged

    def _groups(self, names: Collection[str]) -> Iterator[list[tuple[str, bytes | None]]]:
        """Yield the bytes of files, a bounded number at a time; None for one that is gone or not as it was written."""
        group: list[tuple[str, bytes | None]] = []
        size = 0
        for name, content in zip(names, self.files.read_each(list(names)), strict=True):
            right = content is not None and hashlib.sha256(content).hexdigest() == self._state.digests.get(name)
            group.append((name, content if right else None))
            size += len(content or b"")
            if size > GROUP_BYTES:
                yield group
                group, size = [], 0
        yield group

    def snapshot(self) -> dict[str, Any]:
        """Return the head of the chain, and the digest of each table."""
        batches = self.batches()
        entries = self.chain.entries()
        head = {"number": entries[-1].number, "sha256": entries[-1].sha256} if entries else None
        return {"store": self.kind, "version": head, "batches": len(batches), "tables": contents(batches)}

    def compact(self, current: Collection[str], *, forget: Collection[str] = ()) -> dict[str, Any]:
        """Put small files together, and drop the batches to `forget`; return what was done."""
        for _ in range(ATTEMPTS):
            self._now()
            planned = _Compaction(self, frozenset(current), frozenset(forget))
            entry = self.chain.append(planned.fields)
            if entry is not None:
                for name in entry.fields["removed"]:
                    self.files.remove(name)
                self._now()
                return {"written": len(entry.fields["files"]), "removed": len(entry.fields["removed"])}
            if not planned.overtaken:
                return {"written": 0, "removed": 0}
        raise LedgerError("others are always first", where=str(self.files), expected="a time to compact")


class _Compaction:
    """What a compaction does: which files it writes, and which it removes."""

    def __init__(self, store: ParquetStore, current: frozenset[str], forget: frozenset[str]) -> None:
        self.store, self.state = store, store._state
        self.compactions = self.state.compactions
        self.overtaken = False
        self.current = current
        loose = {file for name in TABLES for file, _, _ in self._moved(name, forget)}
        self.damaged = {
            key
            for group in store._groups(sorted(loose))
            for file, content in group
            if content is None
            for key in self._holders[file]
        }
        gone = forget | self.damaged
        self.forgotten = self._ranges(key for key in gone if key in self.state.stored)
        self.written: list[dict[str, Any]] = []
        self.replaced: set[str] = set()
        for name in TABLES:
            self._merge(name, list(self._moved(name, gone)), gone)

    @cached_property
    def _holders(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in TABLES:
            found |= self.state.by_file(name, self.state.stored)
        return found

    def _moved(self, name: str, gone: Collection[str]) -> list[tuple[str, list[str], list[str]]]:
        """Return the files of a table that do not stay, with their batches that are current and those that are older."""
        found = []
        by_file = self.state.by_file(name, self.state.stored)
        for file, keys in by_file.items():
            current = [key for key in keys if key in self.current and key not in gone]
            older = [key for key in keys if key not in self.current and key not in gone]
            closed = (
                "/merged_" in file and sum(self.state.stored[key].kept.parts[name].rows for key in keys) >= SEGMENT_ROWS
            )
            stays = older == keys if file.startswith(OLDER) else closed and current == keys
            if not stays:
                found.append((file, current, older))
        if len(found) == 1 and found[0][1] == by_file[found[0][0]] and "/merged_" in found[0][0]:
            return []  # it was merged already, and nothing came since
        return found

    def _merge(self, name: str, moved: list[tuple[str, list[str], list[str]]], gone: Collection[str]) -> None:
        self.replaced |= {file for file, _, _ in moved}
        current = [key for _, keys, _ in moved for key in keys]
        if current:
            contents = (c for group in self.store._groups([f for f, keys, _ in moved if keys]) for _, c in group)
            frame = joined(name, (c for c in contents if c is not None), current)
            order = {key: self.state.stored[key].number for key in current}
            frame = frame.sort(pl.col("batch").replace_strict(order, return_dtype=pl.Int64), "row")
            parts = {key: self.state.stored[key].kept.parts[name] for key in current}
            if len(intact(name, frame, parts)) != len(parts):
                raise LedgerError("rows are read otherwise than they were written", where=f"store/{name}")
            self._write(
                name, f"store/{name}/merged_{min(order.values())}-{max(order.values())}", parquet(frame), current
            )
        for file, _, older in moved:
            if older:
                content = self.store.files.read(file) or b""
                if (
                    older != self._holders[file]
                ):  # rows of an older version may have other columns: nothing is looked at
                    content = parquet(pl.read_parquet(content).filter(pl.col("batch").is_in(older)))
                stem = file.rpartition("/")[2].rpartition("-")[0]
                self._write(name, f"{OLDER}{name}/{stem}", content, older)

    def _write(self, name: str, stem: str, content: bytes, keys: list[str]) -> None:
        file = self.store._put(stem, content)
        digest = hashlib.sha256(content).hexdigest()
        self.written.append({"table": name, "file": file, "file_sha256": digest, "batches": self._ranges(keys)})

    def _ranges(self, keys: Iterable[str]) -> list[list[int]]:
        """Return the numbers of the entries of some batches, as runs from first to last."""
        found: list[list[int]] = []
        for number in sorted(self.state.stored[key].number for key in keys):
            if found and found[-1][1] == number - 1:
                found[-1][1] = number
            else:
                found.append([number, number])
        return found

    def fields(self, _: Sequence[Entry]) -> dict[str, Any] | None:
        """Return the entry; None if another compaction came first, or nothing is to be done."""
        state = self.store._now()
        new = {facts["file"] for facts in self.written}
        there = self.store.files.names("store")
        if state.compactions != self.compactions:
            self.overtaken = True
            for file in new:
                self.store.files.remove(file)
            return None
        lost = {file for file in there if file not in state.digests and file not in new}
        removed = sorted((self.replaced | lost) & set(there) | (self.replaced & set(state.digests)))
        if not (removed or self.written or self.forgotten):
            return None
        return {"kind": "compaction", "files": self.written, "removed": removed, "forgotten": self.forgotten}
