"""Search for captions on an NVIDIA GPU as a whole: one CUDA graph from the grid to the results.

A step on a GPU is over before Python has decided what comes next, so nothing is decided in between:
all steps are done, the results are put into order, and looked at once. Most captions have ended
after a few steps, so a short search comes first, and those that it leaves open are searched for
again, at full length.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from model.config import DecodingConfig
from model.decoding.beam_search import search_steps
from model.decoding.constraints import Constraint
from model.decoding.hypothesis import RankedHypothesis, SearchState
from model.decoding.results import TracedArrays, read_traced, trace_back
from model.runtime.cuda_graphs import Capture, CapturedGraphs

__all__ = ["CapturedSearch", "Rerank", "StartSearch"]

_SHORT = 12  # steps, in which nine of ten captions end
_MAX_SEARCHES = 8  # ways of decoding whose graphs are kept

_Step = Callable[[Tensor, SearchState], tuple[Tensor, SearchState]]

# Grid -> the state before the first step, each (batch, hidden), and the step.
StartSearch = Callable[[Tensor], tuple[SearchState, _Step]]


class Rerank(Protocol):
    """Adds agreements to what was found, and puts it into another order if asked for."""

    def __call__(self, grid: Tensor, traced: TracedArrays, *, reorder: bool) -> TracedArrays:
        """Look at no value."""


class CapturedSearch:
    """A beam search that is captured once for each way of decoding and each size of a batch.

    Args:
        start: begins a search; it never looks at a value.
        capture: how a call is captured.
    """

    def __init__(self, start: StartSearch, capture: Capture) -> None:
        self._start = start
        self._capture = capture
        self._searches: OrderedDict[tuple[object, ...], CapturedGraphs] = OrderedDict()

    @torch.inference_mode()
    def __call__(
        self,
        grid: Tensor,
        decoding: DecodingConfig,
        *,
        start_token: int,
        end_token: int,
        constraints: Sequence[Constraint],
        num_results: int | None,
        rerank: Rerank | None = None,
    ) -> list[list[RankedHypothesis]]:
        """Find likely sequences, see `beam_search.search`, and return the best `num_captions`.

        Args:
            grid: of the pictures (batch, rows, columns, channels).
            decoding, start_token, end_token, num_results: as for `beam_search.search`.
            constraints: which follow from `decoding`.
            rerank: puts what was found into order; None: the order of the search.
        """
        if not len(grid):
            return []

        def search(grid: Tensor, num_steps: int) -> list[Tensor]:
            key = (decoding, num_results, num_steps, rerank)
            if key not in self._searches:
                self._searches[key] = CapturedGraphs(find(num_steps), self._capture)
                if len(self._searches) > _MAX_SEARCHES:
                    _, oldest = self._searches.popitem(last=False)  # the least recently used
                    oldest.cancel()
            self._searches.move_to_end(key)
            return [array.cpu() for array in self._searches[key](grid)]

        def find(num_steps: int) -> Callable[[Tensor], tuple[Tensor, ...]]:
            def function(grid: Tensor) -> tuple[Tensor, ...]:
                state, step = self._start(grid)
                found = search_steps(
                    step,
                    state,
                    decoding,
                    start_token=start_token,
                    end_token=end_token,
                    constraints=constraints,
                    num_results=num_results,
                    num_steps=num_steps,
                )
                traced = trace_back(found, end_token)
                if rerank is not None:
                    traced = rerank(grid, traced, reorder=decoding.consensus)
                return found.done, *(part[:, : decoding.num_captions] for part in traced)

            return function

        done, *best = search(grid, min(_SHORT, decoding.max_length))
        results = read_traced(TracedArrays(*best))
        if decoding.max_length > _SHORT and not done.all():
            (left,) = (~done).nonzero(as_tuple=True)
            _, *best = search(grid[left.to(grid.device)], decoding.max_length)
            longer = read_traced(TracedArrays(*best))
            for member, result in zip(left.tolist(), longer, strict=True):
                results[member] = result
        return results
