from .atomic import new_file as new_file
from .atomic import new_folder as new_folder
from .dicom.ct_writer import write_ct_series as write_ct_series
from .dicom.seg_reader import read_segmentation as read_segmentation
from .dicom.series import list_series as list_series
from .dicom.series import read_dicom as read_dicom
from .dicom.sr_reader import read_report as read_report
from .images import (
    read_image as read_image,
)
from .images import (
    read_masks as read_masks,
)
from .images import (
    write_image as write_image,
)
from .images import (
    write_masks as write_masks,
)
from .mitk import read_point_set as read_point_set
from .mitk import write_point_set as write_point_set
from .node_tables import (
    NodeRow as NodeRow,
)
from .node_tables import (
    read_nodes_csv as read_nodes_csv,
)
from .node_tables import (
    write_nodes_csv as write_nodes_csv,
)
from .node_tables import (
    write_nodes_json as write_nodes_json,
)
from .reading import read as read
from .slicer import read_markups as read_markups
from .slicer import write_markups as write_markups
