"""The store of Delta tables: for homes that a lake's engines read, on a disk or in object storage (extra ``store``).

*Reads* Delta tables through `deltalake`, and *writes* them: creation, settings and checkpoints through it, what adds or
replaces a file as a commit of our own. *Never* asks a Delta table what held at a time: `known_at` on the rows does, its own
clock is that of files.

    HOME/store/TABLE/     a Delta table each: the columns of the table after `batch` and `row`
    HOME/store/batches/   the Delta table of the batches that count, with the digests of their rows

A commit to a Delta table is a file that is made under the next number of its log, if nobody made it first, which is what
`tokenindex.files` does: made by us the rows are flushed before the log names them, an append costs the same on the last
day as on the first, and of two compactions at once one gives way. Made by deltalake 1.6 none of this is so.

A batch counts when the table ``batches`` names it, which is written last: rows of a batch that it does not name, left by
a writer that was killed, are in the tables and are not read. Other engines join with it on ``stored = batch``.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl

from ..adapters import Parsed
from ..errors import AdapterError, LedgerError
from ..files import Files, LocalFiles, ObjectFiles
from . import TABLES, Batch, Found, Kept, Part, contents, empty_frames, intact, parquet, parts_of, placed

FACTS: Final = ("sha256", "name", "adapter", "source", "seen_at", "known_at", "licence", "reference", "version")
BATCHES: Final = pl.Schema(
    {
        "batch": pl.String,
        "stored": pl.String,
        "attempt": pl.Int64,
        **dict.fromkeys(FACTS, pl.String),
        "tables": pl.String,
    }
)
"""The columns of the table of batches: `stored` is the `batch` of its rows, `tables` their digests and files as JSON."""
CHECKPOINT_EVERY: Final = 100
ATTEMPTS: Final = 1000
REWRITES: Final = 10
SEGMENT_ROWS: Final = 1_000_000
"""A merged file of so many rows is not merged again."""


@dataclass(frozen=True)
class _Stored:
    """A batch that counts."""

    attempt: int
    stored: str
    kept: Kept
    files: dict[str, tuple[str, str]]
    """The file that each table was written into, and its digest."""

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> _Stored:
        tables = json.loads(row["tables"])
        parts = {name: Part(facts["rows"], facts["sha256"]) for name, facts in tables.items()}
        files = {name: (facts["file"], facts["file_sha256"]) for name, facts in tables.items()}
        return cls(row["attempt"], row["stored"], Kept({name: row[name] for name in FACTS}, parts), files)


@dataclass(frozen=True)
class _File:
    """A Parquet file: its name in the folder of its table, digest, bytes and rows."""

    name: str
    sha256: str
    size: int
    rows: int


@dataclass
class _Table:
    """One Delta table: its log, and the last commit that was seen."""

    files: Files
    name: str
    schema: pl.Schema
    version: int = -1

    @property
    def uri(self) -> str:
        place = self.files.path.resolve().as_uri() if isinstance(self.files, LocalFiles) else str(self.files)
        return f"{place}/store/{self.name}"

    @property
    def options(self) -> dict[str, str] | None:
        return self.files.options if isinstance(self.files, ObjectFiles) else None

    def commit_name(self, version: int) -> str:
        return f"store/{self.name}/_delta_log/{version:020}.json"

    def delta(self) -> Any:
        """Return the table as deltalake has it now."""
        return _deltalake().DeltaTable(self.uri, storage_options=self.options)

    def exists(self) -> bool:
        return self.version >= 0 or self.files.read(self.commit_name(0)) is not None

    def create(self) -> None:
        """Make the table, unless somebody did."""
        if self.exists():
            return
        import pyarrow as pa

        arrow = pl.DataFrame(schema=self.schema).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
        settings = {"delta.appendOnly": "true", "delta.enableExpiredLogCleanup": "false"}
        deltalake = _deltalake()
        try:
            deltalake.DeltaTable.create(
                self.uri, pa.schema(arrow), configuration=settings, mode="ignore", storage_options=self.options
            )
        except deltalake.exceptions.DeltaError:
            if not self.exists():
                raise
        self.flush(0)

    def news(self) -> Iterator[list[dict[str, Any]]]:
        """Yield the commits since the last that was seen; the first time, since the last checkpoint."""
        if self.version < 0:
            last = self.files.read(f"store/{self.name}/_delta_log/_last_checkpoint")
            self.version = int(json.loads(last)["version"]) if last else -1
        while (content := self.files.read(self.commit_name(self.version + 1))) is not None:
            self.version += 1
            yield _actions(content)

    def commit(self, info: dict[str, Any], file: _File, moment: int) -> bool:
        """Add one file by the next commit; False if somebody else made that commit."""
        about = {**info, "operation": "WRITE", "operationParameters": {"mode": "Append"}, "isBlindAppend": True}
        actions = [_info(about, moment), {"add": _add(file, moment, new=True)}]
        if not self.files.create(self.commit_name(self.version + 1), _lines(actions)):
            return False
        self.version += 1
        if self.version % CHECKPOINT_EVERY == 0:
            self.checkpoint(self.version)
        return True

    def replace(self, removed: Mapping[str, int], file: _File | None, *, seen: int, new: bool) -> bool:
        """Put one file in the place of others; False if one of those was removed by somebody since the version `seen`.

        Of two compactions at once by deltalake 1.6 both succeed, and their rows are in the table twice.
        """
        now = time.time_ns() // 10**6
        about: dict[str, Any] = {
            "operation": "DELETE" if new else "OPTIMIZE",
            "operationParameters": {},
            "isBlindAppend": False,
        }
        actions = [_info(about, now)]
        for path, size in removed.items():
            gone = {"path": path, "deletionTimestamp": now, "dataChange": new, "size": size}
            actions.append({"remove": {**gone, "extendedFileMetadata": True, "partitionValues": {}}})
        actions += [{"add": _add(file, now, new=new)}] if file else []
        version = seen + 1
        while not self.files.create(self.commit_name(version), _lines(actions)):
            others = _actions(self.files.read(self.commit_name(version)) or b"")
            if any(action.get("remove", {}).get("path") in removed for action in others):
                return False
            version += 1
        self.checkpoint(version)
        return True

    def checkpoint(self, version: int) -> None:
        """Let deltalake write down what the table holds now, and flush that."""
        self.delta().create_checkpoint()
        if isinstance(self.files, LocalFiles):
            folder = self.files.path / "store" / self.name / "_delta_log"
            for path in (*folder.glob("*.checkpoint*"), folder / "_last_checkpoint", folder):
                if path == folder or path.name == "_last_checkpoint" or int(path.name[:20]) >= version:
                    _fsync(path)

    def set_append_only(self, append_only: bool) -> None:
        """Allow rows to be removed, or forbid it again."""
        delta = self.delta()
        delta.alter.set_table_properties({"delta.appendOnly": str(append_only).lower()})
        self.flush(delta.version())

    def flush(self, version: int) -> None:
        """Flush a commit that deltalake made, which it leaves to the system."""
        if isinstance(self.files, LocalFiles):
            path = self.files.path / self.commit_name(version)
            for one in (path, path.parent, path.parent.parent, path.parent.parent.parent):
                _fsync(one)


def _info(about: dict[str, Any], moment: int) -> dict[str, Any]:
    return {"commitInfo": {"timestamp": moment, "engineInfo": "tokenindex", **about}}


def _add(file: _File, moment: int, *, new: bool) -> dict[str, Any]:
    """Return the action that adds a file; `new`: with rows that were not there."""
    facts = {"path": file.name, "partitionValues": {}, "size": file.size, "modificationTime": moment}
    return {**facts, "dataChange": new, "stats": json.dumps({"numRecords": file.rows})}


def _lines(actions: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(action).encode() + b"\n" for action in actions)


def _actions(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.splitlines()]


@dataclass
class DeltaStore:
    """Batches in Delta tables of a home."""

    files: Files
    kind: str = "delta"
    _stored: dict[str, _Stored] = field(default_factory=dict, repr=False)
    _tables: dict[str, _Table] = field(default_factory=dict, repr=False)
    _read_markers: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        _deltalake()
        if "%" in str(self.files.path.resolve() if isinstance(self.files, LocalFiles) else self.files):
            found = "there is a % in the path, which deltalake takes for a part of a coded letter"
            raise LedgerError(found, where=str(self.files), remedy='name another folder, or set store = "parquet"')
        schemas = {name: placed("", table.empty()).schema for name, table in TABLES.items()} | {"batches": BATCHES}
        self._tables = {name: _Table(self.files, name, schema) for name, schema in schemas.items()}

    def _now(self) -> dict[str, _Stored]:
        """Return the batches that count, by their keys."""
        markers = self._tables["batches"]
        if not self._read_markers and markers.exists():
            self._load(markers)
        for actions in markers.news():
            if any("remove" in action and action["remove"].get("dataChange") for action in actions):
                self._load(markers)
                break
            for action in actions:
                if "batch" in action.get("commitInfo", {}):
                    self._count(action["commitInfo"]["batch"])
        return self._stored

    def _load(self, markers: _Table) -> None:
        """Read the table of batches anew."""
        delta = markers.delta()
        names = [f"store/batches/{path}" for path in _active(delta)]
        self._stored.clear()
        for name, content in zip(names, self.files.read_each(names), strict=True):
            frame = _frame(content)
            if frame is None:
                raise LedgerError(
                    "a file of the table of batches cannot be read",
                    where=f"{self.files}/{name}",
                    remedy="take the folder store away: it is made again from the captures",
                )
            for row in frame.sort("attempt").iter_rows(named=True):
                self._count(row)
        markers.version, self._read_markers = delta.version(), True

    def _count(self, row: Mapping[str, Any]) -> None:
        there = self._stored.get(row["batch"])
        if there is None or there.attempt <= row["attempt"]:
            self._stored[row["batch"]] = _Stored.of(row)

    def append(self, batch: Batch, parsed: Parsed, *, damaged: bool = False) -> bool:
        """Add a batch and return True, or False if it is there. One that was found `damaged` is added again."""
        there = self._now().get(batch.key)
        if there is not None and not damaged:
            return False
        stored = f"{batch.key}-{secrets.token_hex(8)}"
        moment = int(batch.capture.known_at.timestamp() * 1000)
        tables = {}
        for name, (part, frame) in parts_of(parsed).items():
            file = self._put(name, placed(stored, frame), stored)
            tables[name] = {**vars(part), "file": file.name, "file_sha256": file.sha256}
            self._commit(name, file, moment)
        row = {"batch": batch.key, "stored": stored, "attempt": there.attempt + 1 if there else 1}
        row |= {**batch.facts, "tables": json.dumps(tables, sort_keys=True)}
        marker = self._put("batches", pl.DataFrame([row], schema=BATCHES), stored)
        for _ in range(ATTEMPTS):
            if batch.key in self._now() and not damaged:  # another writer was first
                self.files.remove(f"store/batches/{marker.name}")
                return False
            if self._tables["batches"].commit({"batch": row}, marker, moment):
                self._count(row)
                return True
        raise _never_first(self._tables["batches"])

    def _put(self, name: str, frame: pl.DataFrame, stored: str) -> _File:
        """Make a file in the folder of a table, which nobody sees before it is committed."""
        self._tables[name].create()
        content = parquet(frame)
        file = _File(f"{stored}.parquet", hashlib.sha256(content).hexdigest(), len(content), len(frame))
        self.files.create(f"store/{name}/{file.name}", content)
        return file

    def _commit(self, name: str, file: _File, moment: int) -> None:
        table = self._tables[name]
        for _ in range(ATTEMPTS):
            for _commit in table.news():
                pass
            if table.commit({}, file, moment):
                return
        raise _never_first(table)

    def batches(self) -> Mapping[str, Kept]:
        """Return what is there."""
        return {key: stored.kept for key, stored in self._now().items()}

    def read(self, batches: Collection[str]) -> Found:
        """Return the rows of some batches whose digests are those of the table of batches."""
        known = self._now()
        wanted = {key: known[key] for key in batches if key in known}
        frames, whole = empty_frames(), set(wanted)
        for name, empty in frames.items():
            parts = {key: one.kept.parts[name] for key, one in wanted.items() if name in one.files}
            if parts:
                frames[name] = pl.concat([empty, *self._pieces(name, wanted)]).sort("batch", "row")
                whole -= parts.keys() - intact(name, frames[name], parts)
        if len(whole) < len(wanted):
            frames = {name: frame.filter(pl.col("batch").is_in(list(whole))) for name, frame in frames.items()}
        return Found(frames, frozenset(whole))

    def _pieces(self, name: str, wanted: Mapping[str, _Stored]) -> Iterator[pl.DataFrame]:
        """Yield the rows of some batches, from their own files and from files of many."""
        active = set(_active(self._tables[name].delta()))
        own = dict(one.files[name] for one in self._stored.values() if name in one.files)
        ours = [one.files[name][0] for one in wanted.values() if name in one.files]
        files = [file for file in ours if file in active]
        if len(files) < len(ours):
            files += sorted(active - own.keys())
        stored = pl.Series([one.stored for one in wanted.values()], dtype=pl.String)
        names = [f"store/{name}/{file}" for file in files]
        single = []
        for file, content in zip(files, self.files.read_each(names), strict=True):
            if file in own:
                if content is not None and hashlib.sha256(content).hexdigest() == own[file]:
                    single.append(content)
                continue
            frame = _frame(content)
            if frame is not None:
                yield self._keyed(frame.filter(pl.col("batch").is_in(stored.implode())), name)
        if single:
            yield self._keyed(pl.read_parquet(single), name)

    def _keyed(self, frame: pl.DataFrame, name: str) -> pl.DataFrame:
        """Return rows whose batch is named by its key."""
        keyed = frame.with_columns(pl.col("batch").str.head(64))
        return keyed.select(pl.col(column).cast(dtype) for column, dtype in self._tables[name].schema.items())

    def snapshot(self) -> dict[str, Any]:
        """Return the version of each Delta table, and the digest of each table."""
        batches = self.batches()
        versions = {}
        for name, table in self._tables.items():
            if table.exists():
                versions[name] = table.delta().version()
        return {"store": self.kind, "version": versions, "batches": len(batches), "tables": contents(batches)}

    def compact(self, current: Collection[str], *, forget: Collection[str] = ()) -> dict[str, Any]:
        """Put small files together, and drop the rows of the batches to `forget`; return what was done.

        Files that were put together stay on the disk for the versions that name them: nothing is vacuumed.
        """
        known = self._now()
        gone = [known[key].stored for key in forget if key in known]
        written = removed = 0
        # batches first: what it does not name does not count
        for name in ("batches", *TABLES):
            table = self._tables[name]
            if table.exists():
                if gone:
                    table.set_append_only(False)
                done = self._rewrite(name, gone)
                if gone:
                    table.set_append_only(True)
                written, removed = written + done[0], removed + done[1]
        return {"written": written, "removed": removed}

    def _rewrite(self, name: str, gone: Collection[str]) -> tuple[int, int]:
        """Put the files of a table together, without the rows of some batches; return how many were written and removed."""
        table = self._tables[name]
        for _ in range(REWRITES):
            delta = table.delta()
            there = delta.get_add_actions()
            facts = zip(*(there[column].to_pylist() for column in ("path", "size_bytes", "num_records")), strict=True)
            files = {path: size for path, size, rows in facts if gone or rows is None or rows < SEGMENT_ROWS}
            contents = zip(files, self.files.read_each([f"store/{name}/{path}" for path in files]), strict=True)
            frames = {path: frame for path, content in contents if (frame := _frame(content)) is not None}
            if len(frames) < (1 if gone else 2):
                return 0, 0
            key = "stored" if name == "batches" else "batch"
            rows = pl.concat(frame.select(table.schema.names()) for frame in frames.values())
            left = rows.filter(~pl.col(key).is_in(list(gone))).sort(table.schema.names()[:2])
            if gone and len(frames) == 1 and len(left) == len(rows):
                return 0, 0
            file = self._put(name, left, f"merged-{secrets.token_hex(8)}") if len(left) else None
            removed = {path: files[path] for path in frames}
            if table.replace(removed, file, seen=delta.version(), new=bool(gone)):
                return int(file is not None), len(removed)
            if file:
                self.files.remove(f"store/{name}/{file.name}")
        return 0, 0  # others compact all the time


def _never_first(table: _Table) -> LedgerError:
    return LedgerError("others are always first", where=table.uri, expected="a place to write to")


def _active(delta: Any) -> list[str]:
    """Return the files of a Delta table, relative to it."""
    return [str(path) for path in delta.get_add_actions()["path"].to_pylist()]


def _frame(content: bytes | None) -> pl.DataFrame | None:
    """Return the rows of a Parquet file; None if it is gone or cannot be read."""
    try:
        return pl.read_parquet(content) if content else None
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
        return None


def _fsync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _deltalake() -> Any:
    try:
        import deltalake
    except ImportError:
        raise AdapterError(
            "deltalake is not installed", remedy="install the extra: pip install 'tokenindex[store]'"
        ) from None
    return deltalake
