from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import ctlymph
from ctlymph.evaluation.detections import Detections, GroundTruth
from ctlymph.evaluation.protocol import END_TO_END, INJECTED, evaluate
from ctlymph.evaluation.summary import difference_table, document, table

A, B, C = (0.0, 0.0, 0.0), (100.0, 0.0, 0.0), (0.0, 50.0, 0.0)


def toy_truth() -> GroundTruth:
    """Scan 1 with nodes A and B, scan 2 with C."""
    return GroundTruth(
        cases=("1", "2"),
        patients=("1", "2"),
        regions=("abdomen", "abdomen"),
        case=np.array([0, 0, 1], np.int32),
        points_mm=np.array([A, B, C]),
        short_axis_mm=np.full(3, 12.0),
        long_axis_mm=np.full(3, 15.0),
        stations=("",) * 3,
        ids=("A", "B", "C"),
    )


def toy_marks(name: str = "toy", added: bool = False) -> Detections:
    """0.9 on A, 0.8 on A again, 0.7 on nothing, 0.6 on B, and 0.5 on C, perhaps as an added candidate."""
    return Detections(
        name=name,
        cases=("1", "2"),
        case=np.array([0, 0, 0, 0, 1], np.int32),
        points_mm=np.array([A, A, (0, 300, 0), B, C], float),
        scores=np.array([0.9, 0.8, 0.7, 0.6, 0.5]),
        injected=np.array([False, False, False, False, added]),
    )


@pytest.mark.parametrize(
    ("duplicates", "rates", "sensitivities"),
    [("ignored", [0, 0.5, 0.5, 0.5], [1, 1, 2, 3]), ("fp", [0, 0.5, 1, 1, 1], [1, 1, 1, 2, 3])],
)
def test_the_toy_case_is_exact_under_both_rules(duplicates: str, rates: list[float], sensitivities: list[int]) -> None:
    found = ctlymph.evaluate(toy_marks(), toy_truth(), "15mm", duplicates=duplicates, bootstraps=20)  # type: ignore[arg-type]
    curve = found.results[0].curve
    assert curve.false_per_volume.tolist() == rates
    assert (3 * curve.sensitivity).round(9).tolist() == sensitivities


def test_added_candidates_are_evaluated_apart_and_every_output_says_so() -> None:
    found = evaluate(toy_marks(added=True), toy_truth(), bootstraps=20)
    assert [result.mode for result in found.results] == [END_TO_END, INJECTED]
    assert [result.curve.sensitivity[-1] for result in found.results] == pytest.approx([2 / 3, 1])
    assert [row[1] for row in table(found)] == [END_TO_END, INJECTED]
    assert [each["mode"] for each in document(found)["detectors"]] == [END_TO_END, INJECTED]


def test_a_detector_does_not_differ_from_itself() -> None:
    found = evaluate([toy_marks("one"), toy_marks("two")], toy_truth(), bootstraps=50)
    assert {row[0] for row in difference_table(found)} == {"two"}
    assert {row[2] for row in difference_table(found)} == {"+0.000 (+0.000 to +0.000)"}
    assert {row[3] for row in difference_table(found)} == {"1.000"}


def test_the_document_is_json_also_where_figures_do_not_exist() -> None:
    small = GroundTruth(**{**vars(toy_truth()), "short_axis_mm": np.full(3, 5.0)})
    found = document(evaluate(toy_marks(), small, bootstraps=20))
    text = json.dumps(found, allow_nan=False)
    assert found["nodes"] == {"all": 3, "counted": 0}
    assert json.loads(text)["detectors"][0]["metrics"]["cpm"]["value"] is None
    assert "there is no counted node" in text


def test_the_published_candidates_reach_the_published_nodes(shared_data: Path, tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(shared_data / "nih" / "MED_ABD_LYMPH_annotations_candidates.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    (result,) = evaluate(tmp_path, tmp_path, all_nodes=True, bootstraps=20).results
    truth, reached = result.matches.truth, result.matches.reached
    regions = np.array(truth.regions)[truth.case]
    assert {
        region: (int(reached[regions == region].sum()), int((regions == region).sum())) for region in set(regions)
    } == {
        "mediastinum": (294, 388),
        "abdomen": (595, 595),
    }
    assert len(result.curve.thresholds) == 1
    assert any("all scores are equal" in note for note in result.notes)
    for region, hits, per_ct in (("mediastinum", 286, 35.64), ("abdomen", 595, 40.51)):
        (result,) = evaluate(tmp_path, tmp_path, "ids", all_nodes=True, region=region, bootstraps=20).results
        assert np.isfinite(result.matches.node_score).sum() == hits
        assert result.curve.false_per_volume.round(2).tolist() == [per_ct]
