"""Which runtime carries out a model's network, and how it is loaded.

Knows which there are and what each needs; knows nothing of what the network does.
"""

import logging
from importlib.util import find_spec

from model.bundle.read import Bundle
from model.config import CaptionerConfig, TextConfig
from model.runtime.base import Runner, TextRunner
from model.runtime.export import export, exported
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
        runtime: `auto` takes OpenVINO on a CPU, where it is installed and knows the network, else
            PyTorch; `cuda_graphs` is PyTorch on an NVIDIA GPU, each shape recorded once.
        threads: on a CPU; None leaves it to the runtime.
        precision: of most arithmetic.

    Raises:
        BundleError: the weights cannot be used.
        ValueError: the runtime is not installed, or not for this device or precision.
        ExportError: the network cannot be turned into OpenVINO's form.
    """
    if takes_openvino(runtime, device):
        try:
            return _by_openvino(bundle, threads, precision)
        except Exception as error:
            # The library raises many kinds; what PyTorch cannot run either it will say itself.
            if runtime == "openvino":
                raise
            _log.warning("OpenVINO does not run this network, PyTorch will: %s", error)
    return _by_torch(bundle, device, threads, precision, recorded=runtime == "cuda_graphs")


def load_text_runner(
    bundle: Bundle[TextConfig], device: str, runtime: Runtime, threads: int | None = None
) -> TextRunner | None:
    """Load what takes the steps in which a language model writes; None: PyTorch does.

    Args:
        bundle, device: as in `load_runner`.
        runtime: `auto` takes OpenVINO where it would and the graph has been made; for one text
            it is not worth making.
        threads: of OpenVINO; None leaves it to the runtime.

    Raises:
        ValueError: the runtime is not installed, or not for this device.
        ExportError: the network cannot be turned into OpenVINO's form.
    """
    if not takes_openvino(runtime, device):
        return None
    try:
        (folder,) = [exported(bundle)] if runtime == "auto" else export(bundle)
        if folder is None:
            return None
        from model.runtime.openvino import OpenVinoTextRunner  # noqa: PLC0415

        return OpenVinoTextRunner(folder, threads)
    except Exception as error:
        if runtime == "openvino":
            raise
        _log.warning("OpenVINO does not run this network, PyTorch will: %s", error)
        return None


def takes_openvino(runtime: Runtime, device: str) -> bool:
    """Say whether OpenVINO is what a runtime's name stands for here.

    Raises:
        ValueError: the runtime is not installed, or not for this device.
    """
    installed = find_spec("openvino") is not None
    if runtime == "openvino" and not installed:
        raise ValueError("OpenVINO is not installed: pip install openvino, or use torch")
    if runtime == "openvino" and device != "cpu":
        raise ValueError(f"OpenVINO runs on the CPU here, not on {device}: use torch")
    if runtime == "cuda_graphs" and not device.startswith("cuda"):
        raise ValueError(f"CUDA graphs are for an NVIDIA GPU, not for {device}: use auto")
    return runtime in {"auto", "openvino"} and installed and device == "cpu"


def _by_openvino(
    bundle: Bundle[CaptionerConfig], threads: int | None, precision: Precision
) -> Runner:
    from model.runtime.openvino import OpenVinoRunner  # noqa: PLC0415

    (folder,) = export(bundle)
    return OpenVinoRunner(folder, threads, precision)


def _by_torch(
    bundle: Bundle[CaptionerConfig],
    device: str,
    threads: int | None,
    precision: Precision,
    *,
    recorded: bool,
) -> Runner:
    if precision == "int8":
        raise ValueError("int8 is for OpenVINO, on a CPU: choose bfloat16 or float16 for PyTorch")
    import torch  # noqa: PLC0415 - takes seconds, and a third of a gigabyte

    from model.networks.caption_network import load_caption_network  # noqa: PLC0415
    from model.runtime.pytorch import TorchRunner  # noqa: PLC0415

    if threads is not None:
        torch.set_num_threads(threads)
    size = bundle.config.preprocessing.size
    if recorded:
        from model.runtime.cuda import CudaGraphRunner  # noqa: PLC0415

        return CudaGraphRunner(load_caption_network(bundle), size, device, precision)
    return TorchRunner(load_caption_network(bundle), size, device, precision)
