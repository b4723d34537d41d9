"""Prices per host and prices copied from other lists: the rows of each fixture written out by hand."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from test_adapters import KNOWN, SEEN, counted, fixture, quotes, read, real, reasons, snapshot

from tokenindex.adapters import Parsed
from tokenindex.adapters.reading import moment
from tokenindex.errors import InputDataError
from tokenindex.home import Home
from tokenindex.inputs import Inputs
from tokenindex.selection import Grid, _replaced
from tokenindex.tables import SIGHTINGS


def day(number: int, month: int = 7) -> datetime:
    return datetime(2026, month, number, tzinfo=UTC)


def sightings(parsed: Parsed) -> list[tuple[Any, ...]]:
    return sorted(parsed.sightings.select("source", "seen_at", "complete").rows())


def plain(number: Decimal) -> str:
    return f"{number.normalize():f}"


# --- OpenRouter, per host ------------------------------------------------------------------------------------------


def test_endpoints() -> None:
    parsed = read(fixture("openrouter_endpoints.json"), "openrouter-endpoints")
    assert quotes(parsed) == [
        ("Plain Host", "acme/one", "input", "standard", 0, None, "0.0000002"),
        ("Plain Host", "acme/one", "output", "standard", 0, None, "-1"),
        ("clock", "acme/one", "input", "standard", 0, None, "0.0000001"),
        ("clock", "acme/one", "input", "standard", 0, None, "0.0000003"),
        ("clock", "acme/one", "input", "standard", 0, None, "0.0000006"),
        ("deepinfra/fp8", "acme/one", "input", "standard", 0, None, "0.00000015"),
        ("deepinfra/fp8", "acme/one", "output", "standard", 0, None, "0.0000006000000000000001"),
        ("long", "acme/one", "input", "standard", 0, 200_000, "0.000001"),
        ("long", "acme/one", "input", "standard", 200_000, None, "0.000004"),
        ("long", "acme/one", "output", "standard", 0, None, "0.000002"),
        ("odd", "acme/one", "input", "standard", 0, None, "0.0000007"),
        ("twin", "acme/one", "input", "standard", 0, None, "0.0000005"),
    ]
    at = "/data/endpoints"
    assert reasons(parsed) == [
        (f"{at}/10/pricing", "no_pricing"),
        (f"{at}/3/pricing/overrides/2", "not_a_time_window"),
        (f"{at}/3/pricing/overrides/3", "not_a_time_window"),
        (f"{at}/3/pricing/overrides/4", "unknown_field"),
        (f"{at}/5", "repeats_another_row"),
        (f"{at}/6", "contradicts_another_row"),
        (f"{at}/7", "contradicts_another_row"),
        (f"{at}/8/pricing/discount", "not_a_share"),
        (f"{at}/8/pricing/teleport", "unknown_field"),
        (f"{at}/8/quantization", "not_a_quantization"),
        (f"{at}/8/uptime_last_1d", "not_a_share"),
        (f"{at}/9", "no_provider"),
    ]
    said = parsed.observations.group_by("provider").agg(pl.col("quantization", "uptime", "discount").first())
    assert sorted(said.iter_rows()) == [
        ("Plain Host", None, None, Decimal(0)),
        ("clock", "int4", Decimal(0), None),
        ("deepinfra/fp8", "fp8", Decimal("0.9998611111111111"), Decimal("0.5")),
        ("long", None, Decimal(1), None),
        ("odd", None, None, None),
        ("twin", "bf16", Decimal("0.98"), None),
    ]
    hours = parsed.observations.filter(provider="clock").select("time_from", "time_to", "time_zone", "price").rows()
    assert [(*row[:3], plain(row[3])) for row in hours] == [
        (None, None, None, "0.0000003"),
        ("01:00:00", "04:00:00", None, "0.0000006"),
        ("16:30:00", "00:30:00", None, "0.0000001"),
    ]
    first = parsed.observations.row(0, named=True)
    assert (first["currency"], first["unit"], first["tax"], first["region"]) == ("USD", "per_token", "unknown", "")
    assert (first["valid_from"], first["known_at"], first["date_kind"]) == (SEEN, KNOWN, "first_seen")
    assert first["locator"] == f"{at}/0/pricing/prompt"
    assert sightings(parsed) == [("the openrouter-endpoints", SEEN, False)]


def host(tag: str, price: str, **fields: Any) -> dict[str, Any]:
    return {"tag": tag, "pricing": {"prompt": price}, **fields}


def answer(model: str, *hosts: dict[str, Any]) -> dict[str, Any]:
    return {"data": {"id": model, "endpoints": list(hosts)}}


def endpoints(*answers: Any) -> list[tuple[str, str, str, str]]:
    """The seller, model, price and place of each row of the answers, one a line."""
    content = "".join(json.dumps(one) + "\n" for one in answers).encode()
    columns = ["provider", "model", "price", "locator"]
    found = read(content, "openrouter-endpoints").observations.select(columns)
    return [(*row[:2], plain(row[2]), row[3]) for row in found.iter_rows()]


def test_endpoints_of_several_models_one_answer_a_line() -> None:
    answers = [answer("acme/one", host("a", "1"), host("b", "2")), answer("acme/two:free", host("a", "0"))]
    assert endpoints(*answers) == [
        ("a", "acme/one", "1", "/data/endpoints/0/pricing/prompt"),
        ("b", "acme/one", "2", "/data/endpoints/1/pricing/prompt"),
        ("a", "acme/two:free", "0", "line 2 /data/endpoints/0/pricing/prompt"),
    ]
    content = "\r\n\r\n".join(json.dumps(one) for one in answers).encode()
    parsed = read(content + b"\r\n", "openrouter-endpoints")
    assert parsed.observations["locator"].to_list()[-1] == "line 3 /data/endpoints/0/pricing/prompt"
    assert parsed.observations["service_tier"].to_list() == ["standard", "standard", "free"]
    with pytest.raises(InputDataError, match="the last line has no end"):
        read(content, "openrouter-endpoints")
    with pytest.raises(InputDataError, match="line 1"):
        read(content.replace(b"}\r", b"\r")[:-3] + b"\r\n", "openrouter-endpoints")
    cut = read(content[:-3] + b"\r\n", "openrouter-endpoints")
    assert reasons(cut) == [("line 3", "not_json")]
    assert cut.observations["model"].to_list() == ["acme/one", "acme/one"]


def test_a_cut_between_lines_never_moves_a_row() -> None:
    answers = [answer("acme/one", host("a", "1")), answer("acme/two", host("a", "2"))]
    assert endpoints(*answers[:1]) == endpoints(*answers)[:1]


def test_endpoints_as_an_array_of_answers() -> None:
    content = [answer("acme/one", host("a", "1")), answer("acme/none"), {"error": {"code": 404}}, 7]
    parsed = read(json.dumps(content, indent=1).encode(), "openrouter-endpoints")
    assert quotes(parsed) == [("a", "acme/one", "input", "standard", 0, None, "1")]
    assert parsed.observations["locator"].to_list() == ["/0/data/endpoints/0/pricing/prompt"]
    assert reasons(parsed) == [
        ("/1/data/endpoints", "empty_snapshot"),
        ("/2", "no_endpoints"),
        ("/3", "no_endpoints"),
    ]


@pytest.mark.parametrize("content", [b"{}", b'{"data": {}}', b'{"data": {"endpoints": {}}}', b'{"error": {}}', b"7"])
def test_endpoints_of_no_answer_are_a_typed_error(content: bytes) -> None:
    with pytest.raises(InputDataError, match="read by the adapter"):
        read(content, "openrouter-endpoints")


def test_endpoints_in_a_flat_list_bear_their_own_model() -> None:
    flat = {"data": [host("a", "1", model_id="acme/one"), host("a", "2", model_id="acme/two"), host("a", "3")]}
    parsed = read(json.dumps(flat).encode(), "openrouter-endpoints")
    assert quotes(parsed) == [
        ("a", "acme/one", "input", "standard", 0, None, "1"),
        ("a", "acme/two", "input", "standard", 0, None, "2"),
    ]
    assert reasons(parsed) == [("/data/2", "no_model")]


@pytest.mark.parametrize(
    ("other", "kept", "reason"),
    [
        (host("a", "1", uptime_last_1d=3), ["1"], "repeats_another_row"),
        (host("a", "2"), [], "contradicts_another_row"),
        (host("a", "1", quantization="fp8"), [], "contradicts_another_row"),
        (host("b", "2"), ["1", "2"], None),
    ],
)
def test_endpoints_of_one_name_never_collide_in_silence(other: dict[str, Any], kept: list[str], reason: str) -> None:
    for answers in ([answer("m", host("a", "1"), other)], [answer("m", host("a", "1")), answer("m", other)]):
        assert [price for _, _, price, _ in endpoints(*answers)] == kept
        parsed = read("".join(json.dumps(one) + "\n" for one in answers).encode(), "openrouter-endpoints")
        assert parsed.rejects["reason"].unique().to_list() == ([reason] if reason else [])


@pytest.mark.parametrize(
    ("percentage", "share"),
    [
        ("100", "1"),
        ("0", "0"),
        ("99.8", "0.998"),
        ("0.1e1", "0.01"),
        ("33.33333333333333333333", "0.3333333333333333333333"),
        ("33.33333333333333333333333", None),
        ("100.1", None),
        ("-0.1", None),
        ("NaN", None),
        ("1e-999999", None),
        ("1e999", None),
        ("true", None),
        ('"99.8"', None),
    ],
)
def test_uptime_is_an_exact_share_or_a_reject(percentage: str, share: str | None) -> None:
    body = '{"data": {"id": "m", "endpoints": [{"tag": "a", "uptime_last_1d": %s, "pricing": {"prompt": "1"}}]}}'
    parsed = read((body % percentage).encode(), "openrouter-endpoints").checked(where="uptime")
    assert parsed.observations["uptime"].to_list() == [None if share is None else Decimal(share)]
    assert counted(parsed) == ({"not_a_share": 1} if share is None else {})


Override = tuple[int | None, int | None, str | None, str | None, str]


@pytest.mark.parametrize(
    ("overrides", "rows", "why"),
    [
        (
            [{"utc_start": 1000, "utc_end": 100, "prompt": "1"}, {"utc_start": 100, "utc_end": 1000, "prompt": "2"}],
            [
                (0, None, "01:00:00", "10:00:00", "2"),
                (0, None, "10:00:00", "01:00:00", "1"),
                (0, None, None, None, "9"),
            ],
            {},
        ),
        ([{"utc_start": 0, "utc_end": 2400, "prompt": "1"}], [(0, None, None, None, "9")], {"not_a_time_window": 1}),
        (
            [{"utc_start": 2200, "utc_end": 2400, "prompt": "1"}],
            [(0, None, "22:00:00", "00:00:00", "1"), (0, None, None, None, "9")],
            {},
        ),
        (
            [{"min_prompt_tokens": 5, "utc_start": 100, "utc_end": 400, "prompt": "1"}],
            [(5, None, "01:00:00", "04:00:00", "1"), (0, None, None, None, "9")],
            {},
        ),
        (
            [{"utc_start": 100, "utc_end": 400, "prompt": "1"}, {"utc_start": 300, "utc_end": 500, "prompt": "2"}],
            [(0, None, None, None, "9")],
            {"overlapping_overrides": 2},
        ),
        (
            [{"utc_start": 2300, "utc_end": 100, "prompt": "1"}, {"utc_start": 30, "utc_end": 500, "prompt": "2"}],
            [(0, None, None, None, "9")],
            {"overlapping_overrides": 2},
        ),
        (
            [{"min_prompt_tokens": 5, "prompt": "1"}, {"utc_start": 100, "utc_end": 400, "prompt": "2"}],
            [(0, 5, None, None, "9"), (5, None, None, None, "1")],
            {"overlapping_overrides": 1},
        ),
        (
            [{"min_prompt_tokens": 5, "completion": "1"}, {"utc_start": 100, "utc_end": 400, "prompt": "2"}],
            [
                (0, None, "01:00:00", "04:00:00", "2"),
                (0, None, None, None, "9"),
                (5, None, None, None, "1"),
            ],
            {},
        ),
        ([{"utc_start": 100, "prompt": "1"}], [(0, None, None, None, "9")], {"not_a_time_window": 1}),
        ([{"utc_start": 100, "utc_end": "400", "prompt": "1"}], [(0, None, None, None, "9")], {"not_a_time_window": 1}),
        ([{"prompt": "1"}], [(0, None, None, None, "9")], {"unknown_field": 1}),
        ({"prompt": "1"}, [(0, None, None, None, "9")], {"unknown_field": 1}),
    ],
)
@pytest.mark.parametrize("name", ["openrouter-endpoints", "openrouter-models"])
def test_overrides_by_hours_and_prompt_length(name: str, overrides: Any, rows: list[Override], why: Any) -> None:
    pricing = {"prompt": "9", "overrides": overrides}
    one = {"id": "m", "tag": "a", "model_id": "m", "pricing": pricing}
    parsed = read(json.dumps({"data": [one]}).encode(), name)
    found = parsed.observations.select("context_from", "context_to", "time_from", "time_to", "price").iter_rows()
    assert sorted(((*row[:4], plain(row[4])) for row in found), key=str) == sorted(rows, key=str)
    assert counted(parsed) == why


def test_thousands_of_overrides_take_no_longer_than_their_bytes() -> None:
    windows = [
        {"utc_start": n % 24 * 100, "utc_end": n % 24 * 100 + n // 24 % 59 + 1, "prompt": "1"} for n in range(20_000)
    ]
    parsed = read(json.dumps({"data": [{**host("a", "1"), "model_id": "m", "pricing": {"overrides": windows}}]}).encode(),
                  "openrouter-endpoints")  # fmt: skip
    assert counted(parsed) == {"overlapping_overrides": 20_000}


# --- Model Price Watch ---------------------------------------------------------------------------------------------


def figures(parsed: Parsed) -> list[tuple[Any, ...]]:
    columns = ["source", "model", "component", "valid_from", "price", "locator"]
    found = parsed.observations.select(columns).iter_rows()
    return sorted((*row[:4], plain(row[4]), row[5]) for row in found)


def test_modelpricewatch() -> None:
    own, archive, live = (f"the modelpricewatch{note}" for note in ("", "/litellm-archive", "/litellm-live"))
    parsed = read(fixture("modelpricewatch.csv"), "modelpricewatch")
    assert figures(parsed) == [
        (own, "acme-one", "cache_read", day(29, 6), "0.3", "line 4, cached_input_per_mtok"),
        (own, "acme-one", "input", day(25, 6), "3", "line 3, input_per_mtok"),
        (own, "acme-one", "input", day(1), "2", "line 6, input_per_mtok"),
        (own, "acme-one", "output", day(25, 6), "9", "line 3, output_per_mtok"),
        (own, "bolt-two", "input", day(25, 6), "0", "line 8, input_per_mtok"),
        (own, "bolt-two", "output", day(25, 6), "1.5", "line 8, output_per_mtok"),
        (own, "bolt-two", "output", day(1), "1.6", "line 11, output_per_mtok"),
        (own, "coal-three", "output", day(1), "4", "line 12, output_per_mtok"),
        (archive, "acme-one", "input", day(20, 6), "2.5", "line 2, input_per_mtok"),
        (archive, "acme-one", "output", day(20, 6), "9", "line 2, output_per_mtok"),
        (live, "ember", "cache_read", day(1), "0.1", "line 14, cached_input_per_mtok"),
        (live, "ember", "input", day(1), "0.4", "line 14, input_per_mtok"),
        (live, "ember", "output", day(1), "1.6", "line 14, output_per_mtok"),
    ]
    assert reasons(parsed) == [
        ("line 10, input_per_mtok", "not_a_price"),
        ("line 15", "not_a_date"),
        ("line 16", "known_after_capture"),
        ("line 17", "unknown_event"),
        ("line 18", "no_model"),
        ("line 19", "no_provider"),
    ]
    assert sightings(parsed) == [
        (own, day(25, 6), True),
        (own, day(29, 6), True),
        (own, day(30, 6), True),
        (own, day(1), True),
        (own, day(2), False),  # bolt-two has no line
        (archive, day(20, 6), False),
        (live, day(1), False),
    ]
    addresses = parsed.observations.filter(pl.col("reference") != "https://example.org").select("locator", "reference")
    assert addresses.rows() == [("line 6, input_per_mtok", "https://example.org/pricing")]
    row = parsed.observations.row(0, named=True)
    assert (row["provider"], row["currency"], row["unit"]) == ("Acme", "USD", "per_1m_tokens")
    assert (row["date_kind"], row["known_at"], row["valid_to"]) == ("first_seen", KNOWN, None)


def history(*lines: str) -> Parsed:
    header = fixture("modelpricewatch.csv").decode().partition("\n")[0]
    return read("".join(f"{line}\n" for line in (header, *lines)).encode(), "modelpricewatch")


@pytest.mark.parametrize(
    ("cells", "found", "why"),
    [
        # the figures come in any order of days; what an unknown day lies between is not seen anew
        (["03,snapshot,,4", "01,baseline,,3", "02,snapshot,,3.0"], [("1", "3"), ("3", "4")], {}),
        (["01,baseline,,3", "02,snapshot,,", "03,snapshot,,3"], [("1", "3")], {}),
        (["01,baseline,,3", "02,change,,4", "03,snapshot,,3"], [("1", "3"), ("2", "4"), ("3", "3")], {}),
        (["01,baseline,,3", "02,snapshot,,0"], [("1", "3"), ("2", "0")], {}),
        (["01,baseline,,3", "01,snapshot,,3.0"], [("1", "3")], {"repeats_another_row": 1}),
        (["01,baseline,,3", "02,snapshot,,4", "02,price_drop,,5"], [("1", "3")], {"contradicts_another_row": 2}),
        (["01,baseline,,-1"], [("1", "-1")], {}),
    ],
)
def test_modelpricewatch_a_figure_holds_from_the_day_it_was_first_seen(
    cells: list[str], found: list[tuple[str, str]], why: dict[str, int]
) -> None:
    parsed = history(*(f"m,M,P,2026-07-{one},," for one in cells))
    rows = parsed.observations.sort("valid_from").select("valid_from", "price").iter_rows()
    assert [(str(row[0].day), plain(row[1])) for row in rows] == found
    assert counted(parsed) == why


@pytest.mark.parametrize(
    ("event", "note", "source"),
    [
        ("snapshot", "", "the modelpricewatch"),
        ("new_model", "verified", "the modelpricewatch"),
        ("new_model", "cross-check:openrouter+litellm", "the modelpricewatch"),
        ("new_model", "first-party+openrouter (2-source)", "the modelpricewatch"),
        ("correction", "litellm-current", "the modelpricewatch/litellm-current"),
        ("snapshot", "somebody else", "the modelpricewatch/somebody else"),
        ("backfill", "verified", "the modelpricewatch/verified"),
        ("backfill", "", "the modelpricewatch/backfill"),
    ],
)
def test_modelpricewatch_a_copied_figure_is_no_look_of_its_own(event: str, note: str, source: str) -> None:
    parsed = history(f"m,M,P,2026-07-01,{event},{note},1,,")
    assert parsed.observations["source"].to_list() == [source]
    assert sightings(parsed) == [(source, day(1), event == "snapshot" and source == "the modelpricewatch")]


def test_modelpricewatch_columns_that_are_missing_or_new() -> None:
    with pytest.raises(InputDataError, match="no column provider"):
        read(fixture("modelpricewatch.csv").replace(b"provider", b"seller"), "modelpricewatch")
    wider = fixture("modelpricewatch.csv").replace(
        b"cached_input_per_mtok\n", b"cached_input_per_mtok,image_per_mtok\n"
    )
    assert ("line 1", "unknown_field") in reasons(read(wider, "modelpricewatch"))


def test_modelpricewatch_without_a_price_saw_nothing_whole() -> None:
    assert sightings(history("m,M,P,2026-07-01,baseline,,,,")) == [("the modelpricewatch", day(1), False)]


# --- pi-ai ---------------------------------------------------------------------------------------------------------


def test_pi_ai() -> None:
    parsed = read(fixture("pi_ai.json"), "pi-ai")
    assert quotes(parsed) == [
        ("acme", "free", "input", "standard", 0, None, "0"),
        ("acme", "free", "output", "standard", 0, None, "0"),
        ("acme", "long", "cache_read", "standard", 100_000, None, "0.05"),
        ("acme", "long", "cache_write", "standard", 0, None, "0.125"),
        ("acme", "long", "input", "standard", 0, 100_000, "0.1"),
        ("acme", "long", "input", "standard", 100_000, None, "0.5"),
        ("acme", "long", "output", "standard", 0, 100_000, "0.5"),
        ("acme", "long", "output", "standard", 100_000, None, "2.5"),
        ("acme", "one", "cache_read", "standard", 0, None, "0.3"),
        ("acme", "one", "input", "standard", 0, None, "3"),
        ("acme", "one", "output", "standard", 0, None, "15"),
        ("bolt", "tiers", "input", "standard", 0, None, "1"),
        ("bolt", "two", "input", "standard", 0, None, "0.6000000000000001"),
        ("bolt", "two", "output", "standard", 0, None, "-1"),
    ]
    assert reasons(parsed) == [
        ("/acme/free/cost/cacheRead", "zero_is_unknown"),
        ("/acme/free/cost/cacheWrite", "zero_is_unknown"),
        ("/acme/long/cost/cacheRead", "zero_is_unknown"),
        ("/acme/long/cost/tiers/0/cacheWrite", "zero_is_unknown"),
        ("/acme/one/cost/cacheWrite", "zero_is_unknown"),
        ("/bolt/chat:two/cost/audio", "unknown_field"),
        ("/bolt/five", "no_model"),
        ("/bolt/four", "no_provider"),
        ("/bolt/image:two/type", "not_a_chat_model"),
        ("/bolt/six", "not_an_object"),
        ("/bolt/three/cost", "no_pricing"),
        ("/bolt/tiers/cost/tiers/0/input", "not_a_context_length"),
        ("/bolt/tiers/cost/tiers/1", "not_an_object"),
        ("/coal", "not_an_object"),
    ]
    row = parsed.observations.row(0, named=True)
    assert (row["currency"], row["unit"], row["valid_from"]) == ("USD", "per_1m_tokens", SEEN)
    assert (row["date_kind"], row["region"]) == ("first_seen", "")
    assert sightings(parsed) == [("the pi-ai", SEEN, True)]


@pytest.mark.parametrize("key", ["one", "chat:one"])
def test_pi_ai_the_file_of_one_provider_withdraws_no_other(key: str) -> None:
    model = {"id": "one", "provider": "acme", "cost": {"input": 3}}
    parsed = read(json.dumps({"acme-messages": {key: model}, "openai-completions": {}}).encode(), "pi-ai")
    assert quotes(parsed) == [("acme", "one", "input", "standard", 0, None, "3")]
    assert sightings(parsed) == [("the pi-ai", SEEN, False)]


def test_pi_ai_one_model_over_two_interfaces_is_rejected() -> None:
    groups = {
        api: {"one": {"id": "one", "provider": "p", "cost": {"input": price}}} for api, price in (("a", 1), ("b", 2))
    }
    assert counted(read(json.dumps(groups).encode(), "pi-ai")) == {"overlapping_brackets": 2}


# --- token price index ---------------------------------------------------------------------------------------------


def test_token_price_index() -> None:
    parsed = read(fixture("token_price_index.json"), "token-price-index")
    name, fetched = "the token-price-index", datetime(2026, 8, 20, 20, 19, 14, 775000, tzinfo=UTC)
    columns = ["source", "provider", "model", "component", "service_tier", "region", "valid_from", "price"]
    found = parsed.observations.select(columns).iter_rows()
    aws = (f"{name}/aws-pricelist", "aws/amazon", "nova-lite")
    azure = (f"{name}/azure-retail", "azure/openai", "gpt-4.1")
    jamba = (f"{name}/litellm", "direct/ai21", "jamba")
    router = f"{name}/openrouter"
    assert sorted((*row[:7], plain(row[7])) for row in found) == [
        (*aws, "cache_read", "standard", "eu-west-1", fetched, "0.00001725"),
        (*aws, "input", "standard", "eu-west-1", fetched, "0.000069"),
        (*aws, "output", "standard", "eu-west-1", fetched, "0.000276"),
        (*azure, "input", "standard", "swedencentral", day(20, 8), "0.002"),
        (*azure, "output", "standard", "swedencentral", day(20, 8), "0.008"),
        (*jamba, "input", "standard", "", day(20, 8), "0.015000000000000001"),
        (*jamba, "output", "standard", "", day(20, 8), "0"),
        (router, "aggregator/acme", "acme/one:free", "input", "free", "", day(20, 8), "0"),
        (router, "aggregator/acme", "acme/one:free", "output", "free", "", day(20, 8), "0"),
        (router, "aggregator/~acme", "~acme/latest", "input", "standard", "", day(20, 8), "0.001"),
        (router, "aggregator/~acme", "~acme/named", "input", "standard", "", day(20, 8), "0.001"),
    ]
    assert reasons(parsed) == [
        ("/10/fetched_at", "not_a_date"),
        ("/11/region", "not_a_region"),
        ("/12", "no_source"),
        ("/13", "no_provider"),
        ("/14", "no_model"),
        ("/15", "not_an_object"),
        ("/6/input_per_1k", "overlapping_brackets"),
        ("/7/input_per_1k", "overlapping_brackets"),
        ("/8/input_per_1k", "not_a_price"),
        ("/8/output_per_1m", "unknown_field"),
        ("/9/fetched_at", "known_after_capture"),
    ]
    aliases = parsed.observations.drop_nulls("alias_of").select("model", "alias_of").rows()
    assert aliases == [("~acme/latest", "~acme/latest"), ("~acme/named", "acme/one")]
    first = parsed.observations.row(0, named=True)
    assert (first["reference"], first["unit"], first["currency"]) == ("https://example.org/aws", "per_1k_tokens", "USD")
    assert (first["date_kind"], first["known_at"]) == ("first_seen", KNOWN)
    assert parsed.observations.filter(region="swedencentral")["reference"].to_list() == ["https://example.org"] * 2
    assert sightings(parsed) == [
        (f"{name}/aws-pricelist", fetched, False),
        (f"{name}/azure-retail", day(20, 8), False),
        (f"{name}/litellm", day(20, 8), True),
        (f"{name}/openrouter", day(20, 8), True),
    ]


def test_token_price_index_a_list_fetched_at_two_moments_was_not_seen_whole() -> None:
    row = {"provider": "p", "model_id": "m", "hyperscaler": "direct", "input_per_1k": 1, "source": "litellm"}
    content = [{**row, "fetched_at": f"2026-08-{number}"} for number in (19, 20)]
    found = sightings(read(json.dumps(content).encode(), "token-price-index"))
    assert found == [("the token-price-index/litellm", day(number, 8), False) for number in (19, 20)]


# --- shared ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2026-07-01", day(1)),
        ("2026-07-01T00:00:00Z", day(1)),
        ("2026-07-01T08:00:00+08:00", day(1)),
        ("2026-07-01T00:00:00.000000Z", day(1)),
        ("2026-07-01T00:00:00", None),
        ("2026-02-30", None),
        ("2026-07-01T24:00:00Z", None),
        ("20260701", None),
        ("2026-W27-3", None),
        ("0001-01-01T00:00:00+23:00", None),
        ("2026-07-01 ", None),
        (20260701, None),
        (None, None),
    ],
)
def test_moments(text: object, found: datetime | None) -> None:
    assert moment(text) == found


def test_a_later_look_at_one_list_withdraws_no_rows_of_another_in_the_same_capture() -> None:
    looks = [("a", 1, True, "x"), ("b", 1, False, "x"), ("a", 3, True, "y"), ("c", 1, True, "x")]
    rows = [
        {
            "source": source,
            "seen_at": day(at),
            "known_at": day(at),
            "complete": whole,
            "capture": capture,
            "locator": "",
        }
        for source, at, whole, capture in looks
    ]
    inputs = Inputs(sightings=SIGHTINGS.frame(rows))
    calendar = Home.sample().methodology("tix", date(2026, 7, 1)).calendar
    grid = Grid.of(calendar, [date(2026, 7, number) for number in (2, 3, 6)], known_at=None)
    gone = _replaced(inputs, grid)
    last = inputs.looks.with_columns(gone=pl.lit(gone).gather(pl.col("look"))).filter(pl.col("gone") < grid.size)
    assert last.select("source", "capture").rows() == [("a", "x")]


# --- real snapshots, where they are at hand -------------------------------------------------------------------------


@real
def test_real_endpoints() -> None:
    parsed = snapshot("usage_formats/openrouter_endpoints_doc_example.json", "openrouter-endpoints")
    assert quotes(parsed) == [
        ("openai", "openai/gpt-4", "input", "standard", 0, None, "0.00003"),
        ("openai", "openai/gpt-4", "output", "standard", 0, None, "0.00006"),
    ]
    said = parsed.observations.select("quantization", "uptime", "discount").unique().rows()
    assert said == [("fp16", Decimal("0.998"), None)]
    assert parsed.rejects.is_empty()


@real
def test_real_modelpricewatch() -> None:
    parsed = snapshot("modelpricewatch/*.csv", "modelpricewatch")
    own = "the modelpricewatch"
    assert (parsed.observations.height, parsed.rejects.height) == (670, 0)
    # the line that calls itself a price increase brings a cache price, and nothing new for the input
    gemini = parsed.observations.filter(source=own, model="google-gemini-31-pro")
    assert gemini.select("component", "valid_from", "price").rows() == [
        ("input", day(25, 6), Decimal(2)),
        ("output", day(25, 6), Decimal(12)),
        ("cache_read", day(4), Decimal("0.2")),
    ]
    looks = parsed.sightings.filter(source=own)
    assert (looks.height, looks["seen_at"].min(), looks["seen_at"].max()) == (14, day(25, 6), day(10))
    assert looks.filter(~pl.col("complete"))["seen_at"].to_list() == [day(27, 6), day(4)]
    assert not parsed.sightings.filter(pl.col("source") != own)["complete"].any()


@real
def test_real_pi_ai() -> None:
    parsed = snapshot("pi_ai/*_anthropic.json", "pi-ai")
    assert (parsed.observations.height, parsed.rejects.height) == (76, 0)
    haiku = parsed.observations.filter(model="claude-haiku-5-5", component="input")
    assert haiku.select("context_from", "context_to", "price").rows() == [
        (0, 100_000, Decimal("0.1")),
        (100_000, None, Decimal("0.5")),
    ]
    parsed = snapshot("pi_ai/*_deepseek.json", "pi-ai")
    assert (parsed.observations.height, counted(parsed)) == (6, {"zero_is_unknown": 2})
    assert sightings(parsed) == [("the pi-ai", SEEN, False)]


@real
def test_real_token_price_index() -> None:
    parsed = snapshot("token_price_index/*.json", "token-price-index")
    assert (parsed.observations.height, parsed.rejects.height) == (5587, 0)
    rows = parsed.observations.filter(model="j2-ultra", component="input").select("source", "provider", "price").rows()
    assert rows == [("the token-price-index/litellm", "direct/ai21", Decimal("0.015000000000000001"))]
    assert sightings(parsed) == [
        ("the token-price-index/litellm", day(24, 5), True),
        ("the token-price-index/openrouter", day(24, 5), True),
    ]
