"""Every real snapshot through its adapter: rows, rejects, seconds and memory, beside a plain reader of the same bytes.

    python benchmarks/ingest.py RAW_DIR [--repeats 3] [--no-peer]

Each file is parsed in a process of its own, as `ingest` would, without storing anything. Memory is the largest that the
process held beyond what it held when everything was imported. The peer only reads: `json.loads`, `tomllib` or `read_csv`
and a pandas DataFrame of what came out, with floats, without components, units, dates, provenance or reasons.

Targets: all snapshots within 10 seconds; memory bounded by the file. The first use of the libraries costs as much for a
file of one price as for any other: it is printed first, and the ratio is of the memory beyond it to the unpacked file.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import resource
import subprocess
import sys
import tarfile
import time
import tomllib
import zipfile
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tokenindex.adapters import Capture, adapter, adapters

SEEN_AT = datetime(2026, 11, 1, tzinfo=UTC)
LARGE = 100_000
"""From this size on a ratio of memory says something of the file."""
TINY = b"[cost]\ninput = 1\noutput = 2\n"
TINY_NAME = "providers__one__models__price.toml"
READERS = (
    ("litellm/*.json", "litellm"),
    ("genai_prices/*.json", "genai-prices"),
    ("models_dev/*.tar.gz", "models-dev"),
    ("models_dev/excerpts/*.toml", "models-dev"),
    ("openrouter_models/*.json", "openrouter-models"),
    ("openrouter_rankings_daily_api/*.json", "openrouter-rankings"),
    ("openrouter_rankings_export/*.csv", "openrouter-rankings"),
    ("modelpricewatch/*.csv", "modelpricewatch"),
    ("pi_ai/*.json", "pi-ai"),
    ("token_price_index/*.json", "token-price-index"),
    ("ecb/*", "ecb"),
    ("usage_formats/langfuse_*.json", "langfuse"),
    ("usage_formats/portkey_*.json", "portkey"),
    ("usage_formats/openrouter_endpoints_*.json", "openrouter-endpoints"),
    ("usage_formats/openai_usage_*.json", "openai-usage"),
    ("usage_formats/anthropic_usage_*.json", "anthropic-usage"),
    ("usage_formats/anthropic_cost_*.json", "anthropic-costs"),
    ("usage_formats/focus_*", "focus"),
    ("azure_llm_2023/*.csv", "azure-trace"),
    ("mooncake/*.jsonl", "mooncake-trace"),
)
"""Which adapter reads which files; one that is not installed is said so."""


def peak() -> int:
    """Return the largest memory that this process has held, in bytes.

    Linux lets a process inherit the figure of `getrusage` from the one that started it, so its own is read there.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) * 2**10  # type: ignore[index]
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 2**10


def unpacked(content: bytes, name: str) -> int:
    """Return the size of a file, of an archive that of its members."""
    if name.endswith(".tar.gz"):
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            return sum(member.size for member in archive)
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return sum(member.file_size for member in archive.infolist())
    return len(content)


def parsed(content: bytes, name: str, reader: str) -> dict[str, Any]:
    """Return what an adapter makes of a file, and what it costs."""
    parse = adapter(reader).parse
    name = name.replace("portkey_pricing_deepseek_excerpt", "deepseek")  # a file of it is named for its provider
    facts = {"name": name, "adapter": reader, "source": reader, "seen_at": SEEN_AT, "known_at": SEEN_AT}
    capture, before, start = Capture.of(content, **facts), peak(), time.perf_counter()
    found = parse(content, capture)
    spent, held = time.perf_counter() - start, peak() - before
    reasons = Counter(found.rejects["reason"].to_list())
    rows = {table.name: len(frame) for table, frame in found.tables().items() if len(frame)}
    return {"rows": rows, "rejects": dict(reasons.most_common()), "seconds": spent, "held": held}


def plain(content: bytes, name: str) -> dict[str, Any]:
    """Return what a plain reader makes of a file, and what it costs."""
    import pandas as pd

    before, start = peak(), time.perf_counter()
    frame = pd.DataFrame(_plain(content, name))
    return {"rows": {"pandas": len(frame)}, "seconds": time.perf_counter() - start, "held": peak() - before}


def _plain(content: bytes, name: str) -> Any:
    import pandas as pd

    if name.endswith(".toml"):
        return [tomllib.loads(content.decode())]
    if name.endswith(".tar.gz"):
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            files = [archive.extractfile(member) for member in archive if member.isfile() and ".toml" in member.name]
            return [tomllib.loads(file.read().decode()) for file in files if file]
    if name.endswith(".json"):
        return _records(json.loads(content))
    return pd.read_csv(io.BytesIO(content), compression="zip" if name.endswith(".zip") else None)


def _records(found: Any) -> Any:
    """Return the list of records inside a JSON price list."""
    if isinstance(found, dict) and isinstance(found.get("data"), list):
        return found["data"]
    if isinstance(found, dict):
        return [value for value in found.values() if isinstance(value, dict)]
    return [model for item in found for model in item.get("models", [item])]


def measured(path: Path, reader: str, repeats: int) -> dict[str, Any]:
    """Return the least of several processes."""
    words = [sys.executable, __file__, str(path), "--one", reader]
    runs = [subprocess.run(words, check=True, capture_output=True, text=True).stdout for _ in range(repeats)]
    found: list[dict[str, Any]] = [json.loads(run) for run in runs]
    least = {key: min(run[key] for run in found) for key in ("seconds", "held")}
    return {**found[0], **least}


def shown(path: Path, size: int, ours: dict[str, Any], theirs: dict[str, Any] | None, *, base: int) -> None:
    """Print the line of one file, and its rejects; `base` is the memory that any file takes."""
    rows = sum(number for table, number in ours["rows"].items() if table != "REJECTS")
    ratio = f"{max(0, ours['held'] - base) / size:>6.1f}" if size >= LARGE else f"{'-':>6}"
    peer = f"{theirs['seconds'] * 1e3:>9.1f}{theirs['held'] / 2**20:>8.1f}" if theirs else ""
    print(
        f"{path.parent.name[:14]:<15}{path.name[:38]:<39}{size / 1e3:>9,.0f}{rows:>9,}{ours['seconds'] * 1e3:>9.1f}"
        f"{rows / ours['seconds']:>11,.0f}{ours['held'] / 2**20:>8.1f}{ratio}{peer}"
    )
    tables = ", ".join(f"{number:,} {table}" for table, number in ours["rows"].items() if table != "REJECTS")
    rejects = ", ".join(f"{number:,} {reason}" for reason, number in ours["rejects"].items())
    print(f"{'':<15}{tables or 'no rows'}" + (f"; rejected: {rejects}" if rejects else ""))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("raw", type=Path, metavar="RAW_DIR", help="folder of snapshots, one folder a format")
    parser.add_argument("--repeats", type=int, default=3, help="processes for each file")
    parser.add_argument("--no-peer", action="store_true", help="without the plain reader")
    parser.add_argument("--one", metavar="READER", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.one:
        content, name = (chosen.raw.read_bytes(), chosen.raw.name) if chosen.raw.is_file() else (TINY, TINY_NAME)
        print(json.dumps(plain(content, name) if chosen.one == "plain" else parsed(content, name, chosen.one)))
        return 0
    reader_of = {path: reader for pattern, reader in READERS for path in sorted(chosen.raw.glob(pattern))}
    base = measured(Path(TINY_NAME), "models-dev", chosen.repeats)
    print(f"a file of one price: {base['seconds'] * 1e3:.0f} ms, {base['held'] / 2**20:.1f} MB\n")
    print(f"{'':<54}{'kB':>9}{'rows':>9}{'ms':>9}{'rows/s':>11}{'MB':>8}{'MB/MB':>6}{'peer ms':>9}{'MB':>8}")
    totals, peers, known = [], [], adapters()
    for path, reader in reader_of.items():
        if reader not in known:
            print(f"{path.parent.name[:14]:<15}{path.name[:38]:<39} skipped: no adapter is called {reader}")
            continue
        ours = measured(path, reader, chosen.repeats)
        theirs = None if chosen.no_peer else measured(path, "plain", chosen.repeats)
        shown(path, unpacked(path.read_bytes(), path.name), ours, theirs, base=base["held"])
        totals.append(ours)
        peers += [theirs] if theirs else []
    for path in sorted(path for path in chosen.raw.rglob("*") if path.is_file() and path not in reader_of):
        print(f"{path.parent.name[:14]:<15}{path.name[:38]:<39} skipped: no adapter is meant for it")
    seconds = sum(run["seconds"] for run in totals)
    rows = sum(number for run in totals for table, number in run["rows"].items() if table != "REJECTS")
    print(f"\n{len(totals)} files, {rows:,} rows in {seconds:.2f} s", end="")
    print(f"; plain readers {sum(run['seconds'] for run in peers):.2f} s" if peers else "")
    return 0 if seconds <= 10 else 1


if __name__ == "__main__":
    raise SystemExit(main())
