"""The tables: one definition per column gives every schema, the check at the boundary and the documentation.

*Reads* frames. *Writes* typed frames and Arrow tables with units in the field metadata. *Never* repairs a row: a frame
that does not fit is refused with the file, the row and the column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import polars as pl

from .errors import InputDataError
from .exact import MONEY, RATE_MAX, SOURCE_MONEY, TOKENS_MAX, WIDE, money
from .units import (
    COMPONENTS,
    CONFIRMATIONS,
    CURRENCIES,
    DATE_KINDS,
    DECISIONS,
    HELD_UNTIL,
    PER_MTOK,
    SCOPES,
    SERVICE_TIERS,
    TAXES,
    VOLUME_COMPONENTS,
)

if TYPE_CHECKING:
    import pyarrow as pa

UTC: Final = pl.Datetime("us", "UTC")
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00Z")


def instant(moment: datetime) -> pl.Expr:
    """Return a moment as a literal; polars itself takes a twentieth of a millisecond over one with a zone."""
    return pl.lit((moment - _EPOCH) // timedelta(microseconds=1), dtype=pl.Int64).cast(UTC)


EVER: Final = datetime.fromisoformat("9999-01-01T00:00:00Z")
"""A moment after all others."""
NEVER: Final = instant(EVER)


class Column(NamedTuple):
    """One column: name, type, meaning, unit, owner stage and what it may hold."""

    name: str
    dtype: Any
    meaning: str
    owner: str
    unit: str = ""
    nullable: bool = False
    allowed: tuple[str, ...] = ()
    lowest: int | None = None
    highest: int | None = None


@dataclass(frozen=True, eq=False)  # there is one of each: a table is itself
class Table:
    """A named list of columns, and the key that no two rows share (empty: no key)."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = field(default=())

    @cached_property
    def schema(self) -> pl.Schema:
        """The polars schema."""
        return pl.Schema({column.name: column.dtype for column in self.columns})

    def empty(self) -> pl.DataFrame:
        """Return a frame with no rows."""
        return self._empty.clone()

    @cached_property
    def _empty(self) -> pl.DataFrame:
        return pl.DataFrame(schema=self.schema)

    def frame(self, rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
        """Return a frame of `rows`; a key that a row lacks becomes null."""
        return pl.DataFrame(rows, schema=self.schema, orient="row") if rows else self.empty()

    def frame_of_nano(self, rows: Sequence[dict[str, Any]]) -> pl.DataFrame:
        """Return a frame of `rows` whose money stands as integers of 1e-9."""
        amounts = [c.name for c in self.columns if c.dtype == MONEY]
        whole = {c.name: pl.Int64 if c.name in amounts else c.dtype for c in self.columns}
        return self.conform(pl.DataFrame(rows, schema=whole, orient="row").with_columns(map(money, amounts)))

    def conform(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return `frame` with this table's columns, in order and type; a missing nullable column becomes null."""
        have = frame.schema
        if have == self.schema:
            return frame
        return frame.select(
            pl.col(c.name).cast(c.dtype) if c.name in have else pl.lit(None, dtype=c.dtype).alias(c.name)
            for c in self.columns
        )

    def arrow(self, frame: pl.DataFrame) -> pa.Table:
        """Return an Arrow table; unit, meaning and owner stage stand in the metadata of each field."""
        import pyarrow as pa

        table = self.conform(frame).to_arrow(compat_level=pl.CompatLevel.oldest())
        fields = [
            pa.field(
                c.name,
                table.schema.field(c.name).type,
                nullable=c.nullable,
                metadata={"unit": c.unit, "meaning": c.meaning, "owner": c.owner},
            )
            for c in self.columns
        ]
        return table.cast(pa.schema(fields, metadata={"table": self.name}))

    def check(self, frame: pl.DataFrame | pl.LazyFrame, *, where: str) -> pl.DataFrame:
        """Return `frame` if every row keeps this table's definition.

        A lazy frame is collected first: pandera checks no rows of a lazy frame.

        Raises
        ------
        InputDataError
            Naming `where`, the first bad rows (by their locator if they have one), the column and what was found.
        """
        import pandera.errors as pe

        if isinstance(frame, pl.LazyFrame):
            frame = frame.collect()
        try:
            self._pandera.validate(frame, lazy=True)
        except pe.SchemaErrors as failed:
            raise InputDataError(
                _first_failures(failed.failure_cases, frame),
                where=where,
                expected=f"rows of the table {self.name}",
                remedy="correct the rows named here, or the adapter that made them",
            ) from None
        return frame

    @cached_property
    def _pandera(self) -> Any:
        import pandera.polars as pa

        def checks(c: Column) -> list[Any]:
            made = []
            if c.allowed:
                made.append(pa.Check.isin(list(c.allowed)))
            if c.lowest is not None:
                made.append(pa.Check.ge(c.lowest))
            if c.highest is not None:
                made.append(pa.Check.le(c.highest))
            return made

        columns = {c.name: pa.Column(c.dtype, checks(c), nullable=c.nullable) for c in self.columns}
        return pa.DataFrameSchema(columns, strict=True, ordered=True, unique=list(self.key) or None, name=self.name)

    def document(self) -> str:
        """Return the table's page: one Markdown row per column."""
        head = f"### {self.name}\n\n| column | type | unit | set by | meaning |\n|---|---|---|---|---|\n"
        return head + "".join(
            f"| `{c.name}` | {c.dtype}{' or null' if c.nullable else ''} | {c.unit} | {c.owner} | {c.meaning}"
            + (f": {', '.join(c.allowed)}" if c.allowed else "")
            + " |\n"
            for c in self.columns
        )


def _first_failures(cases: pl.DataFrame, frame: pl.DataFrame, *, shown: int = 3) -> str:
    """Return one sentence about the first failures; the rest are counted."""
    sentences = []
    for case in cases.head(shown).iter_rows(named=True):
        place = ""
        if case["index"] is not None:
            row = int(case["index"])
            locator = frame["locator"][row] if "locator" in frame.columns else None
            place = f"row {row}" + (f" ({locator})" if locator else "") + ", "
        sentences.append(f"{place}column {case['column']}: {case['failure_case']!r} fails {case['check']}")
    rest = len(cases) - len(sentences)
    return "; ".join(sentences) + (f"; and {rest} more" if rest > 0 else "")


def _provenance(owner: str) -> tuple[Column, ...]:
    return (
        Column("known_at", UTC, "when we could first know the row; the cut-off compares with this", owner),
        Column("reference", pl.String, "address or citation of the figure", owner, nullable=True),
        Column("licence", pl.String, "licence under which the figure may be used", owner, nullable=True),
        Column("capture", pl.String, "SHA-256 of the captured bytes", owner),
        Column("locator", pl.String, "JSON pointer, archive member, or line inside the capture", owner),
    )


OFFER_KEY: Final = ("source", "provider", "model", "component", "service_tier", "region")
QUOTE_KEY: Final = (
    *OFFER_KEY,
    "context_from",
    "time_from",
    "time_to",
    "time_zone",
)
"""The columns that say *what* is priced by whom: a later row with the same key replaces an earlier one."""

OBSERVATIONS: Final = Table(
    "OBSERVATIONS",
    (
        Column("source", pl.String, "who reports the price", "adapter"),
        Column("provider", pl.String, "who sells, in the source's spelling", "adapter"),
        Column("model", pl.String, "the model, in the source's spelling", "adapter"),
        Column("component", pl.String, "what the token is used for", "adapter", allowed=COMPONENTS),
        Column("service_tier", pl.String, "class of service", "adapter", allowed=SERVICE_TIERS),
        Column("region", pl.String, "where it is sold; empty: everywhere", "adapter"),
        Column("context_from", pl.Int64, "the price holds for prompts longer than this", "adapter", "tokens", lowest=0),
        Column("context_to", pl.Int64, "and up to this length", "adapter", "tokens", nullable=True, lowest=1),
        Column("marginal", pl.Boolean, "only tokens beyond context_from cost this; null: no", "adapter", nullable=True),
        Column("time_from", pl.String, "first time of day, HH:MM:SS", "adapter", nullable=True),
        Column("time_to", pl.String, "end of the time of day, HH:MM:SS", "adapter", nullable=True),
        Column("time_zone", pl.String, "zone of the times of day, as in tz; null: UTC", "adapter", nullable=True),
        Column("quantization", pl.String, "number format of the served weights", "adapter", nullable=True),
        Column(
            "uptime",
            SOURCE_MONEY,
            "share of the last day in which the host answered",
            "adapter",
            "share",
            nullable=True,
            lowest=0,
            highest=1,
        ),
        Column(
            "discount",
            SOURCE_MONEY,
            "share that the price already lies below list",
            "adapter",
            "share",
            nullable=True,
            lowest=0,
            highest=1,
        ),
        Column("alias_of", pl.String, "the model whose price this row repeats", "adapter", nullable=True),
        Column("price", SOURCE_MONEY, "the price; null: withdrawn", "adapter", "currency per `unit`", nullable=True),
        Column(
            "currency", pl.String, "currency of the price", "adapter", "ISO 4217", allowed=tuple(sorted(CURRENCIES))
        ),
        Column("unit", pl.String, "what the price is per", "adapter", allowed=tuple(PER_MTOK)),
        Column("tax", pl.String, "whether the price holds tax", "adapter", allowed=TAXES),
        Column("valid_from", UTC, "since when the price held in the world", "adapter"),
        Column("valid_to", UTC, "declared end of the price", "adapter", nullable=True),
        Column("date_kind", pl.String, "where valid_from comes from", "adapter", allowed=DATE_KINDS),
        *_provenance("adapter"),
    ),
)

VOLUMES: Final = Table(
    "VOLUMES",
    (
        Column("source", pl.String, "who reports the volume", "adapter"),
        Column("scope", pl.String, "whose usage was counted", "adapter", allowed=SCOPES),
        Column("provider", pl.String, "who sold, in the source's spelling", "adapter"),
        Column("model", pl.String, "the model, in the source's spelling", "adapter"),
        Column("component", pl.String, "what was counted", "adapter", allowed=VOLUME_COMPONENTS),
        Column("service_tier", pl.String, "class of service", "adapter", allowed=SERVICE_TIERS),
        Column("period_start", pl.Date, "first day counted (UTC)", "adapter"),
        Column("period_end", pl.Date, "last day counted (UTC)", "adapter"),
        Column(
            "tokens",
            pl.Int64,
            "tokens counted; null: only the spend is known",
            "adapter",
            "tokens",
            nullable=True,
            lowest=0,
            highest=TOKENS_MAX,
        ),
        Column("requests", pl.Int64, "requests counted", "adapter", "requests", nullable=True, lowest=0),
        Column("spend", MONEY, "what was paid", "adapter", "currency units", nullable=True, lowest=0),
        Column("currency", pl.String, "currency of the spend", "adapter", "ISO 4217", nullable=True),
        Column("partial", pl.Boolean, "the period was not over when it was counted", "adapter"),
        Column("contained_in", pl.String, "another source that counts these tokens too", "adapter", nullable=True),
        *_provenance("adapter"),
    ),
)

SIGHTINGS: Final = Table(
    "SIGHTINGS",
    (
        Column("source", pl.String, "the source that was looked at", "adapter"),
        Column("seen_at", UTC, "when it was looked at", "adapter"),
        Column(
            "complete",
            pl.Boolean,
            "all it offers was looked at: what is missing was withdrawn, unless UNREAD names it",
            "adapter",
        ),
        *_provenance("adapter"),
    ),
)

UNREAD: Final = Table(
    "UNREAD",
    (
        Column("source", pl.String, "the source that was looked at; capture and known_at name the look", "adapter"),
        Column("provider", pl.String, "whose prices could not be read; null: anybody's", "adapter", nullable=True),
        Column("model", pl.String, "prices of which model; null: of any", "adapter", nullable=True),
        Column(
            "component", pl.String, "prices of what; null: of anything", "adapter", nullable=True, allowed=COMPONENTS
        ),
        Column("reason", pl.String, "reason code of the reject", "adapter"),
        *_provenance("adapter"),
    ),
)

RATES: Final = Table(
    "RATES",
    (
        Column("source", pl.String, "who publishes the rate", "adapter"),
        Column("base", pl.String, "one unit of this currency", "adapter", "ISO 4217"),
        Column("quote", pl.String, "costs this many units of this one", "adapter", "ISO 4217"),
        Column("rate_date", pl.Date, "the day the rate was fixed for", "adapter"),
        Column("rate", MONEY, "units of quote per unit of base", "adapter", "quote per base", highest=RATE_MAX),
        *_provenance("adapter"),
    ),
)

REJECTS: Final = Table(
    "REJECTS",
    (
        Column("reason", pl.String, "why the row is not an observation", "adapter"),
        Column("found", pl.String, "what stood there, cut to 80 characters", "adapter"),
        Column("capture", pl.String, "SHA-256 of the captured bytes", "adapter"),
        Column("locator", pl.String, "where it stood", "adapter"),
    ),
)

REGISTRY: Final = Table(
    "REGISTRY",
    (
        Column("source", pl.String, "a source of prices or of volumes", "registry"),
        Column("provider", pl.String, "the seller, in the source's spelling", "registry"),
        Column("model", pl.String, "the model, in the source's spelling", "registry"),
        Column("vendor", pl.String, "who made the model", "registry"),
        Column("constituent", pl.String, "vendor/model: the one homogeneous thing", "registry"),
        Column("kind", pl.String, "text, embedding, image …", "registry"),
        Column(
            "host",
            pl.String,
            "vendor (sold by its maker), host, or router",
            "registry",
            allowed=("vendor", "host", "router"),
        ),
        Column("valid_from", pl.Date, "first day of the mapping; null: always", "registry", nullable=True),
        Column("valid_to", pl.Date, "day after the last; null: open", "registry", nullable=True),
        Column("reference", pl.String, "why the mapping is right", "registry"),
    ),
)

LINK_KINDS: Final = ("successor", "alias", "snapshot")

LINKS: Final = Table(
    "LINKS",
    (
        Column("from_model", pl.String, "vendor/model: the older model, or the other name", "registry"),
        Column(
            "to_constituent", pl.String, "vendor/model of the registry: what came after it, or what it is", "registry"
        ),
        Column(
            "kind",
            pl.String,
            "successor: sold in its place; alias: another name of it; snapshot: a dated version of it",
            "registry",
            allowed=LINK_KINDS,
        ),
        Column("since", pl.Date, "first day on which the link holds", "registry"),
        Column("reference", pl.String, "who says so", "registry"),
    ),
    key=("from_model", "kind", "since"),
)

_UNUSED: Final = ("quantization", "uptime", "discount", "reference", "licence", "tax", "valid_to")
"""What the stages do not look at, and a record leaves in the captures."""

STANDARDISED: Final = Table(
    "STANDARDISED",
    (
        Column("fixing_date", pl.Date, "the fixing the row is considered for", "select"),
        *(c for c in OBSERVATIONS.columns if c.name not in _UNUSED),
        Column("constituent", pl.String, "vendor/model by the registry; null: unmapped", "select", nullable=True),
        Column("host", pl.String, "vendor, host or router", "select", nullable=True),
        Column("source_tier", pl.Int64, "tier of the source and host; null: not allowed", "select", nullable=True),
        Column("rate", MONEY, "exchange rate", "select", "index currency per currency", nullable=True),
        Column("standard_price", MONEY, "the price", "standardise", "index currency per 1M tokens", nullable=True),
        Column("excluded_by", pl.String, "reason code; null: used", "screen", nullable=True),
    ),
)

ELEMENTARY: Final = Table(
    "ELEMENTARY",
    (
        Column("fixing_date", pl.Date, "the fixing date", "consolidate"),
        Column("constituent", pl.String, "vendor/model", "consolidate"),
        Column("component", pl.String, "component of the blend", "consolidate"),
        Column("parts", pl.Int64, "parts of the component in the mix", "consolidate"),
        Column("price", MONEY, "the elementary price", "consolidate", "index currency per 1M tokens", nullable=True),
        Column("imputed_from", pl.String, "the component whose price it takes", "consolidate", nullable=True),
        Column("source_tier", pl.Int64, "tier the price comes from", "consolidate", nullable=True),
        Column("quotes", pl.Int64, "observations in that tier", "consolidate", "observations", nullable=True),
        Column("agreeing", pl.Int64, "of which agree with the price", "consolidate", "observations", nullable=True),
        Column("sources", pl.Int64, "distinct sources that agree", "consolidate", "sources", nullable=True),
        Column("excluded_by", pl.String, "reason code; null: used", "consolidate", nullable=True),
    ),
    key=("fixing_date", "constituent", "component"),
)

CONSTITUENTS: Final = Table(
    "CONSTITUENTS",
    (
        Column("fixing_date", pl.Date, "the fixing date", "consolidate"),
        Column("constituent", pl.String, "vendor/model", "consolidate"),
        Column("vendor", pl.String, "who made the model", "consolidate"),
        Column("price", MONEY, "blended price", "consolidate", "index currency per 1M tokens", nullable=True),
        Column("source_tier", pl.Int64, "worst tier among its components", "consolidate", nullable=True),
        Column("sources", pl.Int64, "fewest agreeing sources among them", "consolidate", "sources", nullable=True),
        Column("excluded_by", pl.String, "why there is no price; null: there is one", "consolidate", nullable=True),
        Column("relative", MONEY, "price over the last price before", "relate", "ratio", nullable=True),
        Column("outlier_by", pl.String, "reason code; null: believed", "flag_outliers", nullable=True),
        Column("used_price", MONEY, "price in use", "flag_outliers", "index currency per 1M tokens", nullable=True),
        Column("used_date", pl.Date, "the fixing date that price was observed for", "flag_outliers", nullable=True),
        Column("tokens", pl.Int64, "tokens in the lagged window", "weigh", "tokens", nullable=True),
        Column("quantity", WIDE, "quantity in the formula; null: not a member", "weigh", "tokens", nullable=True),
        Column("weight", MONEY, "share of weight; null: not a member", "weigh", "share", nullable=True),
    ),
    key=("fixing_date", "constituent"),
)

BASKET: Final = Table(
    "BASKET",
    (
        Column("basket", pl.Int64, "0 is the basket of the base date", "rebalance"),
        Column("announced_on", pl.Date, "date of the prices and volumes that formed it", "rebalance"),
        Column("takes_over_after", pl.Date, "the rebalance date", "rebalance"),
        Column("constituent", pl.String, "vendor/model", "rebalance"),
        Column("vendor", pl.String, "who made the model", "rebalance"),
        Column("tokens", pl.Int64, "lagged volume", "rebalance", "tokens"),
        Column("base_price", MONEY, "price on the announcement date", "rebalance", "index currency per 1M tokens"),
        Column("uncapped_weight", MONEY, "share of expenditure", "rebalance", "share"),
        Column("weight", MONEY, "share of expenditure under the caps", "rebalance", "share"),
        Column("quantity", WIDE, "tokens in the basket", "rebalance", "tokens"),
        Column("divisor", WIDE, "divisor of the level", "rebalance", "1e-15 index currency per index point"),
    ),
    key=("basket", "constituent"),
)

FIXINGS: Final = Table(
    "FIXINGS",
    (
        Column("index", pl.String, "name of the index, with its component", "fix"),
        Column("version", pl.String, "version of the methodology", "fix"),
        Column("fixing_date", pl.Date, "the date", "fix"),
        Column("status", pl.String, "status of the waterfall's rung", "fix"),
        Column("rung", pl.Int64, "position in the waterfall, 1 is best", "fix"),
        Column("reason", pl.String, "why not the first rung; null: it is the first", "fix", nullable=True),
        Column("price", MONEY, "the published price", "fix", "index currency per 1M tokens", nullable=True),
        Column("level", MONEY, "the published level of the index", "fix", "index points", nullable=True),
        Column("currency", pl.String, "currency of the price", "fix", "ISO 4217"),
        Column("dates_stale", pl.Int64, "fixing dates since the figure was calculated", "fix", "dates", nullable=True),
        Column("constituents", pl.Int64, "constituents with a price in use", "fix"),
        Column("carried", pl.Int64, "of which carried from an earlier date", "fix"),
        Column("vendors", pl.Int64, "vendors of the constituents in use", "fix"),
        Column("members", pl.Int64, "constituents that have a weight", "fix"),
        Column("coverage", MONEY, "share of weight observed for the date", "fix", "share", nullable=True),
        Column("volume_coverage", MONEY, "share of all known tokens in use", "fix", "share", nullable=True),
        Column("volume", WIDE, "all known tokens in the window", "fix", "tokens", nullable=True),
        Column("volume_days", pl.Int64, "complete days in the window", "fix", "days"),
        Column("p01", MONEY, "1st volume-weighted percentile of prices", "fix", "as price", nullable=True),
        Column("p25", MONEY, "25th", "fix", "as price", nullable=True),
        Column("p75", MONEY, "75th", "fix", "as price", nullable=True),
        Column("p99", MONEY, "99th", "fix", "as price", nullable=True),
        Column("weight_tier_1", MONEY, "share of weight priced from tier 1", "fix", "share", nullable=True),
        Column("weight_tier_2", MONEY, "from tier 2", "fix", "share", nullable=True),
        Column("weight_tier_3", MONEY, "from tier 3", "fix", "share", nullable=True),
        Column("oldest_price_dates", pl.Int64, "age of the oldest price in use", "fix", "dates", nullable=True),
    ),
    key=("index", "version", "fixing_date"),
)

FINDINGS: Final = Table(
    "FINDINGS",
    (
        Column("reason", pl.String, "reason code of the guard, or judgment", "guard"),
        Column("severity", pl.String, "whether the price is held back", "guard", allowed=("hold", "note")),
        Column("cause", pl.String, "the cause that the figures suggest", "guard"),
        Column("held_until", pl.String, "what releases it, besides a judgment", "guard", allowed=HELD_UNTIL),
        Column("source", pl.String, "who reports the price", "guard"),
        Column("provider", pl.String, "who sells; null: the finding is of the source", "guard", nullable=True),
        Column("model", pl.String, "the model, in the source's spelling", "guard", nullable=True),
        Column("component", pl.String, "what the token is used for", "guard", nullable=True),
        Column("service_tier", pl.String, "class of service", "guard", nullable=True),
        Column("region", pl.String, "where it is sold; empty: everywhere", "guard", nullable=True),
        Column("context_from", pl.Int64, "the bracket's beginning", "guard", "tokens", nullable=True),
        Column("constituent", pl.String, "vendor/model by the registry; null: unmapped", "guard", nullable=True),
        Column("price", MONEY, "the price", "guard", "its currency per 1M tokens", nullable=True),
        Column("before", MONEY, "the price of this quote believed last", "guard", "as price", nullable=True),
        Column("others", MONEY, "lower median of other sources' prices", "guard", "as price", nullable=True),
        Column("ratio", MONEY, "price over the one before, or over the others'", "guard", "ratio", nullable=True),
        Column("currency", pl.String, "currency of the price", "guard", "ISO 4217", nullable=True),
        Column("row", pl.Int64, "first row of the price in `Inputs.quotes`", "guard", nullable=True),
        Column("last_row", pl.Int64, "last row that repeats it", "guard", nullable=True),
        Column("capture", pl.String, "SHA-256 of the bytes of the first row", "guard", nullable=True),
        Column("locator", pl.String, "where it stands in them", "guard", nullable=True),
        Column("held_from", UTC, "since when it is held back, or noted", "guard"),
        Column("released_at", UTC, "since when no longer; null: not released", "guard", nullable=True),
        Column(
            "released_by",
            pl.String,
            "what confirmed it",
            "guard",
            nullable=True,
            allowed=CONFIRMATIONS,
        ),
        Column("ended_at", UTC, "since when the source says otherwise; null: it still says so", "guard", nullable=True),
    ),
)

HOLDS: Final = Table(
    "HOLDS",
    (
        Column("row", pl.Int64, "row of `Inputs.quotes`", "guard"),
        Column("held_from", UTC, "since when it is held back", "guard"),
        Column("released_at", UTC, "since when no longer; null: still held", "guard", nullable=True),
        Column("reason", pl.String, "reason code of the first guard", "guard"),
    ),
    key=("row", "held_from"),
)

JUDGMENTS: Final = Table(
    "JUDGMENTS",
    (
        Column("decided_at", UTC, "when it was decided", "judgment"),
        Column("known_at", UTC, "when it could first be known; the cut-off compares with this", "judgment"),
        Column("decision", pl.String, "what was decided", "judgment", allowed=DECISIONS),
        Column("source", pl.String, "the row it concerns: who reports the price", "judgment"),
        Column("provider", pl.String, "who sells, in the source's spelling", "judgment"),
        Column("model", pl.String, "the model, in the source's spelling", "judgment"),
        Column("component", pl.String, "what the token is used for", "judgment", allowed=COMPONENTS),
        Column("price", SOURCE_MONEY, "the price as the source writes it", "judgment", "currency per unit of the row"),
        Column("valid_from", UTC, "since when the price held, as on the row", "judgment"),
        Column("reason", pl.String, "why", "judgment"),
        Column("decided_by", pl.String, "person and role", "judgment"),
        Column("approved_by", pl.String, "another person and role", "judgment"),
        Column("reference", pl.String, "address or citation of the evidence", "judgment", nullable=True),
        Column("capture", pl.String, "SHA-256 of the bytes", "judgment"),
        Column("locator", pl.String, "line inside them", "judgment"),
    ),
)

TABLES: Final = (
    OBSERVATIONS,
    VOLUMES,
    SIGHTINGS,
    UNREAD,
    RATES,
    REJECTS,
    REGISTRY,
    LINKS,
    STANDARDISED,
    ELEMENTARY,
    CONSTITUENTS,
    BASKET,
    FIXINGS,
    FINDINGS,
    HOLDS,
    JUDGMENTS,
)
