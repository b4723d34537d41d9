"""Files: where bytes are kept, on a disk or in object storage.

*Reads* and *writes* bytes by name. *Never* changes what is there: a file is made once, whole and flushed, or not at all.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Final, Protocol

from .errors import AdapterError, LedgerError

AT_ONCE: Final = 32
"""Objects that are got at the same time."""
READ_AHEAD: Final = 256
"""Objects whose bytes are held before they are asked for."""


class Files(Protocol):
    """A folder of files that are written once. Names are relative, with ``/`` between their parts."""

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a file, or None if there is none."""

    def read_each(self, names: Sequence[str]) -> Iterator[bytes | None]:
        """Yield the bytes of several files, in their order; from object storage several are got at once."""

    def create(self, name: str, content: bytes) -> bool:
        """Make a file and return True, or False if there is one already: of two writers at once one gets True.

        When it returns True the bytes are on the disk; before that nobody sees a part of them.
        """

    def names(self, folder: str) -> list[str]:
        """Return the names of all files below a folder, sorted; ``""`` is the whole."""

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the size in bytes of every file below a folder, by name."""

    def remove(self, name: str) -> None:
        """Take a file away. For copies, and for what may be forgotten after the years of retention."""


def new_file(path: Path, write: Callable[[IO[bytes]], object]) -> bool:
    """Make a file of a disk, whole and flushed or not at all; return False if there is one already.

    `write` gets the file opened and empty, to write and to read. It is a temporary that gets its name by a link, which the
    system refuses if the name is taken.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("w+b") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
    finally:
        temporary.unlink(missing_ok=True)
    sync_path(path.parent)
    return True


def kept(files: Files, name: str, content: bytes) -> bool:
    """Make a file whose name says what is in it; return whether it is new.

    Raises
    ------
    LedgerError
        If other bytes stand under that name.
    """
    if files.create(name, content):
        return True
    if files.read(name) != content:
        raise LedgerError(
            "other bytes stand under that name",
            where=f"{files}/{name}",
            remedy="find out who changed the file, and restore it: what is stored never changes",
        )
    return False


@dataclass(frozen=True)
class LocalFiles:
    """Files in a folder of a disk."""

    path: Path

    def read(self, name: str) -> bytes | None:
        """Return the bytes of a file, or None if there is none."""
        try:
            return self._at(name).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def read_each(self, names: Sequence[str]) -> Iterator[bytes | None]:
        """Yield the bytes of several files, in their order."""
        return map(self.read, names)

    def create(self, name: str, content: bytes) -> bool:
        """Make a file and return True, or False if there is one already."""
        path = self._at(name)
        if path.exists():
            return False
        _folder(path.parent)
        return new_file(path, lambda file: file.write(content))

    def names(self, folder: str) -> list[str]:
        """Return the names of all files below a folder, sorted; temporaries are left out."""
        found = []
        for place, folders, files in os.walk(self._at(folder) if folder else self.path):
            folders[:] = [name for name in folders if not name.startswith(".")]
            base = Path(place).relative_to(self.path).as_posix()
            found += [f"{base}/{name}" if base != "." else name for name in files if not name.startswith(".")]
        return sorted(found)

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the size in bytes of every file below a folder, by name."""
        return {name: self._at(name).stat().st_size for name in self.names(folder)}

    def remove(self, name: str) -> None:
        """Take a file away."""
        self._at(name).unlink(missing_ok=True)

    def _at(self, name: str) -> Path:
        parts = name.split("/")
        if "\0" in name or any(part in ("", ".", "..") for part in parts):
            raise LedgerError(f"{name!r} is not a name in a home", expected="parts without . and ..")
        return self.path.joinpath(*parts)

    def __str__(self) -> str:
        return str(self.path)


@dataclass(frozen=True)
class ObjectFiles:
    """Files in object storage, such as ``s3://bucket/folder``, through the package ``obstore`` (extra ``store``).

    A file is made with a conditional put: the storage refuses a second one under the same name. Who may read and write, and
    another address than that of the cloud, are said by the variables that obstore reads (``AWS_ACCESS_KEY_ID``,
    ``AWS_ENDPOINT_URL`` …), never by a file of ours.
    """

    url: str
    options: dict[str, str]

    def read(self, name: str) -> bytes | None:
        """Return the bytes of an object, or None if there is none."""
        with self._asked(name):
            try:
                return bytes(self._bucket.get(name).bytes())
            except FileNotFoundError:
                return None

    def read_each(self, names: Sequence[str]) -> Iterator[bytes | None]:
        """Yield the bytes of several objects, in their order."""
        with ThreadPoolExecutor(AT_ONCE) as several:
            for start in range(0, len(names), READ_AHEAD):
                yield from several.map(self.read, names[start : start + READ_AHEAD])

    def create(self, name: str, content: bytes) -> bool:
        """Make an object and return True, or False if there is one already."""
        with self._asked(name):
            try:
                self._bucket.put(name, content, mode="create")
            except self._obstore.exceptions.AlreadyExistsError:
                return False
        return True

    def names(self, folder: str) -> list[str]:
        """Return the names of all objects below a folder, sorted."""
        return sorted(self.sizes(folder))

    def sizes(self, folder: str) -> dict[str, int]:
        """Return the size in bytes of every object below a folder, by name."""
        with self._asked(folder):
            listed = [found for batch in self._bucket.list(prefix=folder or None) for found in batch]
        return {str(found["path"]): int(found["size"]) for found in listed}

    def remove(self, name: str) -> None:
        """Take an object away."""
        with self._asked(name):
            self._bucket.delete(name)

    @contextmanager
    def _asked(self, name: str) -> Iterator[None]:
        """Say which object the storage did not give, and why, as a disk would."""
        try:
            yield
        except self._obstore.exceptions.BaseError as wrong:
            raise OSError(None, str(wrong), f"{self.url}/{name}") from None

    @cached_property
    def _obstore(self) -> Any:
        try:
            import obstore
        except ImportError:
            raise AdapterError(
                "obstore is not installed", remedy="install the extra: pip install 'tokenindex[store]'"
            ) from None
        return obstore

    @cached_property
    def _bucket(self) -> Any:
        return self._obstore.store.from_url(self.url, **self.options)

    def __str__(self) -> str:
        return self.url


def files_at(place: Path | str) -> Files:
    """Return the files of a folder, or of the object storage that an address such as ``s3://bucket/folder`` names."""
    return ObjectFiles(str(place).rstrip("/"), {}) if "://" in str(place) else LocalFiles(Path(place))


def _folder(path: Path) -> None:
    """Make a folder and those above it, each flushed into the one that holds it."""
    if path.is_dir():
        return
    _folder(path.parent)
    path.mkdir(exist_ok=True)
    sync_path(path.parent)


def sync_path(path: Path) -> None:
    """Flush a file, or the names in a folder, to the disk."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
