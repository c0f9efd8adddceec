"""The one list of what a secret looks like: scrubbed, refused and found by the same kinds."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from .names import tells

__all__ = ["KINDS", "Kind", "Span"]

Span: TypeAlias = tuple[int, int]

# Where a word may begin: after anything that is not part of one, which in JSON text and in
# addresses includes the end of an escape such as \n or %2F.
_ESCAPED: Final = r"(?<=\\[nrtbf])|(?<=\\\\)|(?<=\\u[0-9A-Fa-f]{4})|(?<=%[0-9A-Fa-f]{2})"
_START: Final = rf"(?:(?<![\\%A-Za-z0-9])|{_ESCAPED})"
_START_OF_ID: Final = rf"(?:(?<![\\%A-Za-z0-9_.-])|{_ESCAPED})"
_GUID: Final = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_ID: Final = r"(?:[A-Za-z0-9]{16,}|(?=[a-z]*[A-Z0-9])[A-Za-z0-9]{8,})"
_NAME: Final = r"[A-Za-z_$][\w.$-]{0,63}"
_STANDS_FOR_IT: Final = re.compile(r"(?:\w+[-_])?EXAMPLE")

# Keys of other services, by how each of them begins.
_SERVICES: Final = "|".join(
    (
        r"github_pat_\w{20,}|gh[pousr]_\w{30,}",
        r"gl(?:pat|oas|dt|ft|rt|soat|cbt|ptt|imt|agent|ffct)-[\w-]{16,}|GR1348941[\w-]{16,}",
        r"(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[0-9A-Z]{16}",
        r"AIza[\w-]{30,}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,}",
        r"hf_\w{20,}|gsk_\w{20,}|xai-\w{20,}|pplx-\w{20,}|nvapi-[\w-]{20,}|r8_\w{20,}|tvly-[\w-]{16,}",
        r"csk-\w{20,}|fw_\w{20,}|tgp_v1_[\w-]{20,}|llx-\w{20,}|lsv2_\w{2}_\w{20,}",
        r"xox[a-z]-[\w-]{3,}|xapp-[\w-]{10,}",
        r"(?:[rsp]k|whsec)_(?:live_|test_)?[0-9A-Za-z]{24,}",
        r"pypi-[\w-]{16,}|npm_[A-Za-z0-9-]{30,}|dop_v1_\w{30,}|do[ors]_v1_\w{30,}",
        r"shp(?:at|ca|pa|ss|tka)_[0-9a-fA-F]{20,}|SG\.[\w-]{16,}\.[\w-]{16,}|sq0[a-z]{3}-[\w-]{20,}",
        r"(?:AC|SK)[a-z0-9]{32}(?![A-Za-z0-9])|[0-9a-z]{32}-us[0-9]{1,2}(?![A-Za-z0-9])",
        r"[MNO][A-Za-z\d_-]{23,25}\.[A-Za-z\d_-]{6}\.[A-Za-z\d_-]{27,}",
        r"\d{8,10}:AA[\w-]{32,}",
        r"(?:AKC|AP[\dA-F])p?[a-zA-Z0-9]{40,}|hv[bsr]\.[\w-]{20,}|glsa_\w{30,}|dapi[0-9a-f]{32}",
        r"lin_api_\w{30,}|figd_[\w-]{30,}|ntn_\w{30,}|dckr_[op]at_[\w-]{20,}|sntry[su]_[\w=-]{30,}",
        r"AGE-SECRET-KEY-1[0-9A-Z]{40,}|PMAK-[\w-]{40,}|ATATT[\w=-]{40,}|rubygems_\w{40,}",
    )
)


_NEEDLES: Final = (
    "github_pat_ gh GR1348941 gl AKIA ASIA ABIA ACCA A3T AIza ya29. GOCSPX- hf_ gsk_ xai- pplx- "
    "nvapi- r8_ tvly- csk- fw_ tgp_v1_ llx- lsv2_ xox xapp- k_ whsec_ pypi- npm_ do shp SG. sq0 AC "
    "SK -us :AA AKC AP hvb. hvs. hvr. glsa_ dapi lin_api_ figd_ ntn_ dckr_ sntry AGE- PMAK- ATATT "
    "rubygems_ M N O"
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of secret."""

    name: str
    spans: Callable[[str], Iterator[Span]]
    """Where in a text they stand, in order; never a placeholder of its own: to scrub twice is to
    scrub once."""
    placeholder: str
    numbered: bool = False
    """Whether different ones stay different: the placeholder ends in figures that count them."""
    identity: bool = False
    """Whether it says who somebody is, and opens nothing."""

    def placing(self, text: str) -> Callable[[str], str]:
        """Give what puts something in the place of each secret of this text."""
        if not self.numbered:
            return lambda _: self.placeholder
        stem = self.placeholder.rstrip("0123456789")
        width = len(self.placeholder) - len(stem)
        placed = re.finditer(rf"{re.escape(stem)}(\d{{{width}}})", text)
        first = max((int(match[1]) + 1 for match in placed), default=0)
        numbers: dict[str, int] = {}

        def place(secret: str) -> str:
            number = numbers.setdefault(secret.lower(), first + len(numbers))
            return f"{stem}{number:0{width}d}"

        return place


def _kind(
    name: str, needles: str, pattern: str, placeholder: str, *, identity: bool = False
) -> Kind:
    """A kind known by its shape, which has the secret as the group `secret`.

    One of the needles, with a space between each, is in every text that holds one: they are looked
    for first, since a text mostly has none.
    """
    compiled, sought = re.compile(pattern), needles.split()

    def spans(text: str) -> Iterator[Span]:
        if any(needle in text for needle in sought):
            for match in compiled.finditer(text):
                yield match.span("secret")

    return Kind(name, spans, placeholder, identity=identity)


def _named(sign: str, value: str) -> Kind:
    """A kind known by a name that stands before a sign, unquoted."""
    values = re.compile(value)

    def spans(text: str) -> Iterator[Span]:
        at = text.find(sign)
        while at >= 0:
            last = text[at - 1 : at]  # in JSON a quote, at which nothing need be looked for
            may_be = last.isalnum() or last in _LAST_OF_NAME
            name = _NAME_BEFORE_SIGN.search(text, max(0, at - 64), at) if may_be else None
            start = at + len(sign)
            # By how it begins: a text of nothing but signs would be gone through for each of them.
            begins = values.match(text, start, start + _BEGINS) if name else None
            secret = begins["secret"] if begins else ""
            if name and begins and not _STANDS_FOR_IT.match(secret):
                asked = text[max(0, name.start() - 1) : name.start()] in ("?", "&")
                if tells(name["name"], secret, "query" if asked else "text"):
                    whole = values.match(text, start) or begins
                    yield whole.span("secret")
                    at = whole.end() - 1
            at = text.find(sign, at + 1)

    return Kind("a named secret", spans, "EXAMPLE")


_BEGINS: Final = 256
_LAST_OF_NAME: Final = ("_", ".", "$", "-")
_NAME_BEFORE_SIGN: Final = re.compile(rf"(?:(?<![\w.$\\%-])|{_ESCAPED})(?P<name>{_NAME})$")


def _quoted(text: str) -> Iterator[Span]:
    """In JSON, and in JSON that is a string in JSON, however deep."""
    for found in _QUOTED_NAME.finditer(text):
        start, depth = found.end(), len(found["q"])
        for quote in _QUOTE.finditer(text, start, start + _LONGEST):
            # One that is escaped for this depth and no more ends the value.
            if len(quote[0]) % (2 * depth) == depth:
                secret = text[start : quote.end() - depth]
                said = not _STANDS_FOR_IT.match(secret) and len(secret) >= _SHORTEST
                if said and tells(found["name"], secret, "text"):
                    yield start, start + len(secret)
                break


_DEEP: Final = r"\\{0,63}"  # JSON in JSON, six times over; any number would be tried at each place
_QUOTED_NAME: Final = re.compile(rf"(?P<q>{_DEEP}\")(?P<name>{_NAME})(?P=q)\s*:\s*(?P=q)")
_QUOTE: Final = re.compile(rf"{_DEEP}\"")
_SHORTEST: Final = 6
_LONGEST: Final = 20_000


def _hexadecimal(text: str) -> Iterator[Span]:
    """As Azure's keys were, and as many an id still is: those have a name that says so."""
    for match in _HEXADECIMAL.finditer(text):
        digits = match["secret"]
        if not (digits.isdigit() or digits.isalpha() or _is_id(text, match.start(), _ID_NAME)):
            yield match.span("secret")


def _guids(text: str) -> Iterator[Span]:
    for match in _GUIDS.finditer(text):
        if not _is_id(text, match.start(), _ID_OF_A_MESSAGE):
            yield match.span("secret")


def _is_id(text: str, start: int, names: re.Pattern[str]) -> bool:
    """Whether the name before this says that it is an id of no person and of no account."""
    before = _NAME_BEFORE.search(text, max(0, start - 64), start)
    return bool(before and names.search(before["name"]))


_HEXADECIMAL: Final = re.compile(
    rf"(?:(?<![A-Za-z0-9_.\\%-])|{_ESCAPED})(?P<secret>[0-9a-f]{{32}}|[0-9A-F]{{32}})(?![\w-])"
)
_GUIDS: Final = re.compile(rf"(?<![0-9A-Fa-f-])(?P<secret>(?!00000000-){_GUID})(?![0-9A-Fa-f-])")
_NAME_BEFORE: Final = re.compile(r"(?P<name>[\w-]+)[\\\"']*\s*[:=]\s*[\\\"']*$")
_ID_NAME: Final = re.compile(
    r"(?i)(?:id|ids|hash|md5|digest|etag|checksum|fingerprint|trace|boundary|revision|commit"
    r"|obfuscation)$"
)
_ID_OF_A_MESSAGE: Final = re.compile(
    r"(?i)^id$|(?:^|[-_])(?:call|chunk|completion|item|message|request|response|run|thread|trace)"
    r"[-_]?id$"
)


def _basic(text: str) -> Iterator[Span]:
    for match in _BASIC.finditer(text):
        try:
            plain = base64.b64decode(match["secret"], validate=True)
        except binascii.Error:
            continue
        if b":" in plain:
            yield match.span("secret")


_BASIC: Final = re.compile(r"(?i:\bbasic)\s+(?P<secret>[A-Za-z0-9+/]{7,}={0,2})(?![\w+/=])")

KINDS: Final = (
    _kind(
        "a private key",
        "PRIVATE",
        r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?P<secret>(?!EXAMPLE)"
        r"(?:(?!-----END|\\{1,63}\")[^\"'<]){8,20000})",
        "EXAMPLE",
    ),
    _kind(
        "the password in an address",
        "@",
        r"[A-Za-z][\w+.-]{1,30}://[^\s/:@\"'\\]{0,80}:(?P<secret>(?!EXAMPLE@)[^\s/@\"'\\]{1,200})@",
        "EXAMPLE",
    ),
    _kind(
        "the name in an address",
        "@",
        r"[A-Za-z][\w+.-]{1,30}://(?P<secret>(?=[^\s/:@\"'\\]*[0-9])[^\s/:@\"'\\]{16,200})@",
        "EXAMPLE",
    ),
    _kind("an API key", "sk-", _START + r"(?P<secret>sk-[A-Za-z0-9_*-]{8,})", "sk-EXAMPLE"),
    _kind(
        "part of a key, echoed",
        "provided: Provided: PROVIDED:",
        r"(?i:\bkey provided: )(?P<secret>(?!\w*-?EXAMPLE)[^\s\"\\]+?)(?=\.?(?:[\s\"\\]|$))",
        "EXAMPLE",
    ),
    _kind(
        "an access token",
        "eyJ",
        _START + r"(?P<secret>eyJ[\w-]{8,}\.[\w-]{4,}(?:\.[\w-]*)*)",
        "token-EXAMPLE",
    ),
    _kind(
        "an access token",
        "earer EARER",
        r"(?i:\bbearer)\s+(?P<secret>(?=[^\s\"']*\d)[\w.~+/=-]{12,})",
        "EXAMPLE",
    ),
    Kind("a name and a password", _basic, "EXAMPLE"),
    _kind(
        "an Azure key",
        "JQQJ9",
        _START + r"(?P<secret>[A-Za-z0-9]{52}JQQJ9[A-Za-z0-9+/=]{20,})",
        "azure-key-EXAMPLE",
    ),
    _kind(
        "a client secret",
        "Q~",
        _START + r"(?P<secret>[\w.~-]{3}\dQ~[\w.~-]{31,})",
        "client-secret-EXAMPLE",
    ),
    _kind(
        "an account key",
        "==",
        rf"(?:(?<![\\%A-Za-z0-9+/])|{_ESCAPED})(?P<secret>[A-Za-z0-9+/]{{86,88}}==)(?![A-Za-z0-9+/=])",
        "account-key-EXAMPLE",
    ),
    _kind(
        "a key of another service", _NEEDLES, _START + rf"(?P<secret>{_SERVICES})", "key-EXAMPLE"
    ),
    _kind(
        "a key of another service",
        "hooks.slack.com",
        r"hooks\.slack\.com/services/(?P<secret>(?!EXAMPLE)[\w/]{16,})",
        "EXAMPLE",
    ),
    _kind(
        "a key of another service",
        "/api/webhooks/",
        r"discord(?:app)?\.com/api/webhooks/(?P<secret>(?!EXAMPLE)\d{8,}/[\w-]{16,})",
        "EXAMPLE",
    ),
    _kind("an organisation id", "org-", _START + rf"(?P<secret>org-{_ID})", "org-EXAMPLE"),
    _kind("a project id", "proj_", _START + rf"(?P<secret>proj_{_ID})", "proj_EXAMPLE"),
    Kind("a named secret", _quoted, "EXAMPLE"),
    _named("=", r"[\"']?(?P<secret>[^&;,\s\"'\\<>]{6,})"),
    _named(
        ": ",
        r"[\"']?(?!(?i:bearer|basic)\s)(?P<secret>(?=[^\s\"'\\]*[0-9])[^;,\s\"'\\<>]{8,})",
    ),
    _kind(
        "a named secret",
        "=",
        r"(?:^|[?&\s])(?:code|sig|token|key|X-Amz-Signature)=(?P<secret>(?!EXAMPLE)[^&\s\"'\\]{6,})",
        "EXAMPLE",
    ),
    _kind(
        "a resource name",
        ".azure azure- .windows.net .AZURE .Azure AZURE- .WINDOWS .Windows .azurewebsites",
        rf"(?:(?<![\\%A-Za-z0-9-])|{_ESCAPED})(?P<secret>(?!example\.)(?i:[a-z0-9][a-z0-9-]*))"
        r"\.(?i:(?:openai|cognitiveservices)\.azure\.(?:com|us|cn)|services\.ai\.azure\.com"
        r"|azure-api\.net|search\.windows\.net|(?:blob|queue|table|file)\.core\.windows\.net"
        r"|vault\.azure\.net|documents\.azure\.com|azurewebsites\.net|database\.windows\.net)",
        "example",
        identity=True,
    ),
    _kind(
        "a resource name",
        "/resourceGroups/ /resourcegroups/ /RESOURCEGROUPS/ /accounts/ /ACCOUNTS/ /Accounts/",
        r"(?i:/resourceGroups/|/Microsoft\.\w+/accounts/)(?P<secret>(?!example\b)[\w.()-]+)",
        "example",
        identity=True,
    ),
    _kind(
        "an e-mail address",
        "@ %40 \\u0040",
        rf"(?:(?<![\\%A-Za-z0-9._+-])|{_ESCAPED})(?P<secret>(?!EXAMPLE(?:@|%40)|git@)"
        r"[A-Za-z0-9][\w.+-]{0,63}(?:@|%40|\\u0040)"
        r"(?!(?:[\w-]+\.)*example\.(?:com|org|net)\b|[\w.-]+\.(?:example|invalid|test|local)\b)"
        r"(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,24})(?![\w-])",
        "someone@example.com",
        identity=True,
    ),
    Kind(
        "a GUID",
        _guids,
        "00000000-0000-0000-0000-000000000000",
        numbered=True,
        identity=True,
    ),
    Kind("an Azure key, or like one", _hexadecimal, "azure-key-EXAMPLE"),
)
