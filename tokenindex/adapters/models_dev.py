"""models.dev: TOML files ``providers/<provider>/models/<model>.toml``, USD per million tokens.

*Reads* a ``tar.gz`` of the repository's TOML files, or one such file whose capture name ends with its path (``__`` may
stand for ``/``). *Writes* one observation per price, with its prompt-length bracket and mode, and one sighting:
complete for an archive, never for a single file. *Never* extracts to disk, follows a link out of the archive, or
unpacks more than the bounds below.
"""

from __future__ import annotations

import gzip
import io
import posixpath
import re
import tarfile
import tomllib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ..units import SERVICE_TIERS
from . import Adapter, Capture, Parsed
from .reading import number, refuse_cut, unreadable
from .rows import Quote, Rows

UNPACKED_MAX: Final = 64 * 2**20
"""Largest size of the unpacked archive, in bytes."""
MEMBER_MAX: Final = 2**20
"""Largest size of one member, in bytes."""
MEMBERS_MAX: Final = 50_000
"""Largest number of members."""

_COMPONENTS: Final = {
    "input": "input",
    "output": "output",
    "cache_read": "cache_read",
    "cache_write": "cache_write",
    "reasoning": "output_reasoning",
    "input_audio": "input_audio",
    "output_audio": "output_audio",
    "citation": "output_citation",
}
_NO_TOKEN_PRICE: Final = frozenset({"image", "request", "tier", "tiers", "context_over_200k"})
_PATH: Final = re.compile(r"(?:.*/)?providers/([^/]+)/models/(.+)\.toml", re.DOTALL)


@dataclass(frozen=True)
class _Link:
    target: str

    def __str__(self) -> str:
        return self.target


_Members = dict[str, bytes | _Link]


def parse(content: bytes, capture: Capture) -> Parsed:
    """Return the token prices of one archive or of one file, USD per million tokens.

    Raises
    ------
    InputDataError
        If the bytes are neither, or the archive is broken, holds no model files, or passes a bound.
    """
    rows = Rows(capture, currency="USD", unit="per_1m_tokens")
    if content.startswith(b"\x1f\x8b"):
        _archive(rows, content)
        return rows.parsed()
    _single(rows, content)
    return rows.parsed(complete=False)


def _single(rows: Rows, content: bytes) -> None:
    name = rows.capture.name
    match = _PATH.fullmatch(name) or _PATH.fullmatch(name.replace("__", "/"))
    if match is None:
        expected = "a tar.gz, or a TOML file named providers/<provider>/models/<model>.toml"
        raise unreadable(rows.capture, "neither the bytes nor the name fit", expected=expected)
    if not content.strip():
        raise unreadable(rows.capture, "the file is empty", expected="TOML")
    refuse_cut(content, rows.capture)
    tables = _toml(content)
    if isinstance(tables, str):
        raise unreadable(rows.capture, tables, expected="TOML")
    _model(rows, tables, provider=match[1], model=match[2], at=name)


def _archive(rows: Rows, content: bytes) -> None:
    members = _members(rows, _unpacked(content, rows.capture))
    models = {name: match for name in members if (match := _PATH.fullmatch(name))}
    if members and not models:
        found = "no member is called providers/<provider>/models/<id>.toml"
        raise unreadable(rows.capture, found, expected="the TOML files of models.dev")
    for name, match in models.items():
        text = _resolved(name, members)
        if text is None:
            rows.reject("unresolvable_link", members[name], locator=name)
        elif isinstance(tables := _toml(text), str):
            rows.reject("not_toml", tables, locator=name)
        else:
            _model(rows, tables, provider=match[1], model=match[2], at=name)


def _unpacked(content: bytes, capture: Capture) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
            raw = stream.read(UNPACKED_MAX + 1)
    except (OSError, EOFError, zlib.error) as wrong:
        raise unreadable(capture, f"the gzip stream is broken: {wrong}", expected="a tar.gz") from None
    if len(raw) > UNPACKED_MAX:
        raise unreadable(capture, f"it unpacks to more than {UNPACKED_MAX} bytes", expected="a smaller archive")
    return raw


def _members(rows: Rows, raw: bytes) -> _Members:
    """Return the members by path; oversized, repeated and unnameable ones are rejected."""
    members: _Members = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as archive:
            for name, member in _named(archive, rows):
                if name in members:
                    rows.reject("repeated_member", name, locator=name)
                else:
                    members[name] = member
    # a forged header makes tarfile fail in its number, name or recursion handling
    except (tarfile.TarError, ValueError, OverflowError, RecursionError, OSError, EOFError) as wrong:
        raise unreadable(rows.capture, f"the tar archive is broken: {wrong}", expected="a tar.gz") from None
    return members


def _named(archive: tarfile.TarFile, rows: Rows) -> Iterator[tuple[str, bytes | _Link]]:
    for count, member in enumerate(archive, start=1):
        if count > MEMBERS_MAX:
            raise unreadable(rows.capture, f"more than {MEMBERS_MAX} members", expected="a smaller archive")
        name = posixpath.normpath(member.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
        if member.issym() or member.islnk():
            base = posixpath.dirname(name) if member.issym() else ""
            yield name, _Link(posixpath.normpath(posixpath.join(base, member.linkname)))
        elif member.isreg() and (member.size > MEMBER_MAX or member.issparse()):
            rows.reject("oversized_member", member.size, locator=name)
        elif member.isreg() and (stream := archive.extractfile(member)):
            yield name, stream.read()


def _resolved(name: str, members: _Members) -> bytes | None:
    """Return the bytes behind `name`, or null if its links leave the archive or run in a circle."""
    passed = set()
    while isinstance(found := members.get(name), _Link):
        if name in passed:
            return None
        passed.add(name)
        name = found.target
    return found


def _toml(content: bytes) -> dict[str, Any] | str:
    """Return the tables of a TOML file, or what is wrong with it."""
    try:
        return tomllib.loads(content.decode("utf-8"), parse_float=number)
    except RecursionError:
        return "the TOML is nested too deeply"
    except ValueError as wrong:
        return str(wrong)[:80]


def _model(rows: Rows, tables: dict[str, Any], *, provider: str, model: str, at: str) -> None:
    seller = {"provider": provider, "model": model}
    _cost(rows, tables.get("cost"), at=f"{at}#cost", **seller)
    modes = tables.get("experimental")
    modes = modes.get("modes") if isinstance(modes, dict) else None
    for mode, table in modes.items() if isinstance(modes, dict) else ():
        place = f"{at}#experimental.modes.{mode}"
        if not isinstance(table, dict) or "cost" not in table:
            continue
        if mode in SERVICE_TIERS:
            _cost(rows, table["cost"], at=f"{place}.cost", service_tier=mode, **seller)
        else:
            rows.reject("unknown_service_tier", mode, locator=place)


def _cost(rows: Rows, cost: object, *, at: str, **fields: str) -> None:
    """Add the prices of one ``cost`` table with its prompt-length tiers."""
    if not isinstance(cost, dict):
        if cost is not None:
            rows.reject("not_a_table", cost, locator=at)
        return
    quotes = _quotes(rows, cost, f"{at}.", 0)
    if (older := cost.get("context_over_200k")) is not None:
        quotes += _quotes(rows, older, f"{at}.context_over_200k.", 200_000)
    tiers = cost.get("tiers")
    for position, tier in enumerate(tiers if isinstance(tiers, list) else []):
        bracket = tier.get("tier") if isinstance(tier, dict) else None
        if isinstance(bracket, dict) and bracket.get("type", "context") == "context":
            quotes += _quotes(rows, tier, f"{at}.tiers.{position}.", bracket.get("size"))
        else:
            rows.reject("unknown_field", bracket, locator=f"{at}.tiers.{position}")
    rows.ladders(quotes, **fields)


def _quotes(rows: Rows, table: object, at: str, context_from: object) -> list[tuple[str, Quote]]:
    if not isinstance(table, dict):
        rows.reject("not_a_table", table, locator=at.rstrip("."))
        return []
    return rows.quotes(table, names=_COMPONENTS, ignored=_NO_TOKEN_PRICE, at=at, context_from=context_from)


ADAPTER: Final = Adapter("models-dev", "1", parse, ("OBSERVATIONS", "SIGHTINGS"))
