"""The command line: every command, its JSON, its exit codes, and what it leaves on the disk."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import cut, price_rows, tree

from tokenindex import cli
from tokenindex.adapters import adapters
from tokenindex.home import Home, shipped

Run = Callable[..., tuple[int, str, str]]
TIX = shipped("methodology") / "tix" / "1.0.0.toml"


@pytest.fixture(autouse=True)
def _pipes() -> Iterator[None]:
    before = signal.getsignal(signal.SIGPIPE)
    yield
    signal.signal(signal.SIGPIPE, before)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command inside the process; return its exit code, stdout and stderr."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")

    def run(*words: object) -> tuple[int, str, str]:
        try:
            code = cli.main([str(word) for word in words])
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


def answer(found: tuple[int, str, str]) -> Any:
    """Return the JSON of a command that went well."""
    code, out, err = found
    assert code == 0, err
    return json.loads(out)


def ingest(run: Run, home: Path, file: Path, *, adapter: str = "prices", more: tuple[object, ...] = ()) -> Any:
    """Ingest a file."""
    words = ("--home", home, "--adapter", adapter, "--source", "models.dev", "--seen-at", "2026-06-24T12:00:00Z")
    return run("ingest", file, *words, *more)


# every command, for people and for programs ----------------------------------------------------------------------


def test_fix(run: Run) -> None:
    code, out, err = run("fix", "tix", "--date", "2026-06-25")
    assert code == 0
    assert "sample data" in err
    found = answer(run("fix", "tix", "--date", "2026-06-25", "--json"))
    assert found["status"] == "determined"
    assert f"{float(found['price']):.6f} USD per million tokens" in out
    assert found["record"] in out
    assert found["written_to"] is None


@pytest.mark.parametrize("index", ["tix-cn", "tix-level", "anthropic-output", "tix.output", "tix-level.cache_read"])
def test_fix_of_each_index_and_of_components(run: Run, index: str) -> None:
    found = answer(run("fix", index, "--date", "2026-06-25", "--json"))
    assert (found["index"], found["status"]) == (index, "determined")


def test_backfill(run: Run) -> None:
    words = ("backfill", "tix", "--from", "2026-05-30", "--to", "2026-06-03")
    code, out, err = run(*words)
    assert code == 0
    assert "2 not_determined" in err
    assert [line.split()[0] for line in out.splitlines()[1:]] == [
        f"2026-{d}" for d in "05-30 05-31 06-01 06-02 06-03".split()
    ]
    rows = answer(run(*words, "--json"))
    assert [r["status"] for r in rows] == ["not_determined"] * 2 + ["determined"] * 3
    assert rows[0]["price"] is None
    assert rows[0]["level"] is None
    assert rows[0]["reason"] == "before_base_date"
    assert float(rows[2]["level"]) == 1000


def test_explain(run: Run) -> None:
    code, out, _ = run("explain", "tix", "--date", "2026-06-25")
    assert code == 0
    assert "what moved it since 2026-06-24" in out
    found = answer(run("explain", "tix", "--date", "2026-06-25", "--json"))
    names = {"fixing", "constituents", "elementary", "excluded", "unread", "moved", "successors", "observations"}
    assert set(found) == names
    members = [c for c in found["constituents"] if c["weight"] is not None]
    assert abs(sum(float(c["weight"]) for c in members) - 1) < 1e-7
    for member in members:
        assert member["constituent"] in out


def test_explain_of_one_constituent(run: Run) -> None:
    code, out, _ = run("explain", "tix", "--date", "2026-06-25", "--constituent", "anthropic/claude-haiku-4.5")
    assert code == 0
    assert "claude-haiku-4-5" in out
    one = ("explain", "tix", "--date", "2026-06-25", "--constituent")
    found = answer(run(*one, "anthropic/claude-haiku-4.5", "--json"))["observations"]
    assert {row["constituent"] for row in found} == {"anthropic/claude-haiku-4.5"}
    assert run(*one, "anthropic/claude-haiku-99")[0] == 6
    found = answer(run(*one, "deepseek/deepseek-v4-flash", "--json"))["observations"]
    # a price of nothing is written with its decimals
    assert {row["standard_price"] for row in found if row["component"] == "cache_write"} == {"0.000000000"}


def test_unmapped(run: Run) -> None:
    assert answer(run("unmapped", "--json"))[0]["model"] == "other"
    code, out, _ = run("unmapped")
    assert (code, out.split()[:2]) == (0, ["source", "provider"])
    assert isinstance(answer(run("unmapped", "--prices", "--json")), list)


def test_unmapped_of_nothing_and_of_zero_tokens(run: Run, empty: Home, tmp_path: Path) -> None:
    assert answer(run("unmapped", "--home", empty.path, "--json")) == []
    assert run("unmapped", "--home", empty.path)[0] == 0
    file = tmp_path / "volumes.csv"
    file.write_text(
        "source,scope,provider,model,component,service_tier,period_start,period_end,tokens,partial,known_at\n"
        "s,router,p,m,total,standard,2026-06-01,2026-06-01,0,false,2026-06-02\n"
    )
    assert answer(ingest(run, empty.path, file, adapter="volumes", more=("--json",)))["rows"] == {"VOLUMES": 1}
    (row,) = answer(run("unmapped", "--home", empty.path, "--json"))
    assert (row["tokens"], row["share"]) == (0, 0)


def test_tables(run: Run) -> None:
    code, out, _ = run("tables")
    assert code == 0
    assert "### FIXINGS" in out
    found = answer(run("tables", "--json"))
    assert {c["name"] for c in found["FIXINGS"]} >= {"price", "level", "status", "reason"}


def test_methodology_check(run: Run) -> None:
    code, out, _ = run("methodology", "check")
    assert code == 0
    found = answer(run("methodology", "check", "--json"))
    assert [row["index"] for row in found] == ["anthropic-output", "tix", "tix-cn", "tix-level"]
    assert all(row["document"] in out for row in found)
    assert len(answer(run("methodology", "check", "tix", "tix-cn@1.0.0", TIX, "--json"))) == 3


def test_methodology_text(run: Run) -> None:
    code, out, _ = run("methodology", "text", "tix")
    assert code == 0
    assert "(Rule `robust_z`.)" in out
    assert answer(run("methodology", "text", "tix", "--json"))["identity"]["index"] == "tix"


def test_methodology_statement_and_principles(run: Run) -> None:
    code, out, _ = run("methodology", "statement", "tix-cn")
    assert code == 0
    found = answer(run("methodology", "statement", "tix-cn", "--json"))
    assert all(f"## {row['provision']}\n" in out for row in found)
    code, out, _ = run("methodology", "principles", "tix-cn")
    assert code == 0
    found = answer(run("methodology", "principles", "tix-cn", "--json"))
    assert [row["title"] in out for row in found] == [True] * 19


def test_methodology_impact(run: Run, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_bytes(TIX.read_bytes().replace(b"model_cap = 0.15", b"model_cap = 0.10"))
    dates = ("--from", "2026-06-14", "--to", "2026-06-17", "--contract", "a:b:2026-06-15:2026-06-16")
    code, out, err = run("methodology", "impact", TIX, other, *dates)
    assert code == 0, err
    assert "| a:b | 2026-06-15 | 2026-06-16 |" in out
    found = answer(run("methodology", "impact", TIX, other, *dates, "--json"))
    assert found["keys"] == [{"key": "formula.model_cap", "old": "0.15", "new": "0.10"}]
    assert (found["summary"]["dates"], found["summary"]["level"]["differ"]) == (4, 2)
    assert [row["fixing_date"] for row in found["dates"]] == [f"2026-06-{day}" for day in range(14, 18)]
    assert found["contracts"][0]["difference"] == "0.077100000"  # half of 1002.0048 - 1001.8506
    early = answer(run("methodology", "impact", TIX, other, *dates, "--known-at", "cut-off", "--json"))
    assert early["summary"]["differ"] == 0  # the volumes of the sample were not known then: there is no figure


def test_methodology_diff(run: Run, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_bytes(TIX.read_bytes().replace(b"agreement = 0.02", b"agreement = 0.03"))
    assert answer(run("methodology", "diff", TIX, other, "--json")) == [
        {"key": "consolidation.agreement", "old": "0.02", "new": "0.03"}
    ]
    other.write_bytes(b"# one more comment\n" + TIX.read_bytes())
    assert answer(run("methodology", "diff", TIX, other, "--json")) == []
    assert "mean the same, in other words" in run("methodology", "diff", TIX, other)[1]


def test_init_ingest_fix_and_verify_a_home_of_ones_own(run: Run, tmp_path: Path, sample: Home) -> None:
    home = tmp_path / "own" / "home"
    assert run("init", home)[0] == 0
    assert answer(run("methodology", "check", "--home", home, "--json"))
    for capture in sample.captures():
        facts = ("--adapter", capture.adapter, "--source", capture.source, "--seen-at", "2026-07-01", "--json")
        found = answer(run("ingest", sample.path / "captures" / capture.name, "--home", home, *facts))
        assert found["stored"]
        assert found["rejects"] == {}
    words = ("fix", "anthropic-output", "--date", "2026-06-25", "--home", home, "--json")
    early = answer(run(*words))
    assert (early["status"], early["price"]) == ("not_determined", None)  # the volumes were not known at the cut-off
    late = answer(run(*words, "--known-at", "2026-07-01T00:00:00Z"))
    assert late["status"] == "determined"
    shown = answer(run("fix", "anthropic-output", "--date", "2026-06-25", "--json"))
    assert {k: v for k, v in late.items() if k not in ("record", "written_to")} == {
        k: v for k, v in shown.items() if k not in ("record", "written_to")
    }
    for fixing in (early, late):
        assert answer(run("verify", fixing["written_to"], "--home", home, "--digest", fixing["record"], "--json"))


def test_verify(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    digest = answer(run("fix", "anthropic-output", "--date", "2026-06-25", "--record", path, "--json"))["record"]
    code, out, err = run("verify", path, "--digest", digest.upper()[:16])
    assert code == 0
    assert "bit for bit" in out
    assert [line[:2] for line in out.splitlines()[:-1]] == [f"{n}." for n in range(1, 10)]
    assert "sample data" in err
    found = answer(run("verify", path, "--json"))
    assert [step["number"] for step in found["steps"]] == list(range(1, 10))


def test_help_and_version(run: Run) -> None:
    assert run("--help")[0] == run("--version")[0] == 0


def test_the_parser_of_one_command_knows_it_as_that_of_all_does() -> None:
    def known(command: str) -> dict[str, str]:
        choices = [action.choices for action in cli._parser(command)._actions if isinstance(action.choices, dict)]
        return {name: one.format_help() for one_of in choices for name, one in one_of.items()}

    every = known("")
    assert len(every) == 25
    for command, text in every.items():
        assert known(command)[command] == text
        assert len(known(command)) < 10


# exit codes ------------------------------------------------------------------------------------------------------

FIX = ("fix", "tix", "--date", "2026-06-25")
IMPACT = ("methodology", "impact", "tix", "tix", "--from", "2026-06-24", "--to", "2026-06-25")
FAILURES: dict[str, tuple[int, tuple[str, ...], str]] = {
    "unknown index": (3, ("fix", "tixx", "--date", "2026-06-25"), "tix-cn"),
    "a pattern for an index": (3, ("fix", "*", "--date", "2026-06-25"), "no document defines"),
    "no index": (3, ("fix", "", "--date", "2026-06-25"), "no document defines"),
    "an index that leaves the folder": (3, ("fix", "../methodology/tix", "--date", "2026-06-25"), "no document"),
    "an index too long for a file name": (3, ("fix", "x" * 5000, "--date", "2026-06-25"), "no document defines"),
    "unknown component": (3, ("fix", "tix.reasoning", "--date", "2026-06-25"), "cache_read"),
    "two components": (3, ("fix", "tix.output.input", "--date", "2026-06-25"), "no component"),
    "not in force": (3, ("fix", "tix", "--date", "2026-01-31"), "2026-06-01"),
    "unknown version": (3, ("methodology", "check", "tix@9.9.9"), "tix@1.0.0"),
    "no such document": (3, ("methodology", "check", "nowhere.toml"), "no such file"),
    "date outside the calendar": (6, ("fix", "tix", "--date", "2028-01-01"), "outside the calendar"),
    "range outside the calendar": (6, ("backfill", "tix", "--from", "2020-01-01", "--to", "2026-06-25"), "outside"),
    "range backwards": (6, ("backfill", "tix", "--from", "2026-06-25", "--to", "2026-06-24"), "--from before --to"),
    "known at no moment": (6, (*FIX, "--known-at", "yesterday"), "cut-off"),
    "known at without a zone": (6, (*FIX, "--known-at", "2026-06-25T12:00:00"), "cut-off"),
    "known before the calendar began": (6, (*FIX, "--known-at", "0001-01-01T00:00:00+14:00"), "cut-off"),
    "no home": (7, (*FIX, "--home", "nowhere"), "tokenindex init"),
    "a home that is a file": (7, (*FIX, "--home", str(TIX)), "not a home"),
    "no folder for the record": (7, (*FIX, "--record", "nowhere/record.json"), "nowhere"),
    "no record": (4, ("verify", "nowhere.json"), "no such file"),
    "not a record": (8, ("verify", str(TIX)), "not JSON"),
    "date not ISO": (2, ("fix", "tix", "--date", "25.6.2026"), "YYYY-MM-DD"),
    "no such day": (2, ("fix", "tix", "--date", "2026-02-30"), "YYYY-MM-DD"),
    "no date": (2, ("fix", "tix"), "--date"),
    "no command": (2, (), "COMMAND"),
    "no such command": (2, ("fixx",), "fixx"),
    "no verb": (2, ("methodology",), "VERB"),
    "one document to compare": (2, ("methodology", "diff", "tix"), "documents"),
    "a contract without dates": (2, (*IMPACT, "--contract", "JUN26"), "NAME:YYYY-MM-DD:YYYY-MM-DD"),
    "a contract without a name": (2, (*IMPACT, "--contract", ":2026-06-01:2026-06-02"), "NAME:"),
    "a contract beyond the study": (6, (*IMPACT, "--contract", "JUL:2026-06-25:2026-07-01"), "widen"),
    "impact of another index": (6, ("methodology", "impact", "tix", "tix-cn", *IMPACT[-4:]), "two versions"),
    "impact of no dates": (6, (*IMPACT[:-1], "2026-06-01"), "no dates"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_failures_have_the_exit_code_of_their_family(run: Run, case: str) -> None:
    code, words, said = FAILURES[case]
    found, out, err = run(*words)
    assert (found, out) == (code, ""), err
    assert said in err
    assert "Traceback" not in err
    if code != 2:
        found, out, err = run(*words, "--json")
        answer = json.loads(out)
        assert found == code
        assert set(answer) == {"error", "found", "expected", "remedy", "where", "who"}
        assert answer["error"] in err


def test_ingest_failures(run: Run, empty: Home, prices: Path, tmp_path: Path) -> None:
    before = tree(empty.path)
    words = ("--adapter", "prices", "--source", "s", "--seen-at", "2026-06-20")
    assert run("ingest", prices, *words)[0] == 4  # no home is named
    assert run("ingest", tmp_path / "nowhere.csv", "--home", empty.path, *words)[0] == 4
    assert run("ingest", tmp_path, "--home", empty.path, *words)[0] == 4
    assert ingest(run, empty.path, prices, adapter="nothing")[0] == 5
    assert run("ingest", prices, "--home", tmp_path / "nowhere", *words)[0] == 7
    assert run("ingest", prices, "--home", empty.path, *words[:-1], "2026-06-20T12:00:00")[0] == 2  # no zone
    assert run("ingest", prices, "--home", empty.path, *words[:-1], "0001-01-01T00:00:00+14:00")[0] == 2
    assert ingest(run, empty.path, prices, more=("--licence", "MIT\rother"))[0] == 4
    assert tree(empty.path) == before


def test_init_refuses_what_is_there(run: Run, empty: Home, prices: Path) -> None:
    before = tree(empty.path)
    assert run("init", empty.path)[0] == 7
    assert run("init", prices)[0] == 7
    assert tree(empty.path) == before


def test_an_unreadable_disk_is_said_and_not_a_traceback(run: Run, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "somewhere")

    monkeypatch.setattr(os, "fsync", full)
    before = tree(home.path)
    code, out, err = run("fix", "anthropic-output", "--date", "2026-06-25", "--home", home.path, "--json")
    assert code == 7
    assert json.loads(out)["where"] == "somewhere"
    assert "No space left" in err
    assert {k: v for k, v in tree(home.path).items() if v != "folder"} == {
        k: v for k, v in before.items() if v != "folder"
    }


def test_interrupted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Home, "inputs", interrupt)
    code, out, err = run("fix", "tix", "--date", "2026-06-25")
    assert (code, out) == (130, "")
    assert "interrupted" in err


def test_a_reader_who_has_seen_enough_is_no_failure() -> None:
    command = [sys.executable, "-m", "tokenindex.cli", "tables"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as started:
        assert started.stdout
        assert started.stderr
        started.stdout.close()
        assert started.stderr.read() == b""


# documents -------------------------------------------------------------------------------------------------------


def stand(home: Home, text: bytes, *, at: str = "tix/1.0.1.toml") -> None:
    """Put a document into a home."""
    path = home.path / "methodology" / at
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)


def version(text: bytes, new: bytes, *, effective: bytes = b"2026-06-01") -> bytes:
    """Return a document under another version and date."""
    text = text.replace(b'version = "1.0.0"', b'version = "' + new + b'"')
    return text.replace(b"effective_from = 2026-06-01", b"effective_from = " + effective)


@pytest.mark.parametrize(
    ("change", "at", "words"),
    [
        ((b'version = "1.0.0"', b'version = "1.0.1"'), "tix/1.0.1.toml", ["1.0.0, 1.0.1", "both in force"]),
        ((b'version = "1.0.0"', b'version = "1.0.1"'), "tix/1.0.2.toml", ["1.0.2.toml", "tix 1.0.1"]),
        ((b'version = "1.0.0"', b'version = "1.0.1"'), "tixx/1.0.1.toml", ["tixx/1.0.1.toml", "tix 1.0.1"]),
        ((b"robust_z", b"robust_zz"), "tix/1.0.1.toml", ["'robust_zz'", "did you mean 'robust_z'"]),
        ((b"[formula]", b"[formula"), "tix/1.0.1.toml", ["tix/1.0.1.toml", "TOML"]),
    ],
)
def test_a_wrong_document_stops_every_fixing(
    run: Run, home: Home, change: tuple[bytes, bytes], at: str, words: list[str]
) -> None:
    stand(home, TIX.read_bytes().replace(*change), at=at)
    index = at.partition("/")[0]
    code, out, err = run("fix", index, "--date", "2026-06-25", "--home", home.path)
    assert (code, out) == (3, "")
    assert all(word in err for word in words)
    assert not (home.path / "records").exists()


def test_the_version_in_force_on_the_date_is_used(run: Run, home: Home) -> None:
    stand(home, version(TIX.read_bytes(), b"1.1.0", effective=b"2026-06-20"), at="tix/1.1.0.toml")
    for day, number in (("2026-06-19", "1.0.0"), ("2026-06-20", "1.1.0")):
        assert answer(run("fix", "tix", "--date", day, "--home", home.path, "--json"))["version"] == number


# known at --------------------------------------------------------------------------------------------------------


def test_known_at_a_moment_and_at_the_cut_off(run: Run) -> None:
    words = ("fix", "tix-level", "--date", "2026-06-25", "--json")
    home = answer(run(*words))
    assert answer(run(*words, "--known-at", "2026-07-01T00:00:00Z")) == home
    assert answer(run(*words, "--known-at", "2026-07-01T08:00:00+08:00")) == home
    cut_off = answer(run(*words, "--known-at", "cut-off"))
    assert cut_off["record"] != home["record"]
    assert answer(run(*words, "--known-at", "2026-06-25T16:00:00Z"))["record"] != home["record"]
    code, _, err = run(*words, "--known-at", "2020-01-01")
    assert (code, "the moment that is looked from" in err) == (6, True)
    nothing = answer(run("fix", "tix", "--date", "2026-06-25", "--known-at", "cut-off", "--json"))
    assert (nothing["status"], nothing["price"], nothing["level"]) == ("not_determined", None, None)
    assert (nothing["reason"], nothing["known_at"], nothing["p25"]) == ("no_basket", "cut-off", None)


def test_no_fixing_of_the_future_is_made(run: Run) -> None:
    """The sample looks from 1 July, 00:00: the cut-off of that day is still to come."""
    code, out, err = run("fix", "tix", "--date", "2026-07-01")
    assert (code, out) == (6, "")
    assert "2026-07-01 lies after 2026-07-01 00:00Z" in err


# what is written -------------------------------------------------------------------------------------------------


def test_a_fixing_is_stored_once(run: Run, home: Home) -> None:
    before = tree(home.path)
    words = ("fix", "anthropic-output", "--date", "2026-06-25", "--home", home.path, "--json")
    first = answer(run(*words))
    stored = tree(home.path)
    new = {name for name in stored if name not in before and stored[name] != "folder"}
    assert {name.split("/")[0] for name in new} == {"records", "registries"}
    assert stored[str(Path(first["written_to"]).relative_to(home.path))] == first["record"]
    assert {name: stored[name] for name in before} == before
    assert answer(run(*words)) == first
    assert tree(home.path) == stored


def test_the_record_option_writes_there_and_nowhere_else(run: Run, home: Home, tmp_path: Path) -> None:
    before, path = tree(home.path), tmp_path / "record.json"
    words = ("fix", "anthropic-output", "--home", home.path, "--record", path, "--date")
    assert run(*words, "2026-06-25")[0] == run(*words, "2026-06-25")[0] == 0
    kept = path.read_bytes()
    code, _, err = run(*words, "2026-06-24")
    assert code == 4
    assert "another record" in err
    assert path.read_bytes() == kept
    assert tree(home.path) == before


def test_backfill_stores_the_records_that_fix_makes(run: Run, home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "records"
    words = ("backfill", "anthropic-output", "--from", "2026-06-23", "--to", "2026-06-25")
    assert run(*words, "--records", folder)[0] == 0
    assert sorted(p.name for p in folder.iterdir()) == [f"anthropic-output_2026-06-{d}.json" for d in (23, 24, 25)]
    assert run(*words, "--home", home.path)[0] == 0
    stored = sorted((home.path / "records" / "anthropic-output").iterdir())
    for path, day in zip(stored, (23, 24, 25), strict=True):
        assert path.read_bytes() == (folder / f"anthropic-output_2026-06-{day}.json").read_bytes()
        fixing = answer(run("fix", "anthropic-output", "--date", f"2026-06-{day}", "--home", home.path, "--json"))
        assert fixing["written_to"] == str(path)


def test_backfill_refuses_to_overwrite_another_record(run: Run, tmp_path: Path) -> None:
    words = ("backfill", "anthropic-output", "--from", "2026-06-24", "--to", "2026-06-25", "--records", tmp_path / "r")
    assert run(*words)[0] == run(*words)[0] == 0
    before = tree(tmp_path / "r")
    assert run(*words, "--known-at", "cut-off")[0] == 4
    assert tree(tmp_path / "r") == before


def test_every_record_that_backfill_stores_can_be_verified(run: Run, home: Home) -> None:
    """Dates at which the version was not in force are studied, not stored."""
    stand(home, version(TIX.read_bytes(), b"1.1.0", effective=b"2026-06-20"), at="tix/1.1.0.toml")
    for index, start, end, number in (
        ("tix-cn", "2026-05-30", "2026-06-02", 2),
        ("tix", "2026-06-18", "2026-06-21", 2),
    ):
        rows = answer(run("backfill", index, "--from", start, "--to", end, "--home", home.path, "--json"))
        assert len(rows) == 4
        stored = sorted((home.path / "records" / index).iterdir())
        assert len(stored) == number
        for path in stored:
            assert run("verify", path, "--home", home.path)[0] == 0


@pytest.mark.parametrize("name", ["prices-litellm.csv", "sightings.csv"])
def test_a_captured_file_that_changed_or_is_gone_stops_a_fixing(run: Run, home: Home, name: str) -> None:
    path = home.path / "captures" / name
    path.write_bytes(path.read_bytes().replace(b"2026-06", b"2026-05", 1))
    code, _, err = run(*FIX, "--home", home.path)
    assert code == 4
    assert name in err
    assert "hashes to" in err
    path.unlink()
    assert run(*FIX, "--home", home.path)[0] == 4
    assert not (home.path / "records").exists()


def test_a_broken_home_is_named(run: Run, home: Home) -> None:
    for name, content, said in (
        ("home.toml", b"known_at = ", "home.toml"),
        ("home.toml", b"known_at = 2026-07-01\n", "moment with zone"),
        ("home.toml", b"known_as = 2026-07-01T00:00:00Z\n", "known_as"),
        ("home.toml", b"# \xff\n", "home.toml"),
        ("registry.csv", b"\xff\xfe", "registry.csv"),
        ("registry.csv", b"", "registry.csv"),
        ("registry.csv", b"a,b\n1,2\n", "registry.csv"),
    ):
        path = home.path / name
        kept = path.read_bytes()
        path.write_bytes(content)
        code, _, err = run(*FIX, "--home", home.path)
        assert (code, said in err) == (4, True), (name, content[:20], err)
        path.write_bytes(kept)
    for content in (b"", b"{}", b"\xff", b"[" * 200_000, b'{"looks":"tokenindex looks 1","number":2,"previous":null}'):
        path = home.path / "looks" / "00000001.json"
        kept = path.read_bytes()
        path.write_bytes(content)
        code, _, err = run(*FIX, "--home", home.path)
        assert (code, "looks entry 1" in err) == (7, True), (content[:20], err)
        path.write_bytes(kept)


# what is missing -------------------------------------------------------------------------------------------------


def statuses(run: Run, home: Home, index: str, start: str, end: str) -> list[tuple[str, Any, Any, Any]]:
    """Return status, reason, price and level of some fixings; the last is also printed for people."""
    words = ("backfill", index, "--from", start, "--to", end, "--home", home.path)
    rows = answer(run(*words, "--json"))
    for command in ("fix", "explain"):
        assert run(command, index, "--date", end, "--home", home.path)[0] == 0
    return [(r["status"], r["reason"], r["price"], r["level"]) for r in rows]


def last_figures_are_repeated_and_then_none(found: list[tuple[str, Any, Any, Any]]) -> None:
    """Assert the order determined or reduced, three times carried forward, then no figure at all."""
    rung = {"determined": 0, "reduced": 0, "carried_forward": 1, "not_determined": 2}
    order = [rung[status] for status, *_ in found]
    assert order == sorted(order)
    assert order.count(1) <= 3
    assert order[-1] == 2
    figure: tuple[Any, Any] = (None, None)
    for status, reason, price, level in found:
        if rung[status] == 0:
            figure = (price, level)
            assert price is not None
        else:
            assert reason
            assert (price, level) == (figure if rung[status] == 1 else (None, None))


def test_without_an_exchange_rate_the_waterfall_runs_out(run: Run, home: Home) -> None:
    cut(home, "rates-ecb.csv", lambda row: row["rate_date"] <= "2026-06-12")
    found = statuses(run, home, "tix-cn", "2026-06-16", "2026-06-22")
    assert found[0][0] == "determined"
    last_figures_are_repeated_and_then_none(found)
    excluded = answer(run("explain", "tix-cn", "--date", "2026-06-25", "--home", home.path, "--json"))["excluded"]
    assert excluded["no_exchange_rate"] > 0
    assert "used" not in excluded
    # the same prices in their own currency need no rate
    assert answer(run("fix", "tix", "--date", "2026-06-25", "--home", home.path, "--json"))["status"] == "determined"


def test_without_any_exchange_rate_there_is_no_fixing(run: Run, home: Home) -> None:
    cut(home, "rates-ecb.csv", lambda row: row["quote"] != "CNY")
    for status, reason, price, level in statuses(run, home, "tix-cn", "2026-06-23", "2026-06-25"):
        assert (status, price, level) == ("not_determined", None, None)
        assert reason


def test_when_all_sources_are_unseen_the_waterfall_runs_out(run: Run, home: Home) -> None:
    cut(home, "sightings.csv", lambda row: row["seen_at"] < "2026-06-11")
    for index in ("tix", "tix-level", "anthropic-output"):
        found = statuses(run, home, index, "2026-06-17", "2026-06-23")
        assert found[0][0] == "determined"
        last_figures_are_repeated_and_then_none(found)
    excluded = answer(run("explain", "tix", "--date", "2026-06-25", "--home", home.path, "--json"))["excluded"]
    assert excluded["source_unseen"] > 0
    assert "used" not in excluded


def test_without_volumes_nothing_is_weighed_equally(run: Run, home: Home) -> None:
    cut(home, "volumes-openrouter-rankings.csv", lambda row: row["period_start"] < "2026-06-01")
    last_figures_are_repeated_and_then_none(statuses(run, home, "anthropic-output", "2026-06-20", "2026-06-30"))
    # the basket of the base date stays: nothing can form another
    found = statuses(run, home, "tix", "2026-06-20", "2026-06-25")
    assert {row[0] for row in found} == {"determined"}


def test_without_any_volume_there_is_no_fixing(run: Run, home: Home) -> None:
    cut(home, "volumes-openrouter-rankings.csv", lambda _: False)
    for index in ("tix", "tix-level"):
        for _, reason, price, level in statuses(run, home, index, "2026-06-01", "2026-06-04"):
            assert (price, level) == (None, None)
            assert reason


@pytest.mark.parametrize("index", ["tix", "tix-cn", "tix-level", "anthropic-output"])
def test_an_empty_home_has_no_fixing(run: Run, empty: Home, index: str) -> None:
    for status, reason, price, level in statuses(run, empty, index, "2026-06-01", "2026-06-03"):
        assert (status, price, level) == ("not_determined", None, None)
        assert reason
    (record,) = (empty.path / "records" / index).glob("2026-06-03_*.json")
    assert run("verify", record, "--home", empty.path)[0] == 0


# bad prices ------------------------------------------------------------------------------------------------------


def test_bad_cells_are_rejects_with_a_reason(run: Run, empty: Home, tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_bytes(
        price_rows(
            "input,three,per_1m_tokens",
            "input,NaN,per_1m_tokens",
            "input,inf,per_1m_tokens",
            "input,1e400,per_1m_tokens",
            "output,3,per_million",
            "thinking,3,per_1m_tokens",
            "output,4,per_1m_tokens,0",
            "output,5,per_1m_tokens,0",
            "cache_read,1,per_1m_tokens",
        )
        + price_rows("cache_write,1,per_1m_tokens").split(b"\n")[1].replace(b"USD", b"BTC")
        + b"\n"
    )
    found = answer(ingest(run, empty.path, file, more=("--json",)))
    rejected = found.pop("rejected")
    assert [r["locator"] for r in rejected if r["reason"] == "not_a_price"] == [f"line {n}" for n in range(2, 6)]
    assert found == {
        "stored": True,
        "rows": {"OBSERVATIONS": 1, "REJECTS": 9},
        "rejects": {
            "not_a_price": 4,
            "overlapping_brackets": 2,
            "unknown_component": 1,
            "unknown_currency": 1,
            "unknown_unit": 1,
        },
    }
    assert Home.open(empty.path).inputs().observations["component"].to_list() == ["cache_read"]


@pytest.mark.parametrize(
    ("price", "unit", "reason"),
    [
        ("-1", "per_1m_tokens", "not_positive"),
        ("0", "per_1m_tokens", "not_positive"),
        ("500000", "per_1m_tokens", "price_bounds"),  # a unit error of 1e5 in a price of 5
        ("99999999999999", "per_token", None),
        ("", "per_1m_tokens", "withdrawn"),
    ],
)
def test_hostile_prices_never_enter_a_fixing(
    run: Run, home: Home, tmp_path: Path, price: str, unit: str, reason: str | None
) -> None:
    words = ("fix", "anthropic-output", "--date", "2026-06-25", "--json")
    before = answer(run(*words))
    file = tmp_path / "hostile.csv"
    rows = price_rows(f"output,{price},{unit}").replace(b"2026-06-01", b"2026-06-24")
    file.write_bytes(rows.replace(b",first_seen,2026-06-01", b",first_seen,2026-06-24"))
    assert ingest(run, home.path, file)[0] == 0
    after = answer(run(*words, "--home", home.path))
    # other sources quote the same model, so the price stands and only the row is out
    assert (after["price"], after["status"]) == (before["price"], "determined")
    record = json.loads(Path(after["written_to"]).read_bytes())
    table = record["observations"]
    shown = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
    (row,) = [r for r in shown if r["capture"] not in {c.sha256 for c in Home.sample().captures()}]
    assert row["excluded_by"]
    assert reason in (None, row["excluded_by"]), row["excluded_by"]


# the sample ------------------------------------------------------------------------------------------------------


def test_the_shipped_sample_is_never_written_to(run: Run, sample: Home) -> None:
    before = tree(sample.path)
    assert run(*FIX)[0] == 0
    assert run("backfill", "tix", "--from", "2026-06-24", "--to", "2026-06-25")[0] == 0
    assert run("explain", "tix", "--date", "2026-06-25")[0] == 0
    assert run("unmapped")[0] == 0
    assert tree(sample.path) == before


def test_a_home_that_can_only_be_read(run: Run, sample: Home, tmp_path: Path) -> None:
    """Reading commands leave a home as it is."""
    shutil.copytree(sample.path, tmp_path / "kept")
    before = tree(tmp_path / "kept")
    for words in (("explain", "tix", "--date", "2026-06-25"), ("unmapped",), ("methodology", "check")):
        assert run(*words, "--home", tmp_path / "kept")[0] == 0
    assert run(*FIX, "--home", tmp_path / "kept", "--record", tmp_path / "record.json")[0] == 0
    assert run("verify", tmp_path / "record.json", "--home", tmp_path / "kept")[0] == 0
    assert tree(tmp_path / "kept") == before


def test_the_list_of_an_installed_package_is_ingested(run: Run, empty: Home) -> None:
    pytest.importorskip("genai_prices")
    words = ("--adapter", "genai-prices", "--source", "genai-prices", "--seen-at", "2026-11-01T00:00:00Z")
    found = answer(run("ingest", "package:genai-prices", "--home", empty.path, *words, "--json"))
    assert found["rows"]["OBSERVATIONS"] > 1_000
    assert found["rows"]["SIGHTINGS"] == 1


def test_a_file_holds_nothing_that_became_known_after_it(run: Run, empty: Home, tmp_path: Path) -> None:
    file = tmp_path / "early.csv"
    rows = price_rows("input,1,per_1m_tokens", "output,5,per_1m_tokens").splitlines()
    file.write_bytes(
        b"\n".join([rows[0], rows[1], rows[2].replace(b"first_seen,2026-06-01", b"first_seen,2026-06-30"), b""])
    )
    code, out, err = ingest(run, empty.path, file)
    assert code == 0
    assert "line 3: known_after_capture, found '2026-06-30'" in out
    assert "1 OBSERVATIONS say that they were known before this file was, since 2026-06-01 00:00Z" in err


def test_a_release_shows_no_contributor(run: Run, tmp_path: Path) -> None:
    """Three buyers of 10, 20 and 30 million tokens paid 10, 20 and 45 dollars: 75 dollars for 60 million tokens."""
    home, folder, day = tmp_path / "home", tmp_path / "released", "2026-06-01,2026-06-01"
    assert run("init", home)[0] == 0
    head = "source,scope,provider,model,component,service_tier,period_start,period_end,"
    head += "tokens,spend,currency,partial,known_at"
    for name, tokens, spend in (("a", 10, 10), ("b", 20, 20), ("c", 30, 45)):
        path, buyer = tmp_path / f"{name}.csv", f"buyer-{name}"
        row = f"{buyer},own,openai,gpt-x,output,standard,{day},{tokens}000000,{spend},USD,false,2026-06-02"
        path.write_text(f"{head}\n{row}\n", encoding="utf-8")
        facts = ("--home", home, "--adapter", "volumes", "--source", buyer, "--seen-at", "2026-06-02T00:00:00Z")
        assert run("ingest", path, *facts)[0] == 0
    call = ("release", folder, "--home", home, "--source", "panel", "--known-at", "2026-06-03T00:00:00Z")
    rules = ("--tokens", "1000", "--share", "0.6")
    assert "released    0 prices" in run(*call, *rules, "--contributors", "4")[1]
    assert run(*call, *rules, "--contributors", "3")[0] == 7  # nothing is overwritten
    for name in ("prices.csv", "volumes.csv"):
        (folder / name).unlink()
    assert json.loads(run(*call, *rules, "--contributors", "3", "--json")[1])["released"] == 1
    text = (folder / "prices.csv").read_text(encoding="utf-8")
    assert ",1.25" in text
    assert "buyer" not in text + (folder / "volumes.csv").read_text(encoding="utf-8")


def test_every_adapter_is_listed_with_what_it_reads(run: Run) -> None:
    listed = json.loads(run("adapters", "--json")[1])
    assert [row["adapter"] for row in listed] == sorted(adapters())
    assert all(row["gives"] and row["reads"] for row in listed)
