"""The names that bills give to token meters: closed vocabularies, matched as a whole.

*Reads* the text of a bill. *Writes* model, component and service tier. *Never* takes a likeness for a match: a name
outside these vocabularies is nothing, and its reader rejects the row as `unknown_meter`.

A **line item** of OpenAI is ``<model>[ text|audio|image], <direction>[, long context]``, with ``priority | `` before it
for that tier; the direction is ``input``, ``cached input``, ``cache writes`` or ``output``. A **meter** of Azure is
``<model> [Batch|pp] [cached|cchd|cd] <Inp|Outp|…> <glbl|regnl|DZone|…> [1M] Tokens`` with one space or hyphen between
words; models whose name says that they are billed by another modality or fine-tuned are left out. A **plain meter** names
only what was counted: ``Input Tokens``, ``Output Tokens``, ``Cached Input Tokens``, ``Cache Read Tokens``, ``Cache Write
Tokens``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

LENGTH_MAX: Final = 200
"""Longest name that is looked at."""
_DIRECTIONS: Final = {"input": "input", "output": "output", "cached input": "cache_read", "cache writes": "cache_write"}
_MODALITIES: Final = {
    "text": _DIRECTIONS,
    "audio": {
        "input": "input_audio",
        "output": "output_audio",
        "cached input": "cache_read_audio",
        "cache writes": "cache_write_audio",
    },
    "image": {"input": "input_image", "output": "output_image", "cached input": "cache_read_image"},
}
_PLAIN: Final = {
    "input": "input",
    "output": "output",
    "cached input": "cache_read",
    "cache read": "cache_read",
    "cache write": "cache_write",
}
_AZURE: Final = re.compile(
    r"(?P<model>[a-z0-9.]+([ -][a-z0-9.]+)*?)[ -]((?P<tier>batch|pp)[ -])?((?P<cached>cached|cchd|cd)[ -])?"
    r"(?P<direction>inp|inpt|input|outp|outpt|output|opt|out)[ -]"
    r"(glbl|gl|global|regnl|rg|regional|dzone|dz|data zone)([ -]1[km])?[ -]tokens",
    re.ASCII | re.IGNORECASE,
)
_OTHERWISE_BILLED: Final = re.compile(
    r"(?i)\b(aud|audio|txt|text|img|image|rt|realtime|ft|dev|training|hosting|shortco|longco|std|batch|pp|cached|cchd|cd|wr)\b",
    re.ASCII,
)


@dataclass(frozen=True)
class Meter:
    """What a meter counts; a plain meter names no model."""

    component: str
    model: str | None = None
    service_tier: str = "standard"


def line_item(text: str) -> Meter | None:
    """Return what a line item of OpenAI's costs counts; null if it counts no tokens or is not in the vocabulary.

    Examples
    --------
    >>> line_item("gpt-4o-2024-08-06, cached input")
    Meter(component='cache_read', model='gpt-4o-2024-08-06', service_tier='standard')
    """
    text = text.strip()
    tier = "standard"
    if text.startswith("priority | "):
        tier, text = "priority", text.removeprefix("priority | ")
    parts = text.removesuffix(", long context").split(", ") if len(text) <= LENGTH_MAX else []
    if len(parts) != 2:
        return None
    words = parts[0].split(" ")
    kind = words[1] if len(words) == 2 else "text"
    component = _MODALITIES.get(kind, {}).get(parts[1])
    if component is None or len(words) > 2 or not words[0] or "|" in text:
        return None
    return Meter(component, words[0], tier)


def azure_meter(text: str) -> Meter | None:
    """Return what a meter of Azure's token models counts; null if it is not in the vocabulary.

    Examples
    --------
    >>> azure_meter("gpt-4o-0806-Inp-glbl Tokens")
    Meter(component='input', model='gpt-4o-0806', service_tier='standard')
    """
    match = _AZURE.fullmatch(text.strip()) if len(text) <= LENGTH_MAX else None
    if match is None or _OTHERWISE_BILLED.search(match["model"]):
        return None
    direction = "input" if match["direction"].lower().startswith("in") else "output"
    if match["cached"] and direction == "output":
        return None
    tier = {"batch": "batch", "pp": "priority"}.get((match["tier"] or "").lower(), "standard")
    return Meter("cache_read" if match["cached"] else direction, match["model"], tier)


def plain_meter(text: str) -> Meter | None:
    """Return what a meter counts that names no model; null if it is not in the vocabulary."""
    words = " ".join(text.lower().split()) if len(text) <= LENGTH_MAX else ""
    component = _PLAIN.get(words.removesuffix(" tokens"))
    return None if component is None else Meter(component)
