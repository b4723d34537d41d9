"""Adapters: pure functions from captured bytes to tables.

*Reads* bytes and the facts of their capture. *Writes* observations, volumes, sightings, rates and rejects, each row
with its capture digest and locator. *Never* touches disk, network or clock; never converts a unit or a currency; never
drops a row in silence: what is not an observation is a reject with a reason.

An adapter is found by name through the entry-point group ``tokenindex.adapters``.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from importlib.metadata import entry_points
from typing import Any, Final

import polars as pl

from ..errors import AdapterError, InputDataError
from ..exact import SOURCE_MONEY, parse_decimal
from ..tables import OBSERVATIONS, QUOTE_KEY, RATES, REJECTS, SIGHTINGS, VOLUMES, Table

GROUP: Final = "tokenindex.adapters"
CONTEXT_MAX: Final = 10**12
"""Longest prompt length that a bracket may name, in tokens."""


@dataclass(frozen=True)
class Capture:
    """The facts of one captured file: what was fetched, when it was seen, and when it could be known.

    Parameters
    ----------
    sha256 : str
        Digest of the bytes, 64 hexadecimal digits.
    name : str
        File name for people and error messages.
    adapter : str
        Name of the adapter that reads it.
    source : str
        The name under which its rows are known; own-form tables name the source on each row.
    seen_at, known_at : datetime
        When the source was looked at, and when we could know it. Both in UTC.
    licence, reference : str, optional
        Licence of the figures and address they came from.
    """

    sha256: str
    name: str
    adapter: str
    source: str
    seen_at: datetime
    known_at: datetime
    licence: str | None = None
    reference: str | None = None

    @classmethod
    def of(cls, content: bytes, **facts: Any) -> Capture:
        """Return the capture of `content`: the digest is computed here."""
        return cls(sha256=hashlib.sha256(content).hexdigest(), **facts)


@dataclass(frozen=True)
class Parsed:
    """What one capture held. Tables that a source does not give are empty."""

    observations: pl.DataFrame = field(default_factory=OBSERVATIONS.empty)
    volumes: pl.DataFrame = field(default_factory=VOLUMES.empty)
    sightings: pl.DataFrame = field(default_factory=SIGHTINGS.empty)
    rates: pl.DataFrame = field(default_factory=RATES.empty)
    rejects: pl.DataFrame = field(default_factory=REJECTS.empty)

    def tables(self) -> dict[Table, pl.DataFrame]:
        """Return the five tables with their definitions."""
        return {
            OBSERVATIONS: self.observations,
            VOLUMES: self.volumes,
            SIGHTINGS: self.sightings,
            RATES: self.rates,
            REJECTS: self.rejects,
        }

    def checked(self, *, where: str) -> Parsed:
        """Return self if every table keeps its definition; raise InputDataError otherwise."""
        for table, frame in self.tables().items():
            table.check(frame, where=where)
        return self


@dataclass(frozen=True)
class Adapter:
    """A named, versioned parser. `version` changes whenever the same bytes would give other rows."""

    name: str
    version: str
    parse: Callable[[bytes, Capture], Parsed]
    gives: tuple[str, ...]


@dataclass(frozen=True)
class Quote:
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
        self._rejects: list[dict[str, Any]] = []

    def provenance(self) -> dict[str, Any]:
        """Return the provenance columns that all rows of this capture share."""
        c = self.capture
        return {"known_at": c.known_at, "reference": c.reference, "licence": c.licence, "capture": c.sha256}

    def price(self, found: object, *, locator: str, **fields: Any) -> None:
        """Add one observation, or one reject if `found` is not the text of a decimal number; null adds nothing."""
        if found is None:
            return
        if isinstance(found, bool) or not isinstance(found, str | int | Decimal):
            self.reject("not_a_price", found, locator=locator)
            return
        try:
            price = parse_decimal(str(found).strip())
        except ValueError:
            self.reject("not_a_price", found, locator=locator)
            return
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
                self.reject("not_a_context_length", quote.context_from, locator=quote.locator)
            elif end is not None and end <= start:
                self.reject("empty_bracket", f"{start} to {end}", locator=quote.locator)
            else:
                rungs.append((start, end, quote))
        starts = sorted({start for start, _, _ in rungs})
        following = dict(itertools.pairwise(starts))
        for start, end, quote in rungs:
            to = following.get(start) if end is None else end
            self.price(quote.found, locator=quote.locator, context_from=start, context_to=to, **fields)

    def reject(self, reason: str, found: object, *, locator: str) -> None:
        """Add one reject."""
        row = {"reason": reason, "found": shown(found), "capture": self.capture.sha256, "locator": locator}
        self._rejects.append(row)

    def sighting(self, *, complete: bool) -> pl.DataFrame:
        """Return the one sighting that a snapshot is."""
        row = {"source": self.capture.source, "seen_at": self.capture.seen_at, "complete": complete, "locator": ""}
        return SIGHTINGS.frame([{**self.provenance(), **row}])

    def rejects(self) -> pl.DataFrame:
        """Return the rejects so far."""
        return REJECTS.frame(self._rejects)

    def parsed(self, *, complete: bool = True) -> Parsed:
        """Return what was collected as the observations of one snapshot.

        Brackets that overlap are rejected. A snapshot without observations is never complete: it must not read as if
        everything had been withdrawn.
        """
        frame = OBSERVATIONS.frame(self._observations)
        clash = overlapping(frame)
        observations = frame.filter(~clash)
        if frame.is_empty() and not self._rejects:
            self.reject("empty_snapshot", "", locator="")
        return Parsed(
            observations=observations,
            sightings=self.sighting(complete=complete and not observations.is_empty()),
            rejects=pl.concat([self.rejects(), rejected(frame.filter(clash), "overlapping_brackets", found="price")]),
        )


def overlapping(observations: pl.DataFrame) -> pl.Series:
    """Return whether a row's prompt-length bracket, or one of the same price list entry, overlaps another.

    An entry is one seller, model, component, tier, region and time of day, valid and known from the same moments. A
    withdrawal holds nowhere and overlaps nothing.
    """
    columns = [*(name for name in QUOTE_KEY if name != "context_from"), "valid_from", "known_at"]
    keyed = observations.select("context_from", "context_to", entry=pl.struct(columns).rank("dense"))
    # in the order of their beginnings, brackets are disjoint exactly if neighbours are
    after = pl.col("context_from").shift(-1) < pl.col("context_to").fill_null(2**62)
    clash = after & (pl.col("entry") == pl.col("entry").shift(-1))
    priced = keyed.filter(observations["price"].is_not_null())
    clashing = priced.sort("entry", "context_from").filter(clash)["entry"].unique()
    return keyed["entry"].is_in(clashing.implode()) & observations["price"].is_not_null()


def rejected(rows: pl.DataFrame, reason: str, *, found: str) -> pl.DataFrame:
    """Return rejects for `rows`, which have a capture and a locator; `found` names the column to show."""
    return rows.select(
        reason=pl.lit(reason), found=pl.col(found).cast(pl.String).fill_null(""), capture="capture", locator="locator"
    )


def shown(found: object) -> str:
    """Return `found` as text of at most 80 characters that any table can hold."""
    if isinstance(found, dict | list):
        return f"{type(found).__name__} of {len(found)}"
    if isinstance(found, int) and found.bit_length() > 256:
        return f"an integer of {found.bit_length()} bits"
    return str(found)[:80].encode("utf-8", "replace").decode()


def whole(found: object) -> int | None:
    """Return `found` as a whole number from 0 to `CONTEXT_MAX`, or null if it is not one."""
    if isinstance(found, bool) or not isinstance(found, int | Decimal):
        return None
    if isinstance(found, Decimal) and not found.is_finite():
        return None
    return int(found) if 0 <= found <= CONTEXT_MAX and found == int(found) else None


def pointer(*parts: str | int) -> str:
    """Return the JSON pointer of `parts` (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def load_json(content: bytes, capture: Capture, *, expected: type[Any]) -> Any:
    """Return the JSON of `content`, numbers with a point or exponent as exact decimals.

    Raises
    ------
    InputDataError
        If the bytes are empty, not UTF-8, not JSON, too deep, or not an `expected` at the top.
    """
    try:
        text = content.decode("utf-8-sig")
        found = json.loads(text, parse_float=number, parse_constant=str)
    except UnicodeDecodeError as wrong:
        raise unreadable(capture, f"byte {wrong.start} is not UTF-8", expected="UTF-8 JSON") from None
    except json.JSONDecodeError as wrong:
        raise unreadable(capture, f"{wrong.msg} at line {wrong.lineno} column {wrong.colno}", expected="JSON") from None
    except RecursionError:
        raise unreadable(capture, "the JSON is nested too deeply", expected="a flat price list") from None
    except ValueError as wrong:  # an integer of more than 4,300 digits
        raise unreadable(capture, str(wrong), expected="JSON with numbers of sensible length") from None
    if not isinstance(found, expected):
        wanted = "an object" if expected is dict else "an array"
        raise unreadable(capture, f"the JSON is a {type(found).__name__}", expected=f"{wanted} at the top")
    if re.search(r"\\u[dD][89a-fA-F]", text) and not _is_unicode(found):
        raise unreadable(capture, "a string holds half a surrogate pair", expected="Unicode text")
    return found


def number(text: str) -> Decimal | str:
    """Return the decimal that `text` writes, or the text itself if no decimal can hold its exponent."""
    try:
        return Decimal(text)
    except InvalidOperation:
        return text


def _is_unicode(found: object) -> bool:
    waiting: list[object] = [found]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            waiting += item
        elif isinstance(item, str) and re.search("[\ud800-\udfff]", item):
            return False
    return True


def refuse_cut(content: bytes, capture: Capture) -> None:
    """Raise InputDataError if a text file that should end with a line end does not: a price may have lost digits."""
    if content.strip() and not content.endswith(b"\n"):
        expected = "a line end after the last line (without one the file may have been cut short), a text file"
        raise unreadable(capture, "the last line has no end", expected=expected)


def load_csv(content: bytes, capture: Capture) -> tuple[pl.DataFrame, pl.Series]:
    """Return the cells of a CSV file as text (an empty cell is null), and the line on which each row begins.

    Blank lines are left out.

    Raises
    ------
    InputDataError
        If the bytes are empty, cut short, not UTF-8, or a line has more cells than the header.
    """
    refuse_cut(content, capture)
    try:
        content.decode("utf-8-sig")
        cells = pl.read_csv(content, infer_schema=False)
    except UnicodeDecodeError as wrong:
        raise unreadable(capture, f"byte {wrong.start} is not UTF-8", expected="a UTF-8 CSV file") from None
    except pl.exceptions.PolarsError as wrong:
        raise unreadable(capture, str(wrong).partition("\n")[0][:120], expected="a CSV file with a header") from None
    cells = cells.select(blank_to_null(column) for column in cells)
    breaks = pl.sum_horizontal(pl.all().str.count_matches("\n", literal=True).fill_null(0))
    lines = cells.select(pl.int_range(pl.len()) + 2 + breaks.cum_sum().shift(fill_value=0)).to_series()
    written = cells.select(pl.any_horizontal(pl.all().is_not_null())).to_series()
    return cells.filter(written), lines.filter(written)


def blank_to_null(texts: pl.Series) -> pl.Series:
    """Return `texts` with null in place of empty text.

    Foreign columns are taken as series: in ``pl.col`` a name such as ``*`` stands for other columns.
    """
    return texts.set(texts == "", None)


def exact_decimals(texts: pl.Series) -> pl.Series:
    """Return the decimals that `texts` write, by the rules of `exact.parse_decimal`; null where one writes none.

    The cast of polars rounds excess digits in silence, so it sees only texts proven to fit.
    """
    stripped = texts.str.strip_chars()
    plain = stripped.str.contains(r"^[+-]?[0-9]{1,14}(\.[0-9]{1,24})?$").fill_null(False)
    rest = {text: _decimal_or_none(text) for text in stripped.filter(~plain).drop_nulls().unique()}
    quick = stripped.set(~plain, None).cast(SOURCE_MONEY)
    if not rest:
        return quick
    table = pl.DataFrame({"text": list(rest), "number": pl.Series(list(rest.values()), dtype=SOURCE_MONEY)})
    slow = pl.DataFrame({"text": stripped}).join(table, on="text", how="left", maintain_order="left")["number"]
    return quick.zip_with(plain, slow).alias(texts.name)


def _decimal_or_none(text: str) -> Decimal | None:
    try:
        return parse_decimal(text)
    except ValueError:
        return None


def unreadable(capture: Capture, found: str, *, expected: str) -> InputDataError:
    """Return the error for a file that is not what the adapter reads."""
    return InputDataError(
        found,
        where=capture.name,
        expected=f"{expected} as read by the adapter {capture.adapter!r}",
        remedy="capture the file again, or name the adapter that reads it; nothing was stored",
    )


def adapters() -> dict[str, Adapter]:
    """Return every installed adapter by name."""
    return {point.name: point.load() for point in sorted(entry_points(group=GROUP), key=lambda p: p.name)}


def adapter(name: str) -> Adapter:
    """Return the adapter called `name`.

    Raises
    ------
    AdapterError
        If none is installed under that name; the known names are listed.
    """
    for point in entry_points(group=GROUP, name=name):
        found: Adapter = point.load()
        return found
    raise AdapterError(
        f"no adapter is called {name!r}",
        expected="one of " + ", ".join(sorted({point.name for point in entry_points(group=GROUP)})),
        remedy="correct the name, or install the package that brings the adapter",
    )


def in_utc(moment: datetime) -> datetime:
    """Return `moment` in UTC; a moment without a zone is refused."""
    if moment.tzinfo is None:
        raise ValueError("a moment needs a zone")
    return moment.astimezone(UTC)


__all__ = [
    "CONTEXT_MAX",
    "GROUP",
    "Adapter",
    "Capture",
    "Parsed",
    "Quote",
    "Rows",
    "adapter",
    "adapters",
    "blank_to_null",
    "exact_decimals",
    "in_utc",
    "load_csv",
    "load_json",
    "number",
    "overlapping",
    "pointer",
    "refuse_cut",
    "rejected",
    "shown",
    "unreadable",
    "whole",
]
