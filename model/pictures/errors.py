"""Why a picture file cannot be read.

UnreadablePicture         damaged, or cut short
├── UnsupportedPicture    not a picture, or of a kind that is not read
└── OversizedPicture      over a limit on pixels, sides, time or memory
    └── CostlyPicture     a small file that takes long, or much memory, to decode
"""

__all__ = ["CostlyPicture", "OversizedPicture", "UnreadablePicture", "UnsupportedPicture"]


class UnreadablePicture(OSError):
    """A file that is damaged or cut short; an `OSError`, as Pillow's own errors are."""


class UnsupportedPicture(UnreadablePicture):
    """A file that is not a picture, or a sound one of a kind that is not read."""


class OversizedPicture(UnreadablePicture):
    """A picture with more pixels, or longer sides, than are accepted."""


class CostlyPicture(OversizedPicture):
    """A picture that would take too much time or memory to decode."""
