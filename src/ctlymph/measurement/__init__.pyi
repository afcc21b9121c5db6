from .axes import measure_mask as measure_mask
from .axes import measure_masks as measure_masks
from .noderads import assess_nodes as assess_nodes
from .segmentation import segment_marks as segment_marks
