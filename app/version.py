"""Which version of Unrolled this is, as the installed distribution says."""

from importlib.metadata import PackageNotFoundError, version

__all__ = ["VERSION"]

try:
    VERSION = version("unrolled")
except PackageNotFoundError:  # run from a clone that was never installed
    VERSION = "0+uninstalled"
