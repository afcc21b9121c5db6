from __future__ import annotations

import re

from ctlymph.datasets.ct_lymph_nodes import cite


def test_all_four_works_are_cited_with_their_doi_in_both_forms() -> None:
    dois = {
        "10.7937/K9/TCIA.2015.AQIIDCNM",
        "10.1007/978-3-319-10404-1_65",
        "10.1007/s10278-013-9622-7",
        "10.1007/978-3-319-24571-3_7",
    }
    assert set(re.findall(r"https://doi\.org/(\S+)", cite.as_text())) == dois
    assert set(re.findall(r"doi = \{(.+?)\}", cite.as_bibtex())) == dois


def test_bibtex_is_well_formed() -> None:
    text = cite.as_bibtex()
    assert len(re.findall(r"^@\w+\{\w+,$", text, re.MULTILINE)) == 4
    assert text.count("{") == text.count("}")


def test_the_terms_name_the_licence_and_the_archives_policy() -> None:
    assert "CC BY 3.0" in cite.license_text()
    assert cite.POLICY_URL in cite.license_text()
