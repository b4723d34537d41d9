"""Components, service tiers, units and currencies: the closed vocabularies of the tables.

*Reads* nothing. *Writes* nothing. *Never* guesses: a word that is not here is refused by name.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

COMPONENTS: Final = (
    "input",
    "output",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "output_reasoning",
    "input_audio",
    "output_audio",
    "cache_read_audio",
    "cache_write_audio",
    "input_image",
    "output_image",
    "cache_read_image",
    "input_video",
    "output_video",
    "output_citation",
)
"""What a token was used for. A price belongs to one component; a blend is a declared mix of components."""

VOLUME_COMPONENTS: Final = (*COMPONENTS, "total")
"""Volumes may also be reported for prompt and completion tokens together."""

SERVICE_TIERS: Final = ("standard", "batch", "flex", "priority", "fast", "free")

PER_MTOK: Final[dict[str, Fraction]] = {
    "per_token": Fraction(10**6),
    "per_1k_tokens": Fraction(10**3),
    "per_1m_tokens": Fraction(1),
    "cents_per_token": Fraction(10**4),
}
"""Price unit -> the factor that turns a price in that unit into currency units per million tokens."""

CURRENCIES: Final = frozenset(
    (
        "AED ARS AUD BGN BRL CAD CHF CLP CNY CZK DKK EUR GBP HKD HRK HUF IDR ILS INR ISK JPY KRW MXN MYR NOK NZD PHP "
        "PLN RON RUB SAR SEK SGD THB TRY TWD USD VND ZAR"
    ).split()
)
"""ISO 4217 codes in which a price may be quoted."""

DATE_KINDS: Final = ("declared", "first_seen", "undated")
SCOPES: Final = ("router", "cloud", "provider", "own")
TAXES: Final = ("excluded", "included", "unknown")

DECISIONS: Final = ("release", "hold")
CONFIRMATIONS: Final = ("second_source", "second_day", "judgment")
"""What may release a price that is held back."""

HELD_UNTIL: Final = ("not_held", "second_source", "second_day", "confirmed", "judgment")
"""Until what a guard holds a price; ``confirmed`` is the first of a second source and a second day."""

ZONES: Final = frozenset(
    "UTC Asia/Shanghai Asia/Tokyo Asia/Seoul Asia/Singapore Asia/Kolkata Asia/Dubai Europe/London Europe/Berlin "
    "Europe/Paris America/New_York America/Chicago America/Los_Angeles".split()
)
"""Zones, as named in the tz database, in which a time of day may be quoted."""
