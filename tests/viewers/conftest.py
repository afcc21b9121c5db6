"""A PACS to send results to, and a study with results."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import httpx
import numpy as np
import pytest
from pacs import Pacs, Study

from ctlymph.core.result import Result
from ctlymph.core.volume import Masks
from ctlymph.io import read
from ctlymph.io.dicom.ct_writer import CTHeader, write_ct_series
from ctlymph.measurement.axes import measure_masks
from ctlymph.outputs.result_files import write_results
from ctlymph.phantom.scan.patient import Phantom

PLUGINS = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def free_port() -> int:
    with socket.socket() as here:
        here.bind(("127.0.0.1", 0))
        return int(here.getsockname()[1])


@pytest.fixture(scope="session")
def pacs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pacs]:
    """Start Orthanc, and end it."""
    if which("Orthanc") is None or not PLUGINS.exists():
        pytest.skip("needs Orthanc and its DICOMweb plug-in (Debian's orthanc and orthanc-dicomweb)")
    folder, port = tmp_path_factory.mktemp("orthanc"), free_port()
    settings = {
        **{"HttpPort": port, "DicomServerEnabled": False, "AuthenticationEnabled": False},
        **{"RemoteAccessAllowed": False, "StorageDirectory": str(folder), "IndexDirectory": str(folder)},
        **{"Plugins": [str(PLUGINS)], "DicomWeb": {"Enable": True}},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log").open("w") as log:
        server = subprocess.Popen(["Orthanc", folder / "orthanc.json"], stdout=log, stderr=log)
    try:
        for _ in range(120):
            try:
                httpx.get(f"http://127.0.0.1:{port}/system").raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.5)
        else:
            raise RuntimeError((folder / "log").read_text()[-2000:])
        yield Pacs(f"http://127.0.0.1:{port}")
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="session")
def study(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A synthetic chest with its three largest true nodes."""
    folder = tmp_path_factory.mktemp("study")
    about = CTHeader("P1", "Synthetic^One", study_date="20200102", study_description="Synthetic chest")
    write_ct_series(phantom.volume, folder / "ct", about)
    volume = read(folder / "ct")
    sizes = np.bincount(phantom.masks.labels.ravel())
    sizes[0] = 0
    labels = np.zeros_like(phantom.masks.labels)
    for number, label in enumerate(np.argsort(-sizes)[:3], start=1):
        labels[phantom.masks.labels == label] = number
    masks = Masks(labels, volume.geometry)
    result = Result(volume, masks, measure_masks(volume, masks))
    names = ("seg", "sr", "sr_ohif")
    (folder / "out").mkdir()
    assert write_results(folder / "out", result, names) == {}
    return Study(result, tuple(sorted((folder / "ct").iterdir())), tuple(folder / "out" / f"{n}.dcm" for n in names))
