"""The version of Unrolled, from the installed distribution."""

from importlib.metadata import PackageNotFoundError, version

__all__ = ["VERSION"]

try:
    VERSION = version("unrolled")
except PackageNotFoundError:  # run from a clone that is not installed
    VERSION = "0+uninstalled"
