"""DICOM UIDs made of a UUID, under the root ``2.25.`` that anyone may use (PS3.5 B.2)."""

from __future__ import annotations

import hashlib
from uuid import UUID, uuid4


def new_uid(*origin: str) -> str:
    """Return a UID that depends on the texts only, or a random one if there are none."""
    if not origin:
        return f"2.25.{uuid4().int}"
    digest = hashlib.sha256("\n".join(("ctlymph", *origin)).encode()).digest()
    return f"2.25.{UUID(bytes=digest[:16], version=4).int}"
