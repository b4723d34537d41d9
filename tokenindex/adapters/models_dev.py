"""models.dev: TOML files ``providers/<provider>/models/<model>.toml``, USD per million tokens.

*Reads* a ``tar.gz`` of the repository's TOML files, or one such file whose capture name ends with its path (``__`` may
stand for ``/``). *Writes* one observation per price, with its prompt-length bracket and mode, and one sighting:
complete for an archive, never for a single file. *Never* extracts to disk, follows a link out of the archive, or
unpacks more than the bounds below.
"""

from __future__ import annotations

import re
from typing import Any, Final

from ..units import SERVICE_TIERS
from . import Adapter, Capture, Parsed
from .archives import Member, ungzipped, untarred
from .reading import load_toml, refuse_cut, shown, unreadable
from .rows import Quote, Rows

UNPACKED_MAX: Final = 64 * 2**20
"""Largest size of the unpacked archive, in bytes."""
MEMBER_MAX: Final = 2**16
"""Largest size of one TOML file, in bytes."""
TEXT_MAX: Final = 16 * 2**20
"""Largest size of all TOML files together, in bytes: reading TOML takes a second a megabyte."""
MEMBERS_MAX: Final = 50_000
"""Largest number of members."""
NAME_MAX: Final = 256
"""Longest path of a member, in characters."""
LINKS_MAX: Final = 40
"""Most links that lead to a file, as many as an operating system follows."""

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
    if len(content) > MEMBER_MAX:
        raise unreadable(rows.capture, f"the file has more than {MEMBER_MAX} bytes", expected="TOML of one model")
    refuse_cut(content, rows.capture)
    tables = _toml(content)
    if isinstance(tables, str):
        raise unreadable(rows.capture, tables, expected="TOML")
    with rows.about(provider=match[1], model=match[2]):
        _model(rows, tables, provider=match[1], model=match[2], at=name)


def _archive(rows: Rows, content: bytes) -> None:
    members = _members(rows, ungzipped(content, rows.capture, largest=UNPACKED_MAX))
    models = {name: match for name in members if (match := _model_path(name))}
    if members and not models:
        found = "no member is called providers/<provider>/models/<id>.toml"
        raise unreadable(rows.capture, found, expected="the TOML files of models.dev")
    read = 0
    for name, match in models.items():
        text = _resolved(name, members)
        read += len(text or b"")
        if read > TEXT_MAX:
            raise unreadable(rows.capture, f"more than {TEXT_MAX} bytes of TOML", expected="a smaller archive")
        with rows.about(provider=match[1], model=match[2]):
            if text is None:
                rows.reject("unresolvable_link", members[name].target, locator=name)
            elif len(text) > MEMBER_MAX:
                rows.reject("oversized_member", len(text), locator=name)
            elif isinstance(tables := _toml(text), str):
                rows.reject("not_toml", tables, locator=name)
            else:
                _model(rows, tables, provider=match[1], model=match[2], at=name)


def _model_path(name: str) -> re.Match[str] | None:
    return _PATH.fullmatch(name) if len(name) <= NAME_MAX else None


def _hidden(name: str) -> dict[str, Any]:
    """Return what a member that is not read may hide: the prices of the model that its path names, or none."""
    match = _model_path(name)
    return {"provider": match[1], "model": match[2]} if match else {"hides": False}


def _members(rows: Rows, raw: bytes) -> dict[str, Member]:
    """Return the members by path; repeated and unnameable ones, and those that are no plain files, are rejected."""
    members: dict[str, Member] = {}
    for count, member in enumerate(untarred(raw, rows.capture), start=1):
        if count > MEMBERS_MAX:
            raise unreadable(rows.capture, f"more than {MEMBERS_MAX} members", expected="a smaller archive")
        if len(member.name) > NAME_MAX:
            rows.reject("oversized_name", len(member.name), locator=shown(member.name), hides=False)
        elif member.odd:
            rows.reject("not_a_file", member.name, locator=member.name, **_hidden(member.name))
        elif member.name in members:
            rows.reject("repeated_member", member.name, locator=member.name, **_hidden(member.name))
        else:
            members[member.name] = member
    return members


def _resolved(name: str, members: dict[str, Member]) -> bytes | None:
    """Return the bytes behind `name`, or null if its links leave the archive, run in a circle or are too many."""
    for _ in range(LINKS_MAX + 1):
        member = members.get(name)
        if member is None or member.target is None:
            return bytes(member.content) if member else None
        name = member.target
    return None


def _toml(content: bytes) -> dict[str, Any] | str:
    """Return the tables of a TOML file, or what is wrong with it."""
    try:
        return load_toml(content)
    except ValueError as wrong:
        return str(wrong)[:80]


def _model(rows: Rows, tables: dict[str, Any], *, provider: str, model: str, at: str) -> None:
    seller = {"provider": provider, "model": model}
    _cost(rows, tables.get("cost"), at=f"{at}#cost", **seller)
    experimental = _table(rows, tables, "experimental", at=f"{at}#")
    modes = _table(rows, experimental, "modes", at=f"{at}#experimental.")
    for mode in modes:
        place = f"{at}#experimental.modes.{mode}"
        table = _table(rows, modes, mode, at=f"{at}#experimental.modes.")
        if "cost" not in table:
            continue
        if mode in SERVICE_TIERS:
            _cost(rows, table["cost"], at=f"{place}.cost", service_tier=mode, **seller)
        else:
            rows.reject("unknown_service_tier", mode, locator=place)


def _table(rows: Rows, tables: dict[str, Any], key: str, *, at: str) -> dict[str, Any]:
    """Return the table under `key`, empty if there is none; anything else is rejected."""
    found = tables.get(key, {})
    if not isinstance(found, dict):
        rows.reject("not_a_table", found, locator=at + key)
    return found if isinstance(found, dict) else {}


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
    if tiers is not None and not isinstance(tiers, list):
        rows.reject("not_an_array", tiers, locator=f"{at}.tiers")
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


ADAPTER: Final = Adapter("models-dev", "3", parse, ("OBSERVATIONS", "SIGHTINGS"))
