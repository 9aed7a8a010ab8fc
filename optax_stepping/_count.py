"""Counts of any kind, as whole optimizer steps."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optax_stepping._arguments import INT32_MAX, bad_kind, in_native_order, is_real, shown


def on_host(count: Any) -> tuple[Any, Any]:
    """``count`` as something that JAX takes without loss, and where it is NaN (or None). Without
    x64, JAX would round a float64 count to float32 and cut the upper half off an int64.
    """
    if hasattr(count, "__jax_array__"):
        return count.__jax_array__(), None
    if isinstance(count, int) and not isinstance(count, bool):
        return min(max(count, 0), INT32_MAX), None
    numbers = bool | float | np.ndarray | np.generic
    if not isinstance(count, numbers) or isinstance(count, np.ma.MaskedArray):
        write = "write an int, or an array such as jnp.arange(10)"
        raise bad_kind("count", "be a number or an array of numbers", shown(count), write)
    count = in_native_order(np.asarray(count))
    _check_dtype(count.dtype)
    if count.dtype.itemsize < 8:
        return count, None
    unknown = np.isnan(count)
    whole = np.clip(np.where(unknown, 0, count), 0, INT32_MAX).astype(np.int32)
    return whole, unknown if unknown.any() else None


def whole_steps(counts: jax.Array) -> jax.Array:
    """As int32; fractions are rounded down, and later, negative counts read as 0."""
    _check_dtype(counts.dtype)
    if jnp.issubdtype(counts.dtype, jnp.floating):
        counts = counts.astype(at_least_single(counts.dtype))
        small = jnp.where(counts < 2.0**31, jnp.maximum(counts, 0), 0).astype(jnp.int32)
        return jnp.where(counts >= 2.0**31, INT32_MAX, small)
    if jnp.iinfo(counts.dtype).max > INT32_MAX:
        counts = jnp.clip(counts, 0, INT32_MAX)
    return counts.astype(jnp.int32)


def at_least_single(dtype: Any) -> Any:
    # A schedule made under x64 may be used without it.
    return jnp.result_type(float) if dtype == jnp.float64 else jnp.float32


def _check_dtype(dtype: np.dtype) -> None:
    if not is_real(dtype):
        must = "have an integer or floating dtype"
        raise bad_kind("count", must, dtype, "counts are optimizer steps: write 0, 1, 2")
