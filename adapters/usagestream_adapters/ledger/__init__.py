"""Where every stream is written before it begins, and when it ends; nothing of what was said."""

from ._database import Database
from ._keeping import Status, exported, imported, settled, status
from ._ledger import SqlLedger
from ._read import LedgerReader
from ._schema import metadata

__all__ = [
    "Database",
    "LedgerReader",
    "SqlLedger",
    "Status",
    "exported",
    "imported",
    "metadata",
    "settled",
    "status",
]
