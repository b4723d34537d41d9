"""Containers: one ZIP file of named bytes, of which no bit can change unnoticed.

*Reads* and *writes* the bytes of a ZIP file. *Never* unpacks onto a disk, and never reads more than a declared bound.

Any ZIP program opens it. Members stand in the order of their names, have no moment and no attributes of a machine; the
comment of the archive is the SHA-256 of every byte before the end-of-central-directory record.
"""

from __future__ import annotations

import hashlib
import io
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Final

from .errors import LedgerError, VerificationError

FILES_MAX: Final = 60_000
FILE_BYTES_MAX: Final = 1 << 28
ARCHIVE_BYTES_MAX: Final = 1 << 31
BYTES_MAX: Final = 16 << 30
RATIO_MAX: Final = 200
"""How many times larger than its packed form a member may be."""
_END: Final = struct.Struct("<4s4H2LH")
_NAME: Final = re.compile(r"[A-Za-z0-9_~.-]+(/[A-Za-z0-9_~.-]+)*", flags=re.ASCII)
_MOMENT: Final = (1980, 1, 1, 0, 0, 0)
_MODE: Final = (stat.S_IFREG | 0o644) << 16
_CHUNK: Final = 1 << 20
_UNREADABLE: Final = (
    *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError),
    *(ValueError, OverflowError, struct.error, OSError),
)
"""What reading a damaged ZIP file may raise."""


def pack(file: IO[bytes], members: Iterable[tuple[str, bytes]]) -> None:
    """Write `members`, which come in the order of their names, as a container into an empty file that can be read back."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, allowZip64=False) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name, _MOMENT)
            info.create_system, info.external_attr, info.compress_type = 3, _MODE, _form(content)
            if len(content) > FILE_BYTES_MAX:
                raise LedgerError(f"{len(content):,} bytes", where=name, expected=f"at most {FILE_BYTES_MAX:,}")
            archive.writestr(info, content)
    size = file.seek(0, io.SEEK_END)
    if size > ARCHIVE_BYTES_MAX:
        raise LedgerError(f"a bundle of {size:,} bytes", expected="2 GiB at most", remedy="bundle fewer dates")
    end = file.seek(-_END.size, io.SEEK_END)
    fields = list(_END.unpack(file.read(_END.size)))
    digest = _digest(file, end)
    fields[-1] = len(digest)
    file.seek(end)
    file.write(_END.pack(*fields) + digest)


def _form(content: bytes) -> int:
    """Return how a member is packed: what shrinks more than any reader accepts is stored as it is."""
    dense = len(zlib.compress(content[:_CHUNK], 1)) * RATIO_MAX < 4 * len(content[:_CHUNK]) or len(content) > 8 * _CHUNK
    too_dense = dense and len(zlib.compress(content)) * RATIO_MAX < 2 * len(content)
    return zipfile.ZIP_STORED if too_dense else zipfile.ZIP_DEFLATED


@dataclass(frozen=True)
class Container:
    """A container in a file; it is checked before anything is read."""

    path: Path

    @cached_property
    def names(self) -> list[str]:
        """The names of the members, in order.

        Raises
        ------
        VerificationError
            If the file is not such a container: another bit, another form, a name that leads out of it, or more bytes than
            the bounds allow.
        """
        with self.path.open("rb") as file:
            self._check_end(file)
        found = self._archive.infolist()
        if len(found) > FILES_MAX or sum(info.file_size for info in found) > BYTES_MAX:
            raise self._wrong(
                f"{len(found):,} members", expected=f"at most {FILES_MAX:,} of {BYTES_MAX >> 30} GiB in all"
            )
        for info in found:
            self._check(info)
        names = [info.filename for info in found]
        if names != sorted(set(names)):
            raise self._wrong("members stand twice or out of order", expected="each name once, in order")
        return names

    def read(self, name: str) -> bytes:
        """Return the bytes of a member.

        Raises
        ------
        VerificationError
            If there is none, or it cannot be unpacked.
        """
        if name not in self._known:
            raise VerificationError("there is no such member", where=name, expected="a whole bundle")
        try:
            return self._archive.read(name)
        except _UNREADABLE as wrong:
            raise VerificationError(f"the member cannot be unpacked: {wrong}", where=name) from None

    def __contains__(self, name: str) -> bool:
        return name in self._known

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.names)

    @cached_property
    def _archive(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.path)
        except _UNREADABLE as wrong:
            raise self._wrong(f"this is no ZIP file: {wrong}", expected="a bundle") from None

    def _check_end(self, file: IO[bytes]) -> None:
        """Refuse a file whose last record does not stand where it must, or whose digest is another."""
        tail = _END.size + 64
        size = file.seek(0, io.SEEK_END)
        if size < tail:
            raise self._wrong(f"{size} bytes", expected="a bundle")
        end = file.seek(size - tail)
        signature, disk, first, here, count, length, start, comment = _END.unpack(file.read(_END.size))
        plain = (signature, disk, first, comment) == (b"PK\5\6", 0, 0, 64)
        if not plain or here != count or start + length != end:
            raise self._wrong("the end of the archive is another", expected="one ZIP archive with a digest as comment")
        told, found = file.read(64), _digest(file, end)
        if told != found:
            changed = self._changed()
            raise VerificationError(
                f"the bytes hash to {found.decode()}",
                where=f"{self.path}, {changed or 'between its members'}",
                expected=told.decode("latin-1"),
                remedy="ask for the bundle again",
            )

    def _changed(self) -> str:
        """Return the first member that is not as it was packed, by its checksum; empty if there is none."""
        try:
            with zipfile.ZipFile(self.path) as archive:
                for info in archive.infolist():
                    try:
                        self._check(info)
                        archive.read(info)
                    except (*_UNREADABLE, VerificationError):
                        return info.filename
        except _UNREADABLE:
            return "its directory"
        return ""

    def _check(self, info: zipfile.ZipInfo) -> None:
        wrong = (
            (not _NAME.fullmatch(info.filename) or ".." in info.filename.split("/"), "the name leads elsewhere"),
            (info.flag_bits != 0, "the member is encrypted or written in another way"),
            (info.external_attr != _MODE, "the member is no plain file"),
            (bool(info.extra or info.comment) or info.date_time != _MOMENT, "the member carries more than bytes"),
            (
                info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED),
                "the member is packed in another way",
            ),
            (info.file_size > FILE_BYTES_MAX, "the member is too large"),
            (info.file_size > RATIO_MAX * max(info.compress_size, 1), "the member is too dense"),
        )
        for found, said in wrong:
            if found:
                raise VerificationError(said, where=info.filename[:100], expected="a member as bundles are written")

    def _wrong(self, found: str, *, expected: str) -> VerificationError:
        return VerificationError(found, where=str(self.path), expected=expected, remedy="ask for the bundle again")


def _digest(file: IO[bytes], end: int) -> bytes:
    """Return the hexadecimal SHA-256 of the first `end` bytes of a file."""
    file.seek(0)
    digest, left = hashlib.sha256(), end
    while left:
        chunk = file.read(min(_CHUNK, left))
        digest.update(chunk)
        left -= len(chunk)
    return digest.hexdigest().encode()
