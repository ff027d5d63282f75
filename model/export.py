"""A captioner's graphs in OpenVINO's form, made once and kept in a folder.

    python -m model.export BUNDLE

The folder's name is the digest of all that the graphs depend on, so that another bundle, or
another version of what made them, makes its own. Making them takes PyTorch, some seconds and a
gigabyte; a process of its own does it, so that the one that captions never imports PyTorch. Knows
files and versions; does not know how graphs are run.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from model.bundle import WEIGHTS, Bundle, load_bundle
from model.config import CaptionerConfig

__all__ = ["ExportError", "cache_folder", "export", "exported", "make"]

_FORMAT = 1  # of what is kept: raised when graphs change, though bundle and libraries do not

_FILES = tuple(f"{name}.{kind}" for name in ("encode", "begin", "step") for kind in ("xml", "bin"))


class ExportError(RuntimeError):
    """The graphs could not be made; the message says why."""


def cache_folder() -> Path:
    """Give the folder for what can be made again: `UNROLLED_CACHE`, else the user's own."""
    if given := os.environ.get("UNROLLED_CACHE"):
        return Path(given)
    from platformdirs import user_cache_path  # noqa: PLC0415 - a fixed folder needs no search

    return user_cache_path("unrolled")


def exported(bundle: Bundle[CaptionerConfig]) -> Path | None:
    """Find the folder of a bundle's graphs; None where they are still to be made."""
    folder = _folder(bundle)
    return folder if all((folder / name).is_file() for name in _FILES) else None


def export(bundle: Bundle[CaptionerConfig]) -> Path:
    """Give the folder of a bundle's graphs, made in another process if they are not there.

    Raises:
        ExportError: they could not be made.
    """
    if (found := exported(bundle)) is not None:
        return found
    command = [sys.executable, "-m", "model.export", str(bundle.folder.resolve())]
    environment = os.environ | {"UNROLLED_CACHE": str(cache_folder().resolve())}
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(  # noqa: S603 - this very program
        command, cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode or (found := exported(bundle)) is None:
        last = (done.stderr.strip() or "it said nothing").splitlines()[-1]
        raise ExportError(f"the graphs of {bundle.folder} could not be made: {last}")
    return found


def _folder(bundle: Bundle[CaptionerConfig]) -> Path:
    config = bundle.config
    depends = {
        "format": _FORMAT,
        "versions": {name: version(name) for name in ("openvino", "torch", "timm")},
        "weights": config.sha256[WEIGHTS],
        "size": config.preprocessing.size,
        "encoder": asdict(config.encoder),
        "decoder": asdict(config.decoder),
        "words": len(bundle.vocabulary),
    }
    digest = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()
    return cache_folder() / "openvino" / digest[:32]


def make(bundle: Bundle[CaptionerConfig]) -> Path:
    """Make the graphs here, under a temporary name until they are whole."""
    from model.exportable import graphs  # noqa: PLC0415 - brings PyTorch
    from model.network import load_network  # noqa: PLC0415
    from model.openvino_runner import openvino_module  # noqa: PLC0415

    openvino = openvino_module()
    folder = _folder(bundle)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    temporary.mkdir(parents=True)
    try:
        for graph in graphs(load_network(bundle).eval(), bundle.config.preprocessing.size):
            model = openvino.convert_model(graph.program)
            for ports, names in ((model.inputs, graph.inputs), (model.outputs, graph.outputs)):
                for port, name in zip(ports, names, strict=True):
                    port.get_tensor().set_names({name})
            # What is fixed is told again: the conversion forgets it, and speed depends on it.
            model.reshape({name: list(shape) for name, shape in graph.inputs.items()})
            openvino.save_model(model, temporary / f"{graph.name}.xml", compress_to_fp16=False)
        if exported(bundle) is None:  # several processes may have begun at once
            shutil.rmtree(folder, ignore_errors=True)  # what an interrupted copy may have left
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder


if __name__ == "__main__":
    print(make(load_bundle(sys.argv[1], CaptionerConfig)))  # noqa: T201
