"""The ``.tcia`` manifest: the list of series that TCIA's website gives for its own downloader."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ctlymph.core.errors import CtlymphError, shown

LARGEST_BYTES = 20_000_000
"""A manifest of every series of TCIA is smaller."""

_LIST = "ListOfSeriesToDownload"
_UID = re.compile(r"[0-9]+(\.[0-9]+)+", re.ASCII)
_REMEDY = "give a .tcia file as TCIA's website makes it"


@dataclass(frozen=True)
class Manifest:
    """What a manifest asks for.

    Attributes:
        server_url: The service that it was made for; its protocol is not the one used here. Empty if not given.
        databasket_id: Its name on the website. Empty if not given.
        version: Version of the format, e.g. ``3.0``. Empty if not given.
        include_annotation: Whether segmentations and the like of the series are wanted too.
        series_uids: SeriesInstanceUIDs, each once, in the order of the file.
        stray_lines: Lines of the list that are no UID and were left out.
    """

    server_url: str
    databasket_id: str
    version: str
    include_annotation: bool
    series_uids: tuple[str, ...]
    stray_lines: int


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        CtlymphError: If the file cannot be read, is no manifest, or names no series.
    """
    before, found, after = _text(path).partition(f"{_LIST}=")
    if not found:
        raise CtlymphError(f"{path} is no manifest: it has no line '{_LIST}='; {_REMEDY}")
    settings = dict(line.strip().partition("=")[::2] for line in before.splitlines())
    lines = [line.strip() for line in after.splitlines() if line.strip()]
    uids = [line for line in lines if is_uid(line)]
    if not uids:
        raise CtlymphError(f"{path} names no series below '{_LIST}='; {_REMEDY}")
    return Manifest(
        server_url=settings.get("downloadServerUrl", ""),
        databasket_id=settings.get("databasketId", ""),
        version=settings.get("manifestVersion", ""),
        include_annotation=settings.get("includeAnnotation", "").lower() == "true",
        series_uids=tuple(dict.fromkeys(uids)),
        stray_lines=len(lines) - len(uids),
    )


def is_uid(text: str) -> bool:
    """Return whether a text can be a DICOM UID. Any root will do: the collection's CTs have ``61.7``."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def _text(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise CtlymphError(f"cannot read {path}: {error.strerror or shown(error)}; {_REMEDY}") from error
    if len(content) > LARGEST_BYTES or b"\0" in content:
        raise CtlymphError(f"{path} is no manifest: it is no text, or more than 20 MB; {_REMEDY}")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CtlymphError(f"{path} is no manifest: it is no text (byte {error.start}); {_REMEDY}") from error
