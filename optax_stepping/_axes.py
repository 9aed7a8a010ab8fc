"""Explicit mesh axes."""

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec


def jit_on_any_mesh(rates_at: Callable) -> Any:
    """``jax.jit``, for leaves and counts with explicit mesh axes, too.

    These are traced as automatic ones, and the result is sharded as the counts are: with explicit
    ones, JAX has to be told how what it looks up is sharded, and under ``vmap`` cannot be.
    """

    @jax.jit
    @functools.wraps(rates_at)
    def wrapped(boundaries, rates, ramps, counts, unknown=None):
        arguments = boundaries, rates, ramps, counts, unknown
        meshes = [mesh for mesh in map(_explicit_mesh, arguments[:4]) if mesh]
        if not meshes:
            return rates_at(*arguments)
        spec = jax.typeof(counts).sharding.spec if _explicit_mesh(counts) else PartitionSpec()
        out_sharding = NamedSharding(meshes[0], spec)
        automatic: Any = jax.sharding.auto_axes(rates_at, out_sharding=out_sharding)
        return automatic(*arguments)

    return wrapped


def _explicit_mesh(leaf):
    if not hasattr(jax.sharding, "auto_axes"):  # before JAX 0.7
        return None
    mesh = jax.typeof(leaf).sharding.mesh
    return mesh if jax.sharding.AxisType.Explicit in mesh.axis_types else None
