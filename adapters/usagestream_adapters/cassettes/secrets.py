"""What a secret looks like, and what is put in its place. Used to scrub, to refuse and to check."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, quote_plus

__all__ = [
    "ENVIRONMENT_NAME",
    "SECRET_FIELD",
    "Kind",
    "Secrets",
    "Sighting",
    "excerpt",
    "is_placeholder",
    "sightings",
]

# Where a word may begin: after anything that is not part of one, which in JSON text and in
# addresses includes the end of an escape such as \n or %2F.
_START: Final = (
    r"(?:(?<![\\%A-Za-z0-9])|(?<=\\[nrtbf])|(?<=\\\\)|(?<=\\u[0-9A-Fa-f]{4})"
    r"|(?<=%[0-9A-Fa-f]{2}))"
)
_GUID: Final = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_ID: Final = r"(?:[A-Za-z0-9]{16,}|(?=[a-z]*[A-Z0-9])[A-Za-z0-9]{8,})"
_FIELDS: Final = (
    r"(?:(?:azure_?|openai_?|x-)?api[_-]?key|(?:access|refresh|id|auth|session|bearer)[_-]?token"
    r"|client[_-]?(?:secret|assertion)|(?:ocp-apim-)?subscription-key|pass(?:word|wd)|secret"
    r"|authorization|proxy-authorization|(?:set-)?cookie|private[_-]?key|connection_?string"
    r"|openai-(?:organization|project))"
)
SECRET_FIELD: Final = re.compile(_FIELDS, re.IGNORECASE)
"""Matches the whole name of a header, of a query parameter or of a JSON key."""
ENVIRONMENT_NAME: Final = re.compile(
    r"(?i)(?:.*_)?(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|CONNECTION_STRING)"
    r"|OPENAI_(?:ORG|PROJECT)_ID|AZURE_(?:TENANT|CLIENT|SUBSCRIPTION)_ID"
)
"""Matches the name of an environment variable whose value is to be kept secret."""

_SHORTEST: Final = 8
"""A shorter value is no secret, and replacing it would spoil ordinary words."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of secret. Its pattern has the secret as the group `secret`."""

    name: str
    pattern: re.Pattern[str]
    placeholder: str


def _kind(name: str, pattern: str, placeholder: str) -> Kind:
    return Kind(name, re.compile(pattern), placeholder)


# No placeholder is matched by the pattern of its kind: to scrub twice is to scrub once.
KINDS: Final = (
    _kind("an API key", _START + r"(?P<secret>sk-[A-Za-z0-9_*-]{8,})", "sk-EXAMPLE"),
    _kind(
        "part of a key, echoed",
        r"(?i:\bkey provided: )(?P<secret>(?!\w*-?EXAMPLE)[^\s\"\\]+?)(?=\.?(?:[\s\"\\]|$))",
        "EXAMPLE",
    ),
    _kind(
        "an access token",
        _START + r"(?P<secret>eyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)?)",
        "token-EXAMPLE",
    ),
    _kind(
        "an access token",
        r"(?i:\bbearer)\s+(?P<secret>(?=[^\s\"']*\d)[\w.~+/=-]{12,})",
        "EXAMPLE",
    ),
    _kind(
        "an Azure key",
        _START + r"(?P<secret>[A-Za-z0-9]{52}JQQJ9[A-Za-z0-9+/=]{20,})",
        "azure-key-EXAMPLE",
    ),
    _kind(
        "a client secret",
        _START + r"(?P<secret>[\w.~-]{3}\dQ~[\w.~-]{31,})",
        "client-secret-EXAMPLE",
    ),
    _kind(
        "a key of another service",
        _START + r"(?P<secret>gh[pousr]_\w{30,}|AKIA[0-9A-Z]{16}|AIza[\w-]{30,}|hf_\w{20,}"
        r"|xox[abp]-[\w-]{10,}|gsk_\w{20,}|xai-\w{20,})",
        "key-EXAMPLE",
    ),
    _kind("an organisation id", _START + rf"(?P<secret>org-{_ID})", "org-EXAMPLE"),
    _kind("a project id", _START + rf"(?P<secret>proj_{_ID})", "proj_EXAMPLE"),
    _kind(
        "a named secret",
        rf"(?P<q>\\*\")(?i:{_FIELDS})(?P=q)\s*:\s*(?P=q)"
        r"(?P<secret>(?!(?:\w+-|\w+_)?EXAMPLE)(?:(?!(?P=q)).){6,})(?P=q)",
        "EXAMPLE",
    ),
    _kind(
        "a named secret",
        rf"(?:^|[?&\s])(?i:{_FIELDS}|code|sig|token)=(?P<secret>(?!EXAMPLE)[^&\s\"']{{6,}})",
        "EXAMPLE",
    ),
    _kind(
        "a resource name",
        r"(?:(?<![\\%A-Za-z0-9-])|(?<=\\[nrtbf])|(?<=\\\\)|(?<=\\u[0-9A-Fa-f]{4})"
        r"|(?<=%[0-9A-Fa-f]{2}))(?P<secret>(?!example\.)(?i:[a-z0-9][a-z0-9-]*))"
        r"\.(?i:(?:openai|cognitiveservices)\.azure\.(?:com|us|cn)|services\.ai\.azure\.com"
        r"|azure-api\.net|search\.windows\.net|blob\.core\.windows\.net|vault\.azure\.net"
        r"|documents\.azure\.com)",
        "example",
    ),
    _kind(
        "a resource name",
        r"(?i:/resourceGroups/|/Microsoft\.\w+/accounts/)(?P<secret>(?!example\b)[\w.()-]+)",
        "example",
    ),
    _kind(
        "a tenant or subscription id",
        rf"(?i:subscriptions/|\btenants?\W{{1,3}}|login\.microsoftonline\.com/)"
        rf"(?P<secret>(?!00000000-){_GUID})",
        "00000000-0000-0000-0000-000000000000",
    ),
)

_PLACEHOLDER: Final = re.compile(
    r"(?i)example|redacted|scrubbed|removed|filtered|masked|hidden|dummy|fake|placeholder|x{4,}"
    r"|\*{3,}|^\W*$|^[<{\[].*[>}\]]$|your[-_ ]|^(?:my|test)[-_]|^(?:bearer )?(?:test|none|null)$"
    r"|^contoso$"
)


def is_placeholder(value: str) -> bool:
    """Whether this plainly stands for a secret that was taken out, or never was one."""
    return bool(_PLACEHOLDER.search(value))


def excerpt(value: str) -> str:
    """Show enough of a secret to find it, and no more."""
    return f"{value[: min(4, len(value) // 3)]}…, {len(value)} characters"


@dataclass(frozen=True, slots=True)
class Sighting:
    """A secret seen in a text."""

    kind: str
    value: str
    start: int


def sightings(text: str) -> Iterator[Sighting]:
    """Find what looks like a secret."""
    for kind in KINDS:
        for match in kind.pattern.finditer(text):
            yield Sighting(kind.name, match["secret"], match.start("secret"))


class Secrets:
    """Secrets known by their value, because they were sent, or stand in the environment.

    Those are recognised whatever they look like; everything else is, if it looks like one.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._names: dict[str, str] = {}
        for name, value in environ.items():
            if ENVIRONMENT_NAME.fullmatch(name):
                self.add(value, f"the value of {name}")

    def add(self, value: str, name: str) -> None:
        """Keep this value secret from now on, under a name that may be shown."""
        if len(value) >= _SHORTEST and not is_placeholder(value):
            self._names.setdefault(value, name)

    def scrub(self, text: str) -> str:
        """Put placeholders where the secrets are."""
        for value in self._longest_first():
            for form in _forms(value):
                text = text.replace(form, "EXAMPLE")
        for kind in KINDS:
            text = kind.pattern.sub(_replacing(kind.placeholder), text)
        return text

    def find(self, text: str) -> Iterator[Sighting]:
        """Find secrets, the known ones in any of the forms they may have been brought into."""
        for value in self._longest_first():
            forms = (*_forms(value), _base64(value))
            for start in {text.find(form) for form in forms} - {-1}:
                yield Sighting(self._names[value], value, start)
        yield from sightings(text)

    def _longest_first(self) -> Iterable[str]:
        return sorted(self._names, key=len, reverse=True)


def _replacing(placeholder: str) -> Callable[[re.Match[str]], str]:
    def replaced(match: re.Match[str]) -> str:
        start, end = match.start("secret") - match.start(), match.end("secret") - match.start()
        return match[0][:start] + placeholder + match[0][end:]

    return replaced


def _forms(value: str) -> tuple[str, ...]:
    """A value as it is, and as addresses and JSON write it."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    forms = (value, quote(value, safe=""), quote_plus(value), escaped, escaped.replace("/", "\\/"))
    return tuple(dict.fromkeys(forms))


def _base64(value: str) -> str:
    """Whole groups of it only: the rest depends on what follows."""
    whole = value.encode()[: len(value.encode()) // 3 * 3]
    return base64.b64encode(whole).decode()
