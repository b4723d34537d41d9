"""Turn the archive of real figures into a home folder in the project's own form.

    python benchmarks/archive.py DATA_DIR HOME [--sample] [--registry FILE] [--derived-volumes]

*Reads* the price history, the days each source was looked at, the router's rankings and the reference rates.
*Writes* `captures/*.csv`, `looks/*.json`, `registry.csv` and `home.toml`, the same bytes on every run. *Never* invents
a price: what is left out, withdrawn or restated is counted on stderr.

With `--sample` only the spellings of `sample_spellings.csv`, from 2025-06-01 to 2026-06-30, with the prices in force
on the first day: the sample stays as it is while the registry grows. Without it every source and every day.

Model Price Watch is read from its own file by its adapter, which tells its looks from the prices that it copied out of
LiteLLM; the history has both under one name. The other sources bear the names and spellings that the adapters give
them, so that one registry serves both.

With `--derived-volumes` also tokens by week since 2024-12-30, worked out from spend by somebody else: for study only,
never to be published or kept. They bear a source of their own, whose spellings are those of the rankings.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any, Final

import polars as pl

from tokenindex.adapters import Capture, Parsed, adapter
from tokenindex.captures import Looks
from tokenindex.files import LocalFiles

HERE: Final = Path(__file__).parent
SAMPLE_FROM: Final = date(2025, 6, 1)
SAMPLE_TO: Final = date(2026, 6, 30)
HOME_KNOWN_AT: Final = datetime(2026, 7, 1, tzinfo=UTC)
MOMENT: Final = "%Y-%m-%dT%H:%M:%SZ"
REDISTRIBUTABLE: Final = """# Captured files under these licences go into evidence bundles; of others the digest.
redistributable = [
  "CC-BY-4.0", "ECB, reuse with attribution", "MIT", "OpenRouter models list, as archived by MIT projects",
  "as on each row",
]
"""
UTC_MOMENT: Final = pl.Datetime("us", "UTC")

SAMPLE_SOURCES: Final = ("genai-prices", "litellm", "models.dev", "openrouter-models")
ROUTER_LIST: Final = "openrouter-models"
ROUTER_LATER_ARCHIVE: Final = "openrouter-models@tpi"
LICENCES: Final = {
    "genai-prices": "MIT",
    "litellm": "MIT",
    "models.dev": "MIT",
    "pi-ai": "MIT",
    "modelpricewatch": "CC-BY-4.0",
    "modelpricewatch/litellm-archive": "CC-BY-4.0",
    "openrouter-models": "OpenRouter models list, as archived by MIT projects",
    "token-price-index/aws-pricelist": "AWS price list, as archived by MIT projects",
    "token-price-index/azure-retail": "Azure retail price list, as archived by MIT projects",
}
RENAMED: Final = {
    "pi-ai-catalogue": "pi-ai",
    "aws-pricelist": "token-price-index/aws-pricelist",
    "azure-retail": "token-price-index/azure-retail",
}
"""Sources of the archive under the names that the adapters give them."""
CLOUDS: Final = ("token-price-index/aws-pricelist", "token-price-index/azure-retail")
WATCH: Final = "modelpricewatch"
WATCH_FILE: Final = "raw/modelpricewatch/2026-07-10_13ec59f0_price-history.csv"
RANKINGS: Final = "openrouter-rankings"
RANKINGS_LICENCE: Final = "CC-BY-4.0"
DERIVED: Final = "usage-weekly-derived"
DERIVED_LICENCE: Final = "derived from public statistics without a licence: for study only, not to be passed on"
RATES_LICENCE: Final = "ECB, reuse with attribution"

OFFER: Final = ("source", "provider", "model", "component", "service_tier", "region", "time_from", "time_to")
"""What is sold, without the prompt-length bracket."""
KEY: Final = (*OFFER, "context_from")
TIER_PART: Final = (
    r"ctx>\d+"
    r"|(service|service_tier|processing)=(batch|flex|priority|fast)"
    r"|speed=fast"
    r"|time=\d\d:\d\d:\d\d(Z|\+00:00)-\d\d:\d\d:\d\d(Z|\+00:00)"
)
PRICE_COLUMNS: Final = (
    "source", "provider", "model", "component", "service_tier", "region", "context_from", "context_to", "time_from",
    "time_to", "price", "currency", "unit", "tax", "valid_from", "date_kind", "known_at", "reference", "licence",
)  # fmt: skip


@dataclass(frozen=True)
class Own:
    """One own-form table of the home: its file, its adapter, and the facts of its capture."""

    name: str
    adapter: str
    source: str
    licence: str
    reference: str
    frame: pl.DataFrame


def say(count: int, what: str) -> None:
    """Print one count to stderr."""
    print(f"{count:>8,}  {what}", file=sys.stderr)


def kept(frame: pl.DataFrame, condition: pl.Expr, *, left_out: str) -> pl.DataFrame:
    """Return the rows that meet `condition`; print how many do not."""
    chosen = frame.filter(condition)
    if chosen.height < frame.height:
        say(frame.height - chosen.height, f"price rows left out: {left_out}")
    return chosen


def midnight(column: pl.Expr) -> pl.Expr:
    """Return the first moment of a day in UTC."""
    return column.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def next_midnight(column: pl.Expr) -> pl.Expr:
    """Return the end of a day in UTC: of something seen on a day we know the day only."""
    return midnight(column) + pl.duration(days=1)


def price_history(data: Path) -> pl.DataFrame:
    """Return the dated price changes with the own form's columns, one row per change."""
    history = pl.read_parquet(data / "price_history.parquet").with_columns(
        archive=pl.col("source"), source=source_name()
    )
    history = history.filter(pl.col("source") != WATCH).with_columns(seller_and_model())
    history = kept(history, pl.col("effective_from").is_not_null(), left_out="undated, the day of the price is unknown")
    history = kept(history, pl.col("provider") != "", left_out="the source names no seller")
    parts = pl.col("tier").str.split(";").list.eval(pl.element().str.contains(f"^({TIER_PART})?$")).list.all()
    history = kept(history, parts, left_out="tier is not a class of service, a bracket or a time of day")
    plain = pl.col("price").str.contains(r"^-?\d{1,14}(\.\d{1,24})?$") | (pl.col("price") == "")
    history = kept(history, plain, left_out="price is not a plain decimal that fits decimal128(38, 24)")
    unknown = (pl.col("source") == "pi-ai") & pl.col("component").str.starts_with("cache") & (pl.col("price") == "0")
    history = kept(history, ~unknown, left_out="a catalogue writes 0 where it knows no cache price")
    history = without_false_withdrawals(history, broken_looks(data))
    return known(history).select(
        "archive", "event", "source", "provider", "model", "component",
        service_tier=service_tier(),
        region=pl.col("region"),
        context_from=pl.col("tier").str.extract(r"ctx>(\d+)").cast(pl.Int64).fill_null(0),
        context_to=pl.lit(None, dtype=pl.Int64),
        time_from=pl.col("tier").str.extract(r"time=(\d\d:\d\d:\d\d)"),
        time_to=pl.col("tier").str.extract(r"time=[^-]*-(\d\d:\d\d:\d\d)"),
        price=pl.when(pl.col("price") != "").then("price"),
        currency=pl.when(pl.col("currency") == "").then(pl.lit("USD")).otherwise("currency"),
        unit=pl.lit("per_1m_tokens"),
        tax=pl.lit("unknown"),
        valid_from=midnight(pl.col("effective_from")),
        date_kind="date_kind",
        known_at="known_at",
        reference=pl.col("source_revision"),
        licence=pl.col("source").replace_strict(LICENCES),
    ).sort(*KEY, "valid_from", "known_at", nulls_last=True)  # fmt: skip


def source_name() -> pl.Expr:
    """Return the name of a source as the adapters give it; the name of the archivist after `@` is left out."""
    return pl.col("source").str.replace("@.*$", "").replace(RENAMED)


def seller_and_model() -> list[pl.Expr]:
    """Return provider and model; in the lists of the clouds the archive has the maker before the model's name."""
    cloud = pl.col("source").is_in(CLOUDS)
    parts = pl.col("model").str.split("/")
    return [
        pl.when(cloud).then(pl.col("provider") + "/" + parts.list.first()).otherwise("provider").alias("provider"),
        pl.when(cloud).then(parts.list.last()).otherwise("model").alias("model"),
    ]


def watched(data: Path) -> Parsed:
    """Return what Model Price Watch's own file holds of the time of the archive; known since the next midnight."""
    content = (data / WATCH_FILE).read_bytes()
    facts = {"name": WATCH_FILE, "adapter": WATCH, "source": WATCH, "licence": LICENCES[WATCH]}
    parsed = adapter(WATCH).parse(content, Capture.of(content, **facts, seen_at=HOME_KNOWN_AT, known_at=HOME_KNOWN_AT))
    day = pl.duration(days=1)
    return Parsed(
        observations=parsed.observations.filter(pl.col("valid_from") < HOME_KNOWN_AT).with_columns(
            known_at=pl.col("valid_from") + day
        ),
        sightings=parsed.sightings.filter(pl.col("seen_at") < HOME_KNOWN_AT).with_columns(
            known_at=pl.col("seen_at") + day
        ),
    )


def watched_prices(data: Path) -> pl.DataFrame:
    """Return the prices of Model Price Watch, and those it copied, with the own form's columns."""
    rows = watched(data).observations
    texts = rows["price"].cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
    licence = pl.col("source").replace_strict(LICENCES, default=LICENCES[WATCH])
    reference = pl.coalesce("reference", pl.format("{} line of 2026-07-10", pl.lit(WATCH)))
    return rows.with_columns(price=texts, licence=licence, reference=reference).select(PRICE_COLUMNS)


def broken_looks(data: Path) -> pl.DataFrame:
    """Return archive, day and next day of each look that gave less than half of the list before it and after it."""
    looks = pl.read_csv(data / "source_observations.csv", try_parse_dates=True).sort("source", "observed")
    before, after = (pl.col("keys").shift(step).over("source") for step in (1, -1))
    half = (2 * pl.col("keys") < before) & (2 * pl.col("keys") < after)
    return (
        looks.with_columns(next_on=pl.col("observed").shift(-1).over("source"))
        .filter(half)
        .select("observed", "next_on", archive="source")
    )


def without_false_withdrawals(history: pl.DataFrame, broken: pl.DataFrame) -> pl.DataFrame:
    """Return the changes without the withdrawals of a broken look that the next look takes back."""
    offer = ["archive", "provider", "model", "component", "tier", "region"]
    gone = history.filter(pl.col("event") == "removed").join(
        broken, left_on=["archive", "effective_from"], right_on=["archive", "observed"]
    )
    back = history.filter(pl.col("event") == "added")
    false = gone.join(back, left_on=[*offer, "next_on"], right_on=[*offer, "effective_from"], how="semi")
    say(broken.height, "days on which a source gave less than half of its list: no sighting")
    say(false.height, "price rows left out: withdrawn on such a day and back at the next look")
    return history.join(false, on=[*offer, "effective_from", "event"], how="anti")


def without_repeats(prices: pl.DataFrame) -> pl.DataFrame:
    """Return the prices without those that only come back after a withdrawal that was left out, unchanged."""
    last = pl.col("archive", "price").shift(1).over(KEY)
    again = prices.select(pl.struct("archive", "price") == pl.struct(last), "event").select(
        pl.first() & (pl.col("event") == "added")
    )
    once = prices.filter(~again.to_series().fill_null(False))
    say(prices.height - once.height, "price rows left out: the same price again after a withdrawal left out above")
    return once


def service_tier() -> pl.Expr:
    """Return the class of service from the tier text, or from the ending that the router gives a model's name."""
    named = pl.col("tier").str.extract(r"(?:service|service_tier|processing|speed)=(\w+)")
    ending = pl.when(pl.col("provider") == "openrouter").then(pl.col("model").str.extract(":(free|batch)$"))
    return pl.coalesce(named, ending, pl.lit("standard"))


def known(history: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with the moment from which they could be known.

    A price seen on a day is known at the next midnight. A declared date comes from a package released after the
    archive ends, so it is used only where the same price had also been seen: it is known since then, and never before
    its own day.
    """
    seen = history.filter(pl.col("date_kind") == "first_seen")
    same = ("source", "provider", "model", "component", "tier", "region", "price")
    first = seen.group_by(same).agg(seen_on=pl.col("effective_from").min())
    declared = history.filter(pl.col("date_kind") == "declared").join(first, on=same, how="left", maintain_order="left")
    declared = kept(
        declared, pl.col("seen_on").is_not_null(), left_out="declared only in a package released after the archive ends"
    )
    late = pl.max_horizontal(next_midnight(pl.col("seen_on")), midnight(pl.col("effective_from")))
    return pl.concat(
        [
            seen.with_columns(known_at=next_midnight(pl.col("effective_from"))),
            declared.with_columns(known_at=late).drop("seen_on"),
        ]
    )


def withdrawn_between_archives(prices: pl.DataFrame) -> pl.DataFrame:
    """Return the prices with a withdrawal for each router offer that the first archive ends with and the second lacks.

    Two archivists kept the router's list, with a gap between them. The first list after the gap is complete, so an
    offer that is not in it had been withdrawn; without this row it would seem to be on sale for ever.
    """
    router = prices.filter(pl.col("source") == ROUTER_LIST)
    later = pl.col("archive") == ROUTER_LATER_ARCHIVE
    start = router.filter(later).select(
        pl.col("valid_from").min(), known_at=pl.col("known_at").min(), reference=pl.col("reference").first()
    )
    before = router.filter(~later).group_by(KEY, maintain_order=True).last().filter(pl.col("price").is_not_null())
    listed = router.filter(later & (pl.col("valid_from") == start["valid_from"].item()))
    gone = before.join(listed, on=KEY, how="anti", nulls_equal=True).with_columns(
        price=pl.lit(None, dtype=pl.String),
        valid_from=start["valid_from"].item(),
        known_at=start["known_at"].item(),
        reference=pl.lit(start["reference"].item()),
        archive=pl.lit(ROUTER_LATER_ARCHIVE),
    )
    say(gone.height, f"withdrawals added: on sale before the gap in {ROUTER_LIST}, absent from the first list after it")
    return pl.concat([prices, gone.select(prices.columns)])


def one_per_moment(prices: pl.DataFrame) -> pl.DataFrame:
    """Return the prices with one row per key and moment: a price before a withdrawal, a lower price before a higher."""
    order = pl.col("price").is_null()
    one = prices.sort(*KEY, "valid_from", "known_at", order, "price", "reference", nulls_last=True).unique(
        [*KEY, "valid_from", "known_at"], keep="first", maintain_order=True
    )
    say(prices.height - one.height, "price rows left out: another row has the same key and moments")
    return one


def bracketed(prices: pl.DataFrame) -> pl.DataFrame:
    """Return the prices with the end of each prompt-length bracket.

    A bracket ends where the next one in force begins. When a bracket comes or goes while the price below it stays, the
    lower price is restated on that day with its new end; the restated rows are counted.
    """
    offers = prices.filter(pl.col("context_from") > 0).select(OFFER).unique()
    several = prices.join(offers, on=OFFER, how="semi", nulls_equal=True, maintain_order="left")
    rows = several.sort(*OFFER, "valid_from", "known_at", "context_from", nulls_last=True).to_dicts()
    made = [
        row
        for _, offer in groupby(rows, key=lambda row: tuple(row[name] for name in OFFER))
        for row in with_bracket_ends(list(offer))
    ]
    say(len(made) - several.height, "price rows restated: a bracket above them came or went on that day")
    alone = prices.join(offers, on=OFFER, how="anti", nulls_equal=True)
    return pl.concat([alone, pl.DataFrame(made, schema=prices.schema, orient="row")])


def with_bracket_ends(offer: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the rows of one offer, in order of `valid_from`, each with `context_to`, and the restated rows."""
    in_force: dict[int, dict[str, Any]] = {}
    for moment, group in groupby(offer, key=lambda row: row["valid_from"]):
        today = list(group)
        in_force |= {row["context_from"]: row for row in today}
        live = sorted(start for start, row in in_force.items() if row["price"] is not None)
        ends: dict[int, int | None] = dict(zip_longest(live, live[1:]))
        for row in today:
            row["context_to"] = ends.get(row["context_from"]) if row["price"] is not None else None
            yield row
        own = {row["context_from"] for row in today}
        for start in live:
            if start not in own and in_force[start]["context_to"] != ends[start]:
                in_force[start] = in_force[start] | {
                    "context_to": ends[start],
                    "valid_from": moment,
                    "known_at": max(row["known_at"] for row in today),
                    "reference": today[0]["reference"],
                    "date_kind": today[0]["date_kind"],
                }
                yield in_force[start]


def sampled(prices: pl.DataFrame, spellings: pl.DataFrame) -> pl.DataFrame:
    """Return the prices of the sample's spellings in the window, and those in force on its first day."""
    prices = prices.join(spellings, on=spellings.columns, how="semi", maintain_order="left")
    first, last = (midnight(pl.lit(day)) for day in (SAMPLE_FROM, SAMPLE_TO))
    on_first = pl.col("valid_from") <= first
    baseline = prices.filter(on_first).group_by(KEY, maintain_order=True).last()
    baseline = baseline.filter(pl.col("price").is_not_null()).select(prices.columns)
    return pl.concat([baseline, prices.filter(~on_first & (pl.col("valid_from") <= last))])


def price_tables(data: Path, spellings: pl.DataFrame | None) -> Iterator[Own]:
    """Yield one own-form table of prices per source; with spellings, the sample of them only."""
    order = [*KEY, "valid_from", "known_at"]
    prices = one_per_moment(withdrawn_between_archives(without_repeats(price_history(data))))
    prices = bracketed(prices).sort(order, nulls_last=True)
    if spellings is not None:
        prices = sampled(prices, spellings).sort(order, nulls_last=True)
    else:
        prices = pl.concat([prices.select(PRICE_COLUMNS), watched_prices(data)]).sort(order, nulls_last=True)
    for (source,), frame in sorted(prices.group_by("source", maintain_order=True), key=lambda item: str(item[0])):
        yield Own(
            name=f"prices-{str(source).replace('/', '-')}.csv",
            adapter="prices",
            source=str(source),
            licence=LICENCES.get(str(source), LICENCES[WATCH]),
            reference="list prices as seen day by day; the revision of the source stands on each row",
            frame=frame.select(PRICE_COLUMNS),
        )


def sightings(data: Path, *, sample: bool) -> Own:
    """Return the days on which each source of prices was looked at."""
    seen = pl.read_csv(data / "source_observations.csv", try_parse_dates=True).with_columns(
        archive="source", source=source_name()
    )
    seen = seen.join(broken_looks(data), on=["archive", "observed"], how="anti")
    if sample:
        window = pl.col("observed").is_between(SAMPLE_FROM, SAMPLE_TO)
        seen = seen.filter(window & pl.col("source").is_in(SAMPLE_SOURCES))
    frame = seen.unique(["source", "observed"], keep="first", maintain_order=True).select(
        "source",
        seen_at=midnight(pl.col("observed")),
        complete=pl.lit("false"),  # the price rows carry their own withdrawals
        known_at=next_midnight(pl.col("observed")),
        reference="revision",
        licence=pl.col("source").replace_strict(LICENCES),
    )
    if not sample:
        frame = pl.concat([frame, watched_looks(data).select(frame.columns)])
    return Own(
        name="sightings.csv",
        adapter="sightings",
        source="sightings",
        licence="as on each row",
        reference="days on which each source was really looked at",
        frame=frame.sort("source", "seen_at"),
    )


def watched_looks(data: Path) -> pl.DataFrame:
    """Return the days on which Model Price Watch looked, and those on which the list that it copied was looked at."""
    looks = watched(data).sightings
    licence = pl.col("source").replace_strict(LICENCES, default=LICENCES[WATCH])
    return looks.with_columns(complete=pl.lit("false"), reference=pl.lit(WATCH), licence=licence)


def volumes(data: Path) -> Own:
    """Return the router's tokens per model and day; a model's free offer is a class of service of its own."""
    ranked = pl.read_parquet(data / "openrouter_rankings_daily.parquet")
    as_of = pl.col("as_of").str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", time_zone="UTC")
    whole = as_of.dt.truncate("1s")
    frame = ranked.select(
        source=pl.lit(RANKINGS),
        scope=pl.lit("router"),
        provider=pl.lit("openrouter"),
        model="model",
        component=pl.lit("total"),
        service_tier=pl.when(pl.col("model").str.ends_with(":free")).then(pl.lit("free")).otherwise(pl.lit("standard")),
        period_start="date",
        period_end="date",
        tokens="tokens_total",
        partial=pl.lit("false"),
        known_at=pl.when(whole < as_of).then(whole + pl.duration(seconds=1)).otherwise(whole),
        reference=pl.format("openrouter.ai/rankings, as of {}", "as_of"),
        licence=pl.lit(RANKINGS_LICENCE),
    )
    return Own(
        name=f"volumes-{RANKINGS}.csv",
        adapter="volumes",
        source=RANKINGS,
        licence=RANKINGS_LICENCE,
        reference=f"openrouter.ai/rankings, as of {ranked.select(pl.col('as_of').max()).item()}",
        frame=frame.sort("period_start", "model"),
    )


def derived_volumes(data: Path) -> Own:
    """Return the derived tokens per model and week, in whole tokens; known two days after the week.

    The tokens of the weeks that the rankings reach into are those that the rankings count.
    """
    ranked = pl.read_parquet(data / "openrouter_rankings_daily.parquet", columns=["date"])["date"].min()
    weeks = pl.read_parquet(data / "usage_weekly_derived.parquet")
    frame = weeks.select(
        source=pl.lit(DERIVED),
        scope=pl.lit("router"),
        provider=pl.lit("openrouter"),
        model="model",
        component=pl.lit("total"),
        service_tier=pl.lit("standard"),
        period_start="period_start",
        period_end="period_end",
        tokens=pl.col("tokens_total_est").round(mode="half_to_even").cast(pl.Int64),
        partial=(pl.col("period_start") == pl.col("period_start").max()).cast(pl.String),
        contained_in=pl.when(pl.col("period_end") >= ranked).then(pl.lit(RANKINGS)),
        known_at=midnight(pl.col("period_end")) + pl.duration(days=2),
        reference="method",
        licence=pl.lit(DERIVED_LICENCE),
    )
    return Own(
        name=f"volumes-{DERIVED}.csv",
        adapter="volumes",
        source=DERIVED,
        licence=DERIVED_LICENCE,
        reference="spend at the prices of May 2026 divided by these prices: an estimate, not a report",
        frame=frame.sort("period_start", "model"),
    )


def with_derived(registry: bytes) -> bytes:
    """Return the registry with every row of the rankings again for the derived volumes, which spell as they do."""
    rows = pl.read_csv(registry, infer_schema=False)
    again = rows.filter(pl.col("source") == RANKINGS).with_columns(source=pl.lit(DERIVED))
    return csv(pl.concat([rows, again]).sort("source", "provider", "model"))


def rates(data: Path, *, sample: bool) -> Own:
    """Return the reference rates of the euro, as the text stands; published each TARGET day, known by 15:00 UTC."""
    wide = pl.read_csv(data / "fx_cnyusd_ecb.csv", infer_schema=False)
    long = wide.rename({"eur_usd": "USD", "eur_cny": "CNY"}).unpivot(
        ["USD", "CNY"], index="date", variable_name="quote", value_name="rate"
    )
    day = pl.col("date").str.to_date("%Y-%m-%d")
    frame = long.select(
        source=pl.lit("ecb"),
        base=pl.lit("EUR"),
        quote="quote",
        rate_date=day,
        rate="rate",
        known_at=midnight(day) + pl.duration(hours=15),
        reference=pl.lit("ecb.europa.eu, euro foreign exchange reference rates"),
        licence=pl.lit(RATES_LICENCE),
    ).filter(pl.col("known_at") <= HOME_KNOWN_AT)
    if sample:
        frame = frame.filter(pl.col("rate_date").is_between(SAMPLE_FROM, SAMPLE_TO))
    return Own(
        name="rates-ecb.csv",
        adapter="rates",
        source="ecb",
        licence=RATES_LICENCE,
        reference="ecb.europa.eu, euro foreign exchange reference rates",
        frame=frame.sort("rate_date", "quote"),
    )


def csv(frame: pl.DataFrame) -> bytes:
    """Return the bytes of an own-form table: moments in UTC, columns without any content left out."""
    frame = frame.select(name for name in frame.columns if frame[name].null_count() < frame.height)
    moments = [name for name, dtype in frame.schema.items() if dtype == UTC_MOMENT]
    text = frame.with_columns(pl.col(moments).dt.strftime(MOMENT)).write_csv(line_terminator="\n")
    return text.encode()


def write_home(home: Path, tables: Sequence[Own], registry: bytes, links: bytes | None) -> None:
    """Write the home folder: the captures, their list, the registry with its links, and the moment it is known at."""
    (home / "captures").mkdir(parents=True, exist_ok=True)
    seen, looks = HOME_KNOWN_AT, Looks(LocalFiles(home))
    for own in sorted(tables, key=lambda own: own.name):
        content = csv(own.frame)
        (home / "captures" / own.name).write_bytes(content)
        say(own.frame.height, f"rows, {len(content):,} bytes: captures/{own.name}")
        digest = hashlib.sha256(content).hexdigest()
        facts = own.name, own.adapter, own.source, seen, seen, own.licence, own.reference
        looks.add(Capture(digest, *facts), fetched=None)
    (home / "registry.csv").write_bytes(registry)
    if links:
        (home / "links.csv").write_bytes(links)
    (home / "home.toml").write_bytes(
        "# This home is an archive: fixings are recomputed as known at this moment, unless the command line says"
        f" otherwise.\nknown_at = {HOME_KNOWN_AT.strftime(MOMENT)}\n\n{REDISTRIBUTABLE}".encode()
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the home folder named on the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA_DIR", help="folder of the archive")
    parser.add_argument("home", type=Path, metavar="HOME", help="folder to write")
    parser.add_argument("--sample", action="store_true", help="the sample's spellings and the last 13 months only")
    parser.add_argument("--registry", type=Path, default=HERE.parent / "sample_data" / "registry.csv")
    parser.add_argument("--derived-volumes", action="store_true", help="for study only: never publish or keep them")
    chosen = parser.parse_args(arguments)
    if chosen.sample and chosen.derived_volumes:
        parser.error("the sample holds no derived volumes")
    spellings = pl.read_csv(HERE / "sample_spellings.csv", infer_schema=False) if chosen.sample else None
    tables = [
        *price_tables(chosen.data, spellings),
        sightings(chosen.data, sample=chosen.sample),
        volumes(chosen.data),
        rates(chosen.data, sample=chosen.sample),
        *([derived_volumes(chosen.data)] if chosen.derived_volumes else []),
    ]
    registry, linked = chosen.registry.read_bytes(), chosen.registry.with_name("links.csv")
    links = linked.read_bytes() if linked.exists() else None
    write_home(chosen.home, tables, with_derived(registry) if chosen.derived_volumes else registry, links)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
