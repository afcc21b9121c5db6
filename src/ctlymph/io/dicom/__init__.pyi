from .ct_writer import CTHeader as CTHeader
from .ct_writer import write_ct_series as write_ct_series
from .seg_reader import read_segmentation as read_segmentation
from .seg_writer import Segment as Segment
from .seg_writer import write_segmentation as write_segmentation
from .series import list_series as list_series
from .series import read_dicom as read_dicom
from .sr_reader import read_report as read_report
