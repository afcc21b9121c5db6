from __future__ import annotations

import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ctlymph.core.errors import CtlymphError
from ctlymph.core.volume import Geometry, Masks, Volume
from ctlymph.datasets.ct_lymph_nodes.catalogue import catalogue
from ctlymph.evaluation.detections import GroundTruth
from ctlymph.evaluation.protocol import evaluate
from ctlymph.evaluation.readers.case_names import series_in
from ctlymph.evaluation.readers.ground_truth_files import read_cases, read_ground_truth
from ctlymph.io.dicom.ct_writer import CTHeader, write_ct_series
from ctlymph.io.images import write_image, write_masks
from ctlymph.io.node_tables import NodeRow, write_rows
from ctlymph.measurement.axes import measure_masks

HEADER = "case,node,x_mm,y_mm,z_mm,short_axis_mm"
GRID = Geometry((12, 24, 20), np.array([-50.0, 20.0, 300.0]), np.array([0.8, 0.8, 2.0]), np.diag([1.0, -1.0, 1.0]))


def saved(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def two_nodes(first: int = 2, second: int = 5) -> Masks:
    """Two blocks: i 3…8, j 4…15, k 2…5 and i 13…16, j 4…7, k 8…9."""
    labels = np.zeros(GRID.shape_zyx, dtype=np.uint16)
    labels[2:6, 4:16, 3:9] = first
    labels[8:10, 4:8, 13:17] = second
    return Masks(labels, GRID)


def saved_masks(path: Path, masks: Masks) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_masks(masks, path)
    return path


def check_two_nodes(truth: GroundTruth) -> None:
    """Check places, sizes and boxes of :func:`two_nodes` against what its numbers say."""
    assert truth.points_mm == pytest.approx(np.array([[-45.6, 12.4, 307], [-38.4, 15.6, 317]]), abs=1e-3)
    assert truth.boxes_mm is not None
    assert truth.boxes_mm[0] == pytest.approx(np.array([[-48, 7.6, 303], [-43.2, 17.2, 311]]), abs=1e-3)
    assert truth.boxes_mm[1] == pytest.approx(np.array([[-40, 14, 315], [-36.8, 17.2, 319]]), abs=1e-3)
    measured = measure_masks(Volume(np.zeros(GRID.shape_zyx, dtype=np.int16), GRID), two_nodes())
    assert truth.short_axis_mm == pytest.approx([node.sizes.short_axis.length_mm for node in measured], abs=1e-3)
    assert truth.long_axis_mm == pytest.approx([node.sizes.long_axis.length_mm for node in measured], abs=1e-3)


@pytest.fixture(scope="module")
def published(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The annotation files of all cases of the public collection."""
    folder = tmp_path_factory.mktemp("published")
    with tarfile.open(shared_data / "nih" / "MED_ABD_LYMPH_annotations_candidates.tar.gz") as archive:
        archive.extractall(folder, [m for m in archive if m.isfile() and "_lymphnodes_" in m.name], filter="data")
    return folder


def test_the_published_annotations_are_what_the_catalogue_says(published: Path) -> None:
    truth = read_ground_truth(published)
    entries = {entry.case: entry for entry in catalogue().entries}
    assert set(truth.cases) == entries.keys()
    assert len(truth) == 388 + 595
    assert truth.regions == tuple(entries[case].region for case in truth.cases)
    assert len(set(truth.patients)) == len(entries) - sum(1 for entry in entries.values() if entry.same_scan_as) // 2
    for number, case in enumerate(truth.cases):
        of_case = truth.case == number
        short = [np.nan if length is None else length for length in entries[case].short_axes_mm]
        assert truth.short_axis_mm[of_case] == pytest.approx(short, nan_ok=True)
        assert [name for name, mine in zip(truth.ids, of_case, strict=True) if mine] == [
            str(row) for row in range(1, len(short) + 1)
        ]
    assert truth.boxes_mm is None


def test_only_the_cases_named_are_read(published: Path) -> None:
    uid = next(series.series_uid for series in catalogue().series() if series.case == "ABD_LYMPH_057")
    assert set(read_ground_truth(published, ["MED_LYMPH_004", uid]).cases) == {"MED_LYMPH_004", "ABD_LYMPH_057"}
    with pytest.raises(CtlymphError, match="holds no case MED_LYMPH_999"):
        read_ground_truth(published, ["MED_LYMPH_999"])
    with pytest.raises(CtlymphError, match="cases without masks"):
        read_ground_truth(published, boxes=True)


length = st.one_of(st.none(), st.floats(0.5, 90).map(lambda mm: round(mm, 2)))
coordinate = st.floats(-3000, 3000).map(lambda mm: round(mm, 3))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from("ABC"), coordinate, coordinate, coordinate, length, length, st.sampled_from(["", "7"])
        ),
        max_size=9,
    )
)
def test_a_table_that_ctlymph_wrote_comes_back(
    tmp_path: Path, rows: list[tuple[str, float, float, float, float | None, float | None, str]]
) -> None:
    nodes = [
        NodeRow(case, number, x, y, z, 0, 0, 0, None, "abdomen", station, short, long, None, None, "")
        for number, (case, x, y, z, short, long, station) in enumerate(rows, start=1)
    ]
    write_rows(tmp_path / "nodes.csv", nodes)
    truth = read_ground_truth(tmp_path / "nodes.csv", "ABCD")
    assert (truth.cases, truth.patients) == (tuple("ABCD"), tuple("ABCD"))
    assert truth.regions == ("", "", "", "")  # a node in the abdomen does not tell that nobody looked elsewhere
    known = {name: number for number, name in enumerate(truth.ids)}
    order = [known[str(number)] for number in range(1, len(rows) + 1)]
    assert [truth.cases[case] for case in truth.case[order]] == [row[0] for row in rows]
    assert truth.points_mm[order].tolist() == [list(row[1:4]) for row in rows]
    for axis, column in ((truth.short_axis_mm, 4), (truth.long_axis_mm, 5)):
        expected = [np.nan if row[column] is None else row[column] for row in rows]
        assert axis[order] == pytest.approx(expected, nan_ok=True)
    assert [truth.stations[place] for place in order] == [row[6] for row in rows]


def test_a_table_may_say_patients_and_boxes_and_leave_names_out(tmp_path: Path) -> None:
    box = "x_min_mm,y_min_mm,z_min_mm,x_max_mm,y_max_mm,z_max_mm"
    header = f"case,patient,annotated_region,x_mm,y_mm,z_mm,short_axis_mm,{box}\n"
    first, second = "A1,A,abdomen,1,2,3,9,0,1,2,2,3,4\n", "A1,A,abdomen,5,6,7,,4,5,6,6,7,8\n"
    other = "A2,A,,1,2,3,9,0,1,2,2,3,4\n"
    truth = read_ground_truth(saved(tmp_path / "a.csv", header + first + second + other), boxes=True)
    assert truth.regions == ("abdomen", "")
    assert (truth.cases, truth.patients, truth.ids) == (("A1", "A2"), ("A", "A"), ("1", "2", "1"))
    assert truth.boxes_mm is not None
    assert truth.boxes_mm[1].tolist() == [[4, 5, 6], [6, 7, 8]]


def test_two_names_of_one_scan_are_one_patient_in_tables_too(tmp_path: Path) -> None:
    entry = next(entry for entry in catalogue().entries if entry.same_scan_as)
    truth = read_ground_truth(
        saved(tmp_path / "a.csv", f"{HEADER}\n{entry.case},1,1,2,3,9\n{entry.same_scan_as},1,1,2,3,9\n")
    )
    assert len(truth.cases) == 2
    assert len(set(truth.patients)) == 1
    assert set(truth.regions) == {"abdomen", "mediastinum"}


def test_a_table_without_rows_holds_no_cases_but_those_named(tmp_path: Path) -> None:
    path = saved(tmp_path / "nodes.csv", HEADER + "\n")
    assert read_ground_truth(path).cases == ()
    assert read_ground_truth(path, ["A", "B"]).cases == ("A", "B")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case,x_mm,y_mm,z_mm\nA,1,2,3\n", "has no column short_axis_mm; add it, and leave it empty"),
        ("case,x,y,z,short_axis_mm\nA,1,2,3,9\n", "has no column x_mm, y_mm, z_mm"),
        (f"{HEADER}\nA,1,1,2,3,0\n", "line 2: short_axis_mm is not above 0"),
        (f"{HEADER}\nA,1,1,2,3,9\nA,2,1,2,,9\n", "line 3: z_mm is empty"),
        (f"{HEADER}\nA,1,1,2,3,small\n", "line 2: short_axis_mm is 'small'"),
        (f"{HEADER}\nA,1,1,2,3,9\nA,1,1,2,3,9\n", "two nodes are named 1"),
        (f"{HEADER},patient\nA,1,1,2,3,9,P\nA,2,1,2,3,9,Q\n", "line 2 and others of its case: patient is P and Q"),
    ],
)
def test_a_table_that_is_wrong_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CtlymphError, match=message):
        read_ground_truth(saved(tmp_path / "a.csv", text))


def test_names_of_which_a_table_knows_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CtlymphError, match="holds nodes of A and others, but of none of the 2 cases named"):
        read_ground_truth(saved(tmp_path / "a.csv", f"{HEADER}\nA,1,1,2,3,9\n"), ["a", "b"])


def test_boxes_are_refused_where_there_are_none(tmp_path: Path) -> None:
    with pytest.raises(CtlymphError, match="holds no boxes of nodes"):
        read_ground_truth(saved(tmp_path / "a.csv", f"{HEADER}\nA,1,1,2,3,9\n"), boxes=True)


def test_a_folder_of_phantoms_tells_of_cases_without_nodes(tmp_path: Path) -> None:
    saved(tmp_path / "PHANTOM_0001" / "truth.csv", f"{HEADER}\nPHANTOM_0001,1,1,2,3,9\n")
    saved(tmp_path / "PHANTOM_0002" / "truth.csv", f"{HEADER}\n")
    truth = read_ground_truth(tmp_path)
    assert (truth.cases, len(truth), truth.boxes_mm) == (("PHANTOM_0001", "PHANTOM_0002"), 1, None)
    assert read_ground_truth(tmp_path / "PHANTOM_0002").cases == ("PHANTOM_0002",)


def test_masks_beside_tables_give_boxes_by_label_and_nothing_else(tmp_path: Path) -> None:
    saved(tmp_path / "A" / "truth.csv", f"{HEADER}\nA,5,1,2,3,9\nA,2,4,5,6,8\n")
    saved(tmp_path / "B" / "truth.csv", f"{HEADER}\n")
    saved_masks(tmp_path / "A" / "masks.nii.gz", two_nodes())
    assert read_ground_truth(tmp_path).boxes_mm is None
    truth = read_ground_truth(tmp_path, boxes=True)
    assert (truth.cases, truth.ids, truth.short_axis_mm.tolist()) == (("A", "B"), ("5", "2"), [9, 8])
    assert truth.boxes_mm is not None
    assert truth.boxes_mm[:, 0] == pytest.approx(np.array([[-40, 14, 315], [-48, 7.6, 303]]), abs=1e-3)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("A,3,1,2,3,9", r"masks\.nii\.gz has no label 3, which its table has"),
        ("C,2,1,2,3,9", "no mask of C next to its table"),
    ],
)
def test_nodes_without_a_label_are_refused_where_boxes_are_needed(tmp_path: Path, row: str, message: str) -> None:
    saved(tmp_path / "A" / "truth.csv", f"{HEADER}\n{row}\n")
    saved_masks(tmp_path / "A" / "masks.nii.gz", two_nodes())
    with pytest.raises(CtlymphError, match=message):
        read_ground_truth(tmp_path, boxes=True)


def test_tables_that_hold_the_same_case_are_refused(tmp_path: Path) -> None:
    for folder in "AB":
        saved(tmp_path / folder / "truth.csv", f"{HEADER}\nA,1,1,2,3,9\n")
    with pytest.raises(CtlymphError, match="holds A, which another table holds too"):
        read_ground_truth(tmp_path)


def test_every_label_of_a_mask_is_a_node_and_gaps_are_none(tmp_path: Path) -> None:
    truth = read_ground_truth(saved_masks(tmp_path / "CASE_7.nii.gz", two_nodes()), boxes=True)
    assert (truth.cases, truth.ids, truth.regions) == (("CASE_7",), ("2", "5"), ("",))
    check_two_nodes(truth)


@pytest.mark.parametrize("name", ["{}.nii.gz", "{}_mask.nii", "{}/masks.nii.gz", "{}.nrrd", "{}/{}_mask.nii.gz"])
def test_masks_are_one_file_a_case(tmp_path: Path, name: str) -> None:
    saved_masks(tmp_path / name.replace("{}", "MED_LYMPH_004"), two_nodes())
    saved_masks(tmp_path / name.replace("{}", "B"), Masks(np.zeros(GRID.shape_zyx, np.uint16), GRID))
    truth = read_ground_truth(tmp_path)
    assert dict(zip(truth.cases, truth.regions, strict=True)) == {"MED_LYMPH_004": "mediastinum", "B": ""}
    check_two_nodes(truth)
    assert read_ground_truth(tmp_path, ["MED_LYMPH_004"]).cases == ("MED_LYMPH_004",)


def test_cts_beside_masks_are_not_taken_for_masks(tmp_path: Path) -> None:
    write_image(Volume(np.full(GRID.shape_zyx, -1000, np.int16), GRID), tmp_path / "A.nii.gz")
    with pytest.raises(CtlymphError, match=r"A\.nii\.gz contains the value -1000"):
        read_ground_truth(tmp_path)
    saved_masks(tmp_path / "A_mask.nii.gz", two_nodes())
    assert read_ground_truth(tmp_path).cases == ("A",)


def test_one_label_for_all_nodes_is_refused(tmp_path: Path) -> None:
    saved_masks(tmp_path / "A.nii.gz", two_nodes(1, 1))
    with pytest.raises(CtlymphError, match="only label is 1, and what it marks falls into 2 pieces over 1 cases"):
        read_ground_truth(tmp_path)


def test_two_masks_of_one_case_are_refused(tmp_path: Path) -> None:
    saved_masks(tmp_path / "A.nii.gz", two_nodes())
    saved_masks(tmp_path / "A" / "masks.nii.gz", two_nodes())
    with pytest.raises(CtlymphError, match="both masks of A"):
        read_ground_truth(tmp_path)


def test_a_case_without_mask_is_refused(tmp_path: Path) -> None:
    saved_masks(tmp_path / "A.nii.gz", two_nodes())
    with pytest.raises(CtlymphError, match="no mask of B"):
        read_ground_truth(tmp_path, ["A", "B"])


def test_a_segmentation_beside_its_ct_is_truth(tmp_path: Path, write_segmentation: Callable[..., Path]) -> None:
    volume = Volume(np.random.default_rng(0).normal(0, 50, GRID.shape_zyx).astype(np.int16), GRID, "P1")
    write_ct_series(volume, tmp_path / "ct", CTHeader(patient_id="P1", patient_name="P1^"))
    slices = sorted(map(pydicom.dcmread, (tmp_path / "ct").iterdir()), key=lambda s: float(s.ImagePositionPatient[2]))
    labels = two_nodes(1, 2).reorient("LPS").labels.astype(np.uint8)  # as the CT is written
    (tmp_path / "seg").mkdir()
    write_segmentation(tmp_path / "seg" / "seg.dcm", slices, labels)
    truth = read_ground_truth(tmp_path)
    assert (truth.cases, truth.patients, truth.ids) == (("P1",), ("P1",), ("1", "2"))
    check_two_nodes(truth)
    alone = read_ground_truth(tmp_path / "seg" / "seg.dcm")  # without its CT
    assert alone.cases == ("P1",)
    check_two_nodes(alone)


def test_what_holds_no_true_nodes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CtlymphError, match="does not exist"):
        read_ground_truth(tmp_path / "absent")
    with pytest.raises(CtlymphError, match="holds no true nodes"):
        read_ground_truth(tmp_path)
    saved(tmp_path / "MED_LYMPH_001_posCADe_physicalPoints.txt", "1 2 3\n")
    with pytest.raises(CtlymphError, match="cases without masks"):
        read_ground_truth(tmp_path)


def test_annotations_that_are_not_there_are_refused_by_case(tmp_path: Path) -> None:
    for case, kind in (("MED_LYMPH_001", "lymphnodes"), ("MED_LYMPH_002", "posCADe")):
        saved(tmp_path / f"{case}_{kind}_physicalPoints.txt", "1 2 3\n")
    assert read_ground_truth(tmp_path).cases == ("MED_LYMPH_001",)
    with pytest.raises(CtlymphError, match="holds no annotations of MED_LYMPH_002"):
        read_ground_truth(tmp_path, ["MED_LYMPH_001", "MED_LYMPH_002"])


def test_names_of_cases_are_one_a_line(tmp_path: Path) -> None:
    assert read_cases(saved(tmp_path / "cases.txt", "A\n\n# all others\n B b # late\r\n")) == ("A", "B b")
    with pytest.raises(CtlymphError, match="names no case"):
        read_cases(saved(tmp_path / "none.txt", "# nothing\n"))
    with pytest.raises(CtlymphError, match="cannot read"):
        read_cases(tmp_path / "absent.txt")


LUNA = "seriesuid,coordX,coordY,coordZ,diameter_mm"


def test_annotations_of_luna16_are_truth_with_one_diameter_for_both_axes(tmp_path: Path) -> None:
    path = saved(tmp_path / "annotations.csv", f"{LUNA}\n1.2.3,-1.5,2,3,12.5\n1.2.3,4,5,6,8\n1.2.4,7,8,9,20\n")
    for truth in (read_ground_truth(path), read_ground_truth(tmp_path)):
        assert (truth.cases, truth.case.tolist()) == (("1.2.3", "1.2.4"), [0, 0, 1])
        assert truth.points_mm.tolist() == [[-1.5, 2, 3], [4, 5, 6], [7, 8, 9]]
        assert truth.short_axis_mm.tolist() == truth.long_axis_mm.tolist() == [12.5, 8, 20]
        assert truth.ids == ("1", "2", "1")
        assert "one diameter a node" in truth.notes[0]
    assert read_ground_truth(path, ["1.2.4", "1.2.5"]).cases == ("1.2.4", "1.2.5")
    with pytest.raises(CtlymphError, match="line 2: diameter_mm is not above 0"):
        read_ground_truth(saved(tmp_path / "annotations.csv", f"{LUNA}\n1,0,0,0,0\n"))


def test_cases_of_ones_own_have_the_region_and_patient_of_their_cases_csv(tmp_path: Path) -> None:
    rows = "case,patient,region,labels\nMED001,P1,abdomen,MED001.nii.gz\nPAT002,P1,mediastinum,PAT002.nii.gz\n"
    for case in ("MED001", "PAT002"):
        saved_masks(tmp_path / f"{case}.nii.gz", two_nodes())
    saved(tmp_path / "cases.csv", rows)
    truth = read_ground_truth(tmp_path)
    known = dict(zip(truth.cases, zip(truth.patients, truth.regions, strict=True), strict=True))
    assert known == {"MED001": ("P1", "abdomen"), "PAT002": ("P1", "mediastinum")}
    alone = read_ground_truth(tmp_path / "MED001.nii.gz")
    assert (alone.patients, alone.regions) == (("P1",), ("abdomen",))
    (tmp_path / "cases.csv").unlink()
    assert read_ground_truth(tmp_path).regions == ("", "")


def test_a_dataset_knows_its_cases_by_the_series_of_their_cts(tmp_path: Path) -> None:
    volume = Volume(np.random.default_rng(0).normal(0, 50, GRID.shape_zyx).astype(np.int16), GRID, "PAT001")
    write_ct_series(volume, tmp_path / "cts" / "PAT001", CTHeader(patient_id="X", patient_name="X^"))
    uid = str(pydicom.dcmread(next((tmp_path / "cts" / "PAT001").iterdir())).SeriesInstanceUID)
    saved(tmp_path / "points.csv", "case,x_mm,y_mm,z_mm,short_axis_mm\nPAT001,-45,12,307,12\n")
    saved(tmp_path / "cases.csv", "case,region,ct,points\nPAT001,abdomen,cts/PAT001,points.csv\n")
    header = "seriesuid,coordX,coordY,coordZ,probability"
    found = saved(tmp_path / "luna.csv", f"{header}\n{uid},-45,13,307,0.9\n{uid},200,0,0,0.8\n")
    truth = read_ground_truth(tmp_path, [uid])
    assert (truth.cases, truth.series) == (("PAT001",), {uid: "PAT001"})
    (result,) = evaluate(found, truth, region="abdomen", bootstraps=20).results
    assert result.curve.hits.tolist() == [1, 1]
    keyed = read_ground_truth(saved(tmp_path / "annotations" / "a.csv", f"{LUNA}\n{uid},-45,12,307,12\n"))
    assert keyed.with_series(series_in(tmp_path)).cases == ("PAT001",)
