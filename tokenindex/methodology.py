"""Methodology documents: one TOML file is the executable definition of one version of one index.

*Reads* the text of a document. *Writes* a frozen `Methodology`. *Never* fills a gap: an unknown, misspelt or missing
key is an error that names the known ones.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import tomllib
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from functools import cached_property
from math import lcm
from typing import Any, Final

from .errors import DeterminationError, MethodologyError
from .periods import Calendar
from .rules import RULES
from .rules.consolidation import Consolidate
from .rules.formulas import FixedBasket, VolumeWeightedMean
from .rules.guards import Guard, Release
from .rules.outliers import Outlier
from .rules.screens import Screen
from .rules.waterfall import CarryForward, Minimums, NoFixing, Rung
from .units import COMPONENTS, CURRENCIES, SERVICE_TIERS, VOLUME_COMPONENTS


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Which index, which version, since when."""

    index: str
    version: str
    name: str
    effective_from: date
    administrator: str


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What the index measures: currency, kinds of model, and vendors (empty: every vendor)."""

    statement: str
    currency: str
    kinds: tuple[str, ...]
    vendors: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PriceInput:
    """A source of prices, the hosts of it that are allowed, and the tier these belong to (1 is best, 3 is last)."""

    source: str
    hosts: tuple[str, ...]
    tier: int


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """What may enter. `max_days_unseen` and `max_rate_age_days` are calendar days, `carry_dates` fixing dates."""

    prices: tuple[PriceInput, ...]
    max_days_unseen: int
    rates: str
    max_rate_age_days: int
    carry_dates: int


@dataclass(frozen=True, kw_only=True)
class Volumes:
    """The window of complete days whose tokens count: `window_days` days, the last one `lag_days` before the fixing."""

    sources: tuple[str, ...]
    components: tuple[str, ...]
    service_tiers: tuple[str, ...]
    window_days: int
    lag_days: int
    min_days: int


@dataclass(frozen=True, kw_only=True)
class Prompts:
    """Prompts of one length, in tokens, and the parts of each component's tokens that are used with them."""

    tokens: int
    parts: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Workload:
    """The usage under which a price that depends on prompt length or hour is one number; evenly spread over the day."""

    name: str
    measured: str
    prompts: tuple[Prompts, ...]

    def total(self, component: str) -> int:
        """Return the parts of all lengths together."""
        return sum(p.parts.get(component, 0) for p in self.prompts)

    @cached_property
    def whole(self) -> int:
        """The weight of a price that holds for every prompt; a multiple of every length and of every total."""
        totals = (self.total(component) for component in {name for p in self.prompts for name in p.parts})
        return lcm(*(p.tokens for p in self.prompts)) * lcm(*filter(None, totals))


@dataclass(frozen=True, kw_only=True)
class Blend:
    """The mix of components of one million tokens (whole numbers), and which price a component without one takes."""

    mix: dict[str, int]
    instead: dict[str, str]
    measured: str


@dataclass(frozen=True, kw_only=True)
class Publication:
    """Decimals of the published price (at most 9) and level (at most 9)."""

    price_decimals: int
    level_decimals: int


@dataclass(frozen=True, kw_only=True)
class Methodology:
    """One version of one index, ready to determine. Build it with `load`."""

    identity: Identity
    measures: Measures
    calendar: Calendar
    inputs: Allowed
    volumes: Volumes
    guards: tuple[Guard, ...]
    release: Release | None
    screens: tuple[Screen, ...]
    workload: Workload
    blend: Blend
    consolidation: Consolidate
    outliers: tuple[Outlier, ...]
    formula: FixedBasket | VolumeWeightedMean
    waterfall: tuple[Rung, ...]
    publication: Publication
    sha256: str
    meaning: str
    """SHA-256 of the parsed content: a changed comment leaves it as it is."""
    tables: Mapping[str, Any] = field(repr=False, compare=False)
    component: str = ""

    @property
    def index(self) -> str:
        """The name of the index, with the component after a dot for a component index."""
        return f"{self.identity.index}.{self.component}" if self.component else self.identity.index

    @property
    def version(self) -> str:
        """The version of the document."""
        return self.identity.version

    def for_component(self, component: str) -> Methodology:
        """Return the same methodology for one component alone: its mix is nothing but that component.

        Raises
        ------
        MethodologyError
            If the blend of the document does not hold the component.
        """
        if component not in self.blend.mix:
            raise MethodologyError(
                f"{self.identity.index} has no component {component!r}",
                expected="one of " + ", ".join(self.blend.mix),
                where=self.identity.index,
            )
        instead = {part: other for part, other in self.blend.instead.items() if part == component}
        return replace(self, component=component, blend=replace(self.blend, mix={component: 1}, instead=instead))

    @property
    def carried(self) -> int:
        """Fixing dates over which the waterfall may carry a figure forward."""
        return max((rung.max_dates for rung in self.waterfall if isinstance(rung, CarryForward)), default=0)

    @property
    def lookback(self) -> int:
        """Fixing dates before a date on which its figure can depend (besides rebalance dates)."""
        return 2 * self.inputs.carry_dates + self.carried

    def __repr__(self) -> str:
        since = self.identity.effective_from
        return f"<Methodology {self.index} {self.version} in force from {since} {self.sha256[:12]}>"


SECTIONS: Final[dict[str, Callable[..., Any]]] = {
    "identity": Identity,
    "measures": Measures,
    "calendar": Calendar,
    "inputs": Allowed,
    "volumes": Volumes,
    "workload": Workload,
    "blend": Blend,
    "publication": Publication,
}
_ONE_RULE: Final = ("consolidation", "formula")
_RULE_LISTS: Final = {"guards": "guard", "screens": "screen", "outliers": "outlier", "waterfall": "waterfall"}
ORDER: Final = (
    "identity",
    "measures",
    "calendar",
    "inputs",
    "volumes",
    "guards",
    "release",
    "screens",
    "workload",
    "blend",
    "consolidation",
    "outliers",
    "formula",
    "waterfall",
    "publication",
)
OPTIONAL: Final = ("guards", "release")
"""Sections that a document may lack; it has both or neither."""


def load(text: bytes, *, where: str) -> Methodology:
    """Return the methodology that the TOML bytes `text` define; `where` names them in errors.

    Raises
    ------
    MethodologyError
        Naming the section and key: what was found, what is known there, and the nearest known spelling.
    """
    document = _parsed(text, where=where)
    guarded = [name for name in OPTIONAL if name in document]
    required = [name for name in ORDER if name not in OPTIONAL or guarded]
    _keys(document, known=ORDER, required=required, where=where)
    parts: dict[str, Any] = {
        name: _build(factory, document[name], where=f"{where} [{name}]") for name, factory in SECTIONS.items()
    }
    for slot in _ONE_RULE:
        parts[slot] = _rule(slot, document[slot], where=f"{where} [{slot}]")
    for section, slot in _RULE_LISTS.items():
        parts[section] = _rules(slot, document.get(section, []), where=f"{where} [[{section}]]")
    parts["release"] = _build(Release, document["release"], where=f"{where} [release]") if guarded else None
    meaning = json.dumps(document, sort_keys=True, default=str, separators=(",", ":")).encode()
    return _checked(
        Methodology(
            **parts,
            sha256=hashlib.sha256(text).hexdigest(),
            meaning=hashlib.sha256(meaning).hexdigest(),
            tables=types.MappingProxyType(document),
        ),
        where=where,
    )


def load_guards(text: bytes, *, where: str) -> tuple[tuple[Guard, ...], Release]:
    """Return the guards and the release of a document that holds nothing else; `where` names it in errors.

    Raises
    ------
    MethodologyError
        As `load` does.
    """
    document = _parsed(text, where=where)
    _keys(document, known=OPTIONAL, required=OPTIONAL, where=where)
    guards = _rules("guard", document["guards"], where=f"{where} [[guards]]")
    return guards, _build(Release, document["release"], where=f"{where} [release]")


def in_force(documents: Iterable[Methodology], *, index: str, day: date) -> Methodology:
    """Return the version of `index` (or of a component of it, ``tix.output``) in force on `day`.

    Raises
    ------
    MethodologyError
        If no version is in force yet, or two versions took effect on the same date.
    """
    name, _, component = index.partition(".")
    known = list({m.sha256: m for m in documents}.values())  # a copy of a document is the same document
    versions = [m for m in known if m.identity.index == name]
    if not versions:
        names = sorted({m.identity.index for m in known})
        raise MethodologyError(f"no document defines {name!r}", expected="one of " + ", ".join(names), where=index)
    started = [m for m in versions if m.identity.effective_from <= day]
    if not started:
        first = min(m.identity.effective_from for m in versions)
        raise MethodologyError(f"no version is in force on {day}", expected=f"a date from {first} on", where=index)
    latest = max(m.identity.effective_from for m in started)
    chosen = [m for m in started if m.identity.effective_from == latest]
    if len(chosen) > 1:
        raise MethodologyError(
            f"versions {', '.join(sorted(m.version for m in chosen))} are both in force from {latest}",
            expected="one version in force on a date",
            remedy="give one of the documents another effective_from",
            where=index,
        )
    return chosen[0].for_component(component) if component else chosen[0]


def differences(old: Methodology, new: Methodology) -> list[tuple[str, str, str]]:
    """Return every key that differs between two documents as ``(key, old, new)``; an absent side is empty text."""
    a, b = dict(_leaves(old.tables)), dict(_leaves(new.tables))
    return [(key, a.get(key, ""), b.get(key, "")) for key in sorted(a.keys() | b.keys()) if a.get(key) != b.get(key)]


def _leaves(node: Any, path: str = "") -> Iterable[tuple[str, str]]:
    if isinstance(node, Mapping):
        for key, child in node.items():
            yield from _leaves(child, f"{path}.{key}" if path else key)
    elif isinstance(node, list) and any(isinstance(child, dict) for child in node):
        for position, child in enumerate(node, start=1):
            yield from _leaves(child, f"{path}[{position}]")
    else:
        yield path, str(node)


def _keys(table: Mapping[str, Any], *, known: Iterable[str], required: Iterable[str], where: str) -> None:
    names = list(known)
    for key in table:
        if key not in names:
            near = get_close_matches(key, names, n=1)
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
    names = list(inspect.signature(factory).parameters)  # a dataclass has the hints of its fields on the class
    hints = typing.get_type_hints(factory)
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
    if name not in RULES[slot]:
        near = get_close_matches(str(name), RULES[slot], n=1)
        raise MethodologyError(
            f"unknown rule {name!r}" if name else "no rule is named",
            where=where,
            expected="one of " + ", ".join(RULES[slot]),
            remedy=f"did you mean {near[0]!r}?" if near else "name the rule",
        )
    return _build(RULES[slot][name], table, where=f"{where} {name}")


def _typed(found: Any, wanted: Any, *, where: str) -> Any:
    """Return `found` as the type `wanted`, or raise MethodologyError."""
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if wanted is Any:
        return found
    if origin is tuple and isinstance(found, list):
        return tuple(_typed(item, arguments[0], where=f"{where} {k + 1}") for k, item in enumerate(found))
    if origin is dict and isinstance(found, dict):
        return {key: _typed(item, arguments[1], where=f"{where} {key}") for key, item in found.items()}
    if isinstance(wanted, type) and is_dataclass(wanted):
        return _build(wanted, found, where=where)
    if wanted is Decimal and isinstance(found, int) and not isinstance(found, bool):
        return Decimal(found)
    if isinstance(found, Decimal) and not found.is_finite():
        raise MethodologyError(f"{found} is not a number", where=where, expected="a finite number")
    if isinstance(wanted, type) and type(found) is wanted:
        return found
    name = wanted.__name__ if isinstance(wanted, type) else str(wanted)
    raise MethodologyError(f"{found!r} is a {type(found).__name__}", where=where, expected=f"a {name}")


_EXPECTED: Final = {
    "[[waterfall]]": "minimums first, then at most one carry_forward, then no_fixing as the last rung",
    "[blend] mix": "positive whole numbers of " + ", ".join(COMPONENTS),
    "[inputs] prices tier": "1, 2 or 3",
    "[workload] prompts": "lengths of 1 to 10**9 tokens, the shortest first",
    "[workload] parts": "whole numbers from 0, some above 0 for every component of the blend and every stand-in, whose "
    "totals and lengths have a common multiple below 10**12",
    "[publication] price_decimals": "0 to 9",
    "[publication] level_decimals": "0 to 9",
    "[volumes] min_days": "1 to window_days",
}


def _falls(rungs: tuple[Rung, ...]) -> bool:
    """Return whether the rungs lead from calculated figures over a carried one to none."""
    ranks = [(Minimums, CarryForward, NoFixing).index(type(rung)) for rung in rungs]
    return ranks == sorted(ranks) and ranks.count(1) <= 1 and ranks.count(2) == 1 and ranks[0] == 0


def _are_lengths(workload: Workload) -> bool:
    lengths = [p.tokens for p in workload.prompts]
    return bool(lengths) and lengths == sorted(set(lengths)) and lengths[0] >= 1 and lengths[-1] <= 10**9


def _are_parts(workload: Workload, blend: Blend) -> bool:
    needed = {*blend.mix, *blend.instead.values()}
    counts = [n for p in workload.prompts for n in p.parts.values()]
    named = {name for p in workload.prompts for name in p.parts} <= set(COMPONENTS)
    return named and all(n >= 0 for n in counts) and all(workload.total(c) for c in needed) and workload.whole < 10**12


def _checked(m: Methodology, *, where: str) -> Methodology:
    """Return `m` if its sections agree with each other."""
    wrong = (
        ("[measures] currency", m.measures.currency, m.measures.currency in CURRENCIES),
        ("[inputs] prices tier", [p.tier for p in m.inputs.prices], all(p.tier in (1, 2, 3) for p in m.inputs.prices)),
        ("[inputs] prices", "no source", bool(m.inputs.prices)),
        ("[inputs] carry_dates", m.inputs.carry_dates, 1 <= m.inputs.carry_dates <= 3660),
        ("[inputs] max_days_unseen", m.inputs.max_days_unseen, 0 <= m.inputs.max_days_unseen <= 3660),
        ("[inputs] max_rate_age_days", m.inputs.max_rate_age_days, 0 <= m.inputs.max_rate_age_days <= 3660),
        ("[volumes] window_days", m.volumes.window_days, m.volumes.window_days <= 3660),
        ("[volumes] components", m.volumes.components, set(m.volumes.components) <= set(VOLUME_COMPONENTS)),
        ("[volumes] min_days", m.volumes.min_days, 1 <= m.volumes.min_days <= m.volumes.window_days),
        ("[volumes] lag_days", m.volumes.lag_days, 1 <= m.volumes.lag_days <= 3660),
        ("[volumes] service_tiers", m.volumes.service_tiers, set(m.volumes.service_tiers) <= set(SERVICE_TIERS)),
        ("[blend] mix", m.blend.mix, bool(m.blend.mix) and all(n > 0 for n in m.blend.mix.values())),
        ("[blend] mix", m.blend.mix, set(m.blend.mix) <= set(COMPONENTS)),
        ("[blend] instead", m.blend.instead, set(m.blend.instead) <= set(m.blend.mix)),
        ("[blend] instead", m.blend.instead, set(m.blend.instead.values()) <= set(COMPONENTS)),
        ("[workload] prompts", [p.tokens for p in m.workload.prompts], _are_lengths(m.workload)),
        ("[workload] parts", [p.parts for p in m.workload.prompts], _are_parts(m.workload, m.blend)),
        ("[[waterfall]]", "in this order", _falls(m.waterfall)),
        ("[publication] price_decimals", m.publication.price_decimals, 0 <= m.publication.price_decimals <= 9),
        ("[publication] level_decimals", m.publication.level_decimals, 0 <= m.publication.level_decimals <= 9),
    )
    for key, found, right in wrong:
        if not right:
            raise MethodologyError(f"{key} cannot be {found}", where=where, expected=_EXPECTED.get(key, ""))
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
