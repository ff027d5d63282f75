"""Export networks as graphs for OpenVINO.

    python -m model.runtime.export BUNDLE...

A bundle may bring its graphs, as the shipped ones do, so that a CPU needs no PyTorch to run it.
Those of other bundles are made when they are first needed, into a cache folder for each. That takes
PyTorch, up to a minute and a gigabyte of memory, so it is done in another process. A cache folder's
name is a digest of all that the graphs depend on: another bundle, or another version of a library,
has its own. Graphs hold no weights, see `model.runtime.graphs`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
from dataclasses import asdict, astuple
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from model.bundle.format import WEIGHTS, graph_files
from model.bundle.read import Bundle, load_bundle, read_config
from model.config import CaptionerConfig, TextConfig
from model.files import atomic_folder
from model.runtime.openvino_graph import NORMS, WEIGHT, openvino_module

__all__ = [
    "AnyBundle",
    "ExportError",
    "add_graphs",
    "cache_folder",
    "export",
    "export_in_process",
    "exported_folder",
]

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model.runtime.graphs import Graph

_log = logging.getLogger(__name__)

AnyBundle = Bundle[CaptionerConfig] | Bundle[TextConfig]

_FORMAT = 4  # of the cache: raise it when the graphs of the same bundle and libraries change


class ExportError(ValueError):
    """The graphs could not be exported; the message says why."""


def cache_folder() -> Path:
    """Return the folder of caches: `UNROLLED_CACHE`, else the user's cache folder."""
    if folder := os.environ.get("UNROLLED_CACHE"):
        return Path(folder)
    from platformdirs import user_cache_path  # noqa: PLC0415 - often unneeded

    return user_cache_path("unrolled")


def exported_folder(bundle: AnyBundle) -> Path | None:
    """Return the folder of a bundle's graphs, or None if they are not exported yet."""
    files = graph_files(bundle.config.kind)
    if all(name in bundle.config.sha256 for name in files):
        return bundle.folder / "graphs"
    if not _can_export():
        return None
    folder = _folder(bundle)
    return folder if all((folder / Path(name).name).is_file() for name in files) else None


def export(*bundles: AnyBundle) -> list[Path]:
    """Return the folders of bundles' graphs; one other process exports those that are missing.

    Raises:
        ExportError: the export failed.
    """
    if missing := [bundle.folder for bundle in bundles if exported_folder(bundle) is None]:
        _export_in_subprocess(missing)
    folders = []
    for bundle in bundles:
        if (folder := exported_folder(bundle)) is None:
            raise ExportError(f"the exported graphs of {bundle.folder} are missing: try again")
        folders.append(folder)
    return folders


def add_graphs(bundle: AnyBundle) -> bool:
    """Add its graphs to a bundle on disk, if it lacks them.

    Returns:
        Whether it lacked them.

    Raises:
        ExportError: the export failed.
        OSError: the bundle's folder cannot be written to.
    """
    (folder,) = export(bundle)
    if folder.parent == bundle.folder:
        return False
    from model.bundle.write import add_files  # noqa: PLC0415 - imports PyTorch

    names = graph_files(bundle.config.kind)
    add_files(bundle, {name: (folder / Path(name).name).read_bytes() for name in names})
    return True


def _can_export() -> bool:
    return all(find_spec(name) is not None for name in ("torch", "torchvision", "timm"))


def _export_in_subprocess(bundles: Sequence[Path]) -> None:
    names = ", ".join(map(str, bundles))
    if not _can_export():
        raise ExportError(
            f"{names} has no graphs for OpenVINO, and PyTorch, which makes them, is not installed: "
            "install it with `pip install '.[torch]'`, or run `unrolled export` where it is"
        )
    _log.info("exporting %s for OpenVINO, once", ", ".join(path.name for path in bundles))
    command = [
        sys.executable,
        "-m",
        "model.runtime.export",
        *(str(path.resolve()) for path in bundles),
    ]
    environment = os.environ | {"UNROLLED_CACHE": str(cache_folder().resolve())}
    root = Path(__file__).resolve().parents[2]
    process = subprocess.run(  # noqa: S603 - this very program
        command, cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    if process.returncode:
        reason = (process.stderr.strip() or "no error message").splitlines()[-1]
        raise ExportError(f"{names} could not be exported for OpenVINO: {reason}")


def _folder(bundle: AnyBundle) -> Path:
    config = bundle.config
    depends_on = {
        "format": _FORMAT,
        "versions": {name: version(name) for name in ("openvino", "torch", "timm")},
        "weights": config.sha256[WEIGHTS],
        "words": len(bundle.vocabulary),
    }
    if isinstance(config, TextConfig):
        depends_on["network"] = asdict(config.network)
    else:
        depends_on["size"] = config.preprocessing.size
        depends_on["encoder"] = asdict(config.encoder)
        depends_on["decoder"] = asdict(config.decoder)
    digest = hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()
    return cache_folder() / "openvino" / digest[:32]


def export_in_process(bundle: AnyBundle) -> Path:
    """Export a bundle's graphs in this process, and return their folder."""
    folder = _folder(bundle)
    try:
        with atomic_folder(folder) as temporary:
            for graph in _graphs(bundle):
                _save(graph, temporary / f"{graph.name}.xml")
    except OSError:
        if exported_folder(bundle) is None:  # otherwise another process was faster
            raise
    return folder


def _save(graph: Graph, path: Path) -> None:
    openvino = openvino_module()
    model = openvino.convert_model(graph.program)
    inputs = {f"{WEIGHT}{name}": shape for name, shape in graph.weights.items()} | graph.inputs
    for port, name in zip(model.inputs, inputs, strict=True):
        port.get_tensor().set_names({name})
        port.get_node().set_friendly_name(name)
    for port, name in zip(model.outputs, graph.outputs, strict=True):
        port.get_tensor().set_names({name})
    # The conversion forgets fixed sizes, and speed depends on them.
    model.reshape({name: list(shape) for name, shape in inputs.items()})
    model.set_rt_info(json.dumps([astuple(norm) for norm in graph.norms]), NORMS)
    openvino.save_model(model, path, compress_to_fp16=False)


def _graphs(bundle: AnyBundle) -> list[Graph]:
    # Here, since they import PyTorch.
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
    for _bundle in sys.argv[1:]:
        export_in_process(_load(Path(_bundle)))
