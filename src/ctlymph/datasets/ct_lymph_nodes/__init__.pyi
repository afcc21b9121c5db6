from .catalogue import CatalogueEntry as CatalogueEntry
from .cite import as_bibtex as as_bibtex
from .cite import as_text as as_text
from .database import Selection as Selection
from .database import select as select
from .database import sql as sql
