"""The adapter contract, one suite for all, and the rows of each hand-made fixture written out by hand."""

from __future__ import annotations

import copy
import csv
import gzip
import io
import json
import random
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tokenindex.adapters import Capture, Parsed, adapter, adapters, models_dev
from tokenindex.adapters.genai_prices import from_package
from tokenindex.adapters.reading import exact_decimals, load_csv
from tokenindex.adapters.rows import overlapping
from tokenindex.errors import AdapterError, InputDataError
from tokenindex.exact import parse_decimal
from tokenindex.tables import OBSERVATIONS, VOLUMES

FIXTURES = Path(__file__).parent / "fixtures"
RAW = Path(__file__).parents[2] / "shared/data/raw"
SEEN = datetime(2026, 8, 21, 12, tzinfo=UTC)
KNOWN = datetime(2026, 8, 21, 13, tzinfo=UTC)
TOML_NAME = "excerpts/providers__acme__models__vendor__one.toml"
GOOD = {
    "source": "s",
    "provider": "p",
    "model": "m",
    "component": "input",
    "service_tier": "standard",
    "region": "",
    "context_from": "0",
    "price": "1",
    "currency": "USD",
    "unit": "per_token",
    "tax": "unknown",
    "valid_from": "2026-06-01",
    "date_kind": "declared",
    "known_at": "2026-06-01",
}


def fixture(name: str) -> bytes:
    return (FIXTURES / name).read_bytes()


def read(content: bytes, name: str, *, file: str = "") -> Parsed:
    facts = {"name": file or name, "adapter": name, "source": f"the {name}", "seen_at": SEEN, "known_at": KNOWN}
    capture = Capture.of(content, licence="MIT", reference="https://example.org", **facts)
    return adapter(name).parse(content, capture)


def tar(members: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return stream.getvalue()


def zipped(content: bytes) -> bytes:
    return zipped_as({"eurofxref-hist.csv": content})


def zipped_as(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def parquet(frame: pl.DataFrame) -> bytes:
    stream = io.BytesIO()
    frame.write_parquet(stream)
    return stream.getvalue()


ARCHIVE = tar(
    {
        "models/acme/one.toml": b"name = 'metadata only'\n",
        "providers/acme/provider.toml": b"name = 'Acme'\n",
        "providers/acme/models/vendor/one.toml": fixture("models_dev.toml"),
        "./providers/acme/models/free.toml": b"name = 'no cost'",
        "providers/acme/models/bad.toml": b"[cost\n",
        "providers/acme/models/older.toml": b"[cost]\ninput = 3\n[cost.context_over_200k]\ninput = 6\n",
    },
    {
        "providers/bolt/models/older.toml": "../../acme/models/older.toml",
        "providers/bolt/models/out.toml": "../../../../etc/passwd",
        "providers/bolt/models/round.toml": "round.toml",
        "providers/bolt/models/root.toml": "/providers/acme/models/older.toml",
    },
)


@dataclass(frozen=True)
class Case:
    adapter: str
    content: bytes
    empty: bytes
    file: str = ""

    def __str__(self) -> str:
        return f"{self.adapter}-{self.content[:4]!r}"


def header_of(name: str) -> bytes:
    return fixture(name).partition(b"\n")[0] + b"\n"


MAPPED_HEAD, MAPPED_TABLE = fixture("mapped.txt").removeprefix(b"+++\n").split(b"+++\n")
MAPPED_EMPTY = MAPPED_TABLE.partition(b"\n")[0] + b"\n"
CASES = [
    Case("litellm", fixture("litellm.json"), b"{}"),
    Case("models-dev", gzip.compress(ARCHIVE), gzip.compress(tar({})), "models.tar.gz"),
    Case("models-dev", fixture("models_dev.toml"), b"name = 'x'\n", TOML_NAME),
    Case("genai-prices", fixture("genai_prices.json"), b"[]"),
    Case("openrouter-models", fixture("openrouter_models.json"), b'{"data":[]}'),
    Case("openrouter-rankings", fixture("openrouter_rankings.json"), b'{"data":[]}'),
    Case("openrouter-rankings", fixture("openrouter_rankings.csv"), header_of("openrouter_rankings.csv")),
    Case("openrouter-endpoints", fixture("openrouter_endpoints.json"), b'{"data":{"id":"acme/one","endpoints":[]}}'),
    Case("openrouter-endpoints", b"[" + fixture("openrouter_endpoints.json") + b"]", b"[]"),
    Case("modelpricewatch", fixture("modelpricewatch.csv"), header_of("modelpricewatch.csv")),
    Case("pi-ai", fixture("pi_ai.json"), b"{}"),
    Case("token-price-index", fixture("token_price_index.json"), b"[]"),
    Case("portkey", fixture("portkey.json"), b"{}", "acme.json"),
    Case("langfuse", fixture("langfuse.json"), b"[]"),
    Case("lobehub", fixture("lobehub.json"), b'{"provider": "acme", "models": []}'),
    Case("mapped", fixture("mapped.txt"), fixture("mapped.txt").removesuffix(MAPPED_TABLE) + MAPPED_EMPTY),
    Case(
        "mapped",
        zipped_as({"mapping.toml": MAPPED_HEAD, "table.csv": MAPPED_TABLE}),
        zipped_as({"mapping.toml": MAPPED_HEAD, "table.csv": MAPPED_EMPTY}),
    ),
    Case("ecb", fixture("eurofxref.csv"), header_of("eurofxref.csv")),
    Case("ecb", fixture("eurofxref_hist.csv"), header_of("eurofxref_hist.csv")),
    Case("ecb", zipped(fixture("eurofxref_hist.csv")), zipped(header_of("eurofxref_hist.csv"))),
    *(
        Case(name, fixture(f"{name}.csv"), header_of(f"{name}.csv"))
        for name in ("prices", "volumes", "sightings", "rates", "judgments")
    ),
    Case("openai-usage", fixture("openai_usage.json"), b'{"data":[]}'),
    Case("openai-costs", fixture("openai_costs.json"), b'{"data":[]}'),
    Case("anthropic-usage", fixture("anthropic_usage.json"), b'{"data":[]}'),
    Case("anthropic-costs", fixture("anthropic_costs.json"), b'{"data":[]}'),
    Case("litellm-spend", fixture("litellm_spend.json"), b"[]"),
    Case("litellm-spend", fixture("litellm_daily.csv"), header_of("litellm_daily.csv")),
    Case("langfuse-observations", fixture("langfuse.jsonl"), b"[]"),
    Case("helicone", fixture("helicone.jsonl"), b"[]"),
    Case("otel-genai", fixture("otel_spans.json"), b'{"resourceSpans":[]}'),
    Case("otel-genai", fixture("otel_metrics.json"), b'{"resourceMetrics":[]}'),
    Case("otel-genai", fixture("otel_flat.jsonl"), b"[]"),
    Case("focus", fixture("focus.csv"), header_of("focus.csv")),
    Case("azure-trace", fixture("azure_trace.csv"), header_of("azure_trace.csv")),
    Case("mooncake-trace", fixture("mooncake.jsonl"), header_of("mooncake.jsonl")),
    Case("market-shares", fixture("market_shares.csv"), header_of("market_shares.csv")),
    Case(
        "prices",
        parquet(read(fixture("prices.csv"), "prices").observations.drop("capture", "locator")),
        parquet(OBSERVATIONS.empty().drop("capture", "locator")),
    ),
]
NAMES = sorted({case.adapter for case in CASES})


def rows_of(parsed: Parsed) -> set[tuple[Any, ...]]:
    """The rows of all tables but the sighting of the snapshot and the digest of the bytes."""
    return {
        (table.name, *row)
        for table, frame in parsed.tables().items()
        if table.name in ("OBSERVATIONS", "VOLUMES", "RATES")
        for row in frame.drop("capture").iter_rows()
    }


def reasons(parsed: Parsed) -> list[tuple[str, str]]:
    return sorted(parsed.rejects.select("locator", "reason").rows())


def counted(parsed: Parsed) -> dict[str, int]:
    return dict(parsed.rejects["reason"].value_counts().sort("reason").iter_rows())


# --- the contract, for every adapter -------------------------------------------------------------------------------


def test_every_adapter_of_the_entry_points_has_a_case() -> None:
    assert sorted(adapters()) == NAMES
    assert {name: found.name for name, found in adapters().items()} == {name: name for name in NAMES}


@pytest.mark.parametrize("case", CASES, ids=str)
class TestContract:
    def test_tables_keep_their_definition_and_say_where_each_row_stood(self, case: Case) -> None:
        parsed = read(case.content, case.adapter, file=case.file)
        parsed.checked(where=case.adapter)
        digest = Capture.of(case.content, name="", adapter="", source="", seen_at=SEEN, known_at=KNOWN).sha256
        filled = set()
        for table, frame in parsed.tables().items():
            assert frame["capture"].unique().to_list() in ([], [digest])
            if table.name != "SIGHTINGS" or case.adapter == "sightings":
                assert not (frame["locator"] == "").any()
            filled |= {table.name} if frame.height and table.name not in ("REJECTS", "UNREAD") else set()
        assert filled == set(adapter(case.adapter).gives)

    def test_same_bytes_give_the_same_frames(self, case: Case) -> None:
        first, second = (read(case.content, case.adapter, file=case.file).tables() for _ in range(2))
        assert all(frame.equals(second[table]) for table, frame in first.items())

    def test_valid_and_empty_gives_no_rows_and_withdraws_nothing(self, case: Case) -> None:
        parsed = read(case.empty, case.adapter, file=case.file)
        parsed.checked(where=case.adapter)
        assert rows_of(parsed) == set()
        assert not parsed.sightings["complete"].any()
        assert parsed.rejects["reason"].to_list() == ["empty_snapshot"]

    @pytest.mark.parametrize(
        "content",
        [b"", b" \n", b"\x00" * 40, b"\xff\xfe\x00garbage", b"<html></html>", b"PAR1", b"PK\x03\x04", b"\x1f\x8b\x08"],
    )
    def test_what_is_no_such_file_is_a_typed_error(self, case: Case, content: bytes) -> None:
        with pytest.raises(InputDataError) as caught:
            read(content, case.adapter, file=case.file)
        assert caught.value.found and caught.value.expected and caught.value.remedy and caught.value.where

    def test_a_truncated_file_never_gives_a_row_that_the_whole_file_does_not(self, case: Case) -> None:
        whole, size = rows_of(read(case.content, case.adapter, file=case.file)), len(case.content)
        for cut in sorted({*range(0, size, max(1, size // 40)), size - 1}):
            try:
                parsed = read(case.content[:cut], case.adapter, file=case.file)
            except InputDataError:
                continue
            # a bracket that is cut off leaves the one before it without an end
            assert _without_ends(rows_of(parsed)) <= _without_ends(whole) or _smaller(rows_of(parsed), whole)

    def test_damaged_bytes_give_rows_or_a_typed_error(self, case: Case) -> None:
        dice = random.Random(case.adapter)
        content = ARCHIVE if case.file.endswith("gz") else case.content
        for _ in range(60):
            damaged = bytearray(content)
            for _ in range(dice.choice((1, 1, 3))):
                damaged[dice.randrange(len(damaged))] = dice.randrange(256)
            packed = gzip.compress(damaged, 1) if case.file.endswith("gz") else bytes(damaged)
            _rows_or_typed_error(packed, case)


TEXT_CASES = [case for case in CASES if case.content[:2] not in (b"PA", b"PK", b"\x1f\x8b")]


@pytest.mark.parametrize("case", TEXT_CASES, ids=str)
def test_another_encoding_is_a_typed_error(case: Case) -> None:
    latin = case.content.replace(b"a", "ä".encode("latin-1"), 1)
    for content in (latin, case.content.decode().encode("utf-16")):
        with pytest.raises(InputDataError):
            read(content, case.adapter, file=case.file)


@pytest.mark.parametrize("case", TEXT_CASES, ids=str)
def test_line_ends_of_another_system_change_nothing(case: Case) -> None:
    other = read(case.content.replace(b"\n", b"\r\n"), case.adapter, file=case.file)
    assert rows_of(other) == rows_of(read(case.content, case.adapter, file=case.file))


def _without_ends(rows: set[tuple[Any, ...]]) -> set[tuple[Any, ...]]:
    place = 1 + OBSERVATIONS.schema.names().index("context_to")
    return {row[:place] + row[place + 1 :] if row[0] == "OBSERVATIONS" else row for row in rows}


def _smaller(some: set[tuple[Any, ...]], whole: set[tuple[Any, ...]]) -> bool:
    """Return whether `some` are volumes of the same series as `whole` and count no more.

    A file of lines that ends at a line end is whole as far as anybody can see, and a row is a sum over its lines.
    """
    place, columns = 1 + VOLUMES.schema.names().index("tokens"), {name for name, *_ in some}
    counted = {row[1:place]: row[place] or 0 for row in whole if row[0] == "VOLUMES"}
    return columns <= {"VOLUMES"} and all((row[place] or 0) <= counted.get(row[1:place], -1) for row in some)


def _rows_or_typed_error(content: bytes, case: Case) -> Parsed | None:
    try:
        return read(content, case.adapter, file=case.file)
    except InputDataError:
        return None


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:
        return False
    return True


JSON_CASES = [case for case in CASES if _is_json(case.content)]
MAGIC = [
    b"",
    b"{",
    b"[",
    b"PAR1",
    b"PK\x03\x04",
    b"\x1f\x8b\x08\x00",
    b"Date,USD\n",
    b"date,model_permaslug,total_tokens\n",
    b'{"data":[{',
    b'{"timestamp": 0}\n',
    b"date,model,share\n",
]
quick = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=4),
    st.sampled_from(["1e-7", "\ud800", "2026-02-30", "9999-12-31T23:59:59-23:00", 10**40, 10**13, "00:00:00Z", "-1"]),
)
trees = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner), max_leaves=6
)


@pytest.mark.parametrize("case", CASES, ids=str)
@quick
@given(start=st.sampled_from(MAGIC), rest=st.binary(max_size=60))
def test_random_bytes_never_raise_anything_else(case: Case, start: bytes, rest: bytes) -> None:
    _rows_or_typed_error(start + rest, case)


@pytest.mark.parametrize("case", JSON_CASES, ids=str)
@quick
@given(tree=trees, seed=st.integers(0, 10**6), times=st.integers(1, 3))
def test_random_json_in_any_place_never_raises_anything_else(case: Case, tree: Any, seed: int, times: int) -> None:
    dice, root = random.Random(seed), [json.loads(case.content)]
    for _ in range(times):
        holder, key = dice.choice(list(_places(root)))
        holder[key] = copy.deepcopy(tree)
    parsed = _rows_or_typed_error(json.dumps(root[0], default=str).encode(), case)
    if parsed is not None and seed % 10 == 0:
        parsed.checked(where="random JSON")


def _places(tree: Any) -> Any:
    for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
        yield tree, key
        if isinstance(tree[key], dict | list):
            yield from _places(tree[key])


@pytest.mark.parametrize("case", JSON_CASES, ids=str)
@pytest.mark.parametrize(
    "content", [b"[" * 50_000, b'{"a":' * 50_000, b"[" * 65 + b"]" * 65, b'["\\ud800"]', b'{"data":["\\udfff"]}']
)
def test_deep_nesting_and_half_characters_are_typed_errors(case: Case, content: bytes) -> None:
    with pytest.raises(InputDataError):
        read(content, case.adapter)


# --- the rows of each fixture, by hand -----------------------------------------------------------------------------

Quote = tuple[str, str, str, str, int, int | None, str]


def quotes(parsed: Parsed) -> list[Quote]:
    columns = ["provider", "model", "component", "service_tier", "context_from", "context_to", "price"]
    return sorted((*row[:6], f"{row[6].normalize():f}") for row in parsed.observations.select(columns).iter_rows())


def test_litellm() -> None:
    parsed = read(fixture("litellm.json"), "litellm")
    one = ("acme", "acme-1")
    assert quotes(parsed) == [
        (*one, "cache_read", "standard", 0, None, "0.0000003"),
        (*one, "cache_write", "standard", 0, None, "0.00000375"),
        (*one, "cache_write_1h", "standard", 0, None, "0.000006"),
        (*one, "input", "batch", 0, None, "0.0000015"),
        (*one, "input", "priority", 0, 200_000, "0.0000060000000000000001"),
        (*one, "input", "priority", 200_000, None, "0.000012"),
        (*one, "input", "standard", 0, 200_000, "0.000003"),
        (*one, "input", "standard", 200_000, None, "0.000006"),
        (*one, "output", "standard", 0, None, "0.000015"),
        ("bolt", "bolt/tiers", "cache_read", "standard", 0, 128_000, "0.00000001"),
        ("coal", "coal", "input", "standard", 0, None, "-1"),
        ("coal", "coal", "input", "standard", 0, None, "0"),
    ]
    assert reasons(parsed) == [
        ("/acme-1/cache_creation_input_token_cost_above_12hr", "unknown_field"),
        ("/acme-1/input_cost_per_token_cache_hit", "repeats_another_field"),
        ("/bolt~1tiers/tiered_pricing/0/input_cost_per_token", "overlapping_brackets"),
        ("/bolt~1tiers/tiered_pricing/0/output_cost_per_token", "overlapping_brackets"),
        ("/bolt~1tiers/tiered_pricing/1/input_cost_per_token", "overlapping_brackets"),
        ("/bolt~1tiers/tiered_pricing/1/output_cost_per_token", "overlapping_brackets"),
        ("/coal/input_dbu_cost_per_token", "not_money"),
        ("/coal/off_peak_pricing/windows", "weekday_window"),
        ("/coal/output_cost_per_token", "not_a_price"),
        ("/dust", "no_provider"),
        ("/echo", "not_an_object"),
        ("/sample_spec", "documentation_row"),
    ]
    hours = parsed.observations.filter(pl.col("time_from").is_not_null()).select("time_from", "time_to", "locator")
    assert hours.rows() == [("16:30:00", "00:30:00", "/coal/off_peak_pricing/input_cost_per_token")]
    first = parsed.observations.row(0, named=True)
    assert (first["source"], first["region"], first["tax"]) == ("the litellm", "", "unknown")
    assert (first["currency"], first["unit"], first["date_kind"]) == ("USD", "per_token", "first_seen")
    assert (first["valid_from"], first["valid_to"], first["known_at"]) == (SEEN, None, KNOWN)
    assert (first["licence"], first["reference"], first["alias_of"]) == ("MIT", "https://example.org", None)
    assert parsed.sightings.select("source", "seen_at", "complete").rows() == [("the litellm", SEEN, True)]


@pytest.mark.parametrize(
    ("ranges", "ends"),
    [
        ([[0, 32000.0], [32000, 128000]], [(0, 32000), (32000, 128000)]),
        ([[32000, 128000], [0, 32000]], [(0, 32000), (32000, 128000)]),
        ([[0, 32000], [16000, 128000]], "overlapping_brackets"),
        ([[0, 32000], [0, 32000]], "overlapping_brackets"),
        ([[0, 32000], None], "not_a_context_length"),
        ([[0, 32000], [128000, 64000]], "empty_bracket"),
        ([[0, 32000], [-1, 64000]], "not_a_context_length"),
    ],
)
def test_litellm_tiers(ranges: list[Any], ends: Any) -> None:
    tiers = [{"input_cost_per_token": 1e-6, "range": between} for between in ranges]
    parsed = read(json.dumps({"m": {"litellm_provider": "p", "tiered_pricing": tiers}}).encode(), "litellm")
    if isinstance(ends, str):
        assert ends in parsed.rejects["reason"]
    else:
        assert sorted(parsed.observations.select("context_from", "context_to").rows()) == ends


def test_litellm_a_second_name_that_disagrees_is_rejected() -> None:
    fields = {"litellm_provider": "p", "input_cost_per_token_cache_hit": 2e-7, "cache_read_input_token_cost": 1e-7}
    parsed = read(json.dumps({"m": fields}).encode(), "litellm")
    assert quotes(parsed) == [("p", "m", "cache_read", "standard", 0, None, "0.0000001")]
    assert reasons(parsed) == [("/m/input_cost_per_token_cache_hit", "contradicts_another_field")]


def test_a_snapshot_in_which_nothing_is_a_price_withdraws_nothing() -> None:
    assert read(b'{"m": {"input_cost_per_token": 1}}', "litellm").sightings["complete"].to_list() == [False]


ONE = [
    ("cache_read", "standard", 0, None, "0.125"),
    ("input", "fast", 0, None, "6"),
    ("input", "standard", 0, 200_000, "1.25"),
    ("input", "standard", 200_000, None, "2.5"),
    ("output", "standard", 0, None, "10"),
]
ONE_REJECTS = [
    ("#cost.cache_input", "unknown_field"),
    ("#cost.reasoning", "not_a_price"),
    ("#cost.tiers.1", "unknown_field"),
    ("#experimental.modes.slow", "unknown_service_tier"),
]


def test_models_dev_single_file() -> None:
    parsed = read(fixture("models_dev.toml"), "models-dev", file="excerpts/providers__acme__models__vendor__one.toml")
    assert quotes(parsed) == [("acme", "vendor/one", *quote) for quote in ONE]
    name = "excerpts/providers__acme__models__vendor__one.toml"
    assert reasons(parsed) == [(name + place, why) for place, why in ONE_REJECTS]
    assert parsed.observations["unit"].unique().to_list() == ["per_1m_tokens"]
    assert parsed.sightings["complete"].to_list() == [False]


def test_models_dev_archive() -> None:
    parsed = read(gzip.compress(ARCHIVE), "models-dev")
    assert quotes(parsed) == [
        ("acme", "older", "input", "standard", 0, 200_000, "3"),
        ("acme", "older", "input", "standard", 200_000, None, "6"),
        *(("acme", "vendor/one", *quote) for quote in ONE),
        ("bolt", "older", "input", "standard", 0, 200_000, "3"),
        ("bolt", "older", "input", "standard", 200_000, None, "6"),
    ]
    assert reasons(parsed) == [
        ("providers/acme/models/bad.toml", "not_toml"),
        *(("providers/acme/models/vendor/one.toml" + place, why) for place, why in ONE_REJECTS),
        ("providers/bolt/models/out.toml", "unresolvable_link"),
        ("providers/bolt/models/root.toml", "unresolvable_link"),
        ("providers/bolt/models/round.toml", "unresolvable_link"),
    ]
    assert parsed.sightings["complete"].to_list() == [True]
    assert "providers/bolt/models/older.toml#cost.input" in parsed.observations["locator"]


def test_models_dev_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = gzip.compress(b"\x00" * (models_dev.UNPACKED_MAX + 1024), 9)
    with pytest.raises(InputDataError, match="unpacks to more"):
        read(bomb, "models-dev")
    large = tar(
        {
            "providers/a/models/l.toml": b"#" * (models_dev.MEMBER_MAX + 1),
            "providers/a/models/s.toml": b"[cost]\ninput=1",
        }
    )
    parsed = read(gzip.compress(large), "models-dev")
    assert quotes(parsed) == [("a", "s", "input", "standard", 0, None, "1")]
    assert reasons(parsed) == [("providers/a/models/l.toml", "oversized_member")]
    monkeypatch.setattr(models_dev, "MEMBERS_MAX", 1)
    with pytest.raises(InputDataError, match="more than 1 members"):
        read(gzip.compress(large), "models-dev")


@pytest.mark.parametrize(
    "number", ["0x" + "f" * 9000, "inf", "1e999999999999999999", "true", "'x'", "2026-01-01", "[1]", "9" * 5000]
)
def test_models_dev_numbers_that_no_price_is(number: str) -> None:
    content = gzip.compress(tar({"providers/a/models/b.toml": f"[cost]\ninput = {number}\n".encode()}))
    parsed = read(content, "models-dev").checked(where="numbers")
    assert parsed.observations.is_empty()
    assert parsed.rejects.height == 1


UNKNOWN_START = datetime(1970, 1, 1, tzinfo=UTC)


def test_genai_prices() -> None:
    parsed = read(fixture("genai_prices.json"), "genai-prices")
    june, january = datetime(2025, 6, 10, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    columns = ["model", "component", "service_tier", "context_from", "context_to", "time_from", "time_to"]
    dates = ["valid_from", "valid_to", "date_kind"]
    found = [
        (*row[:10], f"{row[10].normalize():f}")
        for row in parsed.observations.select(*columns, *dates, "price").iter_rows()
    ]
    now = (SEEN, None, "first_seen")
    assert sorted(found, key=str) == sorted(
        [
            ("flat", "input", "standard", 0, None, None, None, *now, "3"),
            ("flat", "output", "standard", 0, None, None, None, *now, "0.1"),
            ("tiered", "input", "standard", 0, 200_000, None, None, *now, "1.25"),
            ("tiered", "input", "standard", 200_000, None, None, None, *now, "2.5"),
            ("dated", "input", "standard", 0, None, None, None, UNKNOWN_START, june, "undated", "10"),
            ("dated", "input", "standard", 0, None, None, None, june, january, "declared", "2"),
            ("dated", "input", "standard", 0, None, None, None, january, None, "declared", "4"),
            ("hours", "input", "standard", 0, None, None, None, *now, "0.135"),
            ("hours", "input", "standard", 0, None, "00:30:00", "16:30:00", *now, "0.27"),
            ("batch", "input", "standard", 0, None, None, None, *now, "8"),
            ("batch", "input", "batch", 0, None, None, None, *now, "4"),
        ],
        key=str,
    )
    assert reasons(parsed) == [
        ("/0/models/0/prices/input_tool_mtok", "unknown_field"),
        ("/0/models/4/price_variants/1", "unknown_service_tier"),
        ("/0/models/5", "no_model"),
        ("/1", "no_provider"),
    ]
    dated = parsed.observations.filter(pl.col("date_kind") == "undated")["locator"].to_list()
    assert dated == ["/0/models/2/prices/0/prices/input_mtok"]


def test_genai_prices_an_entry_that_a_later_one_hides_is_rejected() -> None:
    entries = [
        {"prices": {"input_mtok": 1}},
        {"constraint": {"start_date": "2026-09-01"}, "prices": {"input_mtok": 2}},
        {"constraint": {"start_date": "2026-05-01"}, "prices": {"input_mtok": 3}},
        {"constraint": {"start_date": "2026-02-30"}, "prices": {"input_mtok": 4}},
        {"constraint": {"phase": "moon"}, "prices": {"input_mtok": 5}},
    ]
    content = json.dumps([{"id": "p", "models": [{"id": "m", "prices": entries}]}]).encode()
    parsed = read(content, "genai-prices")
    may = datetime(2026, 5, 1, tzinfo=UTC)
    found = parsed.observations.sort("valid_from").select("valid_from", "valid_to", "date_kind").rows()
    assert found == [(UNKNOWN_START, may, "undated"), (may, None, "declared")]
    assert counted(parsed) == {"not_a_date": 1, "superseded_entry": 1, "unknown_constraint": 1}


def test_genai_prices_of_two_active_variants_the_first_wins() -> None:
    when = {"when": {"processing": "batch"}}
    variants = [
        {**when, "constraint": {"start_date": "2027-01-01"}, "prices": {"input_mtok": 2}},
        {**when, "constraint": {"start_date": "2026-10-14"}, "prices": {"input_mtok": 1}},
    ]
    model = {"id": "m", "prices": {}, "price_variants": variants}
    parsed = read(json.dumps([{"id": "p", "models": [model]}]).encode(), "genai-prices")
    october, january = datetime(2026, 10, 14, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    found = parsed.observations.select("service_tier", "price", "valid_from", "valid_to").sort("valid_from").rows()
    assert found == [("batch", Decimal(1), october, january), ("batch", Decimal(2), january, None)]


def test_genai_prices_of_the_installed_package() -> None:
    pytest.importorskip("genai_prices")
    content = from_package()
    assert content == from_package()
    parsed = read(content, "genai-prices").checked(where="package")
    claude = parsed.observations.filter((pl.col("provider") == "anthropic") & (pl.col("model") == "claude-2"))
    assert sorted(claude.select("component", "price").rows()) == [("input", Decimal(8)), ("output", Decimal(24))]
    assert parsed.observations.height > 3000
    assert parsed.rejects.height < parsed.observations.height // 100


@pytest.mark.parametrize("when", [SEEN, datetime(2026, 10, 20, 2, tzinfo=UTC), datetime(2027, 3, 1, 7, 30, tzinfo=UTC)])
def test_genai_prices_agree_with_the_package_s_own_lookup(when: datetime) -> None:
    providers = pytest.importorskip("genai_prices.data").providers
    found: dict[tuple[str, str], set[Any]] = {}
    held = read(from_package(), "genai-prices").observations.filter(
        (pl.col("valid_from") <= when) & (pl.col("valid_to").is_null() | (pl.col("valid_to") > when)),
        component="input",
        service_tier="standard",
    )
    clock = f"{when:%H:%M:%S}"
    inside = held["time_from"].is_null() | ((held["time_from"] <= clock) & (clock < held["time_to"]))
    for row in held.filter(inside).sort("time_from", nulls_last=False).iter_rows(named=True):
        brackets = found.setdefault((row["provider"], row["model"]), set())
        if row["time_from"]:  # an entry with hours overrides the one without
            brackets.clear()
        brackets.add((row["context_from"], row["price"]))
    expected = {}
    for provider in providers:
        for model in provider.models:
            price = vars(model.get_prices(when)).get("input_mtok")
            if price is not None:
                tiers = [(tier.start, tier.price) for tier in getattr(price, "tiers", [])]
                expected[provider.id, model.id] = {(0, getattr(price, "base", price)), *tiers}
    assert len(expected) > 1000
    assert found == expected


def test_genai_prices_without_the_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices.data", None)
    with pytest.raises(AdapterError, match="pip install"):
        from_package()


def test_openrouter_models() -> None:
    parsed = read(fixture("openrouter_models.json"), "openrouter-models")
    assert quotes(parsed) == [
        ("openrouter", "acme/dust", "input", "standard", 0, None, "0.0000006000000000000001"),
        ("openrouter", "acme/dust", "output", "standard", 0, None, "-1"),
        ("openrouter", "acme/long", "cache_write_1h", "standard", 0, None, "0.000002"),
        ("openrouter", "acme/long", "input", "standard", 0, 32_000, "0.00000003"),
        ("openrouter", "acme/long", "input", "standard", 32_000, 256_000, "0.0000001"),
        ("openrouter", "acme/long", "input", "standard", 256_000, None, "0.0000002"),
        ("openrouter", "acme/long", "output_image", "standard", 0, None, "0.00003"),
        ("openrouter", "acme/one", "output", "standard", 0, None, "0"),
        ("openrouter", "acme/one:batch", "input", "batch", 0, None, "0.0000003"),
        ("openrouter", "acme/one:free", "input", "free", 0, None, "0"),
        ("openrouter", "~acme/latest", "input", "standard", 0, None, "0.0000006"),
        ("openrouter", "~acme/old", "input", "standard", 0, None, "0.0000007"),
    ]
    assert reasons(parsed) == [
        ("/data/0/pricing/prompt", "not_a_price"),
        ("/data/2/pricing/overrides/2", "unknown_field"),
        ("/data/4/pricing/teleport", "unknown_field"),
        ("/data/7/pricing", "no_pricing"),
        ("/data/8", "no_model"),
    ]
    aliases = parsed.observations.filter(pl.col("alias_of").is_not_null()).select("model", "alias_of").rows()
    assert aliases == [("~acme/latest", "acme/one"), ("~acme/old", "~acme/old")]


def volumes(parsed: Parsed) -> list[tuple[Any, ...]]:
    columns = ["model", "service_tier", "period_start", "period_end", "tokens", "partial", "locator"]
    return parsed.volumes.select(columns).rows()


def test_openrouter_rankings_json() -> None:
    parsed = read(fixture("openrouter_rankings.json"), "openrouter-rankings")
    days = {day: (date(2026, 6, day), date(2026, 6, day)) for day in (25, 26, 27)}
    assert volumes(parsed) == [
        ("acme/one-20260101", "standard", *days[25], 527_459_593_282, False, "/data/0"),
        ("other", "standard", *days[25], 400, False, "/data/1"),
        ("acme/one-20260101:free", "free", *days[26], 0, False, "/data/2"),
        ("acme/one-20260101", "standard", *days[27], 9, True, "/data/3"),
        ("twice", "standard", *days[25], 5, False, "/data/4"),
    ]
    assert reasons(parsed) == [
        ("/data/10", "not_a_date"),
        ("/data/5", "repeats_another_row"),
        ("/data/6", "contradicts_another_row"),
        ("/data/7", "contradicts_another_row"),
        ("/data/8", "negative_count"),
        ("/data/9", "not_a_count"),
    ]
    row = parsed.volumes.row(0, named=True)
    assert row["known_at"] == datetime(2026, 6, 27, 7, 32, 19, 341000, tzinfo=UTC)
    assert (row["source"], row["scope"], row["provider"]) == ("the openrouter-rankings", "router", "openrouter")
    assert (row["component"], row["licence"], row["reference"]) == ("total", "MIT", "https://example.org")
    assert (row["requests"], row["spend"], row["currency"], row["contained_in"]) == (None, None, None, None)


def test_openrouter_rankings_csv() -> None:
    parsed = read(fixture("openrouter_rankings.csv").replace(b"\n", b"\r\n"), "openrouter-rankings")
    day = (date(2026, 6, 26), date(2026, 6, 26))
    assert volumes(parsed) == [
        ("acme/one-20260101", "standard", *day, 5_331_621_827_040, False, "line 2"),
        ("other", "standard", *day, 1_499_940_793_698, False, "line 3"),
    ]
    assert reasons(parsed) == [("line 4", "not_a_count")]
    assert parsed.volumes["known_at"].unique().to_list() == [KNOWN]


@pytest.mark.parametrize("as_of", ["yesterday", "2026-06-27", 7, "0001-01-01T00:00:00+23:00"])
def test_openrouter_rankings_with_a_wrong_as_of_are_known_from_the_capture(as_of: object) -> None:
    answer = json.loads(fixture("openrouter_rankings.json"))
    answer["meta"]["as_of"] = as_of
    parsed = read(json.dumps(answer).encode(), "openrouter-rankings")
    assert parsed.volumes["known_at"].unique().to_list() == [KNOWN]
    assert ("/meta/as_of", "not_a_date") in reasons(parsed)


def rates(parsed: Parsed) -> list[tuple[Any, ...]]:
    found = parsed.rates.select("base", "quote", "rate_date", "rate", "known_at").rows()
    assert all(known == datetime(day.year, day.month, day.day, 15, tzinfo=UTC) for *_, day, _, known in found)
    return sorted((base, quote, str(day), f"{rate.normalize():f}") for base, quote, day, rate, _ in found)


def test_ecb_one_day() -> None:
    parsed = read(fixture("eurofxref.csv"), "ecb")
    assert rates(parsed) == [("EUR", "JPY", "2026-10-30", "175.68"), ("EUR", "USD", "2026-10-30", "1.1172")]
    assert parsed.rejects.is_empty()
    assert parsed.rates["locator"].to_list() == ["line 2, USD", "line 2, JPY"]


@pytest.mark.parametrize("pack", [bytes, zipped])
def test_ecb_history(pack: Any) -> None:
    parsed = read(pack(fixture("eurofxref_hist.csv")), "ecb")
    assert rates(parsed) == [
        ("EUR", "CNY", "2026-10-30", "7.4326"),
        ("EUR", "IDR", "2026-10-30", "20275.17"),
        ("EUR", "USD", "1999-01-04", "1.1789"),
        ("EUR", "USD", "2026-10-29", "1.12"),
        ("EUR", "USD", "2026-10-30", "1.1172"),
    ]
    assert reasons(parsed) == [
        ("line 3, IDR", "not_a_rate"),
        ("line 4, CNY", "not_a_date"),
        ("line 4, IDR", "not_a_date"),
        ("line 4, USD", "not_a_date"),
        ("line 5, IDR", "not_a_rate"),
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"Date,USD,CNY,\n2026-10-30,1.1\n", {"ragged_row": 1}),
        (b"Date,USD,CNY,\n2026-10-30,1.1,,\n", {"not_a_rate": 1}),
        (b"Date,USD,\n2026-10-30,1.1234567891,\n", {"not_a_rate": 1}),
        (b"Date,USD,\n2026-10-30,1000000001,\n", {"not_a_rate": 1}),
        (b"Date,USD,\n2026-10-30,1.1,\n2026-10-30,1.2,\n", {"repeats_another_row": 2}),
    ],
)
def test_ecb_short_long_and_repeated_rows_are_rejected(content: bytes, why: dict[str, int]) -> None:
    assert counted(read(content, "ecb")) == why


@pytest.mark.parametrize("header", [b"Date,USD,USD,\n", b"Day,USD,\n", b"Date,XXX,\n", b"*,Date, USD,USD\n"])
def test_ecb_another_header_is_a_typed_error(header: bytes) -> None:
    with pytest.raises(InputDataError):
        read(header + b"2026-10-30,1.1,1.1,\n", "ecb")


def test_own_prices() -> None:
    parsed = read(fixture("prices.csv"), "prices")
    june = datetime(2026, 6, 1, tzinfo=UTC)
    noon = datetime(2026, 6, 1, 12, tzinfo=UTC)
    columns = [
        "provider",
        "model",
        "component",
        "service_tier",
        "region",
        "context_from",
        "context_to",
        "price",
        "currency",
    ]
    more = ["unit", "tax", "valid_from", "valid_to", "date_kind", "known_at", "reference", "licence", "locator"]
    dust = Decimal("0.0000060000000000000001")
    assert parsed.observations.select(*columns, *more).rows() == [
        ("acme", "one", "input", "standard", "", 0, 200_000, Decimal(3), "USD",
         "per_1m_tokens", "excluded", june, None, "declared", noon, "page 1", None, "line 2"),
        ("acme", "one", "input", "standard", "", 200_000, None, dust, "USD",
         "per_1m_tokens", "excluded", june, None, "declared", noon, "page 1", None, "line 3"),
        ("acme", "old", "output", "batch", "eu", 0, None, None, "EUR",
         "per_token", "included", datetime(2026, 6, 2, 9, 30, tzinfo=UTC), None, "declared",
         datetime(2026, 6, 3, tzinfo=UTC), None, None, "line 4"),
    ]  # fmt: skip
    assert parsed.observations["source"].unique().to_list() == ["vendor"]
    assert reasons(parsed) == [
        ("line 10", "unknown_currency"),
        ("line 11", "unknown_unit"),
        ("line 13", "not_a_date"),
        ("line 14", "not_a_count"),
        ("line 15", "missing_field"),
        ("line 16", "empty_bracket"),
        ("line 17", "not_a_price"),
        ("line 5", "overlapping_brackets"),
        ("line 6", "overlapping_brackets"),
        ("line 7", "not_a_price"),
        ("line 8", "unknown_component"),
        ("line 9", "unknown_service_tier"),
    ]


def test_own_volumes_sightings_and_rates() -> None:
    parsed = read(fixture("volumes.csv"), "volumes")
    columns = [
        "component",
        "period_start",
        "period_end",
        "tokens",
        "requests",
        "spend",
        "currency",
        "partial",
        "locator",
    ]
    assert parsed.volumes.select(columns).rows() == [
        ("input", date(2026, 6, 1), date(2026, 6, 30), 1_000_000, None, Decimal("2.5"), "USD", False, "line 2")
    ]
    assert reasons(parsed) == [
        ("line 3", "not_a_count"),
        ("line 4", "ends_before_it_starts"),
        ("line 5", "not_a_count"),
        ("line 6", "not_a_flag"),
        ("line 7", "missing_field"),
        ("line 8", "unknown_scope"),
    ]
    parsed = read(fixture("sightings.csv"), "sightings")
    noon, midnight = datetime(2026, 6, 1, 12, tzinfo=UTC), datetime(2026, 6, 2, tzinfo=UTC)
    found = parsed.sightings.select("source", "seen_at", "complete", "known_at", "licence", "locator").rows()
    assert found == [
        ("vendor", noon, True, noon, "CC0", "line 2"),
        ("vendor", midnight, False, midnight, None, "line 3"),
    ]
    assert reasons(parsed) == [("line 4", "not_a_date")]
    parsed = read(fixture("rates.csv"), "rates")
    assert rates(parsed) == [("EUR", "USD", "2026-06-01", "1.1172")]
    assert reasons(parsed) == [("line 3", "not_a_rate"), ("line 4", "not_a_rate"), ("line 5", "unknown_currency")]


@pytest.mark.parametrize("name", ["prices", "volumes", "sightings", "rates"])
def test_own_parquet_gives_the_rows_of_the_csv(name: str) -> None:
    good = read(fixture(f"{name}.csv"), name).tables()
    table, frame = next((table, frame) for table, frame in good.items() if table.name == adapter(name).gives[0])
    again = read(parquet(frame.drop("capture", "locator")), name)
    assert again.rejects.is_empty()
    assert again.tables()[table].drop("capture", "locator").equals(frame.drop("capture", "locator"))
    assert again.tables()[table]["locator"].to_list() == [f"row {n}" for n in range(1, frame.height + 1)]


def test_own_parquet_refuses_binary_floats_and_moments_without_a_zone() -> None:
    frame = read(fixture("rates.csv"), "rates").rates.drop("capture", "locator")
    for column in (pl.col("rate").cast(pl.Float64), pl.col("known_at").dt.replace_time_zone(None)):
        with pytest.raises(InputDataError, match=r"the column '(rate|known_at)' is (Float64|Datetime)"):
            read(parquet(frame.with_columns(column)), "rates")


def line(**cells: str) -> bytes:
    row = GOOD | cells
    return "".join(",".join(part) + "\n" for part in (row.keys(), row.values())).encode()


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ({"price": "NaN"}, "not_a_price"),
        ({"price": "1."}, "not_a_price"),
        ({"price": "1_000"}, "not_a_price"),
        ({"price": "123456789012345"}, "not_a_price"),
        ({"tax": "some"}, "unknown_tax"),
        ({"date_kind": "guess"}, "unknown_date_kind"),
        ({"known_at": "2026-06-01T00:00:00"}, "not_a_date"),
        ({"known_at": "2026-06-01T25:00:00Z"}, "not_a_date"),
        ({"known_at": ""}, "missing_field"),
        ({"context_from": "1.0"}, "not_a_count"),
        ({"time_from": "09:00:00"}, "not_a_time_window"),
        ({"time_from": "9:00", "time_to": "12:00:00"}, "not_a_time"),
        ({"valid_to": "2026-06-01"}, "ends_before_it_starts"),
    ],
)
def test_own_bad_cells_are_rejects_with_a_reason(cells: dict[str, str], reason: str) -> None:
    parsed = read(line(**cells), "prices")
    assert parsed.observations.is_empty()
    assert reasons(parsed) == [("line 2", reason)]


@pytest.mark.parametrize(
    ("text", "price"),
    [("1e-07", "0.0000001"), (" 2.50 ", "2.5"), ("+3", "3"), ("-1", "-1"), ("0", "0"), ("0.0006E+2", "0.06")],
)
def test_own_prices_are_exact_decimals(text: str, price: str) -> None:
    assert read(line(price=text), "prices").observations["price"].to_list() == [Decimal(price)]


def test_own_columns_that_are_unknown_or_missing_are_named() -> None:
    with pytest.raises(
        InputDataError, match=r"unknown column source2, colour.*missing column price.*the columns source, provider"
    ):
        read(line(colour="red").replace(b"price", b"source2"), "prices")
    with pytest.raises(InputDataError, match="unknown column capture"):
        read(line(capture="0" * 64), "prices")
    with pytest.raises(InputDataError, match=r"missing column provider, model, .*price"):
        read(b"source\ns\n", "prices")


def test_own_lines_are_counted_with_quoted_line_ends_and_blank_lines() -> None:
    head, row = line(reference="x").decode().splitlines()
    bad = row.replace(",1,USD", ",one,USD")
    content = f'{head}\n{row.removesuffix("x")}"two\nlines"\n\n{bad}\n'.encode()
    parsed = read(content, "prices")
    assert parsed.observations["locator"].to_list() == ["line 2"]
    assert reasons(parsed) == [("line 5", "not_a_price")]


def test_a_file_without_its_last_line_end_may_have_lost_digits() -> None:
    with pytest.raises(InputDataError, match="the last line has no end"):
        read(fixture("rates.csv").rstrip(b"\n"), "rates")


@quick
@given(st.lists(st.text("0123456789.eE+- ٣", max_size=30) | st.decimals().map(str), max_size=20))
def test_columns_of_decimals_follow_the_rules_of_single_ones(texts: list[str]) -> None:
    def single(text: str) -> Decimal | None:
        try:
            return parse_decimal(text)
        except ValueError:
            return None

    found = exact_decimals(pl.Series("t", texts, dtype=pl.String)).to_list()
    assert found == [single(text.strip()) for text in texts]


@quick
@given(
    st.lists(
        st.lists(st.sampled_from(["", "a", "é", " ", '""', '"x,y"', '"a""b"', 'a"b', '"\n"', "\r"]), max_size=3),
        max_size=5,
    )
)
def test_csv_is_read_as_by_the_standard_library(rows: list[list[str]]) -> None:
    text = "\n".join(["p,q", *map(",".join, rows)]) + "\n"
    capture = Capture.of(text.encode(), name="x.csv", adapter="prices", source="s", seen_at=SEEN, known_at=KNOWN)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    found: list[tuple[int, list[str]]] = []
    try:
        while True:
            begins = reader.line_num + 1
            found.append((begins, next(reader)))
    except StopIteration:
        table = load_csv(text.encode(), capture)
    except csv.Error:
        with pytest.raises(InputDataError, match="quotes that match"):
            load_csv(text.encode(), capture)
        return
    whole = [(line, row) for line, row in found[1:] if len(row) == 2 and any(row)]
    assert table.cells.rows() == [tuple(cell or None for cell in row) for _, row in whole]
    assert table.lines.to_list() == [line for line, _ in whole]
    assert [line for line, _ in table.ragged] == [line for line, row in found if len(row) != 2 and any(row)]


@quick
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 6), st.none() | st.integers(1, 8)), max_size=8))
def test_overlapping_brackets_are_found_as_by_comparing_all_pairs(brackets: list[tuple[str, int, int | None]]) -> None:
    brackets = [one for one in brackets if one[2] is None or one[1] < one[2]]
    row = {
        "source": "s",
        "provider": "p",
        "component": "input",
        "service_tier": "standard",
        "region": "",
        "price": Decimal(1),
        "valid_from": SEEN,
    }
    rows = [
        {**row, "known_at": KNOWN, "model": m, "context_from": low, "context_to": high} for m, low, high in brackets
    ]

    def meet(one: tuple[str, int, int | None], two: tuple[str, int, int | None]) -> bool:
        return one[0] == two[0] and one[1] < (two[2] or 99) and two[1] < (one[2] or 99)

    torn = {a[0] for i, a in enumerate(brackets) for b in brackets[:i] if meet(a, b)}
    assert overlapping(OBSERVATIONS.frame(rows)).to_list() == [model in torn for model, _, _ in brackets]


def test_a_withdrawn_bracket_overlaps_nothing() -> None:
    row: dict[str, Any] = {"source": "s", "provider": "p", "model": "m", "component": "input"}
    row |= {"service_tier": "standard", "region": "", "valid_from": SEEN, "known_at": KNOWN}
    base = {**row, "context_from": 0, "context_to": 256_000, "price": Decimal(1)}
    gone = {**row, "context_from": 128_000, "context_to": None, "price": None}
    assert overlapping(OBSERVATIONS.frame([base, gone])).to_list() == [False, False]
    assert overlapping(OBSERVATIONS.frame([base, {**gone, "price": Decimal(2)}])).to_list() == [True, True]


# --- real snapshots, where they are at hand ------------------------------------------------------------------------

real = pytest.mark.skipif(not RAW.is_dir(), reason=f"no real snapshots beside the repository ({RAW.name} is absent)")


def snapshot(pattern: str, name: str) -> Parsed:
    path = next(iter(sorted(RAW.glob(pattern))), None)
    if path is None:
        pytest.skip(f"no real snapshot {pattern}")
    return read(path.read_bytes(), name, file=path.name).checked(where=path.name)


def price_of(parsed: Parsed, **wanted: Any) -> dict[tuple[Any, ...], str]:
    rows = parsed.observations.filter(**wanted).select(
        "component", "service_tier", "context_from", "context_to", "price"
    )
    return {row[:4]: f"{row[4].normalize():f}" for row in rows.iter_rows()}


@real
def test_real_litellm() -> None:
    parsed = snapshot("litellm/2026-08-21*.json", "litellm")
    assert parsed.observations.height == 8065
    assert counted(parsed) == {"documentation_row": 1, "no_provider": 1, "not_money": 84, "repeats_another_field": 23}
    assert price_of(parsed, provider="openai", model="gpt-4o") == {
        ("input", "standard", 0, None): "0.0000025",
        ("input", "batch", 0, None): "0.00000125",
        ("input", "priority", 0, None): "0.00000425",
        ("output", "standard", 0, None): "0.00001",
        ("output", "batch", 0, None): "0.000005",
        ("output", "priority", 0, None): "0.000017",
        ("cache_read", "standard", 0, None): "0.00000125",
        ("cache_read", "priority", 0, None): "0.000002125",
    }
    sonnet = price_of(parsed, provider="anthropic", model="claude-sonnet-4-5")
    assert sonnet["cache_write_1h", "standard", 200_000, None] == "0.000012"
    assert sonnet["output", "standard", 0, 200_000] == "0.000015"
    flash = price_of(parsed, model="dashscope/qwen-flash")
    assert flash["input", "standard", 256_000, 1_000_000] == "0.00000025"
    assert price_of(parsed, model="wandb/openai/gpt-oss-120b")["input", "standard", 0, None] == "0.015"


@real
def test_real_litellm_without_providers_is_all_rejects() -> None:
    parsed = snapshot("litellm/2024-01-31*.json", "litellm")
    assert counted(parsed) == {"no_provider": 244}
    assert parsed.sightings["complete"].to_list() == [False]
    older = snapshot("litellm/2024-10-17*.json", "litellm")
    assert older.observations.height == 1201
    assert counted(older) == {"not_money": 20}


@real
def test_real_models_dev() -> None:
    parsed = snapshot("models_dev/2026-07-02*.tar.gz", "models-dev")
    assert parsed.observations.height == 13631
    assert counted(parsed) == {"unknown_field": 21, "unresolvable_link": 31}
    assert price_of(parsed, provider="google", model="gemini-2.5-pro") == {
        ("input", "standard", 0, 200_000): "1.25",
        ("input", "standard", 200_000, None): "2.5",
        ("output", "standard", 0, 200_000): "10",
        ("output", "standard", 200_000, None): "15",
        ("cache_read", "standard", 0, 200_000): "0.125",
        ("cache_read", "standard", 200_000, None): "0.25",
    }
    assert snapshot("models_dev/2025-06-30*.tar.gz", "models-dev").observations.height == 463
    single = snapshot("models_dev/excerpts/*deepseek-chat.toml", "models-dev")
    assert price_of(single, provider="deepseek", model="deepseek-chat")["cache_read", "standard", 0, None] == "0.0028"


@real
def test_real_genai_prices() -> None:
    parsed = snapshot("genai_prices/*_v2_data.json", "genai-prices")
    assert (parsed.observations.height, parsed.rejects.height) == (3299, 0)
    sonnet = parsed.observations.filter(provider="anthropic", model="claude-sonnet-5", component="input")
    september = datetime(2026, 9, 1, tzinfo=UTC)
    assert sorted(sonnet.select("valid_from", "valid_to", "price").rows()) == [
        (SEEN, september, Decimal(2)),
        (september, None, Decimal(3)),
    ]
    chat = parsed.observations.filter(provider="deepseek", model="deepseek-chat", component="output")
    assert {row[0]: f"{row[1].normalize():f}" for row in chat.select("time_from", "price").iter_rows()} == {
        None: "0.55",
        "00:30:00": "1.1",
    }
    older = snapshot("genai_prices/*_v1_data.json", "genai-prices")
    assert (older.observations.height, older.rejects.height) == (1769, 0)


@real
def test_real_openrouter_models() -> None:
    parsed = snapshot("openrouter_models/2026-08-22*.json", "openrouter-models")
    assert (parsed.observations.height, parsed.rejects.height) == (1515, 0)
    flash = price_of(parsed, model="qwen/qwen3.7-flash", component="input")
    assert flash == {
        ("input", "standard", 0, 32_000): "0.00000003",
        ("input", "standard", 32_000, 256_000): "0.0000001",
        ("input", "standard", 256_000, None): "0.0000002",
    }
    assert price_of(parsed, model="openrouter/auto", component="input") == {("input", "standard", 0, None): "-1"}
    aliases = parsed.observations.filter(pl.col("alias_of").is_not_null())["model"].unique()
    assert aliases.str.starts_with("~").all()
    assert aliases.len() == 12


@real
def test_real_openrouter_rankings() -> None:
    parsed = snapshot("openrouter_rankings_daily_api/*.json", "openrouter-rankings")
    assert (parsed.volumes.height, parsed.rejects.height) == (1530, 0)
    first = parsed.volumes.row(0, named=True)
    assert (first["model"], first["tokens"]) == ("tencent/hy3-preview-20260421", 527_459_593_282)
    assert not parsed.volumes["partial"].any()
    export = snapshot("openrouter_rankings_export/*.csv", "openrouter-rankings")
    assert (export.volumes.height, export.rejects.height) == (153, 0)
    assert export.volumes.filter(model="other")["tokens"].to_list()[0] == 1_499_940_793_698


@real
def test_real_ecb() -> None:
    parsed = snapshot("ecb/*.zip", "ecb")
    assert (parsed.rates.height, parsed.rejects.height) == (198_271, 0)
    day = parsed.rates.filter(rate_date=date(1999, 1, 4))
    assert dict(day.filter(pl.col("quote").is_in(["USD", "JPY"])).select("quote", "rate").rows()) == {
        "USD": Decimal("1.1789"),
        "JPY": Decimal("133.73"),
    }
    one = snapshot("ecb/*.csv", "ecb")
    assert dict(one.rates.select("quote", "rate").rows())["GBP"] == Decimal("0.8338")
    assert (one.rates.height, one.rejects.height) == (29, 0)
