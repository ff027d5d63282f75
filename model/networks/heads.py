"""Vectors laid out by the heads of attention, each of which reads its own slice of every vector.

Works on NumPy's arrays and PyTorch's. Knows axes; knows nothing of what the vectors say.
"""

from array_api_compat import array_namespace

from model.arrays import Array

__all__ = ["by_heads", "keys_by_heads", "lay_out"]


def by_heads(vectors: Array, heads: int) -> Array:
    """(batch, n, size) -> (batch, heads, n, size / heads)."""
    return array_namespace(vectors).permute_dims(_sliced(vectors, heads), (0, 2, 1, 3))


def keys_by_heads(keys: Array, heads: int) -> Array:
    """For products with queries: (batch, n, size) -> (batch, heads, size / heads, n)."""
    return array_namespace(keys).permute_dims(_sliced(keys, heads), (0, 2, 3, 1))


def lay_out(named: dict[str, Array], heads: int) -> dict[str, Array]:
    """Lay out the `keys` and `values` among a picture's parts; the others stay as they are."""
    keys, values = keys_by_heads(named["keys"], heads), by_heads(named["values"], heads)
    return named | {"keys": keys, "values": values}


def _sliced(vectors: Array, heads: int) -> Array:
    batch, count, size = vectors.shape
    return array_namespace(vectors).reshape(vectors, (batch, count, heads, size // heads))
