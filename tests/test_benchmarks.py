"""Every benchmark still fits the library, and the archive's script makes the shipped sample, byte for byte."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ARCHIVE = ROOT.parent / "shared" / "data"
SCRIPTS = sorted((ROOT / "benchmarks").glob("*.py")) + [ROOT / "tests" / name for name in ("faults.py", "hostile.py")]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120, env=environment)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_script_starts(script: Path) -> None:
    found = run(script, "--help")
    assert found.returncode == 0, found.stderr


@pytest.mark.skipif(not ARCHIVE.exists(), reason=f"no archive in {ARCHIVE}")
def test_sample_is_what_the_script_makes_of_the_archive(tmp_path: Path) -> None:
    found = run(ROOT / "benchmarks" / "archive.py", ARCHIVE, tmp_path / "home", "--sample")
    assert found.returncode == 0, found.stderr
    made = {str(file.relative_to(tmp_path / "home")): file for file in (tmp_path / "home").rglob("*") if file.is_file()}
    assert len(made) > 10
    for name, file in made.items():
        assert file.read_bytes() == (ROOT / "sample_data" / name).read_bytes(), name
