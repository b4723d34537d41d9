"""Verification: repeat a record from its captures and its document, in numbered steps.

*Reads* the bytes of a record, and captures, documents and registries by digest. *Writes* the steps. *Never* trusts a
figure of the record: each is made again and compared.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import zip_longest
from typing import Any

import polars as pl

from . import __version__
from .adapters import Capture, Parsed, adapter, look
from .determination import determine
from .errors import TokenIndexError, VerificationError
from .inputs import Inputs
from .methodology import Methodology
from .records import CAPTURE_FACTS, FORMAT, Record, canonical, record

TABLES = ("basket", "observations", "elementary", "constituents")


@dataclass(frozen=True)
class Evidence:
    """Where verification finds bytes: each function gives None for a digest it does not hold.

    Bytes do not say when they were known. Where the evidence has its own list of captures, `facts` gives what it says, and
    a record that says otherwise is refused; without it the facts are those of the record.
    """

    capture: Callable[[str], bytes | None]
    methodology: Callable[[str], Methodology | None]
    registry: Callable[[str], pl.DataFrame | None]
    in_force: Callable[[str, date], Methodology]
    facts: Callable[[str, Capture], Capture | None] = lambda _, __: None


@dataclass(frozen=True)
class Step:
    """A step that passed: number, what was checked, and what was found."""

    number: int
    name: str
    found: str

    def __str__(self) -> str:
        return f"{self.number}. {self.name}: {self.found}"


def verify(content: bytes, *, evidence: Evidence, expected_sha256: str | None = None) -> Iterator[Step]:
    """Yield the steps of the verification of a record, as each passes.

    1. canonical form  2. digest  3. captures  4. methodology and registry  5. software  6. parsing
    7. determination  8. tables  9. published figures.

    Raises
    ------
    VerificationError
        At the first step that fails, naming the first differing table, row and column.
    """
    held = _canonical_form(content)
    yield Step(1, "canonical form", f"{len(content):,} bytes of RFC 8785 JSON, {held['record']}")
    digest = Record(content).sha256
    if expected_sha256 is not None and not (expected_sha256 and digest.startswith(expected_sha256.lower())):
        raise difference(2, f"the digest is {digest}", expected=repr(expected_sha256))
    yield Step(2, "digest", digest + (" (none was given to compare with)" if expected_sha256 is None else ""))
    captured = _captures(held, evidence)
    yield Step(3, "captures", f"{len(captured)} files hash to the digests of the record")
    methodology, registry = _document(held, evidence)
    yield Step(4, "methodology and registry", f"{methodology!r}, registry {held['registry'][:12]}")
    yield Step(5, "software", _software(held))
    with refused(6):
        inputs = Inputs.of([adapter(c.adapter).parse(bytes_, c) for c, bytes_ in captured], registry)
    yield Step(6, "parsing", repr(inputs))
    day, known = date.fromisoformat(held["fixing_date"]), held["known_at"]
    with refused(7):
        again = determine(methodology, inputs, dates=[day], known_at=None if known == "cut-off" else _moment(known))
    made = record(again, day, inputs=inputs, captures=[c for c, _ in captured]).document
    yield Step(7, "determination", repr(again))
    for name in TABLES:
        _compare_table(name, held[name], made[name])
    rows = ", ".join(f"{len(made[name]['rows']):,} {name}" for name in TABLES)
    yield Step(8, "tables", f"{rows}: every cell is the same")
    _compare_figures(held, made)
    yield Step(9, "published figures", _published(made["fixing"]))


def reproduce(records: Sequence[Record], *, evidence: Evidence) -> Iterator[Record]:
    """Yield each record once it has been determined again and gave the same bytes.

    Records of one document, registry and moment are determined together, from the captured files of all of them. One that
    then differs is verified by itself, from its own files alone, and that decides.

    Raises
    ------
    VerificationError
        For the first record that does not reproduce, naming the first differing table, row and column.
    """
    parsed: dict[Capture, Parsed] = {}
    inputs: dict[str, Inputs] = {}
    groups: dict[tuple[str, ...], list[Record]] = {}
    for one in records:
        held = _canonical_form(one.content)
        groups.setdefault(tuple(str(held[k]) for k in ("index", "methodology", "registry", "known_at")), []).append(one)
    wanted: dict[str, set[Capture]] = {}
    for one in records:
        held = one.document
        wanted.setdefault(held["registry"], set()).update(_capture(fact) for fact in held["captures"])
    for captures in wanted.values():
        for capture in sorted(captures - parsed.keys(), key=look):
            with refused(6):
                parsed[capture] = adapter(capture.adapter).parse(_content(capture, evidence), capture)
    for group in groups.values():
        yield from _reproduced(group, evidence=evidence, wanted=wanted, parsed=parsed, inputs=inputs)


def _reproduced(
    group: Sequence[Record],
    *,
    evidence: Evidence,
    wanted: Mapping[str, set[Capture]],
    parsed: Mapping[Capture, Parsed],
    inputs: dict[str, Inputs],
) -> Iterator[Record]:
    """Yield the records of one document, registry and moment."""
    held = group[0].document
    methodology, registry = _document(held, evidence)
    captures = sorted(wanted[held["registry"]], key=look)
    if held["registry"] not in inputs:
        inputs[held["registry"]] = Inputs.of([parsed[c] for c in captures], registry)
    tables = inputs[held["registry"]]
    dates = [date.fromisoformat(one.document["fixing_date"]) for one in group]
    known = None if held["known_at"] == "cut-off" else _moment(held["known_at"])
    with refused(7):
        again = determine(methodology, tables, dates=dates, known_at=known)
    for one, day in zip(group, dates, strict=True):
        made = record(again, day, inputs=tables, captures=captures)
        if made.content != one.content:
            for _ in verify(one.content, evidence=evidence):
                pass
        yield one
    tables.forget()


def difference(step: int, found: str, *, expected: str = "", where: str = "") -> VerificationError:
    """Return the error that says in which step and where something is other than it must be."""
    place = f"step {step}" + (f", {where}" if where else "")
    return VerificationError(found, expected=expected, where=place, remedy="the evidence does not hold")


@contextmanager
def refused(step: int) -> Iterator[None]:
    """Turn what the library refuses to do with the record into a difference of `step`."""
    try:
        yield
    except VerificationError:
        raise
    except TokenIndexError as wrong:
        raise difference(step, str(wrong)) from None


def _moment(text: str) -> datetime:
    """Return a moment of a record, which is in UTC."""
    found = datetime.fromisoformat(text)
    if found.tzinfo != UTC:
        raise ValueError(f"{text!r} is not in UTC")
    return found


def _same(there: Any, here: Any) -> bool:
    """Return whether two values are the same JSON; to Python ``1``, ``1.0`` and ``true`` are equal."""
    return canonical(there) == canonical(here)


def _canonical_form(content: bytes) -> dict[str, Any]:
    try:
        held = json.loads(content)
    except (ValueError, RecursionError) as wrong:
        raise difference(1, f"the record is not JSON: {wrong}") from None
    if not isinstance(held, dict) or held.get("record") != FORMAT:
        raise difference(1, "this is not a record", expected=f"an object with record = {FORMAT!r}")
    try:
        same = canonical(held) == content
    except (ValueError, RecursionError):
        same = False
    if not same:
        raise difference(1, "the bytes are not in canonical form", expected="RFC 8785 JSON")
    known = {"index": str, "component": str, "fixing_date": str, "known_at": str, "registry": str, "captures": list}
    known |= {"methodology": dict, "software": dict, "fixing": dict, **dict.fromkeys(TABLES, dict)}
    for key, kind in known.items():
        if not isinstance(held.get(key), kind):
            raise difference(1, f"{key} is missing or not a {kind.__name__}", expected="a whole record")
    try:
        date.fromisoformat(held["fixing_date"])
        if held["known_at"] != "cut-off":
            _moment(held["known_at"])
    except ValueError as wrong:
        raise difference(1, str(wrong), expected="a date, and a moment in UTC or 'cut-off'") from None
    return held


def _captures(held: dict[str, Any], evidence: Evidence) -> list[tuple[Capture, bytes]]:
    captures = [_capture(fact) for fact in held["captures"]]
    order = [look(capture) for capture in captures]
    if order != sorted(set(order)):
        raise difference(3, "the captures are out of order or stand twice", expected="each look once, in order")
    return [(capture, _content(capture, evidence)) for capture in captures]


def _capture(fact: Any) -> Capture:
    try:
        if sorted(fact) != sorted(CAPTURE_FACTS) or not all(isinstance(text, str) for text in fact.values()):
            raise ValueError("a fact is missing, unknown or not text")
        return Capture(**{**fact, **{key: _moment(fact[key]) for key in ("seen_at", "known_at")}})
    except (TypeError, AttributeError, ValueError) as wrong:
        found = f"a capture has wrong facts: {wrong}"
        raise difference(3, found, expected=", ".join(CAPTURE_FACTS)) from None


def _content(capture: Capture, evidence: Evidence) -> bytes:
    content = evidence.capture(capture.sha256)
    if content is None:
        raise VerificationError(
            f"the bytes of {capture.name} are not here",
            where="step 3",
            expected=f"a capture with the digest {capture.sha256}",
            remedy="name the home that holds it with --home: without the bytes the record is neither confirmed nor refuted",
        )
    actual = hashlib.sha256(content).hexdigest()
    if actual != capture.sha256:
        raise difference(3, f"{capture.name} hashes to {actual}", expected=capture.sha256)
    listed = evidence.facts(capture.sha256, capture)
    for name in CAPTURE_FACTS if listed else ():
        there, here = getattr(capture, name), getattr(listed, name)
        if there != here:
            raise difference(3, f"{name} is {there}", expected=str(here), where=f"capture {capture.sha256[:12]}")
    return content


def _document(held: dict[str, Any], evidence: Evidence) -> tuple[Methodology, pl.DataFrame]:
    digest = str(held["methodology"].get("sha256"))
    methodology = evidence.methodology(digest)
    if methodology is None:
        wanted = f"{held['index']} {held.get('version')}"
        raise difference(4, f"no methodology document hashes to {digest}", expected=wanted)
    with refused(4):
        methodology = methodology.named(held["index"])
        in_force = evidence.in_force(held["index"], date.fromisoformat(held["fixing_date"]))
    if in_force.sha256 != digest:
        found = f"version {in_force.version} was in force, {in_force.sha256[:12]}"
        raise difference(4, found, expected=f"version {methodology.version}, {digest[:12]}")
    registry = evidence.registry(held["registry"])
    if registry is None:
        raise difference(4, f"no registry has the digest {held['registry']}", expected="the registry of the fixing")
    return methodology, registry


def _software(held: dict[str, Any]) -> str:
    made, names = held["software"], {fact["adapter"] for fact in held["captures"]}
    versions = made.get("adapters")
    whole = sorted(made) == ["adapters", "tokenindex"] and isinstance(versions, dict) and versions.keys() == names
    if not whole or not all(isinstance(text, str) for text in (made["tokenindex"], *versions.values())):
        raise difference(5, "the software is not named", expected="versions of tokenindex and of the adapters used")
    with refused(5):
        now = {name: adapter(name).version for name in versions}
    changed = [f"{name} {versions[name]} -> {now[name]}" for name in versions if versions[name] != now[name]]
    text = f"made by {made['tokenindex']}, verified by {__version__}; {len(versions)} adapters"
    return text + (f", of which changed: {', '.join(changed)}" if changed else " of the same versions")


def _compare_table(name: str, held: dict[str, Any], made: dict[str, Any]) -> None:
    if not _same(held.get("columns"), made["columns"]):
        raise difference(8, f"table {name} has the columns {held.get('columns')}", expected=str(made["columns"]))
    rows: list[Any] = held["rows"] if isinstance(held.get("rows"), list) else []
    absent: Any = object()
    for number, (there, here) in enumerate(zip_longest(rows, made["rows"], fillvalue=absent), start=1):
        if there is not absent and here is not absent and _same(there, here):
            continue
        where = f"table {name}, row {number}"
        if here is absent:
            raise difference(8, "the row should not be there", expected=f"{number - 1} rows", where=where)
        if not isinstance(there, list) or len(there) != len(here):
            found = "is missing" if there is absent else "has another shape"
            raise difference(8, f"the row {found}", expected=str(here), where=where)
        k = next(k for k, (a, b) in enumerate(zip(there, here, strict=True)) if not _same(a, b))
        cell = f"{where}, column {made['columns'][k]}"
        raise difference(8, f"{there[k]!r} stands there", expected=repr(here[k]), where=cell)


def _compare_figures(held: dict[str, Any], made: dict[str, Any]) -> None:
    # the fixing first: its fields are the figures; then all other keys, of which the software may be another
    for there, here, where in ((held["fixing"], made["fixing"], "fixing"), (held, made, "")):
        for name in [*here, *sorted(there.keys() - here.keys())]:
            if where == "" and name == "software":
                continue
            if name not in there or name not in here:
                found = f"{name} is missing" if name in here else f"{name!r} should not be there"
                raise difference(9, found, expected=", ".join(here), where=where)
            if not _same(there[name], here[name]):
                found = f"{name} is {str(there[name])[:200]!r}"
                raise difference(9, found, expected=repr(str(here[name])[:200]), where=where)


def _published(fixing: dict[str, Any]) -> str:
    level = f", level {fixing['level']}" if fixing["level"] is not None else ""
    return f"{fixing['status']}, price {fixing['price']} {fixing['currency']}{level}"
