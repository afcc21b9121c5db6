"""The most memory that this process has used since a moment; Linux reports it, other systems do not."""

from __future__ import annotations

import math
import re
from pathlib import Path

_PEAK = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


def reset_peak() -> None:
    """Start measuring anew, where the system can."""
    if _PEAK.exists():
        try:
            _PEAK.write_text("5")
        except PermissionError:
            return  # a locked-down container: the peak since the process began is reported instead


def peak_mb() -> float:
    """Return the most memory used, MB; NaN where the system does not report it."""
    if not _STATUS.exists():
        return math.nan
    held = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text())
    return int(held[1]) * 1024 / 1e6 if held else math.nan
