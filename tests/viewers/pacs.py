"""A PACS on loopback, and a study to send to it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from ctlymph.core.result import Result


@dataclass(frozen=True)
class Pacs:
    """Orthanc with DICOMweb, on loopback."""

    url: str

    @property
    def web(self) -> str:
        return f"{self.url}/dicom-web"

    def store(self, files: Sequence[Path]) -> httpx.Response:
        """Send files by STOW-RS (PS3.18 section 10.5)."""
        edge = uuid.uuid4().hex
        parts = [f"--{edge}\r\nContent-Type: application/dicom\r\n\r\n".encode() + f.read_bytes() for f in files]
        kind = f'multipart/related; type="application/dicom"; boundary={edge}'
        return httpx.post(
            f"{self.web}/studies",
            content=b"\r\n".join([*parts, f"--{edge}--\r\n".encode()]),
            headers={"Content-Type": kind, "Accept": "application/dicom+json"},
            timeout=120,
        )


@dataclass(frozen=True)
class Study:
    """A CT and what was found in it, as files."""

    result: Result
    ct: tuple[Path, ...]
    objects: tuple[Path, ...]
