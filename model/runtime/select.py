"""Choose the runtime that executes a model's network, and load the network into it."""

import logging
from importlib.util import find_spec
from typing import get_args

from model.bundle.read import Bundle
from model.config import CaptionerConfig, TextConfig
from model.preprocessing import Preprocessing
from model.runtime.base import Runner, TextRunner
from model.runtime.export import AnyBundle, export, exported_folder
from model.runtime.graph_weights import read_tensors
from model.runtime.options import Precision, Runtime

__all__ = ["load_runner", "load_text_runner", "takes_openvino"]

_log = logging.getLogger(__name__)


def load_runner(
    bundle: Bundle[CaptionerConfig],
    device: str,
    runtime: Runtime,
    threads: int | None = None,
    precision: Precision = "float32",
) -> Runner:
    """Load a bundle's network into a runtime.

    Args:
        bundle: read and checked.
        device: from `choose_device`.
        runtime: `auto` takes OpenVINO on a CPU, if it is installed and the bundle's graphs exist
            already (see `model.runtime.export`) or PyTorch is not installed, `cuda_graphs` on an
            NVIDIA GPU, which is PyTorch with each shape captured once, else PyTorch.
        threads: to use on a CPU; None leaves it to the runtime.
        precision: of most arithmetic.

    Raises:
        BundleError: the weights do not fit the configuration, or are damaged.
        ValueError: there is no such runtime or precision, the runtime is not installed or does not
            support the device or precision, or `threads` is less than 1.
        ExportError: the network cannot be exported to OpenVINO.
    """
    _check(runtime, threads, precision)
    if _runs_openvino(bundle, runtime, device, required=precision == "int8"):
        try:
            return _load_openvino(bundle, threads, precision)
        except Exception as error:
            # OpenVINO raises many kinds of errors; a faulty bundle fails in PyTorch too.
            if runtime == "openvino" or not _has_torch():
                raise
            _log.warning("OpenVINO cannot run this network, so PyTorch will: %s", error)
    return _load_torch(bundle, device, threads, precision, cuda_graphs=_captures(runtime, device))


def load_text_runner(
    bundle: Bundle[TextConfig], device: str, runtime: Runtime, threads: int | None = None
) -> TextRunner:
    """Load a language model's network into a runtime.

    Args:
        bundle, device, runtime, threads: as in `load_runner`.

    Raises:
        BundleError, ValueError, ExportError: as in `load_runner`.
    """
    _check(runtime, threads)
    if _runs_openvino(bundle, runtime, device):
        try:
            from model.runtime.openvino import OpenVinoTextRunner  # noqa: PLC0415

            (folder,) = export(bundle)
            tensors = read_tensors(bundle)
            return OpenVinoTextRunner(folder, bundle.config.network, tensors, threads)
        except Exception as error:
            if runtime == "openvino" or not _has_torch():
                raise
            _log.warning("OpenVINO cannot run this network, so PyTorch will: %s", error)
    _require_torch(device)
    import torch  # noqa: PLC0415 - takes seconds, and a third of a gigabyte

    from model.networks.text_network import load_text_network  # noqa: PLC0415
    from model.runtime.pytorch import TorchTextRunner  # noqa: PLC0415

    if threads is not None:
        torch.set_num_threads(threads)
    if _captures(runtime, device):
        from model.runtime.cuda_text import CudaGraphTextRunner  # noqa: PLC0415

        return CudaGraphTextRunner(load_text_network(bundle), device)
    return TorchTextRunner(load_text_network(bundle), device)


def _check(runtime: Runtime, threads: int | None, precision: Precision = "float32") -> None:
    for name, value, names in (
        ("runtime", runtime, get_args(Runtime)),
        ("precision", precision, get_args(Precision)),
    ):
        if value not in names:
            raise ValueError(f"{name} must be one of {', '.join(names)}, not {value!r}")
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, not {threads}")


def _runs_openvino(
    bundle: AnyBundle, runtime: Runtime, device: str, *, required: bool = False
) -> bool:
    if not takes_openvino(runtime, device):
        return False
    required = required or runtime == "openvino" or not _has_torch()
    if required or exported_folder(bundle) is not None:
        return True
    _log.info("%s has no graphs: on a CPU, `unrolled export` makes it faster", bundle.folder)
    return False


def _captures(runtime: Runtime, device: str) -> bool:
    return runtime == "cuda_graphs" or (runtime == "auto" and device.startswith("cuda"))


def _has_torch() -> bool:
    return find_spec("torch") is not None


def _require_torch(device: str) -> None:
    if not _has_torch():
        raise ValueError(
            f"on {device} without OpenVINO, a model needs PyTorch, which is not installed: "
            "pip install '.[torch]'"
        )


def takes_openvino(runtime: Runtime, device: str) -> bool:
    """Check whether a choice of runtime means OpenVINO on this device.

    Raises:
        ValueError: the runtime is not installed, or does not support the device.
    """
    installed = find_spec("openvino") is not None
    if runtime == "openvino" and not installed:
        raise ValueError("OpenVINO is not installed: pip install openvino, or use torch")
    if runtime == "openvino" and device != "cpu":
        raise ValueError(f"OpenVINO runs on the CPU only, not on {device}: use torch")
    if runtime == "cuda_graphs" and not device.startswith("cuda"):
        raise ValueError(f"CUDA graphs need an NVIDIA GPU, not {device}: use auto")
    return runtime in {"auto", "openvino"} and installed and device == "cpu"


def _load_openvino(
    bundle: Bundle[CaptionerConfig], threads: int | None, precision: Precision
) -> Runner:
    from model.runtime.openvino import OpenVinoRunner  # noqa: PLC0415

    (folder,) = export(bundle)
    return OpenVinoRunner(folder, read_tensors(bundle), threads, precision)


def _load_torch(
    bundle: Bundle[CaptionerConfig],
    device: str,
    threads: int | None,
    precision: Precision,
    *,
    cuda_graphs: bool,
) -> Runner:
    if precision == "int8":
        raise ValueError("int8 needs OpenVINO on a CPU: with PyTorch, use bfloat16 or float16")
    _require_torch(device)
    import torch  # noqa: PLC0415 - takes seconds, and a third of a gigabyte

    from model.networks.caption_network import load_caption_network  # noqa: PLC0415
    from model.runtime.pytorch import TorchRunner  # noqa: PLC0415

    if threads is not None:
        torch.set_num_threads(threads)
    size = bundle.config.preprocessing.size
    if cuda_graphs:
        from model.runtime.cuda import CudaGraphRunner  # noqa: PLC0415

        tables = Preprocessing(bundle.config.preprocessing).tables
        return CudaGraphRunner(load_caption_network(bundle), size, device, precision, tables=tables)
    return TorchRunner(load_caption_network(bundle), size, device, precision)
