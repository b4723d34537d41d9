"""The buckets of a vendor's usage or cost report: pages of time buckets, each with results.

*Reads* one answer of the API, or an array of the pages that belong together. *Writes* the buckets that lie within one
UTC day, and which days they cover. *Never* spreads a bucket over days, and never counts a moment twice.

A bucket that spans days is rejected: its tokens belong to no day. Buckets that overlap without being the same are all
rejected. A day that the buckets do not cover from midnight to midnight is partial. If the last page says that there are
more, or what stands between pages is none, all days are partial: which of them the page that is missing continues nobody
knows.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Any

from . import Capture, Parsed
from .fields import UnusableRecord
from .reading import load_json, pointer, unreadable
from .usage import Record, Tally, Usage, objects, placed

_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Bucket:
    """One bucket: its bounds in UTC, the end excluded, its place and its results."""

    start: datetime
    end: datetime
    at: str
    results: list[Any]

    @property
    def day(self) -> date:
        """The one day in which it lies."""
        return self.start.date()


def report(
    content: bytes,
    capture: Capture,
    *,
    start: str,
    end: str,
    moment_of: Callable[[object], datetime],
    read: Callable[[Bucket, dict[str, Any], str], Usage | None],
) -> Parsed:
    """Return what a report says an organization used.

    Parameters
    ----------
    content, capture : bytes, Capture
        One page, or an array of pages.
    start, end : str
        The fields of a bucket that hold its bounds.
    moment_of : callable
        Gives the moment that such a field writes.
    read : callable
        Gives the usage of a result, for its bucket, its fields and its place.

    Raises
    ------
    InputDataError
        If the bytes are not the JSON of one page or of several.
    """
    tally = Tally(capture, scope="own")
    for bucket in _buckets(tally, content, start=start, end=end, moment_of=moment_of):
        results = placed(bucket.results, at=bucket.at + pointer("results"))
        tally.read(objects(tally, results), partial(read, bucket))
    return tally.parsed()


def _buckets(
    tally: Tally, content: bytes, *, start: str, end: str, moment_of: Callable[[object], datetime]
) -> list[Bucket]:
    """Return the usable buckets, and tell the tally which days are partial."""
    found = []
    pages, more = _pages(tally, content)
    for at, page in pages:
        for locator, item in placed(page["data"], at=at + pointer("data")):
            try:
                found.append(_bucket(item, locator, start=start, end=end, moment_of=moment_of))
            except UnusableRecord as why:
                tally.reject(why.reason, why.found, locator=locator)
    clashing = _clashing(found)
    for bucket in found:
        if (bucket.start, bucket.end) in clashing:
            tally.reject("overlapping_buckets", _length(bucket), locator=bucket.at)
    usable = [bucket for bucket in found if (bucket.start, bucket.end) not in clashing]
    covered, seen = _covered(usable), tally.capture.seen_at.date()
    tally.partial = lambda day: more or day >= seen or day not in covered
    return usable


def identity(bucket: Bucket, result: dict[str, Any], *, counts: Callable[[str], bool]) -> Hashable:
    """Return what tells a result from others: its bucket and every field that is not one of its `counts`."""
    scalars = ((name, found) for name, found in result.items() if not isinstance(found, dict | list))
    return bucket.start, bucket.end, tuple(sorted((name, str(found)) for name, found in scalars if not counts(name)))


def _pages(tally: Tally, content: bytes) -> tuple[list[Record], bool]:
    """Return the pages with their places, and whether the report has more of them than could be read."""
    found = load_json(content, tally.capture, expected=object)
    listed = list(placed(found)) if isinstance(found, list) else [("", found)]
    pages = [(at, page) for at, page in listed if isinstance(page, dict) and isinstance(page.get("data"), list)]
    if not pages:
        raise unreadable(
            tally.capture, 'no page has an array "data"', expected="a page of the report, or an array of them"
        )
    read = {at for at, _ in pages}
    for at, page in listed:
        if at not in read:
            tally.reject("not_a_page", page, locator=at)
    at, last = listed[-1]
    more = at in read and last.get("has_more") not in (False, None)
    if more:
        tally.reject("more_pages", "", locator=at + "/has_more")
    return pages, more or len(pages) < len(listed)


def _bucket(item: object, locator: str, *, start: str, end: str, moment_of: Callable[[object], datetime]) -> Bucket:
    if not isinstance(item, dict):
        raise UnusableRecord("not_an_object", item)
    found = Bucket(moment_of(item.get(start)), moment_of(item.get(end)), locator, item.get("results", []))
    if found.end <= found.start:
        raise UnusableRecord("ends_before_it_starts", _length(found))
    if found.end > datetime.combine(found.day, time(), UTC) + _DAY:
        raise UnusableRecord("spans_days", _length(found))
    if not isinstance(found.results, list):
        raise UnusableRecord("no_results", found.results)
    return found


def _length(bucket: Bucket) -> int:
    """Return the length of a bucket in seconds."""
    return int((bucket.end - bucket.start).total_seconds())


def _clashing(found: list[Bucket]) -> set[tuple[datetime, datetime]]:
    """Return the bounds that overlap others; the same bounds on two pages are one bucket."""
    bounds = sorted({(bucket.start, bucket.end) for bucket in found})
    clashing: set[tuple[datetime, datetime]] = set()
    longest = bounds[0] if bounds else None
    for bound in bounds[1:]:
        if longest is not None and bound[0] < longest[1]:
            clashing |= {longest, bound}
        longest = max(longest or bound, bound, key=lambda other: other[1])
    return clashing


def _covered(found: list[Bucket]) -> set[date]:
    """Return the days whose every moment lies in a bucket."""
    reach: dict[date, datetime] = {}
    for bucket in sorted(found, key=lambda bucket: (bucket.start, bucket.end)):
        so_far = reach.setdefault(bucket.day, datetime.combine(bucket.day, time(), UTC))
        if bucket.start <= so_far:
            reach[bucket.day] = max(so_far, bucket.end)
    return {day for day, end in reach.items() if end.date() > day}
