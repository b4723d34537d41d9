"""The commands of the command line: each is a function of its options that gives an answer.

*Reads* options and a home. *Writes* the answer, as text and as JSON, and talk to stderr. *Never* calculates: each command
is a few calls of the library.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from ..errors import DeterminationError, InputDataError, LedgerError, TokenIndexError

if TYPE_CHECKING:
    from ..determination import Determination
    from ..home import Home
    from ..inputs import Inputs

Answer = tuple[str, Any]
"""The text for people, and the same as JSON."""
HELD = 10
"""Exit code of `check` when a price is held back: no error, but someone should look before the fixing is made."""


def talk(text: str) -> None:
    print(text, file=sys.stderr)


def complain(error: TokenIndexError, about: str = "") -> None:
    talk(f"{about}{type(error).__name__}: {error}\n(to be solved by {error.who})")


def facts_of(error: TokenIndexError) -> dict[str, str]:
    facts = {k: getattr(error, k) for k in ("found", "expected", "remedy", "where", "who")}
    return {"error": type(error).__name__, **facts}


def of_disk(wrong: OSError) -> LedgerError:
    remedy = "see that the file or folder exists, and may be read and written"
    return LedgerError(f"{wrong.strerror or wrong}", where=str(wrong.filename or ""), remedy=remedy)


def progress(text: str) -> None:
    """Show one line of progress: on a terminal it replaces the one before, elsewhere nothing is printed."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def home_of(options: argparse.Namespace) -> Home:
    from ..home import Home

    if options.home:
        return Home.open(options.home)
    talk("(no --home: using the shipped sample data)")
    return Home.sample()


def own_home(options: argparse.Namespace) -> Home:
    from ..home import Home

    if not options.home:
        raise InputDataError("no home is named", expected="--home HOME", remedy="make one with: tokenindex init HOME")
    return Home.open(options.home)


def known_of(options: argparse.Namespace, home: Home) -> datetime | None:
    if options.known_at is None:
        return home.known_at
    if options.known_at == "cut-off":
        return None
    try:
        return moment_of(options.known_at)
    except argparse.ArgumentTypeError as wrong:
        raise DeterminationError(str(wrong), where="--known-at", expected="'cut-off' or a moment") from None


def determined(options: argparse.Namespace, home: Home, dates: Sequence[date]) -> tuple[Determination, Inputs]:
    from ..determination import determine

    methodology = home.methodology(options.index, max(dates))
    inputs = home.inputs(since=min(dates), progress=progress)
    progress(f"determining {len(dates)} fixings of {methodology.index}")
    found = determine(methodology, inputs, dates=dates, known_at=known_of(options, home))
    progress("")
    for note in found.notes:
        talk(f"note: {note}")
    return found, inputs


def moment_of(text: str) -> datetime:
    from ..captures import moment

    try:
        return moment(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a moment: expected YYYY-MM-DDTHH:MM:SSZ") from None


def moment_of_act(options: argparse.Namespace) -> datetime:
    """Return the moment of an act: what the command line says, or what the clock says."""
    said: datetime | None = options.at
    now = datetime.now(UTC)
    if said and said > now:
        raise LedgerError(f"{said:%Y-%m-%d %H:%M}Z lies ahead", where="--at", expected=f"up to {now:%Y-%m-%d %H:%M}Z")
    return said or now
