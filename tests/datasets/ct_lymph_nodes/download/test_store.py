"""Where files go, what is checked before they get there, and what never leads out of the folder."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from fake_series import FakeSeries, make_ct, make_seg, slice_bytes

from ctlymph.core.errors import CtlymphError
from ctlymph.datasets.ct_lymph_nodes.download.store import Store, check_series


@pytest.fixture
def fake(tmp_path: Path) -> FakeSeries:
    return make_ct(tmp_path / "served", 1, 5)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data")


def staged(store: Store, fake: FakeSeries) -> Path:
    """Put a whole series into staging."""
    staging = store.stage(fake.series)
    for path in fake.paths():
        (staging / path.name).write_bytes(path.read_bytes())
    return staging


def kept(staging: Path) -> set[str]:
    return {path.name for path in staging.iterdir()}


def test_a_whole_series_passes_and_is_put_in_its_place(store: Store, fake: FakeSeries) -> None:
    staging = staged(store, fake)
    assert store.staged_bytes(fake.series) == fake.series.bytes
    assert not store.is_complete(fake.series)
    found = check_series(staging, fake.series, fake.md5s())
    assert found == fake.md5s()
    store.commit(fake.series, found)
    assert store.is_complete(fake.series)
    assert store.missing([fake.series]) == []
    assert not staging.exists()


def test_checksums_are_such_as_md5sum_reads_in_the_folder(store: Store, fake: FakeSeries) -> None:
    store.commit(fake.series, check_series(staged(store, fake), fake.series, {}))
    lines = (store.root / "checksums" / "MED_LYMPH_001_CT.md5").read_text().splitlines()
    assert len(lines) == 5
    for line in lines:
        md5, path = line.split("  ")
        assert hashlib.md5((store.root / path).read_bytes()).hexdigest() == md5


def test_killed_between_checksums_and_renaming_a_series_is_not_complete(store: Store, fake: FakeSeries) -> None:
    staged(store, fake)
    place = store.place(fake.series)
    place.checksums.parent.mkdir()
    place.checksums.write_text("")
    assert store.missing([fake.series]) == [fake.series]


def test_a_changed_byte_is_found_by_its_md5_and_only_that_file_removed(store: Store, fake: FakeSeries) -> None:
    staging = staged(store, fake)
    wrong = fake.paths()[2]
    (staging / wrong.name).write_bytes(wrong.read_bytes()[:-1] + b"?")
    with pytest.raises(CtlymphError, match=rf"MED_LYMPH_001 CT: {wrong.name} does not have the MD5"):
        check_series(staging, fake.series, fake.md5s())
    assert kept(staging) == set(fake.md5s()) - {wrong.name}


@pytest.mark.parametrize(
    ("change", "said"),
    [({"series_uid": "61.7.5"}, "of another series, 61.7.5"), ({"case": "X"}, "of another patient, X")],
)
def test_a_slice_from_elsewhere_is_found_though_its_size_is_right(
    store: Store, fake: FakeSeries, change: dict[str, str], said: str
) -> None:
    staging = staged(store, fake)
    name = fake.paths()[0].name
    slice_bytes(replace(fake.series, **change), 0, staging / name)
    with pytest.raises(CtlymphError, match=f"{name} is {said}"):
        check_series(staging, fake.series, {})
    assert name not in kept(staging)
    assert len(kept(staging)) == 4


def test_what_is_no_dicom_file_is_found(store: Store, fake: FakeSeries) -> None:
    staging = staged(store, fake)
    name = fake.paths()[0].name
    (staging / name).write_bytes(b"<html>busy</html>")
    with pytest.raises(CtlymphError, match=f"{name} is no DICOM file"):
        check_series(staging, fake.series, {})
    assert name not in kept(staging)


def test_a_header_cut_off_in_the_middle_is_a_wrong_file_and_no_crash(store: Store, fake: FakeSeries) -> None:
    whole = fake.paths()[0].read_bytes()
    for length in range(0, len(whole), 7):
        staging = staged(store, fake)
        (staging / fake.paths()[0].name).write_bytes(whole[:length])
        with pytest.raises(CtlymphError):
            check_series(staging, fake.series, {})


def test_too_few_files_leave_those_that_are_there(store: Store, fake: FakeSeries) -> None:
    staging = staged(store, fake)
    (staging / fake.paths()[0].name).unlink()
    with pytest.raises(CtlymphError, match="4 files came, not 5"):
        check_series(staging, fake.series, {})
    assert len(kept(staging)) == 4


def test_too_many_files_remove_the_one_that_the_service_does_not_know(store: Store, fake: FakeSeries) -> None:
    staging = staged(store, fake)
    slice_bytes(fake.series, 99, staging / "extra.dcm")
    with pytest.raises(CtlymphError, match="6 files came, not 5"):
        check_series(staging, fake.series, fake.md5s())
    assert kept(staging) == set(fake.md5s())


def test_one_slice_twice_in_place_of_another_is_found(store: Store, fake: FakeSeries) -> None:
    staging = staged(store, fake)
    first, second, *_ = fake.paths()
    (staging / second.name).write_bytes(first.read_bytes())
    with pytest.raises(CtlymphError, match=r"image 61\.7\.1001\.1\.\d came more than once"):
        check_series(staging, fake.series, {})


def test_a_total_other_than_the_catalogue_s_is_found_where_not_all_md5s_are_stated(
    store: Store, fake: FakeSeries
) -> None:
    staging = staged(store, fake)
    other = replace(fake.series, bytes=fake.series.bytes + 1)
    assert check_series(staging, other, fake.md5s()) == fake.md5s()
    with pytest.raises(CtlymphError, match="bytes came, not"):
        check_series(staging, other, dict(list(fake.md5s().items())[1:]))


def test_files_under_the_final_name_that_were_never_checked_are_taken_into_staging(
    store: Store, fake: FakeSeries
) -> None:
    final = store.place(fake.series).final
    final.mkdir(parents=True)
    for path in fake.paths():
        (final / path.name).write_bytes(path.read_bytes())
    assert not store.is_complete(fake.series)
    staging = store.stage(fake.series)
    store.commit(fake.series, check_series(staging, fake.series, fake.md5s()))
    assert store.is_complete(fake.series)


def test_a_user_s_own_file_under_the_final_name_is_left_and_named(store: Store, fake: FakeSeries) -> None:
    final = store.place(fake.series).final
    final.mkdir(parents=True)
    (final / "notes.txt").write_text("mine")
    with pytest.raises(CtlymphError, match=r"notes\.txt is no part of the download"):
        store.stage(fake.series)
    assert (final / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    "change",
    [
        {"case": "../../etc"},
        {"case": ".."},
        {"case": "a/b"},
        {"case": ""},
        {"case": "x\n"},
        {"case": "-rf"},
        {"case": "C:"},
        {"modality": "CT/.."},
        {"series_uid": "../1"},
        {"series_uid": "1..2"},
        {"series_uid": "1." * 40 + "1"},
        {"study_uid": "1.2/3"},
        {"study_uid": "1.²"},
    ],
)
def test_identifiers_that_are_no_harmless_names_are_refused(
    store: Store, fake: FakeSeries, change: dict[str, str]
) -> None:
    with pytest.raises(CtlymphError, match="is the list of series damaged"):
        store.stage(replace(fake.series, **change))
    assert not store.root.exists()


@pytest.mark.parametrize("link", [".partial", ".partial/61.7.1001.1", "ct_lymph_nodes", "checksums"])
def test_a_link_in_the_folder_leads_nothing_outside(store: Store, fake: FakeSeries, tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (store.root / link).parent.mkdir(parents=True, exist_ok=True)
    (store.root / link).symlink_to(outside)
    with pytest.raises(CtlymphError, match="is a link"):  # noqa: PT012
        staged(store, fake)
        store.commit(fake.series, fake.md5s())
    assert list(outside.iterdir()) == []


def test_a_link_in_staging_is_no_file_of_the_series(store: Store, fake: FakeSeries) -> None:
    staging = staged(store, fake)
    path = staging / fake.paths()[0].name
    path.unlink()
    path.symlink_to(fake.paths()[0])
    store.stage(fake.series)
    assert path.name not in kept(staging)
    assert fake.paths()[0].exists()


def test_the_content_of_a_zip_has_its_place_too(store: Store) -> None:
    staging = store.stage("MED_ABD_LYMPH_MASKS")
    (staging / "MED_LYMPH_001").mkdir()
    (staging / "MED_LYMPH_001" / "mask.nii.gz").write_bytes(b"mask")
    store.commit("MED_ABD_LYMPH_MASKS", {"MED_LYMPH_001/mask.nii.gz": "0" * 32})
    assert store.is_complete("MED_ABD_LYMPH_MASKS")
    assert (store.root / "MED_ABD_LYMPH_MASKS" / "MED_LYMPH_001" / "mask.nii.gz").read_bytes() == b"mask"
    sums = store.root / "checksums" / "MED_ABD_LYMPH_MASKS.md5"
    assert sums.read_text() == f"{'0' * 32}  MED_ABD_LYMPH_MASKS/MED_LYMPH_001/mask.nii.gz\n"


def test_a_series_and_its_seg_do_not_meet(store: Store, tmp_path: Path) -> None:
    for fake in (make_ct(tmp_path / "served"), make_seg(tmp_path / "served")):
        store.commit(fake.series, check_series(staged(store, fake), fake.series, fake.md5s()))
    assert len(list(store.root.glob("ct_lymph_nodes/MED_LYMPH_001/61.7.1001/*"))) == 2
    assert len(list((store.root / "checksums").iterdir())) == 2
