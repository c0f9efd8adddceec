"""`usagestream chat`: questions to a provider, their answers, and what each used and cost."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import click

from .answers import Answer, Plain, Silent
from .endings import exit_status, signals_as_exits
from .figures import summary
from .screen import console, is_live, is_terminal, say, say_json, visible

if TYPE_CHECKING:
    from usagestream import Client, UsageRecord, UsageStream

__all__ = ["DEFAULT_MODEL", "chat"]

DEFAULT_MODEL: Final = "gpt-4o-mini"


@click.command(short_help="Ask a provider, and see what it costs.")
@click.argument("question", required=False)
@click.option("--provider", help="openai or azure, as the environment configures it.")
@click.option("--profile", help="Name of a profile.")
@click.option("--model", default=DEFAULT_MODEL, show_default=True, help="Model to ask for.")
@click.option("--system", help="What the model is told before the question.")
@click.option("--max-tokens", type=click.IntRange(1), help="Tokens that an answer may have.")
@click.option("--tag", "tags", multiple=True, metavar="K=V", help="Put on the record; repeatable.")
@click.option(
    "--save",
    metavar="FILE|LEDGER",
    help="Append each record to this file, as a line of JSON; or keep it in this ledger.",
)
@click.option("--continue", "go_on", is_flag=True, help="Go on asking after the answer.")
@click.option("--json", "as_json", is_flag=True, help="Print the record instead of the answer.")
def chat(
    question: str | None,
    provider: str | None,
    profile: str | None,
    model: str,
    system: str | None,
    max_tokens: int | None,
    tags: tuple[str, ...],
    save: str | None,
    go_on: bool,
    as_json: bool,
) -> None:
    """Ask for real: the answer goes to standard output, its tokens and cost to standard error.

    QUESTION is - for standard input, which is also read where it is piped in and there is no
    QUESTION. On a terminal without one, a conversation begins: each line is a question, and the
    end of input (Ctrl-D) ends it.

    Reads the variables that the openai SDK reads: OPENAI_API_KEY, or AZURE_OPENAI_ENDPOINT and
    AZURE_OPENAI_API_KEY, with OPENAI_API_VERSION for a dated api version.

    However it ends, what it has used and cost is shown and saved. Exits with 1 where the provider
    refused or broke off, with 130 on Ctrl-C, 143 on SIGTERM, and 141 where nobody reads the answer.
    """
    if provider and profile:
        raise click.UsageError("Give --provider or --profile, not both.")
    typing = _is_typing()
    if go_on and not typing:
        raise click.UsageError("--continue needs a terminal to ask at.")
    go_on = go_on or (question is None and typing)
    if question == "-" or (question is None and not go_on):
        question = sys.stdin.buffer.read().decode("utf-8-sig", "replace").strip()
    if question is not None and not question.strip():
        raise click.UsageError("There is no question: give one, or pipe one in.")
    params: dict[str, Any] = {"model": model, "tags": _pairs(tags)}
    if max_tokens is not None:
        params["max_completion_tokens"] = max_tokens
    with signals_as_exits(), _client(profile or provider, save) as client:
        talk = _Talk(client, params, as_json=as_json)
        if system:
            talk.messages.append({"role": "system", "content": _text(system)})
        status = 0 if question is None else talk.ask(question)
        while go_on and status in (0, 1):
            line = _typed()
            if line is None:
                break
            status = talk.ask(line) if line else status
    if client.sink_failures:
        raise click.ClickException(f"The record could not be saved to {save}.")
    raise SystemExit(status)


def _is_typing() -> bool:
    """Whether somebody can be asked, and sees it."""
    return sys.stdin.isatty() and is_terminal()


def _pairs(tags: tuple[str, ...]) -> dict[str, str]:
    pairs = [tag.partition("=") for tag in tags]
    wrong = ["".join(pair) for pair in pairs if not pair[0] or not pair[1]]
    if wrong:
        raise click.UsageError(f"--tag takes a name and a value, as team=search: {wrong[0]!r}")
    return {_text(name): _text(value) for name, _, value in pairs}


def _text(typed: str) -> str:
    """What was typed as UTF-8, also where the locale has no such letters and Python kept bytes."""
    kept = sys.getfilesystemencodeerrors()
    return typed.encode("utf-8", kept).decode("utf-8", "replace")


def _client(name: str | None, save: str | None) -> Client:
    from usagestream import Client, ConfigError, JsonLinesSink

    try:
        # Warm, so that the seconds on the screen are the provider's, and not of loading the SDK.
        if save is None:
            return Client(name, warm=True)
        if "://" in save:
            return Client(name, ledger=save, warm=True)
        return Client(name, on_record=JsonLinesSink(save), warm=True)
    except ConfigError as exc:
        raise click.UsageError(f"{exc}\nTo see it work without any: usagestream demo") from exc
    except OSError as exc:
        raise click.UsageError(f"--save: {save} cannot be written: {exc.strerror}.") from exc


def _typed() -> str | None:
    """The next question; `None` where there is none to come."""
    try:
        return input("> ").strip()
    except EOFError:
        say()
        return None


@dataclass
class _Talk:
    """A conversation; a question without a whole answer is not part of it."""

    client: Client
    params: dict[str, Any]
    as_json: bool
    messages: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def ask(self, question: str) -> int:
        """Ask, show the answer and what it has used and cost, and give the exit status."""
        from usagestream import ConfigError, StreamNotEndedError
        from usagestream_core.records.interrupts import uninterrupted

        asked = [*self.messages, {"role": "user", "content": _text(question)}]
        try:
            stream = self.client.stream(messages=asked, **self.params)
        except ConfigError as exc:
            raise click.UsageError(str(exc)) from exc
        answer = self._answer(stream)
        stop = answer.read()
        status = 0

        def end() -> None:
            nonlocal status
            if stop is None:
                self.messages = [*asked, {"role": "assistant", "content": answer.text}]
            status = exit_status(stop)
            try:
                self._tell(stream.record)
            except StreamNotEndedError:
                say("Nothing was sent.", err=True)
            if status == 1:
                say(f"Error: {stop}", err=True)

        uninterrupted(end)
        return status

    def _answer(self, stream: UsageStream) -> Answer:
        if self.as_json:
            return Silent(stream)
        if is_live() or is_live(err=True):
            from .live import Live  # rich is slow to import

            return Live(stream, shows_text=is_live())
        return Plain(stream)

    def _tell(self, record: UsageRecord) -> None:
        if self.as_json:
            say_json(record.model_dump_json(indent=2))
        else:
            console(err=True).print(visible(summary(record)), style="dim")
