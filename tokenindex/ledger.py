"""The ledger: what was published, when, by which key, and what was changed since.

*Reads* the entries of a chain. *Writes* the fields of the next one. *Never* lets an entry in that contradicts those
before it: a date is published once, a figure is replaced by naming it, nothing follows a cessation, time does not go back.

Kinds of entries, each with a ``body``:

    key           a public key, since when it holds and which one it retires
    publication   the figure of a fixing, with the digest of its record
    contingency   that a fixing is not of the first rung of the waterfall, and why
    judgment      a use of discretion: step, decision, reason, inputs, two people, figures with and without it
    restatement   a figure that replaces a published one, within the window of the document
    correction    a figure of the corrected series, beside a published one that stands
    cessation     the last fixing date of an index
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Final

from .chains import Entry
from .errors import LedgerError
from .records import FIGURES, moment_text
from .signing import key_id, signed

NAME: Final = "ledger"
_FIGURE: Final = ("index", "fixing_date", "vintage", "version", "methodology", "record", "captures", "fixing")
_CHANGE: Final = (*_FIGURE, "supersedes", "reason", "approved_by", "before", "change", "dependants")
BODIES: Final[dict[str, tuple[str, ...]]] = {
    "key": ("public_key", "valid_from", "valid_to", "retires"),
    "publication": _FIGURE,
    "contingency": ("index", "fixing_date", "record", "status", "rung", "reason"),
    "judgment": (
        *("index", "fixing_date", "record", "capture", "locator", "step", "decision", "reason"),
        *("decided_by", "approved_by", "inputs", "with", "without"),
    ),
    "restatement": _CHANGE,
    "correction": _CHANGE,
    "cessation": ("index", "last_fixing_date", "reason", "approved_by"),
}
"""The facts of each kind of entry."""
Fixing = tuple[str, str]
"""An index and a fixing date."""


def _figures(found: Any) -> bool:
    return (
        isinstance(found, dict)
        and sorted(found) == sorted(FIGURES)
        and all(text is None or isinstance(text, str) for text in found.values())
    )


def _day(found: Any) -> bool:
    try:
        return isinstance(found, str) and date.fromisoformat(found).isoformat() == found
    except ValueError:
        return False


def _people(found: Any) -> bool:
    names = found if isinstance(found, list) else []
    return all(isinstance(name, str) for name in names) and len({person(name) for name in names}) >= 2


def _dependants(found: Any) -> bool:
    facts = ["after", "before", "fixing_date", "index"]
    return isinstance(found, list) and all(
        isinstance(one, dict) and sorted(one) == facts and _figures(one["before"]) and _figures(one["after"])
        for one in found
    )


_KINDS: Final[dict[str, tuple[Callable[[Any], bool], str]]] = {
    "fixing_date": (_day, "a date"),
    "last_fixing_date": (_day, "a date"),
    "methodology": (lambda f: _digest(f), "a SHA-256"),
    "record": (lambda f: _digest(f), "a SHA-256"),
    "captures": (lambda f: f is None or (isinstance(f, dict) and sorted(f) == ["number", "sha256"]), "head of a list"),
    "fixing": (_figures, "status, price, level and currency"),
    "before": (_figures, "status, price, level and currency"),
    "with": (_figures, "status, price, level and currency"),
    "without": (_figures, "status, price, level and currency"),
    "supersedes": (lambda f: type(f) is int, "the number of an entry"),
    "rung": (lambda f: type(f) is int, "a rung of the waterfall"),
    "dependants": (_dependants, "later fixings, before and after"),
    "inputs": (lambda f: isinstance(f, dict), "what was judged"),
    "valid_to": (lambda f: f is None or isinstance(f, str), "a moment, or nothing"),
    "retires": (lambda f: f is None or _digest(f), "the id of a key, or nothing"),
}
"""Of facts that are not text: what they are."""


def _digest(found: Any) -> bool:
    return isinstance(found, str) and re.fullmatch("[0-9a-f]{64}", found) is not None


@dataclass
class Ledger:
    """The entries of a ledger, and what follows from them. Entries are added with `follow`."""

    entries: list[Entry] = field(default_factory=list)
    figures: dict[Fixing, list[Entry]] = field(default_factory=dict)
    """Publications, restatements and corrections of each fixing, in their order."""
    keys: list[Entry] = field(default_factory=list)
    """The entries of keys; the last one signs."""
    ceased: dict[str, str] = field(default_factory=dict)
    judged: set[tuple[str, str, str]] = field(default_factory=set)
    """Index, capture and locator of the judgments on record."""
    contingencies: set[str] = field(default_factory=set)
    """Digests of the records whose contingency is on record."""

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Ledger:
        """Return the ledger of `entries`.

        Raises
        ------
        LedgerError
            Naming the first entry that contradicts those before it.
        """
        found = cls()
        for entry in entries:
            found.follow(entry)
        return found

    def follow(self, entry: Entry) -> None:
        """Add an entry, if it may follow."""
        fields = entry.fields
        where = f"ledger entry {entry.number}"
        self.refuse(fields, where=where)
        body, kind = fields["body"], fields["kind"]
        if kind == "key":
            self.keys.append(entry)
        elif kind in ("publication", "restatement", "correction"):
            self.figures.setdefault((body["index"], body["fixing_date"]), []).append(entry)
        elif kind == "judgment":
            self.judged.add((body["index"], body["capture"], body["locator"]))
        elif kind == "contingency":
            self.contingencies.add(body["record"])
        else:
            self.ceased[body["index"]] = body["last_fixing_date"]
        self.entries.append(entry)

    @property
    def last(self) -> Entry | None:
        """The head of the ledger."""
        return self.entries[-1] if self.entries else None

    @property
    def signer(self) -> str | None:
        """The id of the key that signs the next entry; None before the first key."""
        return key_id(self.keys[-1].fields["body"]["public_key"]) if self.keys else None

    def official(self, index: str, day: date | str) -> Entry | None:
        """Return the entry of the figure that holds: the last publication or restatement."""
        return self._last(index, day, ("publication", "restatement"))

    def corrected(self, index: str, day: date | str) -> Entry | None:
        """Return the entry of the figure of the corrected series: the last of all."""
        return self._last(index, day, ("publication", "restatement", "correction"))

    def first(self, index: str, day: date | str) -> Entry | None:
        """Return the entry of the figure as first published."""
        return next(iter(self.figures.get((index, str(day)), [])), None)

    def _last(self, index: str, day: date | str, kinds: Sequence[str]) -> Entry | None:
        found = [e for e in self.figures.get((index, str(day)), []) if e.fields["kind"] in kinds]
        return found[-1] if found else None

    def refuse(self, fields: Mapping[str, Any], *, where: str) -> None:
        """Raise LedgerError if an entry with these fields may not follow."""
        kind, body = fields.get("kind"), fields.get("body")
        if kind not in BODIES or not isinstance(body, dict) or sorted(body) != sorted(BODIES[kind]):
            found = f"a {kind!r} with {sorted(body) if isinstance(body, dict) else body!r}"
            raise LedgerError(found, where=where, expected=f"one of {', '.join(BODIES)}, each with its own facts")
        if {"at", "key"} - set(fields):
            raise LedgerError("the moment or the key is missing", where=where, expected="at and key")
        for name, found in body.items():
            right, expected = _KINDS.get(name, (lambda f: isinstance(f, str), "text"))
            if name == "approved_by" and kind != "judgment":
                right, expected = _people, "two different people at least"
            if not right(found):
                raise LedgerError(f"{name} is {str(found)[:200]!r}", where=where, expected=expected)
        self._refuse_time(fields, where=where)
        if kind == "key":
            self._refuse_key(fields, where=where)
            return
        self._refuse_expired(fields, where=where)
        if fields["key"] != self.signer:
            expected = f"the key {self.signer}" if self.signer else "no key before the first one is on record"
            raise LedgerError(f"signed with {fields['key']}", where=where, expected=expected)
        if kind in ("publication", "restatement", "correction"):
            self._refuse_figure(kind, body, where=where)
        if kind == "judgment" and person(body["decided_by"]) == person(body["approved_by"]):
            found = f"decided and approved by {body['decided_by']}"
            raise LedgerError(found, where=where, expected="two different people")

    def _refuse_time(self, fields: Mapping[str, Any], *, where: str) -> None:
        at = moment_of(fields["at"], where=where)
        before = moment_of(self.last.fields["at"], where=where) if self.last else at
        if at < before:
            raise LedgerError(
                f"the clock says {fields['at']}",
                where=where,
                expected=f"a moment from {moment_text(before)} on, that of the entry before",
                remedy="set the clock of this machine right: nothing was written",
            )

    def _refuse_key(self, fields: Mapping[str, Any], *, where: str) -> None:
        body, now = fields["body"], self.signer
        new = key_id(body["public_key"])
        if body["retires"] != now:
            raise LedgerError(f"the key retires {body['retires']}", where=where, expected=str(now))
        if fields["key"] != (now or new):
            raise LedgerError(f"signed with {fields['key']}", where=where, expected=f"the key {now or new}")
        for name in ("valid_from", "valid_to"):
            if body[name] is not None or name == "valid_from":
                moment_of(body[name], where=f"{where} {name}")

    def _refuse_expired(self, fields: Mapping[str, Any], *, where: str) -> None:
        until = self.keys[-1].fields["body"]["valid_to"] if self.keys else None
        if until is not None and moment_of(fields["at"], where=where) > moment_of(until, where=where):
            raise LedgerError(
                f"the key {self.signer} was valid until {until}",
                where=where,
                remedy="introduce a new one: tokenindex key",
            )

    def refuse_publication(self, index: str, day: date | str, vintage: str, *, where: str) -> None:
        """Raise LedgerError if a date may not be published: it is already, or the index has ceased."""
        ended = self.ceased.get(index)
        if ended is not None and str(day) > ended:
            raise LedgerError(f"{index} ceased after {ended}", where=where, expected=f"no figure of {day}")
        for there in self.figures.get((index, str(day)), []):
            if there.fields["body"]["vintage"] in (vintage, "final"):
                found = f"{index} of {day} is published already, in entry {there.number}"
                raise LedgerError(found, where=where, remedy="to change it: tokenindex restate")

    def _refuse_figure(self, kind: str, body: Mapping[str, Any], *, where: str) -> None:
        index, day = body["index"], body["fixing_date"]
        if kind == "publication":
            self.refuse_publication(index, day, body["vintage"], where=where)
            return
        replaced = self.official(index, day) if kind == "restatement" else self.corrected(index, day)
        if replaced is None or replaced.number != body["supersedes"]:
            expected = f"{replaced.number}" if replaced else "a figure that is published"
            raise LedgerError(f"it replaces entry {body['supersedes']}", where=where, expected=expected)

    def __repr__(self) -> str:
        head = f", head {self.last.sha256[:16]}" if self.last else ""
        return f"<Ledger of {len(self.entries)} entries{head}>"


def check_signatures(ledger: Ledger, read: Callable[[str], bytes | None]) -> dict[str, str]:
    """Return the public keys by id, in the order in which they signed, if every entry has its signature.

    `read` gives the file ``signatures/DIGEST.sig``, or None. Entries before the first key are not signed.

    Raises
    ------
    LedgerError
        Naming the first entry whose signature is missing or wrong.
    """
    keys: dict[str, str] = {}
    for entry in ledger.entries:
        fields = entry.fields
        if fields["kind"] == "key":
            keys[key_id(fields["body"]["public_key"])] = fields["body"]["public_key"]
        if fields["key"] is not None:
            name = f"signatures/{entry.sha256}.sig"
            check_signature(read(name), keys[fields["key"]], entry.content, of=f"ledger entry {entry.number}")
    return keys


def check_signature(signature: bytes | None, public: str, content: bytes, *, of: str) -> None:
    """Raise LedgerError unless `signature` is that of `content` by the key `public`."""
    if signature is None or not signed(public, content, signature):
        found = "there is no signature" if signature is None else "the signature is another"
        raise LedgerError(found, where=of, expected=f"one by the key {key_id(public)}")


def check_anchor(ledger: Ledger, content: bytes, *, where: str) -> None:
    """Raise LedgerError unless the ledger holds the entry of an anchor, one line as `tokenindex anchor` writes it."""
    try:
        first, second, number, digest, at = content.decode("ascii").removesuffix("\n").split(" ")
        place = int(number) if (first, second) == ("tokenindex", "ledger") else 0
    except ValueError:
        place = 0
    if place < 1:
        raise LedgerError("this is no anchor", where=where, expected="tokenindex ledger NUMBER DIGEST MOMENT")
    if place > len(ledger.entries):
        found = f"the ledger ends with entry {len(ledger.entries)}: it was cut short, or an older one is shown"
        raise LedgerError(found, where=where, expected=f"entry {place}, {digest}")
    entry = ledger.entries[place - 1]
    if (entry.sha256, entry.fields["at"]) != (digest, at):
        raise LedgerError(f"entry {place} hashes to {entry.sha256}", where=where, expected=digest)


def figures(fixing: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of a fixing that a ledger holds."""
    return {name: fixing[name] for name in FIGURES}


def person(name: str) -> str:
    """Return a name as it is compared with another."""
    return " ".join(str(name).lower().split())


def moment_of(text: Any, *, where: str) -> datetime:
    """Return a moment as `moment_text` writes it; raise LedgerError for anything else."""
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo != UTC or moment_text(found) != text:
            raise ValueError(f"{text!r} is not written in UTC with microseconds")
    except (TypeError, ValueError) as wrong:
        raise LedgerError(str(wrong), where=where, expected="a moment such as 2026-06-26T16:00:00.000000Z") from None
    return found
