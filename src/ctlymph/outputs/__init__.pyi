from .response_files import write_response as write_response
from .response_sr import write_reports as write_reports
from .result_files import FORMATS as FORMATS
from .result_files import write_results as write_results
