"""Self-critical sequence training: raise the reward of the captions that the network draws.

Rennie et al. 2017, "Self-critical Sequence Training for Image Captioning", with the baseline of
Luo 2020, "A Better Variant of Self-Critical Sequence Training".
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from model.data.batches import CaptionBatch
from model.networks.caption_network import CaptionNetwork
from model.networks.decoder import Decoder
from model.training.captioner.loss import CaptionLoss
from model.training.recipe import SelfCriticalConfig
from model.training.task import Losses, Mean
from model.vocabulary import Vocabulary

__all__ = ["SelfCriticalLoss", "advantages", "draw_captions"]

# (captions of each picture as ids, sentences about each picture, and about others that look like
# it) -> a reward for each caption
Rewards = Callable[
    [Sequence[Sequence[Sequence[int]]], Sequence[Sequence[str]], Sequence[Sequence[str]]],
    list[list[float]],
]


class SelfCriticalLoss(CaptionLoss):
    """REINFORCE (Williams 1992) over captions that the decoder draws, plus the cross-entropy.

    Captions are drawn, and learned, from softmax(logits / temperature). At a temperature of 1, most
    captions drawn after cross-entropy with label smoothing are much worse than those that a search
    finds, and rewards first teach the network to be sharper; below 1, good captions are compared
    from the start.

    Several captions are drawn for each picture, and the log-probability of each is raised by how
    much its reward is above that of the picture's others (`advantages`).

    Captions are drawn without dropout, by the network as it is used. Only without dropout is the
    loss's gradient that of their expected reward (set `decoder.dropout` to 0); with dropout it is
    the gradient of another network than the one that drew. It then still makes better captions
    likelier and worse ones less likely, because a picture's advantages sum to 0.

    A picture's weight is the number of sentences about it, so that each sentence of the data
    counts once, as in cross-entropy: resemblance to a single sentence is a noisy reward, and a
    large one if that sentence is learned by heart.

    The word detector is not trained: it was trained on the pictures that captions are drawn for,
    and the network would only come to trust it more than it deserves on others.

    Args:
        network: is trained.
        label_smoothing: of the cross-entropy.
        settings: how many captions are drawn, and the cross-entropy's share.
        rewards: rewards captions.
        max_words: in a drawn caption; one that has not ended by then stays without an end.
    """

    def __init__(
        self,
        network: CaptionNetwork,
        label_smoothing: float,
        *,
        settings: SelfCriticalConfig,
        rewards: Rewards,
        max_words: int,
    ) -> None:
        super().__init__(network, label_smoothing)
        self.settings = settings
        self.rewards = rewards
        self.max_words = max_words
        if network.decoder.detector:
            network.decoder.detector.requires_grad_(False)

    def forward(self, pictures: Tensor, captions: CaptionBatch, sampling: float) -> Losses:
        """Compute -advantage * log-probability of the drawn captions, the mean over their tokens.

        With a `cross_entropy_share` s this is weighted by 1 - s, and the cross-entropy of
        `captions` by s. Watched are the mean `reward` of a drawn caption, its `length` in tokens,
        the share of them that are `finished`, and the cross-entropy as `loss` if it has a share.
        """
        grid, share = self.grid(pictures), self.settings.cross_entropy_share
        drawn = self._draw(grid)
        reads = (drawn != Vocabulary.pad_id) & captions.pictures[:, None, None]
        rewards = self._reward(drawn, captions)  # (pictures, samples)
        references = rewards.new_tensor([len(texts) for texts in captions.texts])
        gains = advantages(rewards) * references[:, None]

        inputs = nn.functional.pad(drawn[..., :-1], (1, 0), value=Vocabulary.start_id)
        logits = _mask_never_written(self.network.decoder(grid, inputs, reads).float())
        logits = logits / self.settings.temperature
        losses = nn.functional.cross_entropy(logits, drawn[reads], reduction="none")
        picture, sample = reads.nonzero()[:, :2].unbind(1)  # of each token
        total = (losses * gains[picture, sample]).sum()
        terms = [Mean((1 - share) * total, references[picture].sum())]

        count = captions.pictures.sum() * self.settings.samples
        finished = (drawn == Vocabulary.end_id) & reads
        watched = {
            "reward": Mean(rewards[captions.pictures].sum(), count),
            "length": Mean(reads.sum(), count),
            "finished": Mean(finished.sum(), count),
        }
        if share > 0:
            tokens = self.cross_entropy(grid, captions, sampling)
            terms.append(Mean(share * tokens.total, tokens.weight))
            watched["loss"] = tokens.detached()
        return Losses(tuple(terms), watched)

    def _draw(self, grid: Tensor) -> Tensor:
        decoder, training = self.network.decoder, self.network.decoder.training
        decoder.eval()
        drawn = draw_captions(
            decoder,
            grid,
            self.settings.samples,
            self.max_words,
            temperature=self.settings.temperature,
        )
        decoder.train(training)
        return drawn

    def _reward(self, drawn: Tensor, captions: CaptionBatch) -> Tensor:
        lengths = (drawn != Vocabulary.pad_id).sum(-1).tolist()
        ids = [
            [row[:length] for row, length in zip(rows, ends, strict=True)]
            for rows, ends in zip(drawn.tolist(), lengths, strict=True)
        ]
        return torch.tensor(
            self.rewards(ids, captions.texts, captions.lookalikes), device=drawn.device
        )


@torch.no_grad()
def draw_captions(
    decoder: Decoder, grid: Tensor, samples: int, max_words: int, *, temperature: float = 1.0
) -> Tensor:
    """Draw captions word by word from the decoder's own distribution.

    Start, padding and unknown tokens are never drawn.

    Args:
        decoder: in training or evaluation mode, as captions are to be drawn.
        grid: of the pictures (pictures, rows, columns, channels).
        samples: captions to draw for each picture.
        max_words: one more token is drawn after these, so that the caption can end.
        temperature: divides the logits; below 1 likely words come more often.

    Returns:
        ids, padded after the end token (pictures, samples, steps).
    """
    context = decoder.encode_context(grid)
    state = tuple(part[:, None].expand(-1, samples, -1) for part in context.start)
    tokens = torch.full((len(grid), samples), Vocabulary.start_id, device=grid.device)
    ended = torch.zeros_like(tokens, dtype=torch.bool)
    steps: list[Tensor] = []
    for _ in range(max_words + 1):
        logprobs, state, _ = decoder.step(tokens, state, context)  # (pictures, samples, vocabulary)
        tokens = _draw(_mask_never_written(logprobs) / temperature).masked_fill(
            ended, Vocabulary.pad_id
        )
        steps.append(tokens)
        ended |= tokens == Vocabulary.end_id
        if ended.all():
            break
    return torch.stack(steps, dim=2)


def advantages(rewards: Tensor) -> Tensor:
    """Compare each reward with the mean of its picture's others (Luo 2020).

    Args:
        rewards: (pictures, samples), two samples or more.

    Returns:
        The differences, which sum to 0 for each picture; same shape.
    """
    samples = rewards.shape[1]
    return (rewards - rewards.mean(1, keepdim=True)) * samples / (samples - 1)


def _draw(logprobs: Tensor) -> Tensor:
    """Draw a token from each row, (..., vocabulary) -> (...), by inverse transform sampling.

    The probabilities need not sum to 1.
    """
    cumulative = logprobs.exp().cumsum(-1)
    numbers = torch.rand_like(cumulative[..., -1:]) * cumulative[..., -1:]
    drawn = torch.searchsorted(cumulative, numbers, right=True)[..., 0]
    return drawn.clamp(max=logprobs.shape[-1] - 1)  # the number may round up to the sum


def _mask_never_written(scores: Tensor) -> Tensor:
    """Set the scores of tokens that are never written to minus infinity: (..., vocabulary)."""
    never = torch.tensor(Vocabulary.never_written, device=scores.device)
    return scores.index_fill(-1, never, -torch.inf)
