"""What a look could not read: the prices that each reject may hide, and how a fixing and its reports say so."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from test_adapters import fixture, read, tar

from tokenindex.changes import Changes
from tokenindex.cli import main
from tokenindex.constituents import _NO_QUOTE
from tokenindex.home import Home
from tokenindex.looks import Spots
from tokenindex.recompute import NO_QUOTE
from tokenindex.tables import OBSERVATIONS, UNREAD

Said = list[tuple[str | None, ...]]
GOOD: dict[str, Any] = {"id": "good", "provider": "acme", "cost": {"input": 1}}
MAPPED = (
    fixture("mapped.txt").partition(b"Model;Mode")[0]
    + b"Model;Mode;Region;Longer than;Up to;Input;Output;Since;Notes\n"
)
WATCH = b"model_id,provider,date,event,source,input_per_mtok,output_per_mtok,cached_input_per_mtok\n"


def text(found: object) -> bytes:
    return json.dumps(found).encode()


def litellm(**models: Any) -> bytes:
    return text({name: {"litellm_provider": "acme", **fields} for name, fields in models.items()})


CASES: dict[str, tuple[str, bytes, Said]] = {
    "litellm": (
        "litellm",
        text(
            {
                "sample_spec": {},
                "none": 3,
                "nobody": {"input_cost_per_token": 1},
                "one": {"litellm_provider": "acme", "input_cost_per_token": "dear", "output_cost_per_token": 1},
                "two": {"litellm_provider": "acme", "cost_per_token": 1, "input_dbu_cost_per_token": 1},
                "twice": {
                    "litellm_provider": "acme",
                    "cache_read_input_token_cost": 1,
                    "input_cost_per_token_cache_hit": 1,
                },
                "hours": {"litellm_provider": "acme", "off_peak_pricing": {"hours_utc": "noon"}},
            }
        ),
        [
            (None, "none", None, "not_an_object"),
            (None, "nobody", None, "no_provider"),
            ("acme", "hours", None, "not_a_time_window"),
            ("acme", "one", "input", "not_a_price"),
            ("acme", "two", None, "unknown_field"),
        ],
    ),
    "a bracket": (
        "litellm",
        litellm(
            one={
                "tiered_pricing": [
                    {"input_cost_per_token": 1, "range": [0, 5]},
                    {"input_cost_per_token": 2, "range": [9, 5]},
                    {"output_cost_per_token": 3, "range": ["all", 5]},
                ]
            }
        ),
        [("acme", "one", "input", "empty_bracket"), ("acme", "one", "output", "not_a_context_length")],
    ),
    "brackets that overlap": (
        "litellm",
        litellm(one={"tiered_pricing": [{"input_cost_per_token": n, "range": [n, 9]} for n in (1, 2)]}),
        [("acme", "one", "input", "overlapping_brackets")],
    ),
    "openrouter-models": (
        "openrouter-models",
        text(
            {
                "data": [
                    {"pricing": {}},
                    {"id": "one"},
                    {"id": "two", "pricing": {"prompt": "?", "smell": "1"}},
                    {"id": "three", "pricing": {"completion": "1", "overrides": [{"weekday": 1, "prompt": "2"}]}},
                ]
            }
        ),
        [
            ("openrouter", None, None, "no_model"),
            ("openrouter", "one", None, "no_pricing"),
            ("openrouter", "three", None, "unknown_field"),
            ("openrouter", "two", None, "unknown_field"),
            ("openrouter", "two", "input", "not_a_price"),
        ],
    ),
    "openrouter-endpoints": (
        "openrouter-endpoints",
        text(
            {
                "data": {
                    "id": "one",
                    "endpoints": [
                        {"pricing": {}},
                        {"tag": "h"},
                        {"tag": "k", "pricing": {"prompt": "1", "discount": 7}, "quantization": 8},
                        {"tag": "m", "pricing": {"prompt": []}},
                        {"tag": "n", "pricing": {"prompt": "1"}},
                        {"tag": "n", "pricing": {"prompt": "2"}},
                    ],
                }
            }
        ),
        [
            (None, "one", None, "no_provider"),
            ("h", "one", None, "no_pricing"),
            ("m", "one", "input", "not_a_price"),
            ("n", "one", None, "contradicts_another_row"),
        ],
    ),
    "genai-prices": (
        "genai-prices",
        text(
            [
                7,
                {"id": "empty"},
                {
                    "id": "acme",
                    "models": [
                        {},
                        {"id": "one", "prices": {"input_mtok": "?", "output_mtok": {"base": 1, "tiers": [4]}}},
                        {"id": "two", "prices": [{"prices": {"input_mtok": 1}, "constraint": {"moon": "full"}}]},
                        {"id": "three", "prices": [{"prices": {"input_mtok": n}} for n in (1, 2)]},
                    ],
                },
            ]
        ),
        [
            (None, None, None, "no_provider"),
            ("acme", None, None, "no_model"),
            ("acme", "one", "input", "not_a_price"),
            ("acme", "one", "output", "not_an_object"),
            ("acme", "two", None, "unknown_constraint"),
            ("empty", None, None, "no_provider"),
        ],
    ),
    "pi-ai": (
        "pi-ai",
        text(
            {
                "g": {
                    "a": GOOD,
                    "b": {**GOOD, "id": 3},
                    "c": {**GOOD, "provider": ""},
                    "d": {**GOOD, "id": "pictures", "type": "image"},
                    "e": {**GOOD, "id": "free", "cost": {"input": 1, "cacheRead": 0}},
                    "f": {**GOOD, "id": "bare", "cost": None},
                    "g": {**GOOD, "id": "odd", "cost": {"input": 1, "tiers": [{"input": 2, "inputTokensAbove": "x"}]}},
                }
            }
        ),
        [
            (None, "good", None, "no_provider"),
            ("acme", None, None, "no_model"),
            ("acme", "bare", None, "no_pricing"),
            ("acme", "free", "cache_read", "zero_is_unknown"),
            ("acme", "odd", "input", "not_a_context_length"),
        ],
    ),
    "langfuse": (
        "langfuse",
        text(
            [
                {"matchPattern": "^(acme/)?x$"},
                {"modelName": "one", "matchPattern": "x"},
                {"modelName": "two", "matchPattern": "^(acme/)?x$", "prices": {"input": "?", "total": 2}},
                {"modelName": "three", "matchPattern": "^(acme/)?x$", "prices": {"output": 1, "output_tokens": 2}},
                {"modelName": "four", "matchPattern": "^(acme/)?x$", "prices": {"output": 1, "output_tokens": 1}},
            ]
        ),
        [
            (None, "one", None, "no_provider"),
            ("acme", None, None, "no_model"),
            ("acme", "three", "output", "contradicts_another_field"),
            ("acme", "two", None, "no_component"),
            ("acme", "two", "input", "not_a_price"),
        ],
    ),
    "lobehub": (
        "lobehub",
        text(
            [
                {"providerId": "acme"},
                {"id": "one", "pricing": {"input": 1}},
                {"id": "two", "providerId": "acme", "pricing": {"currency": "Euro", "input": 1}},
                {"id": "three", "providerId": "acme", "pricing": {"input": 1, "smell": 2}},
                {"id": "four", "providerId": "acme", "pricing": {"input": 1}},
                {"id": "four", "providerId": "acme", "pricing": {"input": 2}},
                {"id": "five", "providerId": "acme", "pricing": {"input": 1}},
                {"id": "five", "providerId": "acme", "pricing": {"input": 1}},
            ]
        ),
        [
            (None, "one", None, "no_provider"),
            ("acme", None, None, "no_model"),
            ("acme", "four", "input", "contradicts_another_row"),
            ("acme", "three", None, "unknown_field"),
            ("acme", "two", None, "unknown_currency"),
        ],
    ),
    "mapped": (
        "mapped",
        MAPPED
        + b"one;Online;eu;0;;1;dear;1.6.2026;\ntwo;Turbo;eu;0;;1;1;1.6.2026;\n;Online;eu;0;;1;1;1.6.2026;\n"
        + b"three;Online;eu;0;;1;;1.6.2026;\nthree;Online;eu;0;;2;;1.6.2026;\n",
        [
            ("acme", None, None, "no_model"),
            ("acme", "one", "output", "not_a_price"),
            ("acme", "three", "input", "contradicts_another_row"),
            ("acme", "two", None, "unknown_service_tier"),
        ],
    ),
    "modelpricewatch": (
        "modelpricewatch",
        WATCH
        + b"one,Acme,2026-07-01,baseline,,?,1,\n,Acme,2026-07-01,baseline,,1,1,\ntwo,,2026-07-01,baseline,,1,1,\n"
        + b"three,Acme,2026-07-01,party,,1,1,\nfour,Acme,2026-07-01,baseline,,1,1,\nfour,Acme,2026-07-01,baseline,,1,2,\n",
        [
            (None, "two", None, "no_provider"),
            ("Acme", None, None, "no_model"),
            ("Acme", "four", "output", "contradicts_another_row"),
            ("Acme", "one", "input", "not_a_price"),
            ("Acme", "three", None, "unknown_event"),
        ],
    ),
    "models-dev": (
        "models-dev",
        gzip.compress(
            tar(
                {
                    "providers/acme/models/a/one.toml": b"[cost]\ninput = 'dear'\noutput = 2\n",
                    "providers/acme/models/two.toml": b"[cost\n",
                    "providers/acme/models/three.toml": b"[cost]\ninput = 1\n[experimental.modes.slow.cost]\ninput = 1\n",
                    "providers/acme/logo.toml": b"[broken\n",
                },
                {"providers/acme/models/four.toml": "../../../../etc/passwd"},
            )
        ),
        [
            ("acme", "a/one", "input", "not_a_price"),
            ("acme", "four", None, "unresolvable_link"),
            ("acme", "three", None, "unknown_service_tier"),
            ("acme", "two", None, "not_toml"),
        ],
    ),
}


def said(frame: pl.DataFrame) -> Said:
    return frame.select("provider", "model", "component", "reason").rows()


@pytest.mark.parametrize("case", CASES)
def test_a_reject_names_the_prices_that_it_may_hide(case: str) -> None:
    name, content, expected = CASES[case]
    parsed = read(content, name).checked(where=name)
    found = sorted(said(parsed.unread), key=lambda row: tuple(cell or "" for cell in row))
    assert found == sorted(expected, key=lambda row: tuple(cell or "" for cell in row))
    assert parsed.unread["source"].unique().to_list() == [f"the {name}"]
    assert parsed.unread.join(parsed.sightings, on=["source", "capture", "known_at"], how="anti").is_empty()
    assert parsed.unread.join(parsed.rejects, on=["reason", "locator"], how="anti").is_empty()


def test_portkey_names_the_model_of_a_bracket() -> None:
    cents = {"pricing_config": {"pay_as_you_go": {"request_token": {"price": 1}}}}
    entries = {
        "default": {},
        "one-gt-128k": {"pricing_config": {"pay_as_you_go": {"request_token": {"price": "dear"}}}},
        "one-lte-128k": cents,
        "two": 2,
        "three": {"pricing_config": {"pay_as_you_go": {"image_token": {"price": 1}}, "currency": "CNY"}},
    }
    parsed = read(text(entries), "portkey", file="acme.json")
    assert said(parsed.unread) == [
        ("acme", "one", "input", "not_a_price"),
        ("acme", "two", None, "not_an_object"),
        ("acme", "three", None, "unknown_currency"),
    ]


def test_what_names_no_list_may_be_of_any_list_that_was_seen() -> None:
    row = {"provider": "p", "model_id": "m", "hyperscaler": "direct", "input_per_1k": 1, "fetched_at": "2026-08-19"}
    rows: list[Any] = [{**row, "source": name} for name in ("litellm", "openrouter")]
    rows += [{**row, "source": ""}, {**row, "model_id": "n", "source": "litellm", "input_per_1k": "dear"}, 7]
    unread = read(text(rows), "token-price-index").unread
    listed = [f"the token-price-index/{name}" for name in ("litellm", "openrouter")]
    assert sorted(unread.select("source", "provider", "model", "component", "reason").rows(), key=str) == sorted(
        [
            *((source, "direct/p", "m", None, "no_source") for source in listed),
            (listed[0], "direct/p", "n", "input", "not_a_price"),
            *((source, None, None, None, "not_an_object") for source in listed),
        ],
        key=str,
    )


def test_an_empty_snapshot_could_read_nothing() -> None:
    parsed = read(b"{}", "litellm")
    assert said(parsed.unread) == [(None, None, None, "empty_snapshot")]
    assert parsed.sightings["complete"].to_list() == [False]


def test_offers_that_the_same_looks_could_not_read_are_one_spot() -> None:
    offers = [("s", "p", "m", "input"), ("s", "p", "m", "output"), ("s", "p", "n", "input"), ("s", "q", "n", "input")]
    offers.append(("t", "p", "m", "input"))
    names = ("source", "provider", "model", "component")
    unread = [("s", "p", None, None, "a"), ("s", None, "n", None, "b"), ("s", "p", "m", "output", "c")]
    moment = datetime(2026, 8, 1, tzinfo=UTC)
    facts = {"reason": "", "locator": "", "known_at": moment}
    rows = [dict(zip((*names, "capture"), row, strict=True)) | facts for row in unread]
    seen = [dict(zip(names, row, strict=True)) for row in offers]
    spots = Spots.of(OBSERVATIONS.frame(seen), UNREAD.frame(rows))
    looks = {
        offer[:4]: sorted(spots.blind.filter(spot=offer[4])["capture"])
        for offer in spots.offers.select(*names, "spot").rows()
    }
    assert looks == {offers[0]: ["a"], offers[1]: ["a", "c"], offers[2]: ["a", "b"], offers[3]: ["b"]}


# --- from bytes to the reports ---


MODEL = "claude-opus-4-8"


def ingest(home: Home, day: int, name: str, **fields: Any) -> None:
    """Ingest a whole list of LiteLLM, seen early on a day of June."""
    moment = datetime(2026, 6, 1, 1, tzinfo=UTC) + timedelta(days=day - 1)
    path = home.path.parent / name
    others = {"claude-opus-4-7": {"litellm_provider": "anthropic", "input_cost_per_token": 0.000005}}
    path.write_bytes(text({**others, MODEL: {"litellm_provider": "anthropic", **fields}}))
    home.ingest(path, adapter_name="litellm", source="litellm", seen_at=moment, known_at=moment)


@pytest.fixture
def watched(empty: Home) -> Home:
    """A home in which a list is read on 8 June whole, and on the 10th with a price that is no number."""
    price = 0.000025
    ingest(empty, 8, "first.json", input_cost_per_token=0.000005, output_cost_per_token=price)
    ingest(empty, 10, "second.json", input_cost_per_token=0.000005, output_cost_per_token="ask us")
    return empty


def answer(home: Home, command: str, day: int, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    main([command, "anthropic-output", "--home", str(home.path), "--date", f"2026-06-{day:02}", *words])
    return capsys.readouterr().out


def test_an_unreadable_price_stays_in_use_and_is_reported(watched: Home, capsys: pytest.CaptureFixture[str]) -> None:
    line = (
        "not_a_price  anthropic/claude-opus-4.8  output     litellm  0.000025 USD per_token  2026-06-08  2026-06-10  "
    )
    where = f"/{MODEL}/output_cost_per_token"
    out = answer(watched, "check", 12, capsys)
    assert "unread      1 prices in force that the last look at their source could not read\n" in out
    assert line + where in out
    out = answer(watched, "explain", 12, capsys, "--constituent", "anthropic/claude-opus-4.8")
    assert line + where in out
    found = json.loads(answer(watched, "explain", 12, capsys, "--constituent", "anthropic/claude-opus-4.8", "--json"))
    assert [(r["component"], r["excluded_by"]) for r in found["observations"]] == [
        ("input", "component_not_used"),
        ("output", None),
    ]
    assert [(r["model"], r["reason"], r["expired"]) for r in found["unread"]] == [(MODEL, "not_a_price", False)]
    assert "unread      0 prices" in answer(watched, "check", 9, capsys)


def test_an_unreadable_price_ages_as_if_nobody_had_looked(watched: Home, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--constituent", "anthropic/claude-opus-4.8", "--json")
    reasons = {
        day: [r["excluded_by"] for r in json.loads(answer(watched, "explain", day, capsys, *words))["observations"]]
        for day in (15, 16, 17)
    }
    # seven days after the 8th, which is the last that read it; the source itself was seen on the 10th
    used = "component_not_used"
    assert reasons == {15: [used, None], 16: [used, "unreadable"], 17: [used, "unreadable"]}
    assert "1 of them for more than 7 days" in answer(watched, "check", 16, capsys)
    assert "not_a_price, expired" in answer(watched, "check", 16, capsys)


def test_a_price_that_is_gone_from_a_readable_list_is_withdrawn(
    watched: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    ingest(watched, 11, "third.json", input_cost_per_token=0.000005)
    words = ("--constituent", "anthropic/claude-opus-4.8", "--json")
    found = json.loads(answer(watched, "explain", 12, capsys, *words))["observations"]
    assert [r["excluded_by"] for r in found] == ["component_not_used", "withdrawn"]
    assert "unread      0 prices" in answer(watched, "check", 12, capsys)


def test_guards_and_selection_agree_on_what_is_gone(watched: Home) -> None:
    # the output of 8 June: no later look replaces it until one could read that it is not there
    def ended(day: int) -> list[datetime | None]:
        inputs, until = Home.open(watched.path).inputs(), datetime(2026, 6, day, tzinfo=UTC)
        changes = Changes(inputs, None, until).bare
        mine = inputs.quotes.filter(model=MODEL, component="output")["row"]
        return changes.filter(pl.col("row").is_in(mine.implode()))["end"].to_list()

    assert ended(12) == [None]
    ingest(watched, 11, "third.json", input_cost_per_token=0.000005)
    assert ended(12) == [datetime(2026, 6, 11, 1, tzinfo=UTC)]


def test_a_home_gives_what_could_not_be_read(watched: Home) -> None:
    assert said(Home.open(watched.path).inputs().unread) == [("anthropic", MODEL, "output", "not_a_price")]


def test_the_second_verifier_knows_every_reason_that_makes_a_row_no_quote() -> None:
    assert set(NO_QUOTE) == set(_NO_QUOTE)
