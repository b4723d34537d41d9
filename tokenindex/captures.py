"""Looks: the list of captured files, and what of them was retired.

*Reads* captured bytes, and *writes* two chains. *Never* forgets a look: the bytes of a capture may be retired after the
years of retention, that they were there and what their digest was stays.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Final

from .adapters import Adapter, Capture, Parsed, look
from .adapters.reading import written
from .chains import Chain, Entry
from .errors import InputDataError, LedgerError
from .files import Files

FACTS: Final = ("sha256", "name", "adapter", "source", "seen_at", "known_at", "licence", "reference")


@dataclass
class Looks:
    """The list of captured files; each entry is made into a `Capture` once."""

    files: Files
    _captures: list[Capture] = field(default_factory=list, repr=False)
    _known: set[tuple[str, datetime, str, str]] = field(default_factory=set, repr=False)
    _same: dict[str, list[int]] = field(default_factory=dict, repr=False)

    @cached_property
    def chain(self) -> Chain:
        """The entries of the list."""
        return Chain(self.files, "looks")

    @cached_property
    def retired(self) -> Chain:
        """What was retired: each entry names captures, and the last look at that time."""
        return Chain(self.files, "retired")

    def captures(self) -> Sequence[Capture]:
        """Return the facts of every look, in the order of the list."""
        entries = self.chain.entries()
        for entry in entries[len(self._captures) :]:
            capture = _capture(entry)
            self._same.setdefault(capture.sha256, []).append(len(self._captures))
            self._known.add(look(capture))
            self._captures.append(capture)
        return self._captures

    def of(self, sha256: str) -> list[Capture]:
        """Return every look that saw some bytes."""
        captures = self.captures()
        return [captures[position] for position in self._same.get(sha256, [])]

    def add(self, capture: Capture, fetched: dict[str, str] | None) -> Entry | None:
        """Put a look on the list; None if it stands there already."""
        moments = {"seen_at": written(capture.seen_at), "known_at": written(capture.known_at)}
        fields = {**vars(capture), **moments, "fetched": fetched}
        return self.chain.append(lambda _: None if self.listed(capture) else fields)

    def listed(self, capture: Capture) -> bool:
        """Return whether the list says already that these bytes were seen then."""
        self.captures()
        return look(capture) in self._known

    def held(self) -> list[Capture]:
        """Return the looks whose bytes were not retired."""
        until = {
            sha256: entry.fields["looks"] for entry in self.retired.entries() for sha256 in entry.fields["captures"]
        }
        return [c for number, c in enumerate(self.captures(), start=1) if number > until.get(c.sha256, 0)]

    def refuse_before(self, day: date | None) -> None:
        """Raise LedgerError if captures were retired that a fixing of a day may need."""
        for entry in self.retired.entries() if day else ():
            if str(day) < entry.fields["horizon"][:10]:
                found = f"captures that were last of use before {entry.fields['horizon'][:10]} were retired"
                raise LedgerError(found, where=str(day), expected="a later fixing date, or the captures of an archive")

    def refuse_retired(self, sha256: str) -> None:
        """Raise LedgerError if some bytes were retired and not seen again."""
        last = max(self._same.get(sha256, [-1])) + 1
        for entry in self.retired.entries():
            if sha256 in entry.fields["captures"] and entry.fields["looks"] >= last:
                found = f"the capture was retired on {entry.fields['at'][:10]}, after {entry.fields['years']} years"
                raise LedgerError(found, where=sha256, expected="its bytes", remedy="restore them from an archive")


def _capture(entry: Entry) -> Capture:
    fields = entry.fields
    try:
        facts = {name: fields[name] for name in FACTS}
        return Capture(**facts | {name: moment(fields[name]) for name in ("seen_at", "known_at")})
    except (KeyError, ValueError, TypeError) as wrong:
        raise InputDataError(f"{wrong!r}", where=f"looks entry {entry.number}", expected=", ".join(FACTS)) from None


def moment(text: str) -> datetime:
    """Return an ISO moment, or midnight UTC of an ISO date, in UTC."""
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        if len(text) > 10:
            raise ValueError(f"{text!r} has no zone")
        found = found.replace(tzinfo=UTC)
    try:
        return found.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text!r} is not a moment in UTC") from None


def intact(content: bytes | None, capture: Capture, *, where: str) -> bytes:
    """Return the bytes of a capture; raise InputDataError if they are gone or not those that were captured."""
    if content is None:
        raise InputDataError("the captured file is gone", where=where, expected=capture.sha256)
    actual = hashlib.sha256(content).hexdigest()
    if actual != capture.sha256:
        raise InputDataError(
            f"the file hashes to {actual}",
            where=where,
            expected=capture.sha256,
            remedy="restore the captured bytes: a capture never changes",
        )
    return content


def short(name: str) -> str:
    """Return a file name that any file system and any line of the list can hold."""
    return re.sub(r"[^\w .+@=~-]", "_", name, flags=re.ASCII)[-120:]


def read(reader: Adapter, content: bytes, capture: Capture, *, known_as: str) -> Parsed:
    """Return what a capture holds, by the name it is kept under; errors say the name by which the user knows it.

    Raises
    ------
    InputDataError
        If the bytes are not what the adapter reads, a row does not fit its table, or nothing can be read of them.
    """
    try:
        parsed = reader.parse(content, capture).checked(where=known_as)
    except InputDataError:
        reader.parse(content, replace(capture, name=known_as))
        raise
    _refuse_nothing(parsed, capture.adapter, where=known_as)
    return parsed


def _refuse_nothing(parsed: Parsed, adapter_name: str, *, where: str) -> None:
    """Refuse a file of which nothing could be read, not even that it was looked at."""
    rows = {table.name: len(frame) for table, frame in parsed.tables().items()}
    rejects = rows.pop("REJECTS")
    del rows["UNREAD"]
    empty = (parsed.rejects["reason"] == "empty_snapshot").all()
    if rejects and not empty and not any(rows.values()):
        reasons = ", ".join(parsed.rejects["reason"].unique().sort())
        raise InputDataError(
            f"all {rejects} rows were rejected: {reasons}",
            where=where,
            expected=f"rows as read by the adapter {adapter_name!r}",
            remedy="correct the rows, or name the adapter that reads the file; nothing was stored",
        )
