"""The interface of a service that DICOM series are downloaded from, whatever its protocol."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ctlymph.datasets.ct_lymph_nodes.catalogue import Series


class SeriesSource(Protocol):
    """A service that series are fetched from."""

    @property
    def name(self) -> str:
        """What people call it, for messages."""
        ...

    @property
    def at_once(self) -> int:
        """How many series may be fetched at the same time."""
        ...

    def fetch(self, series: Series, into: Path, advance: Callable[[int], None]) -> dict[str, str]:
        """Fill the folder ``into`` with all files of a series.

        Files that lie there from an earlier, interrupted try are kept where they
        can be shown to be whole. May be called from several threads at once, for
        different series. Errors that may pass (timeouts, refusals for load) are
        tried again before it gives up.

        Args:
            series: What to fetch.
            into: An existing folder of this series alone.
            advance: Called with the number of bytes that have arrived, as they arrive; kept files count too.

        Returns:
            The MD5 (32 lower-case hexadecimal digits) that the service states for each file, by
            file name; files for which it states none are left out.

        Raises:
            CtlymphError: If the series cannot be fetched: what the service answered, and what to do.
        """
        ...
