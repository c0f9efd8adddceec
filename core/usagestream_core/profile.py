"""Profiles: which provider, where, and with whose credentials."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from .errors import ConfigError
from .masking import shown_address

__all__ = [
    "IncludeUsage",
    "Profile",
    "Secret",
    "SecretText",
    "check_all",
    "is_unset",
    "mapping_fields",
    "revealed",
    "secret_fields",
]

IncludeUsage = Literal["auto", "always", "never"]


def _hide(value: object) -> object:
    return SecretStr(value) if isinstance(value, str) else value


Secret: TypeAlias = Annotated[
    str | SecretStr | Callable[[], str | Awaitable[str]], BeforeValidator(_hide)
]
"""A key or a token: the text itself, or a function, sync or async, that gives it when it is needed.

Text is kept as a `SecretStr`, which does not show what it holds.
"""
SecretText: TypeAlias = Annotated[str | SecretStr, BeforeValidator(_hide)]
"""A secret that cannot be a function."""


class Profile(BaseModel, frozen=True):
    """What every provider's profile has. Each adapter exports a subclass with its own fields."""

    # A misspelt name may stand before a key: what was passed is not repeated in errors.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    provider: str
    """Name of the adapter; fixed by each subclass."""
    name: str | None = None
    """What records call this profile."""
    timeout: float | None = Field(default=None, gt=0)
    """Seconds to wait for the provider to send something. `None`: the SDK's default, 600."""
    max_retries: int = Field(default=2, ge=0)
    """Retries before the first byte, made by the SDK. Nothing is retried after it."""
    include_usage: IncludeUsage = "auto"
    """Whether to ask for usage: wherever it is accepted (`auto`), `always`, or `never`."""
    headers: Mapping[str, SecretText] = Field(default_factory=dict[str, SecretText], repr=False)
    """Sent with every request, such as a gateway's own key. The values are kept secret."""

    async_http: Literal["default", "aiohttp"] = "default"
    """What `AsyncClient` sends with: the SDK's default, or its aiohttp transport, which takes half
    the CPU and runs on asyncio only. Needs `usagestream[aiohttp]`."""
    max_event_bytes: int = Field(default=16 * 1024 * 1024, gt=0)
    """The longest event that is waited for, in bytes: a second of audio is some 64 KB. A longer one
    ends the stream with `EventTooLargeError`."""

    required_variables: ClassVar[tuple[str, ...]] = ()
    """Environment variables without which a profile cannot be made of the environment alone."""
    variables: ClassVar[Mapping[str, str]] = {}
    """The environment variable that stands in for each field that is left `None`."""

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Every field that may be shown; of an address, nothing that may be secret in it."""
        for name, value in super().__repr_args__():
            may_be_address = isinstance(value, str) and name != "name"
            yield name, shown_address(value) if may_be_address else value

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Make a profile of the variables that the provider's own SDK reads.

        Raises `ConfigError` where `required_variables` are missing, naming them; and, unless a
        subclass knows better, always: then a profile is written in code or in a file.
        """
        provider = cls.model_fields["provider"].default
        raise ConfigError(
            f"A profile of {provider} cannot be made of the environment alone: give one in code, "
            "or in a profile file, and name it."
        )

    @classmethod
    def is_described_by(cls, environ: Mapping[str, str]) -> bool:
        """Whether the environment alone is enough for a profile."""
        required = cls.required_variables
        return bool(required) and all(environ.get(name) for name in required)

    def filled(self, environ: Mapping[str, str]) -> Self:
        """Take from the environment what this profile leaves open; see `variables`."""
        return self.filled_in(environ, *self.variables)

    def filled_in(self, environ: Mapping[str, str], *fields: str) -> Self:
        """`filled`, for these fields only. A value that is empty counts as left open."""
        found: dict[str, object] = {
            field: environ[self.variables[field]]
            for field in fields
            if is_unset(getattr(self, field)) and environ.get(self.variables[field])
        }
        for field in secret_fields(type(self)) & found.keys():
            found[field] = _hide(found[field])
        return self.model_copy(update=found)

    def foreign_addresses(self) -> Mapping[str, str]:
        """By field, the addresses that secrets would be sent to and that are not the provider's.

        A profile file that was merely found may not choose them for the user's own secrets (see
        `docs/configuration.md`). Unless a subclass knows better, every text among its own fields
        may be such an address.
        """
        kind = type(self)
        own = kind.model_fields.keys() - Profile.model_fields.keys() - secret_fields(kind)
        values = {name: getattr(self, name) for name in sorted(own)}
        return {name: each for name, each in values.items() if isinstance(each, str) and each}

    def ambient_secrets(self, environ: Mapping[str, str]) -> tuple[str, ...]:
        """Say what would be sent that no field holds.

        That is an identity of this host, or a variable that the provider's SDK reads by itself.
        """
        return ()


def check_all(*checks: Callable[[], object]) -> None:
    """Make every check. Raises one `ConfigError` that says, line by line, what each found."""
    mistakes: list[str] = []
    for check in checks:
        try:
            check()
        except ConfigError as exc:
            mistakes.append(str(exc))
    if mistakes:
        raise ConfigError("\n".join(mistakes))


def is_unset(value: object) -> bool:
    """Whether a field says nothing: an empty key is none."""
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    return value is None or value == ""


def revealed(secret: str | SecretStr | None) -> str:
    """The text of a secret, to be used in a request only; nothing for none."""
    return secret.get_secret_value() if isinstance(secret, SecretStr) else secret or ""


def secret_fields(profile_type: type[Profile]) -> frozenset[str]:
    """The names of the fields whose one value is a secret."""
    return frozenset(
        name for name, field in profile_type.model_fields.items() if _holds_secret(field.annotation)
    )


def mapping_fields(profile_type: type[Profile]) -> frozenset[str]:
    """The names of the fields that are mappings."""
    fields = profile_type.model_fields.items()
    return frozenset(name for name, field in fields if _is_mapping(field.annotation))


def _holds_secret(annotation: Any) -> bool:
    """Whether a secret is among the alternatives; a mapping to secrets is something else."""
    if annotation is SecretStr:
        return True
    alternatives = getattr(annotation, "__args__", ())
    return not _is_mapping(annotation) and any(_holds_secret(each) for each in alternatives)


def _is_mapping(annotation: Any) -> bool:
    origin = getattr(annotation, "__origin__", None)
    return isinstance(origin, type) and issubclass(origin, Mapping)
