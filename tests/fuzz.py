"""A search, guided by coverage, for bytes that break an adapter.

    python tests/fuzz.py [ADAPTER ...] [--seconds N] [--corpus FOLDER] [--input FILE]

starts from the files of `CASES`, so an adapter that has a case there is searched. Half of the inputs are spoilt as
``mutations.py`` does it, half by the search itself; those that reach new code are kept and spoilt again. What counts as
broken is what ``test_fuzz.py`` asserts of every answer, a warning, two seconds of the processor, and two gigabytes. Each
finding is a file that ``--input`` reads again; it becomes a test of its own.

It needs the extra ``fuzz`` (``pip install 'tokenindex[fuzz]'``): libFuzzer, and bytecode that counts the edges it takes.
Only Python code is counted, ours and the parsers of the standard library that are written in it.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from test_adapters import Case

COUNTED: Final = ["tokenindex", "json", "tomllib", "zipfile", "gzip"]
SIZE_MAX: Final = 2**16
SECONDS_MAX: Final = 2
MEGABYTES_MAX: Final = 2048
_LAST: Final = re.compile(r"#(?P<runs>\d+)\s+DONE\s+cov: (?P<edges>\d+) ft: (?P<features>\d+) corp: (?P<corpus>\d+)")
_WRONG: Final = re.compile(r"\s*(\w+\.)*\w*(Error|Exception|Warning)\b|==\d+== ERROR")
_STARTED: Final = re.compile(r"INITED\s+cov: (?P<edges>\d+)")


def cases_of(adapter: str) -> list[Case]:
    """Return the good files of an adapter."""
    from test_adapters import CASES

    return [case for case in CASES if case.adapter == adapter]


def case_for(content: bytes, cases: list[Case]) -> Case:
    """Return the case whose file name goes with `content`: that of the good file which begins alike."""
    return next((case for case in cases if case.content[:2] == content[:2]), cases[-1])


def search(adapter: str, folder: Path, *, seconds: int) -> None:
    """Search on one adapter in this process; libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=COUNTED):
        from test_fuzz import answered
    from mutations import spoilt

    cases = cases_of(adapter)

    def one(content: bytes) -> None:
        start = time.process_time()
        answered(content, case_for(content, cases))
        assert time.process_time() - start < SECONDS_MAX, "it took too long"

    def mutated(content: bytes, size: int, seed: int) -> bytes:
        dice = random.Random(seed)
        changed = spoilt(content, dice) if dice.random() < 0.5 else atheris.Mutate(content, len(content))
        return bytes(changed[:size])

    for case in cases:
        for content in (case.content, case.empty):
            (folder / adapter / hashlib.sha256(content).hexdigest()).write_bytes(content)
    warnings.simplefilter("error")
    limits = [f"-max_total_time={seconds}", f"-timeout={10 * SECONDS_MAX}", f"-rss_limit_mb={MEGABYTES_MAX}"]
    where = [f"-max_len={SIZE_MAX}", f"-artifact_prefix={folder}/findings/{adapter}-", str(folder / adapter)]
    atheris.Setup([sys.argv[0], "-verbosity=1", *limits, *where], one, custom_mutator=mutated)
    atheris.Fuzz()


def report(adapter: str, log: str, *, found: bool) -> str:
    """Return one line about a search from what libFuzzer wrote."""
    first, last = _STARTED.search(log), _LAST.search(log)
    if last is None or found:
        wrong = [line for line in log.splitlines() if _WRONG.match(line)]
        return f"{adapter:22} BROKEN: " + " | ".join(wrong[-3:])
    begun = first["edges"] if first else "?"
    return (
        f"{adapter:22} {last['runs']:>8} runs, edges {begun:>5} -> {last['edges']:>5}, {last['corpus']:>5} inputs kept"
    )


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("adapter", nargs="*", default=[])
    arguments.add_argument("--seconds", type=int, default=60, help="of search for each adapter")
    arguments.add_argument("--corpus", type=Path, help="folder in which inputs and findings are kept")
    arguments.add_argument("--input", type=Path, help="read this one file again, without a search")
    arguments.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    asked = arguments.parse_args()
    if asked.input:
        from test_fuzz import answered

        content = asked.input.read_bytes()
        print(answered(content, case_for(content, cases_of(*asked.adapter))) or "refused with the typed error")
        return 0
    if asked.inside:
        search(asked.adapter[0], asked.corpus, seconds=asked.seconds)
    from tokenindex.adapters import adapters  # not before the search: what is imported by then is not counted

    folder = asked.corpus or Path(tempfile.mkdtemp(prefix="fuzz-"))
    broken = 0
    for name in asked.adapter or sorted(adapters()):
        for below in (name, "findings"):
            (folder / below).mkdir(parents=True, exist_ok=True)
        here = [sys.executable, __file__, name, "--inside", "--corpus", str(folder), "--seconds", str(asked.seconds)]
        alone = {**os.environ, "POLARS_MAX_THREADS": "1"}  # threads that wait for each other are no time of the input
        done = subprocess.run(here, capture_output=True, text=True, errors="replace", check=False, env=alone)
        (folder / f"{name}.log").write_text(done.stderr + done.stdout)
        print(report(name, done.stderr, found=done.returncode != 0), flush=True)
        broken += done.returncode != 0
    print(f"inputs, findings and logs are in {folder}")
    return min(broken, 1)


if __name__ == "__main__":
    sys.exit(main())
