"""The baseline: the same captioner behind a plain FastAPI route, as written in an afternoon.

    python -m benchmarks.baseline_server WEIGHTS PORT THREADS

It runs the network's eager modules with a simple beam search, each request in one of FastAPI's
threads, without batching, limits or error handling. It deliberately shares nothing with `app` and
`model.decoding`: it exists to be compared with them.
"""

import io
import sys
from typing import Annotated

import torch
import uvicorn
from fastapi import Body, FastAPI
from PIL import Image
from torch import Tensor

from model.captioning.captioner import Captioner

__all__ = ["make_app", "search"]

_BEAM_SIZE = 3
_MAX_LENGTH = 20


def make_app(captioner: Captioner) -> FastAPI:
    """Return an application with one route, `POST /caption`."""
    app = FastAPI()

    # Not async, so that FastAPI calls it in a thread.
    @app.post("/caption")
    def caption(
        photograph: Annotated[bytes, Body(media_type="image/jpeg")],
    ) -> dict[str, str | float]:
        with Image.open(io.BytesIO(photograph)) as picture:
            pixels = torch.as_tensor(captioner.prepare([picture.convert("RGB")]))
        tokens, logprob = search(captioner, pixels)
        return {"text": captioner.vocabulary.decode(tokens), "logprob": logprob}

    return app


@torch.inference_mode()
def search(captioner: Captioner, pixels: Tensor) -> tuple[list[int], float]:
    """Return the tokens and log-probability of the likeliest caption of one picture.

    The beam narrows as captions end.
    """
    network, vocabulary = captioner.network, captioner.vocabulary
    context = network.decoder.encode_context(network.encoder(pixels))
    state = tuple(part[:, None] for part in context.start)  # (1, rows, hidden)
    device = pixels.device
    tokens = torch.tensor([[vocabulary.start_id]], device=device)
    totals = torch.zeros(1, device=device)
    live: list[list[int]] = [[]]
    finished: list[tuple[list[int], float]] = []
    for _ in range(_MAX_LENGTH):
        logprobs, state, _ = network.decoder.step(tokens, state, context)
        totals, indices = (totals[:, None] + logprobs[0]).flatten().topk(_BEAM_SIZE - len(finished))
        rows, words = indices // logprobs.shape[-1], indices % logprobs.shape[-1]
        extended = [[*live[row], word] for row, word in zip(rows, words.tolist(), strict=True)]
        ends = words == vocabulary.end_id
        finished += [(extended[row], float(totals[row])) for row in ends.nonzero()[:, 0].tolist()]
        unfinished = (~ends).nonzero()[:, 0]
        live, totals = [extended[row] for row in unfinished.tolist()], totals[unfinished]
        if not live:
            break
        tokens, state = words[unfinished][None], tuple(part[:, rows[unfinished]] for part in state)
    candidates = finished or list(zip(live, totals.tolist(), strict=True))
    return max(candidates, key=lambda candidate: candidate[1])


def _load(folder: str) -> Captioner:
    return Captioner.load(folder, "cpu", runtime="torch")


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[3]))
    uvicorn.run(make_app(_load(sys.argv[1])), port=int(sys.argv[2]))
