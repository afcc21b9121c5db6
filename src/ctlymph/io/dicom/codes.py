"""Codes that DICOM objects use for lymph nodes, their places and their sizes."""

from __future__ import annotations

from pydicom import Dataset
from pydicom.sr.coding import Code

from ctlymph.core.regions import ABDOMEN, MEDIASTINUM

ANATOMICAL_STRUCTURE = Code("91723000", "SCT", "Anatomical structure")
LYMPH_NODE = Code("59441001", "SCT", "Lymph node")
LONG_AXIS = Code("103339001", "SCT", "Long Axis")
SHORT_AXIS = Code("103340004", "SCT", "Short Axis")
VOLUME = Code("118565006", "SCT", "Volume")
MEAN = Code("373098007", "SCT", "Mean")
ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")
PROBABILITY = Code("122157", "DCM", "Probability")
MM, MM3 = Code("mm", "UCUM", "millimeter"), Code("mm3", "UCUM", "cubic millimeter")
HU, ONE = Code("[hnsf'U]", "UCUM", "Hounsfield unit"), Code("1", "UCUM", "no units")

RECIST = Code("126081", "DCM", "RECIST 1.1")
CURRENT_RESPONSE = Code("112048", "DCM", "Current Response")
RESPONSES = {
    "CR": Code("112041", "DCM", "Target Lesion Complete Response"),
    "PR": Code("112042", "DCM", "Target Lesion Partial Response"),
    "PD": Code("112043", "DCM", "Target Lesion Progressive Disease"),
    "SD": Code("112044", "DCM", "Target Lesion Stable Disease"),
    "non-CR/non-PD": Code("112046", "DCM", "Non-Target Lesion Incomplete Response or Stable Disease"),
}
"""Codes of PS3.16 for the categories of RECIST."""

OWN_SCHEME = "99CTLYMPH"
"""The scheme of codes that no standard has (PS3.16 section 8: private schemes begin with 99)."""
NODE_RADS = Code("node-rads", OWN_SCHEME, "Node-RADS 1.0 category")
NOT_EVALUABLE = Code("not-evaluable", OWN_SCHEME, "Not evaluable")
SUM = Code("recist-sum", OWN_SCHEME, "Sum of short axes of target lymph nodes")
NADIR = Code("recist-nadir", OWN_SCHEME, "Lowest sum of short axes before")
HYPOTHETICAL = Code("volume-diameter", OWN_SCHEME, "Diameter of the ball of the targets' volume")
STATION = Code("station", OWN_SCHEME, "Lymph node station")

_TYPES = {
    MEDIASTINUM: Code("62683002", "SCT", "Mediastinal lymph node"),
    ABDOMEN: Code("818991007", "SCT", "Abdominal lymph node"),
}
_SITES = {MEDIASTINUM: Code("72410000", "SCT", "Mediastinum"), ABDOMEN: Code("818981001", "SCT", "Abdomen")}
_STATIONS = {
    "2": Code("127927006", "SCT", "Upper paratracheal lymph node (mediastinal)"),
    "3P": Code("127931000", "SCT", "Retrotracheal lymph node (mediastinal)"),
    "4": Code("127932007", "SCT", "Lower paratracheal (including azygous) lymph node"),
    "5": Code("127938006", "SCT", "Lymph node of aortopulmonary window"),
    "6": Code("127939003", "SCT", "Para-aortic lymph node of the anterior mediastinum"),
    "7": Code("28330007", "SCT", "Subcarinal lymph node"),
    "8": Code("127940001", "SCT", "Paraesophageal lymph node below carina"),
    "9": Code("127941002", "SCT", "Lymph node of the pulmonary ligament"),
    "10": Code("53074004", "SCT", "Hilar lymph node"),
    "11": Code("127919002", "SCT", "Interlobar lymph node of the lung"),
    "12": Code("127920008", "SCT", "Lobar lymph node of the lung"),
    "14": Code("127922000", "SCT", "Subsegmental lymph node of the lung"),
    "axillary": Code("68171009", "SCT", "Axillary lymph node"),
    "cardiophrenic": Code("371013005", "SCT", "Cardiophrenic angle lymph node"),
    "internal mammary": Code("82365008", "SCT", "Parasternal lymph node"),
    "inguinal": Code("8928004", "SCT", "Inguinal lymph node"),
    "external iliac": Code("65349008", "SCT", "External iliac lymph node"),
    "internal iliac": Code("69255009", "SCT", "Hypogastric lymph node"),
    "peripancreatic": Code("245346008", "SCT", "Peripancreatic lymph node"),
    "splenic hilum": Code("280824006", "SCT", "Splenic lymph node"),
    "coeliac": Code("47985009", "SCT", "Celiac lymph node"),
    "ileocolic": Code("281676003", "SCT", "Ileocolic lymph node"),
}
"""Stations that have a lymph node of their own in SNOMED CT, without their side."""
_SIDES = {"left": Code("7771000", "SCT", "Left"), "right": Code("24028007", "SCT", "Right")}


def code_item(code: Code) -> Dataset:
    """Return a code as an item of a code sequence (PS3.3 section 8)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item


def node_type(region: str, station: str = "") -> Code:
    """Return the code of a node: that of its station if there is one, else that of its region."""
    return _STATIONS.get(_without_side(station)[0], _TYPES.get(region, LYMPH_NODE))


def site(region: str) -> Code | None:
    """Return the code of a region, or None if there is none."""
    return _SITES.get(region)


def side(station: str) -> Code | None:
    """Return the code of the side in a station's name, or None if it has no side."""
    return _SIDES.get(_without_side(station)[1])


def _without_side(station: str) -> tuple[str, str]:
    """Split a station's name, such as ``4R`` or ``left axillary``, into the part that has a code and the side."""
    first, _, rest = station.partition(" ")
    if first in _SIDES:
        return rest, first
    sides = {"L": "left", "R": "right"}
    if station[-1:] in sides and station[:-1].isdecimal():
        return station[:-1], sides[station[-1]]
    return station, ""
