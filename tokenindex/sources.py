"""The allow-list of a home: which addresses may be fetched, and every limit of doing so.

*Reads* the text of ``sources.toml``. *Writes* one `Source` an entry. *Never* fills a gap: an unknown, misspelt or
missing key is an error that names the known ones, and no limit has a default.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Final, get_type_hints

from .errors import InputDataError


@dataclass(frozen=True, kw_only=True)
class Source:
    """One entry of the allow-list: an address, what it gives, and how long and how much may be waited for.

    Parameters
    ----------
    name : str
        The name of the entry, for people and for file names.
    url : str
        The only address that is asked.
    adapter, source, licence, reference : str
        Facts of the capture, as for ``tokenindex ingest``.
    content_types : tuple of str
        Media types, without parameters, that the answer may have.
    max_bytes : int
        Most bytes of one answer: on the wire with headers, and once more after decompression. At most 2**30.
    timeout_seconds : float
        Longest wait for a connection, and for each piece of an answer.
    deadline_seconds : float
        Longest time for everything: redirects, further attempts and the waiting between them.
    retries : int
        Further attempts after a connection error, a timeout, or the status 429 or 5xx; 0 to 10.
    backoff_seconds : float
        Wait before the first further attempt; it doubles before each next one.
    retry_after_max_seconds : float
        Longest wait that the server may ask for; if it asks for more there is no further attempt.
    redirect_hosts : tuple of str
        Hosts, with a port if it is not that of the scheme, to which a redirect may lead. Not even the own host is implied.
    max_redirects : int
        Most redirects in one attempt, 0 to 10.
    accept : str, optional
        The header Accept; without it the content types.
    key_env, key_header, key_scheme : str, optional
        The environment variable that holds an API key, the header it is sent in, and a word before it (``Bearer``).
    """

    name: str
    url: str
    adapter: str
    source: str
    licence: str
    reference: str
    content_types: tuple[str, ...]
    max_bytes: int
    timeout_seconds: float
    deadline_seconds: float
    retries: int
    backoff_seconds: float
    retry_after_max_seconds: float
    redirect_hosts: tuple[str, ...]
    max_redirects: int
    accept: str | None = None
    key_env: str | None = field(default=None, repr=False)  # somebody may have put the key itself there
    key_header: str | None = None
    key_scheme: str | None = None


LIMITS: Final[dict[str, tuple[float, float]]] = {
    "max_bytes": (1, 2**30),
    "timeout_seconds": (0.001, 600),
    "deadline_seconds": (0.001, 3600),
    "retries": (0, 10),
    "backoff_seconds": (0, 600),
    "retry_after_max_seconds": (0, 3600),
    "max_redirects": (0, 10),
}
"""Keys that may stand once in ``[limits]`` for every source, with their bounds."""
_OURS: Final = {"host", "accept", "accept-encoding", "connection", "user-agent", "content-length", "transfer-encoding"}
_TOKEN: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_TICKET: Final = r"[?&;]((api|access|auth)?[-_.]?(key|token)|secret|password|sig|signature)=|^\w+://[^/?#]*@"
_HINTS: Final = get_type_hints(Source)
_KEYS: Final = tuple(f.name for f in fields(Source) if f.name != "name")
_REQUIRED: Final = tuple(f.name for f in fields(Source) if f.default is MISSING and f.name != "name")


def read_sources(text: bytes, *, where: str) -> dict[str, Source]:
    """Return the sources that the TOML bytes `text` allow, by name; `where` names them in errors.

    A source takes the limits that it does not give itself from the table ``[limits]``.

    Raises
    ------
    InputDataError
        Naming table and key: what was found, and what is known there. What a key holds is not shown.
    """
    try:
        document = tomllib.loads(text.decode("utf-8"))
    except UnicodeDecodeError as wrong:
        raise InputDataError(f"byte {wrong.start} is not UTF-8", where=where, expected="a TOML file") from None
    except ValueError as wrong:  # not TOML, or an integer of more than 4,300 digits
        raise InputDataError(str(wrong), where=where, expected="a TOML file in UTF-8") from None
    except RecursionError:
        raise InputDataError("it is nested too deeply", where=where, expected="[sources.NAME]") from None
    _known(document, ("limits", "sources"), where=where)
    shared = _table(document.get("limits", {}), where=f"{where} [limits]")
    _known(shared, tuple(LIMITS), where=f"{where} [limits]")
    entries = _table(document.get("sources", {}), where=f"{where} [sources]")
    return {name: _source(name, entry, shared, where=where) for name, entry in entries.items()}


def _source(name: str, entry: Any, shared: Mapping[str, Any], *, where: str) -> Source:
    where = f"{where} [sources.{name}]" if name.isprintable() else where
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise InputDataError(f"{name[:80]!r} cannot name a source", where=where, expected="letters, digits, . _ -")
    entry = _table(entry, where=where)
    _known(entry, _KEYS, where=where)
    given = {**shared, **entry}
    missing = [key for key in _REQUIRED if key not in given]
    if missing:
        raise InputDataError(f"missing {', '.join(missing)}", where=where, expected=", ".join(_KEYS))
    found = Source(name=name, **{key: _typed(key, given[key], where=where) for key in _KEYS if key in given})
    for key, (right, expected) in _CHECKS.items():
        value = getattr(found, key)
        if value is not None and not right(value):
            raise InputDataError(f"{key} does not fit", where=where, expected=expected)
    if (found.key_env is None) != (found.key_header is None) or (found.key_scheme and not found.key_env):
        raise InputDataError("half a key is described", where=where, expected="key_env and key_header together")
    return found


def _table(found: Any, *, where: str) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise InputDataError(f"a {type(found).__name__}", where=where, expected="a table")
    return found


def _known(table: Mapping[str, Any], names: tuple[str, ...], *, where: str) -> None:
    for key in table:
        if key not in names:
            near = get_close_matches(key[:80], names, n=1)
            raise InputDataError(
                f"unknown key {key[:80]!r}",
                where=where,
                expected="only " + ", ".join(names),
                remedy=f"did you mean {near[0]!r}?" if near else "remove it",
            )


def _typed(key: str, found: Any, *, where: str) -> Any:
    """Return `found` as the type of the key; an error says the type of what was found, never the text."""
    wanted = _HINTS[key]
    if wanted == tuple[str, ...] and isinstance(found, list) and all(isinstance(item, str) for item in found):
        return tuple(found)
    if wanted is float and type(found) in (int, float):
        return found
    if type(found) is wanted or (type(found) is str and wanted == str | None):
        return found
    names = {int: "a whole number", float: "a number", tuple[str, ...]: "a list of texts"}
    raise InputDataError(f"{key} is a {type(found).__name__}", where=where, expected=names.get(wanted, "a text"))


def _line(text: str) -> bool:
    return bool(text.strip()) and text.isprintable() and len(text) <= 2000


def _bounded(low: float, high: float) -> tuple[Callable[[Any], bool], str]:
    return (lambda found: low <= found <= high), f"{low} to {high}"


def _each(pattern: str, *, at_least: int) -> Callable[[Any], bool]:
    return lambda found: len(found) >= at_least and all(re.fullmatch(pattern, text) for text in found)


_CHECKS: Final[dict[str, tuple[Callable[[Any], object], str]]] = {
    "url": (
        lambda text: _line(text) and not re.search(_TICKET, text, flags=re.IGNORECASE),
        "one line of text, and no key in it: a key stands in the environment, see key_env",
    ),
    **dict.fromkeys(("adapter", "source", "licence", "reference"), (_line, "one line of text")),
    **{key: _bounded(*bounds) for key, bounds in LIMITS.items()},
    "content_types": (
        _each(r"[a-z0-9.+-]+/[a-z0-9.+-]+", at_least=1),
        "types such as 'application/json', in lower case",
    ),
    "redirect_hosts": (_each(r"[a-z0-9.-]+(:[0-9]+)?", at_least=0), "hosts in lower case, such as 'example.com'"),
    "accept": (lambda text: re.fullmatch(r"[!-~]([ -~]{0,500}[!-~])?", text), "a header of printable ASCII"),
    "key_env": (lambda text: re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text), "the name of an environment variable"),
    "key_header": (
        lambda text: re.fullmatch(_TOKEN, text) and text.lower() not in _OURS,
        "a header such as 'Authorization' that is not sent anyway",
    ),
    "key_scheme": (lambda text: re.fullmatch(_TOKEN, text), "one word, such as 'Bearer'"),
}

EXAMPLE: Final = """\
# What `tokenindex fetch` may ask. Nothing else is asked, and no limit has a default. Take the # away from what you need.
#
# [limits] holds for every source that does not say otherwise:
#
#[limits]
#max_bytes = 50_000_000          # of one answer: on the wire with headers, and again unpacked
#timeout_seconds = 20            # for a connection, and for each piece of an answer
#deadline_seconds = 120          # for everything, waiting and further attempts included
#retries = 3                     # after a connection error, a timeout, 429 or 5xx
#backoff_seconds = 2             # before the first further attempt; doubles
#retry_after_max_seconds = 60    # longest wait that a server may ask for
#max_redirects = 0
#
#[sources.litellm]
#url = "https://raw.githubusercontent.com/BerriAI/litellm/main/model_prices_and_context_window.json"
#adapter = "litellm"
#source = "litellm"
#licence = "MIT"
#reference = "github.com/BerriAI/litellm"
#content_types = ["text/plain", "application/json"]
#redirect_hosts = []             # hosts to which a redirect may lead, the own one included
#
#[sources.openrouter]
#url = "https://openrouter.ai/api/v1/models"
#adapter = "openrouter-models"
#source = "openrouter-models"
#licence = "as published by openrouter.ai"
#reference = "openrouter.ai/api/v1/models"
#content_types = ["application/json"]
#redirect_hosts = []
#
# A source that asks for a key: the key stands in the environment and never in a file.
#
#key_env = "OPENROUTER_API_KEY"  # the variable that holds the key
#key_header = "Authorization"
#key_scheme = "Bearer"           # the word before the key, if there is one
"""
"""The file that a new home begins with: nothing is allowed yet."""
