"""Which runtime carries out a captioner's network, and how it is loaded.

Knows which there are and what each needs; knows nothing of what the network does.
"""

import logging
from importlib.util import find_spec
from typing import Literal

from model.bundle import Bundle
from model.config import CaptionerConfig
from model.runner import Precision, Runner

__all__ = ["Runtime", "load_runner"]

Runtime = Literal["auto", "torch", "openvino"]

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
            PyTorch.
        threads: on a CPU; None leaves it to the runtime.
        precision: of most arithmetic.

    Raises:
        BundleError: the weights cannot be used.
        ValueError: the runtime is not installed, or not for this device.
        ExportError: the network cannot be turned into OpenVINO's form.
    """
    installed = find_spec("openvino") is not None
    if runtime == "openvino" and not installed:
        raise ValueError("OpenVINO is not installed: pip install openvino, or use torch")
    if runtime == "openvino" and device != "cpu":
        raise ValueError(f"OpenVINO runs on the CPU here, not on {device}: use torch")
    if runtime == "openvino" or (runtime == "auto" and installed and device == "cpu"):
        try:
            return _by_openvino(bundle, threads, precision)
        except Exception as error:
            # The library raises many kinds; what PyTorch cannot run either it will say itself.
            if runtime == "openvino":
                raise
            _log.warning("OpenVINO does not run this network, PyTorch will: %s", error)
    return _by_torch(bundle, device, threads, precision)


def _by_openvino(
    bundle: Bundle[CaptionerConfig], threads: int | None, precision: Precision
) -> Runner:
    from model.export import export  # noqa: PLC0415
    from model.openvino_runner import OpenVinoRunner  # noqa: PLC0415

    return OpenVinoRunner(export(bundle), threads, precision)


def _by_torch(
    bundle: Bundle[CaptionerConfig], device: str, threads: int | None, precision: Precision
) -> Runner:
    import torch  # noqa: PLC0415 - takes seconds, and a third of a gigabyte

    from model.network import load_network  # noqa: PLC0415
    from model.torch_runner import TorchRunner  # noqa: PLC0415

    if threads is not None:
        torch.set_num_threads(threads)
    size = bundle.config.preprocessing.size
    return TorchRunner(load_network(bundle), size, device, precision)
