"""What a request to a language model asks for; importing this loads no PyTorch."""

from dataclasses import dataclass

from model.config import SamplingConfig

__all__ = ["GenerationRequest"]


@dataclass(frozen=True)
class GenerationRequest:
    """A request for texts that continue a prompt.

    Attributes:
        prompt: what the texts continue; may hold any characters. If it is empty, texts begin as
            those of the corpus do, see `beginning` of `TextConfig`.
        sampling: how tokens are drawn.
        n: how many texts, from 1 on.
        seed: the same one gives the same texts. Text i is drawn with seed + i, and is the same
            however many are generated beside it.
        stop: a text ends before the first of these.
        top_logprobs: how many of the likeliest tokens are reported with each one.
    """

    prompt: str
    sampling: SamplingConfig
    n: int = 1
    seed: int = 0
    stop: tuple[str, ...] = ()
    top_logprobs: int = 0

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"n must be at least 1, not {self.n}")
