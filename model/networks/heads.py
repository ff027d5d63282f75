"""Split vectors by attention heads, each of which reads its own slice of every vector.

Works on NumPy arrays and PyTorch tensors.
"""

from array_api_compat import array_namespace

from model.arrays import Array

__all__ = ["split_context_heads", "split_heads", "split_keys"]


def split_heads(vectors: Array, heads: int) -> Array:
    """Split vectors by heads: (batch, n, size) -> (batch, heads, n, size / heads)."""
    return array_namespace(vectors).permute_dims(_slice(vectors, heads), (0, 2, 1, 3))


def split_keys(keys: Array, heads: int) -> Array:
    """Split keys for products with queries: (batch, n, size) -> (batch, heads, size / heads, n)."""
    return array_namespace(keys).permute_dims(_slice(keys, heads), (0, 2, 3, 1))


def split_context_heads(arrays: dict[str, Array], heads: int) -> dict[str, Array]:
    """Split the `keys` and `values` among a context's arrays; the others stay as they are."""
    keys, values = split_keys(arrays["keys"], heads), split_heads(arrays["values"], heads)
    return arrays | {"keys": keys, "values": values}


def _slice(vectors: Array, heads: int) -> Array:
    batch, count, size = vectors.shape
    return array_namespace(vectors).reshape(vectors, (batch, count, heads, size // heads))
