"""Errors that say who must act.

*Reads* nothing. *Writes* nothing. *Never* hides a fact: every fact of an error is an attribute, the sentence is built
from the attributes, and ``remedy`` says what to do next.
"""

from __future__ import annotations


class TokenIndexError(Exception):
    """The base of every error raised on purpose.

    Parameters
    ----------
    found : str
        What is wrong, in one clause.
    expected : str
        What would have been right.
    remedy : str
        What the reader can do now.
    where : str
        File, row and column, or the key of a document; empty if the place is obvious.
    """

    exit_code = 1
    who = "the maintainers"

    def __init__(self, found: str, *, expected: str = "", remedy: str = "", where: str = "") -> None:
        self.found, self.expected, self.remedy, self.where = found, expected, remedy, where
        super().__init__(found, expected, remedy, where)

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.found}" if self.where else self.found]
        if self.expected:
            parts.append(f"expected {self.expected}")
        if self.remedy:
            parts.append(self.remedy)
        return "; ".join(parts)


class MethodologyError(TokenIndexError):
    """The document is wrong: its owner must act."""

    exit_code = 3
    who = "the owner of the methodology document"


class InputDataError(TokenIndexError):
    """A file, row or table is wrong: the data desk must act."""

    exit_code = 4
    who = "the data desk"


class AdapterError(TokenIndexError):
    """An adapter is missing or does not keep its contract: the installer must act."""

    exit_code = 5
    who = "whoever installed tokenindex"


class DeterminationError(TokenIndexError):
    """The determination cannot be made as asked: the administrator must act."""

    exit_code = 6
    who = "the index administrator"


class LedgerError(TokenIndexError):
    """A record cannot be stored or found: the publisher must act."""

    exit_code = 7
    who = "the publisher"


class VerificationError(TokenIndexError):
    """A record does not reproduce: the auditor has found something."""

    exit_code = 8
    who = "the auditor"


class CaptureError(TokenIndexError):
    """A source did not give what its entry in ``sources.toml`` allows: the data desk must act."""

    exit_code = 9
    who = "the data desk"
