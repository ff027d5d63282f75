"""Find the bundles in a weights folder, reading only their configurations."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.bundle.format import CONFIG, BundleError
from model.bundle.read import read_config

__all__ = [
    "FINISHED",
    "SHIPPED_WEIGHTS",
    "UNFINISHED",
    "BundleFolders",
    "BundleSummary",
    "bundle_folder",
    "captioner_folder",
    "find_bundle_folders",
    "is_text_bundle",
    "list_bundles",
]

# Next to the packages, both in the repository and where they are installed.
SHIPPED_WEIGHTS = Path(__file__).resolve().parents[2] / "weights"


# In the folder of a training run: the bundle it ends with, and the one to try before that.
FINISHED, UNFINISHED = "bundle", "unfinished"


@dataclass(frozen=True)
class BundleSummary:
    """What `unrolled models` shows of a bundle; `size` is that of all files, in bytes."""

    name: str
    kind: str
    version: str
    size: int
    scores: dict[str, Any]
    folder: str


@dataclass(frozen=True)
class BundleFolders:
    """The bundles that a service loads: at most one captioner, any number of language models."""

    captioner: Path | None
    language_models: tuple[Path, ...]


def captioner_folder(weights: Path) -> Path:
    """Return the captioner's bundle: `weights` or a run's bundle in it, else `weights/captioner`.

    Raises:
        ValueError: `weights` is the folder of a run that has not written a bundle yet.
    """
    return _bundle_in(weights) or weights / "captioner"


def find_bundle_folders(weights: Path) -> BundleFolders:
    """Find `captioner/` and every folder in `text/`, or take `weights` as the one bundle.

    A folder in either place counts, whatever it contains: loading it reports what is wrong.

    Raises:
        ValueError: there is no bundle.
    """
    if bundle := _bundle_in(weights):
        one = (bundle,)
        return BundleFolders(None, one) if is_text_bundle(bundle) else BundleFolders(bundle, ())
    captioner, text = weights / "captioner", weights / "text"
    language_models = sorted(p for p in text.glob("[!.]*") if p.is_dir())
    if not captioner.is_dir() and not language_models:
        raise ValueError(
            f"there is no bundle in {weights}: a weights folder contains captioner/ or text/NAME/, "
            "or is a bundle itself"
        )
    return BundleFolders(captioner if captioner.is_dir() else None, tuple(language_models))


def bundle_folder(model: str, weights: Path) -> Path:
    """Find a bundle by its path or its run's, or by its folder's name in `weights`.

    Raises:
        ValueError: there is no such bundle; the message lists the ones in `weights`.
    """
    if bundle := _bundle_in(Path(model)):
        return bundle
    try:
        folders = find_bundle_folders(weights)
    except ValueError as error:
        raise ValueError(f"{model} is not a bundle's folder, and {error}") from error
    by_name = {p.name: p for p in (folders.captioner, *folders.language_models) if p is not None}
    if model not in by_name:
        raise ValueError(
            f"there is no model {model!r} in {weights}: choose from "
            f"{', '.join(map(repr, by_name))}, or give a bundle's folder"
        )
    return by_name[model]


def _bundle_in(folder: Path) -> Path | None:
    """Return a folder that is a bundle, or the newest bundle of the training run in it.

    Raises:
        ValueError: a run in it has not written a bundle yet.
    """
    # A run has an unfinished bundle only while its latest training has not ended.
    for bundle in (folder, folder / UNFINISHED, folder / FINISHED):
        if (bundle / CONFIG).exists():
            return bundle
    if (folder / "recipe.json").exists():
        raise ValueError(
            f"the training run in {folder} has not written weights yet: the first come with its "
            "first checkpoint, after a minute of training"
        )
    return None


def is_text_bundle(folder: Path) -> bool:
    """Check whether a bundle is a language model's; one that cannot be read is not."""
    try:
        return read_config(folder).kind == "text"
    except BundleError:
        return False


def list_bundles(weights: Path) -> list[BundleSummary]:
    """Summarise every bundle in `weights`, at any depth, ordered by folder.

    Raises:
        ValueError: there is no bundle, or a `config.json` is invalid.
    """
    folders = [path.parent for path in sorted(weights.rglob(CONFIG))]
    if not folders:
        raise ValueError(f"there is no bundle in {weights}: give the folder with --weights")
    return [_summarise(folder) for folder in folders]


def _summarise(folder: Path) -> BundleSummary:
    config = read_config(folder)
    return BundleSummary(
        name=config.name,
        kind=config.kind,
        version=config.version,
        size=sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
        scores=config.scores,
        folder=str(folder),
    )
