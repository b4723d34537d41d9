"""Request traces published for research: Azure's LLM inference traces, and Mooncake's.

*Reads* Azure's CSV ``TIMESTAMP,ContextTokens,GeneratedTokens`` and Mooncake's JSON lines ``timestamp, input_length,
output_length, hash_ids``. *Writes* volumes of components `input` and `output` a UTC day. *Never* invents what a trace
leaves out.

Neither names a model, so the model is `unnamed`; the provider is the capture's source, whose service was traced. A trace
begins and ends within a day, so its first and its last day are partial. Nothing says what was read from a cache: all of a
prompt is `input`. What Mooncake's block hashes repeat bounds the cached tokens from above, and a bound is no count.

Azure's times have up to nine decimals of a second and no zone; they are read as UTC. Mooncake's are milliseconds since
the trace began, and the file does not say when that was. The day on which we looked is not the day of the usage, so a
trace as published gives no row: all its requests are one reject. Who knows the day puts a line
``{"trace_start": "2024-06-20T00:00:00Z"}`` before the requests, and then it is part of the bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import polars as pl

from ..exact import TOKENS_MAX, WIDE
from . import Adapter, Capture, Parsed
from .fields import UnusableRecord, Word, count, moment
from .reading import unreadable
from .usage import UNNAMED, Record, Tally, Usage, json_lines, private_csv

_COLUMNS: Final = {"ContextTokens": "input", "GeneratedTokens": "output"}
_TIME: Final = (
    r"^([12][0-9]{3}-[0-9]{2}-[0-9]{2})[ T]([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|\+00:00)?$"
)
_NUMBER: Final = r"^[0-9]{1,18}$"
_FIELDS: Final = frozenset({"timestamp", "input_length", "output_length", "hash_ids"})
_START: Final = "trace_start"
_AFTER_MAX: Final = 10**12
"""Latest request of a trace, in milliseconds after its beginning."""


def parse_azure(content: bytes, capture: Capture) -> Parsed:
    """Return the tokens of each component and UTC day.

    Raises
    ------
    InputDataError
        If the bytes are not a CSV file with these columns.
    """
    tally = Tally(capture, scope="cloud")
    cells, lines = private_csv(tally, content)
    wanted = ["TIMESTAMP", *_COLUMNS]
    if missing := [name for name in wanted if name not in cells.columns]:
        raise unreadable(capture, "no column " + ", ".join(missing), expected="a trace of requests")
    texts = cells.select(pl.col(name).str.strip_chars() for name in wanted).with_columns(lines.alias("line"))
    day = pl.col("TIMESTAMP").str.extract(_TIME).str.to_date("%Y-%m-%d", strict=False)
    counts = [_count(pl.col(name)).alias(component) for name, component in _COLUMNS.items()]
    judged = texts.with_columns(day.alias("day"), *counts).with_columns(_reason())
    for line, reason, found in judged.drop_nulls("reason").select("line", "reason", "found").iter_rows():
        tally.reject(reason, found, locator=f"line {line}")
    _add_days(tally, judged.filter(pl.col("reason").is_null()))
    return tally.parsed()


def _count(text: pl.Expr) -> pl.Expr:
    whole = pl.when(text.str.contains(_NUMBER)).then(text).cast(pl.Int64)
    return pl.when(whole <= TOKENS_MAX).then(whole)


def _reason() -> list[pl.Expr]:
    faults = [(pl.col("day").is_null(), "not_a_date", "TIMESTAMP")]
    for name, component in _COLUMNS.items():
        negative = pl.col(name).str.contains("^-[0-9]{1,18}$").fill_null(False)
        faults += [(negative, "negative_count", name), (pl.col(component).is_null(), "not_a_count", name)]
    return [
        pl.coalesce(pl.when(bad).then(pl.lit(why)) for bad, why, _ in faults).alias("reason"),
        pl.coalesce(pl.when(bad).then(pl.col(name).fill_null("")) for bad, _, name in faults).alias("found"),
    ]


def _add_days(tally: Tally, used: pl.DataFrame) -> None:
    sums = [pl.col(component).cast(WIDE).sum() for component in _COLUMNS.values()]
    days = used.group_by("day", maintain_order=True).agg(pl.len(), pl.col("line").first(), *sums)
    tally.partial = _ends(set(days["day"]))
    for day, requests, line, *tokens in days.iter_rows():
        more = f" and {requests - 1} more" if requests > 1 else ""
        counts = dict(zip(_COLUMNS.values(), map(int, tokens), strict=True))
        tally.add(_used(tally, day, counts, locator=f"line {line}{more}"))


def _ends(days: set[date]) -> Callable[[date], bool]:
    """Return whether a day is the first or the last of a trace."""
    ends = {min(days), max(days)} if days else set()
    return lambda day: day in ends


def _used(tally: Tally, day: date, tokens: dict[str, int], *, locator: str) -> Usage:
    provider = tally.capture.source
    return Usage(provider, UNNAMED, service_tier="standard", day=day, locator=locator, tokens=tokens)


def parse_mooncake(content: bytes, capture: Capture) -> Parsed:
    """Return the tokens of each component and UTC day, if the file says when the trace began.

    Raises
    ------
    InputDataError
        If the bytes are not JSON lines.
    """
    tally = Tally(capture, scope="provider")
    lines = list(json_lines(tally, content))
    requests = [(place, item) for place, item in lines if isinstance(item, dict)]
    for place, item in lines:
        if not isinstance(item, dict):
            tally.reject("not_an_object", item, locator=place)
    start = _start(tally, requests)
    if start is not None:
        days: set[date] = set()
        tally.read(requests, lambda fields, place: _request(tally, start, days, fields, place))
        tally.partial = _ends(days)
    elif requests:
        more = f" and {len(requests) - 1} more" if len(requests) > 1 else ""
        tally.reject("no_calendar_date", "", locator=requests[0][0] + more)
    return tally.parsed()


def _start(tally: Tally, requests: list[Record]) -> datetime | None:
    """Return when the trace began, taking the line that says so from the requests; null if none does."""
    if not requests or requests[0][1].keys() != {_START}:
        return None
    place, fields = requests.pop(0)
    try:
        return moment(fields[_START])
    except UnusableRecord as why:
        tally.reject(why.reason, why.found, locator=place)
        return None


def _request(tally: Tally, start: datetime, days: set[date], fields: dict[str, Any], place: str) -> Usage:
    if unknown := sorted(fields.keys() - _FIELDS):
        raise UnusableRecord("unknown_field", Word(unknown[0]))
    after = fields.get("timestamp")
    if isinstance(after, Decimal) and after.is_finite() and 0 <= after <= _AFTER_MAX:
        after = int(after)
    if isinstance(after, bool) or not isinstance(after, int) or not 0 <= after <= _AFTER_MAX:
        raise UnusableRecord("not_a_date", after)
    tokens = {"input": count(fields.get("input_length")), "output": count(fields.get("output_length"))}
    day = (start + timedelta(milliseconds=after)).date()
    days.add(day)
    return _used(tally, day, tokens, locator=place)


AZURE: Final = Adapter("azure-trace", "2", parse_azure, ("VOLUMES",))
MOONCAKE: Final = Adapter("mooncake-trace", "2", parse_mooncake, ("VOLUMES",))
