from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from shutil import which

import highdicom as hd
import pytest

from ctlymph.followup.course import FollowUp
from ctlymph.io import read
from ctlymph.io.dicom.ct_writer import CTHeader, write_ct_series
from ctlymph.outputs.response_sr import write_response_report
from followed_patient import patient


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> FollowUp:
    """A patient whose scans were read from DICOM."""
    made, folder = patient(), tmp_path_factory.mktemp("scans")
    volumes = []
    for number, volume in enumerate(made.volumes):
        write_ct_series(volume, folder / str(number), CTHeader("P7", study_date=f"2020010{number + 1}"))
        volumes.append(read(folder / str(number)))
    return replace(made, volumes=volumes)


def test_reports_tell_sum_category_and_targets_with_dicoms_codes(followed: FollowUp, tmp_path: Path) -> None:
    tracked = []
    for visit in (1, 2):
        path = tmp_path / f"{visit}.dcm"
        write_response_report(path, followed, visit, datetime(2020, 2, 3), "seed")
        report = hd.sr.srread(path)
        total, *targets = report.content.get_image_measurement_groups()
        assessment = followed.response.assessments[visit]
        values = {each.name.value: each.value for each in total.get_measurements()}
        assert values["recist-sum"] == pytest.approx(assessment.sum_mm, abs=0.006)
        ((response,),) = [total.get_qualitative_evaluations()]
        assert (response.name.value, response.value.scheme_designator) == ("112048", "DCM")
        assert response.value.value == {"PR": "112042", "PD": "112043"}[str(assessment.category)]
        shorts = [group.get_measurements()[0].value for group in targets]
        assert shorts == pytest.approx([assessment.adds_mm[n] for n in (1, 2)], abs=0.006)
        tracked.append([group.tracking_uid for group in (total, *targets)])
        assert report.StudyDate == f"2020010{visit + 1}"
    assert tracked[0] == tracked[1]  # the same targets at every visit


@pytest.mark.skipif(which("dciodvfy") is None, reason="needs dciodvfy (Debian's dicom3tools)")
def test_dciodvfy_finds_no_error(followed: FollowUp, tmp_path: Path) -> None:
    write_response_report(tmp_path / "r.dcm", followed, 2, datetime(2020, 2, 3), "seed")
    said = subprocess.run(["dciodvfy", tmp_path / "r.dcm"], capture_output=True, text=True, check=False).stderr
    assert not [line for line in said.splitlines() if line.startswith("Error")], said
