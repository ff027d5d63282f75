"""A store of pictures by file name, in folders or tar shards.

Tar members are read in place: nothing is unpacked to disk, and no path inside a tar is followed.
"""

import glob
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from model.pictures.decode import open_picture

__all__ = ["PictureStore"]


@dataclass(frozen=True)
class _Location:
    path: Path
    offset: int = 0
    length: int | None = None  # None: the whole file


class PictureStore:
    """Pictures by the last part of their name.

    Args:
        sources: folders (searched recursively), `.tar` files, or glob patterns of either.

    Raises:
        FileNotFoundError: a source matches nothing.
        ValueError: a source is neither a folder nor an uncompressed tar file.
    """

    def __init__(self, sources: Sequence[str | Path]) -> None:
        self._locations: dict[str, _Location] = {}
        for source in sources:
            matches = sorted(glob.glob(str(source), recursive=True))  # noqa: PTH207 - absolute patterns
            if not matches:
                raise FileNotFoundError(f"no folder or tar file at {source}")
            for match in map(Path, matches):
                self._add_folder(match) if match.is_dir() else self._add_tar(match)

    def _add_folder(self, folder: Path) -> None:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self._locations[path.name] = _Location(path)

    def _add_tar(self, path: Path) -> None:
        try:
            with tarfile.open(path, mode="r:") as tar:
                for member in tar:
                    if member.isfile():
                        location = _Location(path, member.offset_data, member.size)
                        self._locations[Path(member.name).name] = location
        except tarfile.TarError as error:
            raise ValueError(f"{path} is not a complete, uncompressed tar file: {error}") from error

    def __contains__(self, filename: str) -> bool:
        return filename in self._locations

    def read(self, filename: str) -> Image.Image:
        """Read one picture, upright and in RGB.

        Raises:
            KeyError: no source has it.
            OSError: the picture is damaged or in another format; the message names it.
        """
        location = self._locations[filename]
        with location.path.open("rb") as file:
            file.seek(location.offset)
            content = file.read(-1 if location.length is None else location.length)
        try:
            return open_picture(content).decode()
        except OSError as error:
            raise OSError(
                f"{filename} in {location.path} is not a complete picture: {error}"
            ) from error
