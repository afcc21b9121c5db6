from .monai_datalist import write_monai as write_monai
from .nndetection import write_nndetection as write_nndetection
from .nnunet import write_nnunet as write_nnunet
from .nodes_csv import write_table as write_table
