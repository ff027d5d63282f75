"""Arrays in a file come back as they were."""

from pathlib import Path

import numpy as np
import pytest

from model.bundle.tensors import arrays_bytes, read_arrays


@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_written_whatever_their_order_in_memory(tmp_path: Path, order: str) -> None:
    given = {
        "table": np.array(np.arange(12).reshape(3, 4), np.int8, order=order),  # type: ignore[call-overload]
        "turned": np.arange(24, dtype=np.float16).reshape(2, 3, 4).transpose(2, 0, 1),
        "every other": np.arange(9, dtype=np.float32)[::2],
    }
    (tmp_path / "file").write_bytes(arrays_bytes(given))
    found = read_arrays(tmp_path / "file")
    assert found.keys() == given.keys()
    for name, array in given.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype
