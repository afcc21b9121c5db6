"""Codes that DICOM objects use for lymph nodes and what is said of them: value, scheme, meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ctlymph.core.regions import ABDOMEN, MEDIASTINUM

if TYPE_CHECKING:
    from pydicom import Dataset


class Code(NamedTuple):
    """A coded concept (PS3.3 section 8): its value and meaning, and the scheme that they belong to."""

    value: str
    meaning: str
    scheme: str = "SCT"

    def dataset(self) -> Dataset:
        """Give it as an item of a code sequence."""
        from pydicom import Dataset

        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = self.value, self.scheme, self.meaning
        return item


ANATOMICAL_STRUCTURE = Code("91723000", "Anatomical structure")
LYMPH_NODE = Code("59441001", "Lymph node")
LONG_AXIS = Code("103339001", "Long Axis")
SHORT_AXIS = Code("103340004", "Short Axis")
VOLUME = Code("118565006", "Volume")
MEAN = Code("373098007", "Mean")
ATTENUATION = Code("112031", "Attenuation Coefficient", "DCM")
PROBABILITY = Code("122157", "Probability", "DCM")
MM, MM3 = Code("mm", "millimeter", "UCUM"), Code("mm3", "cubic millimeter", "UCUM")
HU, ONE = Code("[hnsf'U]", "Hounsfield unit", "UCUM"), Code("1", "no units", "UCUM")

RECIST = Code("126081", "RECIST 1.1", "DCM")
CURRENT_RESPONSE = Code("112048", "Current Response", "DCM")
RESPONSES = {
    "CR": Code("112041", "Target Lesion Complete Response", "DCM"),
    "PR": Code("112042", "Target Lesion Partial Response", "DCM"),
    "PD": Code("112043", "Target Lesion Progressive Disease", "DCM"),
    "SD": Code("112044", "Target Lesion Stable Disease", "DCM"),
    "non-CR/non-PD": Code("112046", "Non-Target Lesion Incomplete Response or Stable Disease", "DCM"),
}
"""Categories of RECIST, as PS3.16 has codes for them."""

OWN_SCHEME = "99CTLYMPH"
"""What no standard has a code for (PS3.16 section 8: private schemes begin with 99)."""
NODE_RADS = Code("node-rads", "Node-RADS 1.0 category", OWN_SCHEME)
NOT_EVALUABLE = Code("not-evaluable", "Not evaluable", OWN_SCHEME)
SUM = Code("recist-sum", "Sum of short axes of target lymph nodes", OWN_SCHEME)
NADIR = Code("recist-nadir", "Lowest sum of short axes before", OWN_SCHEME)
HYPOTHETICAL = Code("volume-diameter", "Diameter of the ball of the targets' volume", OWN_SCHEME)
STATION = Code("station", "Lymph node station", OWN_SCHEME)

_TYPES = {
    MEDIASTINUM: Code("62683002", "Mediastinal lymph node"),
    ABDOMEN: Code("818991007", "Abdominal lymph node"),
}
_SITES = {MEDIASTINUM: Code("72410000", "Mediastinum"), ABDOMEN: Code("818981001", "Abdomen")}
_STATIONS = {
    "2": Code("127927006", "Upper paratracheal lymph node (mediastinal)"),
    "3P": Code("127931000", "Retrotracheal lymph node (mediastinal)"),
    "4": Code("127932007", "Lower paratracheal (including azygous) lymph node"),
    "5": Code("127938006", "Lymph node of aortopulmonary window"),
    "6": Code("127939003", "Para-aortic lymph node of the anterior mediastinum"),
    "7": Code("28330007", "Subcarinal lymph node"),
    "8": Code("127940001", "Paraesophageal lymph node below carina"),
    "9": Code("127941002", "Lymph node of the pulmonary ligament"),
    "10": Code("53074004", "Hilar lymph node"),
    "11": Code("127919002", "Interlobar lymph node of the lung"),
    "12": Code("127920008", "Lobar lymph node of the lung"),
    "14": Code("127922000", "Subsegmental lymph node of the lung"),
    "axillary": Code("68171009", "Axillary lymph node"),
    "cardiophrenic": Code("371013005", "Cardiophrenic angle lymph node"),
    "internal mammary": Code("82365008", "Parasternal lymph node"),
    "inguinal": Code("8928004", "Inguinal lymph node"),
    "external iliac": Code("65349008", "External iliac lymph node"),
    "internal iliac": Code("69255009", "Hypogastric lymph node"),
    "peripancreatic": Code("245346008", "Peripancreatic lymph node"),
    "splenic hilum": Code("280824006", "Splenic lymph node"),
    "coeliac": Code("47985009", "Celiac lymph node"),
    "ileocolic": Code("281676003", "Ileocolic lymph node"),
}
"""Stations that SNOMED CT has a lymph node for, without their side."""
_SIDES = {"left": Code("7771000", "Left"), "right": Code("24028007", "Right")}


def node_type(region: str, station: str = "") -> Code:
    """Give the code of a node: of its station where there is one, else of its region."""
    return _STATIONS.get(_without_side(station)[0], _TYPES.get(region, LYMPH_NODE))


def site(region: str) -> Code | None:
    """Give the code of a region."""
    return _SITES.get(region)


def side(station: str) -> Code | None:
    """Give the code of the side that a station's name tells."""
    return _SIDES.get(_without_side(station)[1])


def _without_side(station: str) -> tuple[str, str]:
    """Part a station's name into what has a code and its side: ``4R``, ``left axillary``."""
    first, _, rest = station.partition(" ")
    if first in _SIDES:
        return rest, first
    sides = {"L": "left", "R": "right"}
    if station[-1:] in sides and station[:-1].isdecimal():
        return station[:-1], sides[station[-1]]
    return station, ""
