"""Places: at which value of a group the weight so far reaches what is asked for, without sorting large groups.

*Reads* values and weights in whole numbers, group after group. *Writes* one row a group. *Never* lets the order
of the rows, or which way a place was found, change the value found.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from .exact import NANO

Ints = npt.NDArray[Any]

_SMALL: Final = 64
"""Groups of fewer rows are sorted all at once; in larger ones the place is found without sorting."""
_SORTED: Final = 512
"""Fewer rows are sorted, which is as fast as putting them into buckets."""
_BITS: Final = 10
"""Two to this power is the number of buckets."""
_ROWS: Final = 256
"""About so many rows are looked at to choose the ends of the buckets."""
_EXACT_FLOAT: Final = 2**53
_INT64: Final = 2**63
_LARGEST: Final = 2**62
"""The difference of two values below it fits 64 bits."""


@dataclass(frozen=True)
class Place:
    """A share of the weight in billionths, and whether it must be reached (lower) or passed (upper)."""

    share: int
    passed: bool

    def of(self, total: int) -> int:
        """Return the weight so far that a value must have: from 1 to all of it."""
        if self.passed:
            return max(1, min(total, self.share * total // NANO + 1))
        return max(1, -(-self.share * total // NANO))

    def column(self, total: pl.Expr) -> pl.Expr:
        """Return the same of a column of Int128: a total of 64-bit weights is under 2**95, the product under 2**125."""
        one = pl.lit(1, pl.Int128)
        if self.passed:
            return pl.max_horizontal(one, pl.min_horizontal(total, total * self.share // NANO + 1))
        return pl.max_horizontal(one, (total * self.share + (NANO - 1)) // NANO)


@dataclass(frozen=True)
class Stretches:
    """Groups one after the other: the number of rows of each, at least one, and the values and weights of all."""

    sizes: pl.Series
    v: pl.Series
    w: pl.Series

    @property
    def each(self) -> pl.DataFrame:
        """One row a row: ``group`` (its number), ``v, w``."""
        group = pl.Series(np.repeat(np.arange(len(self.sizes), dtype=np.uint32), self.sizes.to_numpy())).set_sorted()
        return pl.DataFrame({"group": group, "v": self.v, "w": self.w})


def located(rows: Stretches, places: list[Place]) -> pl.DataFrame:
    """Return ``group, total, at0, …``: the smallest value of each group whose weight so far is what each place needs.

    The places must be neighbours (the two sides of one share), in ascending order. Without weight there is no value.
    """
    small = rows.sizes < _SMALL
    large = _one_by_one(rows, (~small).arg_true().to_list(), places)
    if not small.any():
        return large
    few = rows.each.filter(pl.lit(small).gather(pl.col("group")))
    return pl.concat([_all_sorted(few, places), large])


def _schema(places: list[Place]) -> dict[str, Any]:
    return {"group": pl.UInt32, "total": pl.Int128, **{f"at{n}": pl.Int64 for n in range(len(places))}}


def _all_sorted(each: pl.DataFrame, places: list[Place]) -> pl.DataFrame:
    """Return the places of many small groups, which are sorted in one go."""
    w = pl.col("w").cast(pl.Int128)
    rows = each.sort("group", "v")
    so_far = rows.with_columns(so_far=w.cum_sum().over("group"), total=w.sum().over("group"))
    at = {
        f"at{n}": pl.col("v").filter(pl.col("so_far") >= p.column(pl.col("total"))).min() for n, p in enumerate(places)
    }
    found = so_far.group_by("group", maintain_order=True).agg(pl.col("total").first(), **at)
    return found.select(pl.col(name).cast(kind) for name, kind in _schema(places).items())


def _one_by_one(rows: Stretches, groups: list[int], places: list[Place]) -> pl.DataFrame:
    """Return the places of large groups, each found on its own slice of the columns."""
    ends = np.cumsum(rows.sizes.to_numpy(), dtype=np.int64)
    starts = ends - rows.sizes.to_numpy()
    v, w = rows.v.to_numpy(), rows.w.to_numpy()
    longest = max((int(ends[n] - starts[n]) for n in groups), default=0)

    def found(some: list[int]) -> list[tuple[Any, ...]]:
        room = Room.of(longest)
        return [(n, *_find(v[starts[n] : ends[n]], w[starts[n] : ends[n]], places, room)) for n in some]

    # every thread takes one run of groups: more and smaller tasks wait for each other
    threads = pl.thread_pool_size()
    share = -(-len(groups) // threads) or 1
    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(found, [groups[k : k + share] for k in range(0, len(groups), share)]))
    results = [each for part in parts for each in part]
    schema = _schema(places)
    columns = zip(*results, strict=True) if results else ((),) * len(schema)
    return pl.DataFrame(dict(zip(schema, columns, strict=True)), schema=schema)


@dataclass(frozen=True)
class Room:
    """Arrays that a thread writes over for each group: to make new ones costs more than to fill them."""

    numbers: Ints
    weights: Ints
    flags: Ints

    @classmethod
    def of(cls, size: int) -> Room:
        """Return room for groups of up to so many rows."""
        return cls(np.empty(size, np.int64), np.empty(size, np.float64), np.empty(size, np.bool_))


def _find(v: Ints, w: Ints, places: list[Place], room: Room) -> tuple[Any, ...]:
    """Return the weight of a group and its values at `places`; none without weight."""
    total = int(w.sum()) if int(w.max()) * len(w) < _INT64 else sum(w.tolist())
    if not total:
        return 0, *[None] * len(places)
    needs = [place.of(total) for place in places]
    if total >= _INT64:
        w = w.astype(object)  # slower, and never wraps
    narrowed = total < _EXACT_FLOAT
    while narrowed and len(v) > _SORTED:
        low, high = _ends(v)
        if low <= -_LARGEST or high >= _LARGEST:
            break
        shift = max(0, (high - low).bit_length() - _BITS)
        buckets, so_far = _bucketed(v, w, low, high, shift, room)
        first, last = (int(n) for n in np.searchsorted(so_far, [needs[0], needs[-1]]))
        inner = first > 0 and last < (high - low) >> shift
        if inner and not shift:  # such a bucket has one value
            return total, *(low + int(n) for n in np.searchsorted(so_far, needs))
        inside = _within(buckets, first, last, room)
        # where the ends were badly chosen, sorting is faster than going on
        narrowed = (inner and first == last) or 2 * len(inside) <= len(v)
        before = int(so_far[first - 1]) if first else 0
        v, w, needs = v[inside], w[inside], [need - before for need in needs]
    return total, *_sorted_at(v, w, needs)


def _ends(v: Ints) -> tuple[int, int]:
    """Return a range in which most of some rows lie, and one number beyond at each end.

    The range decides only how many rows are left to sort.
    """
    some = np.sort(v[:: len(v) // _ROWS])
    beyond = len(some) // 16
    return int(some[beyond]) - 1, int(some[-1 - beyond]) + 1


def _bucketed(v: Ints, w: Ints, low: int, high: int, shift: int, room: Room) -> tuple[Ints, Ints]:
    """Return the bucket of each row, and the weight up to each bucket.

    Buckets are ranges of equal width from `low` to `high`; what lies beyond goes to the first or last. Weights are summed
    in floats that hold whole numbers under 2**53.
    """
    buckets, weights = room.numbers[: len(v)], room.weights[: len(v)]
    np.clip(v, low, high, out=buckets)
    buckets -= low
    buckets >>= shift
    np.copyto(weights, w)
    return buckets, np.cumsum(np.bincount(buckets, weights))


def _within(buckets: Ints, first: int, last: int, room: Room) -> Ints:
    """Return which rows are in some buckets."""
    flags = room.flags[: len(buckets)]
    if first == last:
        return np.flatnonzero(np.equal(buckets, first, out=flags))
    return np.flatnonzero((buckets >= first) & (buckets <= last))


def _sorted_at(v: Ints, w: Ints, needs: list[int]) -> list[int]:
    """Return the smallest values whose weight so far is at least each of `needs`."""
    order = np.argsort(v)
    so_far = np.cumsum(w[order])
    return [int(v[order[np.searchsorted(so_far, need)]]) for need in needs]
