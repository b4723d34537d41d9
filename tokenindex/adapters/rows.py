"""Collecting the rows of one capture.

*Reads* prices as a source wrote them. *Writes* observations, rejects, and what the look could not read. *Never* drops a
price: what cannot be an observation is a reject with a reason and its place.

A reject may hide a price: unless its adapter says that it hides none, the look says nothing about the prices that it may
have been. Those are of the seller, model and component that the adapter names with the reject or around it; what it does
not name could be any.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Final, NamedTuple

import polars as pl

from ..exact import parse_decimal
from ..tables import OBSERVATIONS, QUOTE_KEY, REJECTS, SIGHTINGS, UNREAD
from . import Capture, Parsed
from .reading import Csv, shown, unreadable

CONTEXT_MAX: Final = 2**62
"""Longest prompt that a bracket may name, in tokens."""
ROWS_MAX: Final = 500_000
"""Most rows and rejects of one capture, thirty times what the largest price list has."""
_OFFER: Final = ("source", "provider", "model", "component")
_REJECT: Final = ("reason", "found", "locator", "hides", *_OFFER)


class Quote(NamedTuple):
    """One price as the source wrote it, and the prompt lengths for which it holds.

    Parameters
    ----------
    found : object
        What stands there; null means that nothing is quoted.
    locator : str
        Where it stands.
    context_from, context_to : object
        The price holds for prompts longer than the first and up to the second, in tokens. Without a declared end a
        bracket ends where the next one of its ladder begins.
    """

    found: object
    locator: str
    context_from: object = 0
    context_to: object = None


class Rows:
    """Collects the rows of one capture; each price is parsed as exact decimal text or rejected.

    The fields that every observation of a file shares are given once, as `common`.
    """

    def __init__(self, capture: Capture, **common: Any) -> None:
        self.capture = capture
        self._common: dict[str, Any] = {
            "source": capture.source,
            "service_tier": "standard",
            "region": "",
            "context_from": 0,
            "tax": "unknown",
            "valid_from": capture.seen_at,
            "date_kind": "first_seen",
            **self.provenance(),
            **common,
        }
        self._observations: list[dict[str, Any]] = []
        self._rejects: list[tuple[object, ...]] = []
        self._about: dict[str, Any] = {name: common[name] for name in _OFFER if name in common}

    def provenance(self) -> dict[str, Any]:
        """Return the provenance columns that all rows of this capture share."""
        c = self.capture
        return {"known_at": c.known_at, "reference": c.reference, "licence": c.licence, "capture": c.sha256}

    @contextmanager
    def about(self, **offer: object) -> Iterator[None]:
        """Take the rejects made inside for rejects of `offer`: ``source, provider, model`` or ``component``."""
        before = self._about
        self._about = before | offer
        try:
            yield
        finally:
            self._about = before

    def price(self, found: object, *, locator: str, **fields: Any) -> None:
        """Add one observation, or one reject if `found` is not the text of a decimal number; null adds nothing."""
        if found is None:
            return
        if isinstance(found, bool) or not isinstance(found, str | int | Decimal):
            self.reject("not_a_price", found, locator=locator, **fields)
            return
        try:
            price = parse_decimal(str(found).strip())
        except ValueError:
            self.reject("not_a_price", found, locator=locator, **fields)
            return
        self._refuse_many()
        self._observations.append({**self._common, **fields, "price": price, "locator": locator})

    def quotes(
        self,
        fields: Mapping[str, object],
        *,
        names: Mapping[str, str],
        ignored: Container[str],
        at: str,
        context_from: object = 0,
    ) -> list[tuple[str, Quote]]:
        """Return component and quote of each field in `names`; a field neither there nor in `ignored` is rejected."""
        found = []
        for key, price in fields.items():
            if key in names:
                found.append((names[key], Quote(price, at + key, context_from)))
            elif key not in ignored:
                self.reject("unknown_field", key, locator=at + key)
        return found

    def ladders(self, quotes: Iterable[tuple[str, Quote]], **fields: Any) -> None:
        """Add the prices of several components, each a ladder of brackets by prompt length."""
        by_component: dict[str, list[Quote]] = {}
        for component, quote in quotes:
            by_component.setdefault(component, []).append(quote)
        for component, ladder in by_component.items():
            self._ladder(ladder, component=component, **fields)

    def _ladder(self, quotes: list[Quote], **fields: Any) -> None:
        rungs = []
        for quote in quotes:
            start, end = whole(quote.context_from), whole(quote.context_to)
            if quote.found is None:
                continue
            if start is None or (end is None and quote.context_to is not None):
                self.reject("not_a_context_length", quote.context_from, locator=quote.locator, **fields)
            elif end is not None and end <= start:
                self.reject("empty_bracket", f"{start} to {end}", locator=quote.locator, **fields)
            else:
                rungs.append((start, end, quote))
        starts = sorted({start for start, _, _ in rungs})
        following = dict(itertools.pairwise(starts))
        for start, end, quote in rungs:
            to = following.get(start) if end is None else end
            self.price(quote.found, locator=quote.locator, context_from=start, context_to=to, **fields)

    def reject(self, reason: str, found: object, *, locator: str, hides: bool = True, **offer: Any) -> None:
        """Add one reject.

        Parameters
        ----------
        reason, found, locator : str
            Why, what stood there, and where.
        hides : bool
            Whether it may hide a price.
        **offer
            Whose: ``source, provider, model, component``; what is no name is not known, and other fields do not count.
        """
        self._refuse_many()
        of = self._about | offer
        names = (name if isinstance(name, str) and name else None for name in map(of.get, _OFFER))
        self._rejects.append((reason, shown(found), locator, hides, *names))

    def _refuse_many(self) -> None:
        if len(self._observations) + len(self._rejects) >= ROWS_MAX:
            raise unreadable(self.capture, f"more than {ROWS_MAX} rows and rejects", expected="a smaller file")

    def ragged(self, table: Csv, *, at: str = "line ", after: int = 0) -> None:
        """Add one reject for each row of `table` that has another number of cells than its header.

        Nobody knows what such a row offered: it may hide any price of the source.
        """
        for line, found in table.ragged:
            self.reject("ragged_row", found, locator=f"{at}{after + line}")

    def sighting(self, *, complete: bool) -> pl.DataFrame:
        """Return the one sighting that a snapshot is."""
        row = {"source": self.capture.source, "seen_at": self.capture.seen_at, "complete": complete, "locator": ""}
        return SIGHTINGS.frame([{**self.provenance(), **row}])

    def rejects(self) -> pl.DataFrame:
        """Return the rejects so far."""
        if not self._rejects:
            return REJECTS.empty()
        return REJECTS.conform(self._rejected().with_columns(capture=pl.lit(self.capture.sha256)))

    def _rejected(self) -> pl.DataFrame:
        schema: dict[str, Any] = dict.fromkeys(_REJECT, pl.String) | {"hides": pl.Boolean}
        return pl.DataFrame(self._rejects, schema=schema, orient="row")

    def parsed(self, *, complete: bool = True, looks: Callable[[pl.DataFrame], pl.DataFrame] | None = None) -> Parsed:
        """Return what was collected as the observations of one snapshot.

        Brackets that overlap are rejected. A snapshot without observations is never complete: it must not read as if
        everything had been withdrawn.

        Parameters
        ----------
        complete : bool
            Whether the snapshot is one of everything that its source offers.
        looks : callable, optional
            Gives SIGHTINGS for the observations, in place of the one look at one source that a snapshot is.
        """
        frame = OBSERVATIONS.frame(self._observations)
        clash = overlapping(frame)
        observations = frame.filter(~clash)
        if frame.is_empty() and not self._rejects:
            self.reject("empty_snapshot", "", locator="")
        whole = complete and not observations.is_empty()
        sightings = looks(observations) if looks else self.sighting(complete=whole)
        return Parsed(
            observations=observations,
            sightings=sightings,
            unread=self._unread(frame.filter(clash), sightings),
            rejects=pl.concat([self.rejects(), rejected(frame.filter(clash), "overlapping_brackets", found="price")]),
        )

    def _unread(self, clashing: pl.DataFrame, sightings: pl.DataFrame) -> pl.DataFrame:
        """Return UNREAD: once what the rejects may have been prices of, in any source that was seen if none is named."""
        clashing = clashing.select(*_OFFER, "locator", reason=pl.lit("overlapping_brackets"))
        hidden = pl.concat([self._rejected().filter("hides"), clashing], how="diagonal")
        seen = sightings.select(seen="source").unique(maintain_order=True)
        named = hidden.filter(pl.col("source").is_not_null())
        nameless = hidden.filter(pl.col("source").is_null()).join(seen, how="cross").with_columns(source="seen")
        rows = pl.concat([named, nameless], how="diagonal").unique(_OFFER, keep="first", maintain_order=True)
        facts = {name: pl.lit(fact, dtype=UNREAD.schema[name]) for name, fact in self.provenance().items()}
        return UNREAD.conform(rows.with_columns(**facts))


def overlapping(observations: pl.DataFrame) -> pl.Series:
    """Return whether a row's prompt-length bracket, or one of the same price list entry, overlaps another.

    An entry is one seller, model, component, tier, region and time of day, valid and known from the same moments. A
    withdrawal holds nowhere and overlaps nothing.
    """
    entry = [*(name for name in QUOTE_KEY if name != "context_from"), "valid_from", "known_at"]
    there = observations.select(*entry, "context_from", "context_to", "price").with_row_index("row")
    ordered = there.filter(pl.col("price").is_not_null()).sort(*entry, "context_from")
    # null is a time of day like any other here, and in the order of their beginnings brackets are disjoint exactly if
    # neighbours are
    run = pl.struct(entry).rle_id()
    meets = (run == run.shift(-1)) & (pl.col("context_from").shift(-1) < pl.col("context_to").fill_null(2**62))
    marked = ordered.select("row", run=run, meets=meets.fill_null(False))
    if not marked["meets"].any():
        return pl.repeat(False, len(there), eager=True)
    torn = marked.filter("meets")["run"]
    clashing = marked.filter(pl.col("run").is_in(torn.implode()))["row"]
    return there["row"].is_in(clashing.implode())


def rejected(rows: pl.DataFrame, reason: str, *, found: str) -> pl.DataFrame:
    """Return rejects for `rows`, which have a capture and a locator; `found` names the column to show."""
    return rows.select(
        reason=pl.lit(reason), found=pl.col(found).cast(pl.String).fill_null(""), capture="capture", locator="locator"
    )


def whole(found: object) -> int | None:
    """Return `found` as a whole number from 0 to `CONTEXT_MAX`, or null if it is not one."""
    if isinstance(found, bool) or not isinstance(found, int | Decimal):
        return None
    if isinstance(found, Decimal) and not found.is_finite():
        return None
    return int(found) if 0 <= found <= CONTEXT_MAX and found == int(found) else None
