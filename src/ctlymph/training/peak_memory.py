"""The most memory that this process has held since a moment. Linux tells it; elsewhere it is not known."""

from __future__ import annotations

import math
import re
from pathlib import Path

_PEAK = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


def reset_peak() -> None:
    """Begin to measure anew, where the system can."""
    if _PEAK.exists():
        try:
            _PEAK.write_text("5")
        except PermissionError:
            return  # a locked-down container: the peak since the process began is told instead


def peak_mb() -> float:
    """Give the most memory held, MB; NaN where the system does not tell."""
    if not _STATUS.exists():
        return math.nan
    held = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text())
    return int(held[1]) * 1024 / 1e6 if held else math.nan
