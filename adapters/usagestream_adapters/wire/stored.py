"""An answer that the provider kept, as it is asked for after its stream."""

from __future__ import annotations

import json

from usagestream_core.adapter import Report, Retrieved, RetrieveRequest
from usagestream_core.errors import RecoveryError
from usagestream_core.json_types import Json

from .counts import find_usage
from .sse import word

__all__ = ["read_stored"]


def read_stored(stored: RetrieveRequest, body: bytes) -> Retrieved:
    """Read what is said of an answer as a whole.

    Counts that are all zero are not believed of an answer with output (WIRE §4). Raises
    `RecoveryError` for what is no such document.
    """
    try:
        document: Json = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise RecoveryError(
            f"What was sent in place of the answer {stored.response_id} is no JSON object."
        )
    usage = find_usage(document.get("usage"))
    report = Report(
        response_id=word(document.get("id")),
        model=word(document.get("model")),
        service_tier=word(document.get("service_tier")),
        counts=usage.counts or None,
        wire_usage=usage.wire,
        anomaly=usage.odd,
    )
    if usage.counts and not any(usage.counts.values()) and document.get("output"):
        report.counts = None
        report.anomaly = "usage is all zeros, and something was sent"
    return Retrieved(status=word(document.get("status")), report=report)
