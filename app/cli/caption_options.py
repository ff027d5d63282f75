"""Which options of `unrolled caption` go together."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from app.bulk.sidecars import SidecarKind
from model.bundle.format import WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from app.bulk.formats import OptionalFields
    from model.captioning.captioner import Captioner
    from model.captioning.wording import WordingConfig
    from model.config import DecodingConfig

__all__ = ["check_arguments", "check_ray_options", "output_settings"]


def check_ray_options(paths: list[str], output: str | None, only_local: Sequence[object]) -> None:
    """Check the options that go with --ray.

    Raises:
        ValueError: one is missing, or must be left out.
    """
    if len(paths) != 1 or not paths[0] or output is None:
        raise ValueError("--ray needs exactly one PATH, and --output")
    if any(option is not None and option is not False and option != [] for option in only_local):
        raise ValueError(
            "--ray cannot be combined with --image-gain, --style, --min-confidence, --below, "
            "--gender-neutral, --resume, --format, --sidecar, --tags or --device: the output's "
            "suffix decides the format, and the cluster the devices"
        )


def check_arguments(
    paths: list[str],
    output: str | None,
    sidecar: Sequence[SidecarKind],
    *,
    resume: bool,
    overwrite: bool,
    tags: bool,
) -> None:
    """Check that every path can name a file, and that outputs and sidecars can be written.

    Raises:
        ValueError: it cannot.
    """
    from app.bulk import find  # noqa: PLC0415

    find.check_arguments(paths)
    if resume and output is None:
        raise ValueError("--resume needs --output, the file to continue")
    if resume and "-" in paths:
        raise ValueError("--resume cannot be combined with -: standard input has no name")
    if sidecar and "-" in paths:
        raise ValueError("--sidecar cannot be combined with -: standard input has no folder")
    if tags and not {SidecarKind.XMP, SidecarKind.XMP_STEM} & set(sidecar):
        raise ValueError("--tags needs --sidecar xmp or xmp-stem, which hold tags")
    if overwrite and not sidecar:
        raise ValueError(
            "--overwrite needs --sidecar, whose captions it replaces; an --output is never "
            "overwritten"
        )


def output_settings(
    captioner: Captioner,
    decoding: DecodingConfig,
    optional_fields: OptionalFields,
    wording: WordingConfig,
) -> dict[str, Any]:
    """Return everything that decides what captions come out: an output is made with one set."""
    config = captioner.config
    return {
        "model": config.name,
        "version": config.version,
        "weights": config.sha256.get(WEIGHTS),
        **asdict(decoding),
        **asdict(optional_fields),
        **asdict(wording),
    }
