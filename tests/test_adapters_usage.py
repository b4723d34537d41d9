"""Usage and spend: the rows of each fixture written out by hand, every trap, and that no secret gets out."""

from __future__ import annotations

import json
import time
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from test_adapters import CASES, KNOWN, RAW, Case, fixture, parquet, read, reasons

from tokenindex.adapters import Capture, Parsed, adapter
from tokenindex.adapters.meters import azure_meter, line_item, plain_meter
from tokenindex.errors import InputDataError
from tokenindex.exact import TOKENS_MAX

JUNE_1, JUNE_2, JUNE_3 = (date(2026, 6, day) for day in (1, 2, 3))
DAY = 86_400
START = 1_780_272_000
"""2026-06-01T00:00:00Z."""
assert datetime.fromtimestamp(START, UTC) == datetime(2026, 6, 1, tzinfo=UTC)

Row = tuple[str, str, str, date, int | None, str | None, bool, str]


def rows(parsed: Parsed) -> list[Row]:
    """Model, component, tier, day, tokens, spend, partial, locator; and that the rest is as it should be."""
    assert parsed.volumes["known_at"].unique().to_list() in ([], [KNOWN])
    assert (parsed.volumes["period_start"] == parsed.volumes["period_end"]).all()
    assert (parsed.volumes["spend"].is_null() == parsed.volumes["currency"].is_null()).all()
    columns = ["model", "component", "service_tier", "period_start", "tokens", "spend", "partial", "locator"]
    found = parsed.volumes.select(columns).rows()
    return [(*row[:5], None if row[5] is None else f"{row[5].normalize():f}", *row[6:]) for row in found]


def dumped(tree: object) -> bytes:
    return json.dumps(tree).encode()


def openai(*results: dict[str, Any], start: int = START, end: int = START + DAY, **page: Any) -> bytes:
    bucket = {"start_time": start, "end_time": end, "results": [{"model": "m", **result} for result in results]}
    return dumped({"data": [bucket], "has_more": False, **page})


def counts(parsed: Parsed) -> dict[str, int | None]:
    """Component to tokens, of a file with one model, tier and day."""
    assert parsed.volumes.select("provider", "model", "service_tier", "period_start").n_unique() <= 1
    return dict(parsed.volumes.select("component", "tokens").rows())


def why(parsed: Parsed) -> list[str]:
    return parsed.rejects["reason"].to_list()


# --- OpenAI --------------------------------------------------------------------------------------------------------


def test_openai_usage() -> None:
    parsed = read(fixture("openai_usage.json"), "openai-usage")
    one, two = ("acme-1-2026-01-01", "acme-2")
    both, second = "/data/0/results/0 and 1 more", "/data/1/results/1"
    assert rows(parsed) == [
        # 1000 - 400 cached - 50 audio, and 10 - 4 cached
        (one, "input", "standard", JUNE_1, 556, None, False, both),
        (one, "output", "standard", JUNE_1, 182, None, False, both),
        (one, "cache_read", "standard", JUNE_1, 404, None, False, both),
        (one, "input_audio", "standard", JUNE_1, 50, None, False, "/data/0/results/0"),
        (one, "output_audio", "standard", JUNE_1, 20, None, False, "/data/0/results/0"),
        (one, "input", "batch", JUNE_1, 30, None, False, "/data/0/results/2"),
        (one, "output", "batch", JUNE_1, 3, None, False, "/data/0/results/2"),
        (one, "cache_read", "batch", JUNE_1, 0, None, False, "/data/0/results/2"),
        # the second bucket begins at 05:01
        (two, "input", "standard", JUNE_2, 5, None, True, second),
        (two, "output", "standard", JUNE_2, 6, None, True, second),
    ]
    assert reasons(parsed) == [("/data/0/results/3", "no_model"), ("/data/1/results/0", "parts_exceed_total")]
    assert set(parsed.volumes.select("source", "scope", "provider", "licence").rows()) == {
        ("the openai-usage", "own", "openai", "MIT")
    }
    assert parsed.volumes["requests"].null_count() == parsed.volumes.height


FULL = {
    "input_tokens": 1000,
    "input_cached_tokens": 300,
    "input_cached_text_tokens": 200,
    "input_cached_audio_tokens": 70,
    "input_cached_image_tokens": 30,
    "input_cache_write_tokens": 40,
    "input_audio_tokens": 50,
    "input_image_tokens": 10,
    "input_text_tokens": 600,
    "input_uncached_tokens": 660,
    "output_tokens": 100,
    "output_text_tokens": 85,
    "output_audio_tokens": 9,
    "output_image_tokens": 6,
}


def test_openai_usage_with_every_field_splits_into_disjoint_components() -> None:
    found = counts(read(openai(FULL), "openai-usage"))
    assert found == {
        "input": 600,
        "cache_read": 200,
        "cache_read_audio": 70,
        "cache_read_image": 30,
        "cache_write": 40,
        "input_audio": 50,
        "input_image": 10,
        "output": 85,
        "output_audio": 9,
        "output_image": 6,
    }
    assert sum(number for component, number in found.items() if "output" not in component and number) == 1000


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"input_text_tokens": 601}, "parts_do_not_add_up"),
        ({"input_uncached_tokens": 661}, "parts_do_not_add_up"),
        ({"input_cached_text_tokens": 199}, "parts_do_not_add_up"),
        ({"output_text_tokens": 86}, "parts_do_not_add_up"),
        # audio that counts its cached tokens again
        ({"input_audio_tokens": 120}, "parts_do_not_add_up"),
        ({"input_cached_tokens": 1001}, "parts_exceed_total"),
        ({"input_cached_audio_tokens": 301}, "parts_exceed_total"),
        ({"output_audio_tokens": 95}, "parts_exceed_total"),
        ({"input_tokens": None}, "parts_without_total"),
        ({"input_tokens": -1}, "negative_count"),
        ({"input_tokens": TOKENS_MAX + 1}, "not_a_count"),
        ({"input_tokens": "many"}, "not_a_count"),
        ({"input_tokens": 1000.5}, "not_a_count"),
        ({"input_tokens": True}, "not_a_count"),
        ({"input_video_tokens": 1}, "unknown_field"),
        ({"service_tier": "scale"}, "unknown_service_tier"),
        ({"service_tier": ["flex"]}, "unknown_service_tier"),
        ({"batch": "yes"}, "unknown_service_tier"),
        ({"model": ""}, "no_model"),
        ({"object": "organization.usage.embeddings.result"}, "unknown_record"),
    ],
)
def test_openai_usage_that_is_rejected(change: dict[str, Any], reason: str) -> None:
    parsed = read(openai({**FULL, **change}), "openai-usage")
    assert (why(parsed), parsed.volumes.height) == ([reason], 0)


def test_a_field_that_is_not_known_but_counts_nothing_is_no_reason() -> None:
    assert why(read(openai({**FULL, "input_video_tokens": 0}), "openai-usage")) == []


def test_a_result_without_any_count_is_no_usage() -> None:
    assert why(read(openai({}), "openai-usage")) == ["no_usage"]


@pytest.mark.parametrize(
    ("tier", "batch", "expected"),
    [
        (None, None, "standard"),
        ("default", False, "standard"),
        ("flex", None, "flex"),
        ("priority", False, "priority"),
        ("default", True, "batch"),
    ],
)
def test_openai_service_tiers(tier: str | None, batch: bool | None, expected: str) -> None:
    parsed = read(openai({"input_tokens": 1, "service_tier": tier, "batch": batch}), "openai-usage")
    assert parsed.volumes["service_tier"].to_list() == [expected]


def hours(*bounds: tuple[float, float], more: object = False) -> bytes:
    """One result of one token in each bucket; bounds in hours after the start of 1 June."""
    data = [
        {
            "start_time": START + int(a * 3600),
            "end_time": START + int(b * 3600),
            "results": [{"model": "m", "input_tokens": 1}],
        }
        for a, b in bounds
    ]
    return dumped({"data": data, "has_more": more})


@pytest.mark.parametrize(
    ("bounds", "expected", "rejected"),
    [
        ([(0, 24)], [(JUNE_1, 1, False)], []),
        ([(hour, hour + 1) for hour in range(24)], [(JUNE_1, 24, False)], []),
        ([(hour, hour + 1) for hour in reversed(range(24))], [(JUNE_1, 24, False)], []),
        ([(hour, hour + 1) for hour in range(24) if hour != 7], [(JUNE_1, 23, True)], []),
        ([(hour, hour + 1) for hour in range(23)], [(JUNE_1, 23, True)], []),
        ([(1, 24)], [(JUNE_1, 1, True)], []),
        ([(0, 24), (24, 25)], [(JUNE_1, 1, False), (JUNE_2, 1, True)], []),
        ([(0, 48)], [], ["spans_days"]),
        ([(23, 25)], [], ["spans_days"]),
        ([(2, 2)], [], ["ends_before_it_starts"]),
        ([(0, 24), (3, 4)], [], ["overlapping_buckets", "overlapping_buckets"]),
        ([(0, 2), (1, 3), (4, 5)], [(JUNE_1, 1, True)], ["overlapping_buckets", "overlapping_buckets"]),
        ([(0, 24), (0, 24)], [(JUNE_1, 1, False)], ["repeats_another_row"]),
    ],
)
def test_buckets(
    bounds: list[tuple[float, float]], expected: list[tuple[date, int, bool]], rejected: list[str]
) -> None:
    parsed = read(hours(*bounds), "openai-usage")
    assert parsed.volumes.select("period_start", "tokens", "partial").rows() == expected
    assert why(parsed) == rejected


@pytest.mark.parametrize("more", [True, 1, "yes"])
def test_a_page_that_has_more_gives_partial_days_and_says_so(more: object) -> None:
    parsed = read(hours((0, 24), more=more), "openai-usage")
    assert parsed.volumes["partial"].to_list() == [True]
    assert reasons(parsed) == [("/has_more", "more_pages")]


def test_pages_that_belong_together_are_one_report() -> None:
    pages = [json.loads(hours((0, 12), more=True)), json.loads(hours((12, 24), (24, 48)))]
    parsed = read(dumped(pages), "openai-usage")
    assert rows(parsed) == [
        ("m", "input", "standard", JUNE_1, 2, None, False, "/0/data/0/results/0 and 1 more"),
        ("m", "input", "standard", JUNE_2, 1, None, False, "/1/data/1/results/0"),
    ]
    assert why(parsed) == []
    assert why(read(dumped(pages[::-1]), "openai-usage")) == ["more_pages"]


@pytest.mark.parametrize("bad", [{}, {"data": {}, "has_more": True}, "a page that went astray", None])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_is_no_page_costs_itself_and_leaves_no_day_whole(bad: object, place: int) -> None:
    # the page that is missing may hold more of any bucket
    pages: list[Any] = [json.loads(hours((0, 24), more=True)), json.loads(hours((24, 48)))]
    pages.insert(place, bad)
    parsed = read(dumped(pages), "openai-usage")
    assert parsed.volumes.select("period_start", "tokens", "partial").rows() == [(JUNE_1, 1, True), (JUNE_2, 1, True)]
    assert reasons(parsed) == [(f"/{place}", "not_a_page")]
    assert "astray" not in str(parsed.rejects["found"].to_list())


def test_a_day_that_was_not_over_is_partial() -> None:
    seen = datetime(2026, 6, 1, 23, 59, tzinfo=UTC)
    content = hours((0, 24))
    facts: dict[str, Any] = {"name": "x", "adapter": "openai-usage", "source": "s", "seen_at": seen, "known_at": KNOWN}
    assert adapter("openai-usage").parse(content, Capture.of(content, **facts)).volumes["partial"].to_list() == [True]


@pytest.mark.parametrize("start", [None, "1780272000", 1780272000.0, -1, 10**12, True])
def test_a_bucket_needs_epoch_seconds(start: object) -> None:
    content = dumped({"data": [{"start_time": start, "end_time": START + DAY, "results": [{"model": "m"}]}]})
    assert why(read(content, "openai-usage")) == ["not_a_date"]


@pytest.mark.parametrize("tree", [{"data": {}}, {"results": []}, [], [[]], [{}, 7], 7, "data"])
def test_what_is_no_page_is_a_typed_error(tree: object) -> None:
    with pytest.raises(InputDataError):
        read(dumped(tree), "openai-usage")


def test_a_series_whose_sum_no_table_holds_is_rejected() -> None:
    results = [{"input_tokens": TOKENS_MAX, "output_tokens": 1, "project_id": str(n)} for n in range(3)]
    parsed = read(openai(*results), "openai-usage")
    assert counts(parsed) == {"output": 3}
    assert reasons(parsed) == [("/data/0/results/0 and 2 more", "not_a_count")]


def test_results_of_one_group_that_contradict_each_other_count_nothing() -> None:
    parsed = read(openai({"input_tokens": 1}, {"input_tokens": 2}), "openai-usage")
    assert parsed.volumes.is_empty()
    assert why(parsed) == ["contradicts_another_row"] * 2


def test_openai_costs() -> None:
    parsed = read(fixture("openai_costs.json"), "openai-costs")
    one = "acme-1-2026-01-01"
    assert rows(parsed) == [
        (one, "input", "standard", JUNE_1, None, "2", False, "/data/0/results/2 and 1 more"),
        # 1.1 and 1.4 billionths are summed before they are rounded, half-even
        (one, "cache_read", "standard", JUNE_1, None, "0.000000002", False, "/data/0/results/0 and 1 more"),
        (one, "output", "priority", JUNE_1, None, "3", False, "/data/0/results/4"),
        ("acme-audio", "output_audio", "standard", JUNE_1, None, "2", False, "/data/0/results/5"),
    ]
    assert parsed.volumes["currency"].unique().to_list() == ["USD"]
    assert reasons(parsed) == [
        ("/data/0/results/6", "unknown_meter"),
        ("/data/0/results/7", "not_by_line_item"),
        ("/data/0/results/8", "negative_amount"),
        ("/data/0/results/9", "unknown_currency"),
    ]


@pytest.mark.parametrize(
    "value", [None, True, "", "1,5", "NaN", "1e400", 10**16, [1], {"a": 1}, "0x1", "1e-41", 10**500]
)
def test_an_amount_that_is_none(value: object) -> None:
    parsed = read(openai({"line_item": "m, input", "amount": {"value": value, "currency": "usd"}}), "openai-costs")
    assert (why(parsed), parsed.volumes.height) == (["not_an_amount"], 0)


def test_amounts_never_pass_through_a_float() -> None:
    value = "123456789012345.123456789"
    content = openai({"line_item": "m, input", "amount": {"value": "X", "currency": "usd"}}).replace(
        b'"X"', value.encode()
    )
    assert read(content, "openai-costs").volumes["spend"].to_list() == [Decimal(value)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gpt-4o-2024-08-06, cached input", ("gpt-4o-2024-08-06", "cache_read", "standard")),
        ("gpt-4o-2024-08-06, input", ("gpt-4o-2024-08-06", "input", "standard")),
        ("ft:gpt-4o:org::id, output", ("ft:gpt-4o:org::id", "output", "standard")),
        ("gpt-5.6, cache writes", ("gpt-5.6", "cache_write", "standard")),
        ("priority | gpt-5.6, output, long context", ("gpt-5.6", "output", "priority")),
        ("gpt-image-1 text, input", ("gpt-image-1", "input", "standard")),
        ("gpt-image-1 image, output", ("gpt-image-1", "output_image", "standard")),
        ("gpt-audio audio, cached input", ("gpt-audio", "cache_read_audio", "standard")),
        ("batch | gpt-5.6, output", None),
        ("assistants api | file search", None),
        ("web search tool calls", None),
        ("whisper-1, audio", None),
        ("gpt-4o, Input", None),
        ("two words, input", None),
        (", input", None),
        ("m, input, short context", None),
        ("m, output," + " " * 300, None),
    ],
)
def test_line_items(text: str, expected: tuple[str, str, str] | None) -> None:
    found = line_item(text)
    assert (found and (found.model, found.component, found.service_tier)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gpt-4o-0806-Inp-glbl Tokens", ("gpt-4o-0806", "input", "standard")),
        ("gpt-4o-mini-0718-Outp-regnl Tokens", ("gpt-4o-mini-0718", "output", "standard")),
        ("gpt 4.1 mini cached Inp glbl Tokens", ("gpt 4.1 mini", "cache_read", "standard")),
        ("gpt 4.1 mini Batch Outp Data Zone Tokens", ("gpt 4.1 mini", "output", "batch")),
        ("5.4 pp opt Gl 1M Tokens", ("5.4", "output", "priority")),
        ("5.1 pp cd inp Dz 1M Tokens", ("5.1", "cache_read", "priority")),
        ("gpt-4o-aud-1217 Inp glbl Tokens", None),
        ("gpt-4o-rt-txt-1217 Inp glbl Tokens", None),
        ("gpt-4.1-ft input global Tokens", None),
        ("5.6 sol ShortCo Cd Wr Std Gl 1M Tokens", None),
        ("gpt 4.1 cached Outp glbl Tokens", None),
        ("text-embedding-3-large-glbl Tokens", None),
        ("gpt-4o-0806-Inp-moon Tokens", None),
        ("gpt-4o Inp glbl", None),
        ("a-" * 5_000 + "Inp-glbl Tokens", None),
    ],
)
def test_azure_meters(text: str, expected: tuple[str, str, str] | None) -> None:
    found = azure_meter(text)
    assert (found and (found.model, found.component, found.service_tier)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Input Tokens", "input"),
        ("output", "output"),
        ("Cached  input tokens", "cache_read"),
        ("Cache Read Tokens", "cache_read"),
        ("Cache Write Tokens", "cache_write"),
        ("Input Token", None),
        ("Inputs", None),
        ("Text Input Tokens", None),
        ("tokens", None),
    ],
)
def test_plain_meters(text: str, expected: str | None) -> None:
    found = plain_meter(text)
    assert (found and found.component) == expected


# --- Anthropic -----------------------------------------------------------------------------------------------------


def test_anthropic_usage() -> None:
    parsed = read(fixture("anthropic_usage.json"), "anthropic-usage")
    both = "/data/0/results/0 and 1 more"  # one of each context window
    assert rows(parsed) == [
        ("acme-opus", "input", "standard", JUNE_1, 1504, None, False, both),
        ("acme-opus", "output", "standard", JUNE_1, 503, None, False, both),
        ("acme-opus", "cache_read", "standard", JUNE_1, 202, None, False, both),
        ("acme-opus", "cache_write", "standard", JUNE_1, 501, None, False, both),
        ("acme-opus", "cache_write_1h", "standard", JUNE_1, 1000, None, False, both),
        ("acme-opus", "input", "batch", JUNE_1, 40, None, False, "/data/0/results/2"),
        ("acme-opus", "output", "batch", JUNE_1, 30, None, False, "/data/0/results/2"),
    ]
    assert reasons(parsed) == [
        ("/data/0/results/3", "unknown_service_tier"),
        ("/data/0/results/4", "no_model"),
        ("/data/0/results/5", "negative_count"),
        ("/data/0/results/6", "unknown_field"),
    ]


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"speed": "fast", "service_tier": "standard"}, "fast"),
        ({"speed": "standard", "service_tier": "flex"}, "flex"),
        ({"service_tier": None}, "standard"),
        ({"speed": "fast", "service_tier": "batch"}, None),
        ({"speed": "warp"}, None),
        ({"service_tier": "flex_discount"}, None),
        ({"cache_creation": {"ephemeral_12h_input_tokens": 5}}, None),
        ({"cache_creation": [1]}, None),
    ],
)
def test_anthropic_tiers_and_unknown_fields(result: dict[str, Any], expected: str | None) -> None:
    bucket = {"starting_at": "2026-06-01T00:00:00Z", "ending_at": "2026-06-02T00:00:00Z"}
    results = [{"model": "m", "uncached_input_tokens": 1, **result}]
    parsed = read(dumped({"data": [{**bucket, "results": results}]}), "anthropic-usage")
    assert parsed.volumes["service_tier"].to_list() == ([expected] if expected else [])
    assert len(why(parsed)) == (0 if expected else 1)


@pytest.mark.parametrize(
    ("start", "day"),
    [
        ("2026-06-01T00:00:00+00:00", JUNE_1),
        ("2026-06-01T02:00:00+02:00", JUNE_1),
        ("2026-06-01T00:00:00", None),
        ("2026-06-01", None),
        ("0001-01-01T00:00:00+23:00", None),
    ],
)
def test_anthropic_buckets_need_a_zone(start: str, day: date | None) -> None:
    bucket = {
        "starting_at": start,
        "ending_at": "2026-06-02T00:00:00Z",
        "results": [{"model": "m", "output_tokens": 1}],
    }
    parsed = read(dumped({"data": [bucket]}), "anthropic-usage")
    assert parsed.volumes["period_start"].to_list() == ([day] if day else [])


def test_anthropic_costs() -> None:
    parsed = read(fixture("anthropic_costs.json"), "anthropic-costs")
    assert rows(parsed) == [
        # 123.78912 and 0.00000025 cents are 1.2378912025 dollars: half-even
        ("acme-opus", "input", "standard", JUNE_1, None, "1.237891202", False, "/data/0/results/0 and 1 more"),
        ("acme-opus", "cache_write_1h", "batch", JUNE_1, None, "0.07", False, "/data/0/results/2"),
    ]
    assert reasons(parsed) == [
        ("/data/0/results/3", "not_tokens"),
        ("/data/0/results/4", "not_by_description"),
        ("/data/0/results/5", "not_an_amount"),
    ]


# --- gateways ------------------------------------------------------------------------------------------------------


def test_litellm_requests() -> None:
    parsed = read(fixture("litellm_spend.json"), "litellm-spend")
    both = "/0 and 1 more"
    assert rows(parsed) == [
        # 100 - 60 read - 30 written, and 10
        ("acme-1", "input", "standard", JUNE_1, 20, None, False, both),
        ("acme-1", "output", "standard", JUNE_1, 17, None, False, both),
        ("acme-1", "cache_read", "standard", JUNE_1, 60, None, False, "/0"),
        ("acme-1", "cache_write", "standard", JUNE_1, 10, None, False, "/0"),
        ("acme-1", "cache_write_1h", "standard", JUNE_1, 20, None, False, "/0"),
        ("acme-1", "output_reasoning", "standard", JUNE_1, 5, None, False, "/0"),
        # 0.00000014999999999999999 and 0.25
        ("acme-1", "total", "standard", JUNE_1, None, "0.25000015", False, both),
        ("free", "input", "standard", JUNE_1, 10, None, False, "/4 and 1 more"),
        ("free", "output", "standard", JUNE_1, 6, None, False, "/4 and 1 more"),
    ]
    assert reasons(parsed) == [
        ("/2", "repeats_another_row"),
        ("/3", "served_from_cache"),
        ("/4", "spend_incomplete"),
        ("/6", "no_provider"),
        ("/7", "parts_exceed_total"),
    ]
    assert parsed.volumes["provider"].unique().to_list() == ["acme"]


def test_litellm_days() -> None:
    parsed = read(fixture("litellm_daily.csv"), "litellm-spend")
    both = "line 2 and 1 more"
    assert rows(parsed) == [
        ("acme-1", "input", "standard", JUNE_1, 260, None, False, both),
        ("acme-1", "output", "standard", JUNE_1, 101, None, False, both),
        ("acme-1", "cache_read", "standard", JUNE_1, 700, None, False, both),
        ("acme-1", "cache_write", "standard", JUNE_1, 50, None, False, both),
        ("acme-1", "total", "standard", JUNE_1, None, "0.125000001", False, both),
    ]
    assert reasons(parsed) == [("line 4", "parts_exceed_total"), ("line 5", "not_a_date")]


REQUEST = {
    "request_id": "r",
    "startTime": "2026-06-01T08:00:00Z",
    "model": "m",
    "custom_llm_provider": "p",
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 15,
    "spend": 1,
}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, {"input": 10, "output": 5, "total": None}),
        ({"startTime": "2026-06-01 08:00:00.123+00"}, {"input": 10, "output": 5, "total": None}),
        ({"spend": None}, {"input": 10, "output": 5}),
        ({"metadata": '{"usage_object": {"prompt_tokens_details": {"cached_tokens": 4}}}'},
         {"input": 6, "cache_read": 4, "output": 5, "total": None}),
        ({"metadata": {"additional_usage_values": {"cache_read_input_tokens": 4}}},
         {"input": 6, "cache_read": 4, "output": 5, "total": None}),
        ({"metadata": {"usage_object": {"prompt_tokens_details": {"audio_tokens": 4}}}},
         {"input": 6, "input_audio": 4, "output": 5, "total": None}),
        ({"status": "failure"}, "failed_request"),
        ({"cache_hit": "True"}, "served_from_cache"),
        ({"cache_hit": True}, "served_from_cache"),
        ({"total_tokens": 16}, "parts_do_not_add_up"),
        ({"model": None}, "no_model"),
        ({"custom_llm_provider": None}, "no_provider"),
        ({"startTime": "yesterday"}, "not_a_date"),
        ({"startTime": 1780272000}, "not_a_date"),
        ({"spend": -0.1}, "negative_amount"),
        ({"spend": "free"}, "not_an_amount"),
        ({"metadata": "{"}, "not_an_object"),
        ({"metadata": "[1]"}, "not_an_object"),
        ({"metadata": {"usage_object": {"service_tier": "gold"}}}, "unknown_service_tier"),
        ({"metadata": {"usage_object": {"cache_read_input_tokens": 4, "prompt_tokens_details": {"cached_tokens": 5}}}},
         "contradicts_another_field"),
        ({"metadata": {"usage_object": {"prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 5}}}},
         "parts_overlap"),
        ({"metadata": {"usage_object": {"completion_tokens_details": {"reasoning_tokens": 6}}}}, "parts_exceed_total"),
    ],
)  # fmt: skip
def test_litellm_one_request(change: dict[str, Any], expected: dict[str, int | None] | str) -> None:
    parsed = read(dumped([{**REQUEST, **change}]), "litellm-spend")
    if isinstance(expected, str):
        assert (why(parsed), parsed.volumes.height) == ([expected], 0)
    else:
        assert (counts(parsed), why(parsed)) == (expected, [])


def test_litellm_days_repeat_the_requests_of_the_same_file() -> None:
    day = {**REQUEST, "id": "d", "date": "2026-06-01"}
    del day["startTime"]
    parsed = read(dumped([REQUEST, day]), "litellm-spend")
    assert counts(parsed) == {"input": 10, "output": 5, "total": None}
    assert reasons(parsed) == [("/1", "counted_as_requests")]


def test_json_lines_and_csv_give_the_rows_of_the_array() -> None:
    array = [{**REQUEST, "request_id": str(n), "metadata": {}} for n in range(3)]
    lines = b"".join(dumped(request) + b"\n" for request in array)
    header = ",".join(array[0])
    cells = "\n".join(",".join(str(found) if found != {} else "{}" for found in request.values()) for request in array)
    read_as = [read(content, "litellm-spend") for content in (dumped(array), lines, f"{header}\n{cells}\n".encode())]
    assert [counts(parsed) for parsed in read_as] == [{"input": 30, "output": 15, "total": None}] * 3
    assert [parsed.volumes["locator"][0] for parsed in read_as] == [
        "/0 and 2 more",
        "line 1 and 2 more",
        "line 2 and 2 more",
    ]


@pytest.mark.parametrize(
    "content", [b"a,b\n1,2\n", b'{"a": 1}', b'{"a"\n{"b"\n', b'{"a": 1}\n{"b": 2}', b'{\n"a": 1\n}\n', b'"text"\n']
)
def test_what_is_no_list_of_records_is_a_typed_error(content: bytes) -> None:
    with pytest.raises(InputDataError):
        read(content, "litellm-spend")


def test_helicone() -> None:
    parsed = read(fixture("helicone.jsonl"), "helicone")
    both = "line 1 and 1 more"
    assert rows(parsed) == [
        # the 90 tokens read from the cache stand beside the prompt, not inside
        ("acme-1", "input", "standard", JUNE_1, 11, None, False, both),
        ("acme-1", "output", "standard", JUNE_1, 7, None, False, both),
        ("acme-1", "cache_read", "standard", JUNE_1, 90, None, False, "line 1"),
        ("acme-1", "cache_write", "standard", JUNE_1, 0, None, False, "line 1"),
        ("acme-1", "total", "standard", JUNE_1, None, "0.003", False, both),
        # a cost of zero is no price
        ("acme-2", "input", "standard", JUNE_1, 9, None, False, "line 5"),
        ("acme-2", "output", "standard", JUNE_1, 2, None, False, "line 5"),
        ("acme-2", "output_reasoning", "standard", JUNE_1, 3, None, False, "line 5"),
    ]
    assert reasons(parsed) == [("line 3", "parts_do_not_add_up"), ("line 4", "parts_overlap")]
    assert parsed.volumes["provider"].to_list() == ["ACME"] * 5 + ["unnamed"] * 3


def test_helicone_csv() -> None:
    header = b"response_id,request_created_at,request_body,request_user_id,model,prompt_tokens,completion_tokens,cost\n"
    line = b'"r","2026-06-01T10:00:00Z","{""messages"": [""two\nlines""]}","alice","m","7","3","0.5"\n'
    parsed = read(header + line + line.replace(b'"r"', b'"q"'), "helicone")
    assert counts(parsed) == {"input": 14, "output": 6, "total": None}
    assert parsed.volumes["locator"][0] == "line 2 and 1 more"


def test_langfuse() -> None:
    parsed = read(fixture("langfuse.jsonl"), "langfuse-observations")
    both = "line 1 and 1 more"
    assert rows(parsed) == [
        ("acme-1", "input", "standard", JUNE_1, 41, "0.5", False, both),
        ("acme-1", "output", "standard", JUNE_1, 12, "1", False, both),
        ("acme-1", "cache_read", "standard", JUNE_1, 60, "0.03", False, "line 1"),
        ("acme-1", "output_reasoning", "standard", JUNE_1, 5, "0.1", False, "line 1"),
        # the older form has cached tokens inside its input, so its cost is not the input's
        ("old", "input", "standard", JUNE_1, 7, None, False, "line 6"),
        ("old", "output", "standard", JUNE_1, 8, None, False, "line 6"),
        ("old", "total", "standard", JUNE_1, None, "2", False, "line 6"),
    ]
    assert reasons(parsed) == [
        ("line 4", "not_an_inference"),
        ("line 5", "parts_do_not_add_up"),
        ("line 7", "not_tokens"),
        ("line 8", "unknown_field"),
    ]
    assert parsed.volumes["provider"].unique().to_list() == ["unnamed"]


OBSERVATION = {"id": "o", "type": "GENERATION", "startTime": "2026-06-01T08:00:00Z", "model": "m"}
USED = {"input": 10, "output": 5, "total": 15}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"usageDetails": USED}, {"input": (10, None), "output": (5, None)}),
        ({"usageDetails": json.dumps(USED), "costDetails": '{"input": 1, "output": 2}'},
         {"input": (10, 1), "output": (5, 2)}),
        # parts that are not all of the total
        ({"usageDetails": USED, "costDetails": {"input": 1, "output": 2, "total": 4}},
         {"input": (10, None), "output": (5, None), "total": (None, 4)}),
        ({"usageDetails": USED, "costDetails": {"total": 4}},
         {"input": (10, None), "output": (5, None), "total": (None, 4)}),
        ({"usageDetails": USED, "costDetails": {"input": 1, "tea": 2, "total": 3}},
         {"input": (10, None), "output": (5, None), "total": (None, 3)}),
        # no price is known
        ({"usageDetails": USED, "costDetails": {"input": 0, "output": 0, "total": 0}},
         {"input": (10, None), "output": (5, None)}),
        ({"usageDetails": {**USED, "cache_read_input_tokens": 3, "input_cache_creation_1h": 2, "total": 20}},
         {"input": (10, None), "cache_read": (3, None), "cache_write_1h": (2, None), "output": (5, None)}),
        ({"usageDetails": {"input": 7, "input_text_tokens": 3, "output": 5, "total": 15}},
         {"input": (10, None), "output": (5, None)}),
        ({"usageDetails": {}, "inputUsage": 10, "outputUsage": 5, "totalUsage": 15, "totalCost": 0},
         {"input": (10, None), "output": (5, None)}),
        ({"usage": {"input": 10, "output": 5, "total": 15, "unit": "TOKENS", "inputCost": 1, "outputCost": 2}},
         {"input": (10, None), "output": (5, None), "total": (None, 3)}),
        ({"usage_details": USED, "start_time": "2026-06-01 08:00:00.000", "startTime": None, "model": None,
          "provided_model_name": "m"}, {"input": (10, None), "output": (5, None)}),
    ],
)  # fmt: skip
def test_langfuse_one_observation(change: dict[str, Any], expected: dict[str, tuple[int | None, int | None]]) -> None:
    parsed = read(dumped([{**OBSERVATION, **change}]), "langfuse-observations")
    assert {row[0]: row[1:] for row in parsed.volumes.select("component", "tokens", "spend").rows()} == expected
    assert why(parsed) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"usageDetails": USED, "type": "SPAN"}, "not_an_inference"),
        ({"usageDetails": USED, "type": ["GENERATION"]}, "not_an_inference"),
        ({"usageDetails": {**USED, "input_cached_tokens": 4}}, "parts_do_not_add_up"),
        ({"usageDetails": {"input": -1}}, "negative_count"),
        ({"usageDetails": USED, "costDetails": {"input": -1}}, "negative_amount"),
        ({"usageDetails": USED, "model": None}, "no_model"),
        ({"usageDetails": USED, "startTime": None}, "not_a_date"),
        ({"usageDetails": "{"}, "not_an_object"),
        ({"usageDetails": USED, "modelParameters": {"service_tier": "gold"}}, "unknown_service_tier"),
        ({}, "no_usage"),
    ],
)
def test_langfuse_observations_that_are_rejected(change: dict[str, Any], reason: str) -> None:
    parsed = read(dumped([{**OBSERVATION, **change}]), "langfuse-observations")
    assert (why(parsed), parsed.volumes.height) == ([reason], 0)


def test_spend_of_some_records_as_a_whole_makes_all_of_it_one() -> None:
    whole = {**OBSERVATION, "id": "a", "usageDetails": USED, "costDetails": {"total": 4}}
    parts = {**OBSERVATION, "id": "b", "usageDetails": USED, "costDetails": {"input": 1, "output": 2}}
    parsed = read(dumped([whole, parts]), "langfuse-observations")
    assert rows(parsed) == [
        ("m", "input", "standard", JUNE_1, 20, None, False, "/0 and 1 more"),
        ("m", "output", "standard", JUNE_1, 10, None, False, "/0 and 1 more"),
        ("m", "total", "standard", JUNE_1, None, "7", False, "/0 and 1 more"),
    ]


def test_spend_of_some_records_and_none_of_others_is_no_spend() -> None:
    paid = {**OBSERVATION, "id": "a", "usageDetails": USED, "costDetails": {"input": 1, "output": 2}}
    unpaid = {**OBSERVATION, "id": "b", "usageDetails": USED}
    other = {**OBSERVATION, "id": "c", "usageDetails": USED, "costDetails": {"input": 1, "output": 2}, "model": "n"}
    parsed = read(dumped([unpaid, paid, other]), "langfuse-observations")
    assert [row[:6] for row in rows(parsed)] == [
        ("m", "input", "standard", JUNE_1, 20, None),
        ("m", "output", "standard", JUNE_1, 10, None),
        ("n", "input", "standard", JUNE_1, 10, "1"),
        ("n", "output", "standard", JUNE_1, 5, "2"),
    ]
    assert reasons(parsed) == [("/1", "spend_incomplete")]


# --- telemetry -----------------------------------------------------------------------------------------------------


def test_otel_spans() -> None:
    parsed = read(fixture("otel_spans.json"), "otel-genai")
    at = "/resourceSpans/0/scopeSpans/0/spans/"
    assert rows(parsed) == [
        ("acme-1-2026", "input", "standard", JUNE_1, 30, None, False, at + "0"),
        ("acme-1-2026", "output", "standard", JUNE_1, 18, None, False, at + "0"),
        ("acme-1-2026", "cache_read", "standard", JUNE_1, 60, None, False, at + "0"),
        ("acme-1-2026", "cache_write", "standard", JUNE_1, 10, None, False, at + "0"),
        ("acme-1-2026", "output_reasoning", "standard", JUNE_1, 12, None, False, at + "0"),
    ]
    assert reasons(parsed) == [(at + "1", "not_an_inference"), (at + "2", "contradicts_another_field")]
    assert parsed.volumes["provider"].unique().to_list() == ["acme"]


def test_otel_flattened() -> None:
    parsed = read(fixture("otel_flat.jsonl"), "otel-genai")
    assert rows(parsed) == [
        ("acme-1", "input", "standard", JUNE_1, 8, None, False, "line 1 and 1 more"),
        ("acme-1", "output", "standard", JUNE_1, 5, None, False, "line 1 and 1 more"),
        ("acme-1", "input", "flex", JUNE_1, 20, None, False, "line 2"),
        ("acme-1", "output", "flex", JUNE_1, 5, None, False, "line 2"),
    ]
    assert reasons(parsed) == [("line 4", "unknown_field")]


def test_otel_metrics() -> None:
    parsed = read(fixture("otel_metrics.json"), "otel-genai")
    at = "/resourceMetrics/0/scopeMetrics/0/metrics/"
    assert rows(parsed) == [
        # a point that ends at midnight lies within the day before
        ("acme-1", "input", "standard", JUNE_1, 311, None, False, at + "1/histogram/dataPoints/0 and 1 more"),
    ]
    assert reasons(parsed) == [
        (at + "1/histogram/dataPoints/2", "spans_days"),
        (at + "2/histogram/dataPoints/0", "cumulative_metric"),
    ]


def test_otel_points_repeat_the_spans_of_the_same_file() -> None:
    lines = [json.loads(fixture(f"otel_{kind}.json")) for kind in ("spans", "metrics")]
    together = read(b"".join(dumped(line) + b"\n" for line in lines), "otel-genai")
    alone = read(fixture("otel_spans.json"), "otel-genai")
    assert together.volumes["tokens"].to_list() == alone.volumes["tokens"].to_list()
    assert why(together).count("counted_as_spans") == 4
    assert together.volumes["locator"][0] == "line 1/resourceSpans/0/scopeSpans/0/spans/0"


SPAN = {
    "timestamp": "2026-06-01T10:00:00Z",
    "gen_ai.provider.name": "acme",
    "gen_ai.request.model": "m",
    "gen_ai.usage.input_tokens": 10,
    "gen_ai.usage.output_tokens": 5,
}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, {"input": 10, "output": 5}),
        ({"gen_ai.usage.prompt_tokens": 10, "gen_ai.usage.completion_tokens": "5"}, {"input": 10, "output": 5}),
        ({"gen_ai.usage.prompt_tokens": 11}, "contradicts_another_field"),
        ({"gen_ai.usage.completion_tokens": 4}, "contradicts_another_field"),
        ({"gen_ai.system": "acme"}, {"input": 10, "output": 5}),
        ({"gen_ai.system": "other"}, "contradicts_another_field"),
        ({"gen_ai.provider.name": None}, "no_provider"),
        ({"gen_ai.request.model": None}, "no_model"),
        ({"gen_ai.usage.cache_read.input_tokens": 4, "gen_ai.usage.cache_write.input_tokens": 3},
         {"input": 3, "cache_read": 4, "cache_write": 3, "output": 5}),
        ({"gen_ai.usage.cache_read_input_tokens": 4}, {"input": 6, "cache_read": 4, "output": 5}),
        ({"gen_ai.usage.cache_read.input_tokens": 4, "gen_ai.usage.cache_read_input_tokens": 3},
         "contradicts_another_field"),
        ({"gen_ai.usage.cache_read.input_tokens": 11}, "parts_exceed_total"),
        ({"gen_ai.usage.reasoning.output_tokens": 6}, "parts_exceed_total"),
        ({"gen_ai.usage.total_tokens": 15, "gen_ai.usage.cost": 0.1}, {"input": 10, "output": 5}),
        ({"gen_ai.usage.total_tokens": 16}, "parts_do_not_add_up"),
        ({"gen_ai.usage.audio.input_tokens": 4}, {"input": 6, "input_audio": 4, "output": 5}),
        ({"gen_ai.usage.audio.input_tokens": 4, "gen_ai.usage.cache_read.input_tokens": 3}, "parts_overlap"),
        ({"gen_ai.usage.audio.input_tokens": 4, "gen_ai.usage.cache_read.input_tokens": 3,
          "gen_ai.usage.audio.cache_read.input_tokens": 1},
         {"input": 4, "input_audio": 3, "cache_read": 2, "cache_read_audio": 1, "output": 5}),
        ({"gen_ai.operation.name": "embeddings"}, {"input": 10, "output": 5}),
        ({"gen_ai.operation.name": "invoke_agent"}, "not_an_inference"),
        ({"gen_ai.operation.name": ["chat"]}, "not_an_inference"),
        ({"openai.response.service_tier": "gold"}, "unknown_service_tier"),
        ({"timestamp": "2026-06-01T10:00:00"}, "not_a_date"),
        ({"timestamp": None}, "not_a_date"),
        ({"timestamp": None, "startTimeUnixNano": 0}, "not_a_date"),
        ({"timestamp": None, "startTimeUnixNano": START * 10**9}, {"input": 10, "output": 5}),
        ({"gen_ai.usage.input_tokens": -1}, "negative_count"),
    ],
)  # fmt: skip
def test_otel_one_span(change: dict[str, Any], expected: dict[str, int] | str) -> None:
    parsed = read(dumped({**SPAN, **change}) + b"\n", "otel-genai")
    if isinstance(expected, str):
        assert (why(parsed), parsed.volumes.height) == ([expected], 0)
    else:
        assert (counts(parsed), why(parsed)) == (expected, [])


def test_a_span_exported_twice_counts_once() -> None:
    span = dumped({**SPAN, "trace_id": "t", "span_id": "s"}) + b"\n"
    parsed = read(span + span, "otel-genai")
    assert counts(parsed) == {"input": 10, "output": 5}
    assert reasons(parsed) == [("line 2", "repeats_another_row")]


def test_other_token_counters_are_not_mistaken_for_the_metric() -> None:
    metric = {"name": "gen_ai.client.inference.usage.input_tokens", "sum": {"dataPoints": [{"asInt": "5"}]}}
    content = dumped({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric, {**metric, "name": "cpu"}]}]}]})
    assert why(read(content, "otel-genai")) == ["unknown_field"]


# --- bills ---------------------------------------------------------------------------------------------------------


def test_focus() -> None:
    parsed = read(fixture("focus.csv"), "focus")
    assert rows(parsed) == [
        # 1500 and 1.5 thousand; what was effective, not what was billed or listed
        ("acme-1", "input", "standard", JUNE_1, 3000, "1.25", False, "line 2 and 1 more"),
        ("acme-2", "cache_read", "standard", JUNE_1, 250_000, "2", False, "line 4"),
        ("gpt 4.1 mini", "output", "batch", JUNE_1, 2000, "3", False, "line 5"),
    ]
    assert dict(reasons(parsed)) == {
        "line 6": "unknown_meter",
        "line 7": "not_tokens",
        "line 8": "not_usage",
        "line 9": "not_usage",
        "line 10": "not_usage",
        "line 11": "correction",
        "line 12": "spans_days",
        "line 13": "negative_count",
        "line 14": "not_a_count",
        "line 15": "unknown_currency",
        "line 16": "meters_disagree",
        "line 17": "no_model",
    }
    assert parsed.volumes["provider"].unique().to_list() == ["Acme Cloud"]


CHARGE = {
    "BillingCurrency": "USD",
    "ChargeCategory": "Usage",
    "ChargeDescription": '"m, input"',
    "ChargePeriodStart": "2026-06-01T00:00:00Z",
    "ChargePeriodEnd": "2026-06-02T00:00:00Z",
    "EffectiveCost": "1",
    "ProviderName": "p",
    "ConsumedQuantity": "2",
    "ConsumedUnit": "tokens",
    "PricingQuantity": "",
    "PricingUnit": "",
    "SkuPriceDetails": "",
}


def charge(**change: str) -> Parsed:
    fields = {**CHARGE, **change}
    return read(f"{','.join(fields)}\n{','.join(fields.values())}\n".encode(), "focus")


@pytest.mark.parametrize(
    ("unit", "tokens"),
    [
        ("tokens", 2),
        ("Tokens", 2),
        ("token", 2),
        ("1000 tokens", 2000),
        ("1K Tokens", 2000),
        ("1k tokens", 2000),
        ("1M tokens", 2_000_000),
        ("1000000 Tokens", 2_000_000),
        ("100 tokens", 200),
        ("1K", None),
        ("Requests", None),
        ("1B tokens", None),
        ("tokens per hour", None),
        ("1,000 tokens", None),
        ("thousand tokens", None),
    ],
)
def test_focus_units(unit: str, tokens: int | None) -> None:
    parsed = charge(ConsumedUnit=f'"{unit}"')
    assert parsed.volumes["tokens"].to_list() == ([] if tokens is None else [tokens])
    assert why(parsed) == ([] if tokens else ["not_tokens"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ChargeCategory": "Adjustment"}, "not_usage"),
        ({"ChargeCategory": ""}, "not_usage"),
        ({"EffectiveCost": "-1"}, "negative_amount"),
        ({"EffectiveCost": ""}, "not_an_amount"),
        ({"ProviderName": ""}, "no_provider"),
        ({"ChargePeriodEnd": "2026-06-02T00:00:01Z"}, "spans_days"),
        ({"ChargePeriodEnd": "2026-06-01T00:00:00Z"}, "ends_before_it_starts"),
        ({"ChargePeriodStart": "2026-06-01"}, "not_a_date"),
        ({"ConsumedQuantity": "1e18"}, "not_a_count"),
        ({"ConsumedQuantity": "-0.5"}, "negative_count"),
        ({"ConsumedQuantity": "two"}, "not_a_count"),
        ({"SkuPriceDetails": "{"}, "not_an_object"),
        ({"SkuPriceDetails": '"{""Model"": ""other""}"'}, "meters_disagree"),
        ({"SkuPriceDetails": '"{""TokenType"": ""Output""}"'}, "meters_disagree"),
        ({"SkuPriceDetails": '"{""TokenType"": ""Tea""}"'}, "unknown_meter"),
        ({"ChargeDescription": '"Tokens of m, inputs"'}, "unknown_meter"),
    ],
)
def test_focus_charges_that_are_rejected(change: dict[str, str], reason: str) -> None:
    parsed = charge(**change)
    assert (why(parsed), parsed.volumes.height) == ([reason], 0)


def test_focus_meter_from_the_price_details() -> None:
    details = '"{""ModelName"": ""m"", ""TokenType"": ""Cached Input"", ""ServiceTier"": ""Batch""}"'
    parsed = charge(SkuPriceDetails=details, ChargeDescription="free text")
    assert rows(parsed) == [("m", "cache_read", "batch", JUNE_1, 2, "1", False, "line 2")]


def test_focus_in_two_currencies_keeps_the_tokens() -> None:
    fields = [{**CHARGE, "BillingCurrency": code} for code in ("usd", "EUR")]
    content = "".join([",".join(CHARGE) + "\n", *(",".join(row.values()) + "\n" for row in fields)])
    parsed = read(content.encode(), "focus")
    assert rows(parsed) == [("m", "input", "standard", JUNE_1, 4, None, False, "line 2 and 1 more")]
    assert parsed.rejects.select("reason", "found").rows() == [("several_currencies", "EUR, USD")]


# --- traces and shares ---------------------------------------------------------------------------------------------


def test_azure_trace() -> None:
    parsed = read(fixture("azure_trace.csv"), "azure-trace")
    assert rows(parsed) == [
        ("unnamed", "input", "standard", JUNE_1, 4808, None, True, "line 2"),
        ("unnamed", "output", "standard", JUNE_1, 10, None, True, "line 2"),
        ("unnamed", "input", "standard", JUNE_2, 3200, None, False, "line 3 and 1 more"),
        ("unnamed", "output", "standard", JUNE_2, 9, None, False, "line 3 and 1 more"),
        ("unnamed", "input", "standard", JUNE_3, 7, None, True, "line 5"),
        ("unnamed", "output", "standard", JUNE_3, 0, None, True, "line 5"),
    ]
    assert reasons(parsed) == [("line 6", "not_a_date"), ("line 7", "negative_count"), ("line 8", "not_a_count")]
    assert set(parsed.volumes.select("scope", "provider").rows()) == {("cloud", "the azure-trace")}


def test_azure_trace_sums_that_no_table_holds_are_rejected() -> None:
    line = f"2026-06-01 00:00:00.0000000,{TOKENS_MAX},1\n"
    parsed = read(("TIMESTAMP,ContextTokens,GeneratedTokens\n" + line * 100).encode(), "azure-trace")
    assert counts(parsed) == {"output": 100}
    assert reasons(parsed) == [("line 2 and 99 more", "not_a_count")]


def test_mooncake_trace() -> None:
    parsed = read(fixture("mooncake.jsonl"), "mooncake-trace")
    assert rows(parsed) == [
        ("unnamed", "input", "standard", JUNE_1, 14_080, None, True, "line 2 and 1 more"),
        ("unnamed", "output", "standard", JUNE_1, 990, None, True, "line 2 and 1 more"),
        ("unnamed", "input", "standard", JUNE_2, 10, None, True, "line 4"),
        ("unnamed", "output", "standard", JUNE_2, 1, None, True, "line 4"),
    ]
    assert reasons(parsed) == [("line 5", "unknown_field"), ("line 6", "not_a_date")]
    assert set(parsed.volumes.select("scope", "provider").rows()) == {("provider", "the mooncake-trace")}


def test_mooncake_trace_without_a_date_gives_no_row() -> None:
    published = fixture("mooncake.jsonl").partition(b"\n")[2]
    parsed = read(published, "mooncake-trace")
    assert parsed.volumes.is_empty()
    assert reasons(parsed) == [("line 1 and 4 more", "no_calendar_date")]
    wrong = read(b'{"trace_start": "June"}\n' + published, "mooncake-trace")
    assert reasons(wrong) == [("line 1", "not_a_date"), ("line 2 and 4 more", "no_calendar_date")]


def test_market_shares() -> None:
    parsed = read(fixture("market_shares.csv"), "market-shares")
    assert rows(parsed) == [
        # 500.5 and 250.25, half-even
        ("acme-1", "total", "standard", JUNE_1, 500, None, False, "line 2"),
        ("acme-2", "total", "standard", JUNE_1, 250, None, False, "line 3"),
    ]
    assert reasons(parsed) == [
        ("line 4", "not_a_share"),
        ("line 5", "not_a_share"),
        ("line 6", "share_without_total"),
    ]
    assert set(parsed.volumes.select("scope", "provider").rows()) == {("router", "acme")}


@pytest.mark.parametrize(
    ("lines", "tokens", "rejected"),
    [
        (["a,0.5,3", "b,0.5,3"], [2, 2], []),  # 1.5 and 1.5
        (["a,1,9", "b,0,9"], [9, 0], []),
        (["a,0.6,100", "b,0.400000000000000000000000000001,100"], [], ["shares_exceed_one"] * 2),
        (["a,0.5,100", "b,0.5,101"], [], ["totals_disagree"] * 2),
        (["a,0.5,100", "a,0.5,100"], [50], ["repeats_another_row"]),
        (["a,0.5,100", "a,0.4,100"], [], ["contradicts_another_row"] * 2),
        (["a,1.1,100"], [], ["not_a_share"]),
        (["a,0.5,-100"], [], ["negative_count"]),
        (["a,0.5,"], [], ["share_without_total"]),
        ([",0.5,100"], [], ["no_model"]),
    ],
)
def test_market_shares_of_a_day(lines: list[str], tokens: list[int], rejected: list[str]) -> None:
    content = "date,model,share,total_tokens\n" + "".join(f"2026-06-01,{line}\n" for line in lines)
    parsed = read(content.encode(), "market-shares")
    assert parsed.volumes["tokens"].to_list() == tokens
    assert why(parsed) == rejected


def test_a_share_never_becomes_tokens_without_a_total() -> None:
    parsed = read(b"date,model,share\n2026-06-01,a,0.5\n2026-06-01,b,0.1\n", "market-shares")
    assert (parsed.volumes.height, why(parsed)) == (0, ["share_without_total"] * 2)


# --- one row a series, and no secrets ------------------------------------------------------------------------------

PUBLIC = ("volumes", "openrouter-rankings")
OURS = [case for case in CASES if adapter(case.adapter).gives == ("VOLUMES",) and case.adapter not in PUBLIC]
SERIES = ["provider", "model", "component", "service_tier", "period_start", "period_end"]


@pytest.mark.parametrize("case", OURS, ids=str)
def test_a_capture_gives_one_row_a_series(case: Case) -> None:
    volumes = read(case.content, case.adapter).volumes
    assert volumes.select(SERIES).n_unique() == volumes.height


SECRETS = (
    "sk-live-Zq9secretkey",
    "alice@example.org",
    "my secret prompt",
    "user-Zq9",
    "proj_Zq9",
    "apikey_Zq9",
    "Zq9 Holdings",
)
SHOWN = ("provider", "model", "custom_llm_provider", "gen_ai.system", "gen_ai.request.model", "ProviderName")
"""What a volume does show."""
WORDS = (
    "service_tier", "cost_type", "token_type", "object", "type", "line_item",
    "ChargeCategory", "ConsumedUnit", "PricingUnit", "SkuMeter",
)  # fmt: skip
"""Words of a vendor's vocabulary, shown when they are not ours."""


def told(parsed: Parsed | InputDataError) -> str:
    """Return everything that leaves the adapter, as text."""
    if isinstance(parsed, InputDataError):
        return " ".join([str(parsed), repr(parsed.args), parsed.found, parsed.expected, parsed.remedy, parsed.where])
    return " ".join(str(row) for frame in parsed.tables().values() for row in frame.iter_rows())


def attempt(content: bytes, name: str) -> str:
    try:
        return told(read(content, name))
    except InputDataError as wrong:
        return told(wrong)


def planted(tree: Any, names: tuple[str, ...], secret: str) -> Any:
    """Return `tree` with `secret` in every text field under a name that identifies somebody, at any depth."""
    if isinstance(tree, dict):
        return {
            name: secret if name in names and not isinstance(found, dict | list) else planted(found, names, secret)
            for name, found in tree.items()
        }
    return [planted(item, names, secret) for item in tree] if isinstance(tree, list) else tree


IDENTIFYING = {
    "openai-usage": ("project_id", "user_id", "api_key_id"),
    "openai-costs": ("project_id", "api_key_id", "organization_name"),
    "anthropic-usage": ("account_id", "api_key_id", "workspace_id", "service_account_id"),
    "anthropic-costs": ("workspace_id", "description"),
    "litellm-spend": (
        "request_id", "api_key", "user", "end_user", "team_id", "organization_id", "requester_ip_address", "session_id",
        "user_api_key", "role", "user_id", "id", "model_group",
    ),
    "langfuse-observations": ("id", "traceId", "userId", "input", "output", "name", "metadata", "sessionId"),
    "helicone": ("request_id", "response_id", "request_user_id", "team", "request_path", "target_url"),
    "otel-genai": ("name", "trace_id", "span_id", "traceId", "spanId", "gen_ai.prompt.0.content"),
    "focus": ("BillingAccountId", "ResourceName", "Tags", "SubAccountName"),
    "mooncake-trace": ("user_id",),
}  # fmt: skip


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("case", [case for case in OURS if case.adapter in IDENTIFYING], ids=str)
def test_no_identifying_field_gets_out(case: Case, secret: str) -> None:
    names = IDENTIFYING[case.adapter]
    if case.content.startswith((b"{", b"[")):
        lines = case.content.splitlines() if case.file or not _whole(case.content) else [case.content]
        trees = [planted(json.loads(line), names, secret) for line in lines]
        for tree in trees:
            for record in _records(tree):
                record.update({name: secret for name in names if not isinstance(record.get(name), dict | list)})
        content = b"\n".join(map(dumped, trees)) + b"\n"
    else:
        cells = pl.read_csv(case.content, infer_schema=False)
        content = cells.with_columns(pl.lit(secret).alias(name) for name in names).write_csv().encode()
    assert secret.encode() in content
    out = attempt(content, case.adapter)
    assert secret not in out and "Zq9" not in out and "alice" not in out


def _whole(content: bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:
        return False
    return True


def _records(tree: Any) -> Any:
    """Yield the objects that are results, requests, spans or points."""
    if isinstance(tree, list):
        for item in tree:
            yield from _records(item)
    elif isinstance(tree, dict):
        below = [tree[name] for name in ("data", "results", "resourceSpans", "scopeSpans", "spans") if name in tree]
        if not below:
            yield tree
        for inner in below:
            yield from _records(inner)


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("case", OURS, ids=str)
def test_a_text_where_a_number_or_a_moment_should_be_is_not_quoted(case: Case, secret: str) -> None:
    """A file whose columns slipped by one has names where counts should be."""
    if case.content.startswith((b"{", b"[")):
        lines = case.content.splitlines() if not _whole(case.content) else [case.content]
        for place in range(12):
            trees = [json.loads(line) for line in lines]
            for tree in trees:
                for record in _records(tree):
                    name = list(record)[place % len(record)]
                    if name not in (*SHOWN, *WORDS):
                        record[name] = secret
            assert secret not in attempt(b"\n".join(map(dumped, trees)) + b"\n", case.adapter)
        return
    cells = pl.read_csv(case.content, infer_schema=False)
    for name in cells.columns:
        if name not in (*SHOWN, *WORDS):
            content = cells.with_columns(pl.lit(secret).alias(name)).write_csv().encode()
            assert secret not in attempt(content, case.adapter)


@pytest.mark.parametrize("name", sorted({case.adapter for case in OURS}))
def test_an_error_never_quotes_the_file(name: str) -> None:
    secret = "sk-live-Zq9secretkey"
    contents = [
        f"{secret},{secret}\n1,2\n".encode(),
        f"a,b\n1,2,{secret},{secret}\n".encode(),
        f'a,b\n"{secret}\n'.encode(),
        f"{secret}\n".encode(),
        f'{{"{secret}": {secret}}}\n'.encode(),
        f'{{"a": "{secret}'.encode(),
        f'["{secret}", "{secret}"]'.encode(),
        f'"{secret}"'.encode(),
        f'[{{"{secret}": "{secret}"}}]'.encode(),
        f'{{"data": ["{secret}", {{"results": ["{secret}"]}}]}}'.encode(),
        parquet(pl.DataFrame({secret: [secret]})),
    ]
    for content in contents:
        assert "Zq9" not in attempt(content, name)


# --- real files ----------------------------------------------------------------------------------------------------

real = pytest.mark.skipif(not RAW.exists(), reason=f"no real snapshots beside the repository ({RAW.name} is absent)")


def snapshot(path: str, name: str) -> Parsed:
    return read((RAW / path).read_bytes(), name, file=Path(path).name).checked(where=path)


@real
def test_documented_openai_usage_is_not_grouped_by_model() -> None:
    parsed = snapshot("usage_formats/openai_usage_completions.json", "openai-usage")
    assert (parsed.volumes.height, why(parsed)) == (0, ["no_model", "no_model"])


@real
def test_documented_anthropic_usage_is_one_page_of_more() -> None:
    parsed = snapshot("usage_formats/anthropic_usage_report_messages.json", "anthropic-usage")
    assert counts(parsed) == {
        "input": 1500,
        "output": 500,
        "cache_read": 200,
        "cache_write": 500,
        "cache_write_1h": 1000,
    }
    assert parsed.volumes["partial"].all()
    assert why(parsed) == ["more_pages"]


@real
def test_documented_anthropic_costs_are_in_cents() -> None:
    parsed = snapshot("usage_formats/anthropic_cost_report.json", "anthropic-costs")
    day = date(2025, 8, 1)
    assert rows(parsed) == [
        ("claude-sonnet-4-5", "input", "standard", day, None, "1.2378912", False, "/data/0/results/0")
    ]
    assert why(parsed) == ["not_tokens"]


@real
@pytest.mark.parametrize("part", ["code", "conv"])
def test_real_azure_trace(part: str) -> None:
    content = (RAW / f"azure_llm_2023/{part}_head2000.csv").read_bytes()
    parsed = read(content, "azure-trace").checked(where=part)
    lines = [line.split(",") for line in content.decode().splitlines()[1:]]
    expected = {"input": sum(int(line[1]) for line in lines), "output": sum(int(line[2]) for line in lines)}
    assert counts(parsed) == expected
    assert set(parsed.volumes.select("period_start", "partial", "locator").rows()) == {
        (date(2023, 11, 16), True, "line 2 and 1999 more")
    }
    assert why(parsed) == []


@real
def test_real_mooncake_trace_has_no_date() -> None:
    content = (RAW / "mooncake/conversation_head500.jsonl").read_bytes()
    assert reasons(read(content, "mooncake-trace")) == [("line 1 and 499 more", "no_calendar_date")]
    parsed = read(b'{"trace_start": "2024-06-20T00:00:00Z"}\n' + content, "mooncake-trace")
    lines = [json.loads(line) for line in content.splitlines()]
    assert counts(parsed) == {
        "input": sum(line["input_length"] for line in lines),
        "output": sum(line["output_length"] for line in lines),
    }
    assert why(parsed) == []


def test_time_and_memory_are_bounded_on_lines_that_are_much_too_many() -> None:
    line = dumped({**SPAN, "trace_id": "t", "span_id": "s", "gen_ai.usage.input_tokens": "9" * 4000}) + b"\n"
    started = time.perf_counter()
    parsed = read(line * 2_000, "otel-genai")
    assert (parsed.volumes.height, parsed.rejects.height) == (0, 2_000)
    assert parsed.rejects["found"].str.len_chars().max() == len("text of 4000 characters")
    assert time.perf_counter() - started < 20
