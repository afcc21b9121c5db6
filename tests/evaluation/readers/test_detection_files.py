from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctlymph.core.errors import CtlymphError
from ctlymph.datasets.ct_lymph_nodes.catalogue import catalogue
from ctlymph.evaluation.detections import Detections, GroundTruth
from ctlymph.evaluation.readers.detection_files import read_detections
from ctlymph.io.mitk import write_point_set
from ctlymph.io.node_tables import NodeRow, write_rows

HEADER = "case,x_mm,y_mm,z_mm,score"


def saved(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def markups(path: Path, *positions: Any, system: Any = "LPS", scores: list[float] | None = None) -> Path:
    points = [{"position": position} for position in positions]
    for point, score in zip(points, scores or [], strict=False):
        point["description"] = f"short axis 8.0 mm, long axis 9.0 mm, score {score}"
    lists = [{"type": "Fiducial", "coordinateSystem": system, "controlPoints": points}]
    return saved(path, json.dumps({"markups": lists}))


def truth_of(*cases: str, regions: tuple[str, ...] | None = None) -> GroundTruth:
    annotated = regions or ("",) * len(cases)
    return GroundTruth.concatenate(
        GroundTruth.of_case(case, [], region=region) for case, region in zip(cases, annotated, strict=True)
    )


def by_case(marks: Detections) -> dict[str, list[list[float]]]:
    return {case: marks.points_mm[marks.case == number].tolist() for number, case in enumerate(marks.cases)}


coordinate = st.floats(-3000, 3000).map(lambda mm: round(mm, 3))
rows = st.lists(
    st.tuples(st.sampled_from("AB"), coordinate, coordinate, coordinate, st.floats(0, 1).map(lambda p: round(p, 4))),
    min_size=1,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(rows=rows)
def test_a_table_that_ctlymph_wrote_comes_back(
    tmp_path: Path, rows: list[tuple[str, float, float, float, float]]
) -> None:
    nodes = [
        NodeRow(case, number, *point, 0, 0, 0, score, "abdomen", "", 8.0, None, None, None, "blobs")
        for number, (case, *point, score) in enumerate(rows, start=1)
    ]
    write_rows(tmp_path / "nodes.csv", nodes)
    marks = read_detections(tmp_path / "nodes.csv", "mine")
    assert [marks.cases[case] for case in marks.case] == [row[0] for row in rows]
    assert marks.points_mm.tolist() == [list(row[1:4]) for row in rows]
    assert marks.scores.tolist() == [row[4] for row in rows]
    assert (marks.name, marks.regions, marks.boxes_mm) == ("mine", ("abdomen",) * len(rows), None)
    assert not marks.injected.any()


def test_a_table_may_say_boxes_and_which_marks_were_injected(tmp_path: Path) -> None:
    text = f"{HEADER},injected,x_min_mm,y_min_mm,z_min_mm,x_max_mm,y_max_mm,z_max_mm\n"
    marks = read_detections(saved(tmp_path / "a.csv", text + "A,1,2,3,0.5,1,0,1,2,2,3,4\nA,1,2,3,0.5,0,0,0,0,9,9,9\n"))
    assert marks.injected.tolist() == [True, False]
    assert marks.boxes_mm is not None
    assert marks.boxes_mm[0].tolist() == [[0, 1, 2], [2, 3, 4]]
    assert marks.name == "a"


def test_a_table_without_rows_holds_no_marks(tmp_path: Path) -> None:
    assert len(read_detections(saved(tmp_path / "nodes.csv", HEADER + "\n"))) == 0


def test_results_of_luna16_name_cases_by_series_or_by_name(tmp_path: Path) -> None:
    uid = next(series.series_uid for series in catalogue().series() if series.case == "MED_LYMPH_004")
    text = f"seriesuid,coordX,coordY,coordZ,probability\n{uid},1,2,3,-0.5\nMED_LYMPH_004,4,5,6,7\n1.2.3,0,0,0,1e-9\n"
    marks = read_detections(saved(tmp_path / "results.csv", text))
    assert by_case(marks) == {"MED_LYMPH_004": [[1, 2, 3], [4, 5, 6]], "1.2.3": [[0, 0, 0]]}
    assert marks.scores.tolist() == [-0.5, 7, 1e-9]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEADER}\nA,1,2,3,\n", r"a\.csv, line 2: score is empty"),
        (f"{HEADER}\nA,1,2,3,1\nA,1,2,3,nan\n", r"a\.csv, line 3: score is 'nan', not a finite number"),
        (f"{HEADER}\n\nA,1,2,left,1\n", r"a\.csv, line 3: z_mm is 'left'"),
        (f"{HEADER}\n ,1,2,3,1\n", r"a\.csv, line 2: case is empty"),
        (f"{HEADER}\nA,1,2,3\n", r"a\.csv, line 2: 4 values for 5 columns"),
        ("case,x_mm,y_mm,z_mm\nA,1,2,3\n", r"a\.csv has no column score; add it \(its columns are case, x_mm"),
        (f"{HEADER},score\nA,1,2,3,1,1\n", "has the column score twice"),
        ("case,x,y,z,score\nA,1,2,3,1\n", "does not say what its places are"),
        ("case,i,j,k,score\nA,1,2,3,1\n", "does not say what its places are"),
        ("", "does not say what its places are"),
        (f"{HEADER},coordX\nA,1,2,3,1,1\n", "places twice, as x_mm and as coordX"),
        ("seriesuid,coordX,coordY,coordZ,class\nA,1,2,3,1\n", "has no column probability"),
        ("seriesuid,coordX,coordY,coordZ,probability\nA,1,2,3,inf\n", "line 2: probability is 'inf'"),
        (f"{HEADER},injected\nA,1,2,3,1,yes\n", "line 2: injected is 'yes'"),
        (f"{HEADER},injected\nA,1,2,3,1,2\n", "line 2: injected is neither 0 nor 1"),
        (f"{HEADER},x_min_mm\nA,1,2,3,1,0\n", "has no column y_min_mm, z_min_mm, x_max_mm"),
    ],
)
def test_a_table_that_is_wrong_is_refused_by_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CtlymphError, match=message):
        read_detections(saved(tmp_path / "a.csv", text))


@pytest.mark.parametrize(
    ("box", "message"),
    [(",,,,,", "line 3: the box is not complete"), ("1,1,1,2,2,0", "line 3: the box has its low corner above")],
)
def test_a_box_that_is_none_is_refused_by_line(tmp_path: Path, box: str, message: str) -> None:
    text = f"{HEADER},x_min_mm,y_min_mm,z_min_mm,x_max_mm,y_max_mm,z_max_mm\nA,1,2,3,1,0,0,0,1,1,1\nA,1,2,3,1,{box}\n"
    with pytest.raises(CtlymphError, match=message):
        read_detections(saved(tmp_path / "a.csv", text))


def test_a_table_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CtlymphError, match=r"cannot read .*a\.csv"):
        read_detections(tmp_path / "a.csv")


def test_a_folder_with_a_table_over_all_cases_is_that_table(tmp_path: Path) -> None:
    saved(tmp_path / "run" / "nodes.csv", f"{HEADER}\nA,1,2,3,0.5\nB,1,2,3,0.5\n")
    saved(tmp_path / "run" / "A" / "nodes.csv", f"{HEADER}\nA,9,9,9,0.5\n")
    marks = read_detections(tmp_path / "run")
    assert (marks.name, marks.cases, len(marks)) == ("run", ("A", "B"), 2)
    assert read_detections(tmp_path / "run" / "nodes.csv").name == "run"


def test_a_folder_of_results_of_which_each_has_its_table_is_joined(tmp_path: Path) -> None:
    for case in "AB":
        saved(tmp_path / case / "nodes.csv", f"{HEADER}\n{case},1,2,3,0.5\n")
        write_point_set(tmp_path / case / "nodes.mps", [(9.0, 9.0, 9.0)])
    assert by_case(read_detections(tmp_path)) == {"A": [[1, 2, 3]], "B": [[1, 2, 3]]}


def test_tables_of_which_only_some_hold_boxes_are_refused(tmp_path: Path) -> None:
    saved(tmp_path / "A" / "nodes.csv", f"{HEADER}\nA,1,2,3,0.5\n")
    box = "x_min_mm,y_min_mm,z_min_mm,x_max_mm,y_max_mm,z_max_mm"
    saved(tmp_path / "B" / "nodes.csv", f"{HEADER},{box}\nB,1,2,3,0.5,0,0,0,1,1,1\n")
    with pytest.raises(CtlymphError, match="some tables hold boxes"):
        read_detections(tmp_path)


@pytest.mark.parametrize("name", ["{}.mrk.json", "{}/nodes.mrk.json"])
def test_markups_are_one_file_a_case(tmp_path: Path, name: str) -> None:
    markups(tmp_path / name.format("A"), [1, 2, 3], scores=[0.25])
    markups(tmp_path / name.format("B"), [-1, -2, 3], [4, 5, 6], system="RAS", scores=[0.5, 0.75])
    markups(tmp_path / name.format("C"))
    marks = read_detections(tmp_path)
    assert by_case(marks) == {"A": [[1, 2, 3]], "B": [[1, 2, 3], [-4, -5, 6]], "C": []}
    assert marks.scores.tolist() == [0.25, 0.5, 0.75]
    assert read_detections(tmp_path / name.format("A")).cases == ("A",)


def test_markups_without_scores_are_all_equally_sure(tmp_path: Path) -> None:
    assert read_detections(markups(tmp_path / "A.mrk.json", [1, 2, 3], [1, 2, 4])).scores.tolist() == [1, 1]


def test_markups_with_scores_on_some_points_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CtlymphError, match="1 of 2 points have a score"):
        read_detections(markups(tmp_path / "A.mrk.json", [1, 2, 3], [1, 2, 4], scores=[0.5]))


@pytest.mark.parametrize("name", ["{}.mps", "{}/nodes.mps"])
def test_point_sets_are_one_file_a_case_without_scores(tmp_path: Path, name: str) -> None:
    for case, points in {"A": [(1.5, 2.5, 3.5), (0.1, 0.2, 0.3)], "B": []}.items():
        (tmp_path / name.format(case)).parent.mkdir(exist_ok=True)
        write_point_set(tmp_path / name.format(case), points)
    marks = read_detections(tmp_path)
    assert by_case(marks) == {"A": [[1.5, 2.5, 3.5], [0.1, 0.2, 0.3]], "B": []}
    assert marks.scores.tolist() == [1, 1]
    assert by_case(read_detections(tmp_path / name.format("A"))) == {"A": [[1.5, 2.5, 3.5], [0.1, 0.2, 0.3]]}


def test_a_folder_of_two_kinds_is_refused(tmp_path: Path) -> None:
    markups(tmp_path / "A.mrk.json", [1, 2, 3])
    write_point_set(tmp_path / "A.mps", [])
    with pytest.raises(CtlymphError, match="leave only one of them"):
        read_detections(tmp_path)


def test_published_candidates_are_marks_without_scores(shared_data: Path, tmp_path: Path) -> None:
    names = ("ABD_LYMPH_057", "MED_LYMPH_004", "MED_LYMPH_012")
    with tarfile.open(shared_data / "nih" / "MED_ABD_LYMPH_annotations_candidates.tar.gz") as archive:
        members = [member for member in archive if member.isfile() and any(name in member.name for name in names)]
        archive.extractall(tmp_path, members, filter="data")
    marks = read_detections(tmp_path, "published")
    entries = [catalogue().entry(name) for name in names]
    assert {case: len(points) for case, points in by_case(marks).items()} == {
        entry.case: entry.positives + entry.negatives for entry in entries if entry
    }
    assert set(marks.scores.tolist()) == {1.0}
    assert marks.regions is not None
    assert {(marks.cases[case][:3], region) for case, region in zip(marks.case, marks.regions, strict=True)} == {
        ("ABD", "abdomen"),
        ("MED", "mediastinum"),
    }
    with pytest.raises(CtlymphError, match="part of a case's points"):
        read_detections(next(tmp_path.rglob("*_posCADe_physicalPoints.mps")))


RAS = {"box_mode": "cccwhd: centre, extent", "coordinates": "RAS mm: affine_lps_to_ras=False"}
ITEM = {"image": "images/A.nii.gz", "box": [[1, 2, 3, 4, 6, 8]], "label_scores": [0.5], "label": [0]}


@pytest.mark.parametrize(
    ("stated", "box", "corners"),
    [
        (RAS, [1, 2, 3, 4, 6, 8], [[-3, -5, -1], [1, 1, 7]]),
        ({"box_mode": "cccwhd", "coordinates": "LPS mm"}, [1, 2, 3, 4, 6, 8], [[-1, -1, -1], [3, 5, 7]]),
        ({"box_mode": "xyzxyz", "coordinates": "LPS mm"}, [1, 2, 3, 4, 6, 8], [[1, 2, 3], [4, 6, 8]]),
        ({"box_mode": "xyzxyz", "coordinates": "RAS mm"}, [1, 2, 3, 4, 6, 8], [[-4, -6, 3], [-1, -2, 8]]),
    ],
)
def test_boxes_of_monai_are_marks_at_their_centres(
    tmp_path: Path, stated: dict[str, str], box: list[float], corners: list[list[float]]
) -> None:
    items = [ITEM | {"box": [box]}, {"image": "B/ct.nii.gz", "box": [], "label_scores": []}]
    document = stated | {"validation": items, "test": []}
    marks = read_detections(saved(tmp_path / "result.json", json.dumps(document)))
    assert marks.cases == ("A", "B")
    assert marks.boxes_mm is not None
    assert marks.boxes_mm.tolist() == [corners]
    assert marks.points_mm.tolist() == [np.mean(corners, axis=0).tolist()]
    listed = saved(tmp_path / "list.json", json.dumps([stated | item for item in items]))
    assert by_case(read_detections(listed)) == by_case(marks)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([ITEM], 'result 0: what its six numbers are is not stated; add "box_mode": cccwhd or xyzxyz'),
        ({"box_mode": "xyxyzz", "a": [ITEM]}, "what its six numbers are is not stated"),
        ({"box_mode": "cccwhd", "a": [ITEM]}, 'frame of its boxes is not stated; add "coordinates"'),
        ({"box_mode": "cccwhd", "coordinates": "voxels", "a": [ITEM]}, "frame of its boxes is not stated"),
        (
            {**RAS, "a": [ITEM, ITEM | {"coordinates": "LPS mm"}]},
            "mixes boxes that are cccwhd in LPS and cccwhd in RAS",
        ),
        ({**RAS, "a": [{"box": [], "label_scores": []}]}, "result 0 does not name its image"),
        ({**RAS, "a": [{"case": "A", "box": []}]}, "result 0 has no scores"),
        ({**RAS, "a": [ITEM | {"label_scores": [1, 2]}]}, "has 2 scores for 1 boxes"),
        ({**RAS, "a": [ITEM | {"label_scores": [float("nan")]}]}, "label_scores is not a list of finite numbers"),
        ({**RAS, "a": [ITEM | {"box": [[1, 2, 3, 4]]}]}, "box is not a list of rows of 6 finite numbers"),
        ({**RAS, "a": [ITEM | {"box": [[1, 2, 3, 4, "x", 5]]}]}, "box is not a list of rows"),
        ({**RAS, "a": [ITEM | {"box": [[1, 2, 3, 4, -5, 6]]}]}, "ends before it begins; is its box_mode truly cccwhd"),
        ({**RAS, "a": [ITEM, ITEM]}, "detections of A twice"),
        ({"nodes": [{"node": 1}]}, "holds no result with a 'box'"),
        (3, "holds no result with a 'box'"),
    ],
)
def test_boxes_that_do_not_say_what_they_are_are_refused(tmp_path: Path, document: Any, message: str) -> None:
    with pytest.raises(CtlymphError, match=message):
        read_detections(saved(tmp_path / "result.json", json.dumps(document)))


def test_json_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CtlymphError, match="cannot read"):
        read_detections(saved(tmp_path / "result.json", "{"))


def test_what_holds_no_marks_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CtlymphError, match="does not exist"):
        read_detections(tmp_path / "absent.csv")
    with pytest.raises(CtlymphError, match="holds no detections that can be read"):
        read_detections(saved(tmp_path / "marks.txt", "1 2 3"))
    with pytest.raises(CtlymphError, match="holds no detections"):
        read_detections(tmp_path)


def test_a_folder_of_annotations_alone_holds_no_marks(tmp_path: Path) -> None:
    saved(tmp_path / "MED_LYMPH_001_lymphnodes_physicalPoints.txt", "1 2 3\n")
    with pytest.raises(CtlymphError, match="cases without candidates"):
        read_detections(tmp_path)


def test_marks_are_brought_to_the_cases_of_the_truth(tmp_path: Path) -> None:
    marks = read_detections(saved(tmp_path / "a.csv", f"{HEADER}\nC,1,1,1,0.1\nA,2,2,2,0.2\nC,3,3,3,0.3\n"))
    fitted = marks.aligned(truth_of("A", "B", "C"))
    assert by_case(fitted) == {"A": [[2, 2, 2]], "B": [], "C": [[1, 1, 1], [3, 3, 3]]}
    assert fitted.scores.tolist() == [0.1, 0.2, 0.3]
    assert fitted.notes == ("1 of 3 cases have no detection",)


def test_marks_of_cases_that_the_truth_does_not_have_are_refused(tmp_path: Path) -> None:
    rows = "".join(f"{case},1,2,3,1\n" for case in "ABCDE")
    marks = read_detections(saved(tmp_path / "a.csv", f"{HEADER}\n{rows}"))
    with pytest.raises(CtlymphError, match=r"of 4 cases that the truth does not have \(B, C, D, …\)"):
        marks.aligned(truth_of("A"))


def test_marks_outside_the_annotated_region_are_left_out(tmp_path: Path) -> None:
    rows = "A,1,2,3,1,abdomen\nA,1,2,3,2,mediastinum\nA,1,2,3,3,\nB,1,2,3,4,abdomen\n"
    marks = read_detections(saved(tmp_path / "a.csv", f"{HEADER},region\n{rows}"))
    fitted = marks.aligned(truth_of("A", "B", regions=("mediastinum", "")))
    assert fitted.scores.tolist() == [2, 3, 4]
    assert fitted.notes == ("1 detection lies in a region that is not annotated in its case, and was left out",)
