"""OpenTelemetry's GenAI conventions: spans of model calls, and the metric of token usage.

*Reads* OTLP JSON (one request, or one a line), and JSON lines or an array of flattened attributes. *Writes* volumes
without spend: the conventions know no money. *Never* counts one call twice, and never reads messages, ids or addresses.

`gen_ai.usage.input_tokens` hold cached tokens, cache writes and every modality; what a modality's own count holds of the
cache stands beside it. Older spellings (`prompt_tokens`, `completion_tokens`, `gen_ai.system`, …) count once if they agree
with the new ones; if not the call is rejected. Only inference is counted: the span of an agent repeats the usage of the
calls below it. The model is the one that answered, else the one that was asked. A flattened record names its time as
``startTimeUnixNano``, ``start_time``, ``startTime`` or ``timestamp``.

`gen_ai.client.token.usage` is a histogram: the sum of a point is its tokens. Only delta points within one UTC day are
counted; a cumulative one counts the same tokens again in every point. In a file that also holds spans the points repeat
the calls and are rejected. Nothing says what a prompt without cache counts, or a point, was served from a cache: all of
it is component `input`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from ..errors import InputDataError
from . import Adapter, Capture, Parsed
from .fields import (
    UnusableRecord,
    Word,
    agreed,
    count,
    counted,
    epoch,
    moment,
    named,
    refuse_unknown,
    remainder,
    tier_of,
    word,
)
from .reading import load_json, pointer, unreadable
from .usage import Record, Tally, Usage, json_lines, objects, placed

METRIC: Final = "gen_ai.client.token.usage"
_USAGE: Final = "gen_ai.usage."
_INPUT: Final = (_USAGE + "input_tokens", _USAGE + "prompt_tokens")
_OUTPUT: Final = (_USAGE + "output_tokens", _USAGE + "completion_tokens")
_READ: Final = (_USAGE + "cache_read.input_tokens", _USAGE + "cache_read_input_tokens")
_WRITTEN: Final = (
    _USAGE + "cache_creation.input_tokens",
    _USAGE + "cache_write.input_tokens",
    _USAGE + "cache_creation_input_tokens",
)
_REASONING: Final = _USAGE + "reasoning.output_tokens"
_TOTAL: Final = _USAGE + "total_tokens"
_MODALITIES: Final = ("audio", "image")
_TEXTS: Final = tuple(_USAGE + "text." + name for name in ("input_tokens", "output_tokens", "cache_read.input_tokens"))
_KNOWN: Final = frozenset(
    (
        *_INPUT,
        *_OUTPUT,
        *_READ,
        *_WRITTEN,
        _REASONING,
        _TOTAL,
        *_TEXTS,
        *(_USAGE + f"{kind}.{name}" for kind in _MODALITIES for name in ("input_tokens", "output_tokens")),
        *(_USAGE + f"{kind}.cache_read.input_tokens" for kind in _MODALITIES),
        _USAGE + "cost",  # some instrumentations add one; it names no currency
    )
)
_INFERENCE: Final = ("chat", "text_completion", "generate_content", "embeddings")
_PROVIDERS: Final = ("gen_ai.provider.name", "gen_ai.system")
_SERVICE: Final = (
    "openai.response.service_tier",
    "gen_ai.openai.response.service_tier",
    "openai.request.service_tier",
    "gen_ai.openai.request.service_tier",
)
_TIMES: Final = ("startTimeUnixNano", "start_time", "startTime", "timestamp")
_IDS: Final = (("traceId", "spanId"), ("trace_id", "span_id"))
_HISTOGRAMS: Final = ("histogram", "exponentialHistogram")
_NANO: Final = 10**9


def parse(content: bytes, capture: Capture) -> Parsed:
    """Return the tokens a provider, model, component, service tier and UTC day.

    Raises
    ------
    InputDataError
        If the bytes are not JSON of one of these forms.
    """
    tally = Tally(capture, scope="own")
    spans: list[Record] = []
    points: list[Record] = []
    for at, found in _documents(tally, content):
        if "resourceSpans" in found or "resourceMetrics" in found:
            below = _below(tally, found, at, "resourceSpans", "scopeSpans", "spans")
            spans += [(place, span) for place, span in below if _names_usage(span)]
            points += _points(tally, _below(tally, found, at, "resourceMetrics", "scopeMetrics", "metrics"))
        elif _names_usage(found):
            spans.append((at, found))
    tally.read(spans, _span)
    if spans:
        for at, _ in points:
            tally.reject("counted_as_spans", "", locator=at)
    else:
        tally.read(points, _point)
    return tally.parsed()


def _documents(tally: Tally, content: bytes) -> Iterator[Record]:
    """Return the objects of a JSON array, of one JSON object, or of JSON lines."""
    start = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start == b"[":
        return objects(tally, placed(load_json(content, tally.capture, expected=list)))
    if start == b"{":
        return objects(tally, _one_or_lines(tally, content))
    raise unreadable(tally.capture, "the file is no JSON", expected="OTLP JSON or JSON lines")


def _one_or_lines(tally: Tally, content: bytes) -> Iterator[tuple[str, Any]]:
    try:
        whole = load_json(content, tally.capture, expected=dict)
    except InputDataError:
        whole = {}
    if "resourceSpans" in whole or "resourceMetrics" in whole:
        yield "", whole
    else:
        yield from json_lines(tally, content)


def _below(tally: Tally, found: dict[str, Any], at: str, *names: str) -> list[Record]:
    """Return the objects at the end of a path of arrays, with their places; what is something else is rejected."""
    level = [(at, found)]
    for name in names:
        level = [record for place, holder in level for record in _items(tally, holder.get(name), place + pointer(name))]
    return level


def _items(tally: Tally, listed: object, at: str) -> Iterator[Record]:
    if listed is not None and not isinstance(listed, list):
        tally.reject("not_an_array", listed, locator=at)
    return objects(tally, placed(listed if isinstance(listed, list) else [], at=at))


def _attributes(found: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of a span, a point or a flattened record as one object."""
    listed = found.get("attributes")
    if isinstance(listed, dict):
        return listed
    if not isinstance(listed, list):
        return found
    attributes = {}
    for item in listed:
        holder = item.get("value") if isinstance(item, dict) else None
        if isinstance(holder, dict) and isinstance(item.get("key"), str):
            attributes[item["key"]] = next(iter(holder.values()), None)
    return attributes


def _names_usage(found: dict[str, Any]) -> bool:
    return any(isinstance(name, str) and name.startswith(_USAGE) for name in _attributes(found))


def _span(found: dict[str, Any], locator: str) -> Usage:
    attributes = _attributes(found)
    refuse_unknown(attributes, _KNOWN, like=_USAGE)
    operation = attributes.get("gen_ai.operation.name")
    if operation is not None and operation not in _INFERENCE:
        raise UnusableRecord("not_an_inference", word(operation))
    return Usage(
        provider=_provider(attributes),
        model=_model(attributes),
        service_tier=_tier(attributes),
        day=_time(found).date(),
        locator=locator,
        tokens=_tokens(attributes),
        identity=_identity(found),
    )


def _provider(attributes: dict[str, Any]) -> str:
    found = {attributes[name] for name in _PROVIDERS if isinstance(attributes.get(name), str)}
    if len(found) > 1:
        raise UnusableRecord("contradicts_another_field", Word(", ".join(sorted(found))))
    return named(attributes, *_PROVIDERS, reason="no_provider")


def _model(attributes: dict[str, Any]) -> str:
    return named(attributes, "gen_ai.response.model", "gen_ai.request.model", reason="no_model")


def _tier(attributes: dict[str, Any]) -> str:
    return tier_of(next((attributes[name] for name in _SERVICE if attributes.get(name) is not None), None))


def _tokens(attributes: dict[str, Any]) -> dict[str, int]:
    read = agreed(attributes, *_READ)
    cached = {kind: counted(attributes, _USAGE + f"{kind}.cache_read.input_tokens") for kind in _MODALITIES}
    inside: dict[str, int | None] = {
        **remainder(read, {f"cache_read_{kind}": number for kind, number in cached.items()}, to="cache_read"),
        "cache_write": agreed(attributes, *_WRITTEN),
    }
    for kind in _MODALITIES:
        of_kind = counted(attributes, _USAGE + f"{kind}.input_tokens")
        if of_kind and read and cached[kind] is None:  # the cached ones may be of that modality
            raise UnusableRecord("parts_overlap", of_kind)
        inside |= remainder(of_kind, {"": cached[kind]}, to=f"input_{kind}")
        inside.pop("", None)
    output = {f"output_{kind}": counted(attributes, _USAGE + f"{kind}.output_tokens") for kind in _MODALITIES}
    total, sent, answered = agreed(attributes, _TOTAL), agreed(attributes, *_INPUT), agreed(attributes, *_OUTPUT)
    if total is not None and total != (sent or 0) + (answered or 0):
        raise UnusableRecord("parts_do_not_add_up", total)
    return {
        **remainder(sent, inside, to="input"),
        **remainder(answered, {**output, "output_reasoning": counted(attributes, _REASONING)}, to="output"),
    }


def _time(found: dict[str, Any]) -> datetime:
    for name in _TIMES:
        if found.get(name) is not None:
            return _moment(found[name]) if name == "startTimeUnixNano" else moment(found[name])
    raise UnusableRecord("not_a_date")


def _moment(found: object, *, before: int = 0) -> datetime:
    """Return the moment `before` nanoseconds before `found`, which OTLP writes as text or number of nanoseconds."""
    text = str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""
    if not (text.isascii() and text.isdigit() and len(text) <= 21) or int(text) == 0:
        raise UnusableRecord("not_a_date", found)
    return epoch((int(text) - before) // _NANO)


def _identity(found: dict[str, Any]) -> tuple[str, str] | None:
    context = found.get("context")
    for holder in (found, context if isinstance(context, dict) else {}):
        for trace, span in _IDS:
            if isinstance(holder.get(trace), str) and isinstance(holder.get(span), str):
                return holder[trace], holder[span]
    return None


def _points(tally: Tally, metrics: list[Record]) -> list[Record]:
    """Return the points of the token metric with the temporality of their histogram; other token counters are refused."""
    points = []
    for at, metric in metrics:
        name = metric.get("name")
        form = next((form for form in _HISTOGRAMS if isinstance(metric.get(form), dict)), None)
        if name == METRIC and form is not None:
            temporality = metric[form].get("aggregationTemporality")
            for place, point in _below(tally, metric[form], at + pointer(form), "dataPoints"):
                points.append((place, {**point, "temporality": temporality}))
        elif isinstance(name, str) and name.startswith("gen_ai.client.") and "token" in name:
            tally.reject("unknown_field", Word(name), locator=at)
    return points


def _point(found: dict[str, Any], locator: str) -> Usage:
    attributes = _attributes(found)
    if found["temporality"] not in (1, "AGGREGATION_TEMPORALITY_DELTA"):
        raise UnusableRecord("cumulative_metric")
    operation = attributes.get("gen_ai.operation.name")
    if operation is not None and operation not in _INFERENCE:
        raise UnusableRecord("not_an_inference", word(operation))
    kind = attributes.get("gen_ai.token.type")
    if kind not in ("input", "output"):
        raise UnusableRecord("unknown_meter", word(kind))
    start, end = _moment(found.get("startTimeUnixNano")), _moment(found.get("timeUnixNano"), before=1)
    if end.date() != start.date():
        raise UnusableRecord("spans_days", int((end - start).total_seconds()))
    return Usage(
        provider=_provider(attributes),
        model=_model(attributes),
        service_tier=_tier(attributes),
        day=start.date(),
        locator=locator,
        tokens={str(kind): count(found.get("sum"))},
    )


ADAPTER: Final = Adapter("otel-genai", "2", parse, ("VOLUMES",))
