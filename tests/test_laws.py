"""The laws of the design: each test here fails if one is broken."""

from __future__ import annotations

import ast
import inspect
import itertools
import subprocess
import sys
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from tokenindex import determination as stages
from tokenindex.constituents import (
    accept,
    consolidate,
    count_usage,
    flag_outliers,
    relate,
    screen,
    spread,
    standardise,
)
from tokenindex.errors import DeterminationError
from tokenindex.exact import NANO, PRICE_MAX, ROWS_MAX, TOKENS_MAX, WIDE, wide_sum
from tokenindex.fixings import weigh
from tokenindex.guard import held_on, hold
from tokenindex.home import Home
from tokenindex.rules import RULES
from tokenindex.selection import select
from tokenindex.tables import QUOTE_KEY

PACKAGE = Path(stages.__file__).parent
ORDER = (
    "errors",
    "exact",
    "units",
    "periods",
    "tables",
    "digests",
    "numbers",
    "rules.caps",
    "rules.consolidation",
    "rules.formulas",
    "rules.guards",
    "rules.outliers",
    "rules.screens",
    "rules.waterfall",
    "rules",
    "methodology",
    "documents",
    "adapters",
    "amounts",
    "spells",
    "looks",
    "inputs",
    "selection",
    "volumes",
    "release",
    "offers",
    "changes",
    "guard",
    "basket",
    "constituents",
    "fixings",
    "determination",
    "attribution",
    "divergence",
    "impact",
    "identity",
    "places",
    "location",
    "reference_rates",
    "quality",
    "hedonics",
    "bands",
    "records",
    "verification",
    "sentences",
    "provisions",
    "paperwork",
    "sources",
    "registers",
    "capture",
    "files",
    "chains",
    "captures",
    "store",
    "signing",
    "ledger",
    "home",
    "retention",
    "publication",
    "errata",
    "containers",
    "bundles",
    "report",
    "commands",
    "cli",
    "recompute",
)
PURE = ORDER[: ORDER.index("capture")]
NETWORK = frozenset(
    "_socket _ssl aiohttp asyncio ftplib http http.client http.server httpcore httpx httpx2 imaplib poplib requests "
    "smtplib socket socketserver ssl urllib.request urllib3 xmlrpc".split()
)


def modules() -> dict[str, Path]:
    """Return every module of the package by its dotted name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


_ROOMS = ("adapters.", "capture.", "commands.", "numbers.", "store.")


def room(module: str) -> str:
    """Return the place of a module in the order: all adapters share one room, as do commands, index numbers, …"""
    return module.partition(".")[0] if module.startswith(_ROOMS) else module


def imports(module: str, path: Path) -> set[str]:
    """Return the modules of the package that a module imports, inside functions included."""
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            target = [*base, *(node.module or "").split(".")] if node.module else base
            names = [".".join(target)] if node.module else [".".join([*base, a.name]) for a in node.names]
            found |= {name for name in names if name}
    return {name for name in found if name in modules()}


def test_every_module_has_a_place_in_the_order() -> None:
    assert {room(name) for name in modules() if name} == set(ORDER)


@pytest.mark.parametrize("module", sorted(name for name in modules() if name))
def test_a_module_imports_only_from_those_before_it(module: str) -> None:
    for target in imports(module, modules()[module]):
        if room(target) != room(module):
            assert ORDER.index(room(target)) < ORDER.index(room(module)), f"{module} imports {target}"


@pytest.mark.parametrize("module", sorted(name for name in modules() if room(name) in PURE))
def test_the_pure_part_asks_for_no_clock_disk_network_environment_or_chance(module: str) -> None:
    tree = ast.parse(modules()[module].read_text(encoding="utf-8"))
    banned = {
        "os",
        "socket",
        "random",
        "time",
        "urllib",
        "http",
        "subprocess",
        "secrets",
        "uuid",
        "tempfile",
        "pathlib",
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert not banned & {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and not node.level:
            assert (node.module or "").split(".")[0] not in banned
        if isinstance(node, ast.Call):
            asked = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            called = node.func.id if isinstance(node.func, ast.Name) else ""
            assert asked not in {"today", "now", "utcnow", "getenv"}, f"{module} line {node.lineno}"
            assert called != "open", f"{module} line {node.lineno}"


def foreign(path: Path) -> set[str]:
    """Return the modules of other packages that a module imports, inside functions and by name included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and not node.level:
            found |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            found |= {str(part.value) for part in node.args if isinstance(part, ast.Constant)}
    return found | {".".join(name.split(".")[:k]) for name in found for k in range(1, name.count(".") + 1)}


def test_only_capture_opens_a_socket() -> None:
    asked = {name: foreign(path) & NETWORK for name, path in modules().items()}
    assert {name for name, found in asked.items() if found} == {"capture", "capture.answers", "capture.wire"}
    assert {name for name, found in asked.items() if found & {"socket", "ssl"}} == {"capture.wire"}
    assert asked["capture"] | asked["capture.answers"] == {"http", "http.client"}


@pytest.mark.parametrize(
    "text",
    [
        "import socket",
        "import http.client as web",
        "from urllib import request",
        "from urllib.request import urlopen",
        "def f():\n    from ssl import SSLContext",
        "import importlib\nimportlib.import_module('httpx')",
        "__import__('socket')",
    ],
)
def test_the_law_of_sockets_sees_every_way_to_import(text: str, tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(text)
    assert foreign(tmp_path / "module.py") & NETWORK
    (tmp_path / "module.py").write_text("from urllib.parse import quote\nimport json")
    assert not foreign(tmp_path / "module.py") & NETWORK


def test_every_module_opens_with_its_room_card() -> None:
    for name, path in modules().items():
        words = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        assert not name or all(word in words.lower() for word in ("*reads*", "*never*")), name
        assert not name or "*write" in words.lower() or "*writes*" in words.lower(), name


def test_the_second_verifier_stands_apart() -> None:
    assert imports("recompute", PACKAGE / "recompute.py") == set()
    assert not any("tokenindex" in name for name in foreign(PACKAGE / "recompute.py"))
    for name, path in modules().items():
        assert "recompute" not in imports(name, path), name


def test_modules_stay_small() -> None:
    reasons = {
        "tables": "one entry a column, and all tables in one place",
        "recompute": "one file by purpose: it stands whole in every evidence bundle and runs alone",
    }
    for name, path in modules().items():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        assert lines <= 450 or name in reasons, f"{name} has {lines} lines"


@pytest.mark.parametrize("slot", RULES)
def test_a_rule_has_no_default(slot: str) -> None:
    for name, factory in RULES[slot].items():
        for parameter in inspect.signature(factory).parameters.values():
            assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, name
            assert parameter.default is inspect.Parameter.empty, name
            assert parameter.annotation is not inspect.Parameter.empty, name


def test_no_sum_can_reach_38_digits() -> None:
    assert PRICE_MAX * TOKENS_MAX * ROWS_MAX < 10**38
    # unit conversion and exchange: the sizes that `standardise` multiplies in 128 bits
    assert PRICE_MAX * 10**15 < 2**125
    assert PRICE_MAX * (2**63 - 1) < 2**125
    # shares: tokens or weights times NANO
    assert TOKENS_MAX * ROWS_MAX * NANO < 2**125
    largest = pl.DataFrame({"q": [TOKENS_MAX] * 10, "p": [PRICE_MAX] * 10})
    assert int(largest.select(wide_sum(pl.col("q"), pl.col("p"))).item()) == 10 * TOKENS_MAX * PRICE_MAX


def test_an_overflow_raises_and_does_not_wrap() -> None:
    over = pl.DataFrame({"q": [10**18] * 20}).with_columns(pl.col("q").cast(WIDE))
    with pytest.raises(pl.exceptions.PolarsError):
        over.select((pl.col("q") * pl.col("q") * pl.lit(10**3).cast(WIDE)).sum())


def test_stages_append_columns_and_keep_rows() -> None:
    home = Home.sample()
    day = date(2026, 6, 20)
    methodology, inputs = home.methodology("tix-cn", day), home.inputs()
    grid = stages._grid(methodology, [day], stages._rebalances(methodology, [day]), known_at=home.known_at)
    frames = [select(inputs, methodology.inputs, methodology.measures.currency, grid)[0]]
    frames.append(standardise(hold(frames[-1], held_on(inputs, methodology, grid), grid)))
    frames.append(screen(frames[-1], methodology))
    _, pieces = consolidate(frames[-1], methodology, inputs.universe(methodology), size=grid.size)
    usage = count_usage(inputs, methodology.volumes, grid)
    later = [spread(pieces, grid)]
    later.append(relate(later[-1], methodology))
    later.append(flag_outliers(later[-1], methodology))
    later.append(accept(later[-1], methodology))
    later.append(later[-1].with_columns(tokens=usage.of(later[-1])))
    later.append(weigh(later[-1], [], methodology, grid))
    for road in (frames, later):
        for before, after in itertools.pairwise(road):
            assert after.columns[: len(before.columns)] == before.columns
            assert len(after.columns) > len(before.columns)
            assert after.select(before.columns).equals(before)


@pytest.mark.parametrize("index", ["tix", "tix-cn"])
def test_baskets_of_an_earlier_determination_give_the_same_fixing(index: str) -> None:
    home = Home.sample()
    days = [date(2026, 6, 14), date(2026, 6, 26)]
    methodology, inputs = home.methodology(index, days[-1]), home.inputs()
    whole = stages.determine(methodology, inputs, dates=days, known_at=home.known_at)
    for some in (days[:1], days[-1:]):
        loaded = home.methodology(index, days[-1])
        earlier = stages.determine(loaded, inputs, dates=some, known_at=home.known_at)
        again = stages.determine(methodology, inputs, dates=days[-1:], known_at=home.known_at, earlier=earlier)
        assert again.grid.size < whole.grid.size
        assert again.baskets == whole.baskets
        assert again.fixing(days[-1]) == whole.fixing(days[-1])
        assert again.constituents_on(days[-1]).equals(whole.constituents_on(days[-1]))
    with pytest.raises(DeterminationError, match="earlier determination"):
        stages.determine(methodology, inputs, dates=days[-1:], known_at=None, earlier=whole)


def test_every_observation_is_used_or_has_a_reason() -> None:
    home = Home.sample()
    day = date(2026, 6, 20)
    inputs = home.inputs()
    found = stages.determine(home.methodology("tix", day), inputs, dates=[day], known_at=home.known_at)
    rows = found.observations_on(day)
    quotes = inputs.observations.filter(pl.col("valid_from") <= pl.lit(found.grid.frame["cut_off"][-1]))
    assert len(rows) == quotes.select(QUOTE_KEY).unique().height
    used = rows.filter(pl.col("excluded_by").is_null())
    assert used["standard_price"].null_count() == 0
    assert used.filter(pl.col("standard_price") <= 0).is_empty()


def test_a_fixing_loads_nothing_that_fetches() -> None:
    words = ["fix", "anthropic-output", "--date", "2026-06-25"]
    body = f"import sys\nfrom tokenindex.cli import main\nassert main({words!r}) == 0\n"
    check = "print([m for m in sys.modules if m.split('.')[1:2] == ['capture']], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", body + check], capture_output=True, text=True, check=True)
    assert done.stderr.strip().splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", [["-c", "import tokenindex"], ["-m", "tokenindex.cli", "--help"]])
def test_import_and_help_load_no_library(command: list[str]) -> None:
    heavy = ("pandas", "scipy", "pandera", "polars", "pyarrow", "numpy", "ssl", "http.client", "tokenindex.capture")
    report = "import sys, runpy\nsys.argv = ['x', '--help']\n"
    body = (
        "import tokenindex\n"
        if command[0] == "-c"
        else "try:\n    runpy.run_module('tokenindex.cli', run_name='__main__')\nexcept SystemExit:\n    pass\n"
    )
    check = f"print([m for m in {heavy!r} if m in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", report + body + check], capture_output=True, text=True, check=True)
    assert done.stderr.strip().splitlines()[-1] == "[]"
