"""What the gates of an LSTM's unit do while a captioner writes, or reads, a caption.

As `model.interpretation.gates` does for language models, they are computed from the states and
from the unit's own rows of the weights. The cell that says what to say also reads what attention
gave it, which a step does not return: it follows from the state of the cell that looks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from model.bundle.format import WEIGHTS
from model.interpretation.gates import LSTMGates, check_cell, checked, loaded_weights, rows_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from model.captioning.scoring import CaptionStates
    from model.config import DecoderConfig

__all__ = ["caption_gates", "caption_unit_name"]


def caption_unit_name(config: DecoderConfig, unit: int) -> str:
    """Name a unit by its cell, such as "looking unit 3" or "speaking unit 3".

    The decoder with attention has two cells: the units of the one that decides where to look come
    first, then those of the one that decides what to say. The other decoder has the second alone.

    Raises:
        ValueError: there is no such unit, or the cells are no LSTMs.
    """
    check_cell(config.cell, ["lstm"])
    cells = ["looking", "speaking"] if config.kind == "attention" else ["speaking"]
    cell, number = divmod(unit, config.hidden_size)
    if not 0 <= cell < len(cells):
        last = len(cells) * config.hidden_size - 1
        raise ValueError(f"there is no unit {unit}: there are 0 to {last}")
    return f"{cells[cell]} unit {number}"


def caption_gates(
    folder: Path, config: DecoderConfig, states: CaptionStates, unit: int
) -> LSTMGates:
    """Compute the gates of a unit of a captioner at each token of a caption.

    At the step of a token the decoder reads the token before it, or the start token.

    Args:
        folder: of the captioner's bundle.
        config: its decoder's.
        states: from `Captioner.score_with_states`.
        unit: its number, see `caption_unit_name`.

    Raises:
        ValueError: there is no such unit, or the cells are no LSTMs.
        BundleError: the weights cannot be read.
    """
    caption_unit_name(config, unit)
    cell, number = divmod(unit, config.hidden_size)
    hidden, cells = states.parts[2 * cell : 2 * cell + 2]
    with loaded_weights(folder / WEIGHTS) as weights:
        if config.kind == "global":
            sums = _speaking_alone(weights, states, number)
        elif cell == 0:
            sums = _looking(weights, states, number)
        else:
            sums = _speaking(weights, config, states, number)
        gates = LSTMGates.of(sums, hidden[1:, number], cells[1:, number])
        return checked(gates, cells[:-1, number])


def _looking(weights: Any, states: CaptionStates, unit: int) -> NDArray[np.float32]:
    """Return the sums of a unit of the cell that decides where to look, (tokens, 4)."""
    hidden, _, spoken, _ = states.parts
    size = hidden.shape[1]
    gates = states.context.gates
    assert gates is not None  # noqa: S101 - attention has them
    sums: NDArray[np.float32] = (
        _words(weights, states, unit)
        + gates[0, unit::size]  # of the mean of the picture
        + spoken[:-1] @ rows_of(weights, "decoder.from_language.weight", unit, size).T
        + hidden[:-1] @ rows_of(weights, "decoder.attention_cell.recurrent.weight", unit, size).T
    )
    return sums


def _speaking(
    weights: Any, config: DecoderConfig, states: CaptionStates, unit: int
) -> NDArray[np.float32]:
    """Return the sums of a unit of the cell that decides what to say, (tokens, 4)."""
    query, hidden = states.parts[0][1:], states.parts[2]
    size = hidden.shape[1]
    inputs = np.concatenate([_attend(weights, config, states, query), query], axis=1)
    sums: NDArray[np.float32] = (
        inputs @ rows_of(weights, "decoder.to_language.weight", unit, size).T
        + rows_of(weights, "decoder.to_language.bias", unit, size)
        + hidden[:-1] @ rows_of(weights, "decoder.language_cell.recurrent.weight", unit, size).T
    )
    return sums


def _speaking_alone(weights: Any, states: CaptionStates, unit: int) -> NDArray[np.float32]:
    """Return the sums of a unit of the only cell, which has read the picture, (tokens, 4)."""
    hidden = states.parts[0]
    recurrent = rows_of(weights, "decoder.cell.recurrent.weight", unit, hidden.shape[1])
    sums: NDArray[np.float32] = _words(weights, states, unit) + hidden[:-1] @ recurrent.T
    return sums


def _words(weights: Any, states: CaptionStates, unit: int) -> NDArray[np.float32]:
    """Return what the words add to the sums of a unit of the first cell, (tokens, 4)."""
    size = states.parts[0].shape[1]
    table = weights.get_slice("decoder.embedding.weight")
    embedded = np.concatenate([table[i : i + 1] for i in states.ids.tolist()]).astype(np.float32)
    projection = rows_of(weights, "decoder.from_word.weight", unit, size)
    bias = rows_of(weights, "decoder.from_word.bias", unit, size)
    sums: NDArray[np.float32] = embedded @ projection.T + bias
    return sums


def _attend(
    weights: Any, config: DecoderConfig, states: CaptionStates, query: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Take the mean of the grid that each query gives, (tokens, hidden); see `attention`."""
    keys, values = states.context.keys, states.context.values
    assert keys is not None  # noqa: S101 - attention has them
    assert values is not None  # noqa: S101
    to_query = weights.get_tensor("decoder.attention.to_query.weight").astype(np.float32)
    queries = query @ to_query.T  # (tokens, attention)
    if config.attention == "additive":
        to_score = weights.get_tensor("decoder.attention.to_score.weight").astype(np.float32)
        scores = (np.tanh(queries[:, None] + keys[0]) @ to_score.T)[None, :, :, 0]
    else:
        split_queries, split_keys = (
            _split(one, config.attention_heads) for one in (queries, keys[0])
        )
        scores = split_queries @ split_keys.transpose(0, 2, 1)
        scores /= np.float32(np.sqrt(split_keys.shape[-1]))
    exponentials = np.exp(scores - scores.max(-1, keepdims=True))
    shares = exponentials / exponentials.sum(-1, keepdims=True)  # (heads, tokens, cells)
    attended = shares @ _split(values[0], config.attention_heads)  # (heads, tokens, hidden / heads)
    joined: NDArray[np.float32] = attended.transpose(1, 0, 2).reshape(len(query), -1)
    return joined


def _split(vectors: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Split vectors by heads: (n, size) -> (heads, n, size / heads)."""
    return vectors.reshape(len(vectors), heads, -1).transpose(1, 0, 2)
