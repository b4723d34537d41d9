"""Inputs: the tables of a determination, with what is the same for every index, date and moment.

*Reads* the tables of the adapters and the registry. *Writes* them in canonical order, with numbers for what is looked up
often. *Never* looks at a methodology or at a date.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, fields
from datetime import date
from functools import cached_property
from typing import Any, Final, TypeVar

import polars as pl

from .adapters import Parsed
from .amounts import femto, nano
from .errors import InputDataError
from .exact import ROWS_MAX
from .looks import SNAPSHOT, Spots, numbered_looks
from .methodology import Methodology
from .spells import tile
from .tables import JUDGMENTS, OBSERVATIONS, OFFER_KEY, QUOTE_KEY, RATES, REGISTRY, SIGHTINGS, UNREAD, VOLUMES

SELLER: Final = ("source", "provider", "model")
BRACKET: Final = ("component", "context_from", "context_to", "marginal")
CAPTURED: Final = tuple(f.name for f in fields(Parsed) if f.name != "rejects")
"""The tables that captures give; the registry is written by people."""
_KEPT: Final = 8
"""Results that inputs keep for other indices of the same rules."""
T = TypeVar("T")


@dataclass(frozen=True)
class Inputs:
    """The input tables of a determination, as the adapters and the registry give them.

    Any row order gives the same determination.
    """

    observations: pl.DataFrame = field(default_factory=OBSERVATIONS.empty)
    volumes: pl.DataFrame = field(default_factory=VOLUMES.empty)
    sightings: pl.DataFrame = field(default_factory=SIGHTINGS.empty)
    unread: pl.DataFrame = field(default_factory=UNREAD.empty)
    rates: pl.DataFrame = field(default_factory=RATES.empty)
    judgments: pl.DataFrame = field(default_factory=JUDGMENTS.empty)
    registry: pl.DataFrame = field(default_factory=REGISTRY.empty)
    _kept: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, parsed: Sequence[Parsed], registry: pl.DataFrame) -> Inputs:
        """Return the input tables of several captures together."""
        if not parsed:
            return cls(registry=registry)
        together = {name: pl.concat([getattr(p, name) for p in parsed], rechunk=True) for name in CAPTURED}
        return cls(**together, registry=registry)

    def __repr__(self) -> str:
        sizes = ", ".join(f"{len(getattr(self, f.name)):,} {f.name}" for f in fields(self) if f.repr)
        return f"<Inputs {sizes}>"

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return what `make` gives, made once for a key: indices that share rules share the work.

        The key names the rules that the result depends on besides these inputs.
        """
        if key not in self._kept:
            made = make()
            for oldest in list(self._kept)[: 1 - _KEPT]:
                self._kept.pop(oldest, None)
            self._kept[key] = made
        found: T = self._kept.pop(key)
        self._kept[key] = found  # what was not asked for longest goes first
        return found

    def forget(self) -> None:
        """Drop what was kept for other indices; it is made again when it is asked for."""
        self._kept.clear()

    @cached_property
    def quotes(self) -> pl.DataFrame:
        """The observations in canonical order with the numbers of their quote, offer, seller, bracket, spot and look.

        An offer is what its quotes for several prompt lengths and hours make together; only complete looks have a number,
        another one for each blind spot. ``own`` is the price in nano of its own currency per million tokens.
        """
        shown = [*SNAPSHOT, "spot"]
        told = self.looks.select(*shown, "look").unique()
        rows = self._in_spots().join(told, on=shown, how="left", maintain_order="left")
        whole = pl.col("look").is_not_null()
        # a complete snapshot says what holds, also of the past; else the later date is the later word
        turn = {"first": ("known_at", "valid_from"), "then": ("valid_from", "known_at")}
        rows = rows.with_columns(pl.when(whole).then(a).otherwise(b).alias(name) for name, (a, b) in turn.items())
        ordered = rows.sort(*QUOTE_KEY, *turn, "price", "capture", "locator", nulls_last=True).drop(*turn)
        numbers = {"quote": QUOTE_KEY, "offer": OFFER_KEY, "seller": SELLER}
        return ordered.with_row_index("row").with_columns(
            nano(ordered).alias("own"),
            _number(BRACKET).alias("bracket"),
            **{name: pl.struct(key).rle_id() for name, key in numbers.items()},
        )

    def _in_spots(self) -> pl.DataFrame:
        """Return the observations with the number of their blind spot; 0: every look could read what they quote."""
        offers = self.spots.offers
        if offers.is_empty():
            return self.observations.with_columns(spot=pl.lit(0, dtype=pl.Int64))
        rows = self.observations.join(offers, on=[*SELLER, "component"], how="left", maintain_order="left")
        return rows.with_columns(pl.col("spot").fill_null(0))

    @cached_property
    def spots(self) -> Spots:
        """The offers that some look could not read."""
        return Spots.of(self.observations, self.unread)

    @cached_property
    def amounts(self) -> pl.Series:
        """The prices of the quotes in 1e-15, as guards compare them."""
        return femto(self.quotes)

    @cached_property
    def kindred(self) -> pl.DataFrame:
        """For each quote the numbers that tell which other ones guards compare it with.

        The components of a ``bundle`` are sold together, a ``shelf`` holds the bundles of all models of a seller, a
        ``ladder`` has a rung for each prompt length, of one ``sort`` are prices that may be compared between sellers, and
        ``reporter`` is the source.
        """
        bundle = [name for name in QUOTE_KEY if name != "component"]
        keys = {
            "bundle": bundle,
            "shelf": [name for name in bundle if name != "model"],
            "ladder": [name for name in QUOTE_KEY if name != "context_from"],
            "reporter": ["source"],
            "sort": [name for name in bundle if name not in SELLER] + ["currency"],
        }
        return self.quotes.select(**{name: _number(key) for name, key in keys.items()})

    @cached_property
    def looks(self) -> pl.DataFrame:
        """The complete looks by source, blind spot and time, with ``look``, the number of a snapshot in a spot."""
        return numbered_looks(self.sightings, self.spots.blind)

    @cached_property
    def silent(self) -> pl.DataFrame:
        """The snapshots that came without any observation, such as those of a source that tells changes."""
        return self.sightings.select(SNAPSHOT).unique().join(self.observations, on=SNAPSHOT, how="anti")

    @cached_property
    def usage(self) -> pl.DataFrame:
        """The volumes in canonical order with the number of their series, and the place of their constituent."""
        key = [*SELLER, "component", "service_tier", "period_start", "period_end"]
        ordered = (
            self.volumes.drop_nulls("tokens")
            .sort(*key, "known_at", "tokens", "capture", "locator")
            .with_row_index("row")
        )
        facts = self.mapping.select(*SELLER, "place", "valid_from", "valid_to")
        held = pl.col("period_start").is_between(pl.col("valid_from"), pl.col("valid_to"), closed="left")
        mapped = ordered.select("row", *SELLER, "period_start").join(facts, on=SELLER).filter(held)
        numbered = ordered.with_columns(series=pl.struct(key).rle_id())
        return numbered.join(mapped.select("row", "place"), on="row", how="left", maintain_order="left")

    @cached_property
    def mapping(self) -> pl.DataFrame:
        """The registry with the place of each constituent in alphabetical order.

        It is refused if two rows map the same seller at the same time or contradict each other.
        """
        span = [pl.col("valid_from").fill_null(date.min), pl.col("valid_to").fill_null(date.max)]
        rows = self.registry.with_columns(span).sort(*SELLER, "valid_from")
        same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in SELLER)
        again = rows.filter(same & (pl.col("valid_from") < pl.col("valid_to").shift(1)))
        facts = (
            rows.group_by("constituent")
            .agg(pl.col("vendor", "kind").n_unique())
            .filter((pl.col("vendor") > 1) | (pl.col("kind") > 1))
        )
        never = rows.filter(pl.col("valid_to") <= pl.col("valid_from"))
        for wrong, found in (
            (again, "is mapped twice at the same time"),
            (facts, "has two vendors or two kinds"),
            (never, "is mapped until a day that is not after its first one"),
        ):
            if len(wrong):
                first = wrong.select(pl.col([c for c in (*SELLER, "constituent") if c in wrong.columns])).row(0)
                raise InputDataError(
                    f"{' '.join(first)} {found}",
                    where="registry",
                    expected="one constituent for a seller's spelling on a date",
                    remedy="correct the registry",
                )
        if rows["constituent"].n_unique() > ROWS_MAX:
            raise InputDataError(
                f"it names {rows['constituent'].n_unique():,} constituents",
                where="registry",
                expected=f"at most {ROWS_MAX:,}: more could leave the proven bounds of exact sums",
            )
        return rows.with_columns(place=pl.col("constituent").rank("dense").cast(pl.Int64) - 1)

    @cached_property
    def places(self) -> int:
        """Number of constituents in the registry."""
        return len(self.models)

    @cached_property
    def models(self) -> pl.DataFrame:
        """The constituents of the registry in order of their place, with vendor and kind."""
        return self.mapping.select("constituent", "vendor", "place", "kind").unique().sort("place")

    @cached_property
    def spelled(self) -> pl.DataFrame:
        """The mapping of each ``seller`` of quotes in order, with rows of nulls for the times at which it is not mapped.

        A ``thing`` is a constituent sold by one kind of host.
        """
        sellers = self.quotes.select("seller", *SELLER).unique(maintain_order=True)
        days = {"i0": pl.col("valid_from"), "i1": pl.col("valid_to")}
        facts = self.mapping.join(sellers, on=SELLER, maintain_order="right")
        named = facts.select("seller", "source", "constituent", "place", "vendor", "kind", "host", **days)
        things = named.with_row_index("row").with_columns(_number(["place", "host"]).alias("thing")).drop("row")
        return tile(things, on=["seller", "source"], start=date.min, end=date.max).sort("seller", "i0")

    def universe(self, methodology: Methodology) -> pl.DataFrame:
        """Return ``constituent, vendor, place`` of every model of the registry that the methodology measures, in order."""
        wanted = pl.col("kind").is_in(list(methodology.measures.kinds))
        if methodology.measures.vendors:
            wanted &= pl.col("vendor").is_in(list(methodology.measures.vendors))
        return self.models.filter(wanted).drop("kind")

    @cached_property
    def currencies(self) -> frozenset[str]:
        """The currencies in which prices are observed."""
        return frozenset(self.observations["currency"].unique())


def _number(columns: Iterable[str]) -> pl.Expr:
    """Return a number for each row, the same for rows that agree in `columns`, in the order in which they come."""
    return pl.col("row").first().over(list(columns)).rank("dense").cast(pl.Int64) - 1
