"""One cassette in use: what vcrpy is told, what is refused, and what was missed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from _pytest.outcomes import Failed  # what pytest.fail raises

from usagestream_core.json_types import is_object

from ..cassettes import yaml as _yaml
from ..cassettes.addresses import describe_origin, is_token_request
from ..cassettes.file import is_emulator, shown_path, stamp
from ..cassettes.file import write as write_file
from ..cassettes.leaks import leaks
from ..cassettes.match import MATCHERS
from ..cassettes.scrub import (
    clean_request,
    clean_response,
    decompressed,
    note_request,
    note_response,
)
from ..cassettes.secrets import Secrets
from ..cassettes.vcr import FilesystemPersister, serialize
from ._miss import describe_miss

__all__ = ["Miss", "Recording"]

_CLEAN: Final = "usagestream_clean"


class Miss(Failed):
    """A request that no recording answers.

    Not an `Exception`: the SDK would retry it, and report a broken connection in its stead.
    """


class Recording:
    """Stands between vcrpy and the disk for one test."""

    def __init__(self) -> None:
        self._secrets = Secrets(os.environ)
        self._cassette: Any = None
        self._origins: set[str] = set()
        self._emulated = False
        self._recorded_before: list[str] = []
        self._loaded_own = False
        self.misses: list[str] = []
        self.refusal: str | None = None

    def configure(self, vcr: Any) -> None:
        """Give a `vcr.VCR` safe defaults. What its user sets instead is still kept safe."""
        for name, matcher in MATCHERS.items():
            vcr.register_matcher(name, matcher)
        vcr.register_serializer("yaml", _yaml)
        vcr.match_on = ("method", *MATCHERS)
        vcr.decode_compressed_response = False  # It knows no bound: `decompressed` has one.
        # A hook in a user's own configuration replaces the one set on the VCR, so ours are put
        # around whatever comes out of merging them.
        merge: Callable[..., dict[str, Any]] = vcr.get_merged_config

        def merge_safely(**options: Any) -> dict[str, Any]:
            return self._guarded(merge(**options))

        vcr.get_merged_config = merge_safely

    def attach(self, cassette: Any) -> None:
        """Take note of the cassette that vcrpy loaded, before anything is sent."""
        self._cassette = cassette
        can_play: Callable[[Any], bool] = cassette.can_play_response_for

        def noted(request: Any) -> bool:
            """Whether to play; every recorder of vcrpy's asks, once, with what is to be sent."""
            note_request(request, self._secrets)
            playable = can_play(request)
            if not playable:
                self._unanswered(request)
            return playable

        cassette.can_play_response_for = noted

    @property
    def writing(self) -> bool:
        """Whether requests may be recorded now. Not while a cassette is being loaded."""
        return self._cassette is not None and not self._cassette.write_protected

    def check(self) -> str | None:
        """Say why what was recorded so far must not be written, if it must not."""
        if self.writing and self.refusal is None:
            self.save(
                {"requests": self._cassette.requests, "responses": self._cassette.responses},
                lambda _: None,
            )
        return self.refusal

    def unplayed(self) -> str | None:
        """Say what of the cassette was not played, if it is being replayed."""
        cassette = self._cassette
        if cassette is None or self.writing or cassette.all_played:
            return None
        left = [
            f"{number} ({request.method} {request.path})"
            for number, request in enumerate(cassette.requests, 1)
            if not cassette.play_counts[number - 1]
        ]
        return f"{shown_path(cassette.path)} was not played to its end: {', '.join(left)} is left."

    def _unanswered(self, request: Any) -> None:
        asked = self._cassette.filter_request(request)
        if asked is None:  # Let through: by a user's own configuration, or for a token.
            return
        if self.writing:
            self._origins.add(describe_origin(request.uri))
            return
        miss = describe_miss(self._cassette, request, asked, shown_path(self._cassette.path))
        self.misses.append(miss)
        raise Miss(miss, pytrace=False)

    def _guarded(self, config: dict[str, Any]) -> dict[str, Any]:
        before_request: Callable[[Any], Any] = config["before_record_request"]
        before_response: Callable[[Any], Any] = config["before_record_response"]

        def request_hook(request: Any) -> Any:
            # vcrpy asks again with what it got, and with what it loads. A user's hook saw that
            # when it was sent, and may count on headers that are gone since.
            if getattr(request, _CLEAN, False):
                return request
            if self.writing and is_token_request(request.uri):
                return None
            loading_own = self._cassette is None and self._loaded_own
            kept = request if loading_own else before_request(request)
            if kept is None:
                return None
            cleaned = clean_request(kept, self._secrets)
            setattr(cleaned, _CLEAN, True)
            return cleaned

        def response_hook(response: Any) -> Any:
            if not self.writing:
                return before_response(response)
            note_response(response, self._secrets)
            self._emulated = self._emulated or is_emulator(response)
            kept = before_response(decompressed(response))
            return kept and clean_response(kept, self._secrets)

        return {
            **config,
            "before_record_request": request_hook,
            "before_record_response": response_hook,
            "persister": _Guard(config["persister"], self),
            "serializer": _Stamped(config["serializer"], self),
        }

    def save(self, cassette: Mapping[str, Any], write: Callable[[dict[str, Any]], None]) -> None:
        """Hand a cassette over to be written, unless it would leak.

        Raises nothing: vcrpy would leave every HTTP library patched. `refusal` says what happened.
        """
        try:
            cleaned = self._clean(cassette)
            leak = next(leaks(cleaned["requests"], cleaned["responses"], self._secrets), None)
            if leak is None:
                write(cleaned)
                return
            why = f"{leak}, which cannot be scrubbed"
        except Exception as exc:  # noqa: BLE001 - the failure is reported at the test's end
            why = f"{type(exc).__name__}: {exc}"
        self.refusal = f"Nothing was written to {shown_path(self._cassette.path)}: {why}."

    def _clean(self, cassette: Mapping[str, Any]) -> dict[str, Any]:
        """Scrub again, with all that is known by now."""
        pairs = [
            (clean_request(request, self._secrets), clean_response(response, self._secrets))
            for request, response in zip(cassette["requests"], cassette["responses"], strict=True)
            if not is_token_request(request.uri)
        ]
        requests, responses = [one for one, _ in pairs], [one for _, one in pairs]
        return {**cassette, "requests": requests, "responses": responses}

    def stamp(self) -> dict[str, Any]:
        """Say where, when and with what the cassette was recorded."""
        return stamp(self._origins, emulated=self._emulated, before=self._recorded_before)

    def loaded(self, document: Any) -> None:
        """Remember what an earlier recording says of itself, where more is added to it."""
        if is_object(document) and document.get("recorded_against"):
            self._recorded_before = str(document["recorded_against"]).split(", ")
            self._loaded_own = True


class _Guard:
    """A persister that lets nothing leaky through to another."""

    def __init__(self, inner: Any, recording: Recording) -> None:
        self._inner = inner
        self._recording = recording

    def load_cassette(self, path: Any, serializer: Any) -> Any:
        return self._inner.load_cassette(path, serializer)

    def save_cassette(self, path: Any, cassette: dict[str, Any], serializer: Any) -> None:
        def write(cleaned: dict[str, Any]) -> None:
            own = self._inner is FilesystemPersister or isinstance(self._inner, FilesystemPersister)
            if own:
                write_file(Path(path), serialize(cleaned, serializer))
            else:
                self._inner.save_cassette(path, cleaned, serializer)

        self._recording.save(cassette, write)


class _Stamped:
    """A serializer that writes down where the recording was made."""

    def __init__(self, inner: Any, recording: Recording) -> None:
        self._inner = inner
        self._recording = recording

    def deserialize(self, text: str) -> Any:
        document = self._inner.deserialize(text)
        self._recording.loaded(document)
        return document

    def serialize(self, document: dict[str, Any]) -> str:
        return str(self._inner.serialize({**self._recording.stamp(), **document}))
