"""The caption decoders: recurrent networks that write about a picture.

Two decoders share one interface: `AttentionDecoder` looks at the grid for every word,
`GlobalDecoder` sees the picture once, before the first. `model.decoding` searches for the best
caption.

`encode_context` computes, once, all that depends on the picture alone; `step` then takes all rows
of a picture together: the beams of a search, or the captions of a batch in training.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from model.config import DecoderConfig
from model.networks.attention import make_attention
from model.networks.cells import CELLS, Cell, CellState, make_cell
from model.networks.class_names import ClassNames
from model.networks.image_context import ImageContext
from model.networks.word_detector import WordDetector
from model.vocabulary import Vocabulary

__all__ = ["AttentionDecoder", "Decoder", "GlobalDecoder", "make_decoder"]

_ROWS = 256  # scored in multiples of it, see `Decoder.forward`


class Decoder(nn.Module, ABC):
    """A decoder of captions: what both kinds share, embedding, output and word detector.

    Args:
        config: sizes.
        vocabulary_size: number of tokens.
        channels: features in a cell of the encoder's grid.
    """

    from_word: nn.Module  # each decoder sets it, for its own first cell

    def __init__(self, config: DecoderConfig, vocabulary_size: int, channels: int) -> None:
        super().__init__()
        self.config = config
        self.channels = channels
        self.embedding = nn.Embedding(vocabulary_size, config.embedding_size)
        nn.init.normal_(self.embedding.weight, std=config.embedding_size**-0.5)
        self.dropout = nn.Dropout(config.dropout)
        if config.tie_output:
            # Output and embedding share weights (Press and Wolf 2017); `to_word` resizes h.
            self.to_word = nn.Linear(config.hidden_size, config.embedding_size)
            self.output_bias = nn.Parameter(torch.zeros(vocabulary_size))
        else:
            self.to_word = nn.Linear(config.hidden_size, vocabulary_size)
        self.detector: WordDetector | None = None
        if words := min(config.detected_words, vocabulary_size - Vocabulary.unknown_id - 1):
            self.detector = WordDetector(channels, words, config.dropout)
            self.to_trust = nn.Linear(config.hidden_size, 1)
        self.class_names: ClassNames | None = None
        if config.class_names:
            self.class_names = ClassNames(channels, config.classes, config.class_names)

    @abstractmethod
    def encode_context(self, grid: Tensor) -> ImageContext:
        """Compute what depends on the pictures alone.

        Args:
            grid: the encoder's output (batch, rows, columns, channels).
        """

    @abstractmethod
    def advance(
        self, words: Tensor, state: CellState, context: ImageContext
    ) -> tuple[Tensor, CellState, Tensor | None]:
        """Take one step.

        Args:
            words: from `project_words` (batch, beam, width).
            state: each (batch, beam, hidden).
            context: of the batch's pictures.

        Returns:
            The output h (batch, beam, hidden), the next state, and the attention's weights
            (batch, beam, cells) or None.
        """

    def project_words(self, tokens: Tensor) -> Tensor:
        """Embed tokens and project them for the first cell: (...) -> (..., width)."""
        projected: Tensor = self.from_word(self.dropout(self.embedding(tokens)))
        return projected

    def detect(self, grid: Tensor) -> Tensor | None:
        """Detect words in whole pictures: the evidence (batch, vocabulary), or None.

        The detector is trained by its own loss alone. The captions' loss would make it memorise
        the training pictures.
        """
        if self.detector is None:
            return None
        with torch.no_grad():
            evidence = self.detector.spread(self.detector(grid), self.embedding.num_embeddings)
            if self.class_names is None:
                return evidence
            return self.class_names.raise_evidence(grid, evidence)

    def logits(self, output: Tensor, evidence: Tensor | None = None) -> Tensor:
        """Score every word.

        Args:
            output: h (..., hidden)
            evidence: from `detect`, for the same rows (..., vocabulary).

        Returns:
            (..., vocabulary)
        """
        word: Tensor = self.to_word(self.dropout(output))
        if self.config.tie_output:
            word = nn.functional.linear(word, self.embedding.weight, self.output_bias)
        if evidence is None:
            return word
        # Verbs and articles need no evidence from the picture: h decides how much it counts.
        return word + nn.functional.softplus(self.to_trust(output)) * evidence

    def step(
        self, tokens: Tensor, state: CellState, context: ImageContext
    ) -> tuple[Tensor, CellState, Tensor | None]:
        """Read one token per row and return the log-probabilities of the next.

        Args:
            tokens: (batch, beam)
            state: each (batch, beam, hidden)
            context: of the batch's pictures.

        Returns:
            log-probabilities, natural, float32 (batch, beam, vocabulary); the next state; the
            attention's weights or None.
        """
        output, state, weights = self.advance(self.project_words(tokens), state, context)
        evidence = None if context.evidence is None else context.evidence[:, None]
        return self.logits(output, evidence).float().log_softmax(-1), state, weights

    def forward(
        self, grid: Tensor, tokens: Tensor, reads: Tensor, *, sampling: float = 0.0
    ) -> Tensor:
        """Score captions word by word, given the true words before each (teacher forcing).

        Args:
            grid: of the pictures (pictures, rows, columns, channels).
            tokens: captions of each picture, beginning with the start token
                (pictures, captions, steps).
            reads: True where `tokens` is not padding; same shape.
            sampling: the probability of reading a word drawn from the decoder's own last step
                instead of the true one (scheduled sampling, Bengio et al. 2015).

        Returns:
            logits (number of true `reads`, vocabulary), in the order of `tokens[reads]`.
        """
        context = self.encode_context(grid)
        captions = tokens.shape[1]
        state = tuple(part[:, None].expand(-1, captions, -1) for part in context.start)
        words = self.project_words(tokens)  # (pictures, captions, steps, width)
        outputs: list[Tensor] = []
        for word in words.unbind(2):
            if sampling > 0 and outputs:
                word = self._sample(outputs[-1], word, context, sampling)  # noqa: PLW2901
            output, state, _ = self.advance(word, state, context)
            outputs.append(output)
        # Padding is not scored, since the product with the vocabulary is the largest of all. The
        # number of rows is rounded up, since every new shape makes and keeps new kernels.
        rows = torch.stack(outputs, dim=2)[reads]
        padding = -len(rows) % _ROWS
        evidence = context.evidence
        if evidence is not None:  # one row of it for each picture
            evidence = evidence[nn.functional.pad(reads.nonzero()[:, 0], (0, padding))]
        return self.logits(nn.functional.pad(rows, (0, 0, 0, padding)), evidence)[: len(rows)]

    def _sample(
        self, output: Tensor, truth: Tensor, context: ImageContext, chance: float
    ) -> Tensor:
        """Replace some true words by words drawn from the last step's distribution.

        Args:
            output: h of the last step (pictures, captions, hidden).
            truth: the true words, projected (pictures, captions, width).
            context: of the batch's pictures.
            chance: the probability that a word is replaced.
        """
        with torch.no_grad():
            evidence = None if context.evidence is None else context.evidence[:, None]
            probabilities = self.logits(output, evidence).float().softmax(-1)
            drawn = torch.multinomial(probabilities.flatten(0, 1), 1).view(output.shape[:2])
            taken = torch.rand(drawn.shape, device=drawn.device) < chance
        return torch.where(taken[..., None], self.project_words(drawn), truth)


class AttentionDecoder(Decoder):
    """Two cells: one decides where to look, the other what to say (Anderson et al. 2018, 3.2).

    The first reads the last word, the mean of the grid and the second's h; its h is the query of
    soft attention; the second reads the attended values and the first's h. The initial states come
    from the mean of the grid (Xu et al. 2015, section 3.1.2). The papers' cells are LSTMs; here
    they may be any of `model.networks.cells`.
    """

    def __init__(self, config: DecoderConfig, vocabulary_size: int, channels: int) -> None:
        super().__init__(config, vocabulary_size, channels)
        hidden = config.hidden_size
        self.to_values = nn.Linear(channels, hidden)
        self.attention = make_attention(config, hidden, hidden)
        self.num_states = CELLS[config.cell].num_states
        self.initial = nn.Linear(hidden, 2 * self.num_states * hidden)
        self.attention_cell: Cell = make_cell(config.cell, hidden)
        self.from_word = self.attention_cell.input_projection(config.embedding_size)
        self.from_picture = nn.Linear(hidden, self.attention_cell.width, bias=False)
        self.from_language = nn.Linear(hidden, self.attention_cell.width, bias=False)
        self.language_cell: Cell = make_cell(config.cell, hidden)
        self.to_language = self.language_cell.input_projection(2 * hidden)

    def encode_context(self, grid: Tensor) -> ImageContext:
        """Project the grid for attention, and its mean for the first cell and the initial state."""
        cells = grid.flatten(1, 2)  # (batch, cells, channels)
        values = self.dropout(torch.relu(self.to_values(cells)))
        mean = values.mean(1)  # (batch, hidden)
        start = torch.tanh(self.initial(mean).float()).chunk(2 * self.num_states, dim=-1)
        keys, gates = self.attention.keys(values), self.from_picture(mean)
        return ImageContext(gates, keys, values, self.detect(grid), start)

    def advance(
        self, words: Tensor, state: CellState, context: ImageContext
    ) -> tuple[Tensor, CellState, Tensor | None]:
        """Decide where to look, attend, decide what to say."""
        precision = words.dtype  # the state's may be higher
        looking, speaking = state[: self.num_states], state[self.num_states :]
        assert context.gates is not None  # noqa: S101 - set by `encode_context`
        inputs = words + context.gates[:, None] + self.from_language(speaking[0].to(precision))
        looking = self.attention_cell(inputs, looking)
        query = looking[0].to(precision)
        attended, weights = self.attention(query, context.keys, context.values)
        inputs = self.to_language(torch.cat([attended, query], dim=-1))
        speaking = self.language_cell(inputs, speaking)
        return speaking[0].to(precision), (*looking, *speaking), weights


class GlobalDecoder(Decoder):
    """Show and Tell (Vinyals et al. 2015): the pooled picture is read as the first word."""

    def __init__(self, config: DecoderConfig, vocabulary_size: int, channels: int) -> None:
        super().__init__(config, vocabulary_size, channels)
        self.cell: Cell = make_cell(config.cell, config.hidden_size)
        self.from_word = self.cell.input_projection(config.embedding_size)
        self.to_embedding = nn.Linear(channels, config.embedding_size)

    def encode_context(self, grid: Tensor) -> ImageContext:
        """Read the pooled picture with the cell."""
        first = self.from_word(self.dropout(self.to_embedding(grid.mean((1, 2)))))
        zeros = torch.zeros(grid.shape[0], self.config.hidden_size, device=grid.device)
        start: CellState = self.cell(first, (zeros,) * self.cell.num_states)
        return ImageContext(None, None, None, self.detect(grid), start)

    def advance(
        self, words: Tensor, state: CellState, context: ImageContext
    ) -> tuple[Tensor, CellState, Tensor | None]:
        """Read a word; the picture is in the state already."""
        state = self.cell(words, state)
        return state[0].to(words.dtype), state, None


def make_decoder(config: DecoderConfig, vocabulary_size: int, channels: int) -> Decoder:
    """Build the decoder that a configuration names."""
    kind = AttentionDecoder if config.kind == "attention" else GlobalDecoder
    return kind(config, vocabulary_size, channels)
