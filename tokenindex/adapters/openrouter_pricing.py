"""OpenRouter's ``pricing`` objects, as they stand in the models list and in the answers per host.

*Reads* one pricing object, USD per token as text, with its overrides by prompt length or by time of day. *Writes* its
prices as rows of a capture. *Never* reads prices per image, request or search, and never corrects the float dust of the
source.

An override holds for prompts longer than ``min_prompt_tokens``, and from ``utc_start`` until ``utc_end``, daily clock
numbers such as 1030 for 10:30; a price that it does not name is the one of the object. One with any other condition is
rejected whole. So are the overrides of one price by time of day if their hours overlap or others go by prompt length
alone: the source lets the later one win where both hold, and no single row says when that is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from .reading import shown
from .rows import Quote, Rows, whole

_COMPONENTS: Final = {
    "prompt": "input",
    "completion": "output",
    "input_cache_read": "cache_read",
    "input_cache_write": "cache_write",
    "input_cache_write_1h": "cache_write_1h",
    "internal_reasoning": "output_reasoning",
    "audio": "input_audio",
    "audio_output": "output_audio",
    "input_audio_cache": "cache_read_audio",
    "image_token": "input_image",
    "image_output": "output_image",
}
_HOURS: Final = frozenset({"utc_start", "utc_end"})
_CONDITIONS: Final = frozenset({"min_prompt_tokens", *_HOURS})
_NO_TOKEN_PRICE: Final = frozenset({"image", "request", "web_search", "discount", "overrides", *_CONDITIONS})
_DAY: Final = 24 * 60
_TIERS: Final = {"free": "free", "batch": "batch"}

_Window = tuple[int, int]
"""Minutes of the day, the first one inside and the first one after."""
_Timed = tuple[_Window, str, Quote]


def service_tier(model: str) -> str:
    """Return the class of service that a model's identifier names after its colon."""
    return _TIERS.get(model.rpartition(":")[2], "standard") if ":" in model else "standard"


def add_prices(rows: Rows, pricing: dict[str, Any], *, at: str, model: str, **fields: Any) -> None:
    """Add the prices of one pricing object; `at` is its place, with a slash behind it."""
    quotes = rows.quotes(pricing, names=_COMPONENTS, ignored=_NO_TOKEN_PRICE, at=at)
    timed: list[_Timed] = []
    bracketed: set[str] = set()
    for window, found in _overrides(rows, pricing.get("overrides"), at=f"{at}overrides"):
        if window is None:
            quotes += found
            bracketed.update(component for component, _ in found)
        else:
            timed += [(window, component, quote) for component, quote in found]
    fields |= {"model": model, "service_tier": service_tier(model)}
    rows.ladders(quotes, **fields)
    for (first, after), ladder in _by_window(rows, timed, bracketed).items():
        rows.ladders(ladder, time_from=_clock(first), time_to=_clock(after), **fields)


def _overrides(rows: Rows, overrides: object, *, at: str) -> Iterator[tuple[_Window | None, list[tuple[str, Quote]]]]:
    """Yield the hours (null: all day) and the quotes of each override whose conditions are known."""
    if overrides is not None and not isinstance(overrides, list):
        rows.reject("unknown_field", overrides, locator=at)
    for number, override in enumerate(overrides if isinstance(overrides, list) else []):
        place = f"{at}/{number}"
        unknown = sorted(set(override) - set(_COMPONENTS) - _NO_TOKEN_PRICE) if isinstance(override, dict) else [""]
        if unknown or not _CONDITIONS & set(override):  # an unknown condition: the prices hold nobody knows when
            rows.reject("unknown_field", ", ".join(unknown), locator=place)
            continue
        timed = not _HOURS.isdisjoint(override)
        window = _window(override) if timed else None
        if timed and window is None:
            hours = f"{shown(override.get('utc_start'))} to {shown(override.get('utc_end'))}"
            rows.reject("not_a_time_window", hours, locator=place)
            continue
        start = override.get("min_prompt_tokens", 0)
        names, ignored = _COMPONENTS, _NO_TOKEN_PRICE
        yield window, rows.quotes(override, names=names, ignored=ignored, at=f"{place}/", context_from=start)


def _window(override: dict[str, Any]) -> _Window | None:
    first, after = _minute(override.get("utc_start")), _minute(override.get("utc_end"))
    if first is None or after is None or first == _DAY or first == after % _DAY:
        return None
    return first, after


def _minute(found: object) -> int | None:
    """Return the minute of the day that a clock number such as 1030 names; 2400 is the end of the day."""
    number = whole(found)
    if number is None or number > 2400 or number % 100 > 59:
        return None
    return number // 100 * 60 + number % 100


def _clock(minute: int) -> str:
    return f"{minute // 60 % 24:02}:{minute % 60:02}:00"


def _by_window(rows: Rows, timed: list[_Timed], bracketed: set[str]) -> dict[_Window, list[tuple[str, Quote]]]:
    """Return the quotes of each window; those of a component that also has others at the same time are rejected."""
    windows: dict[str, set[_Window]] = {}
    for window, component, _ in timed:
        windows.setdefault(component, set()).add(window)
    unclear = {component for component, found in windows.items() if component in bracketed or _overlap(found)}
    clear: dict[_Window, list[tuple[str, Quote]]] = {}
    for window, component, quote in timed:
        if component in unclear:
            rows.reject("overlapping_overrides", quote.found, locator=quote.locator, component=component)
        else:
            clear.setdefault(window, []).append((component, quote))
    return clear


def _overlap(windows: set[_Window]) -> bool:
    minutes = sum((after - first) % _DAY for first, after in windows)
    return minutes > _DAY or len(_covered(windows)) < minutes


def _covered(windows: set[_Window]) -> set[int]:
    return {
        minute % _DAY for first, after in windows for minute in range(first, after if first < after else after + _DAY)
    }
