"""What users of the collection are asked to cite, and the terms under which they may use it."""

from __future__ import annotations

from dataclasses import dataclass

LICENSE_NAME = "CC BY 3.0"
LICENSE_URL = "https://creativecommons.org/licenses/by/3.0/"
POLICY_URL = "https://www.cancerimagingarchive.net/data-usage-policies-and-restrictions/"
PAGE_URL = "https://www.cancerimagingarchive.net/collection/ct-lymph-nodes/"


@dataclass(frozen=True)
class Reference:
    """One work to cite.

    Attributes:
        use: When it is to be cited.
        key: Its BibTeX key.
        kind: Its BibTeX type.
        authors: ``Family, Initials`` each, joined by ``and`` as in BibTeX.
        title: Title.
        year: Year.
        doi: Digital object identifier, without the resolver's address.
        details: Further BibTeX fields, in order.
    """

    use: str
    key: str
    kind: str
    authors: str
    title: str
    year: int
    doi: str
    details: tuple[tuple[str, str], ...]

    def as_text(self) -> str:
        """Return the reference as a line of a bibliography."""
        names = self.authors.replace(",", "").replace(" and ", ", ")
        inside = dict(self.details)
        source = next(inside[name] for name in ("journal", "booktitle", "publisher") if name in inside)
        volume = f" {inside['volume']}" if "volume" in inside else ""
        number = f"({inside['number']})" if "number" in inside else ""
        pages = f":{inside['pages'].replace('--', '–')}" if "pages" in inside else ""
        return f"{names.rstrip('.')}. {self.title}. {source}{volume}{number}{pages}, {self.year}. https://doi.org/{self.doi}"

    def as_bibtex(self) -> str:
        """Return the reference as a BibTeX entry."""
        fields = (("author", self.authors), ("title", f"{{{self.title}}}"), *self.details)
        lines = [f"  {name} = {{{value}}}," for name, value in (*fields, ("year", str(self.year)), ("doi", self.doi))]
        return "\n".join((f"@{self.kind}{{{self.key},", *lines, "}"))


REFERENCES = (
    Reference(
        use="the data",
        key="ct_lymph_nodes",
        kind="misc",
        authors=(
            "Roth, H. and Lu, L. and Seff, A. and Cherry, K. M. and Hoffman, J. and Wang, S. "
            "and Liu, J. and Turkbey, E. and Summers, R. M."
        ),
        title="A new 2.5D representation for lymph node detection in CT (CT Lymph Nodes) [data set]",
        year=2015,
        doi="10.7937/K9/TCIA.2015.AQIIDCNM",
        details=(("publisher", "The Cancer Imaging Archive"),),
    ),
    Reference(
        use="the publication that came with the data",
        key="roth2014",
        kind="inproceedings",
        authors=(
            "Roth, H. R. and Lu, L. and Seff, A. and Cherry, K. M. and Hoffman, J. and Wang, S. "
            "and Liu, J. and Turkbey, E. and Summers, R. M."
        ),
        title=(
            "A new 2.5D representation for lymph node detection using random sets of deep convolutional "
            "neural network observations"
        ),
        year=2014,
        doi="10.1007/978-3-319-10404-1_65",
        details=(
            ("booktitle", "Medical Image Computing and Computer-Assisted Intervention (MICCAI)"),
            ("series", "LNCS"),
            ("volume", "8673"),
            ("pages", "520--527"),
        ),
    ),
    Reference(
        use="the archive",
        key="clark2013",
        kind="article",
        authors=(
            "Clark, K. and Vendt, B. and Smith, K. and Freymann, J. and Kirby, J. and Koppel, P. "
            "and Moore, S. and Phillips, S. and Maffitt, D. and Pringle, M. and Tarbox, L. and Prior, F."
        ),
        title="The Cancer Imaging Archive (TCIA): maintaining and operating a public information repository",
        year=2013,
        doi="10.1007/s10278-013-9622-7",
        details=(
            ("journal", "Journal of Digital Imaging"),
            ("volume", "26"),
            ("number", "6"),
            ("pages", "1045--1057"),
        ),
    ),
    Reference(
        use="the masks, where they are used",
        key="seff2015",
        kind="inproceedings",
        authors="Seff, A. and Lu, L. and Barbu, A. and Roth, H. and Shin, H.-C. and Summers, R. M.",
        title="Leveraging mid-level semantic boundary cues for automated lymph node detection",
        year=2015,
        doi="10.1007/978-3-319-24571-3_7",
        details=(
            ("booktitle", "Medical Image Computing and Computer-Assisted Intervention (MICCAI)"),
            ("series", "LNCS"),
            ("volume", "9350"),
            ("pages", "53--61"),
        ),
    ),
)
"""The three citations that the collection's page asks for, and the paper of the masks."""


def as_text() -> str:
    """Return all references as paragraphs, each with what it is to be cited for."""
    return "\n\n".join(f"For {reference.use}:\n{reference.as_text()}" for reference in REFERENCES) + "\n"


def as_bibtex() -> str:
    """Return all references as BibTeX."""
    return "\n\n".join(reference.as_bibtex() for reference in REFERENCES) + "\n"


def license_text() -> str:
    """Return the terms of the collection in short, with where they stand in full."""
    return (
        f"CT Lymph Nodes, The Cancer Imaging Archive, {PAGE_URL}\n\n"
        f"Licence: Creative Commons Attribution 3.0 Unported ({LICENSE_NAME}), {LICENSE_URL}\n"
        "  You may copy, share and change the data, also commercially, if you name the source,\n"
        "  link the licence and say what you changed.\n\n"
        f"Terms of the archive: {POLICY_URL}\n"
        "  You cite the collection, its publication and the archive (CITATION.txt).\n"
        "  You make no attempt to find out who the patients are, nor to contact them.\n"
    )
