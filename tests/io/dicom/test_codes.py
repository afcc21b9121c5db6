"""The codes of DICOM objects mean what the standard says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydicom.sr._concepts_dict import concepts
from pydicom.sr.coding import Code

from ctlymph.core.regions import MEDIASTINUM
from ctlymph.io.dicom import codes, seg_writer, sr_writer
from ctlymph.io.dicom.codes import code_item, node_type, side

MEANINGS = {
    (scheme, value): meaning
    for scheme, keywords in concepts.items()
    for values in keywords.values()
    for value, (meaning, _) in values.items()
}


def used_codes() -> Iterator[Code]:
    for module in (codes, seg_writer, sr_writer):
        for value in vars(module).values():
            yield from (
                each for each in (value.values() if isinstance(value, dict) else (value,)) if type(each) is Code
            )


def test_meanings_have_the_words_of_the_standard() -> None:
    known = {code for code in used_codes() if (code.scheme_designator, code.value) in MEANINGS}
    assert len(known) > 40
    synonyms = {"77477000": "Computed tomography", "mm": "millimeter"}  # PS3.16, CID 29 and CID 7460
    for code in known:
        meaning = synonyms.get(code.value, MEANINGS[code.scheme_designator, code.value])
        assert set(code.meaning.casefold().split()) <= set(meaning.casefold().split()), code


def test_private_codes_have_a_private_scheme() -> None:
    unknown = {code for code in used_codes() if (code.scheme_designator, code.value) not in MEANINGS}
    assert {code.scheme_designator for code in unknown} <= {codes.OWN_SCHEME, "UCUM", "SCT"}


@pytest.mark.parametrize(
    ("station", "value", "where"),
    [
        ("4R", "127932007", "Right"),
        ("left axillary", "68171009", "Left"),
        ("7", "28330007", None),
        ("", "62683002", None),
    ],
)
def test_a_station_has_its_own_code_and_side(station: str, value: str, where: str | None) -> None:
    item = code_item(node_type(MEDIASTINUM, station))
    assert (item.CodeValue, item.CodingSchemeDesignator) == (value, "SCT")
    found = side(station)
    assert (found.meaning if found else None) == where
