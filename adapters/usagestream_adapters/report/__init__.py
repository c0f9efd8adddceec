"""Reports on paper: times as people write them, CSV, Parquet, FOCUS. Grouping is the core's."""

from ._csv import as_csv
from ._focus import Focus
from ._parquet import write_parquet
from ._read import RecordFile
from ._when import moment, zone

__all__ = ["Focus", "RecordFile", "as_csv", "moment", "write_parquet", "zone"]
