"""Sentences: what a methodology document says, in words for people.

*Reads* a methodology. *Writes* Markdown. *Never* holds a number: every one is taken from the document and written as it
stands there, so that it can be looked up; a field that the document does not have is an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, Final

from .documents import ONE_RULE, RULE_LISTS
from .methodology import Methodology

TITLES: Final[dict[str, str]] = {
    "identity": "Identity",
    "measures": "What it measures",
    "calendar": "Fixing dates and cut-off",
    "inputs": "Prices and rates that may enter",
    "volumes": "Volumes",
    "guards": "Prices that look like a mistake",
    "release": "What confirms a price that is held back",
    "screens": "Prices that do not enter",
    "workloads": "One price for one model",
    "consolidation": "One price for one thing",
    "outliers": "Prices that are not believed at once",
    "formula": "The figure",
    "waterfall": "When inputs are thin",
    "publication": "Publication",
    "restatement": "Restatement and correction",
    "judgment": "Judgment",
}

SECTIONS: Final[dict[str, str]] = {
    "identity": "{name}, index `{index}`, version {version}, in force from {effective_from}. Administrator: "
    "{administrator}.",
    "measures": "{statement}\n\nCurrency: {currency}. Kinds of model: {kinds}. Vendors: {vendors}.",
    "calendar": "There is a fixing on every {weekdays}. Dates of these without one: {closed}. Nothing that becomes "
    "known after {cut_off}, at {offset} from UTC all year, enters the fixing of the date. The calendar knows the "
    "dates from {opens} to {closes}: for another there is no fixing.",
    "inputs": "The best tier decides, the lowest number first. These sources of prices are allowed, and no others:\n\n"
    "{prices}\n\nA source that was not looked at for more than {max_days_unseen} days is not used. Prices in other "
    "currencies are converted at the latest rates of `{rates}`, which may be {max_rate_age_days} days old. A model "
    "without a new price keeps its last believed one for up to {carry_dates} fixing dates.",
    "volumes": "Tokens count as they are reported by {sources}, for the components {components} and the classes of "
    "service {service_tiers}: those of the last {window_days} days up to the day that lies {lag_days} days before "
    "the fixing date. Complete days that must be known: {min_days}; with fewer there is no volume.",
    "release": "Other sources that must show the price: {confirming_sources}, each within a share of {tolerance} of "
    "it. Days after the first one on which the source must have been looked at and still show it: {later_days}.",
    "workloads": "### `{name}`\n\n{measured}\n\nClasses of service that are bought: {service_tiers}. The price of a "
    "model is the mean of the prices of its components, weighted by these parts: {mix}. Where a seller does not sell "
    "a component on its own, another is paid for in its place: {instead}. Prices that depend on the length of the "
    "prompt count with the parts of the tokens that are used at each length; the hours of the day count alike:\n\n"
    "{prompts}",
    "publication": "The price is published with {price_decimals} decimals and a level, where there is one, with "
    "{level_decimals}, both rounded half to even. A vintage counts what is known so many hours after the cut-off: "
    "{vintages}. What is published as final stands, but for a restatement.",
    "restatement": "A correction within {window_hours} hours of the publication that changes the figure by a share of "
    "{threshold} or more replaces it. Any other goes into a series of corrected figures beside the published one. "
    "Either needs the approval of {approvers} different people.",
    "judgment": "What people may decide about a single price: {allowed}. No other decision has an effect. A judgment "
    "names who decided and another person who approved it; it counts from when its file was captured, and is part of "
    "the record of every fixing that rests on it.",
}
"""What a section says that is not a list of rules. A list of tables in a section has its template in `PARTS`."""

PARTS: Final[dict[str, str]] = {
    "prices": "tier {tier}: `{source}`, prices of {hosts}",
    "prompts": "prompts of {tokens} tokens: {parts}",
}

OPENINGS: Final[dict[str, str]] = {
    "guards": "Every change of a price is looked at before it is used. A price that is held back does not enter, and "
    "no worse tier is asked in its place: the model keeps its last believed price, unless another source of the tier "
    "has one.",
    "screens": "Every report is looked at by itself; the first rule that applies is the reason for which it does not "
    "enter. Reports of sources, models, components and classes of service that this document does not name do not "
    "enter either.",
    "outliers": "The prices of the date are looked at together. The first rule that applies is the reason for which "
    "one is not believed: the model keeps its last believed price. A change is counted from the last date that had a "
    "price, so that one that the next date repeats is believed then.",
    "waterfall": "The first of these that holds is what is published:",
}
"""What stands before a list of rules."""

SENTENCES: Final[dict[str, dict[str, str]]] = {
    "guard": {
        "unit_factor": "The price differs by a factor of about {factors} (within a share of {tolerance}) from the one "
        "before, or from other sources: its unit may be mistaken. {held_until}",
        "currency_factor": "All components of an offer move by about the exchange rate (within a share of "
        "{tolerance}) between its currency and {currencies}, or a first price differs so from other sources: its "
        "currency may be mistaken. {held_until}",
        "vat_factor": "All components of an offer move by a rate of value added tax out of {rates} (within a share of "
        "{tolerance}): tax may have been added or taken off. {held_until}",
        "component_swapped": "The prices of input and output, or of cache read and cache write, have changed places "
        "(within a share of {tolerance}). {held_until}",
        "component_order": "An output price lies below the input price of the same offer, or a cache read price above "
        "it. {held_until}",
        "alias_repointed": "The name of a model may now stand for another: the source says so, or all its prices are "
        "at once those of another model of the seller. {held_until}",
        "tiers_reordered": "The same prices as before stand at other lengths of prompt. {held_until}",
        "frozen": "The price has not changed for more than {days} days. It is noted, and used all the same.",
        "stale_source": "The source was not looked at for more than {days} days. This is noted.",
        "sources_disagree": "A new price of {hosts} is further than a share of {tolerance} from that of other "
        "sources. {held_until}",
        "unconfirmed_jump": "The price changes by more than a factor of {bound}, or a first price differs so from "
        "other sources. {held_until}",
        "flapping": "The price has changed at least {changes} times within {days} days, this change included: the "
        "quote jumps between offers. {held_until}",
        "promotional_zero": "The price is zero where something was charged before, or is charged by other sources. "
        "{held_until}",
    },
    "screen": {
        "region": "Only prices of these regions enter: {allowed}. The empty region is a price that holds everywhere.",
        "date_kind": "Only prices whose beginning is of one of these kinds enter: {allowed}.",
        "not_alias": "Rows that repeat the price of another model do not enter.",
        "positive_price": "Zero (free, a subscription or unknown) and negative prices do not enter; the component "
        "counts as one without a price of its own.",
        "price_bounds": "Only prices from {lowest} to {highest}, in the currency of the index per million tokens, "
        "enter.",
    },
    "consolidation": {
        "tiered_lower_median": "The reports of the best tier that has any make the price of one component of one "
        "model: their lower median, provided that a share of more than {min_agreeing} of them lie within a share of "
        "{agreement} of it. Without that agreement there is no price of the date. Prices that disagree are never "
        "averaged.",
    },
    "outlier": {
        "robust_z": "The change of the price (as a logarithm) lies more than {cutoff} robust standard deviations from "
        "the median change of all models of the date, and fewer than {confirming_sources} sources agree on it. The "
        "standard deviation is the median absolute deviation, scaled as for a normal distribution and never taken "
        "below {floor}.",
        "fixed_cutoff": "The price changes by more than a factor of {factor} up or down, however many sources report "
        "it.",
        "confirmed_jump": "The price changes by more than a factor of {bound} up or down, and fewer than "
        "{confirming_sources} sources agree on it.",
        "worse_tier": "The price is of a worse tier than the best of the last {dates} fixing dates.",
    },
    "formula": {
        "fixed_basket": "The price is the cost of a fixed basket of tokens over the number of its tokens. The level "
        "is the chained index of that cost, {base_level} on {base_date}, and moves by prices alone.\n\nA basket is "
        "formed from the prices and volumes of its announcement, {announce_dates} fixing dates before the rebalance, "
        "and takes over after the fixing of the rebalance date: the first fixing date from day {rebalance_day} of a "
        "month on. The models with the largest expenditure (price times volume) enter, {max_constituents} at most, "
        "if their price was observed for the announcement date itself. No model has more than a share of {model_cap} "
        "of the expenditure and no vendor more than {vendor_cap}; what a cap cuts off goes to the others in "
        "proportion. The quantities are such that the basket costs {notional} in the currency of the index on its "
        "announcement. The new basket is linked so that the level does not move by the rebalance. A member without a "
        "price moves as the others do on average. Where a basket cannot be formed or linked, the one before stays in "
        "force.",
        "volume_weighted_mean": "The price is the mean of the prices of the models, weighted by their tokens in the "
        "window of volumes. It moves with the mix of models as well as with prices: it is a level of prices and not "
        "an index of them. There is no basket, nothing is rebalanced and nothing is capped.",
    },
    "waterfall": {
        "minimums": "Status `{status}`: the calculated figure, with at least {constituents} constituents of at least "
        "{vendors} vendors that have a price in use, and at least a share of {coverage} of the weight whose price "
        "was observed for the date itself.",
        "carry_forward": "Status `{status}`: the last calculated figure once more, up to {max_dates} fixing dates "
        "after it.",
        "no_fixing": "Status `{status}`: no figure.",
    },
}
"""What each rule says, by its slot and name. It names every parameter of the rule."""

WORDS: Final[dict[str, dict[Any, str]]] = {
    "held_until": {
        "not_held": "It is noted, and used all the same (`not_held`).",
        "second_source": "It is held back until other sources confirm it (`second_source`).",
        "second_day": "It is held back until later days confirm it (`second_day`).",
        "confirmed": "It is held back until other sources or later days confirm it (`confirmed`).",
        "judgment": "It is held back until a judgment releases it (`judgment`).",
    },
    "weekdays": dict(enumerate(("Monday Tuesday Wednesday Thursday Friday Saturday Sunday").split(), start=1)),
}
"""Words for what a document writes as a code."""
NOTHING: Final = {"vendors": "every vendor", "allowed": "nothing"}
"""Words for an empty list; others are none."""


def section_text(methodology: Methodology, section: str) -> str:
    """Return what one section of a document says, without its title."""
    found = methodology.tables[section]
    if section in ONE_RULE:
        return _rule(section, found)
    if section in RULE_LISTS:
        rules = [f"- {_rule(RULE_LISTS[section], rule)}" for rule in found]
        return "\n\n".join([OPENINGS[section], "\n".join(rules) or "No rule."])
    tables = found if isinstance(found, list) else [found]
    return "\n\n".join(filled(SECTIONS[section], table) for table in tables)


def _rule(slot: str, table: Mapping[str, Any]) -> str:
    return f"{filled(SENTENCES[slot][table['rule']], table)} (Rule `{table['rule']}`.)"


def filled(template: str, table: Mapping[str, Any]) -> str:
    """Return a template with the entries of a table in its fields; ``{section.key}`` looks into a table inside."""

    def entry(field: re.Match[str]) -> str:
        *path, key = field[1].split(".")
        there = table
        for step in path:
            there = there[step]
        return said(key, there[key])

    return re.sub(r"\{([\w.]+)\}", entry, template)


def said(key: str, found: Any) -> str:
    """Return what a document gives for a key as words: numbers as they stand there, with commas between thousands."""
    if isinstance(found, Mapping):
        return _listed(_pair(*pair) for pair in found.items()) or "none"
    if isinstance(found, list):
        if found and isinstance(found[0], Mapping):
            return "\n".join(f"- {filled(PARTS[key], part)}" for part in found)
        return _listed(_entry(key, part) for part in found) or NOTHING.get(key, "none")
    return WORDS.get(key, {}).get(found) or _plain(found)


def _entry(key: str, found: Any) -> str:
    """Return an entry of a list: a text is a code of the document."""
    if isinstance(found, str):
        return f"`{found}`" if found else '`""`'
    return WORDS.get(key, {}).get(found) or _plain(found)


def _pair(name: str, found: Any) -> str:
    """Return an entry of a table: a number of something, or a thing in place of another."""
    return f"`{found}` for `{name}`" if isinstance(found, str) else f"`{name}` {_plain(found)}"


def _plain(found: int | Decimal | date | str) -> str:
    if isinstance(found, Decimal):
        return f"{found:f}"
    return f"{found:,}" if isinstance(found, int) else str(found)


def _listed(words: Iterable[str]) -> str:
    """Return words as an enumeration: a, b and c."""
    *most, last = [*words] or [""]
    return f"{', '.join(most)} and {last}" if most else last
