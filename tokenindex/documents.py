"""Documents: the text of a methodology, read strictly.

*Reads* the TOML bytes of a document. *Writes* a `Methodology`. *Never* fills a gap: an unknown, misspelt or missing key
is an error that names the known ones.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import is_dataclass
from decimal import Decimal
from typing import Any, Final

from .errors import DeterminationError, MethodologyError
from .methodology import Allowed, Identity, Judgment, Measures, Methodology, Publication, Restatement, Volumes, Workload
from .periods import Calendar
from .rules import RULES
from .rules.formulas import FixedBasket
from .rules.guards import Release
from .rules.waterfall import CarryForward, Minimums, NoFixing, Rung
from .units import COMPONENTS, CURRENCIES, DECISIONS, SERVICE_TIERS, VOLUME_COMPONENTS

SECTIONS: Final[dict[str, Callable[..., Any]]] = {
    "identity": Identity,
    "measures": Measures,
    "calendar": Calendar,
    "inputs": Allowed,
    "volumes": Volumes,
    "release": Release,
    "publication": Publication,
    "restatement": Restatement,
    "judgment": Judgment,
}
ONE_RULE: Final = ("consolidation", "formula")
RULE_LISTS: Final = {"guards": "guard", "screens": "screen", "outliers": "outlier", "waterfall": "waterfall"}
ORDER: Final = (
    "identity",
    "measures",
    "calendar",
    "inputs",
    "volumes",
    "guards",
    "release",
    "screens",
    "workloads",
    "consolidation",
    "outliers",
    "formula",
    "waterfall",
    "publication",
    "restatement",
    "judgment",
)


def load(text: bytes, *, where: str) -> Methodology:
    """Return the methodology that the TOML bytes `text` define; `where` names them in errors.

    Raises
    ------
    MethodologyError
        Naming the section and key: what was found, what is known there, and the nearest known spelling.
    """
    document = _parsed(text, where=where)
    _keys(document, known=ORDER, required=ORDER, where=where)
    parts: dict[str, Any] = {
        name: _build(factory, document[name], where=f"{where} [{name}]") for name, factory in SECTIONS.items()
    }
    for slot in ONE_RULE:
        parts[slot] = _rule(slot, document[slot], where=f"{where} [{slot}]")
    for section, slot in RULE_LISTS.items():
        parts[section] = _rules(slot, document[section], where=f"{where} [[{section}]]")
    workloads = _typed(document["workloads"], tuple[Workload, ...], where=f"{where} [[workloads]]")
    parts["workloads"] = workloads
    meaning = json.dumps(document, sort_keys=True, default=str, separators=(",", ":")).encode()
    return _checked(
        Methodology(
            **parts,
            sha256=hashlib.sha256(text).hexdigest(),
            meaning=hashlib.sha256(meaning).hexdigest(),
            tables=types.MappingProxyType(document),
            text=text,
        ),
        where=where,
    )


def _near(key: str, names: Iterable[str]) -> list[str]:
    from difflib import get_close_matches  # most documents have no wrong key

    return get_close_matches(key, names, n=1)


def _keys(table: Mapping[str, Any], *, known: Iterable[str], required: Iterable[str], where: str) -> None:
    names = list(known)
    for key in table:
        if key not in names:
            near = _near(key, names)
            raise MethodologyError(
                f"unknown key {key!r}",
                where=where,
                expected="only " + ", ".join(names) if names else "no keys but rule",
                remedy=f"did you mean {near[0]!r}?" if near else "remove it",
            )
    missing = [key for key in required if key not in table]
    if missing:
        raise MethodologyError(
            f"missing {', '.join(missing)}", where=where, expected=", ".join(names), remedy="a rule has no defaults"
        )


def _build(factory: Callable[..., Any], table: Any, *, where: str) -> Any:
    """Return ``factory(**table)`` after checking names and types against its signature."""
    table = _typed(table, dict[str, Any], where=where)
    hints = typing.get_type_hints(factory)
    names = [name for name in hints if name != "return"]
    _keys(table, known=names, required=names, where=where)
    arguments = {name: _typed(table[name], hints[name], where=f"{where} {name}") for name in names}
    try:
        return factory(**arguments)
    except ValueError as wrong:
        raise MethodologyError(str(wrong), where=where) from None
    except MethodologyError as wrong:
        raise MethodologyError(wrong.found, expected=wrong.expected, remedy=wrong.remedy, where=where) from None


def _parsed(text: bytes, *, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text.decode("utf-8"), parse_float=Decimal)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as wrong:
        raise MethodologyError(str(wrong), where=where, expected="a TOML document in UTF-8") from None


def _rules(slot: str, tables: Any, *, where: str) -> tuple[Any, ...]:
    rules = _typed(tables, tuple[dict[str, Any], ...], where=where)
    return tuple(_rule(slot, table, where=f"{where} {k + 1}") for k, table in enumerate(rules))


def _rule(slot: str, table: Any, *, where: str) -> Any:
    table = dict(_typed(table, dict[str, Any], where=where))
    name = table.pop("rule", None)
    if not isinstance(name, str) or name not in RULES[slot]:
        near = _near(str(name), RULES[slot])
        raise MethodologyError(
            f"unknown rule {name!r}" if name else "no rule is named",
            where=where,
            expected="one of " + ", ".join(RULES[slot]),
            remedy=f"did you mean {near[0]!r}?" if near else "name the rule",
        )
    return _build(RULES[slot][name], table, where=f"{where} {name}")


_DIGITS: Final = 40
"""Places before and after the point of a number: an exponent of a billion would be written out exactly."""


def _typed(found: Any, wanted: Any, *, where: str) -> Any:
    """Return `found` as the type `wanted`, or raise MethodologyError."""
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if wanted is Any:
        return found
    if origin is tuple and isinstance(found, list):
        return tuple(_typed(item, arguments[0], where=f"{where} {k + 1}") for k, item in enumerate(found))
    if origin is dict and isinstance(found, dict):
        return {key: _typed(item, arguments[1], where=f"{where} {key}") for key, item in found.items()}
    if isinstance(wanted, type) and (is_dataclass(wanted) or issubclass(wanted, tuple)):
        return _build(wanted, found, where=where)
    if wanted is Decimal and isinstance(found, int) and not isinstance(found, bool):
        return Decimal(found)
    if isinstance(found, Decimal) and not found.is_finite():
        raise MethodologyError(f"{found} is not a number", where=where, expected="a finite number")
    if isinstance(found, Decimal) and abs(found.adjusted()) > _DIGITS:
        raise MethodologyError(f"{found} is out of range", where=where, expected="a number that is written out in full")
    if isinstance(wanted, type) and type(found) is wanted:
        return found
    name = wanted.__name__ if isinstance(wanted, type) else str(wanted)
    raise MethodologyError(f"{found!r} is a {type(found).__name__}", where=where, expected=f"a {name}")


_INDEX: Final = re.compile(r"[A-Za-z0-9_-]+")
_EXPECTED: Final = {
    "[[outliers]] dates": "at most carry_dates of [inputs]",
    "[identity] index": "letters, digits, - and _: a colon names a workload and a point a component",
    "[[waterfall]]": "minimums first, then at most one carry_forward, then no_fixing as the last rung",
    "[publication] price_decimals": "0 to 9",
    "[publication] level_decimals": "0 to 9",
    "[publication] vintages": "final last, before it at most provisional; hours from 0 to 8784, each more than the last",
    "[restatement] window_hours": "0 to 8784",
    "[restatement] threshold": "a relative change from 0 to below 1",
    "[restatement] approvers": "2 to 9: nobody restates alone",
    "[judgment] allowed": "some of " + ", ".join(DECISIONS),
    "[volumes] min_days": "1 to window_days",
}


def _falls(rungs: tuple[Rung, ...]) -> bool:
    """Return whether the rungs lead from calculated figures over a carried one to none."""
    ranks = [(Minimums, CarryForward, NoFixing).index(type(rung)) for rung in rungs]
    return ranks == sorted(ranks) and ranks.count(1) <= 1 and ranks.count(2) == 1 and ranks[0] == 0


_HOURS: Final = 366 * 24


def _ripen(vintages: dict[str, int]) -> bool:
    """Return whether vintages follow each other to the final one."""
    hours = list(vintages.values())
    ordered = hours == sorted(set(hours)) and all(0 <= h <= _HOURS for h in hours)
    return list(vintages) in (["final"], ["provisional", "final"]) and ordered


_LENGTHS: Final = "lengths of 1 to 10**9 tokens, the shortest first"
_PARTS: Final = (
    "whole numbers from 0, some above 0 for every component of the mix and every stand-in, whose totals and lengths have a "
    "common multiple below 10**12"
)


def _check_workload(w: Workload, *, where: str) -> None:
    """Refuse a workload whose keys do not agree with each other."""
    lengths = [p.tokens for p in w.prompts]
    named = {name for p in w.prompts for name in p.parts}
    counts = [n for p in w.prompts for n in p.parts.values()]
    ordered = bool(lengths) and lengths == sorted(set(lengths)) and lengths[0] >= 1 and lengths[-1] <= 10**9
    whole = all(n >= 0 for n in counts) and all(w.total(c) for c in w.components) and w.whole < 10**12
    positive = bool(w.mix) and all(n > 0 for n in w.mix.values()) and sum(w.mix.values()) <= 10**12
    mix = positive and set(w.mix) <= set(COMPONENTS)
    instead = set(w.instead) <= set(w.mix) and set(w.instead.values()) <= set(COMPONENTS)
    tiers = bool(w.service_tiers) and set(w.service_tiers) <= set(SERVICE_TIERS)
    parts = [p.parts for p in w.prompts]
    wrong = (
        ("name", w.name, w.name.isidentifier(), "letters, digits and underscores"),
        ("mix", w.mix, mix, "positive whole numbers, in all at most 10**12, of " + ", ".join(COMPONENTS)),
        ("instead", w.instead, instead, "a component for components of the mix"),
        ("service_tiers", list(w.service_tiers), tiers, "some of " + ", ".join(SERVICE_TIERS)),
        ("prompts", lengths, ordered, _LENGTHS),
        ("parts", parts, named <= set(COMPONENTS) and whole, _PARTS),
    )
    for key, found, right, expected in wrong:
        if not right:
            raise MethodologyError(
                f"{key} cannot be {found}", where=f"{where} [[workloads]] {w.name}", expected=expected
            )


def _checked(m: Methodology, *, where: str) -> Methodology:
    """Return `m` if its sections agree with each other."""
    wrong = (
        ("[identity] index", m.identity.index, bool(_INDEX.fullmatch(m.identity.index))),
        ("[measures] currency", m.measures.currency, m.measures.currency in CURRENCIES),
        ("[inputs] prices tier", [p.tier for p in m.inputs.prices], all(p.tier in (1, 2, 3) for p in m.inputs.prices)),
        ("[inputs] prices", "no source", bool(m.inputs.prices)),
        ("[inputs] carry_dates", m.inputs.carry_dates, 1 <= m.inputs.carry_dates <= 3660),
        ("[[outliers]] dates", [o.dates for o in m.outliers], all(o.dates <= m.inputs.carry_dates for o in m.outliers)),
        ("[inputs] max_days_unseen", m.inputs.max_days_unseen, 0 <= m.inputs.max_days_unseen <= 3660),
        ("[inputs] max_rate_age_days", m.inputs.max_rate_age_days, 0 <= m.inputs.max_rate_age_days <= 3660),
        ("[volumes] window_days", m.volumes.window_days, m.volumes.window_days <= 3660),
        ("[volumes] components", m.volumes.components, set(m.volumes.components) <= set(VOLUME_COMPONENTS)),
        ("[volumes] min_days", m.volumes.min_days, 1 <= m.volumes.min_days <= m.volumes.window_days),
        ("[volumes] lag_days", m.volumes.lag_days, 1 <= m.volumes.lag_days <= 3660),
        ("[volumes] service_tiers", m.volumes.service_tiers, set(m.volumes.service_tiers) <= set(SERVICE_TIERS)),
        ("[[waterfall]]", "in this order", _falls(m.waterfall)),
        ("[publication] price_decimals", m.publication.price_decimals, 0 <= m.publication.price_decimals <= 9),
        ("[publication] level_decimals", m.publication.level_decimals, 0 <= m.publication.level_decimals <= 9),
        ("[publication] vintages", m.publication.vintages, _ripen(m.publication.vintages)),
        ("[restatement] window_hours", m.restatement.window_hours, 0 <= m.restatement.window_hours <= _HOURS),
        ("[restatement] threshold", m.restatement.threshold, 0 <= m.restatement.threshold < 1),
        ("[restatement] approvers", m.restatement.approvers, 2 <= m.restatement.approvers <= 9),
        ("[judgment] allowed", list(m.judgment.allowed), set(m.judgment.allowed) <= set(DECISIONS)),
    )
    for key, found, right in wrong:
        if not right:
            raise MethodologyError(f"{key} cannot be {found}", where=where, expected=_EXPECTED.get(key, ""))
    for workload in m.workloads:
        _check_workload(workload, where=where)
    names = [w.name for w in m.workloads]
    if not names or len(set(names)) < len(names):
        raise MethodologyError(
            f"[[workloads]] are {names}", where=where, expected="one or more, each with a name of its own"
        )
    claims = [(p.source, host) for p in m.inputs.prices for host in p.hosts]
    if len(set(claims)) < len(claims):
        raise MethodologyError("a source and host stand in two tiers", where=f"{where} [inputs]")
    if isinstance(m.formula, FixedBasket):
        _check_base(m.formula, m.calendar, where=f"{where} [formula]")
    return m


def _check_base(formula: FixedBasket, calendar: Calendar, *, where: str) -> None:
    """Refuse a base date that the calendar does not know, or whose basket it does not know the announcement of."""
    try:
        number = calendar.number(formula.base_date)
    except DeterminationError as outside:
        raise MethodologyError(f"base_date: {outside.found}", where=where, expected=outside.expected) from None
    if number < formula.announce_dates:
        raise MethodologyError("base_date: its basket is announced before the calendar opens", where=where)
