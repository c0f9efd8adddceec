"""Rows of a report as a Parquet file, for those who load it into something else."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from usagestream_core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["write_parquet"]

_MONEY: Final = ("cost", "cost_reported", "cost_estimated")
_TEXTS: Final = ("currency", "other_costs")
_FLAGS: Final = ("lower_bound",)


def write_parquet(path: Path, names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write them, `names` being what they are grouped by, and then the columns of every report.

    Money is decimal, of 9 places. Raises `ConfigError` where pyarrow is not installed, `OSError`
    where the file cannot be written.
    """
    try:
        import pyarrow as pa  # pyright: ignore[reportMissingTypeStubs]
        import pyarrow.parquet as pq  # pyright: ignore[reportMissingTypeStubs]
    except ImportError as exc:
        raise ConfigError(
            'Parquet files are written with pyarrow: pip install "usagestream[parquet]"'
        ) from exc
    arrow: Any = pa
    parquet: Any = pq
    fields: list[Any] = []
    columns: list[Any] = []
    for name in names:
        values = [row[name] for row in rows]
        kind = arrow.int64()
        if name in _MONEY:
            values = [None if value is None else Decimal(value) for value in values]
            kind = arrow.decimal128(38, 9)
        elif name in _FLAGS:
            kind = arrow.bool_()
        elif name.endswith(("_share", "_p50", "_p95")) and name not in names[: _groups(names)]:
            kind = arrow.float64()
        elif name in _TEXTS or name in names[: _groups(names)]:
            values = [json.dumps(v, sort_keys=True) if isinstance(v, dict) else v for v in values]
            kind = arrow.string()
        fields.append(arrow.field(name, kind))
        columns.append(arrow.array(values, kind))
    parquet.write_table(arrow.table(columns, schema=arrow.schema(fields)), str(path))


def _groups(names: Sequence[str]) -> int:
    """How many names stand before those that every report has."""
    return names.index("streams")
