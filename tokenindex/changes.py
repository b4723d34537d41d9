"""Changes: what each quote said, from when to when, and what was known around it at that moment.

*Reads* the input tables as they could be seen from one moment. *Writes* one row a change, with the facts that guards look
at. *Never* lets a fact depend on what entered later than the change it belongs to.

A **change** is a run of rows of one quote, in force one after the other, that say the same price: most snapshots only
repeat the one before. Work is done on changes and not on dates, and everything is searched by a pair of whole numbers,
``group * width + moment``, in one pass: the cost of a row does not grow with the number of rows.

Amounts are whole 1e-15 currency units per million tokens, in 128 bits. A price beyond 1e13 currency units per million
tokens counts as that: it is far outside of every rule.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final

import polars as pl

from .exact import NANO, divide_columns
from .looks import NEVER, SNAPSHOT, replaced, showings, shown_again
from .selection import SELLER, Inputs
from .tables import QUOTE_KEY
from .units import PER_MTOK

AMOUNT_MAX: Final = 10**28
"""Largest price that is told apart, in 1e-15 per million tokens: times `NANO` it stays under 2**126."""
RATIO_MAX: Final = 10**20
"""Largest ratio that is told apart, in nano."""
PANEL: Final = ("input", "output", "cache_read", "cache_write")
"""The components whose prices are compared with each other."""
_OF_PANEL: Final = ("spread", "twin", "input", "partner", "partner_before")
_NO_TWINS: Final = {"offer": pl.Int64, "begin": pl.Datetime, "twin": pl.String}
_PARTNER: Final = {"input": "output", "output": "input", "cache_read": "cache_write", "cache_write": "cache_read"}
_OFFER: Final = tuple(name for name in QUOTE_KEY if name != "component")
_LADDER: Final = tuple(name for name in QUOTE_KEY if name != "context_from")
_SHELF: Final = tuple(name for name in _OFFER if name != "model")
_THING: Final = (
    "constituent", "host", "service_tier", "region", "context_from", "time_from", "time_to", "time_zone", "currency",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Changes:
    """The changes that could be seen until a moment: at each moment what was known then, or all that is `known_at` one."""

    inputs: Inputs
    known_at: datetime | None
    until: datetime
    sellers: pl.DataFrame | None = None
    """The only sellers whose quotes are looked at: ``source, provider, model``. None: all."""

    @property
    def _last(self) -> datetime:
        return self.known_at or self.until

    def _enters(self, column: str) -> pl.Expr:
        """Return the moment at which a row dated by `column` can be seen."""
        return pl.col(column) if self.known_at else pl.max_horizontal(column, "known_at")

    @cached_property
    def _rows(self) -> pl.DataFrame:
        """The rows ever in force, by quote and moment: ``begin``, ``end``, price, and ``k``, the number of their change."""
        known = (pl.col("known_at") <= self._last) & (self._enters("valid_from") <= self.until)
        rows = self.inputs.quotes.filter(known)
        if self.sellers is not None:
            rows = rows.join(self.sellers, on=SELLER, how="semi", maintain_order="left")
        rows = rows.with_columns(begin=self._enters("valid_from"))
        rows = self._ended(rows.with_columns(price=amount()))
        same = [pl.col(c).eq_missing(pl.col(c).shift(1)) for c in ("quote", "price", "currency", "alias_of")]
        again = pl.all_horizontal(same).fill_null(False)
        return rows.with_columns(k=(~again).cum_sum().cast(pl.Int64) - 1, quote=pl.col("quote").cast(pl.Int64))

    @cached_property
    def bare(self) -> pl.DataFrame:
        """One row a change, by quote and moment: the row, ``begin``, ``end`` and price, without the facts around it."""
        first = pl.col(
            "begin", "source", "currency", "alias_of", "price", "known_at", "date_kind", "valid_from", "quote", "spot"
        )
        found = self._rows.group_by("k", maintain_order=True).agg(
            pl.col("row").first().cast(pl.Int64),
            pl.col("row").last().cast(pl.Int64).alias("last_row"),
            first.first(),
            pl.col("end").last(),
        )
        shown = (
            pl.when(pl.col("date_kind") == "first_seen").then("begin").otherwise(pl.max_horizontal("begin", "known_at"))
        )
        return found.with_columns(shown=shown).select(pl.exclude("k"), "k")

    def _ended(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows ever in force, with ``end``: replaced, past its declared end, or gone from a snapshot."""
        moments = rows["begin"].unique().sort()
        width = len(moments) + 1
        at = pl.lit(moments).search_sorted(pl.col("begin")).cast(pl.Int64)
        entry = pl.col("quote").cast(pl.Int64) * width + at
        later = entry.shift(-1).reverse().cum_min().reverse()
        replaced = pl.when(later // width == pl.col("quote")).then(pl.lit(moments).gather(later % width))
        gone = self._gone()
        if len(gone):
            rows = rows.join(gone, on=[*SNAPSHOT, "spot"], how="left", maintain_order="left")
        else:
            rows = rows.with_columns(gone=pl.lit(None, dtype=rows.schema["begin"]))
        declared = pl.when(pl.col("valid_to") <= self.until).then("valid_to")
        ended = rows.with_columns(end=pl.min_horizontal(replaced, "gone", declared))
        return ended.filter(pl.col("end").is_null() | (pl.col("begin") < pl.col("end")))

    def _gone(self) -> pl.DataFrame:
        """Return when a later complete look at the source replaced each complete snapshot, by spot; null: not yet."""
        seen = self.looked().filter("complete").lazy()
        found = replaced(seen, self.inputs.spots.blind).collect(engine="in-memory")
        return found.with_columns(gone=pl.when(pl.col("gone") < NEVER).then("gone"))

    def looked(self) -> pl.DataFrame:
        """Return the SIGHTINGS that could be seen, with ``enters``, the moment from which each counts."""
        seen = self.inputs.sightings.with_columns(enters=self._enters("seen_at"))
        return seen.filter((pl.col("known_at") <= self._last) & (pl.col("enters") <= self.until))

    @cached_property
    def looks(self) -> pl.DataFrame:
        """Each look at a source: ``source, begin, end`` (the next look) and ``until``."""
        moments = self.looked().select("source", begin="enters").unique().sort("source", "begin")
        return moments.with_columns(end=pl.col("begin").shift(-1).over("source"), until=pl.lit(self.until))

    @cached_property
    def days(self) -> pl.DataFrame:
        """The looks that gave a source a later day than any before: ``source``, when it was ``seen``, the day ``since``."""
        seen = self.looked().select("source", "enters", day=pl.col("seen_at").dt.date()).sort("source", "enters", "day")
        latest = pl.col("day").cum_max().shift(1).over("source")
        news = seen.filter((pl.col("day") > latest).fill_null(True))
        return news.select("source", seen="enters", since="day")

    def with_facts(self, wanted: Container[str], *, currencies: Iterable[str], rates: str) -> pl.DataFrame:
        """Return the changes with the facts `wanted`, and ``rate_XXX`` of each of `currencies` by the source `rates`."""
        found = self.named
        parts = [self._rates(found, c, source=rates) for c in sorted(currencies)]
        if any(name in wanted for name in _OF_PANEL):
            parts.append(self._panel(found, twins="twin" in wanted))
        if "reordered" in wanted:
            parts.append(self._ladders(found))
        for facts in parts:
            found = found.hstack(facts)
        previous = pl.col("quote") == pl.col("quote").shift(1)
        moved = previous & pl.col("alias_of").ne_missing(pl.col("alias_of").shift(1))
        return found.with_columns(alias_moved=moved.fill_null(False), until=pl.lit(self.until))

    @cached_property
    def named(self) -> pl.DataFrame:
        """The changes with their key, their constituent, and what other sources say: ``others, other_sources``."""
        rest = [name for name in (*QUOTE_KEY, "capture", "locator") if name not in ("source",)]
        found = self.bare.hstack(self.inputs.quotes.select(rest)[self.bare["row"]])
        mapped = found.select("k", *SELLER, day=pl.col("begin").dt.date()).join(self.inputs.mapping, on=SELLER)
        mapped = mapped.filter(pl.col("day").is_between("valid_from", "valid_to", closed="left"))
        found = found.join(mapped.select("k", "constituent", "host"), on="k", how="left", maintain_order="left")
        found = found.with_columns(partner_name=pl.col("component").replace_strict(_PARTNER, default=None))
        thing = _number(found, _THING)
        kinds = {name: number for number, name in enumerate(sorted(found["component"].unique()))}
        kinds |= {name: len(kinds) + number for number, name in enumerate(c for c in PANEL if c not in kinds)}
        unmapped = found["constituent"].is_null()
        groups = {
            name: pl.when(~unmapped).then(
                thing * len(kinds) + pl.col(column).replace_strict(kinds, default=None, return_dtype=pl.Int64)
            )
            for name, column in (("group", "component"), ("partner_group", "partner_name"))
        }
        found = found.with_columns(**groups)
        own = self._around(found, found.select("k", "group", "source", "begin")).group_by("k")
        middle = pl.col("price").sort().get((pl.len() - 1) // 2)
        others = own.agg(others=middle, other_sources=pl.col("source").n_unique().cast(pl.Int64))
        across = found.select("k", "source", "begin", group="partner_group")
        partner = self._around(found, across).group_by("k").agg(partner_others=middle)
        for facts in (others, partner):
            found = found.join(facts, on="k", how="left", maintain_order="left")
        gap = ratio(pl.col("price"), pl.col("others"))
        return found.with_columns(gap=gap)

    def _around(self, named: pl.DataFrame, asked: pl.DataFrame) -> pl.DataFrame:
        """Return ``k, source, price, begin`` of the quotes of other sources in force at each moment `asked` about."""
        members = named.drop_nulls("group").select("group", "quote", other="source").unique()
        pairs = asked.drop_nulls("group").join(members, on="group").filter(pl.col("source") != pl.col("other"))
        at = self._at(pairs)
        there = named.select("price", "end", of="group", showed="begin")[at.fill_null(0)]
        found = pairs.hstack(there).filter(at.is_not_null())
        open_ = pl.col("end").is_null() | (pl.col("begin") < pl.col("end"))
        held = found.filter((pl.col("of") == pl.col("group")) & open_ & (pl.col("price") > 0))
        return held.select("k", "price", source="other", begin="showed")

    @cached_property
    def _clock(self) -> tuple[pl.Series, pl.Series]:
        """The moments at which a change begins, and ``quote * width + moment`` of every change, in order."""
        moments = self.bare["begin"].unique().sort()
        at = pl.lit(moments).search_sorted(pl.col("begin")).cast(pl.Int64)
        keys = self.bare.select(pl.col("quote").cast(pl.Int64) * (len(moments) + 1) + at).to_series()
        return moments, keys

    def _at(self, pairs: pl.DataFrame) -> pl.Series:
        """Return the number of the change of each ``quote`` that had begun last at each ``begin``, or null."""
        moments, keys = self._clock
        at = pl.lit(moments).search_sorted(pl.col("begin"), side="right").cast(pl.Int64) - 1
        wanted = pl.col("quote") * (len(moments) + 1) + at
        last = pl.lit(keys).search_sorted(wanted, side="right").cast(pl.Int64) - 1
        numbers = pairs.select("quote", last=pl.when((at >= 0) & (last >= 0)).then(last))
        mine = pl.lit(self.bare["quote"]).gather(pl.col("last").fill_null(0)) == pl.col("quote")
        return numbers.select(pl.when(mine & pl.col("last").is_not_null()).then("last")).to_series()

    def _panel(self, named: pl.DataFrame, *, twins: bool) -> pl.DataFrame:
        """Return what the components of each offer cost, now and just before, and the twin that costs the same."""
        offers = named.select("k", "begin", "end", "component", "price", "model", offer=_number(named, _OFFER),
                              shelf=_number(named, _SHELF))  # fmt: skip
        ends = offers.filter(pl.col("end").is_not_null()).select(
            "offer", "component", begin="end", price=pl.lit(None, dtype=pl.Int128), rank=0
        )
        told = pl.concat([ends, offers.select("offer", "component", "begin", "price", rank=1)])
        told = told.filter(pl.col("component").is_in(PANEL)).sort("offer", "begin", "rank")
        last = [last_of(pl.col("component") == c, same="offer").alias(c) for c in PANEL]
        wide = told.select("offer", "begin", *(pl.col("price").gather(at).alias(at.meta.output_name()) for at in last))
        on = [pl.col(c) == pl.col(c).shift(-1) for c in ("offer", "begin")]
        panel = wide.filter(~pl.all_horizontal(on).fill_null(False))  # the last row of a moment knows them all
        again = pl.col("offer") == pl.col("offer").shift(1)
        panel = panel.with_columns(pl.when(again).then(pl.col(c).shift(1)).alias(f"{c}_was") for c in PANEL)
        shelves = offers.select("offer", "shelf", "model").unique()
        found = _twins(panel, shelves) if twins else pl.DataFrame(schema=_NO_TWINS | {"begin": panel.schema["begin"]})
        panel = panel.join(found, on=["offer", "begin"], how="left", maintain_order="left")
        panel = panel.with_columns(spread=_spread(panel))
        joined = offers.join(panel, on=["offer", "begin"], how="left", maintain_order="left")
        now, was = (
            pl.coalesce(pl.when(pl.col("component") == c).then(f"{p}{suffix}") for c, p in _PARTNER.items())
            for suffix in ("", "_was")
        )
        return joined.select("spread", "twin", "input", partner=now, partner_before=was)

    def _ladders(self, named: pl.DataFrame) -> pl.DataFrame:
        """Return whether the prices of a list of prompt-length brackets are those of before in another order."""
        rungs = named.select("quote", "begin", "context_from", "price", ladder=_number(named, _LADDER))
        several = rungs.filter(pl.col("quote").n_unique().over("ladder") > 1)
        members = several.select("ladder", "quote", "context_from").unique()
        pairs = several.select("ladder", "begin").unique().join(members, on="ladder")
        at = self._at(pairs)
        state = pairs.hstack(named.select("price", "end")[at.fill_null(0)]).filter(at.is_not_null())
        open_ = pl.col("end").is_null() | (pl.col("begin") < pl.col("end"))
        state = state.filter(open_ & pl.col("price").is_not_null()).sort("ladder", "begin", "context_from")
        text = pl.col("price").cast(pl.String)
        lists = state.group_by("ladder", "begin", maintain_order=True).agg(
            brackets=pl.col("context_from").cast(pl.String).str.join(" "),
            assigned=text.str.join(" "),
            prices=text.sort().str.join(" "),
        )
        before = {name: pl.col(name) == pl.col(name).shift(1).over("ladder") for name in lists.columns[2:]}
        again = lists.select("ladder", "begin", reordered=before["brackets"] & before["prices"] & ~before["assigned"])
        joined = rungs.join(again, on=["ladder", "begin"], how="left", maintain_order="left")
        return joined.select((pl.col("reordered") & pl.col("price").is_not_null()).fill_null(False))

    def _rates(self, named: pl.DataFrame, currency: str, *, source: str) -> pl.DataFrame:
        """Return the larger over the smaller of one unit of the price's currency and of `currency`, in nano."""
        rates = self.inputs.rates.filter(pl.col("source") == source)
        rates = rates.with_columns(pl.col("rate_date").cast(pl.Datetime("us", "UTC")).alias("day"))
        seen = rates.with_columns(
            enters=self._enters("day"), nano=pl.col("rate").to_physical().cast(pl.Int64).cast(pl.Int128)
        )
        seen = seen.filter((pl.col("known_at") <= self._last) & (pl.col("enters") <= self.until))
        ratios = [self._rate(named, seen.filter(base=base), currency, base=base) for base in sorted(set(seen["base"]))]
        nothing = pl.repeat(None, len(named), dtype=pl.Int128, eager=True)
        # the first base that gave a rate by then: one that is known later must not take the place of another
        return pl.select(pl.coalesce(*ratios, nothing).alias(f"rate_{currency}"))

    def _rate(self, named: pl.DataFrame, seen: pl.DataFrame, currency: str, *, base: str) -> pl.Series:
        """Return the ratio by the rates `seen` of one base; null for a price in `currency`: it is not taken for itself."""
        legs = seen.sort("enters", "rate_date", "known_at", "nano").select("enters", leg="quote", nano="nano")
        worth = []
        for leg in (pl.lit(currency), pl.col("currency")):
            asked = named.select("k", "begin", leg=leg).sort("begin")
            last = asked.join_asof(legs, left_on="begin", right_on="enters", by="leg", check_sortedness=False)
            one = pl.when(pl.col("leg") == base).then(pl.lit(NANO, dtype=pl.Int128)).otherwise("nano")
            worth.append(last.sort("k").select(one).to_series())
        pair = pl.DataFrame({"theirs": worth[0], "own": worth[1], "currency": named["currency"]})
        other = pl.col("currency") != currency
        return pair.select(pl.when(other).then(ratio(pl.col("theirs"), pl.col("own")))).to_series()

    def confirmed(self, asked: pl.DataFrame, *, sources: int, tolerance: int, days: int) -> pl.DataFrame:
        """Return ``k, second_source, second_day`` of the changes `asked` about: when each was confirmed while in force.

        Parameters
        ----------
        asked : DataFrame
            Rows of `with_facts`.
        sources, tolerance, days : int
            Other sources that must show the price, relative tolerance in nano, and later days on which the source must.
        """
        within = (pl.col("theirs") - pl.col("price")).abs() * NANO <= pl.col("price") * tolerance
        own = asked.select("k", "price", since="begin")
        around = self._around(self.named, asked.select("k", "group", "source", "begin"))
        told = pl.concat([around.rename({"price": "theirs"}), self._later(asked)]).join(own, on="k")
        each = (
            told.filter(within).group_by("k", "source").agg(pl.max_horizontal("begin", "since").min().alias("moment"))
        )
        enough = each.group_by("k").agg(
            pl.col("moment").sort().get(sources - 1, null_on_oob=True).alias("second_source")
        )
        shown = showings(asked, self._spans(asked), self._said, self.looked(), self.inputs.spots.blind)
        first = asked.select("k", "source", "shown").sort("shown").join_asof(
            self.days.sort("seen"), left_on="shown", right_on="seen", by="source", check_sortedness=False
        )  # fmt: skip
        day = shown_again(shown.join(first.select("k", "since"), on="k", maintain_order="left"), days=days)
        return asked.select("k").join(enough, on="k", how="left").join(day, on="k", how="left")

    def _spans(self, asked: pl.DataFrame) -> pl.DataFrame:
        return self._rows.select("k", "begin", "end").join(asked.select("k"), on="k", how="semi")

    @cached_property
    def _said(self) -> pl.DataFrame:
        """What every row says, as `showings` takes it."""
        quote = pl.col("quote").cast(pl.Int64)
        told = amount().alias("told"), pl.col("currency").alias("told_currency")
        return self.inputs.quotes.select(quote, *SNAPSHOT, "valid_from", "valid_to", *told)

    @cached_property
    def _by_group(self) -> tuple[pl.DataFrame, pl.Series]:
        """The priced changes of constituents by group and moment, and ``group * width + moment`` of each."""
        moments, _ = self._clock
        at = pl.lit(moments).search_sorted(pl.col("begin")).cast(pl.Int64)
        mapped = self.named.filter(pl.col("group").is_not_null() & (pl.col("price") > 0))
        keyed = mapped.select("source", "begin", "price", key=pl.col("group") * (len(moments) + 1) + at).sort("key")
        return keyed.drop("key"), keyed["key"]

    def _later(self, asked: pl.DataFrame) -> pl.DataFrame:
        """Return ``k, theirs, source, begin`` of the changes of other sources that began while those `asked` stood."""
        moments, _ = self._clock
        rows, keys = self._by_group
        width = len(moments) + 1
        group = pl.col("group") * width
        after = pl.lit(moments).search_sorted(pl.col("begin"), side="right").cast(pl.Int64)
        before = pl.when(pl.col("end").is_null()).then(len(moments)).otherwise(
            pl.lit(moments).search_sorted(pl.col("end")).cast(pl.Int64)
        )  # fmt: skip
        span = asked.drop_nulls("group").select(
            "k",
            mine="source",
            first=pl.lit(keys).search_sorted(group + after).cast(pl.Int64),
            last=pl.lit(keys).search_sorted(group + before).cast(pl.Int64),
        )
        each = span.with_columns(at=pl.int_ranges("first", "last")).explode("at").drop_nulls("at")
        found = each.hstack(rows[each["at"]]).filter(pl.col("source") != pl.col("mine"))
        return found.select("k", theirs="price", source="source", begin="begin")


def amount() -> pl.Expr:
    """Return the price in whole 1e-15 per million tokens, half-even; null where it is withdrawn or below zero."""
    factor = pl.col("unit").replace_strict({u: f.numerator for u, f in PER_MTOK.items()}, return_dtype=pl.Int128)
    raw = pl.col("price").to_physical().cast(pl.Int128)
    bounded = pl.min_horizontal(raw, pl.lit(AMOUNT_MAX * NANO, dtype=pl.Int128) // factor)
    return pl.when(raw >= 0).then(divide_columns(bounded * factor, pl.lit(NANO, dtype=pl.Int128)))


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


def _number(frame: pl.DataFrame, columns: Iterable[str]) -> pl.Series:
    """Return a number for each row, the same for rows that agree in `columns`."""
    keys = frame.select(columns)
    numbers = keys.unique().with_row_index("number").with_columns(pl.col("number").cast(pl.Int64))
    return keys.join(numbers, on=keys.columns, how="left", nulls_equal=True, maintain_order="left")["number"]


def _twins(panel: pl.DataFrame, shelves: pl.DataFrame) -> pl.DataFrame:
    """Return ``offer, begin, twin``: another model of the seller whose prices all components took over at once."""
    priced = panel.join(shelves, on="offer").with_columns(
        until=pl.col("begin").shift(-1).over("offer", order_by="begin"),
        vector=pl.concat_str([pl.col(c).cast(pl.String).fill_null("-") for c in PANEL], separator=" "),
    )
    changed = [(pl.col(c) > 0) & (pl.col(f"{c}_was") > 0) & (pl.col(c) != pl.col(f"{c}_was")) for c in PANEL]
    stayed = [pl.col(c).is_null() & pl.col(f"{c}_was").is_null() for c in PANEL]
    whole = pl.all_horizontal((a | b).fill_null(False) for a, b in zip(changed, stayed, strict=True))
    count = pl.sum_horizontal(a.fill_null(False).cast(pl.Int64) for a in changed)
    moved = priced.filter(whole & (count >= 2)).select("offer", "begin", "shelf", "vector", "model")
    there = priced.select("shelf", "vector", since="begin", until="until", twin="model")
    held = (pl.col("since") < pl.col("begin")) & (pl.col("until").is_null() | (pl.col("until") > pl.col("begin")))
    pairs = moved.join(there, on=["shelf", "vector"]).filter(held & (pl.col("twin") != pl.col("model")))
    return pairs.group_by("offer", "begin").agg(pl.col("twin").min())
