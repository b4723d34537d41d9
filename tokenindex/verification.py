"""Verification: repeat a record from its captures and its document, in numbered steps.

*Reads* the bytes of a record, and captures, documents and registries by digest. *Writes* the steps. *Never* trusts a
figure of the record: each is made again and compared.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from itertools import zip_longest
from typing import Any

import polars as pl

from . import __version__
from .adapters import Capture, Parsed, adapter
from .determination import determine
from .errors import AdapterError, InputDataError, VerificationError
from .methodology import Methodology
from .records import FORMAT, Record, canonical, record
from .selection import Inputs

TABLES = ("basket", "observations", "elementary", "constituents")


@dataclass(frozen=True)
class Evidence:
    """Where verification finds bytes: each function gives None for a digest it does not hold."""

    capture: Callable[[str], bytes | None]
    methodology: Callable[[str], Methodology | None]
    registry: Callable[[str], pl.DataFrame | None]
    in_force: Callable[[str, date], Methodology]


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
    if expected_sha256 and not digest.startswith(expected_sha256.lower()):
        raise _difference(2, f"the digest is {digest}", expected=expected_sha256)
    yield Step(2, "digest", digest + ("" if expected_sha256 else " (none was given to compare with)"))
    captured = _captures(held, evidence)
    yield Step(3, "captures", f"{len(captured)} files hash to the digests of the record")
    methodology, registry = _document(held, evidence)
    yield Step(4, "methodology and registry", f"{methodology!r}, registry {held['registry'][:12]}")
    yield Step(5, "software", _software(held))
    parsed = [_parse(c, bytes_) for c, bytes_ in captured]
    inputs = merge(parsed, registry)
    yield Step(6, "parsing", repr(inputs))
    day, known = date.fromisoformat(held["fixing_date"]), held["known_at"]
    moment = None if known == "cut-off" else datetime.fromisoformat(known)
    again = determine(methodology, inputs, dates=[day], known_at=moment)
    made = record(again, day, inputs=inputs, captures=[c for c, _ in captured]).document
    yield Step(7, "determination", repr(again))
    for name in TABLES:
        _compare_table(name, held[name], made[name])
    rows = ", ".join(f"{len(made[name]['rows']):,} {name}" for name in TABLES)
    yield Step(8, "tables", f"{rows}: every cell is the same")
    _compare_figures(held, made)
    yield Step(9, "published figures", _published(made["fixing"]))


def merge(parsed: list[Parsed], registry: pl.DataFrame) -> Inputs:
    """Return the input tables of several captures together."""
    if not parsed:
        return Inputs(registry=registry)
    names = ("observations", "volumes", "sightings", "rates")
    return Inputs(**{n: pl.concat([getattr(p, n) for p in parsed]) for n in names}, registry=registry)


def _difference(step: int, found: str, *, expected: str = "", where: str = "") -> VerificationError:
    place = f"step {step}" + (f", {where}" if where else "")
    return VerificationError(found, expected=expected, where=place, remedy="the record does not hold")


def _canonical_form(content: bytes) -> dict[str, Any]:
    try:
        held = json.loads(content)
    except (ValueError, RecursionError) as wrong:
        raise _difference(1, f"the record is not JSON: {wrong}") from None
    if not isinstance(held, dict) or held.get("record") != FORMAT:
        raise _difference(1, "this is not a record", expected=f"an object with record = {FORMAT!r}")
    try:
        same = canonical(held) == content
    except (ValueError, UnicodeEncodeError):
        same = False
    if not same:
        raise _difference(1, "the bytes are not in canonical form", expected="RFC 8785 JSON")
    known = {"index": str, "component": str, "fixing_date": str, "known_at": str, "registry": str, "captures": list}
    known |= {"methodology": dict, "software": dict, "fixing": dict, **dict.fromkeys(TABLES, dict)}
    for key, kind in known.items():
        if not isinstance(held.get(key), kind):
            raise _difference(1, f"{key} is missing or not a {kind.__name__}", expected="a whole record")
    return held


def _captures(held: dict[str, Any], evidence: Evidence) -> list[tuple[Capture, bytes]]:
    found = []
    for fact in held["captures"]:
        try:
            moments = {key: datetime.fromisoformat(fact[key]) for key in ("seen_at", "known_at")}
            capture = Capture(**{**fact, **moments})
        except (TypeError, KeyError, ValueError) as wrong:
            facts = "sha256, name, adapter, source, seen_at, known_at"
            raise _difference(3, f"a capture has wrong facts: {wrong}", expected=facts) from None
        content = evidence.capture(capture.sha256)
        if content is None:
            raise _difference(3, f"no bytes for {capture.sha256}", expected=f"the capture {capture.name}")
        actual = hashlib.sha256(content).hexdigest()
        if actual != capture.sha256:
            raise _difference(3, f"{capture.name} hashes to {actual}", expected=capture.sha256)
        found.append((capture, content))
    return found


def _document(held: dict[str, Any], evidence: Evidence) -> tuple[Methodology, pl.DataFrame]:
    digest = str(held["methodology"].get("sha256"))
    methodology = evidence.methodology(digest)
    if methodology is None:
        wanted = f"{held['index']} {held.get('version')}"
        raise _difference(4, f"no methodology document hashes to {digest}", expected=wanted)
    if held["component"]:
        methodology = methodology.for_component(held["component"])
    in_force = evidence.in_force(held["index"], date.fromisoformat(held["fixing_date"]))
    if in_force.sha256 != digest:
        raise _difference(4, f"version {in_force.version} was in force", expected=f"version {methodology.version}")
    registry = evidence.registry(held["registry"])
    if registry is None:
        raise _difference(4, f"no registry has the digest {held['registry']}", expected="the registry of the fixing")
    return methodology, registry


def _software(held: dict[str, Any]) -> str:
    made = held["software"]
    versions = dict(made.get("adapters", {}))
    try:
        now = {name: adapter(name).version for name in versions}
    except AdapterError as missing:
        raise _difference(5, missing.found, expected="the adapters of the record") from None
    changed = [f"{name} {versions[name]} -> {now[name]}" for name in versions if versions[name] != now[name]]
    text = f"made by {made.get('tokenindex')}, verified by {__version__}; {len(versions)} adapters"
    return text + (f", of which changed: {', '.join(changed)}" if changed else " of the same versions")


def _parse(capture: Capture, content: bytes) -> Parsed:
    try:
        return adapter(capture.adapter).parse(content, capture)
    except InputDataError as wrong:
        raise _difference(6, str(wrong)) from None


def _compare_table(name: str, held: dict[str, Any], made: dict[str, Any]) -> None:
    if held.get("columns") != made["columns"]:
        raise _difference(8, f"table {name} has the columns {held.get('columns')}", expected=str(made["columns"]))
    rows: list[Any] = held["rows"] if isinstance(held.get("rows"), list) else []
    for number, (there, here) in enumerate(zip_longest(rows, made["rows"]), start=1):
        if there == here:
            continue
        where = f"table {name}, row {number}"
        if not isinstance(there, list) or here is None or len(there) != len(here):
            found = "is missing" if there is None else "should not be there" if here is None else "has another shape"
            raise _difference(8, f"the row {found}", expected=str(here), where=where)
        k = next(k for k, (a, b) in enumerate(zip(there, here, strict=True)) if a != b)
        cell = f"{where}, column {made['columns'][k]}"
        raise _difference(8, f"{there[k]!r} stands there", expected=repr(here[k]), where=cell)


def _compare_figures(held: dict[str, Any], made: dict[str, Any]) -> None:
    for name, here in made["fixing"].items():
        if held["fixing"].get(name) != here:
            raise _difference(9, f"{name} is {held['fixing'].get(name)!r}", expected=repr(here), where="fixing")
    for key in sorted(made.keys() | held.keys()):
        if key not in ("software", "fixing") and held.get(key) != made.get(key):
            raise _difference(9, f"{key} is {str(held.get(key))[:200]}", expected=str(made.get(key))[:200])
    if held["fixing"].keys() != made["fixing"].keys():
        raise _difference(9, "the fixing has other fields", expected=", ".join(made["fixing"]))


def _published(fixing: dict[str, Any]) -> str:
    level = f", level {fixing['level']}" if fixing["level"] is not None else ""
    return f"{fixing['status']}, price {fixing['price']} {fixing['currency']}{level}"
