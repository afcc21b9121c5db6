from .cases import AnnotatedCase as AnnotatedCase
from .cases import UnannotatedCase as UnannotatedCase
from .cross_validation import OutOfFold as OutOfFold
from .cross_validation import Split as Split
from .cross_validation import cross_validate as cross_validate
from .stage_cache import StageCache as StageCache
