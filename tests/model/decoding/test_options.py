import pytest

from model.config import DecodingConfig, SamplingConfig
from model.decoding.options import resolve_decoding, resolve_sampling

DEFAULTS = DecodingConfig(beam_size=3, num_captions=2, no_repeat_ngram_size=3)


def test_nothing_asked_is_the_default() -> None:
    assert resolve_decoding(DEFAULTS, beam_size=None, max_length=None) == DEFAULTS


def test_what_is_asked_wins() -> None:
    chosen = resolve_decoding(DEFAULTS, beam_size=5, num_captions=5, length_penalty=0.0)
    assert chosen == DecodingConfig(beam_size=5, num_captions=5, no_repeat_ngram_size=3)


def test_a_smaller_beam_holds_fewer_captions_than_the_default() -> None:
    assert resolve_decoding(DEFAULTS, beam_size=1).num_captions == 1


def test_more_captions_than_the_beam_holds_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at most beam_size \(3\).*ask for beam_size 4"):
        resolve_decoding(DEFAULTS, num_captions=4)


def test_how_to_draw() -> None:
    defaults = SamplingConfig(max_tokens=300, temperature=0.7)
    assert resolve_sampling(defaults, temperature=None, most_tokens=300) == defaults
    chosen = resolve_sampling(defaults, temperature=0.0, max_tokens=10, most_tokens=10)
    assert chosen == SamplingConfig(max_tokens=10, temperature=0.0)


def test_a_default_length_gives_way_to_the_greatest() -> None:
    defaults = SamplingConfig(max_tokens=300)
    assert resolve_sampling(defaults, most_tokens=200).max_tokens == 200
    with pytest.raises(ValueError, match="201 are too many: at most 200"):
        resolve_sampling(defaults, max_tokens=201, most_tokens=200)


def test_numbers_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="top_p"):
        resolve_sampling(SamplingConfig(), top_p=0.0)
