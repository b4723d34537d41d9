"""The mapping of a price table: which column of a foreign table says what, and how its cells are to be read.

*Reads* the bytes of a TOML document. *Writes* a frozen `Mapping`. *Never* fills a gap: an unknown, misspelt or missing key
is an error that names the known ones, and so are two keys that cannot both hold.
"""

from __future__ import annotations

import re
import typing
from collections import Counter
from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields
from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from functools import cached_property
from typing import Any, Final, TypeVar

from ..errors import InputDataError
from ..exact import parse_decimal
from ..units import COMPONENTS, CURRENCIES, DATE_KINDS, PER_MTOK, SERVICE_TIERS, TAXES
from .reading import load_toml, shown

WORDS_MAX: Final = 100
"""Most words that mean the same, such as signs of a currency."""
FORMAT_MAX: Final = 40
"""Longest format of a date, in characters."""
SEPARATORS: Final = (",", ";", "\t", "|")
DECIMAL_MARKS: Final = (".", ",")
THOUSANDS_MARKS: Final = (",", ".", "'", "\N{RIGHT SINGLE QUOTATION MARK}", " ", "\N{NO-BREAK SPACE}", "\u202f")


@dataclass(frozen=True, kw_only=True)
class Offer:
    """Who sells, in which money, per what, and where that is written; `complete` if the table names all that is sold."""

    provider: str
    currency: str
    unit: str
    tax: str
    reference: str
    licence: str
    complete: bool


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The separator of the table, the column of the model, and the columns that are no prices."""

    separator: str
    model: str
    ignored: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """How prices are written, and the words that stand in place of one."""

    decimal_mark: str
    thousands_mark: str | None = None
    currency_signs: tuple[str, ...]
    not_offered: tuple[str, ...]
    free: tuple[str, ...]

    def exact(self, text: str) -> Decimal:
        """Return the number that `text` writes under these marks; anything else raises ValueError."""
        bare = text.strip()
        for sign in self.currency_signs:
            if bare.startswith(sign) or bare.endswith(sign):
                bare = (bare[len(sign) :] if bare.startswith(sign) else bare[: -len(sign)]).strip()
                break
        if not self._written.fullmatch(bare):
            raise ValueError(f"{shown(text)!r} is not a number as the mapping declares them")
        return parse_decimal(bare.replace(self.thousands_mark or "", "").replace(self.decimal_mark, "."))

    @cached_property
    def _written(self) -> re.Pattern[str]:
        grouped = rf"|[0-9]{{1,3}}({re.escape(self.thousands_mark)}[0-9]{{3}})+" if self.thousands_mark else ""
        return re.compile(rf"[+-]?([0-9]+{grouped})({re.escape(self.decimal_mark)}[0-9]+)?([eE][+-]?[0-9]{{1,3}})?")


@dataclass(frozen=True, kw_only=True)
class Long:
    """A table with one price a row: the column that names the component, what its words mean, and the price's column."""

    component: str
    names: dict[str, str]
    price: str


@dataclass(frozen=True, kw_only=True)
class Tier:
    """The service tier of the whole table, or the column that names it and what its words mean."""

    fixed: str | None = None
    column: str | None = None
    names: dict[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Region:
    """The region of the whole table (empty: everywhere), or the column that names it and its words for everywhere."""

    fixed: str | None = None
    column: str | None = None
    everywhere: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Context:
    """Columns of a bracket: prompts longer than one and up to the other, in so many tokens; words that mean no end."""

    above: str
    up_to: str
    unit_tokens: int
    no_end: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Since:
    """Since when the prices hold: a date, or a column and how it writes dates; neither if they were only seen."""

    kind: str
    fixed: date | None = None
    column: str | None = None
    format: str | None = None

    def day(self, text: str) -> date:
        """Return the date that `text` writes in the declared format; anything else raises ValueError."""
        match = _date_pattern(self.format or "").fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{shown(text)!r} is not a date in the format {self.format}")
        return date(int(match["Y"]), int(match["m"]), int(match["d"]))


@dataclass(frozen=True, kw_only=True)
class Mapping:
    """The whole document. The components stand in columns of their own, or in `long` form one a row."""

    offer: Offer
    table: Layout
    numbers: Numbers
    components: dict[str, str] | None = None
    long: Long | None = None
    service_tier: Tier
    region: Region
    context: Context | None = None
    valid_from: Since

    def prices(self) -> dict[str, str]:
        """Return the columns that hold prices, and the component of each (empty: a column of the row says it)."""
        return (
            {self.long.price: ""} if self.long else {column: name for name, column in (self.components or {}).items()}
        )

    def columns(self) -> list[str]:
        """Return every column that the mapping names, in its order."""
        prices = [self.long.component, self.long.price] if self.long else list((self.components or {}).values())
        named = [self.table.model, *prices, self.service_tier.column, self.region.column, self.valid_from.column]
        named += [self.context.above, self.context.up_to] if self.context else []
        return [column for column in named if column is not None] + list(self.table.ignored)


_SECTIONS: Final[dict[str, type[Any]]] = {
    "offer": Offer,
    "table": Layout,
    "numbers": Numbers,
    "long": Long,
    "service_tier": Tier,
    "region": Region,
    "context": Context,
    "valid_from": Since,
}
_KINDS: Final = {str: "text", bool: "true or false", int: "a whole number", date: "a date such as 2026-06-01"}
_DIRECTIVES: Final = {"%Y": r"(?P<Y>[12]\d{3})", "%m": r"(?P<m>\d{1,2})", "%d": r"(?P<d>\d{1,2})"}

Section = TypeVar("Section")


def load_mapping(content: bytes, *, where: str) -> Mapping:
    """Return the mapping that the TOML bytes `content` define; `where` names them in errors.

    Raises
    ------
    InputDataError
        Naming the section and key: what was found, what is known there, and the nearest known spelling.
    """
    try:
        document = load_toml(content)
    except ValueError as wrong:
        raise _wrong(shown(str(wrong)), where=where, expected="a mapping in TOML, in UTF-8") from None
    parts: dict[str, Any] = {}
    for name, table in document.items():
        if name in _SECTIONS:
            parts[name] = _section(_SECTIONS[name], table, where=f"{where} [{name}]")
        elif name == "components":
            parts[name] = _typed(table, dict[str, str], where=f"{where} [{name}]")
    _keys(Mapping, document, where=where)
    return _checked(Mapping(**parts), where=where)


def _section(factory: type[Section], table: object, *, where: str) -> Section:
    if not isinstance(table, dict):
        raise _wrong(f"{shown(table)} is no table", where=where, expected="a table of keys")
    _keys(factory, table, where=where)
    hints = typing.get_type_hints(factory)
    return factory(**{key: _typed(found, hints[key], where=f"{where} {key}") for key, found in table.items()})


def _keys(factory: type[Any], table: dict[str, Any], *, where: str) -> None:
    names = [field.name for field in fields(factory)]
    for key in table:
        if key not in names:
            near = get_close_matches(key[:80], names, n=1)
            remedy = f"did you mean {near[0]!r}?" if near else "remove it"
            raise _wrong(f"unknown key {shown(key)!r}", where=where, expected="only " + ", ".join(names), remedy=remedy)
    missing = [field.name for field in fields(factory) if field.default is MISSING and field.name not in table]
    if missing:
        raise _wrong(
            "missing " + ", ".join(missing), where=where, expected=", ".join(names), remedy="nothing is guessed"
        )


def _typed(found: Any, wanted: Any, *, where: str) -> Any:
    """Return `found` as the type `wanted`, or raise InputDataError."""
    arguments = [kind for kind in typing.get_args(wanted) if kind not in (Ellipsis, type(None))]
    origin = typing.get_origin(wanted)
    if origin is tuple and isinstance(found, list):
        return tuple(_typed(item, arguments[0], where=where) for item in found)
    if origin is dict and isinstance(found, dict):
        return {key: _typed(item, str, where=f"{where} {shown(key)}") for key, item in found.items()}
    if origin in (tuple, dict):
        expected = 'a list of texts, such as ["a", "b"]' if origin is tuple else "a table of texts"
        raise _wrong(f"{shown(found)} is a {type(found).__name__}", where=where, expected=expected)
    for kind in arguments or [wanted]:
        if typing.get_origin(kind):
            return _typed(found, kind, where=where)
        if type(found) is kind:
            return found
    kind = (arguments or [wanted])[0]
    raise _wrong(f"{shown(found)} is a {type(found).__name__}", where=where, expected=_KINDS[kind])


_Rule = tuple[bool, str, str]
"""Whether it holds, what is wrong if not, and what would have been right."""


def _checked(m: Mapping, *, where: str) -> Mapping:
    """Return `m` if its sections agree with each other."""
    named = [*(m.components or {}), *(m.long.names.values() if m.long else ())]
    twice = _twice(m.columns())
    lists = [m.numbers.currency_signs, m.numbers.not_offered, m.numbers.free, m.region.everywhere or ()]
    longest = max(map(len, [*lists, m.context.no_end if m.context else ()]))
    rules: list[_Rule] = [
        *_offer_rules(m.offer),
        _known("[table] separator", [m.table.separator], SEPARATORS),
        ((m.components is None) != (m.long is None), "[components] and [long]", "one of the two"),
        (bool(named), "no component is named", "at least one price"),
        _known("components:", named, COMPONENTS),
        *_number_rules(m.numbers),
        *_tier_rules(m.service_tier),
        *_region_rules(m.region),
        (m.context is None or 1 <= m.context.unit_tokens <= 10**6, "[context] unit_tokens", "1 to 1000000"),
        *_date_rules(m.valid_from),
        (longest <= WORDS_MAX, f"a list of {longest} words", f"at most {WORDS_MAX}: each cell is compared with all"),
        (twice is None, f"the column {shown(twice)!r} is named twice", "each column once"),
    ]
    for holds, found, expected in rules:
        if not holds:
            raise _wrong(found, where=where, expected=expected)
    return m


def _known(key: str, found: Iterable[str], words: Iterable[str]) -> _Rule:
    known = list(words)
    unknown = [word for word in found if word not in known]
    return not unknown, f"{key} {', '.join(map(repr, map(shown, unknown[:3])))}", "only " + ", ".join(map(repr, known))


def _offer_rules(o: Offer) -> Iterable[_Rule]:
    for key, text in (("provider", o.provider), ("reference", o.reference), ("licence", o.licence)):
        yield bool(text.strip()) and text.isprintable(), f"[offer] {key} {shown(text)!r}", "one line of text"
    yield _known("[offer] currency", [o.currency], sorted(CURRENCIES))
    yield _known("[offer] unit", [o.unit], PER_MTOK)
    yield _known("[offer] tax", [o.tax], TAXES)


def _number_rules(n: Numbers) -> Iterable[_Rule]:
    signs = [sign for sign in n.currency_signs if sign != sign.strip() or not sign or re.search(r"[0-9.,+-]", sign)]
    yield _known("[numbers] decimal_mark", [n.decimal_mark], DECIMAL_MARKS)
    yield _known(
        "[numbers] thousands_mark", [n.thousands_mark] if n.thousands_mark is not None else [], THOUSANDS_MARKS
    )
    yield n.thousands_mark != n.decimal_mark, "[numbers] decimal_mark and thousands_mark are the same", "two marks"
    yield not signs, f"[numbers] currency_signs {', '.join(map(shown, signs))!r}", "no digits, marks or outer spaces"
    words = [*n.not_offered, *n.free]
    yield len({*words}) == len(words), "[numbers] not_offered and free: a word stands twice", "each word once"
    yield all(word == word.strip() for word in words), "[numbers] not_offered and free", "words without outer spaces"


def _tier_rules(t: Tier) -> Iterable[_Rule]:
    yield (t.fixed is None) != (t.column is None), "[service_tier] fixed and column", "one of the two"
    yield (t.column is None) == (t.names is None), "[service_tier] column and names", "both or neither"
    yield _known("[service_tier]", t.names.values() if t.names else [str(t.fixed)], SERVICE_TIERS)


def _region_rules(r: Region) -> Iterable[_Rule]:
    yield (r.fixed is None) != (r.column is None), "[region] fixed and column", "one of the two"
    yield (r.column is None) == (r.everywhere is None), "[region] column and everywhere", "both or neither"


def _date_rules(s: Since) -> Iterable[_Rule]:
    given = (s.fixed is not None) + (s.column is not None)
    form = s.format or "%Y%m%d"
    yield _known("[valid_from] kind", [s.kind], DATE_KINDS)
    expected = "one of the two, and neither if kind is 'first_seen'"
    yield given == (0 if s.kind == "first_seen" else 1), "[valid_from] fixed and column", expected
    yield (s.column is None) == (s.format is None), "[valid_from] column and format", "both or neither"
    once = form.count("%") == 3 and all(form.count(directive) == 1 for directive in _DIRECTIVES)
    yield len(form) <= FORMAT_MAX, f"[valid_from] format {shown(form)!r}", f"at most {FORMAT_MAX} characters"
    yield once, f"[valid_from] format {shown(form)!r}", "%Y, %m and %d, each once"


def _date_pattern(declared: str) -> re.Pattern[str]:
    parts = re.split("(%[Ymd])", declared)
    return re.compile("".join(_DIRECTIVES.get(part, re.escape(part)) for part in parts), re.ASCII)


def _twice(names: list[str]) -> str | None:
    return next((name for name, times in Counter(names).items() if times > 1), None)


def _wrong(
    found: str, *, where: str, expected: str, remedy: str = "correct the mapping; nothing was stored"
) -> InputDataError:
    return InputDataError(found, where=where, expected=expected, remedy=remedy)
