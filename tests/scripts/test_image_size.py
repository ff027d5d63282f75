"""The sum of what an image holds."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_files_are_summed_by_package(tmp_path: Path) -> None:
    specification = importlib.util.spec_from_file_location(
        "image_size", ROOT / "scripts" / "image_size.py"
    )
    script = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(script)
    packages = tmp_path / "lib" / "python3.12" / "site-packages"
    for name, size in (("one/a.py", 5), ("one/b/c.py", 7), ("two.py", 3), ("../../../bin/x", 2)):
        path = packages / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    (packages / "link").symlink_to(packages / "two.py")
    assert script.sizes_by_package(tmp_path) == {"one": 12, "two.py": 3, "bin/": 2}
