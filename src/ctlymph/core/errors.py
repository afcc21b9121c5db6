"""The one kind of error a person sees: a sentence that says what is wrong, where, and what to do."""

from __future__ import annotations


class CtlymphError(Exception):
    """Input or output that cannot be used.

    The message is one line. It names the file, position or value at fault and
    then the remedy; the command line prints it as ``error: MESSAGE`` and exits
    with 1. A fault of the program itself is never wrapped in this class.
    """


def shown(text: object, limit: int = 100) -> str:
    """Make a text from a file, or from another program's error, fit for a message: one line, printable, cut."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in str(text)).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
