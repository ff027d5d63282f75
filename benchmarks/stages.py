"""Where a picture's time goes: decoding, preparing, encoding and searching, each with its roofline.

Pictures are taken one at a time, as requests arrive. Stages are timed separately, so only the rows
for everything show what they cost each other by evicting caches.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from app.pictures.decode import decode_picture
from benchmarks.bench import BEAM_SIZES, PYTORCH, SIZE, Bench
from benchmarks.report import Row, Sample, Table
from benchmarks.roofline import Cost, bandwidth_probe, count_cost, matmul_probe
from benchmarks.timing import interleave, seconds
from model.arrays import Array
from model.captioning.captioner import Captioner
from model.runtime.options import Precision
from model.runtime.pytorch import TorchRunner
from model.runtime.select import takes_openvino

__all__ = ["MAX_PIXELS", "count_decoder", "measure"]

MAX_PIXELS = SIZE[0] * SIZE[1]

_REDUCED: tuple[Precision, ...] = ("bfloat16", "int8")

_MATMUL, _BANDWIDTH = "matmul", "bandwidth"


def measure(bench: Bench) -> list[Table]:
    """Time the stages over all photographs, in turn, with the two probes for the roofline."""
    eager, files = bench.eager, bench.photographs
    context, step = count_decoder(eager)
    stages = _stages(bench.captioner, files)
    variants = {PYTORCH: _stages(eager, files)}
    for precision in _REDUCED if takes_openvino(bench.runtime, "cpu") else ():
        variants[precision] = _stages(bench.in_precision(precision), files)
    with_network = list(stages)[2:]  # decoding and preparing use no network
    calls = stages | {
        f"{name}, {kind}": variant[name]
        for kind, variant in variants.items()
        for name in with_network
    }
    costs = {name: count_cost(variants[PYTORCH][name], _modules(eager)) for name in with_network}
    calls[_MATMUL], multiply_adds = matmul_probe()
    calls[_BANDWIDTH], bytes_read = bandwidth_probe(step.weight_bytes, times=8)

    timed = interleave(
        {name: seconds(call) for name, call in calls.items()},
        rounds=bench.rounds,
        warmups=bench.warmups,
    )
    samples = {
        name: Sample(tuple(1000 * value / len(files) for value in values))
        for name, values in timed.items()
    }
    compute = multiply_adds / min(timed[_MATMUL])
    bandwidth = bytes_read / min(timed[_BANDWIDTH])
    rows: list[Row] = []
    for name in stages:
        row: dict[str, str | float | Sample] = {"stage": name, "ms per picture": samples[name]}
        if name in costs:
            cost = costs[name]
            row |= {kind: samples[f"{name}, {kind}"] for kind in variants}
            row["roofline ms"] = 1000 * cost.roofline_seconds(compute, bandwidth) / len(files)
            row["million multiply-adds"] = cost.multiply_adds / 1e6 / len(files)
            row["MB of weights read"] = cost.weight_bytes / 1e6 / len(files)
        if name.startswith("search"):
            # Nothing else in a search reads weights, so the bytes give the number of steps.
            context_bytes = context.weight_bytes * len(files)
            row["steps"] = (
                (costs[name].weight_bytes - context_bytes) / step.weight_bytes / len(files)
            )
        rows.append(row)
    return [
        Table("Milliseconds per picture by stage", rows, _notes(bench, step, compute, bandwidth))
    ]


def count_decoder(captioner: Captioner) -> tuple[Cost, Cost]:
    """Return the decoder's cost once per picture, and at each step with beam 1."""
    size = captioner.config.preprocessing.size
    grid = captioner.encode(torch.zeros(1, 3, size, size))
    decoder = captioner.network.decoder
    with torch.inference_mode():
        context = decoder.encode_context(grid)
    state = tuple(part[:, None] for part in context.start)
    tokens = torch.full((1, 1), captioner.vocabulary.start_id)
    return (
        count_cost(lambda: decoder.encode_context(grid), decoder),
        count_cost(lambda: decoder.step(tokens, state, context), decoder),
    )


def _stages(captioner: Captioner, files: list[bytes]) -> dict[str, Callable[[], object]]:
    """Return a call for each stage, which takes all files."""
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


def _modules(captioner: Captioner) -> nn.Module:
    runner = captioner.runner
    assert isinstance(runner, TorchRunner)  # noqa: S101 - `Bench.eager` loads it so
    return nn.ModuleList([runner.encoder, runner.network.decoder])


def _search_each(captioner: Captioner, grids: list[Array], beam_size: int) -> None:
    for grid in grids:
        captioner.search(grid, beam_size=beam_size)


def _caption_each(captioner: Captioner, files: list[bytes], beam_size: int) -> None:
    for data in files:
        captioner.caption([decode_picture(data, MAX_PIXELS).image], beam_size=beam_size)


def _notes(bench: Bench, step: Cost, compute: float, bandwidth: float) -> list[str]:
    return [
        f"Median [quartiles] of {bench.rounds} rounds in turn; each call takes all "
        f"{len(bench.photographs)} photographs, {SIZE[0]}x{SIZE[1]} JPEG, one by one.",
        f"One decoder step with beam 1: {step.multiply_adds / 1e6:.2f} million multiply-adds, "
        f"{step.weight_bytes / 1e6:.2f} MB of weights.",
        f"roofline: the larger of the multiply-adds at {compute / 1e9:.1f} billion per second and "
        f"the weights at {bandwidth / 1e9:.1f} GB/s, the highest rates that a matrix product and a "
        "matrix-vector product of a step's size reached in the same rounds, in float32. OpenVINO "
        "projects words beforehand, so a step reads less than counted, and weights that stay in "
        "the caches are read faster: a search can beat its roofline.",
        f"{PYTORCH}: the same work in eager modules, whose operations are the ones counted. "
        "bfloat16 and int8: OpenVINO with `UNROLLED_PRECISION` set; bfloat16 applies to all "
        "arithmetic, int8 to the weights of a step.",
    ]
