from __future__ import annotations

from pathlib import Path

import pytest

from ctlymph.core.errors import CtlymphError
from ctlymph.datasets.archive_file import CollectionFile
from ctlymph.datasets.candidates import Candidate, read_candidates


def files(folder: Path, points: str, ids: str | None) -> dict[str, CollectionFile]:
    folder.mkdir()
    (folder / "physicalPoints.txt").write_text(points)
    found = {"physicalPoints.txt": CollectionFile(folder / "physicalPoints.txt")}
    if ids is not None:
        (folder / "grtIDs.txt").write_text(ids)
        found["grtIDs.txt"] = CollectionFile(folder / "grtIDs.txt")
    return found


@pytest.mark.parametrize(("case", "ids"), [("MED_LYMPH_012", "1203\n1201"), ("ABD_LYMPH_012", "11203\n11201")])
def test_ids_name_the_annotation_rows_of_the_case(tmp_path: Path, case: str, ids: str) -> None:
    positives, negatives = files(tmp_path / "p", "1 2 3\r\n4 5 6\r\n", ids), files(tmp_path / "n", "7 8 9", "-1")
    assert read_candidates(case, positives, negatives) == (
        Candidate((1, 2, 3), True, 3),
        Candidate((4, 5, 6), True, 1),
        Candidate((7, 8, 9), False, None),
    )


def test_files_of_no_bytes_hold_no_candidates(tmp_path: Path) -> None:
    assert read_candidates("MED_LYMPH_004", files(tmp_path / "p", "", ""), files(tmp_path / "n", "", "")) == ()


def test_without_ids_the_rows_are_not_known(tmp_path: Path) -> None:
    found = read_candidates("MED_LYMPH_001", files(tmp_path / "p", "1 2 3", None), files(tmp_path / "n", "", None))
    assert found == (Candidate((1, 2, 3), True, None),)


@pytest.mark.parametrize(
    ("positive", "negative", "message"),
    [
        ("1301", "-1", "1301 is not the id of a node of MED_LYMPH_012"),
        ("11201", "-1", "11201 is not the id"),
        ("1200", "-1", "1200 is not the id"),
        ("1201\n1202", "-1", "2 ids for 1 candidates"),
        ("1201", "1202", "1202 is not the id of a negative"),
    ],
)
def test_ids_that_cannot_be_of_the_case_are_refused(tmp_path: Path, positive: str, negative: str, message: str) -> None:
    positives, negatives = files(tmp_path / "p", "1 2 3", positive), files(tmp_path / "n", "7 8 9", negative)
    with pytest.raises(CtlymphError, match=message):
        read_candidates("MED_LYMPH_012", positives, negatives)
