"""Changes: what each quote said, from when to when, and what was known around it at that moment.

*Reads* the input tables as they could be seen from one moment. *Writes* one row a change, with the facts that guards look
at. *Never* lets a fact depend on what entered later than the change it belongs to.

A **change** is a run of rows of one quote, in force one after the other, that say the same price: most snapshots only
repeat the one before. A price that was gone for a while and came back is one change with several **stays**: what stands
beside another price at a moment is a stay, so that its return says nothing of the time before. Work is done on changes
and not on dates, and everything is searched by a pair of whole numbers,
``group * width + moment``, in one pass: the cost of a row does not grow with the number of rows.

Amounts are whole 1e-15 currency units per million tokens, in 128 bits. A price beyond 1e13 currency units per million
tokens counts as that: it is far outside of every rule.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Final

import polars as pl

from .amounts import AMOUNT_MAX
from .exact import NANO, divide_columns
from .inputs import Inputs
from .looks import SNAPSHOT, replaced, showings, shown_again
from .tables import NEVER, UTC, instant
from .units import COMPONENTS

RATIO_MAX: Final = 10**20
"""Largest ratio that is told apart, in nano."""
PANEL: Final = ("input", "output", "cache_read", "cache_write")
"""The components whose prices are compared with each other."""
_OF_PANEL: Final = ("spread", "twin", "input", "partner", "partner_before")
_PARTNER: Final = {"input": "output", "output": "input", "cache_read": "cache_write", "cache_write": "cache_read"}
_COMPONENT: Final = pl.Enum(COMPONENTS)
_PARTNER_CODES: Final = pl.Series([COMPONENTS.index(_PARTNER[c]) if c in _PARTNER else None for c in COMPONENTS])


@dataclass(frozen=True, eq=False)
class Changes:
    """The changes that could be seen until a moment: at each moment what was known then, or all that is `known_at` one."""

    inputs: Inputs
    known_at: datetime | None
    until: datetime
    sellers: pl.Series | None = None
    """The only sellers whose quotes are looked at: ``seller`` of the quotes. None: all."""

    @property
    def last(self) -> datetime:
        """The last moment at which anything could become known."""
        return self.known_at or self.until

    @cached_property
    def _last(self) -> pl.Expr:
        return instant(self.last)

    @cached_property
    def _until(self) -> pl.Expr:
        return instant(self.until)

    def enters(self, dated: pl.Expr) -> pl.Expr:
        """Return the moment at which a row of a date can be seen."""
        return dated if self.known_at else pl.max_horizontal(dated, "known_at")

    @cached_property
    def _rows(self) -> pl.DataFrame:
        """The rows ever in force, by quote and moment: ``begin``, ``end``, ``stay``, and the ``k`` of its change."""
        row = pl.col("row").cast(pl.Int64)
        rows = self.inputs.quotes.select(
            *("seller", "component", "source", "spot", "look", "currency", "alias_of", "date_kind"),
            *("known_at", "valid_from", "valid_to"),
            quote=pl.col("quote").cast(pl.Int64),
            row=row,
            last_row=row,
            price=self.inputs.amounts,
            begin=self.enters(pl.col("valid_from")),
        )
        known = (pl.col("known_at") <= self._last) & (pl.col("begin") <= self._until)
        if self.sellers is not None:
            known &= pl.col("seller").is_in(self.sellers.implode())
        rows = self._ended(rows.filter(known))
        same = [pl.col(c).eq_missing(pl.col(c).shift(1)) for c in ("quote", "price", "currency", "alias_of")]
        again = pl.all_horizontal(same)
        stays = again & (pl.col("begin") == pl.col("end").shift(1))
        stay = (~stays).cum_sum().cast(pl.Int64) - 1
        return rows.with_columns(stay=stay, k=pl.when(~again).then(stay).forward_fill())

    @cached_property
    def bare(self) -> pl.DataFrame:
        """One row a change, by quote and moment: the row, ``begin``, ``end`` and price, without the facts around it."""
        return _runs(self._stays, of="k")

    @cached_property
    def _stays(self) -> pl.DataFrame:
        """One row a stay, as of `bare`."""
        return _runs(self._rows, of="stay")

    def _ended(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows ever in force, with ``end``: replaced, past its declared end, or gone from a snapshot."""
        moments = rows["begin"].unique().sort()
        width = len(moments) + 1
        at = pl.lit(moments).search_sorted(pl.col("begin")).cast(pl.Int64)
        entry = pl.col("quote") * width + at
        later = entry.shift(-1).reverse().cum_min().reverse()
        replaced = pl.when(later // width == pl.col("quote")).then(pl.lit(moments).gather(later % width))
        gone = pl.lit(self._gone()).gather(pl.col("look"))
        declared = pl.when(pl.col("valid_to") <= self._until).then("valid_to")
        ended = rows.with_columns(end=pl.min_horizontal(replaced, gone, declared))
        return ended.filter(pl.col("end").is_null() | (pl.col("begin") < pl.col("end")))

    def _gone(self) -> pl.Series:
        """Return when a later complete look at the source replaced each complete one, by its number; null: not yet."""
        looks = self.inputs.looks
        if looks.is_empty():
            return pl.Series(dtype=UTC)
        followed = replaced(self._visible(looks)).filter(pl.col("gone") < NEVER)
        return pl.repeat(None, len(looks), dtype=UTC, eager=True).scatter(followed["look"], followed["gone"])

    @cached_property
    def looked(self) -> pl.DataFrame:
        """The SIGHTINGS that could be seen, with ``enters``, the moment from which each counts."""
        return self._visible(self.inputs.sightings)

    def _visible(self, sightings: pl.DataFrame) -> pl.DataFrame:
        seen = sightings.with_columns(enters=self.enters(pl.col("seen_at")))
        return seen.filter((pl.col("known_at") <= self._last) & (pl.col("enters") <= self._until))

    @cached_property
    def looks(self) -> pl.DataFrame:
        """Each look at a source: ``source, begin, end`` (the next look) and ``until``."""
        moments = self.looked.select("source", begin="enters").unique().sort("source", "begin")
        return moments.with_columns(end=pl.col("begin").shift(-1).over("source"), until=self._until)

    @cached_property
    def days(self) -> pl.DataFrame:
        """The looks that gave a source a later day than any before: ``source``, when it was ``seen``, the day ``since``."""
        seen = self.looked.select("source", "enters", day=pl.col("seen_at").dt.date()).sort("source", "enters", "day")
        latest = pl.col("day").cum_max().shift(1).over("source")
        news = seen.filter((pl.col("day") > latest).fill_null(True))
        return news.select("source", seen="enters", since="day")

    def with_facts(self, wanted: Container[str], *, currencies: Iterable[str], rates: str) -> pl.DataFrame:
        """Return the changes with the facts `wanted`, and ``rate_XXX`` of each of `currencies` by the source `rates`."""
        found = self.grouped
        parts = [self._others(partners="partner_others" in wanted, count="other_sources" in wanted)]
        parts += [self._rates(found, c, source=rates) for c in sorted(currencies)]
        if any(name in wanted for name in _OF_PANEL):
            parts.append(self._panel(found, twins="twin" in wanted))
        if "reordered" in wanted:
            parts.append(self._ladders(found))
        for facts in parts:
            found = found.hstack(facts)
        found = _runs(found, of="k")
        previous = pl.col("quote") == pl.col("quote").shift(1)
        moved = previous & pl.col("alias_of").ne_missing(pl.col("alias_of").shift(1))
        if "partner_name" in wanted:
            found = found.with_columns(partner_name=pl.col("component").replace_strict(_PARTNER, default=None))
        gap = ratio(pl.col("price"), pl.col("others"))
        return found.with_columns(alias_moved=moved.fill_null(False), gap=gap, until=self._until)

    @cached_property
    def grouped(self) -> pl.DataFrame:
        """The stays with their component, their thing by the registry, and the group of what may be compared.

        ``at`` is the number of the moment at which a stay begins, among those at which one does.
        """
        moments = pl.lit(self._moments)
        found = self._stays.hstack(self.inputs.kindred[self._stays["row"]]).hstack(self._mapped(self._stays))
        code = found["component"].cast(_COMPONENT).to_physical().cast(pl.Int64)
        sorts = len(self.inputs.kindred["sort"].unique())
        thing = (pl.col("thing") * sorts + pl.col("sort")) * len(COMPONENTS)
        return found.with_columns(
            at=moments.search_sorted(pl.col("begin")).cast(pl.Int64),
            group=thing + code,
            partner_group=thing + _PARTNER_CODES.gather(code),
        )

    def _mapped(self, found: pl.DataFrame) -> pl.DataFrame:
        """Return ``constituent, host, thing`` of the seller of each stay on the day it began, or nulls."""
        spelled = self.inputs.spelled
        first, width = date.min.toordinal() - date(1970, 1, 1).toordinal(), date.max.toordinal() + 1

        def key(day: pl.Expr) -> pl.Expr:
            return pl.col("seller").cast(pl.Int64) * width + day.to_physical().cast(pl.Int64) - first

        keys = spelled.select(key(pl.col("i0"))).to_series()
        day = pl.col("begin").dt.date()
        at = found.select("seller", at=pl.lit(keys).search_sorted(key(day), side="right").cast(pl.Int64) - 1)
        last = at.select("seller", at=pl.when(pl.col("at") >= 0).then("at"))
        mine = pl.lit(spelled["seller"]).gather(pl.col("at")) == pl.col("seller")
        return last.select(
            pl.when(mine).then(pl.lit(spelled[fact]).gather(pl.col("at"))).alias(fact)
            for fact in ("constituent", "host", "thing")
        )

    def _others(self, *, partners: bool, count: bool) -> pl.DataFrame:
        """Return what other sources say of each stay: ``others``, and maybe ``partner_others`` and ``other_sources``."""
        stays = self.grouped
        asked = [stays.select("reporter", "at", "group", k="stay")]
        if partners:
            asked.append(stays.select("reporter", "at", group="partner_group", k=pl.col("stay") + len(stays)))
        # sorted once: to sort in every group takes three times as long
        around = self._around(pl.concat(asked)).sort("price_there").group_by("k")
        reporters = [pl.col("other").n_unique().cast(pl.Int64)] * count
        told = around.agg(pl.col("price_there").get((pl.len() - 1) // 2), *reporters)

        def spread(fact: str) -> pl.Series:
            nothing = pl.repeat(None, len(asked) * len(stays), dtype=told.schema[fact], eager=True)
            return nothing.scatter(told["k"], told[fact])

        prices = spread("price_there")
        found = [prices.head(len(stays)).alias("others")]
        if partners:
            found.append(prices.tail(len(stays)).alias("partner_others"))
        if count:
            found.append(spread("other").head(len(stays)).alias("other_sources"))
        return pl.DataFrame(found)

    @cached_property
    def _members(self) -> pl.DataFrame:
        """The quotes of each group: ``group, quote, other``, who reports it."""
        return self.grouped.select("group", "quote", other="reporter").unique()

    def _around(self, asked: pl.DataFrame) -> pl.DataFrame:
        """Return `asked` with ``other, price_there, begin_there``: the quotes of other reporters in force at it."""
        pairs = asked.join(self._members, on="group").filter(pl.col("reporter") != pl.col("other"))
        found = self._standing(pairs, "price", "group", "begin")
        return found.filter((pl.col("group_there") == pl.col("group")) & (pl.col("price_there") > 0))

    @cached_property
    def _moments(self) -> pl.Series:
        """The moments at which a stay begins."""
        return self._stays["begin"].unique().sort()

    @cached_property
    def _clock(self) -> pl.Series:
        """``quote * width + moment`` of every stay, in order."""
        return self.grouped.select(pl.col("quote") * (len(self._moments) + 1) + pl.col("at")).to_series()

    def _standing(self, pairs: pl.DataFrame, *facts: str) -> pl.DataFrame:
        """Return the `pairs` of ``quote`` and moment ``at`` where the quote was in force, with `facts` as ``…_there``."""
        wanted = pl.col("quote") * (len(self._moments) + 1) + pl.col("at")
        last = pairs.with_columns(last=pl.lit(self._clock).search_sorted(wanted, side="right").cast(pl.Int64) - 1)
        there = {name: pl.lit(self.grouped[name]).gather(pl.col("last")) for name in ("quote", "end", *facts)}
        open_ = there["end"].is_null() | (pl.lit(self._moments).gather(pl.col("at")) < there["end"])
        found = last.filter((pl.col("last") >= 0) & (there["quote"] == pl.col("quote")) & open_)
        return found.with_columns(there[name].alias(f"{name}_there") for name in facts)

    def _panel(self, named: pl.DataFrame, *, twins: bool) -> pl.DataFrame:
        """Return what the components of each offer cost, now and just before, and the twin that costs the same."""
        offers = named.select("quote", "begin", "end", "component", "price", "bundle")
        # a price that another of its quote follows at once is replaced, and has not ended
        followed = (pl.col("quote") == pl.col("quote").shift(-1)) & (pl.col("end") == pl.col("begin").shift(-1))
        gone = offers.filter(pl.col("end").is_not_null() & ~followed.fill_null(False))
        ends = gone.select("bundle", "component", begin="end", price=pl.lit(None, dtype=pl.Int128))
        told = pl.concat([ends, offers.select(ends.columns)])
        told = told.filter(pl.col("component").is_in(PANEL)).sort("bundle", "begin")
        last = [last_of(pl.col("component") == c, same="bundle").alias(c) for c in PANEL]
        wide = told.select("bundle", "begin", *(pl.col("price").gather(at).alias(at.meta.output_name()) for at in last))
        on = [pl.col(c) == pl.col(c).shift(-1) for c in ("bundle", "begin")]
        panel = wide.filter(~pl.all_horizontal(on).fill_null(False))  # the last row of a moment knows them all
        again = pl.col("bundle") == pl.col("bundle").shift(1)
        panel = panel.with_columns(pl.when(again).then(pl.col(c).shift(1)).alias(f"{c}_was") for c in PANEL)
        moved = (panel["bundle"] == panel["bundle"].shift(1)).arg_true()  # the others have no price before
        spread = pl.repeat(None, len(panel), dtype=pl.Int128, eager=True).scatter(moved, _spread(panel[moved]))
        panel = panel.with_columns(spread=spread)
        if twins:
            model = pl.lit(self.inputs.quotes["model"]).gather(pl.col("row"))
            shelves = named.select("bundle", "shelf", model=model).unique()
            panel = panel.join(_twins(panel, shelves), on=["bundle", "begin"], how="left", maintain_order="left")
        else:
            panel = panel.with_columns(twin=pl.lit(None, dtype=pl.String))
        joined = offers.join(panel, on=["bundle", "begin"], how="left", maintain_order="left")
        now, was = (
            pl.coalesce(pl.when(pl.col("component") == c).then(f"{p}{suffix}") for c, p in _PARTNER.items())
            for suffix in ("", "_was")
        )
        return joined.select("spread", "twin", "input", partner=now, partner_before=was)

    def _ladders(self, named: pl.DataFrame) -> pl.DataFrame:
        """Return whether the prices of a list of prompt-length brackets are those of before in another order."""
        rungs = named.select("quote", "at", "row", "price", "ladder")
        # only prices that change together can change places
        again = rungs.filter(pl.col("quote") == pl.col("quote").shift(1))
        moved = again.filter(pl.struct("ladder", "at").is_duplicated())["ladder"].unique()
        if moved.is_empty():
            return rungs.select(reordered=pl.repeat(False, pl.len()))
        several = rungs.filter(pl.col("ladder").is_in(moved.implode()))
        members = several.select("ladder", "quote", "row").unique("quote", keep="first")
        pairs = several.select("ladder", "at").unique().join(members, on="ladder")
        context_from = pl.lit(self.inputs.quotes["context_from"]).gather(pl.col("row"))
        state = self._standing(pairs, "price").drop_nulls("price_there").with_columns(context_from=context_from)
        text = pl.col("price_there").cast(pl.String)
        ordered = state.sort("ladder", "at", "context_from")
        lists = ordered.group_by("ladder", "at", maintain_order=True).agg(
            brackets=pl.col("context_from").cast(pl.String).str.join(" "),
            assigned=text.str.join(" "),
            prices=text.sort().str.join(" "),
        )
        same = {name: pl.col(name) == pl.col(name).shift(1) for name in ("ladder", *lists.columns[2:])}
        other_order = same["ladder"] & same["brackets"] & same["prices"] & ~same["assigned"]
        key = pl.col("ladder") * (len(self._moments) + 1) + pl.col("at")
        found = lists.filter(other_order).select(key).to_series()
        return rungs.select(reordered=key.is_in(found.implode()) & pl.col("price").is_not_null())

    def _rates(self, named: pl.DataFrame, currency: str, *, source: str) -> pl.DataFrame:
        """Return the larger over the smaller of one unit of the price's currency and of `currency`, in nano."""
        rates = self.inputs.rates.filter((pl.col("source") == source) & (pl.col("known_at") <= self._last))
        seen = rates.select(
            *("base", "quote", "rate_date", "known_at"),
            enters=self.enters(pl.col("rate_date").cast(UTC)),
            nano=pl.col("rate").to_physical().cast(pl.Int64).cast(pl.Int128),
        )
        seen = seen.filter(pl.col("enters") <= self._until).sort("enters", "rate_date", "known_at", "nano")
        # prices of one currency that begin at one moment have one rate; one in `currency` is not taken for itself
        found = (
            pl.when(pl.col("currency") == c).then(pl.lit(self._rate(seen, currency, c)).gather(pl.col("at")))
            for c in named["currency"].unique()
            if c != currency
        )
        nothing = pl.repeat(None, pl.len(), dtype=pl.Int128)
        return named.select(pl.coalesce(*found, nothing).alias(f"rate_{currency}"))

    def _rate(self, seen: pl.DataFrame, one: str, other: str) -> pl.Series:
        """Return the larger over the smaller of one unit of two currencies by the rates `seen`, at each of the moments."""

        def worth(currency: str, base: str) -> pl.Series:
            if currency == base:
                return pl.repeat(NANO, len(self._moments), dtype=pl.Int128, eager=True)
            legs = seen.filter(base=base, quote=currency)
            last = legs["enters"].search_sorted(self._moments, side="right")
            return pl.concat([pl.Series([None], dtype=pl.Int128), legs["nano"]]).gather(last)

        bases = sorted(seen["base"].unique())
        pairs = (ratio(pl.lit(worth(one, base)), pl.lit(worth(other, base))) for base in bases)
        # the first base that gave a rate by then: one that is known later must not take the place of another
        return pl.select(pl.coalesce(*pairs, pl.repeat(None, len(self._moments), dtype=pl.Int128))).to_series()

    def confirmed(self, asked: pl.DataFrame, *, sources: int, tolerance: int, days: int) -> pl.DataFrame:
        """Return ``k, end, second_source, second_day`` of the changes `asked` about: when each was confirmed in force.

        Parameters
        ----------
        asked : DataFrame
            Rows of `with_facts`.
        sources, tolerance, days : int
            Other sources that must show the price, relative tolerance in nano, and later days on which the source must.
        """
        within = (pl.col("price_there") - pl.col("price")).abs() * NANO <= pl.col("price") * tolerance
        moments = asked.select("k", "group", "reporter", "at", "begin", "end", "price")
        told = pl.concat(
            beside.select("k", "begin", "price", "other", "begin_there", "price_there")
            for beside in (self._around(moments), self._later(moments))
        )
        moment = pl.max_horizontal("begin", "begin_there").min()
        each = told.filter(within).group_by("k", "other").agg(moment=moment)
        enough = each.group_by("k").agg(
            pl.col("moment").sort().get(sources - 1, null_on_oob=True).alias("second_source")
        )
        late = pl.when(pl.col("date_kind") != "first_seen").then("known_at")
        asked = asked.with_columns(shown=pl.max_horizontal("begin", late))
        spans = self._rows.select("k", "begin", "end").join(asked.select("k"), on="k", how="semi")
        shown = showings(asked, spans, self._said, self.looked, self.inputs.silent, self.inputs.spots.blind)
        first = asked.select("k", "source", "shown").sort("shown").join_asof(
            self.days.sort("seen"), left_on="shown", right_on="seen", by="source", check_sortedness=False
        )  # fmt: skip
        day = shown_again(shown.join(first.select("k", "since"), on="k", maintain_order="left"), days=days)
        return asked.select("k", "end").join(enough, on="k", how="left").join(day, on="k", how="left")

    @cached_property
    def _said(self) -> pl.DataFrame:
        """What every row says, as `showings` takes it."""
        quote = pl.col("quote").cast(pl.Int64)
        told = self.inputs.amounts.alias("told"), pl.col("currency").alias("told_currency")
        return self.inputs.quotes.select(quote, *SNAPSHOT, "valid_from", "valid_to", *told)

    def _later(self, asked: pl.DataFrame) -> pl.DataFrame:
        """Return `asked` with ``other, price_there, begin_there`` of the stays of others that began while these stood."""
        width = len(self._moments) + 1
        known = pl.col("group").is_in(asked["group"].unique().implode()) & (pl.col("price") > 0)
        key = pl.col("group") * width + pl.col("at")
        there = {"other": "reporter", "price_there": "price", "begin_there": "begin"}
        rows = self.grouped.filter(known).select(key=key, **there).sort("key")
        group, keys = pl.col("group") * width, pl.lit(rows["key"])
        # one that has not ended stands until the last moment
        before = pl.lit(self._moments).search_sorted(pl.col("end").fill_null(NEVER)).cast(pl.Int64)
        span = asked.drop_nulls("group").with_columns(
            first=keys.search_sorted(group + pl.col("at") + 1).cast(pl.Int64),
            last=keys.search_sorted(group + before).cast(pl.Int64),
        )
        each = span.with_columns(place=pl.int_ranges("first", "last")).explode("place").drop_nulls("place")
        return each.hstack(rows[each["place"]]).filter(pl.col("reporter") != pl.col("other"))


def _runs(rows: pl.DataFrame, *, of: str) -> pl.DataFrame:
    """Return the first row of each run in which the column `of` is the same, with ``last_row`` and ``end`` of the last."""
    begins = (rows[of] != rows[of].shift(1)).fill_null(True)
    if begins.all():
        return rows
    last = rows.filter(begins.shift(-1, fill_value=True))
    return rows.filter(begins).with_columns(last["last_row"], last["end"])


def last_of(present: pl.Expr, *, same: str) -> pl.Expr:
    """Return the position of the last row up to each one where `present` holds and the column `same` is the same."""
    last = pl.when(present).then(pl.int_range(pl.len())).forward_fill()
    return pl.when(pl.col(same).gather(last) == pl.col(same)).then(last)


def ratio(one: pl.Expr, other: pl.Expr) -> pl.Expr:
    """Return the larger over the smaller of two positive amounts in nano; null where one is not positive."""
    quotient = divide_columns(pl.max_horizontal(one, other) * NANO, pl.min_horizontal(one, other))
    bounded = pl.min_horizontal(quotient, pl.lit(RATIO_MAX, dtype=pl.Int128))
    return pl.when((one > 0) & (other > 0)).then(bounded)


def _spread(panel: pl.DataFrame) -> pl.Series:
    """Return the larger over the smaller of the factors by which the components of an offer moved, in nano."""
    both = {c: (pl.col(c) > 0) & (pl.col(f"{c}_was") > 0) for c in PANEL}
    bounded = {c: pl.col(c).clip(0, RATIO_MAX * 10**7) * NANO for c in PANEL}
    factors = panel.select(
        pl.when(both[c]).then(divide_columns(bounded[c], pl.col(f"{c}_was")).clip(0, AMOUNT_MAX)).alias(c)
        for c in PANEL
    )
    ends = factors.select(high=pl.max_horizontal(PANEL), low=pl.min_horizontal(PANEL))
    return ends.select(ratio(pl.col("high"), pl.col("low"))).to_series()


def _twins(panel: pl.DataFrame, shelves: pl.DataFrame) -> pl.DataFrame:
    """Return ``bundle, begin, twin``: another model of the seller whose prices all components took over at once."""
    priced = panel.join(shelves, on="bundle").with_columns(
        until=pl.col("begin").shift(-1).over("bundle", order_by="begin"),
        vector=pl.concat_str([pl.col(c).cast(pl.String).fill_null("-") for c in PANEL], separator=" "),
    )
    changed = [(pl.col(c) > 0) & (pl.col(f"{c}_was") > 0) & (pl.col(c) != pl.col(f"{c}_was")) for c in PANEL]
    stayed = [pl.col(c).is_null() & pl.col(f"{c}_was").is_null() for c in PANEL]
    whole = pl.all_horizontal((a | b).fill_null(False) for a, b in zip(changed, stayed, strict=True))
    count = pl.sum_horizontal(a.fill_null(False).cast(pl.Int64) for a in changed)
    moved = priced.filter(whole & (count >= 2)).select("bundle", "begin", "shelf", "vector", "model")
    there = priced.select("shelf", "vector", since="begin", until="until", twin="model")
    held = (pl.col("since") < pl.col("begin")) & (pl.col("until").is_null() | (pl.col("until") > pl.col("begin")))
    pairs = moved.join(there, on=["shelf", "vector"]).filter(held & (pl.col("twin") != pl.col("model")))
    return pairs.group_by("bundle", "begin").agg(pl.col("twin").min())
