"""Downloads what standard input tells, as a process of its own, which tests kill."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from subprocess import PIPE, Popen

from fake_series import FakeSeries

from ctlymph.cli.processes import Stopped, stoppable
from ctlymph.datasets.ct_lymph_nodes.catalogue import Series
from ctlymph.datasets.ct_lymph_nodes.download.idc import IdcSource
from ctlymph.datasets.ct_lymph_nodes.download.run import DownloadRequest, download


def start(folder: Path, fakes: list[FakeSeries], url: str) -> Popen[str]:
    """Start a download of all series in a process of its own, and wait until it begins."""
    process = Popen([sys.executable, __file__], stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    json.dump({"folder": str(folder), "url": url, "series": [asdict(fake.series) for fake in fakes]}, process.stdin)
    process.stdin.close()
    process.stdin = None
    assert process.stdout.readline() == "begins\n"
    return process


def main() -> None:
    told = json.load(sys.stdin)
    request = DownloadRequest(Path(told["folder"]), tuple(Series(**each) for each in told["series"]))
    source = IdcSource(told["url"], waits_s=[])
    with stoppable():
        try:
            print("begins", flush=True)
            failed = download(request, source).failed
        except Stopped:
            sys.exit(130)
    sys.exit("; ".join(failure.reason for failure in failed) or 0)


if __name__ == "__main__":
    main()
