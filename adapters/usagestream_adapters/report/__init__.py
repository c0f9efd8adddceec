"""Reports on paper: times as people write them, CSV, FOCUS, a page. Grouping is the core's."""

from ._csv import as_csv
from ._focus import Focus
from ._page import Page
from ._parquet import write_parquet
from ._read import RecordFile
from ._when import moment, zone

__all__ = ["Focus", "Page", "RecordFile", "as_csv", "moment", "write_parquet", "zone"]
