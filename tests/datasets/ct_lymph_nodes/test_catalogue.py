from __future__ import annotations

import csv
from pathlib import Path

from ctlymph.datasets.ct_lymph_nodes.catalogue import FLAGS, VERSIONS, catalogue


def test_every_series_of_the_cloud_index_is_in_the_catalogue_as_it_stands_there(shared_data: Path) -> None:
    with (shared_data / "nih" / "idc_v25_ct_lymph_nodes_series.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(catalogue().series()) == 352
    for row in rows:
        series = catalogue().series_of_uid(row["SeriesInstanceUID"])
        assert series is not None
        assert (series.case, series.modality, series.study_uid) == (
            row["PatientID"],
            row["Modality"],
            row["StudyInstanceUID"],
        )
        assert series.files == int(row["instanceCount"])
        assert series.bytes == round(float(row["series_size_MB"]) * 1e6)
        assert row["series_aws_url"] == f"s3://idc-open-data/{series.crdc_series_uuid}/*"
        entry = catalogue().entry(series.case)
        assert entry is not None
        assert entry.sex == row["PatientSex"]


def test_the_two_names_of_a_shared_scan_point_at_one_another(shared_data: Path) -> None:
    with (shared_data / "nih" / "shared_scans.csv").open(encoding="utf-8") as stream:
        pairs = {(row["abdominal_case"], row["mediastinal_case"]) for row in csv.DictReader(stream)}
    entries = catalogue().entries
    assert {(e.case, e.same_scan_as) for e in entries if e.same_scan_as and e.region == "abdomen"} == pairs
    for entry in entries:
        assert ("shared_scan" in entry.flags) == (entry.same_scan_as is not None)
        if entry.same_scan_as:
            other = catalogue().entry(entry.same_scan_as)
            assert other is not None
            assert other.same_scan_as == entry.case


def test_the_known_defects_are_flagged() -> None:
    flagged = {flag: [e.case for e in catalogue().entries if flag in e.flags] for flag in FLAGS}
    assert flagged["incomplete_ct"] == ["MED_LYMPH_043"]
    assert flagged["not_fully_annotated"] == ["MED_LYMPH_006", "MED_LYMPH_080"]
    assert flagged["slices_5mm"] == ["MED_LYMPH_021", "MED_LYMPH_073"]
    assert flagged["zero_size"] == ["MED_LYMPH_010"]
    assert flagged["swapped_sizes"] == ["ABD_LYMPH_071"]
    both = {f"MED_LYMPH_{number:03d}" for number in (4, 21, 37, 43, 73, 84, 90)}
    assert set(flagged["no_negative_candidates"]) == both
    assert set(flagged["no_positive_candidates"]) == both | {f"MED_LYMPH_{number:03d}" for number in (10, 30, 45, 62)}


def test_sizes_are_known_short_before_long_or_not_known() -> None:
    entries = {entry.case: entry for entry in catalogue().entries}
    assert entries["MED_LYMPH_010"].short_axes_mm == (None,)
    assert all(long is None for e in entries.values() if e.region == "mediastinum" for long in e.long_axes_mm)
    sizes = [
        size
        for entry in entries.values()
        if entry.region == "abdomen"
        for size in zip(entry.short_axes_mm, entry.long_axes_mm, strict=True)
    ]
    assert len(sizes) == 595
    assert all(short and long and 0 < short <= long for short, long in sizes)
    assert sum(short < 10 for short, _ in sizes if short) == 127


def test_ct_comes_in_the_first_version_and_dicom_seg_in_the_fifth() -> None:
    assert {(each.modality, each.collection_version) for each in catalogue().series()} == {("CT", 1), ("SEG", 5)}
    assert [number for number, _, _ in VERSIONS] == [1, 2, 3, 4, 5]


def test_what_is_not_in_the_collection_is_not_found() -> None:
    assert catalogue().entry("MED_LYMPH_091") is None
    assert catalogue().series_of_uid("1.2.3") is None
