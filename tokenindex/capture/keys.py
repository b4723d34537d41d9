"""API keys: taken from the environment, sent in one header, shown nowhere.

*Reads* the variable that an entry of the allow-list names. *Writes* a `Key`, which knows whether a text repeats it.
*Never* gives the key away: not in a repr, an error or a capture.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Mapping
from json import dumps
from urllib.parse import quote

from ..errors import CaptureError
from ..sources import Source


class Key:
    """An API key with the word that is sent before it, if there is one."""

    def __init__(self, text: str, scheme: str | None) -> None:
        self._text, self._scheme = text, scheme
        self._forms = {form.lower() for secret in _secrets(text) for form in _forms(secret)}

    def header(self) -> str:
        """Return the header that carries the key."""
        return f"{self._scheme} {self._text}" if self._scheme else self._text

    def stands_in(self, found: bytes | str) -> bool:
        """Return whether `found` holds the key: plain, in other letter case, or in a usual encoding."""
        low = (found.encode("utf-8", "replace") if isinstance(found, str) else found).lower()
        return any(form in low for form in self._forms)

    def __repr__(self) -> str:
        return "<key>"


def key_of(source: Source, environment: Mapping[str, str]) -> Key | None:
    """Return the key of a source, or None if it needs none.

    Raises
    ------
    CaptureError
        If the variable holds no key, or ``sources.toml`` holds the key itself. Neither is shown.
    """
    if source.key_env is None:
        return None
    text = environment.get(source.key_env, "")
    if not re.fullmatch(r"[!-~]{8,4000}", text):
        found = "holds no key" if text else "is not set"
        expected = "at least 8 printable ASCII characters without a space"
        remedy = "put the key alone there; a word before it, such as Bearer, is the key_scheme"
        raise CaptureError(
            f"the variable that key_env names {found}", expected=expected, remedy=remedy, where=source.name
        )
    key = Key(text, source.key_scheme)
    if any(key.stands_in(str(fact)) for fact in vars(source).values()):
        raise CaptureError("the key itself stands there", where="sources.toml", remedy="remove it, and have it changed")
    return key


def _secrets(text: str) -> list[str]:
    """Return the key, and the password that stands in it if it is one for the scheme Basic."""
    try:
        password = b64decode(text, validate=True).decode("ascii").partition(":")[2]
    except ValueError:
        return [text]
    return [text, password] if len(password) >= 8 else [text]


def _forms(secret: str) -> list[bytes]:
    raw = secret.encode("ascii")
    packed = (b64encode(raw), urlsafe_b64encode(raw), raw.hex().encode())
    spelt = (quote(secret, safe=""), dumps(secret)[1:-1], dumps(secret)[1:-1].replace("/", "\\/"))
    return [raw, *(form.rstrip(b"=") for form in packed), *(form.encode() for form in spelt)]
