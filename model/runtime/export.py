"""Models' graphs in OpenVINO's form, made once and kept, those of each bundle in a folder.

    python -m model.runtime.export BUNDLE...

The folder's name is the digest of all that the graphs depend on, so that another bundle, or
another version of what made them, makes its own. Making them takes PyTorch, some seconds and a
gigabyte; a process of its own does it, so that the one that captions never imports PyTorch. Knows
files and versions; does not know how graphs are run.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from model.bundle.format import WEIGHTS
from model.bundle.read import Bundle, load_bundle, read_config
from model.config import CaptionerConfig, TextConfig
from model.files import atomic_folder

__all__ = ["AnyBundle", "ExportError", "cache_folder", "export", "exported", "make"]

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model.runtime.graphs import Graph

_log = logging.getLogger(__name__)

AnyBundle = Bundle[CaptionerConfig] | Bundle[TextConfig]

_FORMAT = 3  # of what is kept: raised when graphs change, though bundle and libraries do not

_GRAPHS = {"captioner": ("encode", "context", "step"), "text": ("step",)}


class ExportError(RuntimeError):
    """The graphs could not be made; the message says why."""


def cache_folder() -> Path:
    """Give the folder for what can be made again: `UNROLLED_CACHE`, else the user's own."""
    if given := os.environ.get("UNROLLED_CACHE"):
        return Path(given)
    from platformdirs import user_cache_path  # noqa: PLC0415 - a fixed folder needs no search

    return user_cache_path("unrolled")


def exported(bundle: AnyBundle) -> Path | None:
    """Find the folder of a bundle's graphs; None where they are still to be made."""
    folder = _folder(bundle)
    files = [f"{name}.{kind}" for name in _GRAPHS[bundle.config.kind] for kind in ("xml", "bin")]
    return folder if all((folder / name).is_file() for name in files) else None


def export(*bundles: AnyBundle) -> list[Path]:
    """Give the folders of bundles' graphs; one other process makes those that are not there.

    Raises:
        ExportError: they could not be made.
    """
    if missing := [bundle.folder for bundle in bundles if exported(bundle) is None]:
        _make_elsewhere(missing)
    folders = []
    for bundle in bundles:
        if (folder := exported(bundle)) is None:
            raise ExportError(f"the graphs of {bundle.folder} were made, and are not there")
        folders.append(folder)
    return folders


def _make_elsewhere(bundles: Sequence[Path]) -> None:
    _log.info("making graphs for OpenVINO, once, of %s", ", ".join(path.name for path in bundles))
    command = [
        sys.executable,
        "-m",
        "model.runtime.export",
        *(str(path.resolve()) for path in bundles),
    ]
    environment = os.environ | {"UNROLLED_CACHE": str(cache_folder().resolve())}
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(  # noqa: S603 - this very program
        command, cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = (done.stderr.strip() or "it said nothing").splitlines()[-1]
        named = ", ".join(map(str, bundles))
        raise ExportError(f"the graphs of {named} could not be made: {last}")


def _folder(bundle: AnyBundle) -> Path:
    config = bundle.config
    depends = {
        "format": _FORMAT,
        "versions": {name: version(name) for name in ("openvino", "torch", "timm")},
        "weights": config.sha256[WEIGHTS],
        "words": len(bundle.vocabulary),
    }
    if isinstance(config, TextConfig):
        depends["network"] = asdict(config.network)
    else:
        depends["size"] = config.preprocessing.size
        depends["encoder"] = asdict(config.encoder)
        depends["decoder"] = asdict(config.decoder)
    digest = hashlib.sha256(json.dumps(depends, sort_keys=True).encode()).hexdigest()
    return cache_folder() / "openvino" / digest[:32]


def make(bundle: AnyBundle) -> Path:
    """Make a bundle's graphs here, under a temporary name until they are whole."""
    from model.runtime.openvino_graph import openvino_module  # noqa: PLC0415 - may not be installed

    openvino = openvino_module()
    folder = _folder(bundle)
    try:
        with atomic_folder(folder) as temporary:
            for graph in _graphs(bundle):
                model = openvino.convert_model(graph.program)
                for ports, names in ((model.inputs, graph.inputs), (model.outputs, graph.outputs)):
                    for port, name in zip(ports, names, strict=True):
                        port.get_tensor().set_names({name})
                # What is fixed is told again: the conversion forgets it, and speed depends on it.
                model.reshape({name: list(shape) for name, shape in graph.inputs.items()})
                openvino.save_model(model, temporary / f"{graph.name}.xml", compress_to_fp16=False)
    except OSError:
        if exported(bundle) is None:  # else another process was faster
            raise
    return folder


def _graphs(bundle: AnyBundle) -> list[Graph]:
    # PyTorch, and all that is made of it, only where it is needed.
    from model.networks.caption_network import load_caption_network  # noqa: PLC0415
    from model.networks.text_network import load_text_network  # noqa: PLC0415
    from model.runtime import graphs  # noqa: PLC0415

    if isinstance(bundle.config, TextConfig):
        return graphs.text_graphs(load_text_network(bundle).eval())
    size = bundle.config.preprocessing.size
    return graphs.captioner_graphs(load_caption_network(bundle).eval(), size)


def _load(folder: Path) -> AnyBundle:
    if isinstance(read_config(folder), TextConfig):
        return load_bundle(folder, TextConfig)
    return load_bundle(folder, CaptionerConfig)


if __name__ == "__main__":
    for _folder_given in sys.argv[1:]:
        make(_load(Path(_folder_given)))
