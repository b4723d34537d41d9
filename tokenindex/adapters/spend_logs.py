"""Request logs of gateways: LiteLLM's spend tables, and Helicone's request export.

*Reads* JSON arrays, JSON lines or CSV. *Writes* volumes: tokens by component, and what was paid on component `total`,
because both logs state one amount a request. *Never* counts a request twice, nor one that no vendor was paid for, and
never reads the texts, keys and users that such logs are full of.

**LiteLLM_SpendLogs** has a row a request; `prompt_tokens` hold cached tokens and cache writes, whose numbers stand in
``metadata.usage_object``. **LiteLLM_DailyUserSpend** has a row a day, user, key and model, with those numbers as columns.
If a file holds both, the daily rows repeat the requests and are rejected. A request answered from the gateway's own
cache and a failed one bought nothing. **Helicone** counts cached tokens beside `prompt_tokens`, not inside, and reasoning
beside `completion_tokens`; whether audio stands inside differs between versions, so requests with audio are rejected.

An amount of zero for tokens is not a price: both gateways write zero where they know none. A cache write whose lifetime
is not named is a `cache_write`. Times without a zone are UTC, as both databases store them. All amounts are US dollars.
"""

from __future__ import annotations

from typing import Any, Final

from . import Adapter, Capture, Parsed
from .fields import (
    UnusableRecord,
    agreed,
    amount,
    counted,
    moment,
    named,
    nested,
    plain_day,
    refuse_unknown,
    remainder,
    tier_of,
)
from .usage import UNNAMED, Record, Tally, Usage, records

_LITELLM_COLUMNS: Final = frozenset({"model", "custom_llm_provider", "prompt_tokens", "completion_tokens", "spend"})
_LITELLM_COUNTS: Final = frozenset(
    "prompt_tokens completion_tokens total_tokens cache_read_input_tokens cache_creation_input_tokens "
    "compression_saved_tokens".split()
)
_HELICONE_COLUMNS: Final = frozenset({"prompt_tokens", "completion_tokens", "cost", "request_created_at"})
_HELICONE_COUNTS: Final = frozenset(
    "prompt_tokens completion_tokens total_tokens prompt_cache_read_tokens prompt_cache_write_tokens reasoning_tokens "
    "prompt_audio_tokens completion_audio_tokens".split()
)
_READ: Final = ("cached_tokens",)
_WRITTEN: Final = ("cache_creation_tokens", "cache_write_tokens")
_LASTING: Final = {"cache_write": "ephemeral_5m_input_tokens", "cache_write_1h": "ephemeral_1h_input_tokens"}


def parse_litellm(content: bytes, capture: Capture) -> Parsed:
    """Return the tokens a provider, model, component and UTC day, and the spend of each model and day.

    Raises
    ------
    InputDataError
        If the bytes are neither JSON nor a CSV file with the columns of the tables. So does the other.
    """
    tally = Tally(capture, scope="own")
    rows = list(records(tally, content, columns=_LITELLM_COLUMNS))
    requests: list[Record] = [(locator, fields) for locator, fields in rows if "startTime" in fields]
    daily = [(locator, fields) for locator, fields in rows if "startTime" not in fields]
    tally.read(requests, _litellm_request)
    if requests:
        for locator, _ in daily:
            tally.reject("counted_as_requests", "", locator=locator)
    else:
        tally.read(daily, _litellm_day)
    return tally.parsed()


def _litellm_request(fields: dict[str, Any], locator: str) -> Usage:
    if str(fields.get("cache_hit")).lower() == "true":
        raise UnusableRecord("served_from_cache")
    if fields.get("status") == "failure":
        raise UnusableRecord("failed_request")
    metadata = nested(fields.get("metadata"))
    details = nested(metadata.get("usage_object")) or nested(metadata.get("additional_usage_values"))
    tokens = _litellm_tokens(fields, details)
    total = counted(fields, "total_tokens")
    if total and total != sum(tokens.values()):
        raise UnusableRecord("parts_do_not_add_up", total)
    return Usage(
        provider=named(fields, "custom_llm_provider", reason="no_provider"),
        model=named(fields, "model", reason="no_model"),
        service_tier=tier_of(details.get("service_tier")),
        day=moment(fields["startTime"], naive_is_utc=True).date(),
        locator=locator,
        tokens=tokens,
        spend=_paid(fields.get("spend"), tokens),
        currency="USD",
        identity=fields.get("request_id") if isinstance(fields.get("request_id"), str) else None,
    )


def _litellm_tokens(fields: dict[str, Any], details: dict[str, Any]) -> dict[str, int]:
    prompt, completion = nested(details.get("prompt_tokens_details")), nested(details.get("completion_tokens_details"))
    lasting = nested(details.get("cache_creation_token_details")) or nested(prompt.get("cache_creation_token_details"))
    both = {**details, **{name: found for name, found in prompt.items() if name in (*_READ, *_WRITTEN)}}
    read = agreed(both, "cache_read_input_tokens", *_READ)
    written = agreed(both, "cache_creation_input_tokens", *_WRITTEN)
    audio, image = counted(prompt, "audio_tokens"), counted(prompt, "image_tokens")
    if read and (audio or image):  # the cached ones may be audio themselves
        raise UnusableRecord("parts_overlap", read)
    hour = counted(lasting, _LASTING["cache_write_1h"])
    inside = {
        "cache_read": read,
        **remainder(written, {"cache_write_1h": hour} if hour else {}, to="cache_write"),
        "input_audio": audio,
        "input_image": image,
    }
    output = {
        "output_reasoning": counted(completion, "reasoning_tokens"),
        "output_audio": counted(completion, "audio_tokens"),
        "output_image": counted(completion, "image_tokens"),
    }
    return {
        **remainder(counted(fields, "prompt_tokens"), inside, to="input"),
        **remainder(counted(fields, "completion_tokens"), output, to="output"),
    }


def _litellm_day(fields: dict[str, Any], locator: str) -> Usage:
    refuse_unknown(fields, _LITELLM_COUNTS)
    inside = {
        "cache_read": counted(fields, "cache_read_input_tokens"),
        "cache_write": counted(fields, "cache_creation_input_tokens"),
    }
    tokens = {
        **remainder(counted(fields, "prompt_tokens"), inside, to="input"),
        **remainder(counted(fields, "completion_tokens"), {}, to="output"),
    }
    return Usage(
        provider=named(fields, "custom_llm_provider", reason="no_provider"),
        model=named(fields, "model", reason="no_model"),
        service_tier="standard",
        day=plain_day(fields.get("date")),
        locator=locator,
        tokens=tokens,
        spend=_paid(fields.get("spend"), tokens),
        currency="USD",
        identity=fields.get("id") if isinstance(fields.get("id"), str) else None,
    )


def _paid(found: object, tokens: dict[str, int]) -> dict[str, int]:
    """Return the spend of a whole request; nothing if none is stated, or zero for tokens."""
    if found is None or found == "":
        return {}
    paid = amount(found)
    return {"total": paid} if paid or not any(tokens.values()) else {}


def parse_helicone(content: bytes, capture: Capture) -> Parsed:
    """Return the tokens a provider, model, component and UTC day, and the spend of each model and day."""
    tally = Tally(capture, scope="own")
    tally.read(records(tally, content, columns=_HELICONE_COLUMNS), _helicone)
    return tally.parsed()


def _helicone(fields: dict[str, Any], locator: str) -> Usage:
    refuse_unknown(fields, _HELICONE_COUNTS)
    if audio := counted(fields, "prompt_audio_tokens") or counted(fields, "completion_audio_tokens"):
        raise UnusableRecord("parts_overlap", audio)
    stated = {
        "input": counted(fields, "prompt_tokens"),
        "cache_read": counted(fields, "prompt_cache_read_tokens"),
        "cache_write": counted(fields, "prompt_cache_write_tokens"),
        "output": counted(fields, "completion_tokens"),
        "output_reasoning": counted(fields, "reasoning_tokens"),
    }
    tokens = {component: number for component, number in stated.items() if number is not None}
    _check_total(counted(fields, "total_tokens"), tokens)
    ids = (fields.get("request_id"), fields.get("response_id"))
    provider = fields.get("provider")
    return Usage(
        provider=provider if isinstance(provider, str) and provider.strip() else UNNAMED,
        model=named(fields, "model", "response_model", "model_override", "request_model", reason="no_model"),
        service_tier="standard",
        day=moment(fields.get("request_created_at"), naive_is_utc=True).date(),
        locator=locator,
        tokens=tokens,
        spend=_paid(next((fields[name] for name in ("cost", "costUSD") if fields.get(name) is not None), None), tokens),
        currency="USD",
        identity=next((name for name in ids if isinstance(name, str) and name), None),
    )


def _check_total(total: int | None, tokens: dict[str, int]) -> None:
    """Refuse a request whose total is neither prompt and completion, nor those and the reasoning."""
    plain = tokens.get("input", 0) + tokens.get("output", 0)
    if total is not None and total not in (plain, plain + tokens.get("output_reasoning", 0)):
        raise UnusableRecord("parts_do_not_add_up", total)


LITELLM: Final = Adapter("litellm-spend", "2", parse_litellm, ("VOLUMES",))
HELICONE: Final = Adapter("helicone", "2", parse_helicone, ("VOLUMES",))
