"""What a PACS takes, finds and gives back."""

from __future__ import annotations

import re

import httpx
import pydicom
from pacs import Pacs, Study


def test_a_pacs_stores_finds_and_returns_everything_byte_for_byte(pacs: Pacs, study: Study) -> None:
    stored = pacs.store((*study.ct, *study.objects))
    assert stored.status_code == 200, stored.text
    assert len(stored.json()["00081199"]["Value"]) == len(study.ct) + 3  # PS3.18: instances that were stored
    uid = pydicom.dcmread(study.ct[0]).StudyInstanceUID
    (found,) = httpx.get(f"{pacs.web}/studies", params={"PatientID": "P1"}).json()
    assert found["0020000D"]["Value"] == [uid]
    series = httpx.get(f"{pacs.web}/studies/{uid}/series").json()
    assert sorted(each["00080060"]["Value"][0] for each in series) == ["CT", "SEG", "SR", "SR"]
    for file in (study.ct[0], study.ct[-1], *study.objects):
        sent = pydicom.dcmread(file)
        place = f"{pacs.web}/studies/{uid}/series/{sent.SeriesInstanceUID}/instances/{sent.SOPInstanceUID}"
        answer = httpx.get(place, headers={"Accept": 'multipart/related; type="application/dicom"'})
        assert answer.status_code == 200
        pixels = sent.get("PixelData")
        if pixels is not None:
            assert pixels in answer.content
        assert re.search(re.escape(sent.SOPInstanceUID).encode(), answer.content)
    back = httpx.get(f"{pacs.web}/studies/{uid}/series/{sent.SeriesInstanceUID}/metadata").json()
    assert back[0]["0040A730"]["Value"]  # the report's content
