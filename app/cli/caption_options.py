"""Options that `unrolled caption` and `unrolled watch` share, and which of them go together."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.bulk.formats import OptionalFields, OutputFormat
from app.bulk.sidecars import SidecarKind
from app.cli.options import invalid_options
from model.bundle.format import WEIGHTS
from model.captioning.wording import WordingConfig
from model.config import MOST_FRAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from model.captioning.captioner import Captioner
    from model.config import DecodingConfig

__all__ = [
    "BatchSize",
    "Frames",
    "OutputFormatName",
    "SidecarKinds",
    "WithTags",
    "available_fields",
    "check_arguments",
    "check_frames",
    "check_ray_options",
    "merge_options",
    "output_settings",
]

BatchSize = Annotated[
    int | None,
    typer.Option(
        min=1, max=1024, help="How many pictures to caption at once; by default 8, on a GPU 128."
    ),
]
OutputFormatName = Annotated[
    OutputFormat | None,
    typer.Option(
        "--format", help="The output format; by default from the suffix of --output, else text."
    ),
]
SidecarKinds = Annotated[
    list[SidecarKind],
    typer.Option(
        help="Write captions beside each picture: txt (a.txt), xmp (a.jpg.xmp) or xmp-stem "
        "(a.xmp); repeatable."
    ),
]
WithTags = Annotated[
    bool, typer.Option("--tags", help="Put what is in the picture into XMP sidecars as tags.")
]
Frames = Annotated[
    int,
    typer.Option(
        min=1,
        max=MOST_FRAMES,
        help="How many frames to caption of each animation, film or TIFF of several pages, spread "
        "over it; 1 takes the first.",
    ),
]


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
            "--gender-neutral, --resume, --format, --sidecar, --tags, --frames or --device: the "
            "output's suffix decides the format, and the cluster the devices"
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


def merge_options(
    captioner: Captioner,
    decoding_options: dict[str, Any],
    wording_options: dict[str, Any],
    *,
    image_gain: bool = False,
    tags: bool = False,
) -> tuple[DecodingConfig, WordingConfig]:
    """Merge the options into the bundle's defaults, and check that it supports them.

    Raises:
        BadParameter: it does not, or an option is out of range.
    """
    with invalid_options():
        decoding = captioner.config.decoding.merge(**decoding_options)
        wording = WordingConfig().merge(**wording_options)
        captioner.check_support(
            decoding,
            image_gain=image_gain,
            tags=tags,
            min_confidence=wording.min_confidence is not None,
        )
    return decoding, wording


def available_fields(
    captioner: Captioner, wording: WordingConfig, *, image_gain: bool = False
) -> OptionalFields:
    """Return which fields of a caption its rows have."""
    return OptionalFields(
        confidence=captioner.config.calibration is not None,
        agreement=captioner.has_consensus,
        image_gain=image_gain,
        alt_text=wording.style == "alt",
    )


def check_frames(frames: int, wording: dict[str, Any]) -> None:
    """Check that clips can be put into words so.

    Raises:
        ValueError: they cannot.
    """
    if frames > 1 and wording.get("min_confidence") is not None:
        raise ValueError(
            "--min-confidence does not go with --frames: the caption of a clip has no confidence, "
            "which is calibrated for pictures"
        )


def output_settings(
    captioner: Captioner,
    decoding: DecodingConfig,
    optional_fields: OptionalFields,
    wording: WordingConfig,
    frames: int = 1,
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
        **({"frames": frames} if frames > 1 else {}),
    }
