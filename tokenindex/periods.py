"""Calendars: which dates have a fixing, and the moment of the cut-off of each.

*Reads* a calendar section. *Writes* dates and moments. *Never* asks for today's date and never answers for a date
outside the years the calendar was made for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import cached_property

from .errors import DeterminationError, MethodologyError


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """The fixing dates of an index.

    Parameters
    ----------
    offset : str
        Fixed distance of the local clock from UTC, ``"+08:00"``. No zone database can move a fixing.
    cut_off : str
        Local time ``HH:MM`` after which nothing enters the fixing of the date.
    weekdays : tuple of int
        ISO weekdays with a fixing, 1 is Monday.
    closed : tuple of date
        Weekdays without a fixing.
    opens, closes : date
        First and last date that the calendar knows.
    """

    offset: str
    cut_off: str
    weekdays: tuple[int, ...]
    closed: tuple[date, ...]
    opens: date
    closes: date

    def __post_init__(self) -> None:
        if not self.weekdays or not set(self.weekdays) <= set(range(1, 8)):
            raise MethodologyError(
                f"weekdays are {list(self.weekdays)}", expected="ISO weekdays 1 to 7", where="calendar"
            )
        if self.opens > self.closes:
            raise MethodologyError("the calendar closes before it opens", where="calendar")
        _ = self._local, self._zone

    @cached_property
    def _zone(self) -> timezone:
        try:
            moment = datetime.strptime(self.offset, "%z")
        except ValueError:
            raise MethodologyError(
                f"offset is {self.offset!r}", expected="such as '+08:00'", where="calendar"
            ) from None
        zone = moment.tzinfo
        assert isinstance(zone, timezone)
        return zone

    @cached_property
    def _local(self) -> time:
        try:
            moment = time.fromisoformat(self.cut_off)
        except ValueError:
            moment = None
        if moment is None or f"{moment:%H:%M}" != self.cut_off:  # it also reads an offset, which would be lost
            raise MethodologyError(f"cut_off is {self.cut_off!r}", expected="HH:MM", where="calendar")
        return moment

    @cached_property
    def dates(self) -> tuple[date, ...]:
        """Every fixing date from `opens` to `closes`; the position is the *number* of the date."""
        closed, days = set(self.closed), (self.closes - self.opens).days + 1
        every = (self.opens + timedelta(days=k) for k in range(days))
        return tuple(d for d in every if d.isoweekday() in self.weekdays and d not in closed)

    @cached_property
    def _numbers(self) -> dict[date, int]:
        return {d: n for n, d in enumerate(self.dates)}

    def number(self, day: date) -> int:
        """Return the position of `day` among the fixing dates.

        Raises
        ------
        DeterminationError
            If the calendar ends before `day`, begins after it, or has no fixing on it.
        """
        if day in self._numbers:
            return self._numbers[day]
        known = f"a fixing date from {self.opens} to {self.closes}"
        inside = self.opens <= day <= self.closes
        raise DeterminationError(
            f"{day} is {'not a fixing date' if inside else 'outside the calendar'}",
            expected=known,
            remedy="ask for another date" if inside else "use a methodology version whose calendar holds the date",
        )

    def between(self, start: date, end: date) -> list[date]:
        """Return the fixing dates from `start` to `end`, both included, refusing dates beyond the calendar."""
        for day in (start, end):
            if not self.opens <= day <= self.closes:
                self.number(day)
        return [d for d in self.dates if start <= d <= end]

    def on_or_after(self, day: date) -> date | None:
        """Return the first fixing date from `day` on, or None past the end."""
        number = bisect_left(self.dates, day)
        return self.dates[number] if number < len(self.dates) else None

    def lookback(self, days: Sequence[date], *, length: int) -> list[date]:
        """Return the sorted union of each date and the `length` fixing dates before it."""
        found: list[date] = []
        first = 0  # of the dates that are not yet found
        for n in sorted({self.number(day) for day in days}):
            found += self.dates[max(first, n - length) : n + 1]
            first = n + 1
        return found

    def cut_off_at(self, day: date) -> datetime:
        """Return the cut-off of `day` as a moment in UTC."""
        return datetime.combine(day, self._local, tzinfo=self._zone).astimezone(UTC)
