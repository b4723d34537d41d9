"""Chains: lists that only grow, each entry naming the digest of the one before.

*Reads* and *writes* entries, one file each. *Never* changes or skips one: a list with a gap, a changed byte or another
order is refused, and of two writers at once the second sees what the first wrote before it writes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from .errors import LedgerError
from .files import Files
from .records import canonical

GATHERED = 1000
"""Entries that are copied into one file by `Chain.gather`."""
ATTEMPTS = 1000
"""Writers that may come first, one after another, before it is said that something is wrong."""


@dataclass(frozen=True)
class Entry:
    """One entry: its canonical JSON. The first has the number 1."""

    content: bytes

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the bytes, which the next entry names."""
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The parsed JSON."""
        parsed: dict[str, Any] = json.loads(self.content)
        return parsed

    @property
    def number(self) -> int:
        """The place in the list."""
        return int(self.fields["number"])


def entry(name: str, previous: Entry | None, fields: dict[str, Any]) -> Entry:
    """Return the entry of the list `name` that follows `previous`."""
    number, digest = (previous.number + 1, previous.sha256) if previous else (1, None)
    return Entry(canonical({name: f"tokenindex {name} 1", "number": number, "previous": digest, **fields}))


def linked(name: str, contents: Iterable[bytes], *, after: Entry | None = None) -> list[Entry]:
    """Return the entries of the list `name`, each of which follows the one before.

    Raises
    ------
    LedgerError
        Naming the first entry that is not canonical JSON, has another number or does not name the digest of the one before.
    """
    found: list[Entry] = []
    first, digest = (after.number + 1, after.sha256) if after else (1, None)
    for number, content in enumerate(contents, start=first):
        here = Entry(content)
        try:
            fields = here.fields
            whole = isinstance(fields, dict) and canonical(fields) == content
        except (ValueError, RecursionError):
            whole = False
        where = f"{name} entry {number}"
        if not whole:
            raise _broken("the entry is not canonical JSON", where=where, expected="the bytes as they were written")
        for key, expected in ((name, f"tokenindex {name} 1"), ("number", number), ("previous", digest)):
            if key not in fields or type(fields[key]) is not type(expected) or fields[key] != expected:
                raise _broken(f"{key} is {fields.get(key)!r}", where=where, expected=repr(expected))
        found.append(here)
        digest = here.sha256
    return found


def file_of(name: str, number: int) -> str:
    """Return the name of the file of an entry."""
    return f"{name}/{number:08}.json"


@dataclass
class Chain:
    """The list `name` in a place, read once and from then on only as far as it has grown."""

    files: Files
    name: str
    _known: list[Entry] = field(default_factory=list, repr=False)

    def entries(self) -> Sequence[Entry]:
        """Return every entry.

        Raises
        ------
        LedgerError
            If the list is not whole: an entry is missing, changed or in another place.
        """
        new: list[bytes] = []
        if not self._known:
            new += self._first()
        while (content := self.files.read(file_of(self.name, len(self._known) + len(new) + 1))) is not None:
            new.append(content)
        self._known += linked(self.name, new, after=self._known[-1] if self._known else None)
        return self._known

    def _first(self) -> list[bytes]:
        """Return what is there when the list is first read: many entries from their copy in one file."""
        names = self.files.names(self.name)
        for number, there in enumerate(names, start=1):
            if there != file_of(self.name, number):
                raise _broken(f"there is {there}", where=str(self.files), expected=file_of(self.name, number))
        copies = self.files.names(f"gathered/{self.name}")[: len(names) // GATHERED]
        gathered = [line for copy in self.files.read_each(copies) for line in (copy or b"").splitlines()]
        whole = len(gathered) == len(copies) * GATHERED
        if not whole or (gathered and gathered[-1] != self.files.read(names[len(gathered) - 1])):
            raise _broken("the copies are of another list", where=f"{self.files}/gathered", expected="no such folder")
        return gathered + [content or b"" for content in self.files.read_each(names[len(gathered) :])]

    def gather(self) -> int:
        """Copy every full thousand of entries into one file each, which is faster to read; return how many are new.

        The digests that link the entries hold for the copies as well.
        """
        there = self.entries()
        new = 0
        for end in range(GATHERED, len(there) + 1, GATHERED):
            lines = b"\n".join(one.content for one in there[end - GATHERED : end])
            new += self.files.create(f"gathered/{self.name}/{end:08}.jsonl", lines + b"\n")
        return new

    def append(
        self,
        make: Callable[[Sequence[Entry]], dict[str, Any] | None],
        *,
        seal: Callable[[Entry], None] = lambda _: None,
    ) -> Entry | None:
        """Add the entry whose fields `make` gives for the entries that there are; nothing if it gives None.

        `make` is called again if somebody else was first, so that it decides on the list as it is. `seal` is called with
        the entry before it is added, to store what must be there with it.
        """
        for _ in range(ATTEMPTS):
            there = self.entries()
            fields = make(there)
            if fields is None:
                return None
            new = entry(self.name, there[-1] if there else None, fields)
            seal(new)
            if self.files.create(file_of(self.name, new.number), new.content):
                return new
        raise _broken("others are always first", where=str(self.files), expected="a place to write to")


def _broken(found: str, *, where: str, expected: str) -> LedgerError:
    remedy = "restore the list from a copy: an entry is never changed or removed"
    return LedgerError(found, where=where, expected=expected, remedy=remedy)
