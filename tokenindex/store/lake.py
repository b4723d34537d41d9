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
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from ..adapters import Parsed
from ..errors import LedgerError
from ..files import Files, LocalFiles
from . import TABLES, Batch, Found, Kept, Part, contents, empty_frames, intact, parquet, parts_of, placed
from .deltalog import DeltaLog, File, deltalake_module

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
KEY: Final = 64
"""Length of the key of a batch, with which `stored` begins."""
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


@dataclass
class DeltaStore:
    """Batches in Delta tables of a home."""

    files: Files
    kind: str = "delta"
    _stored: dict[str, _Stored] = field(default_factory=dict, repr=False)
    _tables: dict[str, DeltaLog] = field(default_factory=dict, repr=False)
    _read_markers: bool = field(default=False, repr=False)

    def __post_init__(self) -> None:
        deltalake_module()
        if "%" in str(self.files.path.resolve() if isinstance(self.files, LocalFiles) else self.files):
            found = "there is a % in the path, which deltalake takes for a part of a coded letter"
            raise LedgerError(found, where=str(self.files), remedy='name another folder, or set store = "parquet"')
        schemas = {name: placed("", table.empty()).schema for name, table in TABLES.items()} | {"batches": BATCHES}
        self._tables = {name: DeltaLog(self.files, name, schema) for name, schema in schemas.items()}

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

    def _load(self, markers: DeltaLog) -> None:
        """Read the table of batches anew."""
        delta = markers.delta()
        names = [f"store/batches/{path}" for path in _active(delta)]
        self._stored.clear()
        frame = _frame(*self.files.read_each(names)) if names else pl.DataFrame(schema=BATCHES)
        if frame is None:
            raise LedgerError(
                "the table of batches cannot be read",
                where=markers.uri,
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
            tables[name] = {**part._asdict(), "file": file.name, "file_sha256": file.sha256}
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

    def _put(self, name: str, frame: pl.DataFrame, stored: str) -> File:
        """Make a file in the folder of a table, which nobody sees before it is committed."""
        self._tables[name].create()
        content = parquet(frame)
        file = File(f"{stored}.parquet", hashlib.sha256(content).hexdigest(), len(content), len(frame))
        self.files.create(f"store/{name}/{file.name}", content)
        return file

    def _commit(self, name: str, file: File, moment: int) -> None:
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
            if not parts:
                continue
            active = set(_active(self._tables[name].delta()))
            loose = {key for key in parts if wanted[key].files[name][0] in active}
            apart, damaged = self._loose(name, [wanted[key] for key in loose])
            merged = self._merged(name, active, [wanted[key] for key in parts.keys() - loose])
            rest = {key: part for key, part in parts.items() if key not in loose}
            whole -= (loose & damaged) | (rest.keys() - intact(name, merged, rest))
            frames[name] = pl.concat([empty, apart, merged])
        if len(whole) < len(wanted):
            frames = {name: frame.filter(pl.col("batch").is_in(list(whole))) for name, frame in frames.items()}
        return Found(frames, frozenset(whole))

    def _loose(self, name: str, wanted: Sequence[_Stored]) -> tuple[pl.DataFrame, set[str]]:
        """Return the rows of batches that have files of their own, and those whose file is not as it was written."""
        contents, damaged = [], set()
        names = [f"store/{name}/{one.files[name][0]}" for one in wanted]
        for one, content in zip(wanted, self.files.read_each(names), strict=True):
            if content is not None and hashlib.sha256(content).hexdigest() == one.files[name][1]:
                contents.append(content)
            else:
                damaged.add(one.stored[:KEY])
        frame = pl.read_parquet(contents) if contents else pl.DataFrame(schema=self._tables[name].schema)
        return self._keyed(frame, name), damaged

    def _merged(self, name: str, active: Collection[str], wanted: Sequence[_Stored]) -> pl.DataFrame:
        """Return the rows of batches in files of many, in order; no digest of its bytes tells what such a file holds."""
        pieces = [pl.DataFrame(schema=self._tables[name].schema)]
        if wanted:
            own = {one.files[name][0] for one in self._stored.values() if name in one.files}
            names = [f"store/{name}/{file}" for file in sorted(active) if file not in own]
            stored = pl.Series([one.stored for one in wanted], dtype=pl.String).implode()
            frames = (_frame(content) for content in self.files.read_each(names))
            pieces += [self._keyed(f.filter(pl.col("batch").is_in(stored)), name) for f in frames if f is not None]
        return pl.concat(pieces).sort("batch", "row")

    def _keyed(self, frame: pl.DataFrame, name: str) -> pl.DataFrame:
        """Return rows whose batch is named by its key."""
        keyed = frame.with_columns(pl.col("batch").str.head(KEY))
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


def _never_first(table: DeltaLog) -> LedgerError:
    return LedgerError("others are always first", where=table.uri, expected="a place to write to")


def _active(delta: Any) -> list[str]:
    """Return the files of a Delta table, relative to it."""
    return [str(path) for path in delta.get_add_actions()["path"].to_pylist()]


def _frame(*contents: bytes | None) -> pl.DataFrame | None:
    """Return the rows of Parquet files; None if one is gone or cannot be read."""
    whole = [content for content in contents if content]
    try:
        return pl.read_parquet(whole) if len(whole) == len(contents) else None
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError):
        return None
