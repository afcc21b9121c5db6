"""The terms that a user accepts before the first download, and the texts that stay beside the data."""

from __future__ import annotations

from pathlib import Path

from ctlymph.datasets.ct_lymph_nodes import cite
from ctlymph.io.atomic import explained, new_file

LICENSE_FILE = "LICENSE.txt"


def accepted(folder: Path) -> bool:
    """Return whether the terms were accepted for this folder."""
    return (folder / LICENSE_FILE).is_file()


def accept(folder: Path) -> None:
    """Write the licence and the citations into the folder: the mark that its user has accepted them.

    Raises:
        CtlymphError: If they cannot be written.
    """
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    # The licence last: it is the mark.
    texts = {"CITATION.txt": cite.as_text(), "CITATION.bib": cite.as_bibtex(), LICENSE_FILE: cite.license_text()}
    for name, text in texts.items():
        with new_file(folder / name, overwrite=True) as path:
            path.write_text(text, encoding="utf-8")
