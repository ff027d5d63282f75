"""`POST /v1/completions`, by OpenAI's own client."""

import math

import openai
import pytest

from tests.app.servers import Service
from tests.app.writers import generate

OPTIONS = [
    {"prompt": "Twin", "seed": 3},
    {"prompt": "Twin", "seed": 3, "n": 3, "echo": True, "logprobs": 2, "max_tokens": 500},
    {"model": "notes", "prompt": "a", "seed": 1, "n": 4, "stop": ["c", "d e"], "logprobs": 0},
    {"prompt": "Twin", "seed": 3, "temperature": 0.3, "top_p": 0.9, "max_tokens": 9},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_a_completion_is_that_of_our_own_route(
    api: openai.OpenAI, openai_service: Service, options: dict
) -> None:
    expected = generate(openai_service.client, **options)
    answer = api.completions.create(**{"model": "verse"} | options)
    assert answer.object == "text_completion"
    assert answer.model == expected["model"]
    assert answer.unrolled == {"seed": expected["seed"]}
    assert answer.usage.model_dump(exclude_none=True) == expected["usage"]
    for choice, text in zip(answer.choices, expected["choices"], strict=True):
        assert choice.text == text["text"]
        assert choice.index == text["index"]
        assert choice.finish_reason == text["finish_reason"]
        assert choice.unrolled["logprob"] == pytest.approx(text["logprob"])
        if "logprobs" in options:
            assert choice.logprobs.tokens == text["logprobs"]["tokens"]
            assert choice.logprobs.text_offset == text["logprobs"]["text_offset"]
            assert (choice.logprobs.top_logprobs is None) == (options["logprobs"] == 0)
            assert math.fsum(choice.logprobs.token_logprobs) == pytest.approx(text["logprob"])
        else:
            assert choice.logprobs is None


@pytest.mark.parametrize("options", OPTIONS)
def test_a_stream_says_the_same(api: openai.OpenAI, options: dict) -> None:
    request = {"model": "verse"} | options
    whole = api.completions.create(**request)
    usage = {"stream_options": {"include_usage": True}}
    *chunks, last = api.completions.create(**request, stream=True, **usage)
    assert last.choices == []
    assert last.usage == whole.usage
    assert all(chunk.usage is None for chunk in chunks)
    for choice in whole.choices:
        parts = [c for chunk in chunks for c in chunk.choices if c.index == choice.index]
        assert "".join(part.text for part in parts) == choice.text
        assert [part.finish_reason for part in parts[:-1]] == [None] * (len(parts) - 1)
        assert parts[-1].finish_reason == choice.finish_reason
    without = list(api.completions.create(**request, stream=True))
    assert all(chunk.choices for chunk in without)


def test_a_list_of_one_prompt_and_what_is_of_no_use(
    api: openai.OpenAI, openai_service: Service
) -> None:
    answer = api.completions.create(
        model="verse",
        prompt=["Twin"],
        seed=5,
        best_of=1,
        presence_penalty=0,
        logit_bias={},
        suffix=None,
        user="me",
        logprobs=None,
        extra_body={"n": None, "echo": None, "top_k": 1},
    )
    expected = generate(openai_service.client, prompt="Twin", seed=5, top_k=1)
    assert answer.choices[0].text == expected["choices"][0]["text"]


def test_a_seed_is_drawn_and_returned(api: openai.OpenAI) -> None:
    first = api.completions.create(model="verse", prompt="Twin")
    again = api.completions.create(model="verse", prompt="Twin", seed=first.unrolled["seed"])
    assert again.choices == first.choices


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"prompt": ["a", "b"]}, "one text, or a list of one"),
        ({"prompt": [1, 2]}, "tokens are not read"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 5001}, "5001 are too many"),
        ({"n": 17}, "n: "),
        ({"logprobs": 6}, "logprobs"),
        ({"stop": ["a"] * 5}, "stop"),
    ],
)
def test_bad_options(api: openai.OpenAI, options: dict, says: str) -> None:
    with pytest.raises(openai.BadRequestError, match=says):
        api.completions.create(**{"model": "verse", "prompt": "Twin"} | options)


def test_a_prompt_that_is_too_long(api: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError, match="5,001 characters are too many") as raised:
        api.completions.create(model="verse", prompt="a" * 5001)
    assert raised.value.status_code == 413
