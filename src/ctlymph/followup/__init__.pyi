from .course import (
    Assessment as Assessment,
)
from .course import (
    Course as Course,
)
from .course import (
    FollowUp as FollowUp,
)
from .course import (
    NodeRef as NodeRef,
)
from .course import (
    Response as Response,
)
from .course import (
    Role as Role,
)
from .course import (
    Visit as Visit,
)
from .recist import assess_response as assess_response
from .registration import register as register
from .roles import read_roles as read_roles
from .roles import write_roles as write_roles
