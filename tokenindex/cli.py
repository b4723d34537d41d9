"""The command line.

*Reads* arguments and a home folder. *Writes* the answer to stdout and everything else to stderr. *Never* calculates:
each command is a few calls of the library.
"""

from __future__ import annotations

import argparse
import gc
import inspect
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__
from .errors import DeterminationError, InputDataError, LedgerError, TokenIndexError
from .report import (
    columns,
    explained,
    fixing_text,
    input_text,
    moved_text,
    reasons,
    short_row,
    succession_text,
    unread_text,
)

if TYPE_CHECKING:
    from .adapters import Parsed
    from .determination import Determination
    from .home import Home
    from .inputs import Inputs
    from .methodology import Methodology
    from .sources import Source

_PACKAGE = "package:genai-prices"
HELD = 10
"""Exit code of `check` when a price is held back: no error, but someone should look before the fixing is made."""
Answer = tuple[str, Any]
"""The text for people, and the same as JSON."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0, 2 for wrong usage, 10 if `check` holds a price, or an error family's."""
    options = _parser().parse_args(arguments)
    try:
        try:
            text, content = options.run(options)
            print(json.dumps(content, indent=2, default=str) if options.json else text, flush=True)
        except BrokenPipeError:  # the reader has seen enough: no traceback at exit either
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError as wrong:
            raise _of_disk(wrong) from wrong
    except TokenIndexError as error:
        _complain(error)
        if options.json:
            print(json.dumps(_facts(error), indent=2))
        return error.exit_code
    except KeyboardInterrupt:
        _talk("interrupted; nothing that was stored is changed")
        return 130
    code: int = options.exit_code
    return code


def _parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="tokenindex", description="Benchmark fixings of AI-model token prices that an outsider can reproduce."
    )
    parser.add_argument("--version", action="version", version=f"tokenindex {__version__}")
    parser.set_defaults(exit_code=0)  # a command that did a part of what was asked sets another
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="print the answer as JSON")
    homed = argparse.ArgumentParser(add_help=False, parents=[shared])
    homed.add_argument("--home", type=Path, help="home folder; without it the shipped sample data are used, read only")
    timed = argparse.ArgumentParser(add_help=False, parents=[homed])
    timed.add_argument(
        "--known-at",
        metavar="WHEN",
        help="'cut-off': each fixing as first published; or a moment: as recomputed with what was known then "
        "(without it: what home.toml says, else cut-off)",
    )

    _add_home(commands, shared, homed)
    _add_fixing(commands, homed, timed)
    _add_publication(commands, shared, homed)
    _add_storage(commands, homed)
    _add_identity(commands, homed)
    _add_reference(commands, shared)
    _add_methodology(commands, homed, timed)
    return parser


def _command(
    commands: Any, name: str, run: Callable[..., Answer], text: str, parent: argparse.ArgumentParser
) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(name, parents=[parent], help=text, description=text)
    made.set_defaults(run=run)
    return made


def _add_home(commands: Any, shared: argparse.ArgumentParser, homed: argparse.ArgumentParser) -> None:
    """Add what makes a home and brings captures into it."""
    made = _command(commands, "init", _init, "Make an empty home folder.", shared)
    made.add_argument("folder", help="a folder, or the address of one in object storage")
    made.add_argument("--store", choices=("parquet", "delta"), default="parquet", help="where rows are kept")

    text = "Store a captured file in a home folder, after reading and checking it."
    made = _command(commands, "ingest", _ingest, text, homed)
    made.add_argument("file", type=Path, help=f"a file, or {_PACKAGE}: the list that the installed package carries")
    made.add_argument("--adapter", required=True, help="the adapter that reads it")
    made.add_argument(
        "--source",
        required=True,
        help="the name of the source, as methodology and registry use it (rows in the project's own form name theirs)",
    )
    made.add_argument("--seen-at", required=True, type=_moment, metavar="WHEN", help="when the source was looked at")
    made.add_argument("--known-at", type=_moment, metavar="WHEN", help="when it could be known (without it: --seen-at)")
    made.add_argument("--licence", help="licence of the figures")
    made.add_argument("--reference", help="address the file came from")

    text = "Fetch sources that sources.toml of a home allows, and store what they give."
    made = _command(commands, "fetch", _fetch, text, homed)
    which = made.add_mutually_exclusive_group(required=True)
    which.add_argument("names", nargs="*", metavar="NAME", default=[], help="a source, by its name in sources.toml")
    which.add_argument("--all", action="store_true", help="every source")


def _add_fixing(commands: Any, homed: argparse.ArgumentParser, timed: argparse.ArgumentParser) -> None:
    """Add what makes, explains and repeats fixings."""
    named = "index, such as tix, tix.output (a component) or tix:agentic (another workload)"
    text = f"Report on the inputs of one date, worst first; exit code {HELD} if a price is held."
    made = _command(commands, "check", _check_inputs, text, timed)
    made.add_argument("index", help=named)
    made.add_argument("--date", required=True, type=_date)

    made = _command(commands, "fix", _fix, "Determine the fixing of one date.", timed)
    made.add_argument("index", help=named)
    made.add_argument("--date", required=True, type=_date)
    made.add_argument("--record", type=Path, metavar="FILE", help="write the record there instead of into the home")

    made = _command(commands, "backfill", _backfill, "Determine the fixings of many dates at once.", timed)
    made.add_argument("index")
    made.add_argument("--from", required=True, type=_date, dest="start")
    made.add_argument("--to", required=True, type=_date, dest="end")
    made.add_argument("--records", type=Path, metavar="FOLDER", help="write the record of every date there")

    text = "Say what entered a fixing, what did not and why, and who moved it."
    made = _command(commands, "explain", _explain, text, timed)
    made.add_argument("index")
    made.add_argument("--date", required=True, type=_date)
    made.add_argument("--constituent", help="show the observations of one constituent")

    text = "Repeat a record, or all of an evidence bundle, from captures and documents."
    made = _command(commands, "verify", _verify, text, homed)
    made.add_argument("record", type=Path, help="a record, or an evidence bundle: that needs no home")
    made.add_argument("--digest", help="of a record: the published digest, or the first digits of it")
    made.add_argument("--key", metavar="ID", help="of a bundle: the first key of the ledger, as its owner published it")
    made.add_argument("--head", metavar="DIGEST", help="of a bundle: an entry that its ledger must hold")
    made.add_argument(
        "--anchor", type=Path, action="append", default=[], metavar="FILE", help="of a bundle: kept elsewhere"
    )


def _add_storage(commands: Any, homed: argparse.ArgumentParser) -> None:
    """Add what looks after the store of a home: each command is a function of `tokenindex.storeroom`."""

    def command(name: str, text: str) -> argparse.ArgumentParser:
        def run(options: argparse.Namespace) -> Answer:
            from . import storeroom

            answer: Answer = getattr(storeroom, name)(options, _own_home(options), _progress)
            _progress("")
            return answer

        return _command(commands, name, run, text, homed)

    command("store", "Describe the store of a home, and compare every row in it with its digest.")
    command("compact", "Put the small files of the store together, and collect those of writers that were killed.")
    made = command("retain", "Remove captures that were last of use longer ago than must be kept.")
    made.add_argument(
        "--years", required=True, type=int, metavar="N", help="for how long everything is kept: at least 5"
    )
    made.add_argument("--at", required=True, type=_moment, metavar="WHEN", help="the moment from which is counted")
    made.add_argument("--dry-run", action="store_true", help="only list what would be removed")


def _add_identity(commands: Any, homed: argparse.ArgumentParser) -> None:
    """Add what concerns the names and volumes of models."""
    made = _command(commands, "unmapped", _unmapped, "List what the registry does not know, by volume.", homed)
    kind = made.add_mutually_exclusive_group()
    kind.add_argument("--prices", action="store_true", help="list sellers of prices instead, by number of observations")
    kind.add_argument(
        "--by-day", action="store_true", help="print the mapped share of the volume of every period instead"
    )

    made = _command(commands, "release", _release, "Average what several buyers paid, and show none of them.", homed)
    made.add_argument("folder", type=Path, help="a folder for prices.csv and volumes.csv in the project's own form")
    made.add_argument("--source", required=True, help="the name under which the released rows are known")
    made.add_argument("--known-at", required=True, type=_moment, metavar="WHEN", help="when the release is published")
    made.add_argument("--contributors", required=True, type=int, metavar="N", help="fewest contributors of a figure")
    made.add_argument("--tokens", required=True, type=int, metavar="N", help="fewest tokens of a figure")
    made.add_argument("--share", required=True, type=_decimal, metavar="S", help="largest share of one contributor")


def _add_reference(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add what describes the library."""
    _command(commands, "adapters", _adapters, "List the adapters: what each reads and gives.", shared)
    _command(commands, "tables", _tables, "Describe the tables: columns, types, units, meanings.", shared)


def _add_publication(commands: Any, shared: argparse.ArgumentParser, homed: argparse.ArgumentParser) -> None:
    """Add what the publisher does: each command is a function of `tokenindex.desk`."""

    def command(name: str, run: Callable[..., Answer], text: str, of: Any = commands) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = of.add_parser(name, parents=[homed], help=text, description=text)
        made.set_defaults(run=run)
        made.add_argument("--at", type=_moment, metavar="WHEN", help="the moment of the act (without it: now)")
        return made

    def signing(made: argparse.ArgumentParser) -> None:
        made.add_argument("--key", type=Path, metavar="FILE", help="the private key, if the ledger is signed")

    def approved(made: argparse.ArgumentParser) -> None:
        made.add_argument("--reason", required=True, help="why")
        made.add_argument("--approved-by", action="append", default=[], metavar="NAME", help="once for each person")

    made = command("publish", _at_desk("publish"), "Publish the fixing of a date, once: record, ledger, signature.")
    made.add_argument("index", nargs="+")
    days = made.add_mutually_exclusive_group(required=True)
    days.add_argument("--date", type=_date)
    days.add_argument("--from", type=_date, dest="start")
    made.add_argument("--to", type=_date, dest="end", help="with --from: every fixing date up to it")
    made.add_argument("--vintage", default="final", help="a vintage of the document (without it: final)")
    signing(made)

    made = command(
        "restate", _at_desk("restate"), "Determine a published fixing again and put the new figure on record."
    )
    made.add_argument("index")
    made.add_argument("--date", required=True, type=_date)
    made.add_argument("--known-at", type=_moment, metavar="WHEN", help="what was known then counts (without it: --at)")
    approved(made)
    signing(made)

    made = command("cease", _at_desk("cease"), "Put on record that no later date of an index is published.")
    made.add_argument("index")
    made.add_argument("--last", required=True, type=_date, help="the last fixing date")
    approved(made)
    signing(made)

    made = command("show", _at_desk("show"), "Show a past fixing: as published, as corrected, or as known at a moment.")
    made.add_argument("index")
    made.add_argument("--date", required=True, type=_date)
    made.add_argument(
        "--as-of",
        type=_as_of,
        default="official",
        metavar="WHAT",
        help="first (as first published), official, corrected, or a moment: recomputed with what was known then",
    )
    made.add_argument("--version", help="recompute by this version of the document")

    made = command(
        "ledger", _at_desk("ledger"), "Check the ledger with its signatures and records; list its last entries."
    )
    made.add_argument("--last", type=int, default=10, metavar="N", help="how many entries are listed")
    made.add_argument(
        "--anchor", type=Path, action="append", default=[], metavar="FILE", help="an anchor kept elsewhere"
    )

    command("anchor", _at_desk("anchor"), "Write down the head of the ledger, for any timestamping service.")
    command("errata", _at_desk("errata"), "Determine every published fixing again and list the differences by cause.")

    made = command("bundle", _at_desk("bundle"), "Write the evidence of published fixings into one file.")
    made.add_argument("file", type=Path)
    made.add_argument("--index", action="append", default=[], help="once for each index (without it: all)")
    made.add_argument("--from", type=_date, dest="start")
    made.add_argument("--to", type=_date, dest="end")
    signing(made)

    keys = commands.add_parser("key", help="Make a key, or put one on record.").add_subparsers(
        dest="verb", required=True, metavar="VERB"
    )
    text = "Write a new private key into a file."
    made = keys.add_parser("new", parents=[shared], help=text, description=text)
    made.set_defaults(run=_new_key)
    made.add_argument("file", type=Path)
    made = command("introduce", _at_desk("introduce_key"), "Put a public key on record: it signs from then on.", keys)
    made.add_argument("file", type=Path, help="the private key that is introduced; its public part goes on record")
    made.add_argument("--valid-to", type=_moment, metavar="WHEN", help="after that it signs nothing but its successor")
    signing(made)


def _at_desk(name: str) -> Callable[[argparse.Namespace], Answer]:
    """Return a command of the publisher, which needs a home of one's own."""

    def run(options: argparse.Namespace) -> Answer:
        from . import desk

        if getattr(options, "start", None) and not options.end and name == "publish":
            raise DeterminationError("--from without --to", expected="the last fixing date as well")
        answer: Answer = getattr(desk, name)(options, _own_home(options), _progress)
        _progress("")
        return answer

    return run


def _new_key(options: argparse.Namespace) -> Answer:
    from .desk import new_key

    return new_key(options)


def _as_of(text: str) -> str | datetime:
    return text if text in ("first", "official", "corrected") else _moment(text)


def _add_methodology(commands: Any, homed: argparse.ArgumentParser, timed: argparse.ArgumentParser) -> None:
    made = commands.add_parser("methodology", help="Check, explain or compare methodology documents.")
    verbs = made.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, run, number, text in (
        ("check", _check, "*", "Load documents (without names: every known one) and print their digests."),
        ("text", _text, 1, "Print the methodology for people, from the document; as JSON the document itself."),
        ("statement", _statement, 1, "Print a draft of the benchmark statement (EU), with what is left to be stated."),
        ("principles", _principles, 1, "Print what is evidenced of the 19 principles of IOSCO, and what is not."),
        ("diff", _diff, 2, "Print every key in which two documents differ."),
        ("impact", _impact, 2, "Print what the second document would have changed, if it had applied all the time."),
    ):
        verb = verbs.add_parser(name, parents=[timed if name == "impact" else homed], help=text, description=text)
        verb.set_defaults(run=run)
        verb.add_argument("documents", nargs=number, help="a TOML file, an index, or index@version")
    verb.add_argument("--from", required=True, type=_date, dest="start")
    verb.add_argument("--to", required=True, type=_date, dest="end")
    verb.add_argument(
        "--contract",
        action="append",
        type=_contract,
        default=[],
        dest="contracts",
        metavar="NAME:FIRST:LAST",
        help="a contract that settles on the mean of the fixings of these dates; several can be named",
    )


def _contract(text: str) -> tuple[str, date, date]:
    parts = text.rsplit(":", 2)
    if len(parts) < 3 or not parts[0]:
        raise argparse.ArgumentTypeError(f"{text!r} is not a contract: expected NAME:YYYY-MM-DD:YYYY-MM-DD")
    return parts[0], _date(parts[1]), _date(parts[2])


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date: expected YYYY-MM-DD") from None


def _moment(text: str) -> datetime:
    from .captures import moment

    try:
        return moment(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a moment: expected YYYY-MM-DDTHH:MM:SSZ") from None


def _decimal(text: str) -> Decimal:
    from .exact import parse_decimal

    try:
        return parse_decimal(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a decimal number") from None


def _talk(text: str) -> None:
    print(text, file=sys.stderr)


def _complain(error: TokenIndexError, about: str = "") -> None:
    _talk(f"{about}{type(error).__name__}: {error}\n(to be solved by {error.who})")


def _facts(error: TokenIndexError) -> dict[str, str]:
    facts = {k: getattr(error, k) for k in ("found", "expected", "remedy", "where", "who")}
    return {"error": type(error).__name__, **facts}


def _of_disk(wrong: OSError) -> LedgerError:
    remedy = "see that the file or folder exists, and may be read and written"
    return LedgerError(f"{wrong.strerror or wrong}", where=str(wrong.filename or ""), remedy=remedy)


def _progress(text: str) -> None:
    """Show one line of progress: on a terminal it replaces the one before, elsewhere nothing is printed."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _home(options: argparse.Namespace) -> Home:
    from .home import Home

    if options.home:
        return Home.open(options.home)
    _talk("(no --home: using the shipped sample data)")
    return Home.sample()


def _own_home(options: argparse.Namespace) -> Home:
    from .home import Home

    if not options.home:
        raise InputDataError("no home is named", expected="--home HOME", remedy="make one with: tokenindex init HOME")
    return Home.open(options.home)


def _known(options: argparse.Namespace, home: Home) -> datetime | None:
    if options.known_at is None:
        return home.known_at
    if options.known_at == "cut-off":
        return None
    try:
        return _moment(options.known_at)
    except argparse.ArgumentTypeError as wrong:
        raise DeterminationError(str(wrong), where="--known-at", expected="'cut-off' or a moment") from None


def _determine(options: argparse.Namespace, home: Home, dates: Sequence[date]) -> tuple[Determination, Inputs]:
    from .determination import determine

    methodology = home.methodology(options.index, max(dates))
    inputs = home.inputs(since=min(dates), progress=_progress)
    _progress(f"determining {len(dates)} fixings of {methodology.index}")
    found = determine(methodology, inputs, dates=dates, known_at=_known(options, home))
    _progress("")
    for note in found.notes:
        _talk(f"note: {note}")
    return found, inputs


def _init(options: argparse.Namespace) -> Answer:
    from .home import Home

    home = Home.init(options.folder, store=options.store)
    return f"made {home.files} with {len(home.registry)} rows of registry", {"home": str(home.files)}


def _ingest(options: argparse.Namespace) -> Answer:
    home = _own_home(options)
    if str(options.file) != _PACKAGE:
        return _ingested(options, home, options.file)
    from .adapters.genai_prices import from_package

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "genai-prices.json"
        file.write_bytes(from_package())
        return _ingested(options, home, file)


def _ingested(options: argparse.Namespace, home: Home, file: Path) -> Answer:
    if not file.is_file():
        raise InputDataError("there is no such file", where=str(file), expected="a captured file")
    known_at = options.known_at or options.seen_at
    parsed = home.ingest(
        file,
        adapter_name=options.adapter,
        source=options.source,
        seen_at=options.seen_at,
        known_at=known_at,
        licence=options.licence,
        reference=options.reference,
    )
    return _stored(parsed, known_at)


def _stored(parsed: Parsed | None, known_at: datetime) -> Answer:
    """Return what a file held that went into a home."""
    if parsed is None:
        return "these bytes are stored already; nothing changed", {"stored": False}
    sizes = {table.name: len(frame) for table, frame in parsed.tables().items() if len(frame)}
    reasons = dict(parsed.rejects.group_by("reason").len().sort("reason").iter_rows())
    lines = [f"{n:>9,} {name}" for name, n in sizes.items()]
    lines += [f"{n:>9,} rejected: {reason}" for reason, n in reasons.items()]
    shown = parsed.rejects.head(5).iter_rows(named=True)
    lines += [f"          {r['locator']}: {r['reason']}, found {r['found']!r}" for r in shown]
    for note in _backdated(parsed, known_at):
        _talk(f"note: {note}")
    content = {"stored": True, "rows": sizes, "rejects": reasons, "rejected": parsed.rejects.drop("capture").to_dicts()}
    return "\n".join(["stored", *lines]), content


def _fetch(options: argparse.Namespace) -> Answer:
    home = _own_home(options)
    known = home.sources()
    unknown = [name for name in options.names if name not in known]
    names = list(known) if options.all else list(dict.fromkeys(options.names))
    if unknown or not names:
        found = f"there is no source {unknown[0]!r}" if unknown else "no source is allowed yet"
        expected = "one of " + ", ".join(known) if known else "[sources.NAME]"
        raise InputDataError(found, where=home.where("sources.toml"), expected=expected)
    texts, contents = [], []
    for number, name in enumerate(names, start=1):
        _progress(f"fetching {number} of {len(names)}: {name}")
        try:
            text, content = _fetched(known[name], home)
        except (TokenIndexError, OSError) as wrong:
            error = _of_disk(wrong) if isinstance(wrong, OSError) else wrong
            options.exit_code = options.exit_code or error.exit_code
            _progress("")
            _complain(error, about=f"{name}: ")
            text, content = f"failed: {type(error).__name__}", {"stored": False, **_facts(error)}
        texts.append(f"{name}: {text}")
        contents.append({"name": name, **content})
    _progress("")
    return "\n".join(texts), contents


def _fetched(source: Source, home: Home) -> Answer:
    """Fetch one source and store what it gave."""
    from . import capture
    from .adapters import adapter

    adapter(source.adapter)  # nobody is asked for what could not be read
    fetched = capture.fetch(source, now=lambda: datetime.now(UTC), environment=os.environ)
    facts = fetched.capture()
    text, content = _stored(home.keep(fetched.content, facts, fetched=fetched.row()), facts.known_at)
    row = fetched.row()
    about = f"{len(fetched.content):,} bytes, asked {row['asked_at']}, attempt {fetched.attempts}, {fetched.sha256}"
    return f"{text}\n          {about}", {**content, "fetch": row | {"headers": fetched.headers}}


def _backdated(parsed: Parsed, known_at: datetime) -> list[str]:
    """Return a note for every table with rows that claim to have been known before their file was."""
    notes = []
    for table, frame in parsed.tables().items():
        early = frame.filter(frame["known_at"] < known_at) if "known_at" in frame.columns else frame.clear()
        if len(early):
            since = str(early["known_at"].min())[:16]
            what = f"{len(early):,} {table.name} say that they were known before this file was, since {since}Z"
            notes.append(f"{what}: fixings from then on can change, also as known at their cut-off")
    return notes


def _check_inputs(options: argparse.Namespace) -> Answer:
    from .guard import input_report, unmatched

    home = _home(options)
    methodology = home.methodology(options.index, options.date)
    inputs = home.inputs(progress=_progress)
    _progress("")
    known_at = _known(options, home)
    found = input_report(inputs, methodology, day=options.date, known_at=known_at)
    for lost in unmatched(inputs).iter_rows(named=True):
        _talk(f"note: the judgment at {lost['locator']} concerns no price there is: {lost['source']} {lost['model']}")
    if found.held["concerns"].any():
        options.exit_code = HELD
    content = {
        "index": methodology.index,
        "date": options.date,
        "cut_off": found.cut_off,
        "held": found.held.to_dicts(),
        "notes": found.notes.to_dicts(),
        "unread": found.unread.to_dicts(),
        "sources": found.sources.to_dicts(),
        "tokens": found.tokens,
        "unmapped_tokens": found.unmapped,
    }
    return input_text(found, methodology), content


def _fix(options: argparse.Namespace) -> Answer:
    from .records import record

    home = _home(options)
    found, inputs = _determine(options, home, [options.date])
    made = record(found, options.date, inputs=inputs, captures=home.captures())
    stored = _store(options, home, made)
    fixing = found.fixing(options.date)
    text = fixing_text(found, fixing) + f"\nrecord      {made.sha256}" + (f"\nwritten to  {stored}" if stored else "")
    if not options.json:  # a record is long to read
        return text, None
    document = made.document
    about = {"name": found.methodology.identity.name, "cut_off": document["cut_off"], "known_at": document["known_at"]}
    content = {**document["fixing"], **about, "record": made.sha256, "written_to": stored}
    return text, content


def _store(options: argparse.Namespace, home: Home, made: Any) -> str | None:
    """Write a record to --record, or into a home of one's own; the shipped sample is never written to."""
    if options.record:
        return str(_write_once(options.record, made))
    return home.where(home.save(made)) if options.home else None


def _write_once(path: Path, made: Any) -> Path:
    from .files import new_file

    new = not path.exists() and new_file(path, lambda file: file.write(made.content))
    if not new and path.read_bytes() != made.content:
        raise InputDataError("another record stands there", where=str(path), remedy="name another file")
    return path


def _backfill(options: argparse.Namespace) -> Answer:
    from .records import record

    home = _home(options)
    methodology = home.methodology(options.index, options.end)
    dates = methodology.calendar.between(options.start, options.end)
    if not dates:
        raise DeterminationError("no fixing dates in that range", expected="--from before --to")
    found, inputs = _determine(options, home, dates)
    folder = options.records
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    since = methodology.identity.effective_from  # before, the figures are a study: no record of them would verify
    kept = [day for day in dates if day >= since] if folder or options.home else []
    for number, day in enumerate(kept, start=1):
        _progress(f"record {number} of {len(kept)}: {day}")
        made = record(found, day, inputs=inputs, captures=home.captures())
        if folder:
            _write_once(folder / f"{methodology.index}_{day}.json", made)
        else:
            home.save(made)
    _progress("")
    shown = ("fixing_date", "status", "price", "level", "constituents", "carried", "coverage", "reason")
    rows = [short_row(methodology, row) for row in found.fixings.iter_rows(named=True)]
    counts = ", ".join(f"{n} {status}" for status, n in found.fixings["status"].value_counts(sort=True).iter_rows())
    _talk(f"{methodology.index} {methodology.version}: {counts}")
    if dates[0] < since:
        _talk(
            f"note: {methodology.version} is in force from {since}: figures before are not fixings, and have no record"
        )
    return columns(shown, rows), [dict(row.items()) for row in found.fixings.iter_rows(named=True)]


def _explain(options: argparse.Namespace) -> Answer:
    import polars as pl

    from .guard import unread_prices
    from .identity import successions

    home = _home(options)
    methodology = home.methodology(options.index, options.date)
    number = methodology.calendar.number(options.date)
    dates = list(methodology.calendar.dates[max(0, number - 1) : number + 1])
    found, inputs = _determine(options, home, dates)
    followed = successions(found, options.date, home.links)
    unread = unread_prices(inputs, methodology, found.only(options.date))
    if options.constituent:
        unread = unread.filter(pl.col("constituent") == options.constituent)
    parts = [fixing_text(found, found.fixing(options.date)), *explained(found, options), *unread_text(unread)]
    parts += succession_text(followed)
    observed = found.observations_on(options.date).filter(pl.col("constituent") == (options.constituent or ""))
    content = {
        "fixing": found.fixing(options.date),
        "constituents": found.constituents_on(options.date).to_dicts(),
        "elementary": found.elementary_on(options.date).to_dicts(),
        "excluded": dict(reasons(found.observations_on(options.date), "excluded_by")),
        "unread": unread.to_dicts(),
        "moved": moved_text(found, dates)[1],
        "successors": followed.to_dicts(),
        "observations": observed.to_dicts(),
    }
    return "\n\n".join(parts), content


def _verify(options: argparse.Namespace) -> Answer:
    from .verification import verify

    if not options.record.is_file():
        raise InputDataError("there is no such file", where=str(options.record), expected="a record")
    steps: list[Any] = []
    with options.record.open("rb") as file:
        is_bundle = file.read(4) == b"PK\3\4"
    if is_bundle:
        return _verified_bundle(options, steps)
    home = _home(options)
    try:
        for step in verify(options.record.read_bytes(), evidence=home.evidence(), expected_sha256=options.digest):
            steps.append(step)
    except TokenIndexError:
        _talk("\n".join(map(str, steps)))  # how far it went
        raise
    lines = [*map(str, steps), "verified: the record was reproduced bit for bit"]
    return "\n".join(lines), {"verified": True, "steps": [vars(s) for s in steps]}


def _verified_bundle(options: argparse.Namespace, steps: list[Any]) -> Answer:
    from .desk import verified_bundle

    try:
        return verified_bundle(options, _progress, steps.append)
    except TokenIndexError:
        _progress("")
        _talk("\n".join(map(str, steps)))  # how far it went
        raise


def _unmapped(options: argparse.Namespace) -> Answer:
    import polars as pl

    from .identity import other_names
    from .inputs import SELLER

    home = _home(options)
    inputs = home.inputs(progress=_progress)
    _progress("")
    if options.by_day:
        return _mapped_volume(inputs)
    key = list(SELLER)
    frame, amount = (
        (inputs.observations, pl.len()) if options.prices else (inputs.volumes, pl.col("tokens").cast(pl.Int128).sum())
    )
    measure = "observations" if options.prices else "tokens"
    totals = frame.group_by(key).agg(amount.alias(measure))
    unknown = totals.join(inputs.registry.select(key), on=key, how="anti").sort(
        pl.col(measure), *key, descending=[True, *(False for _ in key)]
    )
    whole = int(totals[measure].sum()) or 1  # nothing but zeros: shares of zero
    names_of = other_names(home.links)
    linked = [(r, names_of.get(r[2]) or names_of.get(f"{r[1]}/{r[2]}")) for r in unknown.iter_rows()]
    rows = [[*row[:3], f"{row[3]:,}", f"{row[3] / whole:.2%}", link or ""] for row, link in linked]
    names = (*key, measure, "share", "link")
    content = [dict(zip(names, (*row, row[3] / whole, link), strict=True)) for row, link in linked]
    return columns(names, rows), content


def _release(options: argparse.Namespace) -> Answer:
    from .files import LocalFiles, kept
    from .release import release

    folder: Path = options.folder
    if folder.exists() and any(folder.iterdir()):
        raise LedgerError(f"{folder} is not empty", remedy="name a folder that does not exist yet")
    inputs = _home(options).inputs(progress=_progress)
    _progress("")
    found = release(
        inputs.volumes,
        contributors_min=options.contributors,
        tokens_min=options.tokens,
        share_max=options.share,
        source=options.source,
        known_at=options.known_at,
    )
    folder.mkdir(parents=True, exist_ok=True)
    written = {"prices.csv": found.prices_csv(), "volumes.csv": found.volumes_csv()}
    for name, content in written.items():
        kept(LocalFiles(folder), name, content)
    withheld = reasons(found.withheld, "reason")
    told = ", ".join(f"{n} {reason}" for reason, n in withheld) or "none"
    text = f"released    {len(found.prices)} prices into {folder}\nwithheld    {told}"
    return text, {"released": len(found.prices), "withheld": dict(withheld), "written_to": [*written]}


def _adapters(options: argparse.Namespace) -> Answer:
    from .adapters import adapters

    content = [
        {"adapter": a.name, "version": a.version, "gives": " ".join(a.gives).lower(), "reads": _card(a.parse)}
        for a in adapters().values()
    ]
    return columns(tuple(content[0]), [list(row.values()) for row in content]), content


def _card(function: Callable[..., Any]) -> str:
    """Return the first line of what the module of a function says of itself."""
    return (inspect.getdoc(inspect.getmodule(function)) or "").split("\n")[0]


def _mapped_volume(inputs: Inputs) -> Answer:
    from .identity import mapped_volume

    found = mapped_volume(inputs)
    shown = ("source", "from", "to", "tokens", "mapped", "unmapped spellings", "largest of them")
    rows = [
        [
            source,
            str(start),
            str(end),
            f"{int(tokens):,}",
            "" if share is None else f"{share:.2%}",
            f"{number}",
            name or "",
        ]
        for source, start, end, tokens, _, share, number, name in found.iter_rows()
    ]
    return columns(shown, rows), found.to_dicts()


def _tables(options: argparse.Namespace) -> Answer:
    from .tables import TABLES

    content = {
        t.name: [
            {k: str(getattr(c, k)) for k in ("name", "dtype", "unit", "owner", "nullable", "meaning")}
            | {"allowed": list(c.allowed)}
            for c in t.columns
        ]
        for t in TABLES
    }
    return "\n".join(t.document() for t in TABLES), content


def _documents(options: argparse.Namespace) -> list[Methodology]:
    """Return the documents that the words of the command line name."""
    from .documents import load
    from .errors import MethodologyError
    from .home import Home

    known = (Home.open(options.home) if options.home else Home.sample()).documents()
    found: list[Methodology] = [] if options.documents else known
    for word in options.documents:
        path = Path(word)
        if path.suffix == ".toml":
            if not path.is_file():
                raise MethodologyError("there is no such file", where=word, expected="a TOML document")
            found.append(load(path.read_bytes(), where=word))
            continue
        index, _, version = word.partition("@")
        same = [m for m in known if m.identity.index == index and version in ("", m.version)]
        if not same:
            names = ", ".join(sorted(f"{m.identity.index}@{m.version}" for m in known))
            raise MethodologyError("no such document", where=word, expected=f"a TOML file or one of {names}")
        found.append(max(same, key=lambda m: m.identity.effective_from))
    return found


def _check(options: argparse.Namespace) -> Answer:
    found = _documents(options)
    shown = ("index", "version", "in force from", "document", "meaning")
    rows = [[m.index, m.version, str(m.identity.effective_from), m.sha256, m.meaning] for m in found]
    return columns(shown, rows), [dict(zip(shown, row, strict=True)) for row in rows]


def _text(options: argparse.Namespace) -> Answer:
    from .paperwork import methodology_text

    (m,) = _documents(options)
    return methodology_text(m), dict(m.tables)


def _statement(options: argparse.Namespace) -> Answer:
    from .paperwork import benchmark_statement, statement_rows

    (m,) = _documents(options)
    return benchmark_statement(m), statement_rows(m)


def _principles(options: argparse.Namespace) -> Answer:
    from .paperwork import counted, principle_rows, principles

    (m,) = _documents(options)
    entries = _home(options).ledger().entries if options.home else None
    counts = None if entries is None else counted([e.fields for e in entries], index=m.identity.index)
    return principles(m, counts=counts), principle_rows(counts=counts)


def _impact(options: argparse.Namespace) -> Answer:
    from .impact import Contract, impact
    from .paperwork import impact_text

    old, new = _documents(options)
    home = _home(options)
    dates = sorted({day for m in (old, new) for day in m.calendar.between(options.start, options.end)})
    contracts = [Contract(*parts) for parts in options.contracts]
    inputs = home.inputs(progress=_progress)
    _progress(f"determining {len(dates)} dates by two versions of {new.index}")
    found = impact(old, new, inputs, dates=dates, known_at=_known(options, home), contracts=contracts)
    _progress("")
    frames = {name: getattr(found, name).to_dicts() for name in ("dates", "constituents", "contracts")}
    return impact_text(found), {"keys": _keys(found.keys), "summary": found.summary, **frames}


def _diff(options: argparse.Namespace) -> Answer:
    from .methodology import differences

    old, new = _documents(options)
    found = differences(old, new)
    same = "the documents mean the same" + ("" if old.sha256 == new.sha256 else ", in other words")
    return columns(_KEYS, [list(row) for row in found]) if found else same, _keys(found)


_KEYS = ("key", "old", "new")


def _keys(found: Sequence[tuple[str, str, str]]) -> list[dict[str, str]]:
    return [dict(zip(_KEYS, row, strict=True)) for row in found]


def start() -> int:
    """Run one command as a process of its own; return its exit code.

    A command needs what it makes until it ends: to look for garbage in it, at the exit too, costs a tenth of a fixing.
    """
    gc.set_threshold(100_000)
    try:
        return main()
    finally:
        gc.freeze()


if __name__ == "__main__":
    sys.exit(start())
