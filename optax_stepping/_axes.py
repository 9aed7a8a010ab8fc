"""Explicit mesh axes."""

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec


def jit_on_any_mesh(rates_at: Callable) -> Any:
    """``jax.jit`` that also takes leaves and counts with explicit mesh axes.

    The axes are traced as automatic ones, and the result is sharded like the counts. With explicit
    axes, JAX has to be told how each lookup is sharded, and it cannot be told under ``vmap``.
    """

    @jax.jit
    @functools.wraps(rates_at)
    def wrapped(boundaries, rates, ramps, counts):
        arguments = boundaries, rates, ramps, counts
        meshes = [mesh for mesh in map(_mesh, arguments) if _explicit_axes(mesh)]
        if not meshes:
            return rates_at(*arguments)
        spec = jax.typeof(counts).sharding.spec if _mesh(counts) in meshes else PartitionSpec()
        automatic: Any = jax.sharding.auto_axes(
            rates_at,
            axes=_explicit_axes(meshes[0]),
            out_sharding=NamedSharding(meshes[0], spec),
        )
        return automatic(*arguments)

    return wrapped


def _mesh(leaf) -> Any:
    has_explicit_axes = hasattr(jax.sharding, "auto_axes")  # from JAX 0.7 on
    is_array = isinstance(leaf, jax.Array)
    return jax.typeof(leaf).sharding.mesh if has_explicit_axes and is_array else None


def _explicit_axes(mesh):
    explicit = jax.sharding.AxisType.Explicit
    types = zip(mesh.axis_names, mesh.axis_types, strict=True) if mesh else ()
    return tuple(name for name, axis_type in types if axis_type == explicit)
