"""DICOM's unique identifiers, under the root that anyone may use (PS3.5 B.2): ``2.25.`` and a UUID as a number."""

from __future__ import annotations

import hashlib
from uuid import UUID, uuid4


def new_uid(*origin: str) -> str:
    """Give a UID that follows from the texts, or a random one where there is none."""
    if not origin:
        return f"2.25.{uuid4().int}"
    digest = hashlib.sha256("\n".join(("ctlymph", *origin)).encode()).digest()
    return f"2.25.{UUID(bytes=digest[:16], version=4).int}"
