"""Print what an image of the container holds, package by package, in MB.

    python3 -m venv /tmp/unrolled && /tmp/unrolled/bin/pip install -c constraints.txt .
    python3 scripts/image_size.py /tmp/unrolled

The image copies this environment as it is (see Dockerfile); the base image with Python comes on
top. Bytecode counts, and so do the weights, which are installed beside the packages.
"""

import argparse
from collections import Counter
from pathlib import Path


def main() -> None:
    """Print the largest packages and the sum."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("environment", type=Path, help="a virtual environment")
    parser.add_argument("--top", type=int, default=10, help="how many packages to name")
    arguments = parser.parse_args()

    sizes = sizes_by_package(arguments.environment)
    for name, size in sizes.most_common(arguments.top):
        print(f"{size / 1e6:8.1f}  {name}")
    others = sizes.total() - sum(size for _, size in sizes.most_common(arguments.top))
    print(f"{others / 1e6:8.1f}  others\n{sizes.total() / 1e6:8.1f}  in all")


def sizes_by_package(environment: Path) -> Counter[str]:
    """Sum the files' bytes by the folder of `site-packages`, or of the environment, they are in."""
    (packages,) = environment.glob("lib/python*/site-packages")
    sizes: Counter[str] = Counter()
    for path in environment.rglob("*"):
        if path.is_file() and not path.is_symlink():
            inside = path.is_relative_to(packages)
            place = path.relative_to(packages if inside else environment).parts[0]
            sizes[place if inside else f"{place}/"] += path.stat().st_size
    return sizes


if __name__ == "__main__":
    main()
