"""The strict reader of headers says what pydicom says, or leaves the file to it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pydicom
import pydicom.data
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ctlymph.core.errors import CtlymphError
from ctlymph.io.dicom.fast_header import NeedMoreError
from ctlymph.io.dicom.files import starts_as_dicom
from ctlymph.io.dicom.header import IDENTITY, Header, pydicom_header, read_header, read_identity, strict_header
from dicom_factory import SeriesPlan

PYDICOM_FILES = sorted(
    path
    for path in (Path(pydicom.data.__file__).parent / "test_files").rglob("*")
    if path.is_file() and path.suffix in (".dcm", "")
)


@dataclass(frozen=True)
class Memory:
    """A file that is nowhere but in memory."""

    data: bytes
    path: Path = Path("memory.dcm")

    def head(self, count: int) -> tuple[bytes, int]:
        return self.data[:count], len(self.data)

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        yield BytesIO(self.data)

    def read_into(self, offset: int, array: np.ndarray[Any, Any]) -> int:
        raise NotImplementedError


def strictly(source: Memory) -> Header | None:
    """Read by the strict way; None where it leaves the file to pydicom."""
    try:
        return strict_header(source, source.data, len(source.data))
    except (ValueError, NeedMoreError):
        return None


def assert_pydicom_agrees(source: Memory, header: Header) -> None:
    theirs = pydicom_header(source)
    assert theirs is not None
    # By their words, so that NaN equals NaN.
    assert repr(replace(header, offset=None, defect=None)) == repr(replace(theirs, offset=None, defect=None))


def complicated(dataset: Dataset, number: int) -> None:
    """Add what real files hold before and between the values that count: sequences in sequences, private groups."""
    inner, outer = Dataset(), Dataset()
    inner.CodeValue, inner.CodeMeaning = "1", "One"
    outer.PurposeOfReferenceCodeSequence, outer.ReferencedSOPInstanceUID = [inner, Dataset()], "1.2.3"
    dataset.ReferencedImageSequence = [outer, Dataset()]
    dataset.ProcedureCodeSequence = []
    for sequence in (outer["PurposeOfReferenceCodeSequence"], dataset["ReferencedImageSequence"]):
        sequence.is_undefined_length = True
        sequence.value[0].is_undefined_length_sequence_item = True
    block = dataset.private_block(0x0019, "A SCANNER", create=True)
    block.add_new(1, "OB", bytes(range(100)))
    block.add_new(2, "SQ", [inner])
    dataset[block.get_tag(2)].is_undefined_length = True
    dataset.AcquisitionNumber, dataset.ConvolutionKernel, dataset.SliceThickness = 3, ["B31f", "2"], "1.25"
    dataset.add_new("PixelPaddingValue", "SS", -2000)
    dataset.BitsStored, dataset.HighBit = 12, 11


def plain_files() -> list[bytes]:
    files = []
    for syntax in (ImplicitVRLittleEndian, ExplicitVRLittleEndian):
        for edit in (None, complicated):
            stream = BytesIO()
            SeriesPlan(hu=np.zeros((1, 4, 4), np.int16), syntax=syntax, edit=edit).datasets()[0].save_as(
                stream, enforce_file_format=True
            )
            files.append(stream.getvalue())
    return files


PLAIN_FILES = plain_files()


def test_every_plain_file_that_pydicom_ships_is_read_as_pydicom_reads_it() -> None:
    plain = 0
    for path in PYDICOM_FILES:
        source = Memory(path.read_bytes())
        header = strictly(source)
        if header is None:
            continue
        plain += 1
        assert_pydicom_agrees(source, header)
        if header.offset is not None:
            pixels = pydicom.dcmread(path).PixelData
            assert source.data[header.offset :][: len(pixels)] == pixels
    assert plain > 40


@pytest.mark.parametrize("data", PLAIN_FILES)
def test_plain_files_are_read_by_the_strict_way_with_or_without_sequences(data: bytes) -> None:
    header = strictly(Memory(data))
    assert header is not None
    assert header.offset is not None
    assert header.defect is None
    assert_pydicom_agrees(Memory(data), header)


def test_the_identity_of_every_plain_file_that_pydicom_ships_is_what_pydicom_says() -> None:
    elements = 0
    for path in PYDICOM_FILES:
        source = Memory(path.read_bytes())
        if strictly(source) is None:
            continue
        dataset = pydicom.dcmread(path)
        said = {keyword: str(dataset[keyword].value or "").strip() for keyword in IDENTITY if keyword in dataset}
        identity = read_identity(source)
        assert identity == {keyword: text for keyword, text in said.items() if text}
        elements += len(identity)
    assert elements > 200


def test_a_name_beyond_ascii_is_read_in_its_character_set() -> None:
    def named(dataset: Dataset, number: int) -> None:
        dataset.SpecificCharacterSet, dataset.PatientName = "ISO_IR 100", "Müller^Jörg"

    stream = BytesIO()
    SeriesPlan(hu=np.zeros((1, 4, 4), np.int16), edit=named).datasets()[0].save_as(stream, enforce_file_format=True)
    assert read_identity(Memory(stream.getvalue()))["PatientName"] == "Müller^Jörg"


def test_a_plain_series_is_read_without_waiting_for_pydicom_to_load(tmp_path: Path) -> None:
    SeriesPlan().write(tmp_path)
    code = "import sys, ctlymph; ctlymph.read(sys.argv[1]); sys.exit('pydicom' in sys.modules)"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


@settings(max_examples=400, deadline=None)
@given(
    data=st.sampled_from(PLAIN_FILES),
    changes=st.lists(
        st.tuples(
            st.integers(132, max(map(len, PLAIN_FILES))),
            st.one_of(st.sampled_from(b"\0 \\.-+e_0\xff"), st.integers(0, 255)),
        ),
        min_size=1,
        max_size=3,
    ),
    left=st.none() | st.integers(140, 1200),
)
def test_a_damaged_header_is_read_as_pydicom_reads_it_or_left_to_it(
    data: bytes, changes: list[tuple[int, int]], left: int | None
) -> None:
    damaged = bytearray(data)
    for place, value in changes:
        damaged[min(place, len(data) - 1)] = value
    source = Memory(bytes(damaged[:left]))
    header = strictly(source)
    if header is not None:
        assert_pydicom_agrees(source, header)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(min_size=0, max_size=300), marked=st.booleans())
def test_rubbish_is_no_dicom_or_an_error_of_one_line(data: bytes, marked: bool) -> None:
    source = Memory(bytes(128) + b"DICM" + data if marked else data, Path("rubbish.bin"))
    message = ""
    try:
        read_header(source)
    except CtlymphError as error:
        message = str(error)
    assert not message or ("rubbish.bin" in message and "\n" not in message)


@pytest.mark.parametrize(
    "data", [b"", b"\2", b"#!/bin/sh\n" * 30, b"PK\3\4" + bytes(300), b"\x89PNG" + bytes(300), bytes(300)]
)
def test_other_files_do_not_start_as_dicom_does(data: bytes) -> None:
    assert not starts_as_dicom(data)
