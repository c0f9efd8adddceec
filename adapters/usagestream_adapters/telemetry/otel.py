"""Records as OpenTelemetry's metrics and spans, by the conventions for generative AI.

Needs `pip install "usagestream[otel]"`, which is OpenTelemetry's API alone: the SDK, which exports
what is told to it, is the program's to choose. Without one nothing happens, and costs little.
"""

from __future__ import annotations

import logging
import os
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

try:
    from opentelemetry import metrics as otel_metrics
    from opentelemetry import trace
    from opentelemetry.trace import SpanKind, Status, StatusCode
except ImportError as exc:  # pragma: no cover - the tests have it; a process without is tested
    raise ImportError('OpenTelemetry is not here: pip install "usagestream[otel]"') from exc

from . import _names
from ._describe import (
    call_attributes,
    error_type,
    own_attributes,
    span_attributes,
    span_name,
    usage_attributes,
)
from ._metrics import Metrics
from ._others import Other, around_us, in_the_sdk, silenced

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager
    from datetime import datetime

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from usagestream_core.record import UsageRecord

    from ._describe import Attributes

__all__ = ["OpenTelemetrySink"]

_SCOPE: Final = "usagestream"

logger = logging.getLogger("usagestream")


class OpenTelemetrySink:
    """Tells OpenTelemetry of each record: `on_record=OpenTelemetrySink()`, or by configuration.

    **Metrics** (units in brackets): `gen_ai.client.token.usage` [tokens], `.operation.duration` and
    `.operation.time_to_first_chunk` [seconds], and the counters `gen_ai.client.inference.usage.*`
    [tokens]. They hold what providers reported; those of input and output get 0, of modality
    `unknown`, where nothing was. Under names of our own:
    `usagestream.client.streams`, by outcome and source of the usage; `.tokens`, by source,
    estimates included; `.reopenings`; and `.cost`, in the currency that its attribute names.

    **A span** for each record, a child of the span that was current where the stream was asked for.
    It is made when the stream has ended, with the times at which it began and ended. It is an error
    for streams that were cut, failed, rejected or dropped, with `error.type`; leaving early and
    cancelling are none. `usagestream.outcome` tells them apart. Nothing that was asked or answered
    is ever told, nor the text of an error.

    `tags` are the names of those tags of a record that become attributes, `usagestream.tag.<name>`,
    of metrics and span; none by default, as each value of each makes series of its own. `metrics`
    and `spans` turn off one of the two. Providers are OpenTelemetry's global ones if `None`.

    Where another instrumentation of the SDK reports the same call, its span and its metrics stand,
    and ours of the same names are left out; that is said once, in the log. Its span then carries
    our own attributes. With `beside_others`, both report. A request of `Client`'s own is kept from
    those that can be asked to be silent.

    With `gen_ai_latest_experimental` in `OTEL_SEMCONV_STABILITY_OPT_IN`, read when this is made,
    names that the conventions have replaced are left out, and the histograms
    `gen_ai.client.inference.operation.*` stand for `gen_ai.client.token.usage`.

    Raises `TypeError` for `tags` that are one string.
    """

    def __init__(
        self,
        *,
        tags: Iterable[str] = (),
        metrics: bool = True,
        spans: bool = True,
        beside_others: bool = False,
        meter_provider: MeterProvider | None = None,
        tracer_provider: TracerProvider | None = None,
    ) -> None:
        if isinstance(tags, str):
            raise TypeError(f"tags is a list of names of tags, not {tags!r}")
        self._tags = tuple(tags)
        chosen = os.environ.get(_names.OPT_IN, "").split(",")
        self._latest = _names.OPT_IN_LATEST in (each.strip() for each in chosen)
        about = (_SCOPE, version("usagestream"))
        self._metrics = self._tracer = None
        if metrics:
            meter = otel_metrics.get_meter(*about, meter_provider, _names.SCHEMA_URL)
            self._metrics = Metrics(meter, latest=self._latest)
        if spans:
            self._tracer = trace.get_tracer(*about, tracer_provider, _names.SCHEMA_URL)
        self._beside_others = beside_others
        self._looks_at_sdk = False

    def __call__(self, record: UsageRecord) -> None:
        """Tell of one record, in the context that the stream was asked for in."""
        other = None if self._beside_others else self._other(record)
        call = call_attributes(record, self._tags)
        metrics = self._metrics
        if metrics is not None:
            metrics.own(record, call)
            if other is None or not other.has_metrics:
                metrics.times(record, call)
                metrics.tokens(record, call)
            elif record.usage_hidden:
                metrics.tokens(record, call)  # the other one could not see them
        if self._tracer is not None:
            if other is None:
                self._make_span(record, call)
            elif other.span is not None:
                said = usage_attributes(record, latest=self._latest) | own_attributes(record)
                other.span.set_attributes(said)

    def opening(self) -> AbstractContextManager[None]:
        """Around a request that a `Client` sends: the one who reports it is this sink."""
        return silenced()

    def for_tracked(self) -> OpenTelemetrySink:
        """The sink for clients that the program calls itself: others may see the calls first."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__, _looks_at_sdk=True)
        return twin

    def _other(self, record: UsageRecord) -> Other | None:
        other = around_us() or (in_the_sdk(record.api) if self._looks_at_sdk else None)
        if other is not None:
            _say_once(other)
        return other

    def _make_span(self, record: UsageRecord, call: Attributes) -> None:
        assert self._tracer is not None, "a span without a tracer"
        span = self._tracer.start_span(
            span_name(record),
            kind=SpanKind.CLIENT,
            attributes=call | span_attributes(record, latest=self._latest),
            start_time=_nanoseconds(record.started_at),
        )
        if error_type(record) is not None:
            span.set_status(Status(StatusCode.ERROR))
        span.end(_nanoseconds(record.ended_at))


_said: dict[str, object] = {}


def _say_once(other: Other) -> None:
    mine = object()
    # No lock: the garbage collector may end a stream, and its record come here, in the middle.
    if _said.setdefault(other.name, mine) is not mine:
        return
    logger.warning(
        "%s reports calls of the openai SDK as well: its %s of them stand, and ours of the same "
        "names are left out. Give OpenTelemetrySink beside_others=True to have both, or take that "
        "instrumentation out.",
        other.name,
        "spans and metrics" if other.has_metrics else "spans",
    )


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1e6) * 1_000
