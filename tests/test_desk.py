"""The publisher's commands: what they say, what they refuse, and with which exit code."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tokenindex.cli import main
from tokenindex.home import Home

pytest.importorskip("cryptography", reason="signing needs cryptography (extra sign)")

Run = Callable[..., tuple[int, str, str]]
AT = ("--at", "2026-07-01T01:00:00Z")
BOTH = ("--approved-by", "A. Person", "--approved-by", "B. Person")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command; return its exit code and what it said."""

    def command(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    return command


@pytest.fixture
def desk(run: Run, home: Home, tmp_path: Path) -> tuple[Path, Path]:
    """A home with one published date, and the file of its key."""
    key = tmp_path / "desk.key"
    assert run("key", "new", key)[0] == 0
    assert run("key", "introduce", key, "--home", home.path, *AT)[0] == 0
    words = ("publish", "anthropic-output", "tix-level", "--date", "2026-06-24", "--home", home.path, "--key", key, *AT)
    assert run(*words)[0] == 0
    return home.path, key


def answer(found: tuple[int, str, str]) -> Any:
    """Return the JSON of an answer."""
    assert found[0] == 0, found
    return json.loads(found[1])


def test_a_new_key_is_for_its_owner_alone(run: Run, tmp_path: Path) -> None:
    key = tmp_path / "desk.key"
    made = answer(run("key", "new", key, "--json"))
    assert len(made["key"]) == 64
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    before = key.read_bytes()
    code, _, err = run("key", "new", key)
    assert (code, "there already" in err, key.read_bytes()) == (7, True, before)


def test_publishing_says_what_went_on_record(run: Run, desk: tuple[Path, Path]) -> None:
    home, key = desk
    code, out, _ = run("ledger", "--home", home)
    assert code == 0
    assert "3 entries, signed by 1 keys" in out
    assert "2 records and 0 anchors agree" in out
    code, out, err = run("publish", "tix-level", "--date", "2026-06-24", "--home", home, "--key", key)
    assert (code, out) == (7, "")
    assert "published already, in entry 3" in err
    (entry,) = answer(run("publish", "tix-cn", "--date", "2026-06-24", "--home", home, "--key", key, "--json", *AT))
    assert (entry["number"], entry["body"]["index"]) == (4, "tix-cn")
    assert len(entry["sha256"]) == 64


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("publish", "tix", "--date", "2026-06-24"), 4, "no home is named"),
        (("publish", "nothing", "--date", "2026-06-24", "--home", "HOME", "--key", "KEY"), 3, "no document"),
        (("publish", "tix", "--date", "2026-06-24", "--home", "HOME"), 7, "no key is given"),
        (("publish", "tix", "--date", "2026-06-24", "--home", "HOME", "--key", "NOWHERE"), 4, "no such file"),
        (("publish", "tix", "--from", "2026-06-24", "--home", "HOME", "--key", "KEY"), 6, "--from without --to"),
        (
            ("publish", "tix", "--date", "2026-06-24", "--home", "HOME", "--key", "KEY", "--vintage", "x"),
            6,
            "no vintage",
        ),
        (("publish", "tix", "--date", "2026-06-24", "--home", "HOME", "--at", "2126-01-01"), 7, "lies ahead"),
        (
            ("restate", "tix", "--date", "2026-06-24", "--reason", "r", "--home", "HOME", "--key", "KEY"),
            7,
            "not published",
        ),
        (
            (
                "restate",
                "tix-level",
                "--date",
                "2026-06-24",
                "--reason",
                "r",
                "--home",
                "HOME",
                "--key",
                "KEY",
                *BOTH[:2],
            ),
            7,
            "2 different people",
        ),
        (
            ("restate", "tix-level", "--date", "2026-06-24", "--reason", "r", "--home", "HOME", "--key", "KEY", *BOTH),
            7,
            "nothing changes",
        ),
        (("show", "tix", "--date", "2026-06-24", "--home", "HOME"), 7, "not published"),
        (("show", "tix-level", "--date", "2026-06-24", "--home", "HOME", "--version", "9.0.0"), 3, "no version"),
        (("bundle", "OUT", "--home", "HOME", "--key", "KEY", "--index", "tix"), 7, "nothing of that"),
        (("ledger", "--home", "HOME", "--anchor", "KEY"), 7, "no anchor"),
        (("verify", "NOWHERE"), 4, "no such file"),
    ],
)
def test_what_is_refused_changes_nothing(
    run: Run, desk: tuple[Path, Path], tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    names = {"HOME": desk[0], "KEY": desk[1], "NOWHERE": tmp_path / "nowhere", "OUT": tmp_path / "out.zip"}
    before = sorted(path for path in desk[0].rglob("*") if "ledger" in path.parts)
    found, out, err = run(*(names.get(word, word) for word in words))
    assert (found, said in err, out) == (code, True, ""), err
    assert sorted(path for path in desk[0].rglob("*") if "ledger" in path.parts) == before
    assert not (tmp_path / "out.zip").exists()


def test_an_auditor_needs_the_bundle_alone(run: Run, desk: tuple[Path, Path], tmp_path: Path) -> None:
    home, key = desk
    code, out, _ = run("anchor", "--home", home)
    assert (code, out.startswith("tokenindex ledger 3 ")) == (0, True)
    kept = tmp_path / "kept.txt"
    kept.write_bytes((home / "anchors" / "00000003.txt").read_bytes())
    assert run("bundle", tmp_path / "e.zip", "--home", home, "--key", key)[0] == 0
    home.rename(tmp_path / "away")
    found = answer(run("verify", tmp_path / "e.zip", "--anchor", kept, "--json"))
    assert [step["number"] for step in found["steps"]] == [1, 2, 3, 4, 5, 6, 7, 8]
    spoilt = bytearray((tmp_path / "e.zip").read_bytes())
    spoilt[len(spoilt) // 2] ^= 1
    (tmp_path / "f.zip").write_bytes(spoilt)
    code, out, err = run("verify", tmp_path / "f.zip")
    assert (code, out, "VerificationError" in err) == (8, "", True)
    (tmp_path / "g.zip").write_bytes((tmp_path / "e.zip").read_bytes())
    code, _, err = run("verify", tmp_path / "g.zip", "--key", "0" * 64)
    assert (code, "1. container" in err, "the first key is" in err) == (8, True, True)


def test_a_past_fixing_is_shown(run: Run, desk: tuple[Path, Path]) -> None:
    words = ("show", "tix-level", "--date", "2026-06-24", "--home", desk[0], "--json")
    found = [
        answer(run(*words, "--as-of", what)) for what in ("first", "official", "corrected", "2026-07-01T00:00:00Z")
    ]
    assert len({one["record"] for one in found}) == 1
    assert found[0]["fixing"]["status"] == "determined"
    code, out, _ = run("errata", "--home", desk[0])
    assert (code, out.splitlines()[0]) == (0, "no published figure comes out differently")
    assert (
        run("cease", "tix-level", "--last", "2026-06-24", "--reason", "r", "--home", desk[0], "--key", desk[1], *BOTH)[
            0
        ]
        == 0
    )
    assert "cessation" in run("ledger", "--home", desk[0], "--last", "1")[1]
