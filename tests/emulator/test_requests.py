"""What is asked: surfaces, credentials, default answers, errors, counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx2
import openai
import pytest

from usagestream_adapters.emulator import (
    DEMO_QUESTION,
    REFUSALS,
    Answer,
    Emulator,
    ErrorReply,
    Scenario,
    ToolCall,
    scenarios,
    tokens,
)
from usagestream_adapters.emulator.errors import unknown_model
from usagestream_adapters.emulator.tokens import completion_tokens, count, prompt_tokens

Post = Callable[..., httpx2.Response]
CLASSIC = "/openai/deployments/{}/chat/completions?api-version=2024-10-21"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"type": "string", "enum": ["celsius"]},
                "days": {"type": "integer"},
            },
        },
    },
}


def answer(response: httpx2.Response) -> Any:
    """Return the message of a reply that was not streamed."""
    assert response.status_code == 200, response.text
    return response.json()["choices"][0]["message"]


def test_openai_sdk(server: Emulator) -> None:
    """The SDK reads a stream and its usage."""
    with openai.OpenAI(base_url=server.openai_base_url, api_key="k") as client:
        stream = client.chat.completions.create(
            model="gpt-4o-mini",
            messages=[{"role": "user", "content": DEMO_QUESTION}],
            stream=True,
            stream_options={"include_usage": True},
        )
        chunks = list(stream)
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.total_tokens == 20


def test_azure_sdk(server: Emulator) -> None:
    """The SDK's classic Azure client finds its deployment; the v1 surface takes the plain one."""
    with openai.AzureOpenAI(
        azure_endpoint=server.azure_endpoint, api_key="k", api_version="2024-10-21"
    ) as classic:
        reply = classic.chat.completions.create(
            model="chat-mini", messages=[{"role": "user", "content": DEMO_QUESTION}]
        )
    assert reply.choices[0].message.content == "Two"
    with openai.OpenAI(base_url=server.azure_v1_base_url, api_key="k") as v1:
        reply = v1.chat.completions.create(
            model="chat-mini", messages=[{"role": "user", "content": DEMO_QUESTION}]
        )
    assert reply.model == "gpt-4o-mini-2024-07-18"


@pytest.mark.parametrize(
    "path", ["/gw/v1/chat/completions", "/a/b/openai/v1/chat/completions", "/gw" + CLASSIC]
)
def test_any_prefix(post: Post, path: str) -> None:
    """A gateway may put anything before the path."""
    assert post(path=path.format("chat")).status_code == 200


@pytest.mark.parametrize("version", ["preview", "v1"])
def test_v1_accepts_undated_versions(post: Post, version: str) -> None:
    """The v1 surface takes the versions that are no dates."""
    path = f"/openai/v1/chat/completions?api-version={version}"
    assert post("azure-v1", path=path).status_code == 200


@pytest.mark.parametrize(
    ("surface", "path", "headers", "status", "code"),
    [
        ("openai", None, {"authorization": "Bearer wrong"}, 401, "invalid_api_key"),
        ("openai", None, {"authorization": "Basic abc"}, 401, "invalid_api_key"),
        ("openai", None, {}, 401, "invalid_api_key"),
        ("azure", None, {"api-key": "wrong-key"}, 401, "401"),
        ("azure-v1", None, {"api-key": "wrong-key"}, 401, "401"),
        ("azure", "/openai/deployments/x/chat/completions", None, 404, "404"),
        ("azure", "/openai/deployments/x/embeddings", None, 404, "404"),
        ("azure", "/chat/completions", None, 404, "404"),
        ("azure", CLASSIC.format("missing"), None, 404, "DeploymentNotFound"),
        (
            "azure-v1",
            "/openai/v1/chat/completions?api-version=2024-10-21",
            None,
            400,
            "BadRequest",
        ),
        ("openai", "/v1/embeddings", None, 404, None),
    ],
)
def test_refused_requests(
    post: Post, surface: str, path: str | None, headers: Any, status: int, code: str | None
) -> None:
    """Each provider refuses in its own words."""
    response = post(surface, path=path, headers=headers)
    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    azure = surface != "openai"
    assert ("apim-request-id" in response.headers) is azure
    assert ("x-request-id" in response.headers) is not azure


@pytest.mark.parametrize("headers", [{}, {"api-key": ""}, {"authorization": "Bearer expired"}])
def test_azure_token_refused(post: Post, headers: dict[str, str]) -> None:
    """A bad token, or none, is refused without an `error` envelope."""
    response = post("azure", headers=headers)
    assert response.status_code == 401
    assert list(response.json()) == ["statusCode", "message"]


def test_azure_takes_bearers(post: Post) -> None:
    """A token, or a key sent as one, is a credential too."""
    assert post("azure-v1", headers={"authorization": "Bearer t"}).status_code == 200


def test_openai_masks_the_key(post: Post) -> None:
    """The refused key is echoed in part only."""
    response = post(headers={"authorization": "Bearer wrong-secret-key"})
    assert "wrong-secret-key" not in response.text
    assert "wrong-se****-key" in response.text
    assert response.headers["www-authenticate"] == 'Bearer realm="OpenAI API"'


def test_missing_model(post: Post) -> None:
    """A model that does not exist is named in OpenAI's words, an Azure one is a deployment."""
    assert post(model="missing-1").json()["error"]["code"] == "model_not_found"
    assert "`missing-1`" in post(model="missing-1").json()["error"]["message"]
    on_v1 = post("azure-v1", model="missing")
    assert (on_v1.status_code, on_v1.json()["error"]["code"]) == (404, "DeploymentNotFound")


def test_known_deployments(http: httpx2.Client) -> None:
    """With deployments given, there are no others; a mapping tells the model behind each."""
    body = {"messages": [{"role": "user", "content": DEMO_QUESTION}]}
    for deployments in ({"prod": "gpt-4.1"}, {"prod"}):
        with Emulator(deployments=deployments) as server:
            known = http.post(
                server.url + CLASSIC.format("prod"), json=body, headers={"api-key": "k"}
            )
            other = http.post(
                server.url + CLASSIC.format("dev"), json=body, headers={"api-key": "k"}
            )
        expected = (
            "gpt-4.1-2025-04-14" if isinstance(deployments, dict) else "gpt-4o-mini-2024-07-18"
        )
        assert known.json()["model"] == expected
        assert other.json()["error"]["code"] == "DeploymentNotFound"


@pytest.mark.parametrize(
    ("deployment", "model"),
    [
        ("gpt-4o-mini-prod", "gpt-4o-mini-2024-07-18"),
        ("gpt-5.2_2025-12-11", "gpt-5.2-2025-12-11"),
        ("anything", "gpt-4o-mini-2024-07-18"),
    ],
)
def test_model_behind_a_deployment(post: Post, deployment: str, model: str) -> None:
    """The model that answers is a snapshot, and never the deployment or the body's model."""
    response = post("azure", path=CLASSIC.format(deployment), model="ignored", stream=None)
    assert response.json()["model"] == model


def test_unknown_models_answer_as_themselves(post: Post, server: Emulator) -> None:
    """On OpenAI a name that is not known is taken for a snapshot, and a scenario's wins."""
    assert post(model="gpt-9", stream=None).json()["model"] == "gpt-9"
    server.script(Scenario(model="gpt-x"))
    assert post(stream=None).json()["model"] == "gpt-x"


@pytest.mark.parametrize("surface", ["openai", "azure", "azure-v1"])
@pytest.mark.parametrize("content", ["{not json", "[1]", '{"model":"m"}', '{"messages":[]}'])
def test_bad_bodies(post: Post, surface: str, content: str) -> None:
    """A body that is not a chat request is refused in the envelope both share."""
    response = post(surface, content=content)
    assert response.status_code == 400
    assert list(response.json()["error"]) == ["message", "type", "param", "code"]


def test_a_model_is_needed(post: Post) -> None:
    """Where the address does not name a deployment the body must."""
    response = post(model=None)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "model")


@pytest.mark.parametrize("name", REFUSALS)
def test_stream_options_refused(post: Post, server: Emulator, name: str) -> None:
    """A refusal hits only requests that carry the option, and uses up its scenario."""
    server.script(*[Scenario(text="Fine.", stream_options_refused=name)] * 2)
    refused = post("azure")
    assert refused.status_code in {400, 422}
    assert "stream_options" in refused.text
    assert "Fine" in post("azure", stream_options=None).text
    assert post("azure").status_code == 200


def test_refusals_may_be_replies(post: Post, server: Emulator) -> None:
    """A refusal may be one's own, and a name that is not in the table is a mistake."""
    reply = ErrorReply(status=418, body="stream_options? no", content_type="text/plain")
    server.script(Scenario(stream_options_refused=reply))
    response = post()
    assert (response.status_code, response.text) == (418, "stream_options? no")
    with pytest.raises(ValueError, match="no refusal is called 'nope'; there are: unrecog"):
        Scenario(stream_options_refused="nope")


def test_error_scenarios(post: Post, server: Emulator) -> None:
    """An error scenario answers with its reply, and headers of its own."""
    server.script(
        scenarios.rate_limited,
        scenarios.prompt_blocked,
        scenarios.server_error,
        scenarios.streaming_unsupported,
        Scenario(error=unknown_model("m")),
    )
    limited = post("azure")
    assert limited.status_code == 429
    assert (limited.headers["retry-after"], limited.headers["retry-after-ms"]) == ("1", "0")
    blocked = post("azure").json()["error"]
    assert (blocked["code"], blocked["innererror"]["code"]) == (
        "content_filter",
        "ResponsibleAIPolicyViolation",
    )
    assert post().status_code == 500
    assert post("azure").json()["error"]["param"] == "stream"
    assert post("azure-v1").json()["error"]["code"] == "unknown_model"


def test_default_answer(post: Post) -> None:
    """The default answer says what it is and names what it was asked."""
    one = answer(post(stream=None))["content"]
    assert one == "I am an emulator, not a model: gpt-4o-mini was asked with 1 message."
    two = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    assert "2 messages." in answer(post(stream=None, messages=two))["content"]


def test_default_choices(post: Post) -> None:
    """The default answer has as many choices as were asked for; a bad `n` is one."""
    choices = post(stream=None, n=2).json()["choices"]
    assert [c["message"]["content"][-14:] for c in choices] == ["Choice 1 of 2.", "Choice 2 of 2."]
    assert len(post(stream=None, n=0).json()["choices"]) == 1


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"type": "function", "function": {"name": "get_weather"}}, "Hello"),
        ("required", "Hello"),
        ("auto", "Please use get_weather."),
        (None, "Please use get_weather."),
    ],
)
def test_default_tool_call(post: Post, choice: Any, said: str) -> None:
    """A tool that is demanded or named is called, with arguments of the right types."""
    messages = [{"role": "user", "content": said}]
    response = post(stream=None, tools=[WEATHER], tool_choice=choice, messages=messages)
    (call,) = answer(response)["tool_calls"]
    assert call["function"]["name"] == "get_weather"
    arguments = {"city": "emulated", "unit": "celsius", "days": 1}
    assert json.loads(call["function"]["arguments"]) == arguments


@pytest.mark.parametrize(
    ("choice", "role", "said"),
    [("none", "user", "get_weather"), ("auto", "tool", "get_weather"), (None, "user", "Hi")],
)
def test_default_without_a_tool_call(post: Post, choice: Any, role: str, said: str) -> None:
    """A tool that nobody wants, or that has answered already, is not called."""
    messages = [{"role": role, "content": said}]
    response = post(stream=None, tools=[WEATHER, {}], tool_choice=choice, messages=messages)
    assert "tool_calls" not in answer(response)


def test_demo_counts_by_the_recipe() -> None:
    """The demo's numbers are what the recipe gives."""
    messages = [{"role": "user", "content": DEMO_QUESTION}]
    assert prompt_tokens(messages, "gpt-4o-mini-2024-07-18") == 18
    assert completion_tokens(Answer(text="Two"), "gpt-4o-mini-2024-07-18") == 2


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o-mini", "o200k_base"),
        ("gpt-4.1", "o200k_base"),
        ("gpt-5-mini", "o200k_base"),
        ("o4-mini", "o200k_base"),
        ("gpt-4-0613", "cl100k_base"),
        ("gpt-4", "cl100k_base"),
        ("gpt-3.5-turbo", "cl100k_base"),
        ("gpt-35-turbo", "cl100k_base"),
    ],
)
def test_encoding_of_a_model(model: str, name: str) -> None:
    """Each family counts by its own encoding."""
    assert tokens.encoding_name(model) == name


def test_counts_of_the_parts() -> None:
    """Names, parts of a content, earlier tool calls and tools are counted; an image is not."""
    model = "gpt-4-0613"
    plain = prompt_tokens([{"role": "user", "content": "Hello"}], model)
    image = {"type": "image_url", "image_url": {"url": "data:"}}
    parts = [{"type": "text", "text": "Hello"}, image]
    assert prompt_tokens([{"role": "user", "content": parts}], model) == plain
    named = [{"role": "user", "name": "Ann", "content": "Hello"}]
    assert prompt_tokens(named, model) == plain + count("Ann", model)
    call = {"function": {"name": "f", "arguments": "{}"}}
    called = [{"role": "assistant", "content": None, "tool_calls": [call]}]
    assert prompt_tokens(called, model) == 3 + 3 + count("assistant", model) + 2
    assert prompt_tokens([], model, [WEATHER]) > 30


def test_counts_of_an_answer() -> None:
    """A stop costs one token, a cut none, a tool call about eight."""
    model = "gpt-4o"
    assert completion_tokens(Answer(text="Hello"), model) == 2
    assert completion_tokens(Answer(text="Hello", finish_reason="length"), model) == 1
    assert completion_tokens(Answer(refusal="Hello"), model) == 2
    assert completion_tokens(Answer(tool_calls=[ToolCall(name="f")]), model) == 1 + 1 + 8


def test_without_a_tokenizer(post: Post, server: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo needs no tokenizer, nor does what has its own usage; the rest says what to do."""

    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(tokens, "encoder", missing)
    demo = [{"role": "user", "content": DEMO_QUESTION}]
    assert post(messages=demo).status_code == 200
    assert post(stream_options=None).status_code == 200
    server.script(scenarios.cached)
    assert post().status_code == 200
    for response in (post(), post("azure", stream=None)):
        assert response.status_code == 500
        assert 'pip install "usagestream[estimate]"' in response.json()["error"]["message"]
        assert response.headers["x-should-retry"] == "false"
