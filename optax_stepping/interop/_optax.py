"""Schedules of Optax itself."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from optax_stepping._checks import integer
from optax_stepping._manual_stepping import manual_stepping
from optax_stepping._schedule import SteppingSchedule


def from_optax(
    init_value: float,
    boundaries_and_scales: Mapping[int, float] | None = None,
    *,
    interpolate: bool = False,
) -> SteppingSchedule:
    """The arguments of ``optax.piecewise_constant_schedule``.

    The scales are cumulative: each multiplies the rate before it, in float32 as there.

    Args:
      init_value: the first rate.
      boundaries_and_scales: scales by step, in any order; None for a constant.
      interpolate: True for ``optax.piecewise_interpolate_schedule("linear", ...)``.

    Returns:
      The schedule, in steps of the optimizer.

    Raises:
      ValueError: a negative scale, which Optax refuses too, or a negative step.
      TypeError: a step that is no integer, or no mapping.

    Example:
      >>> from optax_stepping import interop
      >>> interop.from_optax(0.5, {100: 0.1, 200: 0.5})
      SteppingSchedule(boundaries=[100, 200], rates=[0.5, 0.05, 0.025], ramps=[False, False])
    """
    if boundaries_and_scales is not None and not isinstance(boundaries_and_scales, Mapping):
        raise TypeError(f"boundaries_and_scales must be a dict, got {boundaries_and_scales!r}.")
    dtype = np.dtype(jnp.result_type(float))
    boundaries, rates = [], [dtype.type(init_value)]
    for step, scale in sorted((boundaries_and_scales or {}).items()):
        step = integer("boundaries_and_scales: step", step)
        if step < 0 or not scale >= 0:
            raise ValueError(
                f"boundaries_and_scales: steps and scales must not be negative, got "
                f"{{{step}: {scale}}}."
            )
        rate = rates[-1] * dtype.type(scale)
        if step == 0:
            rates[-1] = rate
        else:
            boundaries.append(step)
            rates.append(rate)
    return manual_stepping(boundaries, rates, interpolate=interpolate)
