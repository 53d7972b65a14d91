"""The vendors' own clients talk to the simulator as to the vendor."""

from __future__ import annotations

import asyncio

import anthropic
import ollama
import openai
import pytest
from google import genai
from google.genai import errors as gemini_errors
from google.genai import types as gemini
from mistralai.client import Mistral
from mistralai.client import errors as mistral_errors

from orchestrator_nb.simulator.asking import tokens

PROMPT = "Why is the evening sky red above the sea?"
USER = [{"role": "user", "content": PROMPT}]
SYSTEM = [{"role": "system", "content": "Answer like a sailor."}, *USER]
CHAT_DOORS = [
    ("openai", "gpt-6-luna"), ("deepseek", "deepseek-flash"), ("compat", "local-model"), ("vllm", "qwen3.5"), ("llamacpp", "local-model"),
    ("lmstudio", "qwen3.5"), ("openrouter", "openai/gpt-oss-120b"), ("groq", "openai/gpt-oss-120b"), ("ollama-v1", "qwen3.5"),
]  # fmt: skip


@pytest.fixture
def claude(sim):
    with anthropic.Anthropic(api_key="k", base_url=sim.url("anthropic"), max_retries=0) as client:
        yield client


@pytest.fixture
def google(sim):
    client = genai.Client(api_key="k", http_options=gemini.HttpOptions(base_url=sim.url("gemini")))
    yield client
    client.close()


@pytest.fixture
def mistral(sim):
    with Mistral(api_key="k", server_url=sim.url("mistral")) as client:
        yield client


@pytest.fixture
def local(sim):
    client = ollama.Client(host=sim.url("ollama"))
    yield client
    client._client.close()


def gpt(sim, vendor="openai", key="k"):
    return openai.OpenAI(api_key=key, base_url=sim.url(vendor), max_retries=0)


def test_claude_answers_thinks_and_counts(claude):
    message = claude.messages.create(model="claude-opus-5-5", max_tokens=800, system="Be brief.", messages=USER)

    thinking, text = message.content
    assert (thinking.type, text.type, message.stop_reason) == ("thinking", "text", "end_turn")
    assert message.usage.output_tokens == tokens(text.text) + tokens(thinking.thinking)
    assert message.usage.output_tokens_details.thinking_tokens == tokens(thinking.thinking)


def test_claude_streams_the_very_text_of_the_plain_answer(claude):
    plain = claude.messages.create(model="claude-sonnet-5-5", max_tokens=800, messages=USER)
    with claude.messages.stream(model="claude-sonnet-5-5", max_tokens=800, messages=USER) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()

    assert len(pieces) > 3
    assert "".join(pieces) == plain.content[-1].text
    assert final.usage.output_tokens == plain.usage.output_tokens


def test_claude_answers_from_a_running_loop(sim):
    async def ask():
        async with anthropic.AsyncAnthropic(api_key="k", base_url=sim.url("anthropic")) as client:
            return await client.messages.create(model="claude-haiku-4-5", max_tokens=100, messages=USER)

    assert asyncio.run(ask()).content[0].text


def test_claude_lists_all_models_page_by_page_and_counts_tokens(claude):
    models = list(claude.models.list(limit=4))

    assert len(models) == len({model.id for model in models}) == 15
    assert claude.models.retrieve("claude-opus-5-5").max_input_tokens == 1_000_000
    assert claude.messages.count_tokens(model="claude-opus-5-5", messages=USER).input_tokens >= tokens(PROMPT)


def test_claude_calls_a_tool_that_the_prompt_speaks_of(claude):
    tool = {
        "name": "get_weather",
        "description": "d",
        "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    }
    ask = [{"role": "user", "content": "What is the weather in Oslo?"}]
    message = claude.messages.create(model="claude-sonnet-4-6", max_tokens=500, messages=ask, tools=[tool])
    with claude.messages.stream(model="claude-sonnet-4-6", max_tokens=500, messages=ask, tools=[tool]) as stream:
        streamed = stream.get_final_message()

    assert (message.stop_reason, message.content[-1].name) == ("tool_use", "get_weather")
    assert set(message.content[-1].input) == {"city"}
    assert streamed.content[-1].input == message.content[-1].input


def test_claude_goes_on_after_a_pause(sim, claude):
    whole = claude.messages.create(model="claude-opus-5-5", max_tokens=800, messages=USER).content[-1].text
    sim.fail("pause-turn", times=1)
    first = claude.messages.create(model="claude-opus-5-5", max_tokens=800, messages=USER)
    second = claude.messages.create(
        model="claude-opus-5-5", max_tokens=800, messages=[*USER, {"role": "assistant", "content": first.content}]
    )

    assert (first.stop_reason, second.stop_reason) == ("pause_turn", "end_turn")
    assert first.content[-1].text + second.content[-1].text == whole


CLAUDE_ERRORS = {
    "400": anthropic.BadRequestError, "401": anthropic.AuthenticationError, "403": anthropic.PermissionDeniedError, "404": anthropic.NotFoundError,
    "429": anthropic.RateLimitError, "quota": anthropic.RateLimitError, "500": anthropic.InternalServerError, "529": anthropic.InternalServerError,
}  # fmt: skip


@pytest.mark.parametrize("fault", CLAUDE_ERRORS)
def test_claude_raises_the_class_of_each_status(sim, claude, fault):
    sim.fail(fault)

    with pytest.raises(CLAUDE_ERRORS[fault]):
        claude.messages.create(model="claude-opus-5-5", max_tokens=10, messages=USER)


def test_claude_retries_succeed_when_the_fault_was_ordered_twice(sim):
    sim.fail("529", times=2)
    with anthropic.Anthropic(api_key="k", base_url=sim.url("anthropic"), max_retries=2) as client:
        client.messages.create(model="claude-haiku-4-5", max_tokens=10, messages=USER)

    assert len(sim.requests) == 3


@pytest.mark.parametrize(("vendor", "model"), CHAT_DOORS)
def test_the_openai_client_gets_plain_and_streamed_answers_that_agree(sim, vendor, model):
    with gpt(sim, vendor) as client:
        plain = client.chat.completions.create(model=model, messages=SYSTEM)
        chunks = list(
            client.chat.completions.create(
                model=model, messages=SYSTEM, stream=True, stream_options={"include_usage": True}
            )
        )
        listed = [row.id for row in client.models.list()]

    text = plain.choices[0].message.content
    assert text
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == text
    assert plain.choices[0].finish_reason == "stop"
    assert plain.usage.total_tokens == plain.usage.prompt_tokens + plain.usage.completion_tokens
    assert any(row.startswith(model) for row in listed)


def test_the_streamed_counts_of_openai_come_in_a_last_chunk_without_choices(sim):
    with gpt(sim) as client:
        chunks = list(
            client.chat.completions.create(
                model="gpt-6-luna", messages=USER, stream=True, stream_options={"include_usage": True}
            )
        )
        without = list(client.chat.completions.create(model="gpt-6-luna", messages=USER, stream=True))

    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens_details.reasoning_tokens > 0
    assert all(chunk.usage is None for chunk in without)


def test_openai_responses_give_summary_text_and_counts(sim):
    with gpt(sim) as client:
        plain = client.responses.create(
            model="gpt-6.1-sol", input=PROMPT, instructions="Be brief.", reasoning={"summary": "auto"}
        )
        with client.responses.stream(
            model="gpt-6.1-sol", input=PROMPT, instructions="Be brief.", reasoning={"summary": "auto"}
        ) as stream:
            kinds = [event.type for event in stream]
            streamed = stream.get_final_response()
        counted = client.responses.input_tokens.count(model="gpt-6.1-sol", input=PROMPT)

    assert plain.status == "completed"
    assert plain.output[0].summary[0].text
    assert streamed.output_text == plain.output_text
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
    assert counted.input_tokens >= tokens(PROMPT)


def test_openai_responses_call_functions_in_both_ways(sim):
    tool = {
        "type": "function",
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        "strict": False,
    }
    with gpt(sim) as client:
        plain = client.responses.create(model="gpt-6.1-sol", input="The weather in Oslo?", tools=[tool])
        with client.responses.stream(model="gpt-6.1-sol", input="The weather in Oslo?", tools=[tool]) as stream:
            stream.until_done()
            streamed = stream.get_final_response()

    assert (plain.output[-1].type, plain.output[-1].name) == ("function_call", "get_weather")
    assert streamed.output[-1].arguments == plain.output[-1].arguments


OPENAI_ERRORS = {
    "400": openai.BadRequestError, "401": openai.AuthenticationError, "403": openai.PermissionDeniedError, "404": openai.NotFoundError,
    "409": openai.ConflictError, "422": openai.UnprocessableEntityError, "429": openai.RateLimitError, "500": openai.InternalServerError,
}  # fmt: skip


@pytest.mark.parametrize("fault", OPENAI_ERRORS)
def test_the_openai_client_raises_the_class_of_each_status(sim, fault):
    sim.fail(fault)

    with gpt(sim) as client, pytest.raises(OPENAI_ERRORS[fault]):
        client.chat.completions.create(model="gpt-6-luna", messages=USER)


def test_a_streamed_error_of_openai_is_raised_by_its_client(sim):
    sim.fail("error-event")

    with gpt(sim) as client, pytest.raises(openai.APIError, match="overloaded"):
        list(client.chat.completions.create(model="gpt-6.1-sol", messages=USER, stream=True))


def test_openai_answers_from_a_running_loop(sim):
    async def ask():
        async with openai.AsyncOpenAI(api_key="k", base_url=sim.url("openai")) as client:
            return await client.chat.completions.create(model="gpt-4o", messages=USER, n=2)

    first, second = asyncio.run(ask()).choices
    assert first.message.content != second.message.content


def test_gemini_answers_streams_and_counts_thoughts_apart(google):
    config = gemini.GenerateContentConfig(
        system_instruction="Be brief.", thinking_config=gemini.ThinkingConfig(include_thoughts=True)
    )
    plain = google.models.generate_content(model="gemini-3.8-flash", contents=PROMPT, config=config)
    chunks = list(google.models.generate_content_stream(model="gemini-3.8-flash", contents=PROMPT, config=config))

    assert plain.candidates[0].content.parts[0].thought
    assert "".join(chunk.text or "" for chunk in chunks) == plain.text
    usage = plain.usage_metadata
    assert usage.candidates_token_count == tokens(plain.text)
    assert (
        usage.total_token_count == usage.prompt_token_count + usage.candidates_token_count + usage.thoughts_token_count
    )
    assert chunks[-1].usage_metadata.total_token_count == usage.total_token_count


def test_gemini_lists_models_page_by_page_and_counts_tokens(google):
    assert len({model.name for model in google.models.list(config={"page_size": 5})}) == 12
    assert google.models.count_tokens(model="gemini-3.8-flash", contents=PROMPT).total_tokens >= tokens(PROMPT)


def test_gemini_gives_the_rest_when_its_client_sends_the_continuation_token(sim, google):
    whole = google.models.generate_content(model="gemini-3.8-flash", contents=PROMPT).text
    sim.clear()
    sim.fail("continuation", times=1)

    assert google.models.generate_content(model="gemini-3.8-flash", contents=PROMPT).text == whole
    assert [("continuationToken" in request.body) for request in sim.requests] == [False, True]


@pytest.mark.parametrize(
    ("fault", "code"), [("401", 400), ("403", 403), ("404", 404), ("429", 429), ("quota", 429), ("503", 503)]
)
def test_the_gemini_client_raises_each_status(sim, google, fault, code):
    sim.fail(fault)

    with pytest.raises(gemini_errors.APIError) as failure:
        google.models.generate_content(model="gemini-3.8-flash", contents=PROMPT)

    assert failure.value.code == code


@pytest.mark.filterwarnings(
    "ignore:Inheritance class AiohttpClientSession:DeprecationWarning"
)  # google-genai's own affair with aiohttp
def test_gemini_answers_from_a_running_loop(sim):
    async def ask():
        client = genai.Client(api_key="k", http_options=gemini.HttpOptions(base_url=sim.url("gemini")))
        async with client.aio as aio:
            answer = await aio.models.generate_content(model="gemini-3.8-flash", contents=PROMPT)
        client.close()
        return answer

    assert asyncio.run(ask()).text


def test_mistral_gives_text_or_chunks_and_its_stream_switches_between_them(mistral):
    plain = mistral.chat.complete(model="mistral-small-latest", messages=SYSTEM)
    thought = mistral.chat.complete(model="mistral-small-latest", messages=SYSTEM, reasoning_effort="high")
    with mistral.chat.stream(model="mistral-medium-latest", messages=SYSTEM, reasoning_effort="high") as stream:
        deltas = [event.data.choices[0].delta.content for event in stream]

    assert isinstance(plain.choices[0].message.content, str)
    assert [chunk.type for chunk in thought.choices[0].message.content] == ["thinking", "text"]
    assert {type(delta) for delta in deltas} == {str, list}
    assert plain.usage.prompt_tokens >= tokens(PROMPT)


def test_mistral_lists_models_with_aliases_as_entries(mistral):
    names = {model.id for model in mistral.models.list().data}

    assert {"mistral-small-2603", "mistral-small-latest"} <= names


@pytest.mark.parametrize(("fault", "code"), [("401", 401), ("404", 400), ("422", 422), ("429", 429), ("500", 500)])
def test_the_mistral_client_raises_each_status(sim, mistral, fault, code):
    sim.fail(fault)

    with pytest.raises(mistral_errors.MistralError) as failure:
        mistral.chat.complete(model="mistral-small-latest", messages=USER)

    assert failure.value.status_code == code


def test_mistral_answers_from_a_running_loop(sim):
    async def ask():
        async with Mistral(api_key="k", server_url=sim.url("mistral")) as client:
            return await client.chat.complete_async(model="mistral-small-latest", messages=USER)

    assert asyncio.run(ask()).choices[0].message.content


def test_ollama_answers_streams_lists_and_shows(local):
    plain = local.chat(model="qwen3.5", messages=SYSTEM)
    lines = list(local.chat(model="qwen3.5", messages=SYSTEM, stream=True))

    assert plain.message.thinking
    assert "".join(line.message.content for line in lines) == plain.message.content
    assert (lines[-1].done_reason, lines[-1].eval_count) == ("stop", plain.eval_count)
    assert "qwen3.5:latest" in [model.model for model in local.list().models]
    assert "thinking" in local.show("qwen3.5").capabilities
    assert local.generate(model="llama3.2", prompt=PROMPT).response


def test_the_ollama_client_raises_404_for_a_model_that_was_not_pulled(local):
    with pytest.raises(ollama.ResponseError) as failure:
        local.chat(model="nope", messages=USER)

    assert (failure.value.status_code, failure.value.error) == (404, "model 'nope' not found")


def test_ollama_answers_from_a_running_loop(sim):
    async def ask():
        client = ollama.AsyncClient(host=sim.url("ollama"))
        try:
            return await client.chat(model="llama3.2", messages=USER)
        finally:
            await client._client.aclose()

    assert asyncio.run(ask()).message.content
