"""Spares a tracked client the SDK's walk through a conversation that is JSON already.

The SDK's `create` gets a placeholder for it, and the real one is put back where `create` hands the
body on: what is sent, and what sees the request on its way, are what they were. Whatever wraps the
SDK's `create` may want to see the conversation, and gets it: nothing is spared then.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import wraps
from operator import attrgetter
from typing import Any, Final

from ..sdk.json_already import PLACEHOLDER, json_already
from ._helper import spare_text
from ._objects import is_unwrapped

__all__ = ["Sparing"]

_RESOURCES: Final = {
    "openai.resources.chat.completions.completions": attrgetter("chat.completions"),
    "openai.resources.responses.responses": attrgetter("responses"),
}
"""What asks, by the module that it is in."""


class Sparing:
    """What is to be spared of one client: each resource once its module is loaded.

    The SDK loads a resource at its first use, which takes longer than it could save before. Of
    `None`, nothing is spared.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._waiting = {} if client is None else dict(_RESOURCES)

    def begin(self) -> None:
        """Spare those that are loaded by now."""
        for module in [name for name in self._waiting if name in sys.modules]:
            # What a subclass has in its place may be anything; and another thread may be first.
            with suppress(AttributeError, TypeError, KeyError):
                _spare(self._client, self._waiting.pop(module)(self._client), module)


class _SetAside(dict[str, Any]):
    """Takes the way of the caller's `extra_body`: what was set aside, and what the caller gave."""

    def __init__(self, plain: Mapping[str, Any], extra_body: Any) -> None:
        super().__init__(plain)
        self.extra_body = extra_body


def _spare(client: Any, resource: Any, module: str) -> None:
    """Replace methods on this one object, where it is the SDK's and hands on to this client."""
    own: dict[str, Any] = resource.__dict__
    post: Any = own.get("_post")
    if (
        type(resource).__module__ != module
        or "create" in own
        or getattr(post, "__self__", None) is not client
    ):
        return
    plain = resource.create

    @wraps(plain)
    def create(*args: Any, **params: Any) -> Any:
        theirs, params = _without_walk(resource, params)
        return theirs(*args, **params)

    @wraps(plain)
    async def acreate(*args: Any, **params: Any) -> Any:
        theirs, params = _without_walk(resource, params)
        return await theirs(*args, **params)

    @wraps(post)
    def put_back(*args: Any, **asked: Any) -> Any:
        return post(*args, **_whole(asked))

    resource._post = put_back  # noqa: SLF001 - what the SDK's `create` hands its body on to
    resource.create = acreate if inspect.iscoroutinefunction(plain) else create
    if module.startswith("openai.resources.chat."):
        spare_text(resource)


def _without_walk(resource: Any, params: dict[str, Any]) -> tuple[Callable[..., Any], Any]:
    """The `create` of a resource's class as it is now, and what it is to be given."""
    kind: type[Any] = resource.__class__
    found = inspect.getattr_static(kind, "create")
    theirs = found.__get__(resource, kind)
    plain = json_already(params) if is_unwrapped(found) else {}
    if not plain:
        return theirs, params
    aside = _SetAside(plain, params.get("extra_body"))
    return theirs, {**params, **dict.fromkeys(plain, PLACEHOLDER), "extra_body": aside}


def _whole(asked: dict[str, Any]) -> dict[str, Any]:
    """What `create` hands on, with the conversation in its place."""
    options: dict[str, Any] = asked.get("options") or {}
    aside = options.get("extra_json")
    if not isinstance(aside, _SetAside):
        return asked
    options = {**options, "extra_json": aside.extra_body}
    if aside.extra_body is None:
        del options["extra_json"]
    return {**asked, "body": {**asked["body"], **aside}, "options": options}
