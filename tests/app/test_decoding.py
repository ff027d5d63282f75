import pytest

from app.decoding import resolve_decoding
from model.config import DecodingConfig

DEFAULTS = DecodingConfig(beam_size=3, num_captions=2, block_ngram=3)


def test_nothing_asked_is_the_default() -> None:
    assert resolve_decoding(DEFAULTS, beam_size=None, max_length=None) == DEFAULTS


def test_what_is_asked_wins() -> None:
    chosen = resolve_decoding(DEFAULTS, beam_size=5, num_captions=5, length_penalty=0.0)
    assert chosen == DecodingConfig(beam_size=5, num_captions=5, block_ngram=3)


def test_a_smaller_beam_holds_fewer_captions_than_the_default() -> None:
    assert resolve_decoding(DEFAULTS, beam_size=1).num_captions == 1


def test_more_captions_than_the_beam_holds_are_refused() -> None:
    with pytest.raises(ValueError, match=r"at most beam_size \(3\).*ask for beam_size 4"):
        resolve_decoding(DEFAULTS, num_captions=4)
