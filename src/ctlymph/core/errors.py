"""The one kind of error that a person sees: one line with the fault, its place and the remedy."""

from __future__ import annotations

from enum import StrEnum


class Remedy(StrEnum):
    """A remedy that the caller chooses, in the words of the Python interface.

    The command line knows its own words for each (:mod:`ctlymph.cli.remedies`), so that
    library code names no option of a command.
    """

    OVERWRITE = "choose another name, or replace what is there with overwrite=True"
    SERIES = "choose one by its UID with series=…"
    NO_SERIES = "leave series out"
    ALLOW_GAPS = "fetch them, or interpolate them with allow_gaps=True"
    NO_SPLIT = "leave split out"
    NODES = "give the CT, and {nodes} as its nodes"
    CPU = "choose device='cpu', or install a PyTorch for your GPU"
    TRAIN = "train it first, and give the folder of the trained model"
    MASKS = "write its files again with the formats csv, json and masks"
    DOWNLOAD = "download {kinds} of the collection's cases first"
    DOWNLOAD_CASE = "download {kinds} of {case} first"
    SKIP_INCOMPLETE = "download these, or leave the cases out with skip=True"
    OTHER_SOURCE = "try the source nbia"


class CtlymphError(Exception):
    """Input or output that cannot be used.

    The text is one line: the file, position or value at fault, then what to do about it. The command line prints it
    as ``error: TEXT`` and exits with 1. A fault of the program itself is never wrapped in this class.

    Args:
        message: What is wrong and where; with what to do, unless ``remedy`` says so.
        remedy: What the caller can choose instead; the text ends with it.
        values: What the remedy names, by the names in its braces.

    Example:
        >>> str(CtlymphError("nodes.csv exists", Remedy.OVERWRITE))
        'nodes.csv exists; choose another name, or replace what is there with overwrite=True'
    """

    def __init__(self, message: str, remedy: Remedy | None = None, **values: object) -> None:
        super().__init__(f"{message}; {remedy.format(**values)}" if remedy else message)
        self.message = message
        self.remedy = remedy
        self.values = values

    def at(self, place: object) -> CtlymphError:
        """Return the same error with the file or case that it is about in front."""
        return type(self)(f"{place}: {self.message}", self.remedy, **self.values)


class UsageError(CtlymphError):
    """Arguments that cannot be used whatever the data: an unknown name, a value out of range, a contradiction.

    The command line exits with 2.
    """


def shown(text: object, limit: int = 100) -> str:
    """Return a text from a file, or from another program's error, as one printable line of limited length."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in str(text)).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
