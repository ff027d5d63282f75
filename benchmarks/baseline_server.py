"""What one would write in an afternoon: the same captioner behind a plain FastAPI route.

    python -m benchmarks.baseline_server WEIGHTS PORT THREADS

The network's modules as they were trained, a simple beam search over them, each request in one of
FastAPI's threads. Knows the captioner's network; does not know batches, limits, errors of clients,
nor anything of how `app` and `model.decoding.beam_search` do the same. It is there to be compared
with.
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

_BEAM = 3
_LONGEST = 20


def make_app(captioner: Captioner) -> FastAPI:
    """Make the service: one route."""
    app = FastAPI()

    # Not async: FastAPI then calls it in one of its threads.
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
    """Find the likeliest caption of one picture; the beam narrows as captions end."""
    network, vocabulary = captioner.network, captioner.vocabulary
    picture = network.decoder.encode_context(network.encoder(pixels))
    state = tuple(part[:, None] for part in picture.start)  # (1, rows, hidden)
    device = pixels.device
    tokens = torch.tensor([[vocabulary.start_id]], device=device)
    totals = torch.zeros(1, device=device)
    alive: list[list[int]] = [[]]
    ended: list[tuple[list[int], float]] = []
    for _ in range(_LONGEST):
        logprobs, state, _ = network.decoder.step(tokens, state, picture)
        totals, places = (totals[:, None] + logprobs[0]).flatten().topk(_BEAM - len(ended))
        rows, words = places // logprobs.shape[-1], places % logprobs.shape[-1]
        grown = [[*alive[row], word] for row, word in zip(rows, words.tolist(), strict=True)]
        ends = words == vocabulary.end_id
        ended += [(grown[row], float(totals[row])) for row in ends.nonzero()[:, 0].tolist()]
        loaded = (~ends).nonzero()[:, 0]
        alive, totals = [grown[row] for row in loaded.tolist()], totals[loaded]
        if not alive:
            break
        tokens, state = words[loaded][None], tuple(part[:, rows[loaded]] for part in state)
    candidates = ended or list(zip(alive, totals.tolist(), strict=True))
    return max(candidates, key=lambda candidate: candidate[1])


def _load(folder: str) -> Captioner:
    return Captioner.load(folder, "cpu", runtime="torch")


if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[3]))
    uvicorn.run(make_app(_load(sys.argv[1])), port=int(sys.argv[2]))
