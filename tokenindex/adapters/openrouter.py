"""OpenRouter: the models list (prices, USD per token as text) and the daily rankings (tokens per model and day).

*Reads* the JSON of the models list; the JSON or the CSV export of the rankings. *Writes* observations and one sighting
from the list, volumes from the rankings. *Never* takes a model's price for the price of a host: it is the one of the
host that the router prefers at the moment.

A model's own identifier is kept whole: ``:free`` and ``:batch`` also set the service tier. An alias whose target the
source does not name is marked as alias of itself.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from ..exact import TOKENS_MAX
from ..tables import VOLUMES
from . import Adapter, Capture, Parsed
from .openrouter_pricing import add_prices
from .reading import in_utc, load_csv, load_json, pointer, unreadable
from .rows import Rows

_DAY: Final = re.compile(r"[12]\d{3}-\d\d-\d\d", re.ASCII)
_COUNT: Final = re.compile(r"-?\d{1,40}", re.ASCII)


def parse_models(content: bytes, capture: Capture) -> Parsed:
    """Return the token prices of one models list, USD per token.

    Raises
    ------
    InputDataError
        If the bytes are not a JSON object with an array ``data``.
    """
    rows = Rows(capture, currency="USD", unit="per_token", provider="openrouter")
    for number, model in enumerate(_listed(load_json(content, capture, expected=dict), capture)):
        fields = model if isinstance(model, dict) else {}
        name, pricing = fields.get("id"), fields.get("pricing")
        if not isinstance(name, str) or not name:
            rows.reject("no_model", name, locator=pointer("data", number))
        elif not isinstance(pricing, dict):
            rows.reject("no_pricing", pricing, locator=pointer("data", number, "pricing"), model=name)
        else:
            at = pointer("data", number, "pricing") + "/"
            with rows.about(model=name):
                add_prices(rows, pricing, at=at, model=name, alias_of=_alias_of(fields))
    return rows.parsed()


def _listed(found: dict[str, Any], capture: Capture) -> list[Any]:
    listed = found.get("data")
    if not isinstance(listed, list):
        raise unreadable(capture, 'the JSON has no array "data"', expected="an answer of the OpenRouter API")
    return listed


def _alias_of(fields: dict[str, Any]) -> str | None:
    target = fields.get("alias_target")
    slug = target.get("slug") if isinstance(target, dict) else target
    if isinstance(slug, str) and slug:
        return slug
    name: str = fields["id"]
    return name if name.startswith("~") or target is not None else None


@dataclass(frozen=True)
class _Ranked:
    """One line of the rankings as it stands there."""

    day: object
    model: object
    tokens: object
    locator: str


def parse_rankings(content: bytes, capture: Capture) -> Parsed:
    """Return the tokens (prompt and completion together) per model and day.

    The rows are known from the moment the answer calls ``as_of``, else from the capture's; a day that was not over then
    is partial. An exact repeat of a row is rejected, and so are all rows of a model and day that contradict each other.

    Raises
    ------
    InputDataError
        If the bytes are neither the JSON nor the CSV of the rankings.
    """
    rows = Rows(capture)
    if content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] in (b"{", b"["):
        answer = load_json(content, capture, expected=dict)
        known_at, ranked = _as_of(rows, answer.get("meta")), list(_of_json(_listed(answer, capture)))
    else:
        known_at, ranked = capture.known_at, list(_of_csv(rows, content))
    if not ranked and rows.rejects().is_empty():
        rows.reject("empty_snapshot", "", locator="")
    volumes = [row for one in _unrepeated(rows, ranked) if (row := _volume(rows, one, known_at))]
    return Parsed(volumes=VOLUMES.frame(volumes), rejects=rows.rejects())


def _as_of(rows: Rows, meta: object) -> datetime:
    found = meta.get("as_of") if isinstance(meta, dict) else None
    if found is None:
        return rows.capture.known_at
    try:
        return in_utc(datetime.fromisoformat(found))
    except (TypeError, ValueError, OverflowError):  # not text, not a moment, or a moment that no UTC date holds
        rows.reject("not_a_date", found, locator="/meta/as_of")
        return rows.capture.known_at


def _of_json(listed: list[Any]) -> Iterator[_Ranked]:
    for number, row in enumerate(listed):
        fields = row if isinstance(row, dict) else {}
        yield _Ranked(
            fields.get("date"), fields.get("model_permaslug"), fields.get("total_tokens"), pointer("data", number)
        )


def _of_csv(rows: Rows, content: bytes) -> Iterator[_Ranked]:
    table = load_csv(content, rows.capture)
    rows.ragged(table)
    wanted = ["date", "model_permaslug", "total_tokens"]
    if missing := [name for name in wanted if name not in table.cells.columns]:
        raise unreadable(rows.capture, "no column " + ", ".join(missing), expected="the CSV export of the rankings")
    for (day, model, tokens), line in zip(table.cells.select(wanted).iter_rows(), table.lines, strict=True):
        yield _Ranked(day, model, tokens, f"line {line}")


def _unrepeated(rows: Rows, ranked: list[_Ranked]) -> Iterator[_Ranked]:
    keys = [(str(one.day), str(one.model)) for one in ranked]
    figures: dict[tuple[str, str], set[str]] = {}
    for key, one in zip(keys, ranked, strict=True):
        figures.setdefault(key, set()).add(str(one.tokens))
    seen: Counter[tuple[str, str]] = Counter()
    for key, one in zip(keys, ranked, strict=True):
        seen[key] += 1
        if len(figures[key]) > 1:
            rows.reject("contradicts_another_row", one.tokens, locator=one.locator)
        elif seen[key] > 1:
            rows.reject("repeats_another_row", one.tokens, locator=one.locator)
        else:
            yield one


def _volume(rows: Rows, one: _Ranked, known_at: datetime) -> dict[str, Any] | None:
    day, tokens = _day(one.day), _count(one.tokens)
    if not isinstance(one.model, str) or not one.model:
        rows.reject("no_model", one.model, locator=one.locator)
    elif day is None:
        rows.reject("not_a_date", one.day, locator=one.locator)
    elif tokens is None:
        rows.reject("not_a_count", one.tokens, locator=one.locator)
    elif tokens < 0:
        rows.reject("negative_count", one.tokens, locator=one.locator)
    else:
        return {
            **rows.provenance(),
            "source": rows.capture.source,
            "scope": "router",
            "provider": "openrouter",
            "model": one.model,
            "component": "total",
            "service_tier": "free" if one.model.endswith(":free") else "standard",
            "period_start": day,
            "period_end": day,
            "tokens": tokens,
            "partial": day >= known_at.date(),
            "known_at": known_at,
            "locator": one.locator,
        }
    return None


def _day(found: object) -> date | None:
    try:
        return date.fromisoformat(found) if isinstance(found, str) and _DAY.fullmatch(found) else None
    except ValueError:
        return None


def _count(found: object) -> int | None:
    if isinstance(found, bool) or not isinstance(found, str | int):
        return None
    if isinstance(found, str) and not _COUNT.fullmatch(found):
        return None
    return number if (number := int(found)) <= TOKENS_MAX else None


MODELS: Final = Adapter("openrouter-models", "4", parse_models, ("OBSERVATIONS", "SIGHTINGS"))
RANKINGS: Final = Adapter("openrouter-rankings", "2", parse_rankings, ("VOLUMES",))
