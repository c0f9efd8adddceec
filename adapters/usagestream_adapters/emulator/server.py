"""Running the emulator: a uvicorn server in a thread of its own."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..local.service import LocalService
from ._journal import Journal
from ._request import ReceivedRequest
from .app import EmulatorApp
from .scenario import Scenario

__all__ = ["Emulator"]


class Emulator(LocalService):
    """A local server that plays OpenAI and Azure OpenAI over real HTTP.

    Use it as a context manager; it may be entered again after it was left, and many may run at
    once. Any non-empty credential is accepted, except keys that begin with `wrong` and tokens that
    begin with `wrong` or `expired`. Answers come from `script`, then from `scenario`. Port 0 lets
    the system choose one.

    `deployments` names the deployments that Azure has, as a collection, or as a mapping to the
    model behind each; by default it has any whose name does not begin with `missing`.

    What anybody can send it is bounded: bodies of more than `max_body` bytes (16 MiB) are refused
    with status 413; a request for a host that is not this machine is, with 421, unless `host` is
    an address that others can reach. The log forgets the oldest requests beyond 10,000, or beyond
    64 MiB of bodies, and so do the answers that are kept to be retrieved.

    Every attribute and method may be used from any thread. Raises `OSError` on entry if the port is
    taken.
    """

    _called = "emulator"
    _signs_as = "usagestream-emulator"

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        scenario: Scenario | None = None,
        deployments: Mapping[str, str] | Collection[str] | None = None,
        max_body: int | None = None,
    ) -> None:
        super().__init__(host, port, max_body)
        self._scenario = scenario or Scenario()
        self._deployments = deployments
        self._journal = Journal(self._scenario)

    def start(self) -> None:
        """Start serving with a fresh log and script; returns when connections are accepted."""
        self._start()

    def stop(self) -> None:
        """Stop at once, closing every connection. The log stays; stopping twice is no error."""
        self._stop()

    def _application(self) -> EmulatorApp:
        self._journal = Journal(self._scenario)
        return EmulatorApp(self._journal, self._deployments)

    def _stopping(self) -> None:
        self._journal.close()

    def script(self, *scenarios: Scenario) -> None:
        """Queue scenarios: each answers one request, in order; then the default answers again."""
        self._journal.script(*scenarios)

    @property
    def azure_v1_base_url(self) -> str:
        """What `base_url` of an OpenAI client should be for Azure's v1 surface."""
        return f"{self.url}/openai/v1"

    @property
    def requests(self) -> list[ReceivedRequest]:
        """Every request so far, refused ones included, as far as the log goes back."""
        return self._journal.requests

    @property
    def open_connections(self) -> int:
        """How many responses are being streamed now."""
        return self._journal.open_connections

    @property
    def disconnects(self) -> int:
        """How many clients went away before their stream had ended."""
        return self._journal.disconnects

    def wait_idle(self, timeout: float = 2.0) -> bool:
        """Wait until nothing is being streamed; return whether that came to be in time."""
        return self._journal.wait_idle(timeout)
