"""Downloads from an S3 server on this machine with the real s5cmd, well and in every kind of trouble."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from fake_bucket import BUCKET, Bucket
from fake_series import FakeSeries, make_ct, make_seg, slice_bytes

from ctlymph.core.errors import CtlymphError
from ctlymph.datasets.ct_lymph_nodes.catalogue import catalogue
from ctlymph.datasets.ct_lymph_nodes.download import idc, terms
from ctlymph.datasets.ct_lymph_nodes.download.idc import IdcSource
from ctlymph.datasets.ct_lymph_nodes.download.run import DownloadRequest, DownloadResult, download
from ctlymph.datasets.ct_lymph_nodes.download.store import Store, check_series, md5_of


@pytest.fixture
def fakes(tmp_path: Path) -> list[FakeSeries]:
    served = tmp_path / "served"
    return [make_ct(served, 1, 12), make_seg(served, 1), make_ct(served, 2, 7)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose name needs every kind of quoting, with the terms accepted."""
    folder = tmp_path / "the 'data' \"of\" $HOME *"
    terms.accept(folder)
    return folder


def fetch(folder: Path, fakes: list[FakeSeries], source: IdcSource) -> DownloadResult:
    return download(DownloadRequest(folder, tuple(fake.series for fake in fakes)), source)


def quick(bucket: Bucket, tries: int = 1) -> IdcSource:
    return IdcSource(bucket.url, waits_s=[0.05] * (tries - 1))


def check_downloaded(folder: Path, fake: FakeSeries) -> None:
    final = Store(folder).place(fake.series).final
    assert {path.name: md5_of(path) for path in final.iterdir()} == fake.md5s()


def staged(folder: Path, fake: FakeSeries) -> Path:
    return Store(folder).place(fake.series).staging


def test_all_series_arrive_whole_and_each_file_is_got_once(
    bucket: Bucket, fakes: list[FakeSeries], folder: Path
) -> None:
    bucket.put(fakes)
    outcome = fetch(folder, fakes, quick(bucket))
    assert (len(outcome.fetched), outcome.present, outcome.failed) == (3, (), ())
    for fake in fakes:
        check_downloaded(folder, fake)
    assert sorted(bucket.gets.values()) == [1] * 20


def test_files_that_are_whole_in_staging_are_not_got_again(
    bucket: Bucket, fakes: list[FakeSeries], folder: Path
) -> None:
    bucket.put(fakes)
    whole, cut, changed, *_ = fakes[0].paths()
    staging = Store(folder).stage(fakes[0].series)
    shutil.copy(whole, staging)
    (staging / cut.name).write_bytes(cut.read_bytes()[:-100])
    (staging / changed.name).write_bytes(changed.read_bytes()[:-1] + b"?")
    (staging / f"{cut.name}123456").write_bytes(b"what s5cmd had begun")
    arrived: list[int] = []
    md5s = quick(bucket).fetch(fakes[0].series, staging, arrived.append)
    assert {path.name: md5_of(path) for path in staging.iterdir()} == md5s == fakes[0].md5s()
    assert sum(arrived) == fakes[0].series.bytes
    assert len(bucket.gets) == 11
    assert not any(whole.name in key for key in bucket.gets)


def test_one_series_with_a_file_missing_in_the_bucket_does_not_stop_the_others(
    bucket: Bucket, fakes: list[FakeSeries], folder: Path
) -> None:
    bucket.put(fakes)
    bucket.remove(f"{fakes[0].series.crdc_series_uuid}/{fakes[0].paths()[3].name}")
    outcome = fetch(folder, fakes, quick(bucket))
    assert [failure.series for failure in outcome.failed] == [fakes[0].series]
    assert "11 files" in outcome.failed[0].reason
    assert not Store(folder).is_complete(fakes[0].series)
    check_downloaded(folder, fakes[1])
    check_downloaded(folder, fakes[2])
    bucket.put(fakes[:1])
    again = fetch(folder, fakes, quick(bucket))
    assert (again.fetched, len(again.present)) == ((fakes[0].series,), 2)
    check_downloaded(folder, fakes[0])


def test_a_file_of_another_patient_is_refused_however_well_it_arrives(
    bucket: Bucket, fakes: list[FakeSeries], folder: Path, tmp_path: Path
) -> None:
    bucket.put(fakes)
    fake = fakes[0]
    wrong = slice_bytes(fake.series, 3, tmp_path / "wrong.dcm", case="MED_LYMPH_009").read_bytes()
    name = next(path.name for path in fake.paths() if path.stat().st_size == len(wrong))
    bucket.put_file(f"{fake.series.crdc_series_uuid}/{name}", wrong)
    (failure,) = fetch(folder, fakes, quick(bucket)).failed
    assert f"{name} is of another patient, MED_LYMPH_009" in failure.reason
    assert not Store(folder).place(fake.series).final.exists()
    assert not (staged(folder, fake) / name).exists()


def test_a_file_of_a_wrong_size_is_found_before_anything_is_got(
    bucket: Bucket, fakes: list[FakeSeries], folder: Path
) -> None:
    bucket.put(fakes)
    path = fakes[2].paths()[0]
    bucket.put_file(f"{fakes[2].series.crdc_series_uuid}/{path.name}", path.read_bytes()[:-2])
    (failure,) = fetch(folder, fakes[2:], quick(bucket)).failed
    assert f"{fakes[2].series.bytes - 2:,} bytes" in failure.reason
    assert not bucket.gets


def test_a_series_that_has_moved_is_found_through_the_index(
    bucket: Bucket, fakes: list[FakeSeries], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket.put(fakes)
    moved = replace(fakes[0].series, crdc_series_uuid="00000000-0000-0000-0000-000000000000")
    now = f"s3://{BUCKET}/{fakes[0].series.crdc_series_uuid}"
    monkeypatch.setattr(idc, "_current_address", {moved.series_uid: now}.get)
    assert download(DownloadRequest(folder, (moved,)), quick(bucket)).fetched == (moved,)


def test_the_index_knows_the_catalogue_s_addresses() -> None:
    pytest.importorskip("duckdb")
    for series in (catalogue().series()[0], catalogue().series()[-1]):
        assert idc._current_address(series.series_uid) == f"s3://{BUCKET}/{series.crdc_series_uuid}"
    assert idc._current_address("1.2.3") is None


def test_a_server_that_is_down_is_named_as_the_fault(fakes: list[FakeSeries], folder: Path) -> None:
    pytest.importorskip("idc_index_data")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        outcome = fetch(folder, fakes, IdcSource(url, waits_s=[0.05]))
    assert len(outcome.failed) == 3
    assert all("connection refused" in failure.reason for failure in outcome.failed)


def test_a_bucket_that_is_busy_for_a_while_is_asked_again(
    bucket: Bucket, fakes: list[FakeSeries], folder: Path
) -> None:
    bucket.put(fakes)
    refused: list[str] = []

    def refuse(method: str, key: str) -> bool:
        """Refuse, in turn, so many requests of every kind that s5cmd alone would give up."""
        if method != "GET" or len(refused) >= 20:
            return False
        refused.append(key)
        return True

    bucket.refuse = refuse
    assert not fetch(folder, fakes[:1], quick(bucket, tries=20)).failed
    check_downloaded(folder, fakes[0])
    assert len(refused) == 20


def test_a_bucket_that_stays_busy_is_an_error_that_says_so(
    bucket: Bucket, fakes: list[FakeSeries], folder: Path
) -> None:
    bucket.put(fakes)
    bucket.refuse = lambda method, key: key.endswith(".dcm")
    (failure,) = fetch(folder, fakes[1:2], quick(bucket)).failed
    assert "503" in failure.reason
    assert failure.reason.startswith("MED_LYMPH_001 SEG: the Imaging Data Commons answered")


def test_files_whose_names_lead_elsewhere_are_refused(bucket: Bucket, fakes: list[FakeSeries], folder: Path) -> None:
    bucket.put(fakes)
    bucket.put_file(f"{fakes[1].series.crdc_series_uuid}/..", b"up")
    (failure,) = fetch(folder, fakes[1:2], quick(bucket)).failed
    assert "is no plain file" in failure.reason


def test_files_without_an_md5_are_checked_all_the_same(bucket: Bucket, fakes: list[FakeSeries], folder: Path) -> None:
    bucket.put(fakes)
    fake, path = fakes[1], fakes[1].paths()[0]
    address = {"Bucket": BUCKET, "Key": f"{fake.series.crdc_series_uuid}/{path.name}"}
    upload = {**address, "UploadId": bucket.client.create_multipart_upload(**address, ACL="public-read")["UploadId"]}
    part = bucket.client.upload_part(**upload, PartNumber=1, Body=path.read_bytes())
    parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
    bucket.client.complete_multipart_upload(**upload, MultipartUpload=parts)
    staging = Store(folder).stage(fake.series)
    assert quick(bucket).fetch(fake.series, staging, lambda count: None) == {}
    assert check_series(staging, fake.series, {}) == fake.md5s()


def test_without_idc_index_the_error_tells_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idc, "find_spec", {"other": importlib.util.find_spec("json")}.get)
    with pytest.raises(CtlymphError, match=r"pip install 'ctlymph\[cloud\]'"):
        IdcSource()


def test_the_client_of_idc_index_writes_the_same_layout(bucket: Bucket, tmp_path: Path) -> None:
    """Slower than others: the client loads the table of all collections, in a process that frees the memory again."""
    series = next(each for each in catalogue().series() if each.modality == "SEG")
    content = make_seg(tmp_path / "served", 1).paths()[0].read_bytes()
    bucket.put_file(f"{series.crdc_series_uuid}/any.dcm", content)
    folder = tmp_path / "data"
    folder.mkdir()
    script = (
        "import sys; from idc_index import IDCClient, index\n"
        "index.aws_endpoint_url, folder, uid = sys.argv[1:]\n"
        "IDCClient().download_from_selection(folder, seriesInstanceUID=[uid], show_progress_bar=False)"
    )
    command = [sys.executable, "-c", script, bucket.url, str(folder), series.series_uid]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    (path,) = (path for path in folder.rglob("*") if path.is_file())
    assert path == Store(folder).place(series).final / "any.dcm"
    assert path.read_bytes() == content
