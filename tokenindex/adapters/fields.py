"""The fields of a record: counts, amounts, moments and words as sources write them.

*Reads* text, numbers and objects of JSON and CSV. *Writes* whole numbers of tokens and of ``10**-SCALE`` currency units,
UTC moments and days. *Never* quotes a field: what stood in a rejected one is shown if it is a number or a word of the
source's vocabulary, and otherwise by its length, because the records of usage are full of keys, users and texts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

from ..exact import TOKENS_MAX, rescale
from ..units import CURRENCIES
from .reading import in_utc, loads, shown

SCALE: Final = 40
"""Decimals kept of an amount until the sum of its row is rounded: a binary float prints at most 17 digits."""
TIERS: Final[dict[str | None, str]] = {
    None: "standard",
    "standard": "standard",
    "default": "standard",
    "auto": "standard",
    "batch": "batch",
    "flex": "flex",
    "priority": "priority",
}
"""Service tiers as vendors spell them; no tier named is the standard one, as in a price list."""
_COUNT: Final = re.compile(r"-?\d{1,25}(\.0{1,9})?", re.ASCII)
_AMOUNT: Final = re.compile(r"[+-]?\d{1,40}(\.\d{1,60})?([eE][+-]?\d{1,3})?", re.ASCII)
_MOMENT: Final = re.compile(
    r"[12]\d{3}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?(?P<zone> ?UTC|Z|[+-]\d\d(:?\d\d)?)?", re.ASCII
)
_DAY: Final = re.compile(r"[12]\d{3}-\d\d-\d\d", re.ASCII)
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,|/ -]{0,47}", re.ASCII)


class Word(str):
    """A word of a source's vocabulary, such as a unit or a class of service: it may be shown when it is not ours."""


class UnusableRecord(Exception):
    """A record that is no usage, and why."""

    def __init__(self, reason: str, found: object = "") -> None:
        self.reason, self.found = reason, found
        super().__init__(reason)


def word(found: object) -> object:
    """Return `found` marked as a word that may be shown, if it is text."""
    return Word(found) if isinstance(found, str) else found


def safe(found: object) -> str:
    """Return what may be shown of `found`: a number, a marked word, or how much there is of any other text."""
    if not isinstance(found, str) or not found or _AMOUNT.fullmatch(found):
        return shown(found)
    plain = isinstance(found, Word) and _WORD.fullmatch(found)
    return shown(found) if plain else f"text of {len(found)} characters"


def count(found: object) -> int:
    """Return the number of tokens that `found` writes.

    Raises
    ------
    UnusableRecord
        If it is not a whole number from 0 to `TOKENS_MAX`.
    """
    whole = None
    if isinstance(found, str) and _COUNT.fullmatch(found.strip()):
        whole = int(found.strip().partition(".")[0])
    elif isinstance(found, int) and not isinstance(found, bool):
        whole = found
    elif isinstance(found, Decimal) and found.is_finite() and abs(found.adjusted()) < 20 and found == int(found):
        whole = int(found)
    if whole is not None and whole < 0:
        raise UnusableRecord("negative_count", found)
    if whole is None or whole > TOKENS_MAX:
        raise UnusableRecord("not_a_count", found)
    return whole


def counted(fields: Mapping[str, Any], *names: str) -> int | None:
    """Return the count under the first of `names` that holds one; null if none does."""
    for name in names:
        if fields.get(name) is not None:
            return count(fields[name])
    return None


def agreed(fields: Mapping[str, Any], *names: str) -> int | None:
    """Return the count that stands under `names`, the spellings of one field; null under none.

    Raises
    ------
    UnusableRecord
        If two spellings disagree.
    """
    found = {count(fields[name]) for name in names if fields.get(name) is not None}
    if len(found) > 1:
        raise UnusableRecord("contradicts_another_field", Word(", ".join(map(str, sorted(found)))))
    return next(iter(found), None)


def remainder(total: int | None, inside: Mapping[str, int | None], *, to: str) -> dict[str, int]:
    """Return the counts `inside` that are stated, and what is left of the `total` that holds them as component `to`.

    Raises
    ------
    UnusableRecord
        If the parts exceed the total, or stand without one.
    """
    stated = {component: tokens for component, tokens in inside.items() if tokens is not None}
    parts = sum(stated.values())
    if total is None:
        if parts:
            raise UnusableRecord("parts_without_total", parts)
        return {}
    if parts > total:
        raise UnusableRecord("parts_exceed_total", Word(f"{parts} of {total}"))
    return {to: total - parts, **stated}


def refuse_unknown(fields: Mapping[str, Any], known: frozenset[str], *, like: str = "tokens") -> None:
    """Raise UnusableRecord if a field that is not `known` holds a count: nobody knows what it counts again."""
    for name, found in fields.items():
        if like in name and name not in known and found not in (None, 0, "", "0"):
            raise UnusableRecord("unknown_field", Word(name))


def amount(found: object, *, scale: int = SCALE) -> int:
    """Return the amount that `found` writes, in units of ``10**-scale``.

    Raises
    ------
    UnusableRecord
        If it is not a decimal number of at most 15 digits before and `scale` after the point, or is negative.
    """
    text = str(found).strip() if isinstance(found, str | int | Decimal) and not isinstance(found, bool) else ""
    if isinstance(found, int) and found.bit_length() > 64:
        text = ""
    if not _AMOUNT.fullmatch(text):
        raise UnusableRecord("not_an_amount", found)
    money = Decimal(text)
    if money and (money.adjusted() > 14 or money.adjusted() < -scale - 60):
        raise UnusableRecord("not_an_amount", found)
    if money < 0:
        raise UnusableRecord("negative_amount", found)
    try:
        return rescale(money, scale=scale)
    except ValueError:
        raise UnusableRecord("not_an_amount", found) from None


def currency_of(found: object) -> str:
    """Return the currency code that `found` writes in any case."""
    code = found.strip().upper() if isinstance(found, str) else ""
    if code not in CURRENCIES:
        raise UnusableRecord("unknown_currency", word(found) if code.isalpha() and len(code) <= 8 else found)
    return code


def tier_of(found: object) -> str:
    """Return the service tier that a vendor calls `found`."""
    if not (found is None or isinstance(found, str)) or (found or None) not in TIERS:
        raise UnusableRecord("unknown_service_tier", word(found))
    return TIERS[found or None]


def moment(found: object, *, naive_is_utc: bool = False) -> datetime:
    """Return the moment that `found` writes, in UTC; without a zone it is one only where the source says so."""
    match = _MOMENT.fullmatch(found.strip()) if isinstance(found, str) else None
    if match is None or not (match["zone"] or naive_is_utc):
        raise UnusableRecord("not_a_date", found)
    text = re.sub(" ?UTC$", "Z", match[0]) if match["zone"] else match[0] + "Z"
    try:
        return in_utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise UnusableRecord("not_a_date", found) from None


def plain_day(found: object) -> date:
    """Return the day that `found` writes as ``2026-06-01``."""
    try:
        if isinstance(found, str) and _DAY.fullmatch(found.strip()):
            return date.fromisoformat(found.strip())
    except ValueError:
        pass
    raise UnusableRecord("not_a_date", found)


def named(fields: Mapping[str, Any], *names: str, reason: str) -> str:
    """Return the first text under `names` that is not empty; refuse the record for `reason` if there is none."""
    for name in names:
        if isinstance(fields.get(name), str) and fields[name].strip():
            text: str = fields[name]
            return text
    raise UnusableRecord(reason)


def nested(found: object) -> dict[str, Any]:
    """Return the object in a field, which a CSV export and some APIs write as JSON text; nothing is an empty one."""
    if isinstance(found, str) and found.strip():
        try:
            found = loads(found)
        except ValueError:
            raise UnusableRecord("not_an_object", found) from None
    if found is None or found == "":
        return {}
    if not isinstance(found, dict):
        raise UnusableRecord("not_an_object", found)
    return found


def epoch(found: object) -> datetime:
    """Return the moment that is `found` seconds after 1970-01-01 UTC."""
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found < 253_402_300_800:
        raise UnusableRecord("not_a_date", found)
    return datetime.fromtimestamp(found, UTC)
