"""Making a record of parts, of which each may fail and none may lose it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from ..pricing import CostOf
from ..record import UsageRecord
from ..usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Parts"]

logger = logging.getLogger("usagestream")

T = TypeVar("T")


class Parts:
    """The fields of a record, made one by one. One that raises is left out, named and logged."""

    def __init__(self, failed: Iterable[str] = ()) -> None:
        self._made: dict[str, Any] = {}
        self.failed = list(failed)
        """The names of those that could not be made, here or before."""

    def part(self, name: str, make: Callable[[], T], otherwise: T) -> T:
        """Make one thing that other parts need."""
        try:
            return make()
        except Exception as exc:  # noqa: BLE001 - logged there
            self._fail(name, exc)
            return otherwise

    def add(self, name: str, *ways: Callable[[], Any]) -> Any:
        """Make a field, in the first way that works; where none does, it keeps its default.

        Gives what was made; `None` where nothing was.
        """
        for make in ways:
            try:
                made = make()
            except Exception as exc:  # noqa: BLE001 - logged there
                self._fail(name, exc)
            else:
                self._made[name] = made
                return made
        return None

    def priced(self, record: UsageRecord, costs: CostOf | None) -> UsageRecord:
        """Give a record its cost, which is made of all the other parts."""
        if costs is None:
            return record
        try:
            cost = costs(record)
        except Exception as exc:  # noqa: BLE001 - logged there
            self._fail("cost", exc, f"the record {record.id}")
            return record.model_copy(update={"cost": None, "failed_parts": tuple(self.failed)})
        return record if cost == record.cost else record.model_copy(update={"cost": cost})

    def _fail(self, name: str, exc: Exception, whose: str = "a stream's record") -> None:
        if name not in self.failed:
            self.failed.append(name)
        logger.error("The %s of %s could not be made", name, whose, exc_info=exc)

    def record(self, **plain: Any) -> UsageRecord:
        """Make the record: of these parts, and of what cannot fail to be made."""
        fields: dict[str, Any] = {"usage": Usage(), **self._made, **plain}
        try:
            return UsageRecord(**fields, failed_parts=tuple(self.failed))
        except ValidationError as exc:
            for name in {str(error["loc"][0]) for error in exc.errors()}:
                self._fail(name, exc)
                if not UsageRecord.model_fields[name].is_required():
                    del fields[name]
        # What is left was found right, but for what a record cannot do without.
        return UsageRecord.model_construct(**fields, failed_parts=tuple(self.failed))
