"""Generation, scores, search and activations against direct use of the network."""

import itertools
import math
import random
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

import model.text.prefill
from model.bundle.format import BundleError
from model.config import SamplingConfig
from model.text.deltas import TextDelta
from model.text.language_model import LanguageModel
from model.text.request import GenerationRequest
from model.text.scores import TextScore, TextToken
from model.vocabulary import Vocabulary
from tests.tiny import VERSE, WORDS, save_tiny_language_model, tiny_language_model

SPECIAL = {"<PAD>", "<START>", "<END>", "<UNK>"}
NETWORKS = [
    {},
    {"cell": "gru", "layers": 2},
    {"cell": "mut1", "embedding_size": 6},
    {"cell": "rnn", "embedding_size": 6, "tie_output": True, "layers": 3},
]
PROMPTS = [
    *("", "star", "Größe — “naïve”…", "a\tb\r\nc", "日本語", "🙂👩‍👩‍👧‍👦🏳️‍🌈", "e\u0301\u0323" * 40),
    *("\x00", "a\x00b", "\ud800", "\udfff\ud800x", "\U0010ffff", "\u202eשלם\u200f عالم", "\ufeff"),
    *("<START><END><PAD>", " ", "\n\n", "Twinkle " * 300, "ß" * 2000, "İSTANBUL ﬁ ǆ", "\u0301"),
]


@pytest.fixture(scope="module")
def language_model() -> LanguageModel:
    return tiny_language_model()


@pytest.fixture(scope="module")
def ending() -> LanguageModel:
    """A model whose texts end by themselves."""
    return tiny_language_model(seed=1, text="abcd", ends=True)


def text_of(deltas: list[TextDelta], index: int = 0) -> str:
    return "".join(delta.text for delta in deltas if delta.index == index)


def tokens_of(deltas: list[TextDelta], index: int = 0) -> list[str]:
    return [d.token for d in deltas if d.index == index and d.token is not None]


def logprobs_after(language_model: LanguageModel, tokens: list[int]) -> Tensor:
    """The log-probabilities after each token, in one pass: (tokens, vocabulary)."""
    with torch.no_grad():
        logits, _ = language_model.network(
            torch.tensor([tokens]), language_model.network.initial_state(1)
        )
    return logits[0].log_softmax(-1)


def favour(language_model: LanguageModel, *ids: int) -> LanguageModel:
    """Make tokens by far the likeliest, always."""
    with torch.no_grad():
        language_model.network.to_word.bias[list(ids)] += 50
    return language_model


# Generation


@pytest.mark.parametrize("network", NETWORKS, ids=str)
@pytest.mark.parametrize("prompt", ["", "How I "])
def test_generated_logprobs_are_those_of_score(network, prompt):
    language_model = tiny_language_model(**network)
    options = {"temperature": 0.6, "top_k": 7, "top_p": 0.9, "no_repeat_ngram_size": 3}
    deltas = list(language_model.generate(prompt, seed=4, max_tokens=30, **options))
    score = language_model.score(prompt + text_of(deltas)).tokens[len(prompt) :]
    assert [token.token for token in score] == tokens_of(deltas)
    # The model's own, before temperature and filters.
    assert [delta.logprob for delta in deltas[:-1]] == pytest.approx(
        [token.logprob for token in score], abs=1e-5
    )
    assert deltas[-1] == TextDelta(0, "", finish_reason="length")
    assert len(deltas) == 31


def test_temperature_0_takes_the_likeliest_token(language_model):
    deltas = list(language_model.generate("Tw", temperature=0, max_tokens=25))
    read = [language_model.vocabulary.start_id, *language_model.encode("Tw")]
    allowed = [
        i for i, token in enumerate(language_model.vocabulary.tokens) if token not in SPECIAL
    ]
    for token in tokens_of(deltas):
        logprobs = logprobs_after(language_model, read)[-1]
        expected = max(allowed, key=lambda i: float(logprobs[i]))
        assert language_model.vocabulary.tokens[expected] == token
        read.append(expected)


def test_the_same_seed_gives_the_same_text(language_model):
    one, two = (list(language_model.generate("star", seed=9)) for _ in range(2))
    assert one == two
    texts = {text_of(list(language_model.generate("star", seed=seed))) for seed in range(5)}
    assert len(texts) == 5


@pytest.mark.parametrize("network", NETWORKS, ids=str)
@pytest.mark.parametrize("seed", [0, -3, 2**63 - 2])
def test_text_i_is_drawn_with_seed_plus_i_however_many_there_are(network, seed):
    language_model = tiny_language_model(**network)
    options = {
        "no_repeat_ngram_size": 3,
        "top_logprobs": 2,
        "stop": ["e", "ar"],
        "temperature": 0.9,
    }
    together = list(language_model.generate("How", n=5, seed=seed, **options))
    for i in range(5):
        alone = list(language_model.generate("How", seed=seed + i, **options))
        beside = [delta for delta in together if delta.index == i]
        assert [(p.text, p.token, p.finish_reason) for p in alone] == [
            (p.text, p.token, p.finish_reason) for p in beside
        ]
        for one, other in zip(alone, beside, strict=True):
            assert one.logprob == pytest.approx(other.logprob, abs=1e-5)


def test_the_last_delta_of_each_text_says_why_it_ended(ending):
    deltas = list(ending.generate(n=8, max_tokens=6, stop=["cc"], temperature=1.5))
    reasons = set()
    for i in range(8):
        own = [delta for delta in deltas if delta.index == i]
        assert all(delta.finish_reason is None for delta in own[:-1])
        reasons.add(own[-1].finish_reason)
    assert reasons == {"stop", "length"}


def test_the_end_token_ends_a_text_and_counts(ending):
    finished = 0
    for seed in range(20):
        deltas = list(ending.generate(seed=seed, max_tokens=12))
        if tokens_of(deltas)[-1] == "<END>":
            finished += 1
            assert (deltas[-1].text, deltas[-1].finish_reason) == ("", "stop")
            score = ending.score(text_of(deltas))
            assert [t.token for t in score.tokens] == tokens_of(deltas)
            assert score.logprob == pytest.approx(sum(p.logprob for p in deltas), abs=1e-5)
        else:
            assert deltas[-1] == TextDelta(0, "", finish_reason="length")
            assert len(tokens_of(deltas)) == 12
        assert "<END>" not in tokens_of(deltas)[:-1]
    assert 5 < finished < 20


def test_the_end_token_releases_what_was_held_for_a_stop_string():
    language_model = favour(tiny_language_model(text="ab", ends=True), Vocabulary.end_id)
    with torch.no_grad():
        language_model.network.to_word.bias[4] += 50  # "a" as likely as the end
    free = [list(language_model.generate(seed=seed)) for seed in range(10)]
    assert len({text_of(deltas) for deltas in free}) > 2
    for seed in range(10):  # the stop string never comes, and always seems to
        assert list(language_model.generate(seed=seed, stop=["aaaaaaaaab"])) == free[seed]


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_special_tokens_are_never_generated_however_likely(ends, temperature):
    language_model = favour(tiny_language_model(ends=ends), *((0, 1, 3) if ends else range(4)))
    deltas = list(
        language_model.generate(n=5, max_tokens=15, temperature=temperature, top_k=2, top_p=0.5)
    )
    assert {delta.token for delta in deltas} & SPECIAL <= ({"<END>"} if ends else set())
    assert all(delta.logprob < -30 for delta in deltas if delta.token)
    for text, found in language_model.search("How", beam_size=4, num_captions=4, max_length=5):
        names = [language_model.vocabulary.tokens[i] for i in found.tokens]
        assert set(names[:-1]).isdisjoint(SPECIAL)
        assert names[-1] not in SPECIAL - ({"<END>"} if ends else set())
        assert text == "".join(name for name in names if name != "<END>")


def test_a_stop_string_ends_the_text_and_is_left_out(language_model):
    whole = text_of(list(language_model.generate(seed=2, max_tokens=60)))
    for start, length in itertools.product((0, 7, 30), (1, 2, 4)):
        stop = whole[start : start + length]
        deltas = list(language_model.generate(seed=2, max_tokens=60, stop=["never there", stop]))
        assert text_of(deltas) == whole[: whole.index(stop)]
        assert deltas[-1] == TextDelta(0, "", finish_reason="stop")
        assert tokens_of(deltas) == list(text_of(deltas))


def test_a_stop_string_in_the_prompt_is_ignored(language_model):
    free = list(language_model.generate("star", seed=1, max_tokens=5))
    assert list(language_model.generate("star", seed=1, max_tokens=5, stop=["star"])) == free


@pytest.mark.parametrize("count", [1, 2, 17])
def test_max_tokens_limits_the_length(language_model, count):
    assert len(tokens_of(list(language_model.generate(max_tokens=count)))) == count


def test_a_bundles_sampling_is_the_default():
    language_model = tiny_language_model(
        sampling=SamplingConfig(max_tokens=9, temperature=0, top_k=3)
    )
    assert len(tokens_of(list(language_model.generate()))) == 9
    assert list(language_model.generate(seed=1)) == list(language_model.generate(seed=2))
    warm = {text_of(list(language_model.generate(seed=seed, temperature=1.0))) for seed in range(4)}
    assert len(warm) > 1


def test_top_logprobs_are_the_likeliest_tokens(language_model):
    deltas = list(language_model.generate("H", seed=3, top_logprobs=4, max_tokens=6))
    read = [language_model.vocabulary.start_id, *language_model.encode("H" + text_of(deltas))]
    for delta, logprobs in zip(deltas, logprobs_after(language_model, read)[1:], strict=False):
        if delta.token is None:
            continue
        values, ids = logprobs.topk(4)
        assert [name for name, _ in delta.top] == [language_model.vocabulary.tokens[i] for i in ids]
        assert [value for _, value in delta.top] == pytest.approx(values.tolist(), abs=1e-5)
    (delta, _) = language_model.generate(top_logprobs=1000, max_tokens=1)
    assert len(delta.top) == len(language_model.vocabulary)
    assert sum(math.exp(value) for _, value in delta.top) == pytest.approx(1)
    assert next(iter(language_model.generate())).top is None


def test_no_ngram_comes_twice_the_prompt_included(language_model):
    text = "How I " + text_of(
        list(language_model.generate("How I ", temperature=0, no_repeat_ngram_size=2))
    )
    grams = [a + b for a, b in pairwise(text)]
    assert len(set(grams)) == len(grams)
    for seed in range(5):
        other = text_of(
            list(
                language_model.generate("Twinkle", seed=seed, no_repeat_ngram_size=1, max_tokens=6)
            )
        )
        assert set(other).isdisjoint("Twinkle")
    free = text_of(list(language_model.generate("How I ", temperature=0)))
    assert len({a + b for a, b in pairwise(free)}) < len(free) - 1  # else this proves nothing


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": 0}, "n must be at least 1, not 0"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 10_001}, "max_tokens"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": math.nan}, "temperature"),
        ({"top_k": -1}, "top_k"),
        ({"top_p": 0.0}, "top_p"),
        ({"top_p": 1.1}, "top_p"),
        ({"no_repeat_ngram_size": -1}, "no_repeat_ngram_size"),
        ({"surprise": 1}, "unknown option 'surprise': choose from max_tokens, temperature"),
    ],
)
def test_invalid_options_are_refused_at_once(language_model, options, message):
    with pytest.raises(ValueError, match=message):
        language_model.generate(**options)  # before the first delta is asked for


def test_generation_may_be_abandoned(language_model):
    whole = list(language_model.generate("How", seed=5))
    deltas = language_model.generate("How", seed=5)
    taken = [next(deltas), next(deltas)]
    assert taken == whole[:2]
    assert not torch.is_inference_mode_enabled()
    deltas.close()
    assert not torch.is_inference_mode_enabled()
    assert list(deltas) == []
    assert list(language_model.generate("How", seed=5)) == whole
    torch.ones(1, requires_grad=True).sum().backward()


def test_interleaved_texts_are_those_generated_alone(language_model):
    alone = [list(language_model.generate("How", seed=seed)) for seed in (1, 2)]
    by_turns = zip(*(language_model.generate("How", seed=seed) for seed in (1, 2)), strict=True)
    assert [list(deltas) for deltas in zip(*by_turns, strict=True)] == alone


def test_generation_leaves_the_global_random_state_alone(language_model):
    before = torch.get_rng_state()
    list(language_model.generate(n=3))
    assert torch.equal(torch.get_rng_state(), before)


# Words


def test_words_come_with_their_spaces():
    language_model = tiny_language_model(text=" ".join(WORDS), level="word")
    for prompt in ("", "a dog", "A dog, ", "a dog\n", "...", "(", " "):
        text = text_of(list(language_model.generate(prompt, seed=1, max_tokens=7)))
        assert text.startswith(" ") == bool(prompt.strip() and prompt == prompt.rstrip())
        assert "  " not in prompt.strip() + text.lstrip() + "."
        assert len(text.split()) == 7
        assert language_model.encode(prompt + text) == language_model.encode(
            prompt
        ) + language_model.encode(text)


def test_words_are_scored_as_they_are_generated():
    language_model = tiny_language_model(
        text=" ".join(WORDS), level="word", ends=True, embedding_size=8
    )
    for seed in range(6):
        deltas = list(language_model.generate("a dog", seed=seed, max_tokens=40))
        if deltas[-1].token == "<END>":
            score = language_model.score("A Dog" + text_of(deltas))
            assert [t.token for t in score.tokens[2:]] == tokens_of(deltas)
            assert [t.logprob for t in score.tokens[2:]] == pytest.approx(
                [delta.logprob for delta in deltas], abs=1e-5
            )


def test_a_stop_string_of_words_ends_the_text():
    language_model = tiny_language_model(text=" ".join(WORDS), level="word")
    whole = text_of(list(language_model.generate(seed=3)))
    third = whole.split()[2]
    stopped = text_of(list(language_model.generate(seed=3, stop=[f" {third}"])))
    assert stopped == whole[: whole.index(f" {third}")]


# Any prompt


@pytest.mark.parametrize("beginning", ["", "star,\n"])
def test_without_a_prompt_a_text_starts_after_the_beginning(language_model, beginning):
    config = replace(language_model.config, beginning=beginning)
    beginner = LanguageModel(language_model.runner, config, language_model.vocabulary)
    for prompt in ("", "How"):
        deltas = list(beginner.generate(prompt, seed=4))
        assert deltas == list(language_model.generate(prompt or beginning, seed=4))
        found = beginner.search(prompt, max_length=4)
        assert found == language_model.search(prompt or beginning, max_length=4)
    assert beginner.score("Tw") == language_model.score("Tw")


@pytest.mark.parametrize("level", ["character", "word"])
@pytest.mark.parametrize("prompt", PROMPTS, ids=lambda prompt: ascii(prompt[:9]))
def test_any_prompt_is_accepted(level, prompt):
    language_model = tiny_language_model(level=level)
    assert len(tokens_of(list(language_model.generate(prompt, max_tokens=3, n=2)))) == 3
    score = language_model.score(prompt)
    assert score.characters == len(prompt)
    assert score.logprob <= 0
    assert math.isfinite(score.perplexity)
    assert len(language_model.activations(prompt).values) == len(score.tokens)
    ((text, found),) = language_model.search(prompt, max_length=3)
    assert len(found.tokens) == 3
    assert text


def test_any_unicode_characters_are_accepted(language_model):
    numbers = random.Random(0)
    for _ in range(50):
        prompt = "".join(chr(numbers.randrange(0x110000)) for _ in range(numbers.randrange(1, 30)))
        assert len(tokens_of(list(language_model.generate(prompt, max_tokens=1)))) == 1


def test_characters_are_read_as_their_nearest(language_model):
    assert (
        language_model.score("Hów Ì “wond\u0301er”").tokens
        == language_model.score('How I "wonder"').tokens
    )
    assert language_model.score("I \U0001f642").tokens[2].token == "<UNK>"


# Scores


@pytest.mark.parametrize("network", NETWORKS, ids=str)
@pytest.mark.parametrize("ends", [False, True])
def test_a_score_is_that_of_the_network(network, ends):
    language_model = tiny_language_model(ends=ends, **network)
    text = "wonder what"
    tokens = language_model.encode(text) + ([language_model.vocabulary.end_id] if ends else [])
    expected = logprobs_after(language_model, [language_model.vocabulary.start_id, *tokens])
    score = language_model.score(text)
    assert [t.token for t in score.tokens] == list(text) + (["<END>"] if ends else [])
    assert [t.logprob for t in score.tokens] == pytest.approx(
        [float(row[token]) for row, token in zip(expected, tokens, strict=False)], abs=1e-5
    )
    assert score.characters == len(text)


def test_perplexity_and_bits_per_character_follow_their_definitions():
    halves = TextScore(tuple(TextToken("x", math.log(p)) for p in (0.5, 0.25, 0.125)), 6)
    assert halves.logprob == pytest.approx(-6 * math.log(2))
    assert halves.perplexity == pytest.approx(4)
    assert halves.bits_per_character == pytest.approx(1)
    assert TextScore((TextToken("x", -1e9),), 1).perplexity == pytest.approx(math.exp(700))


def test_an_empty_text_has_a_score_and_activations(language_model, ending):
    empty = language_model.score("")
    assert (empty.tokens, empty.characters, empty.logprob) == ((), 0, 0.0)
    assert empty.perplexity == 1.0
    assert math.copysign(1, empty.bits_per_character) == 1.0  # not -0.0
    assert [token.token for token in ending.score("").tokens] == ["<END>"]
    activations = language_model.activations("")
    assert activations.values.shape == (0, 12)
    assert len(activations.units) == 12


def test_probabilities_of_all_texts_sum_to_one():
    language_model = tiny_language_model(text="abcd", ends=True)
    with torch.no_grad():
        language_model.network.to_word.bias[[0, 1, 3]] = -1e4  # never generated, so they need none
    texts = ["".join(t) for n in range(4) for t in itertools.product("abcd", repeat=n)]
    ended = math.fsum(math.exp(language_model.score(text).logprob) for text in texts)
    longer = math.fsum(
        math.exp(float(language_model.logprobs(language_model.encode(text + letter)).sum()))
        for text in texts[-64:]
        for letter in "abcd"
    )
    assert ended + longer == pytest.approx(1, abs=1e-5)


# Long texts


def test_reading_a_long_text_in_chunks_changes_nothing():
    language_model = tiny_language_model(layers=2)
    text = (VERSE * 30)[:1500]
    lengths: list[int] = []
    language_model.network.recurrent.register_forward_pre_hook(
        lambda _, inputs: lengths.append(inputs[0].shape[1])
    )
    score = language_model.score(text)
    assert lengths == [512, 512, 476]
    assert len(list(language_model.score_incrementally(text))) == 3
    assert len(list(language_model.activations_incrementally(text))) == 24
    lengths.clear()
    sampling = language_model.config.sampling.merge(max_tokens=3)
    generation = language_model.start(GenerationRequest(text, sampling))
    for read in (1, 2, 3):  # others may be served between two chunks
        generation.advance()
        assert not generation.has_deltas
        assert len(lengths) == read
    assert lengths == [512, 512, 476]  # the last character is read by the first step of generation
    tokens = language_model.encode(text)
    whole = logprobs_after(language_model, [language_model.vocabulary.start_id, *tokens])[:-1]
    expected = whole.gather(1, torch.tensor(tokens)[:, None])[:, 0]
    assert [t.logprob for t in score.tokens] == pytest.approx(expected.tolist(), abs=1e-4)


@pytest.mark.parametrize("chunk", [1, 3, 10, 11, 12])
def test_chunks_of_any_length_give_the_same(monkeypatch, chunk):
    text = "How I wonde"
    language_model = tiny_language_model(layers=2, cell="gru")

    def everything():
        return (
            [token.logprob for token in language_model.score(text).tokens],
            [delta.logprob for delta in language_model.generate(text, seed=1) if delta.token],
            list(language_model.search(text, max_length=4)[0][1].logprobs),
            language_model.activations(text).values.flatten().tolist(),
        )

    whole = everything()
    for name in ("_CHUNK", "_STEPS"):
        monkeypatch.setattr(model.text.prefill, name, chunk)
    for part, expected in zip(everything(), whole, strict=True):
        assert part == pytest.approx(expected, abs=1e-5)


# Search


def enumerate_all(language_model: LanguageModel, prompt: str, longest: int) -> dict[str, float]:
    """The log-probability of every text that continues a prompt and ends."""
    letters = [t for t in language_model.vocabulary.tokens if t not in SPECIAL]
    read = len(language_model.encode(prompt))
    texts = (
        "".join(text)
        for length in range(longest)
        for text in itertools.product(letters, repeat=length)
    )
    return {
        text: math.fsum(t.logprob for t in language_model.score(prompt + text).tokens[read:])
        for text in texts
    }


@pytest.mark.parametrize(
    "network", [{}, {"cell": "gru", "layers": 2, "embedding_size": 5}], ids=str
)
@pytest.mark.parametrize("prompt", ["", "ba"])
@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_a_wide_beam_finds_what_enumeration_finds(network, prompt, penalty):
    language_model = tiny_language_model(seed=5, text="abc", ends=True, **network)
    truth = enumerate_all(language_model, prompt, longest=3)
    best = sorted(truth, key=lambda text: -truth[text] / (len(text) + 1) ** penalty)
    found = language_model.search(
        prompt, beam_size=9, num_captions=9, max_length=3, length_penalty=penalty
    )
    assert [text for text, _ in found] == best[:9]
    for text, hypothesis in found:
        assert hypothesis.finished
        assert hypothesis.logprob == pytest.approx(truth[text], abs=1e-5)
        assert len(hypothesis.tokens) == len(text) + 1


@pytest.mark.parametrize("network", NETWORKS, ids=str)
@pytest.mark.parametrize("prompt", ["", "star"])
def test_a_beam_of_one_is_greedy(network, prompt):
    language_model = tiny_language_model(seed=2, **network)
    ((text, found),) = language_model.search(prompt, beam_size=1, max_length=15)
    deltas = list(language_model.generate(prompt, temperature=0, max_tokens=15))
    assert text == text_of(deltas)
    assert not found.finished
    assert found.logprobs == pytest.approx([p.logprob for p in deltas[:-1]], abs=1e-5)


def test_found_words_are_joined_by_spaces():
    language_model = tiny_language_model(text=" ".join(WORDS), level="word")
    for text, found in language_model.search("a dog", beam_size=3, num_captions=3, max_length=4):
        assert text.split(" ") == [language_model.vocabulary.tokens[i] for i in found.tokens]


def test_options_that_search_does_not_support_are_refused(language_model):
    for option in ("temperature", "consensus", "no_echo_words", "surprise"):
        with pytest.raises(ValueError, match=f"unknown option '{option}': choose from beam_size, "):
            language_model.search("How", **{option: 1})
    with pytest.raises(ValueError, match="beam_size"):
        language_model.search("How", beam_size=11)


def test_no_ngram_of_a_continuation_comes_twice(language_model):
    (free, _), (blocked, _) = (
        language_model.search("How I", max_length=30, no_repeat_ngram_size=size)[0]
        for size in (0, 2)
    )
    assert len(free) == len(blocked) == 30
    bigrams = [list(pairwise(text)) for text in (free, blocked)]
    assert len(set(bigrams[0])) < 29  # else this proves nothing
    assert len(set(bigrams[1])) == 29


# Units


def test_activations_of_an_lstm_are_tanh_of_its_cells():
    language_model = tiny_language_model(layers=2, hidden_size=5)
    weights = {
        name: t.double() for name, t in language_model.network.recurrent.state_dict().items()
    }
    text = "How I wonder"
    h, c = torch.zeros(2, 2, 5).double()
    expected = []
    for token in [language_model.vocabulary.start_id, *language_model.encode(text)]:
        x = torch.eye(len(language_model.vocabulary)).double()[token]
        for layer in range(2):
            gates = weights[f"projections.{layer}.weight"] @ x
            gates = gates + weights[f"projections.{layer}.bias"]
            gates = gates + weights[f"cells.{layer}.recurrent.weight"] @ h[layer]
            i, f, g, o = gates.chunk(4)
            c[layer] = f.sigmoid() * c[layer] + i.sigmoid() * g.tanh()
            h[layer] = x = o.sigmoid() * c[layer].tanh()
        expected.append(c.tanh().flatten().clone())
    found = language_model.activations(text)
    assert found.tokens == tuple(text)
    assert found.values.shape == (12, 10)
    assert found.values.dtype == "float32"
    torch.testing.assert_close(
        torch.from_numpy(found.values).double(), torch.stack(expected[1:]), atol=1e-5, rtol=0
    )
    assert found.units == tuple(f"layer {i} unit {j}" for i in (1, 2) for j in range(5))


@pytest.mark.parametrize("network", NETWORKS[1:], ids=str)
def test_activations_of_other_cells_are_their_hidden_states(network):
    language_model = tiny_language_model(**network)
    text = "twinkle"
    state, expected = language_model.network.initial_state(1), []
    with torch.no_grad():
        for token in [language_model.vocabulary.start_id, *language_model.encode(text)]:
            _, state = language_model.network.step(torch.tensor([token]), state)
            expected.append(state[0][:, 0].flatten())  # (layers * hidden,)
    found = language_model.activations(text)
    torch.testing.assert_close(
        torch.from_numpy(found.values), torch.stack(expected[1:]), atol=1e-5, rtol=0
    )
    assert abs(found.values).max() <= 1


# Bundles


def test_a_shipped_model_is_loaded_by_name_in_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    language_model = LanguageModel.load("shakespeare", device="cpu")
    assert language_model.config.name == "shakespeare"
    with pytest.raises(ValueError, match=r"there is no model 'shakespear' in .*'shakespeare'"):
        LanguageModel.load("shakespear", device="cpu")


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_a_loaded_model_generates_what_the_saved_one_does(tmp_path, network):
    language_model = tiny_language_model(seed=3, **network)
    with torch.no_grad():  # matrices are kept in half precision
        for parameter in language_model.network.parameters():
            parameter.copy_(parameter.half() if parameter.ndim > 1 else parameter)
    folder = save_tiny_language_model(tmp_path / "tiny", seed=3, **network)
    loaded = LanguageModel.load(folder, device="cpu")
    assert list(loaded.generate("How", n=2, seed=1)) == list(
        language_model.generate("How", n=2, seed=1)
    )
    assert loaded.score(VERSE) == language_model.score(VERSE)
    assert not any(module.training for module in loaded.network.modules())
    assert loaded.card == language_model.card
    assert loaded.config.network == language_model.config.network


def test_an_unknown_device_is_refused(tmp_path):
    folder = save_tiny_language_model(tmp_path / "tiny")
    with pytest.raises(ValueError, match="must be auto, cpu, cuda or mps"):
        LanguageModel.load(folder, device="toaster")


def test_a_model_without_tokens_is_refused(tmp_path):
    folder = save_tiny_language_model(tmp_path / "tiny", text="")
    with pytest.raises(BundleError, match="its vocabulary has no token to write with"):
        LanguageModel.load(folder, device="cpu")


def test_a_text_must_be_a_string():
    with pytest.raises(TypeError, match="a text must be a string, not NoneType"):
        tiny_language_model().score(None)
