"""Guards: which new prices look like a mistake of the source, with the cause that the figures suggest.

*Reads* one change of one quote and what was known at that moment. *Writes* a reason code and a cause. *Never* corrects
a price, and never drops one: a guard notes a price, or holds it back until it is confirmed.

The facts of a change that a guard looks at (see `tokenindex.changes`), money in whole 1e-15 currency units per million
tokens: ``price``; ``before``, the price of the same quote that was believed last; ``others``, the lower median of the
prices of other sources for the same constituent, component, class, region, bracket, currency and kind of host; ``move``
and ``gap``, the larger over the smaller of the price and those two in nano; ``spread``, the larger over the smaller of the
factors by which the components of the offer moved. A fact that is not known is null, and no rule applies to it.
Comparisons are between integers; a ratio is rounded half-even to nine decimals before. At a tie a tolerance includes its
bound, and a bound is not exceeded.

``held_until`` of each rule says what happens to the price: ``not_held`` only notes it; ``second_source``,
``second_day`` and ``confirmed`` (the first of both) hold it back until then, by the numbers in ``[release]``; ``judgment``
until a person releases it. A judgment releases from any of them.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property, reduce
from typing import Final

import polars as pl

from ..exact import NANO, rescale
from ..units import CURRENCIES, HELD_UNTIL

_LARGEST: Final = 10**9

_PRICE, _BEFORE, _OTHERS = pl.col("price"), pl.col("before"), pl.col("others")
_FIRST = _BEFORE.is_null()


@dataclass(frozen=True, eq=False)
class Guard:
    """A reason code, where it applies and since when, the cause it suggests, and until when it holds the price.

    Guards are equal that say the same, in whichever document they stand.
    """

    reason: str
    applies: pl.Expr
    cause: pl.Expr
    held_until: str
    since: pl.Expr = field(default_factory=lambda: pl.col("begin"))
    of_source: bool = False
    currencies: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether the price is held back."""
        return self.held_until != "not_held"

    @cached_property
    def _terms(self) -> tuple[Hashable, ...]:
        said = (part.meta.serialize() for part in (self.applies, self.cause, self.since))
        return self.reason, *said, self.held_until, self.of_source, self.currencies

    def __eq__(self, other: object) -> bool:  # expressions cannot be compared
        return isinstance(other, Guard) and self._terms == other._terms

    def __hash__(self) -> int:
        return hash(self._terms)


@dataclass(frozen=True, kw_only=True)
class Release:
    """What confirms a price that is held back.

    Parameters
    ----------
    confirming_sources : int
        Other sources that must show the price for the same constituent, 1 to 10**6.
    tolerance : Decimal
        Relative distance at which another source's price counts as the same, 0 to 1.
    later_days : int
        Days after the first one on which the source was really looked at and still showed the price, at least 1.
    """

    confirming_sources: int
    tolerance: Decimal
    later_days: int

    def __post_init__(self) -> None:
        if not 1 <= self.confirming_sources <= 10**6 or not 1 <= self.later_days <= 3660:
            raise ValueError("confirming_sources must be 1 to 10**6, later_days 1 to 3660")
        _share(self.tolerance, name="tolerance")


def _share(number: Decimal, *, name: str) -> int:
    nano = rescale(number, scale=9)
    if not 0 <= nano <= NANO:
        raise ValueError(f"{name} must lie between 0 and 1")
    return nano


def _factor(number: Decimal, *, name: str) -> int:
    nano = rescale(number, scale=9)
    if not NANO < nano <= _LARGEST * NANO:
        raise ValueError(f"{name} must be above 1 and at most {_LARGEST:,}")
    return nano


def _days(number: int) -> pl.Expr:
    if not 1 <= number <= 3660:
        raise ValueError("days must be 1 to 3660")
    return pl.duration(days=number)


def _lasts(since: pl.Expr) -> pl.Expr:
    """Return whether what began has not ended by the moment `since`, and that moment has come."""
    return (pl.col("end").is_null() | (since < pl.col("end"))) & (since <= pl.col("until"))


def _until(held_until: str) -> str:
    if held_until not in HELD_UNTIL:
        raise ValueError(f"held_until is {held_until!r}, not one of {', '.join(HELD_UNTIL)}")
    return held_until


def _near(ratio: pl.Expr, factor: int | pl.Expr, tolerance: int) -> pl.Expr:
    """Return whether ``|ratio - factor| <= tolerance * factor``, all in nano."""
    if isinstance(factor, int):
        room = factor * tolerance // NANO
        return ratio.is_between(pl.lit(factor - room, dtype=pl.Int128), pl.lit(factor + room, dtype=pl.Int128))
    wanted = factor.cast(pl.Int128)
    return (ratio - wanted).abs() * NANO <= wanted * tolerance


def _same(one: pl.Expr, other: pl.Expr, tolerance: int) -> pl.Expr:
    """Return whether two positive prices differ by at most `tolerance` of the second."""
    return (one > 0) & (other > 0) & ((one - other).abs() * NANO <= other * tolerance)


def _any(conditions: list[pl.Expr]) -> pl.Expr:
    return reduce(lambda a, b: a | b, conditions).fill_null(False)


def _compared(by_move: pl.Expr) -> pl.Expr:
    """Return the words for the figure that a price was compared with, and in which direction it differs."""
    against_before = pl.when(_PRICE > _BEFORE).then(pl.lit("more")).otherwise(pl.lit("less"))
    against_others = pl.when(_PRICE > _OTHERS).then(pl.lit("more")).otherwise(pl.lit("less"))
    move = pl.format("{} than the price before", against_before)
    return pl.when(by_move.fill_null(False)).then(move).otherwise(pl.format("{} than at other sources", against_others))


def unit_factor(*, factors: tuple[int, ...], tolerance: Decimal, held_until: str) -> Guard:
    """Suspect a wrong unit where a price moves, or differs from other sources, by about a power that units differ by.

    :math:`|r - f| ≤ tolerance · f` for a factor :math:`f`, with :math:`r` the larger over the smaller of the price and the
    price before, or of the price and that of other sources.

    Parameters
    ----------
    factors : tuple of int
        Such as 1,000 (per thousand against per million) and 1,000,000 (per token); each at least 2.
    tolerance : Decimal
        Relative, 0 to 1: a wrong unit and a small change may come together.
    held_until : str
        One of `HELD_UNTIL`. A wrong unit can stand for months, so that a second day confirms little.
    """
    near = _share(tolerance, name="tolerance")
    if not factors or not all(2 <= f <= _LARGEST for f in factors):
        raise ValueError(f"factors must be whole numbers from 2 to {_LARGEST:,}")
    moved = {f: _near(pl.col("move"), f * NANO, near) for f in factors}
    apart = {f: _near(pl.col("gap"), f * NANO, near) for f in factors}
    by_move = _any(list(moved.values()))
    matched = pl.coalesce(
        *(pl.when(found[f]).then(pl.lit(f"{f:,}")) for found in (moved, apart) for f in factors), pl.lit("")
    )
    cause = pl.format("about {} times {}: the unit is likely mistaken", matched, _compared(by_move))
    return Guard("unit_factor", by_move | _any(list(apart.values())), cause, _until(held_until))


def currency_factor(*, currencies: tuple[str, ...], tolerance: Decimal, held_until: str) -> Guard:
    """Suspect a wrong currency where every component moves by about an exchange rate, or a first price is off by one.

    :math:`|r - e| ≤ tolerance · e` with :math:`e` the larger over the smaller of one unit of the price's currency and of
    one of `currencies`, at the rate known then. A change counts only if all priced components of the offer moved alike:
    the larger over the smaller factor is at most :math:`1 + tolerance`. A first price is compared with other sources.

    Parameters
    ----------
    currencies : tuple of str
        The currencies with which the price's own may be confused. One whose rate is near 1 makes small changes suspect.
    tolerance : Decimal
        Relative, 0 to 1: sources convert at rates of their own.
    held_until : str
        One of `HELD_UNTIL`.
    """
    near = _share(tolerance, name="tolerance")
    if not currencies or not set(currencies) <= CURRENCIES:
        raise ValueError("currencies must be ISO 4217 codes: " + " ".join(sorted(CURRENCIES)))
    alike = pl.col("spread") <= NANO + near
    moved = {c: _near(pl.col("move"), pl.col(f"rate_{c}"), near) & alike for c in currencies}
    apart = {c: _near(pl.col("gap"), pl.col(f"rate_{c}"), near) & _FIRST for c in currencies}
    by_move = _any(list(moved.values()))
    matched = pl.coalesce(
        *(pl.when(found[c]).then(pl.lit(c)) for found in (moved, apart) for c in currencies), pl.lit("")
    )
    text = "about the exchange rate of {} and {} {}: the currency is likely mistaken"
    cause = pl.format(text, pl.col("currency"), matched, _compared(by_move))
    found = by_move | _any(list(apart.values()))
    return Guard("currency_factor", found, cause, _until(held_until), currencies=currencies)


def vat_factor(*, rates: tuple[Decimal, ...], tolerance: Decimal, held_until: str) -> Guard:
    """Suspect tax in the price where every component moves by a rate of value added tax.

    :math:`|r - (1 + t)| ≤ tolerance · (1 + t)` for a rate :math:`t`, all priced components of the offer alike. A change by
    a fifth is ordinary as well: this rule is made for notes.

    Parameters
    ----------
    rates : tuple of Decimal
        Such as 0.19, above 0.
    tolerance : Decimal
        Relative, 0 to 1; tax is added exactly, so that only rounding needs room.
    held_until : str
        One of `HELD_UNTIL`.
    """
    near = _share(tolerance, name="tolerance")
    if not rates:
        raise ValueError("rates must not be empty")
    alike = pl.col("spread") <= NANO + near
    moved = {t: _near(pl.col("move"), _factor(1 + t, name="1 + rate"), near) & alike for t in rates}
    matched = pl.coalesce(*(pl.when(found).then(pl.lit(f"{t:%}")) for t, found in moved.items()), pl.lit(""))
    cause = pl.format("{} {}: tax may have been added or taken off", matched, _compared(pl.lit(True)))
    return Guard("vat_factor", _any(list(moved.values())), cause, _until(held_until))


def component_swapped(*, tolerance: Decimal, held_until: str) -> Guard:
    """Suspect that two components were exchanged: input with output, or cache read with cache write.

    The price is the partner's price before and the partner's price is the price before, both within `tolerance`, while the
    two differ by more; for a first price, the prices of other sources stand for the prices before.

    Parameters
    ----------
    tolerance : Decimal
        Relative, 0 to 1.
    held_until : str
        One of `HELD_UNTIL`.
    """
    near = _share(tolerance, name="tolerance")

    def crossed(own: pl.Expr, other: pl.Expr) -> pl.Expr:
        partner = pl.col("partner")
        return _same(_PRICE, other, near) & _same(partner, own, near) & ~_same(_PRICE, own, near)

    by_move = crossed(_BEFORE, pl.col("partner_before")).fill_null(False)
    apart = (crossed(_OTHERS, pl.col("partner_others")) & _FIRST).fill_null(False)
    against = pl.when(by_move).then(pl.lit("before")).otherwise(pl.lit("at other sources"))
    text = "{} and {} stand the other way round {}: they were likely exchanged"
    cause = pl.format(text, pl.col("component"), pl.col("partner_name"), against)
    return Guard("component_swapped", by_move | apart, cause, _until(held_until))


def component_order(*, held_until: str) -> Guard:
    """Suspect an output price below the input price, or a cache read price above it.

    The price is compared with the input price of the same offer at the same moment. Some offers are priced so.

    Parameters
    ----------
    held_until : str
        One of `HELD_UNTIL`.
    """
    output = (pl.col("component") == "output") & (_PRICE > 0) & (pl.col("input") > _PRICE)
    cached = (pl.col("component") == "cache_read") & (pl.col("input") < _PRICE) & (pl.col("input") > 0)
    cause = pl.when(output).then(pl.lit("output costs less than input")).otherwise(pl.lit("cached input costs more"))
    text = "{}: components may have been exchanged"
    return Guard("component_order", (output | cached).fill_null(False), pl.format(text, cause), _until(held_until))


def alias_repointed(*, held_until: str) -> Guard:
    """Suspect that a name now stands for another model.

    The row says that it repeats another model than before; or all components of the offer (two at least) changed at
    once and are now exactly those that another model of the same seller had already.

    Parameters
    ----------
    held_until : str
        One of `HELD_UNTIL`.
    """
    named = pl.col("alias_moved")
    cause = (
        pl.when(named)
        .then(pl.format("the name now repeats {}", pl.col("alias_of").fill_null("no other model")))
        .otherwise(pl.format("all prices are now those of {}: the name may stand for that model", pl.col("twin")))
    )
    return Guard("alias_repointed", named | pl.col("twin").is_not_null(), cause, _until(held_until))


def tiers_reordered(*, held_until: str) -> Guard:
    """Suspect the order of a tier list: the same prices as before stand at other prompt-length brackets.

    Parameters
    ----------
    held_until : str
        One of `HELD_UNTIL`.
    """
    cause = pl.lit("the same prices as before stand at other prompt-length brackets: the list was likely reordered")
    return Guard("tiers_reordered", pl.col("reordered"), cause, _until(held_until))


def frozen(*, days: int) -> Guard:
    """Note a price that has not changed for more than so many days. It is never held: an old price can be right.

    Parameters
    ----------
    days : int
        1 to 3660.
    """
    since = pl.col("begin") + _days(days)
    applies = (_PRICE > 0) & _lasts(since)
    cause = pl.lit(f"unchanged for {days} days: the source may no longer look")
    return Guard("frozen", applies, cause, "not_held", since=since)


def stale_source(*, days: int) -> Guard:
    """Note a source that was not looked at for more than so many days. `inputs.max_days_unseen` takes it out of use.

    Parameters
    ----------
    days : int
        1 to 3660.
    """
    since = pl.col("begin") + _days(days)
    applies = _lasts(since)
    cause = pl.lit(f"not looked at for {days} days: what it would say is not known")
    return Guard("stale_source", applies, cause, "not_held", since=since, of_source=True)


def sources_disagree(*, tolerance: Decimal, hosts: tuple[str, ...], held_until: str) -> Guard:
    """Suspect a new price that is far from what other sources say of the same thing.

    :math:`r > 1 + tolerance` with :math:`r` the larger over the smaller of the price and that of other sources. Sources lag
    their vendors by weeks, so that the first one to tell a change disagrees: this rule is made for notes.

    Parameters
    ----------
    tolerance : Decimal
        Above 0, at most 1.
    hosts : tuple of str
        Kinds of host (vendor, host, router) that are looked at; two hosts may well sell at different prices.
    held_until : str
        One of `HELD_UNTIL`.
    """
    bound = _factor(1 + tolerance, name="1 + tolerance")
    applies = (pl.col("gap") > bound) & pl.col("host").is_in(list(hosts))
    cause = pl.format("{} other sources say otherwise: one side is late or mistaken", pl.col("other_sources"))
    return Guard("sources_disagree", applies, cause, _until(held_until))


def unconfirmed_jump(*, bound: Decimal, held_until: str) -> Guard:
    """Suspect a change by more than a factor, or a first price so far from other sources.

    :math:`r > bound` with :math:`r` the larger over the smaller of the price and the price before, or without one of the
    price and that of other sources.

    Parameters
    ----------
    bound : Decimal
        Above 1. Cuts by 40 to 90% are ordinary in this market.
    held_until : str
        One of `HELD_UNTIL`.
    """
    far = _factor(bound, name="bound")
    by_move = pl.col("move") > far
    cause = pl.format(f"more than {bound} times {{}}", _compared(by_move))
    return Guard("unconfirmed_jump", by_move | (_FIRST & (pl.col("gap") > far)), cause, _until(held_until))


def flapping(*, changes: int, days: int, held_until: str) -> Guard:
    """Suspect a quote that changed at least so many times, this change included, within so many days.

    The price of a router is that of the endpoint it prefers at the moment.

    Parameters
    ----------
    changes : int
        2 to 10**6.
    days : int
        1 to 3660.
    held_until : str
        One of `HELD_UNTIL`.
    """
    if not 2 <= changes <= 10**6:
        raise ValueError("changes must be 2 to 10**6")
    begin = pl.col("begin")
    enough = pl.col("quote").shift(changes) == pl.col("quote")  # so many changes, and the first price before them
    within = begin - begin.shift(changes - 1) <= _days(days)
    cause = pl.lit(f"{changes} changes within {days} days: the quote jumps between offers")
    return Guard("flapping", enough & within, cause, _until(held_until))


def promotional_zero(*, held_until: str) -> Guard:
    """Suspect a zero where something was charged before, or is charged by other sources: a promotion, or unknown.

    Parameters
    ----------
    held_until : str
        One of `HELD_UNTIL`.
    """
    before = (_BEFORE > 0).fill_null(False)
    charged = before | (_OTHERS > 0).fill_null(False)
    against = pl.when(before).then(pl.lit("after a price")).otherwise(pl.lit("where other sources charge"))
    cause = pl.format("zero {}: a promotion, a subscription or unknown, and not a price", against)
    return Guard("promotional_zero", (_PRICE == 0) & charged, cause, _until(held_until))
