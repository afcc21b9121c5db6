from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from ctlymph.core.errors import CtlymphError
from ctlymph.datasets.case import Collection
from ctlymph.datasets.ct_lymph_nodes.catalogue import catalogue
from ctlymph.datasets.folds import FOLD_SETTINGS, Folds, make_folds, read_folds
from small_collection import SmallCase

ENTRIES = catalogue().entries
BY_CASE = {entry.case: entry for entry in ENTRIES}


def spread(folds: Folds, region: str) -> tuple[int, int]:
    """Give how many more cases, and nodes, of a region the fullest fold has than the emptiest."""
    cases = [[name for name in names if BY_CASE[name].region == region] for names in folds.folds]
    nodes = [sum(len(BY_CASE[name].short_axes_mm) for name in names) for names in cases]
    counts = [len(names) for names in cases]
    return max(counts) - min(counts), max(nodes) - min(nodes)


@pytest.mark.parametrize("k", [2, 3, 4, 5, 6, 10])
@pytest.mark.parametrize("seed", range(3))
def test_folds_are_nearly_equal_in_cases_and_nodes_of_each_region(k: int, seed: int) -> None:
    folds = make_folds(ENTRIES, k, seed)
    assert folds.names == sorted(BY_CASE)
    for region in ("mediastinum", "abdomen"):
        cases, nodes = spread(folds, region)
        assert cases <= 1
        assert nodes <= 2


def test_both_names_of_a_scan_are_in_one_fold() -> None:
    folds = make_folds(ENTRIES, 6, seed=3)
    pairs = [(entry.case, entry.same_scan_as) for entry in ENTRIES if entry.same_scan_as]
    assert len(pairs) == 52
    assert all(folds.fold_of(name) == folds.fold_of(other) for name, other in pairs)


def test_cases_that_a_table_puts_together_are_in_one_fold(tmp_path: Path) -> None:
    for number in range(1, 9):
        (tmp_path / f"C{number}_mask.nii.gz").touch()
    rows = [f"C{number},{'P' if number in (1, 4, 7) else ''},abdomen\n" for number in range(1, 9)]
    (tmp_path / "cases.csv").write_text("".join(["case,patient,region\n", *rows]))
    cases = Collection(tmp_path).cases()
    assert [case.patient for case in cases] == ["P", "C2", "C3", "P", "C5", "C6", "P", "C8"]
    for seed in range(10):
        folds = make_folds(cases, 2, seed)
        assert len({folds.fold_of(name) for name in ("C1", "C4", "C7")}) == 1


def test_a_former_table_of_patients_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "C1_mask.nii.gz").touch()
    (tmp_path / "patients.csv").write_text("case,patient\nC1,P\n")
    with pytest.raises(CtlymphError, match=r"rename it to cases\.csv and add a column region"):
        Collection(tmp_path)


def test_folds_follow_from_the_seed_and_not_from_the_order_of_cases() -> None:
    shuffled = list(ENTRIES)
    random.Random(4).shuffle(shuffled)
    assert make_folds(ENTRIES, 5, 7) == make_folds(shuffled, 5, 7)
    assert make_folds(ENTRIES, 5, 7).folds != make_folds(ENTRIES, 5, 8).folds


def test_folds_of_a_seed_stay_what_they_were() -> None:
    # Published folds must be reproducible: whoever changes the dealing must change its name, SCHEME, too.
    assert make_folds(ENTRIES, 5, 0).folds[0][:5] == (
        "ABD_LYMPH_003",
        "ABD_LYMPH_004",
        "ABD_LYMPH_014",
        "ABD_LYMPH_016",
        "ABD_LYMPH_026",
    )


def test_training_and_test_cases_of_a_round_share_none_and_are_all() -> None:
    folds = make_folds(ENTRIES, 4)
    tested: list[str] = []
    for fold in range(folds.k):
        assert not set(folds.train(fold)) & set(folds.test(fold))
        assert sorted(folds.train(fold) + folds.test(fold)) == folds.names
        tested += folds.test(fold)
    assert sorted(tested) == folds.names


def test_cases_on_disk_get_the_folds_of_their_entries(small_collection: tuple[Path, dict[str, SmallCase]]) -> None:
    cases = Collection(small_collection[0]).cases()
    assert make_folds(cases, 2, 1) == make_folds([BY_CASE[case.name] for case in cases], 2, 1)
    assert make_folds([replace(case, entry=None) for case in cases], 2, 1).names == sorted(case.name for case in cases)


def test_folds_are_read_as_they_were_written(tmp_path: Path) -> None:
    folds = make_folds(ENTRIES, FOLD_SETTINGS["roth2014"].k, 11, "roth2014")
    folds.write(tmp_path / "folds.json")
    assert read_folds(tmp_path / "folds.json") == folds
    document = json.loads((tmp_path / "folds.json").read_text())
    assert (document["k"], document["seed"], document["collection"]) == (3, 11, "CT Lymph Nodes")
    assert "lists of cases were not published" in document["about"]
    with pytest.raises(CtlymphError, match="exists"):
        folds.write(tmp_path / "folds.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot read"),
        ("[]", "holds no folds"),
        ('{"folds": [["A"], [1]]}', "holds no folds"),
        ('{"folds": [["A"]]}', "at least 2 folds"),
        ('{"folds": [["A"], []]}', "fold 1 holds no case"),
        ('{"folds": [["A"], ["B", "A"]]}', "A is in folds 0 and 1"),
        ('{"folds": [["MED_LYMPH_002"], ["ABD_LYMPH_001"]]}', "are one scan"),
        ('{"folds": [["A"], ["B"]], "seed": "x"}', "seed"),
    ],
)
def test_a_file_of_folds_that_breaks_a_rule_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "folds.json"
    path.write_text(text)
    with pytest.raises(CtlymphError, match=message) as caught:
        read_folds(path)
    assert str(path) in str(caught.value)


def test_folds_of_some_of_the_cases_keep_each_in_its_fold() -> None:
    folds = make_folds(ENTRIES, 5)
    names = [entry.case for entry in ENTRIES if entry.region == "abdomen"]
    part = folds.only(names)
    assert part.names == sorted(names)
    assert all(part.fold_of(name) == folds.fold_of(name) for name in names)
    with pytest.raises(CtlymphError, match="is in no fold"):
        folds.only(["PHANTOM_0001"])
    with pytest.raises(CtlymphError, match="holds no case"):
        folds.only(folds.test(0))


@pytest.mark.parametrize("k", [0, 1, 4])
def test_impossible_numbers_of_folds_are_refused(k: int) -> None:
    entries = [BY_CASE[name] for name in ("MED_LYMPH_001", "MED_LYMPH_002", "ABD_LYMPH_001", "ABD_LYMPH_003")]
    with pytest.raises(CtlymphError, match="3 patients do not fill"):
        make_folds(entries, k)


def test_a_case_that_comes_twice_is_refused() -> None:
    with pytest.raises(CtlymphError, match="comes twice"):
        make_folds([ENTRIES[0], ENTRIES[1], ENTRIES[0]], 2)
