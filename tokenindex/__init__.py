"""tokenindex: benchmark fixings of AI-model token prices that an outsider can reproduce bit for bit.

    >>> from datetime import date
    >>> import tokenindex as ti
    >>> home = ti.Home.sample()
    >>> tix = home.methodology("tix", date(2026, 6, 26))
    >>> result = ti.determine(tix, home.inputs(), dates=[date(2026, 6, 26)], known_at=home.known_at)
    >>> result.fixing(date(2026, 6, 26))["status"]
    'determined'

Names are imported when they are first used: ``import tokenindex`` loads no other library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .attribution import contributions
    from .determination import Determination, determine
    from .documents import load
    from .errors import TokenIndexError
    from .home import Home
    from .inputs import Inputs
    from .methodology import Methodology
    from .records import Record, record
    from .verification import verify

_WHERE = {
    "Determination": "determination",
    "Home": "home",
    "Inputs": "inputs",
    "Methodology": "methodology",
    "Record": "records",
    "TokenIndexError": "errors",
    "contributions": "attribution",
    "determine": "determination",
    "load": "documents",
    "record": "records",
    "verify": "verification",
}

__all__ = [
    "Determination",
    "Home",
    "Inputs",
    "Methodology",
    "Record",
    "TokenIndexError",
    "contributions",
    "determine",
    "load",
    "record",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'tokenindex' has no attribute {name!r}")
    found = getattr(import_module(f".{_WHERE[name]}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
