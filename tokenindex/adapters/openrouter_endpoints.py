"""OpenRouter's answers per host: what each host that serves a model asks for it, USD per token as text.

*Reads* the answer for one model, ``{"data": {"id", "endpoints": [...]}}``, or a list of hosts of several models,
``{"data": [...]}``; also a JSON array of such answers, or one answer a line. *Writes* one observation per host, price,
prompt-length bracket and daily hours, and one sighting. *Never* decides whether a host is fit to be used: one that is
down (``status`` below zero) still quotes its price, and its share of the last day, ``uptime``, says so.

The seller is the host's ``tag``, host and variant in the source's spelling, else its ``provider_name``. The model is the
identifier that was asked for, else the one on the host. The price is the one charged: a ``discount`` is a share already
taken off all prices of the host, so the list price is the price divided by one less the discount. Of hosts with the same
tag and model one is kept if all quote the same, else none. Answers for some models say nothing about the others: the
sighting is never complete. Places in the first line of several bear no number.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from ..errors import InputDataError
from ..exact import parse_decimal
from . import Adapter, Capture, Parsed
from .openrouter_pricing import add_prices
from .reading import decoded, load_json, pointer, refuse_cut, unreadable
from .rows import Rows

_EXPECTED: Final = "an answer of the OpenRouter API about the endpoints of a model"


@dataclass(frozen=True)
class _Endpoint:
    """One host of one model, and its place."""

    provider: str
    model: str
    pricing: dict[str, Any]
    fields: dict[str, Any]
    at: str

    @property
    def offer(self) -> object:
        """What makes two hosts of the same name one: equal prices for weights of equal format."""
        return self.pricing, self.fields.get("quantization")


def parse(content: bytes, capture: Capture) -> Parsed:
    """Return the token prices of each host, USD per token.

    Raises
    ------
    InputDataError
        If the bytes are not such an answer, an array of them, or one of them a line.
    """
    rows = Rows(capture, currency="USD", unit="per_token")
    answers = _answers(rows, content)
    for endpoint in _unrepeated(rows, list(_endpoints(rows, answers))):
        _add(rows, endpoint)
    return rows.parsed(complete=False)


def _answers(rows: Rows, content: bytes) -> Iterable[tuple[str, Any]]:
    """Return each answer with its place."""
    lines = [(number, line) for number, line in enumerate(content.splitlines(), start=1) if line.strip()]
    begun = sum(line.lstrip(b"\xef\xbb\xbf \t").startswith(b"{") for _, line in lines)
    if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        return ((pointer(at), answer) for at, answer in enumerate(load_json(content, rows.capture, expected=list)))
    try:
        answer = load_json(content, rows.capture, expected=dict)
    except InputDataError:
        if len(lines) < 2 or 2 * begun <= len(lines):
            raise
        return _answer_lines(rows, content, lines)
    if _listed(answer) is None:
        raise unreadable(rows.capture, 'the JSON has no "data" with endpoints', expected=_EXPECTED)
    return [("", answer)]


def _answer_lines(rows: Rows, content: bytes, lines: list[tuple[int, bytes]]) -> list[tuple[str, Any]]:
    """Return the answer of each line; a line that is none is rejected, unless all are."""
    refuse_cut(content, rows.capture)
    decoded(content, rows.capture)
    found: list[tuple[str, Any]] = []
    broken: list[InputDataError] = []
    for number, line in lines:
        try:
            named = replace(rows.capture, name=f"{rows.capture.name}, line {number}")
            found.append((f"line {number} " if number > lines[0][0] else "", load_json(line, named, expected=dict)))
        except InputDataError as wrong:
            broken.append(wrong)
            rows.reject("not_json", wrong.found, locator=f"line {number}")
    if broken and not found:
        raise broken[0]
    return found


def _listed(answer: object) -> tuple[object, list[Any], str] | None:
    """Return the identifier that was asked for, the endpoints, and where they stand below the answer."""
    data = answer.get("data") if isinstance(answer, dict) else None
    if isinstance(data, list):
        return None, data, pointer("data")
    if isinstance(data, dict) and isinstance(data.get("endpoints"), list):
        return data.get("id"), data["endpoints"], pointer("data", "endpoints")
    return None


def _endpoints(rows: Rows, answers: Iterable[tuple[str, Any]]) -> Iterator[_Endpoint]:
    for place, answer in answers:
        listed = _listed(answer)
        if listed is None:
            rows.reject("no_endpoints", answer, locator=place or "/")
            continue
        asked, endpoints, below = listed
        if not endpoints:
            rows.reject("empty_snapshot", asked or "", locator=place + below, model=asked)
        for number, fields in enumerate(endpoints):
            endpoint = _endpoint(rows, fields, asked=asked, at=place + below + pointer(number))
            if endpoint is not None:
                yield endpoint


def _endpoint(rows: Rows, fields: object, *, asked: object, at: str) -> _Endpoint | None:
    fields = fields if isinstance(fields, dict) else {}
    model, provider = asked or fields.get("model_id"), fields.get("tag") or fields.get("provider_name")
    pricing = fields.get("pricing")
    if not isinstance(model, str) or not model:
        rows.reject("no_model", model, locator=at, provider=provider)
    elif not isinstance(provider, str) or not provider:
        rows.reject("no_provider", provider, locator=at, model=model)
    elif not isinstance(pricing, dict):
        rows.reject("no_pricing", pricing, locator=at + pointer("pricing"), provider=provider, model=model)
    else:
        return _Endpoint(provider, model, pricing, fields, at)
    return None


def _unrepeated(rows: Rows, endpoints: list[_Endpoint]) -> Iterator[_Endpoint]:
    """Yield the endpoints whose seller and model are theirs alone, and the first of those that all quote the same."""
    named: dict[tuple[str, str], list[_Endpoint]] = {}
    for endpoint in endpoints:
        named.setdefault((endpoint.provider, endpoint.model), []).append(endpoint)
    for (provider, model), same in named.items():
        agree = all(endpoint.offer == same[0].offer for endpoint in same)
        reason = "repeats_another_row" if agree else "contradicts_another_row"
        if agree:
            yield same[0]
        for endpoint in same[agree:]:
            rows.reject(reason, provider, locator=endpoint.at, hides=not agree, provider=provider, model=model)


def _add(rows: Rows, endpoint: _Endpoint) -> None:
    fields, at = endpoint.fields, endpoint.at
    said: dict[str, Any] = {
        "quantization": _quantization(rows, fields.get("quantization"), locator=at + pointer("quantization")),
        "uptime": _share(rows, fields.get("uptime_last_1d"), locator=at + pointer("uptime_last_1d"), per=100),
        "discount": _share(rows, endpoint.pricing.get("discount"), locator=at + pointer("pricing", "discount")),
        "alias_of": endpoint.model if endpoint.model.startswith("~") else None,
    }
    below, seller = at + pointer("pricing") + "/", {"provider": endpoint.provider, "model": endpoint.model}
    with rows.about(**seller):
        add_prices(rows, endpoint.pricing, at=below, **seller, **said)


def _quantization(rows: Rows, found: object, *, locator: str) -> str | None:
    if found is None or found == "unknown":
        return None
    if isinstance(found, str) and found:
        return found
    rows.reject("not_a_quantization", found, locator=locator, hides=False)
    return None


def _share(rows: Rows, found: object, *, locator: str, per: int = 1) -> Decimal | None:
    """Return `found` parts of `per`, a power of ten, as an exact share; what is not a share from 0 to 1 is rejected."""
    if found is None:
        return None
    try:
        if isinstance(found, bool) or not isinstance(found, int | Decimal):
            raise ValueError
        sign, digits, exponent = Decimal(found).as_tuple()
        assert isinstance(exponent, int)
        share = parse_decimal(str(Decimal((sign, digits, exponent - len(str(per)) + 1))))
        if not 0 <= share <= 1:
            raise ValueError
    except ValueError:
        rows.reject("not_a_share", found, locator=locator, hides=False)
        return None
    return share


ADAPTER: Final = Adapter("openrouter-endpoints", "3", parse, ("OBSERVATIONS", "SIGHTINGS"))
