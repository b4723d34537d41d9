"""Prices that a source writes more than once, under two names or in two rows.

*Reads* quotes with a key that says what each one prices. *Writes* those that stand, and rejects for the others. *Never*
picks one of two prices that contradict each other.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from decimal import Decimal
from typing import Any, TypeVar

from ..exact import parse_decimal
from .rows import Quote, Rows

Key = TypeVar("Key", bound=Hashable)


def unrepeated(
    rows: Rows, offers: Iterable[tuple[Key, Quote]], *, by: str, of: Callable[[Key], dict[str, Any]]
) -> list[tuple[Key, Quote]]:
    """Return the quotes that stand alone under their key, in their order.

    Of identical twins the first stands and the others are rejected as ``repeats_another_<by>``; twins that differ are
    all rejected as ``contradicts_another_<by>``. Two spellings of one number are identical. What is no number at all is
    no twin: it is returned, and rejected where prices are.

    Parameters
    ----------
    rows : Rows
        Takes the rejects.
    offers : iterable of (key, Quote)
        Quotes with equal keys price the same thing.
    by : str
        What repeats: ``field`` or ``row``.
    of : callable
        Gives what a key says of the offer, as `Rows.reject` takes it.
    """
    listed = [(key, quote, figure(quote.found)) for key, quote in offers if quote.found is not None]
    figures: dict[Key, set[Decimal]] = {}
    for key, _, number in listed:
        if number is not None:
            figures.setdefault(key, set()).add(number)
    standing, seen = [], set()
    for key, quote, number in listed:
        if number is not None and len(figures[key]) > 1:
            rows.reject(f"contradicts_another_{by}", quote.found, locator=quote.locator, **of(key))
        elif number is not None and key in seen:
            rows.reject(f"repeats_another_{by}", quote.found, locator=quote.locator, hides=False)
        else:
            standing.append((key, quote))
            if number is not None:
                seen.add(key)
    return standing


def figure(found: object) -> Decimal | None:
    """Return the exact number that `found` is or writes; null if it is none."""
    if isinstance(found, bool) or not isinstance(found, str | int | Decimal):
        return None
    try:
        return parse_decimal(str(found).strip())
    except ValueError:
        return None
