"""Baskets: which constituents, in which quantities, and the divisor that links them.

*Reads* prices in use and lagged volumes on announcement and rebalance dates. *Writes* the BASKET table. *Never* lets a
rebalance move the level by anything but prices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import cached_property
from itertools import groupby
from typing import Any, NamedTuple

import polars as pl

from .errors import DeterminationError
from .exact import NANO, TOKENS_MAX, apportion, divide
from .periods import Calendar
from .rules.caps import CapsInfeasible, capped_shares
from .rules.formulas import FixedBasket
from .rules.waterfall import Minimums, Rung
from .tables import BASKET


class Priced(NamedTuple):
    """The constituents on a date, in order of their names, a sequence for each fact.

    ``used`` is the price in use in nano, ``tokens`` the lagged volume, ``fresh`` whether the price is of the date itself.
    """

    constituent: Sequence[str]
    vendor: Sequence[str]
    used: Sequence[int | None]
    tokens: Sequence[int | None]
    fresh: Sequence[bool]


@dataclass(frozen=True)
class Member:
    """One constituent of a basket: volume, price and shares on the announcement date, and the quantity they give."""

    constituent: str
    vendor: str
    tokens: int
    base_price: int
    uncapped_weight: int
    weight: int
    quantity: int


@dataclass(frozen=True)
class Note:
    """A rebalance that could not be made, and why: the basket before stayed in force."""

    rebalance: date
    why: str

    def __str__(self) -> str:
        return f"no new basket on {self.rebalance}: {self.why}"


@dataclass(frozen=True)
class Basket:
    """A formed basket with its divisor; `takes_over_after` is the rebalance date."""

    number: int
    announced_on: date
    takes_over_after: date
    members: tuple[Member, ...]
    divisor: int = 0

    @cached_property
    def base_cost(self) -> int:
        """Cost of the basket on the announcement date, in 1e-15 index currency."""
        return sum(m.quantity * m.base_price for m in self.members)

    @cached_property
    def quantity(self) -> int:
        """All tokens in the basket."""
        return sum(m.quantity for m in self.members)

    def cost(self, prices: dict[str, int]) -> Fraction | None:
        """Return the cost of the basket at `prices`; members without a price move as the others do, on average.

        :math:`Σ_{avail} q p(t) · Σ q p(a) / Σ_{avail} q p(a)`; None if no member has a price.
        """
        there = [m for m in self.members if m.constituent in prices]
        base = sum(m.quantity * m.base_price for m in there)
        if not base:
            return None
        return Fraction(sum(m.quantity * prices[m.constituent] for m in there) * self.base_cost, base)

    def level(self, prices: dict[str, int], *, step: int) -> int | None:
        """Return the level at `prices` in nano points, rounded half-even to `step`."""
        cost = self.cost(prices)
        return None if cost is None else level_of(cost.numerator, cost.denominator * self.divisor, step=step)


def level_of(numerator: int, denominator: int, *, step: int) -> int:
    """Return ``numerator / denominator`` index points in nano, rounded half-even to a multiple of `step`."""
    level = divide(numerator * NANO, denominator * step) * step
    if level >= 2**63:
        raise DeterminationError("the level is beyond what 64 bits hold in nano points", expected="below 9.2e9 points")
    return level


def rebalance_dates(formula: FixedBasket, calendar: Calendar, *, last: date) -> list[tuple[date, date]]:
    """Return ``(announcement date, rebalance date)`` of every basket that has taken over before or on `last`.

    The first is the base date; the others are the first fixing date on or after the rebalance day of each month.
    """
    base, found = formula.base_date, []
    year, month = base.year, base.month
    while (start := date(year, month, formula.rebalance_day)) <= last:
        day = calendar.on_or_after(start)
        if day is not None and base < day <= last:
            found.append(day)
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    days = ([base] if base <= last else []) + found
    numbers = [calendar.number(day) for day in days]
    return [(calendar.dates[n - formula.announce_dates], calendar.dates[n]) for n in numbers]


def form_baskets(
    formula: FixedBasket,
    dates: Sequence[tuple[date, date]],
    *,
    on: Callable[[date], Priced],
    after: Sequence[Basket],
    rungs: Sequence[Rung],
    step: int,
) -> tuple[list[Basket], list[Note]]:
    """Return the chain of baskets, and a note for every rebalance that could not be made.

    Where a basket cannot be formed or linked the one before stays in force: the level is never set anew.

    Parameters
    ----------
    formula : FixedBasket
        The parameters.
    dates : sequence of (date, date)
        Announcement and rebalance dates in order.
    on : callable
        Gives the constituents of a date.
    after : sequence of Basket
        Baskets formed before; the new ones follow the last of them.
    rungs : sequence of Rung
        The waterfall: a basket is linked only at a level that one of its minimums would publish.
    step : int
        Rounding step of the level, in nano points.
    """
    baskets = list(after)
    notes: list[Note] = []
    for announced, day in dates:
        there = on(day)
        named = zip(there.constituent, there.used, strict=True)
        prices = {name: used for name, used in named if used is not None}
        level = formula.base_level if day == formula.base_date else baskets and baskets[-1].level(prices, step=step)
        try:
            members = _members(formula, on(announced))
        except CapsInfeasible as why:
            notes.append(Note(day, str(why)))
            continue
        new = Basket(len(baskets), announced, day, members)
        cost = new.cost(prices)
        thin = baskets and not _publishable(baskets[-1], prices, there, rungs)
        if not level or cost is None or thin:
            notes.append(Note(day, "the date has no calculated level to link it with"))
            continue
        divisor = divide(cost.numerator * NANO, cost.denominator * level)
        baskets.append(Basket(new.number, announced, day, members, divisor))
    return baskets, notes


def _publishable(basket: Basket, prices: dict[str, int], constituents: Priced, rungs: Sequence[Rung]) -> bool:
    """Return whether the figure of a basket on a date meets the minimums of some rung."""
    fresh = dict(zip(constituents.constituent, constituents.fresh, strict=True))
    there = [m for m in basket.members if m.constituent in prices]
    weight = sum(m.weight for m in there if fresh[m.constituent])
    coverage = divide(weight * NANO, sum(m.weight for m in basket.members))
    vendors = len({m.vendor for m in there})
    return any(
        len(there) >= rung.constituents and vendors >= rung.vendors and coverage >= rung.coverage
        for rung in rungs
        if isinstance(rung, Minimums)
    )


def _members(formula: FixedBasket, constituents: Priced) -> tuple[Member, ...]:
    """Return the members: largest expenditure first cut, then capped shares, then quantities, each rounded once."""
    facts = enumerate(zip(constituents.used, constituents.tokens, constituents.fresh, strict=True))
    rows = {k: (used, tokens) for k, (used, tokens, fresh) in facts if fresh and used and tokens}
    spent = {k: used * tokens for k, (used, tokens) in rows.items()}
    ranked = sorted(spent, key=spent.__getitem__, reverse=True)  # ties stay in order of their names
    kept = sorted(ranked[: formula.max_constituents])
    if not kept:
        priced, counted = sum(constituents.fresh), sum(map(bool, constituents.tokens))
        raise CapsInfeasible(
            f"of {len(constituents.used)} models {priced} had a price and {counted} a volume on the announcement date, "
            "none both"
        )
    names, vendors = [constituents.constituent[k] for k in kept], [constituents.vendor[k] for k in kept]
    prices, tokens, worth = [rows[k][0] for k in kept], [rows[k][1] for k in kept], [spent[k] for k in kept]
    shares = capped_shares(worth, vendors=vendors, model_cap=formula.model_cap, vendor_cap=formula.vendor_cap)
    weights = _rounded(shares, vendors, formula)
    quantities = [divide(w * formula.notional * 10**6, price) for w, price in zip(weights, prices, strict=True)]
    columns = names, vendors, tokens, prices, apportion(worth, total=NANO), weights, quantities
    members = tuple(member for member in map(Member, *columns) if member.quantity > 0)
    for member in members:
        if member.quantity > TOKENS_MAX:
            raise DeterminationError(
                f"the basket would hold {member.quantity} tokens of {member.constituent}",
                expected=f"at most {TOKENS_MAX}",
                remedy="lower the notional of the methodology",
            )
    return tuple(members)


def _rounded(shares: Sequence[int], vendors: Sequence[str], formula: FixedBasket) -> list[int]:
    """Return nano shares in proportion to `shares`, summing to one and within both caps: by vendor, then by model."""
    ordered = sorted(range(len(shares)), key=vendors.__getitem__)
    groups = [list(members) for _, members in groupby(ordered, key=vendors.__getitem__)]
    cap, most = int(formula.model_cap * NANO), int(formula.vendor_cap * NANO)
    of_vendor = [sum(shares[k] for k in members) for members in groups]
    room = [min(most, cap * len(members)) for members in groups]
    rounded = [0 for _ in shares]
    for total, members in zip(apportion(of_vendor, total=NANO, room=room), groups, strict=True):
        parts = apportion([shares[k] for k in members], total=total, room=[cap] * len(members))
        for k, part in zip(members, parts, strict=True):
            rounded[k] = part
    return rounded


def basket_table(baskets: Sequence[Basket]) -> pl.DataFrame:
    """Return the BASKET table: one row a basket and member."""
    rows: list[dict[str, Any]] = [
        {
            "basket": b.number,
            "announced_on": b.announced_on,
            "takes_over_after": b.takes_over_after,
            **vars(m),
            "divisor": b.divisor,
        }
        for b in baskets
        for m in b.members
    ]
    return BASKET.frame_of_nano(rows)
