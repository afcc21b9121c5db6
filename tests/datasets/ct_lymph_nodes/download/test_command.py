"""``ctlymph collection download`` as a person uses it."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_bucket import Bucket
from fake_series import slice_bytes
from typer.testing import CliRunner, Result

from ctlymph.cli.main import app
from ctlymph.core.errors import CtlymphError, UsageError
from ctlymph.datasets.ct_lymph_nodes.catalogue import Series, catalogue

pytest.importorskip("idc_index_data")


def run(*arguments: str | Path, command: str = "download") -> Result:
    result = CliRunner().invoke(app, ["collection", command, *map(str, arguments)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_dry_run_tells_files_and_bytes_and_writes_nothing(tmp_path: Path) -> None:
    result = run(tmp_path / "data", "--cases", "MED_LYMPH_001", "--dry-run")
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert rows[1:3] == [["CT", "0", "1", "666", "0.350"], ["SEG", "0", "1", "1", "0.001"]]
    assert [row[:3] for row in rows[3:]] == [[name, "0", "1"] for name in ("annotations", "candidates", "masks")]
    assert not (tmp_path / "data").exists()


def test_a_dry_run_of_a_region_counts_its_series(tmp_path: Path) -> None:
    result = run(tmp_path, "--region", "abdomen", "--what", "ct", "--dry-run")
    assert result.stdout.splitlines()[1].split("\t")[:4] == ["CT", "0", "86", "54512"]


def test_the_terms_are_shown_and_not_taken_as_accepted(tmp_path: Path) -> None:
    with pytest.raises(CtlymphError, match="add --accept-license"):
        run(tmp_path / "data", "--cases", "MED_LYMPH_001")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--what", "xray"], "'xray': choose from ct, seg, annotations, candidates, masks"),
        (["--source", "elsewhere"], "neither idc, nbia nor a .tcia file"),
        (["--source", "list.tcia", "--region", "abdomen"], "leave out --cases, --region and --what"),
    ],
)
def test_options_that_cannot_be_meant_are_usage_errors(tmp_path: Path, options: list[str], said: str) -> None:
    result = run(tmp_path / "data", *options)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())


def test_an_unknown_case_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="MED_LYMPH_999"):
        run(tmp_path / "data", "--cases", "MED_LYMPH_999")


def test_what_could_not_be_had_is_told_and_how_to_go_on(bucket: Bucket, tmp_path: Path) -> None:
    options = ["--what", "seg", "--s3-endpoint", bucket.url, "--accept-license"]
    with pytest.raises(CtlymphError, match=r"1 of 1 series and archives could not be had.*goes on where it stopped"):
        run(tmp_path / "data", "--cases", "MED_LYMPH_001", *options)
    assert (tmp_path / "data" / "LICENSE.txt").is_file()


def of_true_size(series: Series, path: Path) -> bytes:
    """Make the one file of a series of the catalogue, of which the header and the size are true."""
    side = int((series.bytes / 2) ** 0.5) - 10
    header = slice_bytes(series, 1, path, side=side).read_bytes()
    return header + bytes(series.bytes - len(header))


def test_what_was_downloaded_is_found_whole_and_not_fetched_again(bucket: Bucket, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for case in ("MED_LYMPH_001", "ABD_LYMPH_001"):
        entry = catalogue().entry(case)
        assert entry is not None
        (series,) = (each for each in entry.series if each.modality == "SEG")
        bucket.put_file(f"{series.crdc_series_uuid}/a.dcm", of_true_size(series, tmp_path / "seg.dcm"))
    asked = (folder, "--cases", "MED_LYMPH_001,ABD_LYMPH_001", "--what", "seg")
    assert "2 series fetched and checked" in run(*asked, "--s3-endpoint", bucket.url, "--accept-license").stderr
    assert "seg\t2\t0\t0\t0" in run(*asked, command="verify").stdout
    assert run(folder, "--here", command="verify").exit_code == 0
    assert "2 of 2 series are there already" in run(*asked, "--s3-endpoint", bucket.url).stderr
    assert sum(bucket.gets.values()) == 2
    path = next(folder.rglob("a.dcm"))
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(CtlymphError, match=r"1 of 2 are not whole, the first seg of (MED|ABD)_LYMPH_001 \(altered\)"):
        run(*asked, command="verify")
    assert "1 series fetched" in run(*asked, "--s3-endpoint", bucket.url, "--recheck").stderr
    assert sum(bucket.gets.values()) == 3, "only the altered one"
    assert "seg\t2\t0\t0\t0" in run(*asked, command="verify").stdout
    path.unlink()
    assert run(*asked, "--dry-run").stdout.splitlines()[1].split("\t")[:3] == ["SEG", "1", "1"]
