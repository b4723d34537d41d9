"""The README says what is true: its commands and its Python run as written and give the numbers it shows."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from local_server import Server, answer

from tokenindex import capture
from tokenindex.cli import main
from tokenindex.home import Home
from tokenindex.sources import EXAMPLE, read_sources

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)


def blocks(kind: str) -> list[str]:
    """Return the fenced blocks of one kind, in order."""
    return [text for name, text in BLOCKS if name == kind]


def commands() -> list[str]:
    """Return every `tokenindex` call in the shell blocks."""
    calls = (part.strip() for text in blocks("sh") for line in text.splitlines() for part in line.split("&&"))
    return [call.removeprefix(".venv/bin/") for call in calls if call.startswith(".venv/bin/tokenindex")]


def test_the_first_command_prints_what_the_readme_shows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(shlex.split(commands()[0])[1:]) == 0
    assert capsys.readouterr().out.strip() == blocks("text")[0].strip()


def test_a_published_value_is_reproduced_as_the_readme_says(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fix, verify = (c for c in commands() if "tix-2026-06-26.json" in c)
    assert main(shlex.split(fix)[1:]) == 0
    assert main(shlex.split(verify)[1:]) == 0
    assert "reproduced bit for bit" in capsys.readouterr().out


def test_the_own_figures_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    header = "source,provider,model,component,service_tier,region,context_from,price,currency,unit,tax,valid_from,"
    header += "date_kind,known_at"
    row = "my-desk,acme,one,input,standard,,0,1.25,USD,per_1m_tokens,excluded,2026-06-26,declared,2026-06-26"
    (tmp_path / "prices.csv").write_text(f"{header}\n{row}\n", encoding="utf-8")
    init, ingest = (c for c in commands() if "my-home" in c and " fetch " not in c)  # my-archive is another one
    assert main(shlex.split(init)[1:]) == 0
    assert main(shlex.split(ingest)[1:]) == 0


def test_the_fetching_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The allow-list of the README as it stands, but for the host: that is a server on this machine."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(capture, "fetch", partial(capture.fetch, loopback=True))
    (text,) = blocks("toml")
    (init,) = (c for c in commands() if " init " in c)
    (fetch,) = (c for c in commands() if " fetch " in c)
    assert main(shlex.split(init)[1:]) == 0
    body = (Path(__file__).parent / "fixtures" / "litellm.json").read_bytes()
    with Server(answer(body, kind="text/plain; charset=utf-8")) as server:
        path = tmp_path / "my-home" / "sources.toml"
        path.write_text(text.replace("https://raw.githubusercontent.com", f"http://127.0.0.1:{server.port}"))
        assert main(shlex.split(fetch)[1:]) == 0
    (found,) = Home.open("my-home").captures()
    assert (found.source, found.licence, found.name[-13:]) == ("litellm", "MIT", "_litellm.json")


def test_the_paperwork_commands_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    document = (ROOT / "methodology" / "tix" / "1.0.0.toml").read_text(encoding="utf-8")
    (tmp_path / "new.toml").write_text(document.replace("vendor_cap = 0.25", "vendor_cap = 0.20"), encoding="utf-8")
    papers = [c for c in commands() if " methodology " in c]
    assert len(papers) == 2
    for paper in papers:
        assert main(shlex.split(paper)[1:]) == 0
    assert "Contracts touched: JUN26, of 1." in capsys.readouterr().out


def test_the_publishing_commands_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "sample_data", tmp_path / "my-archive")
    acts = [c for c in commands() if "my.key" in c or "evidence.zip" in c]
    assert len(acts) == 5
    for act in acts:
        assert main(shlex.split(act)[1:]) == 0
    assert "2 records were reproduced bit for bit" in capsys.readouterr().out
    (last,) = (line for text in blocks("sh") for line in text.splitlines() if "recompute.py" in line)
    words = shlex.split(last.replace(".venv/bin/python", sys.executable).replace("tokenindex/", f"{ROOT}/tokenindex/"))
    assert subprocess.run(words, capture_output=True, check=False).returncode == 0


def test_the_example_of_a_new_home_is_the_one_of_the_readme() -> None:
    (text,) = blocks("toml")
    shown = read_sources(text.encode(), where="README.md")
    example = read_sources(re.sub(r"^#(?=\S)", "", EXAMPLE, flags=re.MULTILINE).encode(), where="example")
    assert shown["litellm"] == example["litellm"]


def test_the_ten_lines_of_python_run(monkeypatch: pytest.MonkeyPatch) -> None:
    (text,) = blocks("python")
    assert len([line for line in text.splitlines() if line.strip()]) <= 10
    assert "assert" in text
    names: dict[str, object] = {}
    exec(compile(text, "README.md", "exec"), names)
    assert len(names["levels"]) == 30  # type: ignore[arg-type]


def test_every_command_of_the_table_exists(capsys: pytest.CaptureFixture[str]) -> None:
    named = {n for found in re.findall(r"`tokenindex ([a-z]+(?:\\\|[a-z]+)?) --", README) for n in found.split("\\|")}
    named |= set(re.findall(r"`tokenindex ([a-z]+)", README)) | set(re.findall(r", `([a-z]+) FILE", README))
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert named == set(re.findall(r"^    ([a-z]+)\b", text, flags=re.MULTILINE))


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_ci_runs_the_test_command_of_the_readme() -> None:
    lines = [line for line in README.splitlines() if line.endswith(".venv/bin/pytest")]
    assert len(lines) == 1
    assert r"grep -m1 '\.venv/bin/pytest$' README.md" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")
