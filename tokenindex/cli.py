"""The command line.

*Reads* arguments and a home folder. *Writes* the answer to stdout and everything else to stderr. *Never* calculates:
each command is a few calls of the library.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

from . import __version__
from .commands import HELD, Answer, complain, facts_of, moment_of, of_disk, progress, talk
from .errors import TokenIndexError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0, 2 for wrong usage, 10 if `check` holds a price, or an error family's."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser(*words[:1]).parse_args(words)
    try:
        try:
            text, content = _answer(options)
            progress("")
            print(json.dumps(content, indent=2, default=_told) if options.json else text, flush=True)
        except BrokenPipeError:  # the reader has seen enough: no traceback at exit either
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError as wrong:
            raise of_disk(wrong) from wrong
    except TokenIndexError as error:
        complain(error)
        if options.json:
            print(json.dumps(facts_of(error), indent=2))
        return error.exit_code
    except KeyboardInterrupt:
        talk("interrupted; nothing that was stored is changed")
        return 130
    code: int = options.exit_code
    return code


def _told(found: object) -> str:
    """Return what JSON has no form for as text: a decimal with all its places, ``0.000000000`` and not ``0E-9``."""
    return f"{found:f}" if isinstance(found, Decimal) else str(found)


def _answer(options: argparse.Namespace) -> Answer:
    """Return the answer of a command, whose module is loaded only now."""
    module, _, name = options.run.partition(".")
    answer: Answer = getattr(import_module(f".commands.{module}", __package__), name)(options)
    return answer


def _parser(command: str = "") -> argparse.ArgumentParser:
    """Return the parser of `command` and those beside it, or of all: argparse takes a tenth of a millisecond for each."""
    parser = argparse.ArgumentParser(
        prog="tokenindex", description="Benchmark fixings of AI-model token prices that an outsider can reproduce."
    )
    parser.add_argument("--version", action="version", version=f"tokenindex {__version__}")
    parser.set_defaults(exit_code=0)  # a command that did a part of what was asked sets another
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--json", action="store_true", help="print the answer as JSON")
    homed = argparse.ArgumentParser(add_help=False, parents=[shared])
    homed.add_argument(
        "--home", help="home folder, or its address in object storage; without it the shipped sample data, read only"
    )
    timed = argparse.ArgumentParser(add_help=False, parents=[homed])
    timed.add_argument(
        "--known-at",
        metavar="WHEN",
        help="'cut-off': each fixing as first published; or a moment: as recomputed with what was known then "
        "(without it: what home.toml says, else cut-off)",
    )

    groups: dict[str, Callable[[], None]] = {
        "init ingest fetch": lambda: _add_home(commands, shared, homed),
        "check fix backfill explain verify": lambda: _add_fixing(commands, homed, timed),
        "publish restate cease show ledger anchor errata bundle key": lambda: _add_publication(commands, shared, homed),
        "store compact retain": lambda: _add_storage(commands, homed),
        "unmapped release": lambda: _add_identity(commands, homed),
        "adapters tables": lambda: _add_reference(commands, shared),
        "methodology": lambda: _add_methodology(commands, homed, timed),
    }
    beside = [add for names, add in groups.items() if command in names.split()]
    for add in beside or groups.values():
        add()
    return parser


def _command(commands: Any, name: str, run: str, text: str, parent: argparse.ArgumentParser) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(name, parents=[parent], help=text, description=text)
    made.set_defaults(run=run)
    return made


def _add_home(commands: Any, shared: argparse.ArgumentParser, homed: argparse.ArgumentParser) -> None:
    """Add what makes a home and brings captures into it."""
    made = _command(commands, "init", "inputs.init", "Make an empty home folder.", shared)
    made.add_argument("folder", help="a folder, or the address of one in object storage")
    made.add_argument("--store", choices=("parquet", "delta"), default="parquet", help="where rows are kept")

    text = "Store a captured file in a home folder, after reading and checking it."
    made = _command(commands, "ingest", "inputs.ingest", text, homed)
    made.add_argument(
        "file", type=Path, help="a file, or package:genai-prices: the list that the installed package carries"
    )
    made.add_argument("--adapter", required=True, help="the adapter that reads it")
    made.add_argument(
        "--source",
        required=True,
        help="the name of the source, as methodology and registry use it (rows in the project's own form name theirs)",
    )
    made.add_argument("--seen-at", required=True, type=moment_of, metavar="WHEN", help="when the source was looked at")
    made.add_argument(
        "--known-at", type=moment_of, metavar="WHEN", help="when it could be known (without it: --seen-at)"
    )
    made.add_argument("--licence", help="licence of the figures")
    made.add_argument("--reference", help="address the file came from")

    text = "Fetch sources that sources.toml of a home allows, and store what they give."
    made = _command(commands, "fetch", "inputs.fetch", text, homed)
    which = made.add_mutually_exclusive_group(required=True)
    which.add_argument("names", nargs="*", metavar="NAME", default=[], help="a source, by its name in sources.toml")
    which.add_argument("--all", action="store_true", help="every source")


def _add_fixing(commands: Any, homed: argparse.ArgumentParser, timed: argparse.ArgumentParser) -> None:
    """Add what makes, explains and repeats fixings."""
    named = "index, such as tix, tix.output (a component) or tix:agentic (another workload)"
    text = f"Report on the inputs of one date, worst first; exit code {HELD} if a price is held."
    made = _command(commands, "check", "fixings.check", text, timed)
    made.add_argument("index", help=named)
    made.add_argument("--date", required=True, type=_date)

    made = _command(commands, "fix", "fixings.fix", "Determine the fixing of one date.", timed)
    made.add_argument("index", help=named)
    made.add_argument("--date", required=True, type=_date)
    made.add_argument("--record", type=Path, metavar="FILE", help="write the record there instead of into the home")

    made = _command(commands, "backfill", "fixings.backfill", "Determine the fixings of many dates at once.", timed)
    made.add_argument("index")
    made.add_argument("--from", required=True, type=_date, dest="start")
    made.add_argument("--to", required=True, type=_date, dest="end")
    made.add_argument("--records", type=Path, metavar="FOLDER", help="write the record of every date there")

    text = "Say what entered a fixing, what did not and why, and who moved it."
    made = _command(commands, "explain", "fixings.explain", text, timed)
    made.add_argument("index")
    made.add_argument("--date", required=True, type=_date)
    made.add_argument("--constituent", help="show the observations of one constituent")

    text = "Repeat a record, or all of an evidence bundle, from captures and documents."
    made = _command(commands, "verify", "fixings.verify", text, homed)
    made.add_argument("record", type=Path, help="a record, or an evidence bundle: that needs no home")
    made.add_argument("--digest", help="of a record: the published digest, or the first digits of it")
    made.add_argument("--key", metavar="ID", help="of a bundle: the first key of the ledger, as its owner published it")
    made.add_argument("--head", metavar="DIGEST", help="of a bundle: an entry that its ledger must hold")
    made.add_argument(
        "--anchor", type=Path, action="append", default=[], metavar="FILE", help="of a bundle: kept elsewhere"
    )


def _add_storage(commands: Any, homed: argparse.ArgumentParser) -> None:
    """Add what looks after the store of a home."""

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return _command(commands, name, f"storage.{name}", text, homed)

    command("store", "Describe the store of a home, and compare every row in it with its digest.")
    command("compact", "Put the small files of the store together, and collect those of writers that were killed.")
    made = command("retain", "Remove captures that were last of use longer ago than must be kept.")
    made.add_argument(
        "--years", required=True, type=int, metavar="N", help="for how long everything is kept: at least 5"
    )
    made.add_argument("--at", required=True, type=moment_of, metavar="WHEN", help="the moment from which is counted")
    made.add_argument("--dry-run", action="store_true", help="only list what would be removed")


def _add_identity(commands: Any, homed: argparse.ArgumentParser) -> None:
    """Add what concerns the names and volumes of models."""
    made = _command(commands, "unmapped", "inputs.unmapped", "List what the registry does not know, by volume.", homed)
    kind = made.add_mutually_exclusive_group()
    kind.add_argument("--prices", action="store_true", help="list sellers of prices instead, by number of observations")
    kind.add_argument(
        "--by-day", action="store_true", help="print the mapped share of the volume of every period instead"
    )

    made = _command(
        commands, "release", "inputs.release", "Average what several buyers paid, and show none of them.", homed
    )
    made.add_argument("folder", type=Path, help="a folder for prices.csv and volumes.csv in the project's own form")
    made.add_argument("--source", required=True, help="the name under which the released rows are known")
    made.add_argument("--known-at", required=True, type=moment_of, metavar="WHEN", help="when the release is published")
    made.add_argument("--contributors", required=True, type=int, metavar="N", help="fewest contributors of a figure")
    made.add_argument("--tokens", required=True, type=int, metavar="N", help="fewest tokens of a figure")
    made.add_argument("--share", required=True, type=_decimal, metavar="S", help="largest share of one contributor")


def _add_reference(commands: Any, shared: argparse.ArgumentParser) -> None:
    """Add what describes the library."""
    _command(commands, "adapters", "inputs.list_adapters", "List the adapters: what each reads and gives.", shared)
    _command(commands, "tables", "inputs.tables", "Describe the tables: columns, types, units, meanings.", shared)


def _add_publication(commands: Any, shared: argparse.ArgumentParser, homed: argparse.ArgumentParser) -> None:
    """Add what the publisher does."""

    def command(name: str, run: str, text: str, of: Any = commands) -> argparse.ArgumentParser:
        made: argparse.ArgumentParser = of.add_parser(name, parents=[homed], help=text, description=text)
        made.set_defaults(run=run)
        made.add_argument("--at", type=moment_of, metavar="WHEN", help="the moment of the act (without it: now)")
        return made

    def signing(made: argparse.ArgumentParser) -> None:
        made.add_argument("--key", type=Path, metavar="FILE", help="the private key, if the ledger is signed")

    def approved(made: argparse.ArgumentParser) -> None:
        made.add_argument("--reason", required=True, help="why")
        made.add_argument("--approved-by", action="append", default=[], metavar="NAME", help="once for each person")

    made = command("publish", "publication.publish", "Publish the fixing of a date, once: record, ledger, signature.")
    made.add_argument("index", nargs="+")
    days = made.add_mutually_exclusive_group(required=True)
    days.add_argument("--date", type=_date)
    days.add_argument("--from", type=_date, dest="start")
    made.add_argument("--to", type=_date, dest="end", help="with --from: every fixing date up to it")
    made.add_argument("--vintage", default="final", help="a vintage of the document (without it: final)")
    signing(made)

    made = command(
        "restate", "publication.restate", "Determine a published fixing again and put the new figure on record."
    )
    made.add_argument("index")
    made.add_argument("--date", required=True, type=_date)
    made.add_argument(
        "--known-at", type=moment_of, metavar="WHEN", help="what was known then counts (without it: --at)"
    )
    approved(made)
    signing(made)

    made = command("cease", "publication.cease", "Put on record that no later date of an index is published.")
    made.add_argument("index")
    made.add_argument("--last", required=True, type=_date, help="the last fixing date")
    approved(made)
    signing(made)

    made = command(
        "show", "publication.show", "Show a past fixing: as published, as corrected, or as known at a moment."
    )
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
        "ledger", "publication.ledger", "Check the ledger with its signatures and records; list its last entries."
    )
    made.add_argument("--last", type=int, default=10, metavar="N", help="how many entries are listed")
    made.add_argument(
        "--anchor", type=Path, action="append", default=[], metavar="FILE", help="an anchor kept elsewhere"
    )

    command("anchor", "publication.anchor", "Write down the head of the ledger, for any timestamping service.")
    command("errata", "publication.errata", "Determine every published fixing again and list the differences by cause.")

    made = command("bundle", "publication.bundle", "Write the evidence of published fixings into one file.")
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
    made.set_defaults(run="publication.new_key")
    made.add_argument("file", type=Path)
    made = command("introduce", "publication.introduce_key", "Put a public key on record: it signs from then on.", keys)
    made.add_argument("file", type=Path, help="the private key that is introduced; its public part goes on record")
    made.add_argument(
        "--valid-to", type=moment_of, metavar="WHEN", help="after that it signs nothing but its successor"
    )
    signing(made)


def _as_of(text: str) -> str | datetime:
    return text if text in ("first", "official", "corrected") else moment_of(text)


def _add_methodology(commands: Any, homed: argparse.ArgumentParser, timed: argparse.ArgumentParser) -> None:
    made = commands.add_parser("methodology", help="Check, explain or compare methodology documents.")
    verbs = made.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, number, text in (
        ("check", "*", "Load documents (without names: every known one) and print their digests."),
        (
            "text",
            1,
            "Print the methodology for people, from the document; as JSON the document itself.",
        ),
        (
            "statement",
            1,
            "Print a draft of the benchmark statement (EU), with what is left to be stated.",
        ),
        (
            "principles",
            1,
            "Print what is evidenced of the 19 principles of IOSCO, and what is not.",
        ),
        ("diff", 2, "Print every key in which two documents differ."),
        (
            "impact",
            2,
            "Print what the second document would have changed, if it had applied all the time.",
        ),
    ):
        verb = verbs.add_parser(name, parents=[timed if name == "impact" else homed], help=text, description=text)
        verb.set_defaults(run=f"documents.{name}")
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


def _decimal(text: str) -> Decimal:
    from .exact import parse_decimal

    try:
        return parse_decimal(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a decimal number") from None


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
