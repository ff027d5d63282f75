"""Which bundles lie in the weights folder.

Reads their configurations alone, so that listing them is quick; `model.bundle` loads them.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["BundleSummary", "captioner_folder", "list_bundles"]

CONFIG = "config.json"


@dataclass(frozen=True)
class BundleSummary:
    """What `unrolled models` shows of a bundle; `size` in bytes, all files together."""

    name: str
    kind: str
    version: str
    size: int
    scores: dict[str, Any]
    folder: str


def captioner_folder(weights: Path) -> Path:
    """Give the captioner's bundle: `weights` itself if it is one, else `weights/captioner`."""
    return weights if (weights / CONFIG).exists() else weights / "captioner"


def list_bundles(weights: Path) -> list[BundleSummary]:
    """Summarise every bundle in `weights`, at any depth, by folder.

    Raises:
        ValueError: there is no bundle, or a `config.json` cannot be read as one.
    """
    found = [_summarise(path) for path in sorted(weights.rglob(CONFIG))]
    if not found:
        raise ValueError(f"there is no bundle in {weights}: give the folder with --weights")
    return found


def _summarise(path: Path) -> BundleSummary:
    folder = path.parent
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        return BundleSummary(
            name=config["name"],
            kind=config["kind"],
            version=config["version"],
            size=sum(file.stat().st_size for file in folder.iterdir() if file.is_file()),
            scores=config["scores"],
            folder=str(folder),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no bundle's configuration: {error!r}") from error
