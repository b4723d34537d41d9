"""Market shares: the shares of models in the tokens of a day, as CSV ``date,model,share[,provider][,total_tokens]``.

*Reads* shares as decimals from 0 to 1. *Writes* volumes only where the file also carries the total that they are shares
of. *Never* turns a share without a total into tokens: it could be a share of anything.

Tokens are ``share * total_tokens``, exact and then rounded half-even to a whole. Every row of a day must state the same
total; shares of a day that sum to more than one are all rejected, and so are the rows of a day, provider and model that
contradict each other. A file that names no provider has its source as provider. Shares are of prompt and completion
tokens together, of a market that a router or a survey saw.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from typing import Any, Final

from ..exact import divide
from . import Adapter, Capture, Parsed
from .fields import UnusableRecord, amount, count, named, plain_day
from .usage import Tally, Usage, csv_records

_NEEDED: Final = frozenset({"date", "model", "share"})
_SHARE_SCALE: Final = 40


@dataclass(frozen=True)
class _Share:
    """One row."""

    day: date
    provider: str
    model: str
    share: Fraction
    total: int
    locator: str


def parse(content: bytes, capture: Capture) -> Parsed:
    """Return the tokens a provider, model and day.

    Raises
    ------
    InputDataError
        If the bytes are not a CSV file with these columns.
    """
    tally = Tally(capture, scope="router")
    by_day: dict[date, list[_Share]] = defaultdict(list)
    for locator, fields in csv_records(tally, content, columns=_NEEDED):
        try:
            row = _share(fields, locator, capture)
        except UnusableRecord as why:
            tally.reject(why.reason, why.found, locator=locator)
        else:
            by_day[row.day].append(row)
    for rows in by_day.values():
        _add_day(tally, rows)
    return tally.parsed()


def _share(fields: dict[str, Any], locator: str, capture: Capture) -> _Share:
    try:
        share = Fraction(amount(fields.get("share")), 10**_SHARE_SCALE)
    except UnusableRecord as why:
        raise UnusableRecord("not_a_share", why.found) from None
    if share > 1:
        raise UnusableRecord("not_a_share", fields["share"])
    day, model = plain_day(fields.get("date")), named(fields, "model", reason="no_model")
    if fields.get("total_tokens") is None:
        raise UnusableRecord("share_without_total", fields["share"])
    provider = str(fields.get("provider") or capture.source)
    return _Share(day, provider, model, share, count(fields["total_tokens"]), locator)


def _add_day(tally: Tally, rows: list[_Share]) -> None:
    once = {(row.provider, row.model, row.share) for row in rows}
    reason = None
    if len({row.total for row in rows}) > 1:
        reason = "totals_disagree"
    elif sum(share for _, _, share in once) > 1:
        reason = "shares_exceed_one"
    for row in rows:
        if reason is not None:
            tally.reject(reason, row.total if reason == "totals_disagree" else "", locator=row.locator)
            continue
        tokens = divide(row.share.numerator * row.total, row.share.denominator)
        tally.add(
            Usage(
                provider=row.provider,
                model=row.model,
                service_tier="standard",
                day=row.day,
                locator=row.locator,
                tokens={"total": tokens},
                identity=(row.day, row.provider, row.model),
            )
        )


ADAPTER: Final = Adapter("market-shares", "2", parse, ("VOLUMES",))
