"""Opening archives: the members of a zip file and of a tar file, inside bounds.

*Reads* the bytes of an archive. *Writes* its members by name. *Never* extracts to disk, follows a link, or unpacks more
than it is told to.

The tar reader is our own because the one of the standard library spends time that grows with the square of a forged
header in some versions of Python, and loops on a negative size in others: the same bytes must give the same rows under
all of them. It knows the plain members and links of the POSIX and GNU forms, with their long names.
"""

from __future__ import annotations

import gzip
import io
import posixpath
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from . import Capture
from .reading import shown, unreadable

ZIP_MEMBERS_MAX: Final = 100
"""Most members of a zip file."""
LONG_NAME_MAX: Final = 2**12
"""Largest header that holds a long name, in bytes; a longer one is refused unread."""
_BLOCK: Final = 512
_END: Final = b"\0" * _BLOCK
_PLAIN: Final = (b"0", b"\0", b"7")
_LINKS: Final = {b"1": False, b"2": True}
"""Kinds of links, and whether the target is relative to the folder of the link."""
_LONG: Final = {b"L": "path", b"K": "linkpath"}
_EXTENDED: Final = {b"x": True, b"g": False}
"""Kinds of extended headers, and whether they are about the next member alone."""


def unzipped(content: bytes, capture: Capture, *, largest: Mapping[str, int] | int) -> dict[str, bytes]:
    """Return the members of a zip file: those that `largest` names, each with its largest size, or one of any name.

    Raises
    ------
    InputDataError
        If the file is broken, holds other members, or one that is larger or packed in another way than deflated.
    """
    expected = "one file in a zip file" if isinstance(largest, int) else f"a zip file of {' and '.join(largest)}"
    if content.count(b"PK\x01\x02") > ZIP_MEMBERS_MAX:
        raise unreadable(capture, f"the zip file has more than {ZIP_MEMBERS_MAX} members", expected=expected)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = archive.infolist()
            names = [info.filename for info in infos]
            limits = {names[0]: largest} if isinstance(largest, int) and len(names) == 1 else largest
            if isinstance(limits, int) or sorted(names) != sorted(limits):
                raise unreadable(capture, f"the zip file holds {shown(', '.join(names))}", expected=expected)
            return {info.filename: _member(archive, info, limits[info.filename], capture) for info in infos}
    # a forged header makes zipfile fail in its number, name, password or compression handling
    except (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, RuntimeError, ValueError) as wrong:
        raise unreadable(capture, f"the zip file is broken: {shown(str(wrong))}", expected=expected) from None


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, largest: int, capture: Capture) -> bytes:
    # other methods allocate what a forged header asks for
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        found = f"{shown(info.filename)} is packed in another way"
        raise unreadable(capture, found, expected="a deflated zip file")
    content = b""
    if info.file_size <= largest:
        with archive.open(info) as member:
            content = member.read(largest + 1)
    if info.file_size > largest or len(content) > largest:
        found = f"{shown(info.filename)} unpacks to more than {largest} bytes"
        raise unreadable(capture, found, expected="a smaller file")
    return content


def ungzipped(content: bytes, capture: Capture, *, largest: int) -> bytes:
    """Return the bytes that a gzip stream holds, at most `largest`.

    Raises
    ------
    InputDataError
        If the stream is broken or holds more.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            raw = stream.read(largest + 1)
    except (OSError, EOFError, zlib.error) as wrong:
        raise unreadable(capture, f"the gzip stream is broken: {wrong}", expected="a tar.gz") from None
    if len(raw) > largest:
        raise unreadable(capture, f"it unpacks to more than {largest} bytes", expected="a smaller archive")
    return raw


@dataclass(frozen=True)
class Member:
    """One file of an archive, or a link to another (`target`); what is neither a file nor a link is `odd`."""

    name: str
    content: memoryview
    target: str | None = None
    odd: bool = False


def untarred(raw: bytes, capture: Capture) -> Iterator[Member]:
    """Yield the members of a tar archive, without its folders.

    Raises
    ------
    InputDataError
        If a header is broken, a member is cut short, or the archive has no end or goes on after it.
    """
    try:
        yield from _members(memoryview(raw))
    except ValueError as wrong:
        raise unreadable(capture, f"the tar archive is broken: {wrong}", expected="a tar.gz") from None


def _members(raw: memoryview) -> Iterator[Member]:
    long: dict[str, str] = {}
    for kind, header, content in _entries(raw):
        if kind in _LONG:
            long[_LONG[kind]] = _text(_short(content))
        elif kind in _EXTENDED:
            found = dict(_records(_short(content)))
            if "size" in found:  # only members of 8 GB have one
                raise ValueError("a header changes the size of the next member")
            long |= found if _EXTENDED[kind] else {}
        else:
            path = long.get("path") or _name(header)
            name = posixpath.normpath(path)
            target = long.get("linkpath") or _text(header[157:257])
            if kind in _LINKS:
                base = posixpath.dirname(name) if _LINKS[kind] else ""
                yield Member(name, content, posixpath.normpath(posixpath.join(base, target)))
            elif kind != b"5" and not path.endswith("/"):
                sparse = any(key.startswith("GNU.sparse") for key in long)
                yield Member(name, content, odd=kind not in _PLAIN or sparse)
            long = {}


def _entries(raw: memoryview) -> Iterator[tuple[bytes, bytes, memoryview]]:
    """Yield kind, header and content of each entry."""
    at = 0
    while at + _BLOCK <= len(raw):
        header = bytes(raw[at : at + _BLOCK])
        at += _BLOCK
        if header == _END:
            if bytes(raw[at:]).strip(b"\0"):
                raise ValueError(f"it goes on after its end at byte {at}")
            return
        if _number(header[148:156]) != sum(header[:148]) + 8 * ord(" ") + sum(header[156:]):
            raise ValueError(f"the header at byte {at - _BLOCK} does not fit its checksum")
        kind = header[156:157]
        size = 0 if kind in (*_LINKS, b"5") else _number(header[124:136])
        if at + size > len(raw):
            raise ValueError(f"the member at byte {at - _BLOCK} is cut short")
        yield kind, header, raw[at : at + size]
        at += -(-size // _BLOCK) * _BLOCK
    raise ValueError("it has no end")


def _number(field: bytes) -> int:
    digits = field.strip(b" \0")
    if digits.strip(b"01234567"):
        raise ValueError("a number of a header is none")
    return int(digits or b"0", 8)


def _name(header: bytes) -> str:
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{_text(header[:100])}" if prefix else _text(header[:100])


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "replace")


def _short(content: memoryview) -> bytes:
    if len(content) > LONG_NAME_MAX:
        raise ValueError(f"a long name has more than {LONG_NAME_MAX} bytes")
    return bytes(content)


def _records(content: bytes) -> Iterator[tuple[str, str]]:
    """Yield the fields of an extended header, each ``LENGTH KEY=TEXT`` and a line end."""
    while content.strip(b"\0"):
        digits, _, _ = content.partition(b" ")
        length = int(digits) if digits.isdigit() and len(digits) < 6 else 0
        key, equals, text = content[len(digits) + 1 : length - 1].partition(b"=")
        if not equals or content[length - 1 : length] != b"\n":
            raise ValueError("an extended header is none")
        yield _text(key), _text(text)
        content = content[length:]


__all__ = ["Member", "ungzipped", "untarred", "unzipped"]
