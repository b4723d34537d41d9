"""Price lists of other projects, and tables under a mapping: the expected rows are written out by hand."""

from __future__ import annotations

import json
import time
import zipfile
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from test_adapters import MAPPED_HEAD, MAPPED_TABLE, RAW, SEEN, counted, fixture, quotes, read, reasons, zipped_as

from tokenindex.adapters import Parsed, mapped
from tokenindex.errors import InputDataError
from tokenindex.home import Home

JUNE = datetime(2026, 6, 1, tzinfo=UTC)


def as_json(tree: Any) -> bytes:
    return json.dumps(tree).encode()


# --- portkey -------------------------------------------------------------------------------------------------------


def pay(**prices: Any) -> dict[str, Any]:
    return {"pricing_config": {"pay_as_you_go": {name: {"price": price} for name, price in prices.items()}}}


def test_portkey() -> None:
    parsed = read(fixture("portkey.json"), "portkey", file="acme.json")
    one = ("acme", "acme-1")
    assert quotes(parsed) == [
        (*one, "cache_read", "standard", 0, None, "0.00003"),
        (*one, "cache_write", "standard", 0, None, "0"),
        (*one, "cache_write_1h", "standard", 0, None, "0.0006"),
        (*one, "input", "batch", 0, None, "0.00015"),
        (*one, "input", "standard", 0, None, "0.0003"),
        (*one, "input_audio", "standard", 0, None, "0.004"),
        (*one, "output", "standard", 0, None, "0.0015"),
        (*one, "output_reasoning", "standard", 0, None, "0.0015"),
        ("acme", "acme-long", "input", "standard", 0, 128_000, "0.000125"),
        ("acme", "acme-long", "input", "standard", 128_000, None, "0.00025"),
    ]
    bought, extra = "/acme-1/pricing_config/pay_as_you_go", "/acme-1/pricing_config/pay_as_you_go/additional_units"
    assert reasons(parsed) == [
        (f"{extra}/image_token", "unknown_field"),
        (f"{extra}/request_audio_token/price", "repeats_another_field"),
        (f"{bought}/teleport_token", "unknown_field"),
        ("/bad/pricing_config/pay_as_you_go/cache_read_input_token", "missing_field"),
        ("/bad/pricing_config/pay_as_you_go/cache_read_input_token/per", "unknown_field"),
        ("/bad/pricing_config/pay_as_you_go/request_token", "not_an_object"),
        ("/bad/pricing_config/pay_as_you_go/response_token/price", "not_a_price"),
        ("/bad/pricing_config/spot", "unknown_field"),
        ("/default", "documentation_row"),
        ("/flat", "not_an_object"),
        ("/none/prices", "unknown_field"),
        ("/none/pricing_config", "no_pricing"),
        ("/torn-gt-200k/pricing_config/pay_as_you_go/request_token/price", "overlapping_brackets"),
        ("/torn/pricing_config/pay_as_you_go/request_token/price", "overlapping_brackets"),
        (
            "/twins/pricing_config/pay_as_you_go/additional_units/response_audio_token/price",
            "contradicts_another_field",
        ),
        ("/twins/pricing_config/pay_as_you_go/response_audio_token/price", "contradicts_another_field"),
        ("/yuan/pricing_config/currency", "unknown_currency"),
    ]
    first = parsed.observations.row(0, named=True)
    assert (first["currency"], first["unit"], first["tax"]) == ("USD", "cents_per_token", "unknown")
    assert (first["valid_from"], first["date_kind"], first["region"]) == (SEEN, "first_seen", "")
    assert first["locator"] == "/acme-1/pricing_config/pay_as_you_go/request_token/price"
    assert parsed.sightings["complete"].to_list() == [True]


@pytest.mark.parametrize(
    ("name", "provider"),
    [
        ("together-ai.json", "together-ai"),
        ("pricing/ai21.json", "ai21"),
        ("2026-08-21_0123456789ab_x-ai.json", "x-ai"),
    ],
)
def test_portkey_the_file_names_the_provider(name: str, provider: str) -> None:
    parsed = read(as_json({"m": pay(request_token=1)}), "portkey", file=name)
    assert parsed.observations["provider"].to_list() == [provider]


@pytest.mark.parametrize(
    "name",
    ["prices.json", "portkey.json", "default.json", "Acme.json", "acme_2.json", "acme", "acme.json.txt", "2026.json"],
)
def test_portkey_a_file_that_names_no_provider_says_how_to_name_it(name: str) -> None:
    with pytest.raises(InputDataError, match=r"PROVIDER\.json") as caught:
        read(as_json({"m": pay(request_token=1)}), "portkey", file=name)
    assert caught.value.where == name


def test_portkey_a_home_reads_the_stored_file_as_it_read_the_first(tmp_path: Path) -> None:
    home, file = Home.init(tmp_path / "home"), tmp_path / "together-ai.json"
    file.write_bytes(as_json({"m": pay(request_token=1)}))
    first = home.ingest(file, adapter_name="portkey", source="portkey", seen_at=SEEN, known_at=SEEN)
    (capture,) = home.captures()
    again = read((home.path / "captures" / capture.name).read_bytes(), "portkey", file=capture.name)
    assert first is not None
    assert again.observations["provider"].to_list() == first.observations["provider"].to_list() == ["together-ai"]


def test_portkey_the_default_s_currency_is_the_one_of_its_models() -> None:
    default = {"pricing_config": {"currency": "EUR"}}
    parsed = read(as_json({"default": default, "m": pay(request_token=1)}), "portkey", file="acme.json")
    assert parsed.observations.is_empty()
    assert counted(parsed) == {"documentation_row": 1, "unknown_currency": 1}
    assert parsed.sightings["complete"].to_list() == [False]


def test_portkey_two_pairs_of_brackets_of_one_model_contradict_each_other() -> None:
    names = ("m-lte-128k", "m-gt-128k", "m-lte-200k", "m-gt-200k")
    parsed = read(as_json({name: pay(request_token=1) for name in names}), "portkey", file="acme.json")
    assert parsed.observations.is_empty()
    assert counted(parsed) == {"overlapping_brackets": 4}


# --- langfuse ------------------------------------------------------------------------------------------------------


def test_langfuse() -> None:
    parsed = read(fixture("langfuse.json"), "langfuse")
    assert quotes(parsed) == [
        ("acme", "acme-1", "cache_read", "standard", 0, None, "0.000000125"),
        ("acme", "acme-1", "cache_write", "standard", 0, None, "0.000003"),
        ("acme", "acme-1", "cache_write_1h", "standard", 0, None, "0.000006"),
        ("acme", "acme-1", "input", "standard", 0, None, "0.0000025"),
        ("acme", "acme-1", "input_audio", "standard", 0, None, "0.0001"),
        ("acme", "acme-1", "output_reasoning", "standard", 0, None, "0.00001"),
        ("acme", "older", "input", "standard", 0, None, "0.000003"),
        # no later tier prices a cache read: above 200,000 tokens there is no price for it
        ("bolt", "bolt-long", "cache_read", "standard", 0, 200_000, "0.0000001"),
        ("bolt", "bolt-long", "input", "standard", 0, 200_000, "0.000001"),
        ("bolt", "bolt-long", "input", "standard", 200_000, 400_000, "0.000002"),
        ("bolt", "bolt-long", "input", "standard", 400_000, None, "0.000004"),
    ]
    assert reasons(parsed) == [
        ("/0/pricingTiers/0/prices/cache_read_input_tokens", "repeats_another_field"),
        ("/0/pricingTiers/0/prices/input_cache_read", "repeats_another_field"),
        ("/0/pricingTiers/0/prices/input_smell", "unknown_field"),
        ("/0/pricingTiers/0/prices/input_tokens", "repeats_another_field"),
        ("/0/pricingTiers/0/prices/output", "contradicts_another_field"),
        ("/0/pricingTiers/0/prices/output_text_tokens", "contradicts_another_field"),
        ("/1/pricingTiers/3", "superseded_entry"),
        ("/1/pricingTiers/4/conditions", "unknown_condition"),
        ("/1/pricingTiers/5/conditions", "unknown_condition"),
        ("/1/pricingTiers/6", "unknown_field"),
        ("/2/prices/total", "no_component"),
        ("/3/matchPattern", "no_provider"),
        ("/4", "no_model"),
        ("/5", "no_pricing"),
        ("/6", "no_model"),
    ]
    first = parsed.observations.row(0, named=True)
    assert (first["currency"], first["unit"], first["date_kind"]) == ("USD", "per_token", "first_seen")
    assert first["locator"] == "/0/pricingTiers/0/prices/input"


def langfuse(**fields: Any) -> Parsed:
    model = {"modelName": "m", "matchPattern": "^(p/)?m$", **fields}
    return read(as_json([model]), "langfuse")


@pytest.mark.parametrize(
    ("pattern", "provider"),
    [
        (r"(?i)^(openai\/)?(gpt-4o)$", "openai"),
        (r"(?i)^(google(ai)?\/)?(gemini-2.5-pro)$", "google"),
        (r"(?i)^((anthropic\/)?claude-opus|(eu\.|us\.)?anthropic\.claude-opus)$", "anthropic"),
        (r"(?i)^(gpt-)(35|3.5)(-turbo)$", None),
        (r"(?i)^(openai|azure)/gpt$", None),
        (r"(?i)^(chatgpt-4o-latest)$", None),
        ("", None),
        (None, None),
        (3, None),
        ("(" * 10_000, None),
    ],
)
def test_langfuse_the_pattern_names_the_seller(pattern: Any, provider: str | None) -> None:
    parsed = langfuse(matchPattern=pattern, prices={"input": 1e-6})
    assert parsed.observations["provider"].to_list() == ([provider] if provider else [])
    assert counted(parsed) == ({} if provider else {"no_provider": 1})


LARGE = {"usageDetailPattern": "input", "operator": "gt", "value": 200_000}


@pytest.mark.parametrize(
    "condition",
    [
        [],
        None,
        [LARGE, LARGE],
        [{**LARGE, "operator": "lt"}],
        [{**LARGE, "operator": ["gt"]}],
        [{**LARGE, "value": 0}],
        [{**LARGE, "value": 1.5}],
        [{**LARGE, "value": "200000"}],
        [{**LARGE, "value": 10**30}],
        [{**LARGE, "usageDetailPattern": "tokens"}],
        [{**LARGE, "usageDetailPattern": ["input"]}],
        [{**LARGE, "unless": "cached"}],
    ],
)
def test_langfuse_any_other_condition_is_rejected(condition: Any) -> None:
    base = {"isDefault": True, "priority": 0, "conditions": [], "prices": {"input": 1e-6}}
    other = {"isDefault": False, "priority": 1, "conditions": condition, "prices": {"input": 2e-6}}
    parsed = langfuse(pricingTiers=[base, other])
    assert quotes(parsed) == [("p", "m", "input", "standard", 0, None, "0.000001")]
    assert reasons(parsed) == [("/0/pricingTiers/1/conditions", "unknown_condition")]


def test_langfuse_the_many_names_of_one_component() -> None:
    """The names under which the July 2026 list prices Gemini 2.5 Pro, with its tier for long prompts."""
    read_as = "input input_text input_modality_1 prompt_token_count promptTokenCount".split()
    written_as = "output output_text output_modality_1 candidates_token_count candidatesTokenCount".split()
    thought_as, cached_as = "thoughtsTokenCount thoughts_token_count output_reasoning".split(), "input_cached_tokens"

    def prices(read: str, cached: str, written: str) -> dict[str, Any]:
        named = {**dict.fromkeys(read_as, read), **dict.fromkeys([*written_as, *thought_as], written)}
        return {**named, cached_as: cached, "cached_content_token_count": cached, "web_search_queries": "0.014"}

    condition = {
        "usageDetailPattern": "(input|prompt|cached)",
        "operator": "gt",
        "value": 200000,
        "caseSensitive": False,
    }
    base = {"id": "a", "name": "Standard", "isDefault": True, "priority": 0, "conditions": []}
    large = {"id": "b", "name": "Large Context", "isDefault": False, "priority": 1, "conditions": [condition]}
    tiers = [
        {**base, "prices": prices("1.25e-6", "0.125e-6", "10e-6")},
        {**large, "prices": prices("2.5e-6", "0.25e-6", "15e-6")},
    ]
    parsed = langfuse(matchPattern=r"(?i)^(google(ai)?\/)?(gemini-2.5-pro)$", pricingTiers=tiers)
    assert [quote[2:] for quote in quotes(parsed)] == [
        ("cache_read", "standard", 0, 200_000, "0.000000125"),
        ("cache_read", "standard", 200_000, None, "0.00000025"),
        ("input", "standard", 0, 200_000, "0.00000125"),
        ("input", "standard", 200_000, None, "0.0000025"),
        ("output", "standard", 0, 200_000, "0.00001"),
        ("output", "standard", 200_000, None, "0.000015"),
        ("output_reasoning", "standard", 0, 200_000, "0.00001"),
        ("output_reasoning", "standard", 200_000, None, "0.000015"),
    ]
    assert counted(parsed) == {"repeats_another_field": 22}


def test_langfuse_two_defaults_and_two_entries_of_one_model_contradict_each_other() -> None:
    base = {"isDefault": True, "priority": 0, "conditions": [], "prices": {"input": 1e-6}}
    assert counted(langfuse(pricingTiers=[base, base])) == {"overlapping_brackets": 2}
    conditioned = langfuse(pricingTiers=[{**base, "conditions": [LARGE]}])
    assert counted(conditioned) == {"unknown_condition": 1}
    model = {"modelName": "m", "matchPattern": "^(p/)?m$", "prices": {"input": 1}}
    assert counted(read(as_json([model, model]), "langfuse")) == {"overlapping_brackets": 2}


# --- lobehub -------------------------------------------------------------------------------------------------------


def test_lobehub() -> None:
    parsed = read(fixture("lobehub.json"), "lobehub")
    columns = ["model", "component", "context_from", "context_to", "price", "currency"]
    found = [(*row[:4], f"{row[4].normalize():f}", row[5]) for row in parsed.observations.select(columns).iter_rows()]
    assert sorted(found) == [
        ("again", "input", 0, None, "0", "USD"),
        ("flat", "cache_read", 0, None, "0.3", "USD"),
        ("flat", "input", 0, None, "3", "USD"),
        ("lookups", "cache_read", 0, 32_000, "0.2", "CNY"),
        ("lookups", "cache_read", 32_000, 200_000, "0.4", "CNY"),
        ("lookups", "input", 0, 32_000, "0.8", "CNY"),
        ("lookups", "input", 32_000, 128_000, "1.2", "CNY"),
        ("lookups", "input", 128_000, None, "2.4", "CNY"),
        ("lookups", "output", 32_000, 200_000, "16", "CNY"),
        ("lookups", "output_audio", 0, None, "5", "CNY"),
        ("plain", "cache_read", 0, None, "0.04000000000000001", "CNY"),
        ("plain", "cache_write", 0, None, "6.25", "CNY"),
        ("plain", "cache_write_1h", 0, None, "10", "CNY"),
        ("plain", "input", 0, None, "2", "CNY"),
        ("tiers", "input", 0, 200_000, "1.25", "USD"),
        ("tiers", "input", 200_000, None, "2.5", "USD"),
        ("tiers", "output", 0, 128_000, "2", "USD"),
        ("tiers", "output", 128_000, 1_000_000, "8", "USD"),
        ("tiers", "output", 1_000_000, None, "12", "USD"),
    ]
    units = "/models/2/pricing/units"
    assert reasons(parsed) == [
        ("/models/0/pricing/units/4", "unknown_field"),
        ("/models/0/pricing/units/5", "unknown_unit"),
        ("/models/1/pricing/units/2/tiers", "not_a_context_length"),
        (f"{units}/1/lookup/prices/[0, 32_000]_[0, 200]", "unknown_condition"),
        (f"{units}/1/lookup/prices/[0, 32_000]_[200, infinity]", "unknown_condition"),
        (f"{units}/2/lookup/prices/[0, 0.032]_[0.0002, infinity]", "repeats_another_field"),
        (f"{units}/2/lookup/prices/[0.2, 0.5]_[0, 0.0002]", "unknown_condition"),
        (f"{units}/3/lookup/prices/1h", "unknown_condition"),
        (f"{units}/4/lookup/prices/false", "unknown_condition"),
        (f"{units}/4/lookup/prices/true", "unknown_condition"),
        (f"{units}/5/lookup/prices/true", "repeats_another_field"),
        (f"{units}/6/lookup/prices/true", "unknown_condition"),
        ("/models/4/pricing/units/0/rate", "repeats_another_row"),
        ("/models/4/pricing/units/1/rate", "contradicts_another_row"),
        ("/models/5/pricing/units/0/rate", "contradicts_another_row"),
        ("/models/6/pricing/perRequest", "unknown_field"),
        ("/models/7/pricing/currency", "unknown_currency"),
        ("/models/8/pricing", "no_pricing"),
        ("/models/9", "no_model"),
    ]
    first = parsed.observations.row(0, named=True)
    assert (first["provider"], first["unit"], first["marginal"]) == ("acme", "per_1m_tokens", None)


def lobehub(unit: dict[str, Any]) -> Parsed:
    priced = {"name": "textInput", "unit": "millionTokens", **unit}
    return read(as_json([{"providerId": "p", "id": "m", "pricing": {"units": [priced]}}]), "lobehub")


def test_lobehub_an_array_names_the_provider_of_each_model() -> None:
    parsed = lobehub({"strategy": "fixed", "rate": 1})
    assert quotes(parsed) == [("p", "m", "input", "standard", 0, None, "1")]
    nobody = read(as_json([{"id": "m", "pricing": {"units": []}}]), "lobehub")
    assert reasons(nobody) == [("/0", "no_provider")]
    with pytest.raises(InputDataError, match='no array "models"'):
        read(b'{"provider": "p"}', "lobehub")


def test_lobehub_the_typescript_itself_is_refused() -> None:
    with pytest.raises(InputDataError, match="JSON"):
        read(b"const models: AIChatModelCard[] = [{ id: 'm', pricing: { units: [] } }];\n", "lobehub")


@pytest.mark.parametrize(
    ("ends", "brackets"),
    [
        ([200_000, "infinity"], [(0, 200_000), (200_000, None)]),
        ([0.2, "infinity"], [(0, 200_000), (200_000, None)]),
        ([0.032, 0.128, 1], [(0, 32_000), (32_000, 128_000), (128_000, 1_000_000)]),
        (["infinity"], [(0, None)]),
        ([200, "infinity"], []),
        ([0.2, 400_000], []),
        ([0.2, None], []),
        ([0.2, "forever"], []),
        ([-1, "infinity"], []),
        ([True, "infinity"], []),
        ([0.0000001, "infinity"], []),
        ([400_000, 200_000, "infinity"], "overlapping_brackets"),
    ],
)
def test_lobehub_tiers(ends: list[Any], brackets: Any) -> None:
    parsed = lobehub({"strategy": "tiered", "tiers": [{"rate": 1, "upTo": end} for end in ends]})
    if isinstance(brackets, str):
        assert brackets in parsed.rejects["reason"]
        return
    assert parsed.observations.select("context_from", "context_to").rows() == brackets
    assert counted(parsed) == ({} if brackets else {"not_a_context_length": 1})


@pytest.mark.parametrize(
    ("parameters", "prices", "expected"),
    [
        (["textInput"], {"[0, 0.032]": 1, "[0.032, infinity]": 2}, [(0, 32_000, "1"), (32_000, None, "2")]),
        (["textInputRange"], {"[0,32_000]": 1, "[32_000,infinity]": 2}, [(0, 32_000, "1"), (32_000, None, "2")]),
        (["textInputRange"], {"[0, infinity]": 1}, [(0, None, "1")]),
        (["textInputRange"], {"[0, 32]": 1}, "not_a_context_length"),
        (["textInputRange"], {"short": 1}, "not_a_context_length"),
        (["textInputRange"], {"[0, 0.032]_[0, 1]": 1}, "not_a_context_length"),
        (["textInputRange"], {"[_, 0.032]": 1}, "not_a_context_length"),
        (["textInputRange"], {"[0, 0.1]": 1, "[0.05, 0.2]": 1}, "overlapping_brackets"),
        (["textInputRange"], {"[0.1, 0.1]": 1}, "empty_bracket"),
        (["textOutput", "textInput"], {"[0, 0.1]": 1}, "not_a_context_length"),
        (["textInput", "mode"], {"[0, 0.1]_fast": 1, "[0, 0.1]_slow": 1.0}, [(0, 100_000, "1")]),
        (["textInput", "mode"], {"[0, 0.1]_fast": 1, "[0, 0.1]_slow": "x"}, "unknown_condition"),
        (["ttl"], {"5m": 1, "1h": 2}, "unknown_condition"),
        (["quality", "size"], {"hd_1024x1024": 1, "sd_1024x1024": 2}, "unknown_condition"),
        (["quality"], {"hd": 1}, "unknown_condition"),
        ([], {"hd": 1}, "unknown_condition"),
        (None, {"hd": 1}, "unknown_condition"),
        ([["textInput"]], {"hd": 1}, "unknown_condition"),
    ],
)
def test_lobehub_lookups(parameters: Any, prices: dict[str, Any], expected: Any) -> None:
    parsed = lobehub({"strategy": "lookup", "lookup": {"pricingParams": parameters, "prices": prices}})
    if isinstance(expected, str):
        assert parsed.observations.is_empty()
        assert set(parsed.rejects["reason"]) == {expected}
    else:
        assert [quote[4:] for quote in quotes(parsed)] == expected


@pytest.mark.parametrize(
    ("unit", "why"),
    [
        ({"strategy": "auction"}, "unknown_field"),
        ({"strategy": "fixed", "unit": ["image"]}, "unknown_unit"),
        ({"strategy": "fixed", "name": None}, "unknown_field"),
        ({"strategy": "tiered", "tiers": 3}, "not_an_array"),
        ({"strategy": "lookup"}, "unknown_condition"),
        ({"strategy": "fixed", "rate": "1,5"}, "not_a_price"),
    ],
)
def test_lobehub_units_that_are_rejected(unit: dict[str, Any], why: str) -> None:
    assert counted(lobehub(unit)) == {why: 1}


def test_lobehub_one_model_in_two_currencies_is_not_believed() -> None:
    unit = {"name": "textInput", "unit": "millionTokens", "strategy": "fixed", "rate": 1}
    models = [{"id": "m", "pricing": {"currency": money, "units": [unit]}} for money in ("CNY", "USD")]
    parsed = read(as_json({"provider": "p", "models": models}), "lobehub")
    assert counted(parsed) == {"overlapping_brackets": 2}


# --- mapped --------------------------------------------------------------------------------------------------------


def test_mapped() -> None:
    parsed = read(fixture("mapped.txt"), "mapped")
    columns = ["model", "component", "service_tier", "region", "context_from", "context_to", "price", "locator"]
    found = [(*row[:6], f"{row[6].normalize():f}", row[7]) for row in parsed.observations.select(columns).iter_rows()]
    assert found == [
        ("acme-1", "input", "standard", "eu", 0, 128_000, "1.25", "line 47, Input"),
        ("acme-1", "output", "standard", "eu", 0, 128_000, "10", "line 47, Output"),
        ("acme-1", "input", "standard", "eu", 128_000, None, "2.5", "line 48, Input"),
        ("acme-1", "output", "standard", "eu", 128_000, None, "20", "line 48, Output"),
        ("acme-1", "input", "batch", "", 0, None, "0", "line 49, Input"),
        ("acme-max", "input", "standard", "", 0, 1_000_000, "1234", "line 50, Input"),
        ("acme-max", "output", "standard", "", 0, 1_000_000, "2345.5", "line 50, Output"),
    ]
    rejects = [
        ("€1,25€", "line 52, Input", "not_a_price"),
        ("12.34", "line 52, Output", "not_a_price"),
        ("1.2", "line 53, Input", "not_a_price"),
        ("$3", "line 53, Output", "not_a_price"),
        ("Turbo", "line 54, Mode", "unknown_service_tier"),
        ("many", "line 55, Longer than", "not_a_context_length"),
        ("128k", "line 56, Up to", "not_a_context_length"),
        ("128", "line 57, Up to", "empty_bracket"),
        ("31.6.2026", "line 58, Since", "not_a_date"),
        ("", "line 59, Model", "no_model"),
    ]
    assert parsed.rejects.select("found", "locator", "reason").rows() == rejects
    first = parsed.observations.row(0, named=True)
    assert (first["provider"], first["currency"], first["unit"]) == ("acme", "EUR", "per_1m_tokens")
    assert (first["tax"], first["valid_from"], first["date_kind"]) == ("excluded", JUNE, "declared")
    # the mapping names the origin of the figures, not who captured the table
    assert (first["reference"], first["licence"]) == ("https://acme.example/prices", "quoted from the price page")
    assert parsed.sightings["complete"].to_list() == [True]


def test_mapped_a_zip_file_gives_the_same_rows() -> None:
    text = read(fixture("mapped.txt"), "mapped")
    both = read(zipped_as({"table.csv": MAPPED_TABLE, "mapping.toml": MAPPED_HEAD}), "mapped")
    assert both.observations.drop("capture", "locator").equals(text.observations.drop("capture", "locator"))
    assert both.observations["locator"][0] == "table.csv line 2, Input"
    assert both.rejects["reason"].equals(text.rejects["reason"])


def test_mapped_the_example_of_its_docstring_is_right() -> None:
    lines = (mapped.__doc__ or "").splitlines()
    start = lines.index("    +++")
    end = lines.index("", lines.index("    +++", start + 1))
    example = "".join(line[4:] + "\n" for line in lines[start:end]).encode()
    parsed = read(example, "mapped")
    assert parsed.rejects.is_empty()
    assert quotes(parsed) == [
        ("acme", "acme-1", "input", "batch", 0, None, "0"),
        ("acme", "acme-1", "input", "standard", 0, 128_000, "1.25"),
        ("acme", "acme-1", "input", "standard", 128_000, None, "2.5"),
        ("acme", "acme-1", "output", "standard", 0, 128_000, "10"),
        ("acme", "acme-1", "output", "standard", 128_000, None, "20"),
        ("acme", "acme-max", "input", "standard", 0, None, "1234"),
    ]
    assert set(parsed.observations["valid_from"]) == {JUNE}
    long = "".join(line[4:] + "\n" for line in lines[lines.index("    [long]") :][:4])
    told = read(
        sheet(PLAIN.replace(PLAIN_COMPONENTS, long), "Model,Kind,Price\nm,Output tokens,2\nm,Voice,3\n"), "mapped"
    )
    assert quotes(told) == [("p", "m", "output", "standard", 0, None, "2")]
    assert reasons(told) == [("line 32, Kind", "unknown_component")]


PLAIN_COMPONENTS = """[components]
input = "Input"
"""
PLAIN = f"""[offer]
provider = "p"
currency = "CNY"
unit = "per_1k_tokens"
tax = "included"
reference = "r"
licence = "l"
complete = false
[table]
separator = ","
model = "Model"
ignored = []
[numbers]
decimal_mark = "."
currency_signs = []
not_offered = []
free = []
{PLAIN_COMPONENTS}[service_tier]
fixed = "standard"
[region]
fixed = "cn"
[valid_from]
kind = "first_seen"
"""


def sheet(mapping: str, table: str) -> bytes:
    return f"+++\n{mapping}+++\n{table}".encode()


def cell(text: str, **numbers: Any) -> Parsed:
    """Return what a table with one price cell gives, under other rules for numbers."""
    table = {"decimal_mark": ".", "currency_signs": [], "not_offered": [], "free": [], **numbers}
    rules = "".join(f"{key} = {json.dumps(rule)}\n" for key, rule in table.items())
    head, _, tail = PLAIN.partition("[numbers]\n")
    return read(
        sheet(f"{head}[numbers]\n{rules}[components]{tail.partition('[components]')[2]}", f'Model,Input\nm,"{text}"\n'),
        "mapped",
    )


def test_mapped_plain() -> None:
    parsed = read(sheet(PLAIN, "Model,Input\nm,0.002\n"), "mapped")
    row = parsed.observations.row(0, named=True)
    assert (row["price"], row["currency"], row["unit"], row["tax"]) == (
        Decimal("0.002"),
        "CNY",
        "per_1k_tokens",
        "included",
    )
    assert (row["region"], row["valid_from"], row["date_kind"]) == ("cn", SEEN, "first_seen")
    assert (row["context_from"], row["context_to"], row["locator"]) == (0, None, "line 29, Input")
    assert parsed.sightings["complete"].to_list() == [False]


EUROPE = {"decimal_mark": ",", "thousands_mark": "."}


@pytest.mark.parametrize(
    ("text", "numbers", "price"),
    [
        ("1.234", {}, "1.234"),
        ("1.234", {"decimal_mark": ","}, None),
        ("1.234", EUROPE, "1234"),
        ("1,234", EUROPE, "1.234"),
        ("1.234.567,8", EUROPE, "1234567.8"),
        ("1.2345", EUROPE, None),
        ("12.34", EUROPE, None),
        (".234", EUROPE, None),
        ("1,234", {}, None),
        ("1,234", {"thousands_mark": ","}, "1234"),
        ("1,234.5", {"thousands_mark": ","}, "1234.5"),
        ("1234.5", {"thousands_mark": ","}, "1234.5"),
        ("1,2,3", {"thousands_mark": ","}, None),
        ("1 234,5", {"decimal_mark": ",", "thousands_mark": " "}, "1234.5"),
        ("1\u202f234", {"thousands_mark": "\u202f"}, "1234"),
        ("1'234.5", {"thousands_mark": "'"}, "1234.5"),
        (" 2 ", {}, "2"),
        ("2.", {}, None),
        (".5", {}, None),
        ("2.5E-07", {}, "0.00000025"),
        ("-1", {}, "-1"),
        ("$2", {}, None),
        ("$2", {"currency_signs": ["$"]}, "2"),
        ("US$ 2", {"currency_signs": ["$", "US$"]}, "2"),
        ("2 €", {"currency_signs": ["€"]}, "2"),
        ("€2€", {"currency_signs": ["€"]}, None),
        ("€", {"currency_signs": ["€"]}, None),
        ("2元", {"currency_signs": ["¥"]}, None),
        ("２", {}, None),
        ("2/3", {}, None),
        ("2 - 3", {}, None),
        ("NaN", {}, None),
        ("9" * 5000, {}, None),
        ("0." + "1" * 25, {}, None),
        ("1e999", {}, None),
    ],
)
def test_mapped_numbers(text: str, numbers: dict[str, Any], price: str | None) -> None:
    parsed = cell(text, **numbers)
    assert [quote[-1] for quote in quotes(parsed)] == ([price] if price else [])
    line = 30 if "thousands_mark" in numbers else 29
    assert reasons(parsed) == ([] if price else [(f"line {line}, Input", "not_a_price")])


def test_mapped_words() -> None:
    assert reasons(cell("")) == [("line 29, Input", "missing_field")]
    offered = cell("", not_offered=["", "n/a"])
    assert offered.observations.is_empty() and counted(offered) == {"empty_snapshot": 1}
    assert [quote[-1] for quote in quotes(cell(" Free ", free=["Free"]))] == ["0"]
    assert counted(cell("free", free=["Free"])) == {"not_a_price": 1}


def test_mapped_rows_that_price_the_same_thing_are_twins() -> None:
    table = "Model,Input\na,1\na,1.0\nb,1\nb,2\n c,1\nc,1\n"
    parsed = read(sheet(PLAIN, table), "mapped")
    assert sorted(parsed.observations["model"]) == [" c", "a", "c"]
    assert reasons(parsed) == [
        ("line 30, Input", "repeats_another_row"),
        ("line 31, Input", "contradicts_another_row"),
        ("line 32, Input", "contradicts_another_row"),
    ]


def test_mapped_a_blank_region_is_not_everywhere_unless_the_mapping_says_so() -> None:
    mapping = PLAIN.replace('fixed = "cn"', 'column = "Region"\neverywhere = ["all"]')
    parsed = read(sheet(mapping, "Model,Region,Input\na,us,1\nb,all,1\nc,,1\n"), "mapped")
    assert parsed.observations["region"].to_list() == ["us", ""]
    assert reasons(parsed) == [("line 32, Region", "missing_field")]


@pytest.mark.parametrize("separator", [",", ";", "|", "\t"])
def test_mapped_separators_and_quoted_cells(separator: str) -> None:
    mapping = PLAIN.replace('separator = ","', f"separator = {json.dumps(separator)}")
    row = separator.join(['"a ""new""\nmodel"', "1"])
    parsed = read(sheet(mapping, f"Model{separator}Input\n{row}\nb{separator}x\n"), "mapped")
    assert parsed.observations["model"].to_list() == ['a "new"\nmodel']
    assert reasons(parsed) == [("line 31, Input", "not_a_price")]


@pytest.mark.parametrize(
    ("written", "declared", "day"),
    [
        ("2026-06-01", "%Y-%m-%d", 1),
        ("1.6.2026", "%d.%m.%Y", 1),
        ("06/02/2026", "%m/%d/%Y", 2),
        ("20260603", "%Y%m%d", 3),
        ("2026年6月4日", "%Y年%m月%d日", 4),
        ("13/13/2026", "%m/%d/%Y", None),
        ("1.6.26", "%d.%m.%Y", None),
        ("2026-06-01T00:00:00Z", "%Y-%m-%d", None),
        ("", "%Y-%m-%d", None),
    ],
)
def test_mapped_dates(written: str, declared: str, day: int | None) -> None:
    mapping = PLAIN.replace('kind = "first_seen"', f'kind = "undated"\ncolumn = "Since"\nformat = "{declared}"')
    parsed = read(sheet(mapping, f"Model,Input,Since\nm,1,{written}\n"), "mapped")
    found = parsed.observations.select("valid_from", "date_kind").rows()
    assert found == ([(datetime(2026, 6, day, tzinfo=UTC), "undated")] if day else [])
    assert reasons(parsed) == ([] if day else [("line 31, Since", "not_a_date")])


def test_mapped_a_fixed_date() -> None:
    mapping = PLAIN.replace('kind = "first_seen"', 'kind = "declared"\nfixed = 2026-06-01')
    assert read(sheet(mapping, "Model,Input\nm,1\n"), "mapped").observations["valid_from"].to_list() == [JUNE]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('tax = "included"', "", "missing tax"),
        ('tax = "included"', 'taxes = "included"', "unknown key 'taxes'.*did you mean 'tax'"),
        ('tax = "included"', 'tax = "net"', "tax 'net'.*excluded"),
        ('currency = "CNY"', 'currency = "RMB"', "currency 'RMB'.*CNY"),
        ('unit = "per_1k_tokens"', 'unit = "per 1K"', "per_1k_tokens"),
        ('provider = "p"', 'provider = " "', "provider"),
        ('reference = "r"', 'reference = "a\\nb"', "one line"),
        ("complete = false", 'complete = "no"', "true or false"),
        ("complete = false", "complete = 0", "true or false"),
        ('separator = ","', 'separator = ":"', "separator"),
        ("ignored = []", 'ignored = "Notes"', "a list of texts"),
        ("ignored = []", "ignored = [1]", "text"),
        ("ignored = []", 'ignored = ["Input"]', "'Input' is named twice"),
        ("ignored = []", 'ignored = ["Notes"]', "no column Notes"),
        ('model = "Model"', 'model = "Name"', "no column Name; unknown column Model"),
        ('decimal_mark = "."', 'decimal_mark = "·"', "decimal_mark"),
        ('decimal_mark = "."', 'decimal_mark = "."\nthousands_mark = "."', "are the same"),
        ('decimal_mark = "."', 'decimal_mark = "."\nthousands_mark = ""', "thousands_mark"),
        ("currency_signs = []", 'currency_signs = ["1"]', "currency_signs"),
        ("currency_signs = []", 'currency_signs = [""]', "currency_signs"),
        ("free = []", 'free = ["0", "0"]', "stands twice"),
        ("free = []", 'free = [" 0"]', "outer spaces"),
        ('input = "Input"', 'inputs = "Input"', "'inputs'.*'input'"),
        ('input = "Input"', "", "no component"),
        ('input = "Input"', 'input = "Input"\noutput = "Input"', "'Input' is named twice"),
        ('input = "Input"', "input = 3", "3 is a int"),
        (PLAIN_COMPONENTS, "", "one of the two"),
        (PLAIN_COMPONENTS, "components = 3\n", "unknown key 'components'"),
        ('fixed = "standard"', "", "one of the two"),
        ('fixed = "standard"', 'fixed = "fast!"', "'fast!'"),
        ('fixed = "standard"', 'column = "Mode"', "both or neither"),
        ('fixed = "cn"', 'column = "Region"', "both or neither"),
        ('fixed = "cn"', 'fixed = "cn"\ncolumn = "Region"', "one of the two"),
        ("[region]", "[context]\nabove = 'a'\nup_to = 'b'\nunit_tokens = 0\nno_end = []\n[region]", "unit_tokens"),
        ('kind = "first_seen"', 'kind = "seen"', "'seen'.*first_seen"),
        ('kind = "first_seen"', 'kind = "declared"', "neither if kind"),
        ('kind = "first_seen"', 'kind = "first_seen"\nfixed = 2026-06-01', "neither if kind"),
        ('kind = "first_seen"', 'kind = "declared"\nfixed = "2026-06-01"', "a date such as"),
        ('kind = "first_seen"', 'kind = "declared"\nfixed = 2026-06-01T00:00:00Z', "a date such as"),
        ('kind = "first_seen"', 'kind = "declared"\ncolumn = "D"', "both or neither"),
        ('kind = "first_seen"', 'kind = "declared"\ncolumn = "D"\nformat = "%y-%m-%d"', "%Y, %m and %d"),
        ("[offer]", "[offers]\n[offer]", "unknown key 'offers'.*did you mean 'offer'"),
        ("[offer]", "offer = 3\n[x]", "3 is no table"),
        ("[offer]", "x = " + "[" * 3000 + "\n[offer]", "nested too deeply"),
        ("[offer]", "x = " + "9" * 5000 + "\n[offer]", "TOML"),
        ("[offer]", "[offer", "TOML"),
        ("[region]", "[numbers]", "TOML"),
    ],
)  # fmt: skip
def test_mapped_a_wrong_mapping_names_what_is_known(old: str, new: str, message: str) -> None:
    assert old in PLAIN
    with pytest.raises(InputDataError, match=f"(?s){message}") as caught:
        read(sheet(PLAIN.replace(old, new, 1), "Model,Input\nm,1\n"), "mapped", file="sheet.txt")
    assert caught.value.where.startswith("sheet.txt, ")
    assert caught.value.remedy and caught.value.expected


def test_mapped_a_mapping_is_found_between_its_lines_only() -> None:
    table = "Model,Input\nm,1\n"
    for content in (
        f"{PLAIN}+++\n{table}",
        f"+++\n{PLAIN}{table}",
        f"\n+++\n{PLAIN}+++\n{table}",
        f"+++ \n{PLAIN}+++\n{table}",
        "+++\n+++",
    ):
        with pytest.raises(InputDataError, match="no mapping"):
            read(content.encode(), "mapped")
    assert read(b"\xef\xbb\xbf" + sheet(PLAIN, table), "mapped").observations.height == 1
    with pytest.raises(InputDataError, match="no end"):
        read(sheet(PLAIN, table.rstrip()), "mapped")


def test_mapped_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = b"Model,Input\n" + b"m,1\n" * 5_000_000
    head = PLAIN.encode()
    with pytest.raises(InputDataError, match=r"table\.csv unpacks to more"):
        read(zipped_as({"mapping.toml": head, "table.csv": bomb}), "mapped")
    with pytest.raises(InputDataError, match="the table has more than"):
        read(b"+++\n" + head + b"+++\n" + bomb, "mapped")
    with pytest.raises(InputDataError, match="no mapping"):
        read(b"+++\n" + b"#" * 2**17 + b"\n+++\nModel,Input\nm,1\n", "mapped")
    monkeypatch.setattr(mapped, "CELLS_MAX", 2)
    with pytest.raises(InputDataError, match="more than 2 prices"):
        read(sheet(PLAIN, "Model,Input\na,1\nb,1\nc,1\n"), "mapped")


@pytest.mark.parametrize(
    "members",
    [
        {"mapping.toml": PLAIN.encode()},
        {"mapping.toml": b"", "table.csv": b"", "more.txt": b""},
        {"a/mapping.toml": PLAIN.encode(), "a/table.csv": b"Model,Input\n"},
    ],
)
def test_mapped_a_zip_file_holds_two_members(members: dict[str, bytes]) -> None:
    with pytest.raises(InputDataError, match="the zip file holds"):
        read(zipped_as(members), "mapped")


def test_mapped_zip_files_that_are_packed_in_another_way_or_lie_about_their_size() -> None:
    members = {"mapping.toml": PLAIN.encode(), "table.csv": b"Model,Input\nm,1\n"}
    assert read(zipped_as(members, zipfile.ZIP_STORED), "mapped").observations.height == 1
    with pytest.raises(InputDataError, match="packed in another way"):
        read(zipped_as(members, zipfile.ZIP_LZMA), "mapped")
    large = {**members, "table.csv": b"Model,Input\n" + b"m,1\n" * 5_000_000}
    honest = zipped_as(large)
    lying = honest.replace(len(large["table.csv"]).to_bytes(4, "little"), (12).to_bytes(4, "little"))
    with pytest.raises(InputDataError):
        read(lying, "mapped")


@pytest.mark.parametrize(
    "content",
    [
        as_json([{"modelName": "m", "matchPattern": "^(p/)?" + "(a+)+" * 50_000, "prices": {"input": 1}}]),
        as_json({"provider": "p", "models": [{"id": "m", "pricing": {"units": [{"lookup": "[" * 10**6}] * 100}}]}),
        b"+++\n" + b"a." * 8_000 + b"a = 1\n+++\nModel\n",
        b"+++\n" + b"[[a]]\n" * 2_000 + b"+++\nModel\n",
        sheet(PLAIN, "Model," + "x" * 10**6 + "\n" + "," * 10**6 + "\n"),
    ],
)
def test_hostile_bytes_take_little_time(content: bytes) -> None:
    started = time.perf_counter()
    for name in ("langfuse", "lobehub", "portkey", "mapped"):
        try:
            read(content, name, file="acme.json")
        except InputDataError:
            continue
    assert time.perf_counter() - started < 10


# --- real snapshots ------------------------------------------------------------------------------------------------

real = pytest.mark.skipif(not RAW.is_dir(), reason=f"no real snapshots beside the repository ({RAW.name} is absent)")


@real
def test_real_portkey_excerpt() -> None:
    content = (RAW / "usage_formats/portkey_pricing_deepseek_excerpt.json").read_bytes()
    assert quotes(read(content, "portkey", file="deepseek.json")) == [
        ("deepseek", "deepseek-chat", "cache_read", "standard", 0, None, "0.0000028"),
        ("deepseek", "deepseek-chat", "cache_write", "standard", 0, None, "0"),
        ("deepseek", "deepseek-chat", "input", "standard", 0, None, "0.000028"),
        ("deepseek", "deepseek-chat", "output", "standard", 0, None, "0.000042"),
        ("deepseek", "deepseek-v4-pro", "cache_read", "standard", 0, None, "0.00000145"),
        ("deepseek", "deepseek-v4-pro", "cache_write", "standard", 0, None, "0"),
        ("deepseek", "deepseek-v4-pro", "input", "standard", 0, None, "0.000174"),
        ("deepseek", "deepseek-v4-pro", "output", "standard", 0, None, "0.000348"),
    ]
    with pytest.raises(InputDataError, match=r"PROVIDER\.json"):
        read(content, "portkey", file="portkey_pricing_deepseek_excerpt.json")


@real
def test_real_langfuse_excerpt() -> None:
    content = (RAW / "usage_formats/langfuse_default_model_prices_excerpt.json").read_bytes()
    parsed = read(content, "langfuse").checked(where="langfuse")
    assert quotes(parsed) == [
        ("openai", "gpt-4o", "cache_read", "standard", 0, None, "0.00000125"),
        ("openai", "gpt-4o", "input", "standard", 0, None, "0.0000025"),
        ("openai", "gpt-4o", "output", "standard", 0, None, "0.00001"),
    ]
    assert reasons(parsed) == [
        ("/0/pricingTiers/0/prices/input_cache_read", "repeats_another_field"),
        ("/1/matchPattern", "no_provider"),
    ]
