"""Pictures per second from JPEG bytes to captions, by beam size and batch size.

One process runs one batch after another with nothing overlapped, as a script would.
"""

from collections.abc import Callable
from functools import partial
from itertools import cycle, islice

from app.pictures.decode import decode_picture
from benchmarks.bench import BATCH_SIZES, BEAM_SIZES, PYTORCH, SIZE, Bench
from benchmarks.report import Row, Sample, Table
from benchmarks.stages import MAX_PIXELS
from benchmarks.timing import interleave, seconds
from model.captioning.captioner import Captioner

__all__ = ["measure"]


def measure(bench: Bench) -> list[Table]:
    """Time every beam size at every batch size, in turn."""
    calls: dict[str, Callable[[], float]] = {}
    batches = {batch: _pictures(bench.photographs, batch) for batch in BATCH_SIZES}
    for batch, files in batches.items():
        for beam in BEAM_SIZES:
            served = partial(_caption, bench.captioner, files, batch=batch, beam=beam)
            eager = partial(_caption, bench.eager, files, batch=batch, beam=beam)
            calls[_name(beam, batch)] = seconds(served)
            calls[_name(beam, batch) + PYTORCH] = seconds(eager)
    timed = interleave(calls, rounds=bench.slow_rounds, warmups=1)
    rows: list[Row] = []
    for beam in BEAM_SIZES:
        row: dict[str, str | Sample] = {"beam": str(beam)}
        for batch, files in batches.items():
            for runtime in ("", PYTORCH):
                values = timed[_name(beam, batch) + runtime]
                column = ", ".join(filter(None, [f"batch {batch}", runtime]))
                row[column] = Sample(tuple(len(files) / value for value in values))
        rows.append(row)
    notes = [
        f"Median [quartiles] of {bench.slow_rounds} rounds in turn, from {SIZE[0]}x{SIZE[1]} JPEG "
        "bytes to captions, decoding included, nothing overlapped.",
        f"The {len(bench.photographs)} photographs are repeated to fill a batch; a call with batch "
        "size 1 takes each of them once.",
    ]
    return [Table("Pictures per second", rows, notes)]


def _name(beam: int, batch: int) -> str:
    return f"beam {beam}, batch {batch}"


def _pictures(photographs: list[bytes], batch: int) -> list[bytes]:
    """Repeat the photographs to fill whole batches, with each at least once."""
    count = -(-len(photographs) // batch)
    return list(islice(cycle(photographs), count * batch))


def _caption(captioner: Captioner, files: list[bytes], *, batch: int, beam: int) -> None:
    for start in range(0, len(files), batch):
        pictures = [decode_picture(data, MAX_PIXELS).image for data in files[start : start + batch]]
        captioner.caption(pictures, beam_size=beam)
