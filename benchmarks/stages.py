"""Where a picture's time goes: decode and prepare, encode, search, each beside its floor.

One picture at a time, as a request comes. Knows the captioner's stages; does not know HTTP, and
does not see what stages cost each other by emptying the caches, except in the row of all.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from app.pictures.decode import decode_picture
from benchmarks.bench import BEAM_SIZES, PYTORCH, SIZE, Bench
from benchmarks.report import Row, Sample, Table
from benchmarks.roofline import Cost, count, multiply, read_weights
from benchmarks.timing import interleave, seconds
from model.arrays import Array
from model.captioning.captioner import Captioner
from model.runtime.base import Precision
from model.runtime.pytorch import TorchRunner
from model.runtime.select import takes_openvino

__all__ = ["MAX_PIXELS", "count_decoder", "measure"]

MAX_PIXELS = SIZE[0] * SIZE[1]

_ROUGH: tuple[Precision, ...] = ("bfloat16", "int8")

_MULTIPLY, _READ = "multiply", "read weights"


def measure(bench: Bench) -> list[Table]:
    """Time the stages over all photographs, in turn, with the two probes that set the floors."""
    eager, files = bench.eager, bench.photographs
    encode_context, step = count_decoder(eager)
    stages = _stages(bench.captioner, files)
    beside = {PYTORCH: _stages(eager, files)}
    for precision in _ROUGH if takes_openvino(bench.runtime, "cpu") else ():
        beside[precision] = _stages(bench.in_precision(precision), files)
    modelled = list(stages)[2:]  # decoding and preparing take no model
    calls = stages | {
        f"{name}, {kind}": others[name] for kind, others in beside.items() for name in modelled
    }
    work = {name: count(beside[PYTORCH][name], _running(eager)) for name in modelled}
    calls[_MULTIPLY], multiplied = multiply()
    calls[_READ], read = read_weights(step.weight_bytes, times=8)

    timed = interleave(
        {name: seconds(call) for name, call in calls.items()},
        rounds=bench.rounds,
        warmups=bench.warmups,
    )
    samples = {
        name: Sample(tuple(1000 * value / len(files) for value in values))
        for name, values in timed.items()
    }
    speed = multiplied / min(timed[_MULTIPLY])
    bandwidth = read / min(timed[_READ])
    rows: list[Row] = []
    for name in stages:
        row: dict[str, str | float | Sample] = {"stage": name, "ms a picture": samples[name]}
        if name in work:
            total = work[name]
            row |= {kind: samples[f"{name}, {kind}"] for kind in beside}
            row["floor ms"] = 1000 * total.least_seconds(speed, bandwidth) / len(files)
            row["million multiply-adds"] = total.multiply_adds / 1e6 / len(files)
            row["MB of weights read"] = total.weight_bytes / 1e6 / len(files)
        if name.startswith("search"):
            # Nothing else in a search reads weights, so the bytes tell how many steps it took.
            begun = encode_context.weight_bytes * len(files)
            row["steps"] = (work[name].weight_bytes - begun) / step.weight_bytes / len(files)
        rows.append(row)
    return [Table("Milliseconds a picture by stage", rows, _notes(bench, step, speed, bandwidth))]


def count_decoder(captioner: Captioner) -> tuple[Cost, Cost]:
    """Count what the decoder does once a picture, and at every step of one beam."""
    size = captioner.config.preprocessing.size
    grid = captioner.encode(torch.zeros(1, 3, size, size))
    decoder = captioner.network.decoder
    with torch.inference_mode():
        picture = decoder.encode_context(grid)
    state = tuple(part[:, None] for part in picture.start)
    tokens = torch.full((1, 1), captioner.vocabulary.start_id)
    return (
        count(lambda: decoder.encode_context(grid), decoder),
        count(lambda: decoder.step(tokens, state, picture), decoder),
    )


def _stages(captioner: Captioner, files: list[bytes]) -> dict[str, Callable[[], object]]:
    """Name the stages of a picture, each a call that takes all files."""
    pictures = [decode_picture(data, MAX_PIXELS).image for data in files]
    pixels = [captioner.prepare([picture]) for picture in pictures]
    grids = [captioner.encode(one) for one in pixels]
    return {
        "decode JPEG": lambda: [decode_picture(data, MAX_PIXELS) for data in files],
        "prepare": lambda: [captioner.prepare([picture]) for picture in pictures],
        "encode": lambda: [captioner.encode(one) for one in pixels],
        **{f"search, beam {n}": partial(_search_each, captioner, grids, n) for n in BEAM_SIZES},
        **{f"all, beam {n}": partial(_caption_each, captioner, files, n) for n in BEAM_SIZES},
    }


def _running(captioner: Captioner) -> nn.Module:
    runner = captioner.runner
    assert isinstance(runner, TorchRunner)  # noqa: S101 - as `Bench.eager` loads it
    return nn.ModuleList([runner.encoder, runner.network.decoder])


def _search_each(captioner: Captioner, grids: list[Array], beam_size: int) -> None:
    for grid in grids:
        captioner.search(grid, beam_size=beam_size)


def _caption_each(captioner: Captioner, files: list[bytes], beam_size: int) -> None:
    for data in files:
        captioner.caption([decode_picture(data, MAX_PIXELS).image], beam_size=beam_size)


def _notes(bench: Bench, step: Cost, speed: float, bandwidth: float) -> list[str]:
    return [
        f"Median [quartiles] of {bench.rounds} rounds in turn; each call takes all "
        f"{len(bench.photographs)} photographs, {SIZE[0]}x{SIZE[1]} JPEG, one by one.",
        f"One decoder step of one beam: {step.multiply_adds / 1e6:.2f} million multiply-adds, "
        f"{step.weight_bytes / 1e6:.2f} MB of weights.",
        f"The floor is the larger of the multiply-adds at {speed / 1e9:.1f} billion a second and "
        f"the weights at {bandwidth / 1e9:.1f} GB a second, the best that a plain matrix product "
        "and a matrix-vector product of a step's size reached in the same rounds, in float32. "
        "By OpenVINO words are projected beforehand, so that a step reads less than is counted, "
        "and what stays in the caches is read faster: a search may take less than its floor.",
        f"{PYTORCH}: the same work by the eager modules, whose work is what is counted. "
        "bfloat16 and int8: by OpenVINO with `UNROLLED_PRECISION` set; the first is of all "
        "arithmetic, the second of the weights of a step.",
    ]
