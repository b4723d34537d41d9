"""The log of one Delta table: commits of our own, each a file that is made under the next number if nobody made it first.

*Reads* and *writes* the commits of a table, and lets `deltalake` create it, set its properties and write its checkpoints.
*Never* names a file in a commit that was not flushed before.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from ..errors import AdapterError
from ..files import Files, LocalFiles, ObjectFiles, sync_path

CHECKPOINT_EVERY: Final = 100


@dataclass(frozen=True)
class File:
    """A Parquet file: its name in the folder of its table, digest, bytes and rows."""

    name: str
    sha256: str
    size: int
    rows: int


@dataclass
class DeltaLog:
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
        return deltalake_module().DeltaTable(self.uri, storage_options=self.options)

    def exists(self) -> bool:
        return self.version >= 0 or self.files.read(self.commit_name(0)) is not None

    def create(self) -> None:
        """Make the table, unless somebody did."""
        if self.exists():
            return
        import pyarrow as pa

        arrow = pl.DataFrame(schema=self.schema).to_arrow(compat_level=pl.CompatLevel.oldest()).schema
        settings = {"delta.appendOnly": "true", "delta.enableExpiredLogCleanup": "false"}
        deltalake = deltalake_module()
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

    def commit(self, info: dict[str, Any], file: File, moment: int) -> bool:
        """Add one file by the next commit; False if somebody else made that commit."""
        about = {**info, "operation": "WRITE", "operationParameters": {"mode": "Append"}, "isBlindAppend": True}
        actions = [_info(about, moment), {"add": _add(file, moment, new=True)}]
        if not self.files.create(self.commit_name(self.version + 1), _lines(actions)):
            return False
        self.version += 1
        if self.version % CHECKPOINT_EVERY == 0:
            self.checkpoint(self.version)
        return True

    def replace(self, removed: Mapping[str, int], file: File | None, *, seen: int, new: bool) -> bool:
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
                    sync_path(path)

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
                sync_path(one)


def _info(about: dict[str, Any], moment: int) -> dict[str, Any]:
    return {"commitInfo": {"timestamp": moment, "engineInfo": "tokenindex", **about}}


def _add(file: File, moment: int, *, new: bool) -> dict[str, Any]:
    """Return the action that adds a file; `new`: with rows that were not there."""
    facts = {"path": file.name, "partitionValues": {}, "size": file.size, "modificationTime": moment}
    return {**facts, "dataChange": new, "stats": json.dumps({"numRecords": file.rows})}


def _lines(actions: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(action).encode() + b"\n" for action in actions)


def _actions(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.splitlines()]


def deltalake_module() -> Any:
    try:
        import deltalake
    except ImportError:
        raise AdapterError(
            "deltalake is not installed", remedy="install the extra: pip install 'tokenindex[store]'"
        ) from None
    return deltalake
