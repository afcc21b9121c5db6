"""Manifests as TCIA's website makes them, and what else may be given instead."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctlymph.core.errors import CtlymphError
from ctlymph.datasets.ct_lymph_nodes.catalogue import catalogue
from ctlymph.datasets.ct_lymph_nodes.download.manifest import LARGEST_BYTES, read_manifest

HEAD = """downloadServerUrl=https://public.cancerimagingarchive.net/nbia-download/servlet/DownloadServlet
includeAnnotation=true
noOfrRetry=4
databasketId=manifest-1680277513580.tcia
manifestVersion=3.0
ListOfSeriesToDownload=
"""


def write(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    path = tmp_path / "lymph.tcia"
    path.write_bytes(text.encode(encoding))
    return path


def test_gives_every_series_of_the_collection_in_its_order(tmp_path: Path) -> None:
    uids = tuple(series.series_uid for series in catalogue().series())
    manifest = read_manifest(write(tmp_path, HEAD + "\n".join(uids)))
    assert manifest.series_uids == uids
    assert manifest.stray_lines == 0


def test_gives_the_settings(tmp_path: Path) -> None:
    manifest = read_manifest(write(tmp_path, HEAD + "61.7.1"))
    assert manifest.server_url == "https://public.cancerimagingarchive.net/nbia-download/servlet/DownloadServlet"
    assert manifest.databasket_id == "manifest-1680277513580.tcia"
    assert manifest.version == "3.0"
    assert manifest.include_annotation


def test_settings_may_be_absent(tmp_path: Path) -> None:
    manifest = read_manifest(write(tmp_path, "ListOfSeriesToDownload=\n61.7.1\n"))
    assert (manifest.server_url, manifest.databasket_id, manifest.version) == ("", "", "")
    assert not manifest.include_annotation


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_reads_files_of_every_system(end: str, encoding: str, tmp_path: Path) -> None:
    text = (HEAD + "61.7.1\n\n 1.2.3 \n").replace("\n", end)
    assert read_manifest(write(tmp_path, text, encoding)).series_uids == ("61.7.1", "1.2.3")


def test_gives_each_series_once(tmp_path: Path) -> None:
    assert read_manifest(write(tmp_path, HEAD + "61.7.2\n61.7.1\n61.7.2\n")).series_uids == ("61.7.2", "61.7.1")


def test_leaves_out_and_counts_lines_that_are_no_uid(tmp_path: Path) -> None:
    strays = [
        "manifestVersion=3.0",
        "../../etc",
        "1..2",
        "1.2.",
        ".1.2",
        "42",
        "1.2,1.3",
        "1.2 1.3",
        "1." * 33 + "1",
        "١.٢",
    ]
    manifest = read_manifest(write(tmp_path, HEAD + "61.7.1\n" + "\n".join(strays) + f"\n1.{'2' * 62}\n"))
    assert manifest.series_uids == ("61.7.1", f"1.{'2' * 62}")
    assert manifest.stray_lines == len(strays)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no line 'ListOfSeriesToDownload='"),
        (b"PatientID,StudyInstanceUID\n61.7.1,1.2\n", "no line 'ListOfSeriesToDownload='"),
        (HEAD.encode(), "names no series"),
        (HEAD.encode() + b"none\n", "names no series"),
        (HEAD.encode() + b"61.7.1\n\0", "no text"),
        (HEAD.encode("utf-16"), "no text"),
        (HEAD.encode() + b"\xff61.7.1", "no text (byte "),
        (HEAD.encode() + b"61.7.1\n" * (LARGEST_BYTES // 7), "more than 20 MB"),
    ],
)
def test_refuses_what_is_no_manifest(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "other.tcia"
    path.write_bytes(content)
    with pytest.raises(CtlymphError) as caught:
        read_manifest(path)
    assert reason in str(caught.value)
    assert str(path) in str(caught.value)


def test_refuses_what_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.tcia"):
        with pytest.raises(CtlymphError, match="cannot read"):
            read_manifest(path)
