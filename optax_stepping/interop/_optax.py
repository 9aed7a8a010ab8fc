"""Schedules of Optax itself."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from optax_stepping._arguments import integer, real, shown
from optax_stepping._manual_stepping import manual_stepping
from optax_stepping._pieces import to_schedule
from optax_stepping._schedule import SteppingSchedule
from optax_stepping.interop._factors import last_step, staircase, until


def from_optax(
    init_value: float,
    boundaries_and_scales: Mapping[int, float] | None = None,
    *,
    interpolate: bool = False,
) -> SteppingSchedule:
    """The arguments of ``optax.piecewise_constant_schedule``; compared with it, called.

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
        raise TypeError(
            f"boundaries_and_scales must be a dict, got {shown(boundaries_and_scales)}; write "
            f"{{1000: 0.1}}."
        )
    scales = {
        integer("boundaries_and_scales: step", step): real(
            f"boundaries_and_scales[{step!r}]", scale, "0.1"
        )
        for step, scale in (boundaries_and_scales or {}).items()
    }
    dtype = np.dtype(jnp.result_type(float))
    boundaries, rates = [], [dtype.type(real("init_value", init_value, "0.1"))]
    for step, scale in sorted(scales.items()):
        if scale < 0:
            raise ValueError(
                f"boundaries_and_scales[{step}] must not be negative, got {scale}; write what the "
                f"rate is multiplied by, such as 0.1."
            )
        rate = rates[-1] * dtype.type(scale)
        if step == 0:
            rates = [rate]
        else:
            boundaries.append(step)
            rates.append(rate)
    return manual_stepping(boundaries, rates, interpolate=interpolate)


def from_optax_exponential_decay(
    init_value: float,
    transition_steps: int,
    decay_rate: float,
    transition_begin: int = 0,
    *,
    end_value: float | None = None,
    total_steps: int | None = None,
) -> SteppingSchedule:
    """The arguments of ``optax.exponential_decay``, as a staircase; compared with it, called.

    Args:
      init_value: the first rate.
      transition_steps: the length of a stage, in optimizer steps.
      decay_rate: the factor from stage to stage, positive.
      transition_begin: where the decay starts.
      end_value: the bound of the decay: from below if ``decay_rate`` is below 1, from above
        otherwise.
      total_steps: leave out stages that start at this step or later; without it, there are as
        many as it takes until the rate vanishes in float32, at most 10,000.

    Returns:
      The schedule, in steps of the optimizer.

    Raises:
      ValueError: a number out of its range, too many stages.
      TypeError: an argument that is no number.

    Example:
      >>> from optax_stepping import interop
      >>> interop.from_optax_exponential_decay(0.5, 100, 0.5, total_steps=250)
      SteppingSchedule(boundaries=[100, 200], rates=[0.5, 0.25, 0.125], ramps=[False, False])
    """
    rate, gamma = real("init_value", init_value, "0.1"), real("decay_rate", decay_rate, "0.9")
    if gamma <= 0:
        raise ValueError(f"decay_rate must be positive, got {gamma}; write 0.9, say.")
    period = integer("transition_steps", transition_steps, low=1)
    begin, end = integer("transition_begin", transition_begin), last_step(total_steps)
    bound = None if end_value is None else real("end_value", end_value, "1e-6")
    pieces = until(staircase(rate, period, gamma, begin, end, bound or 0.0), end)
    if bound is not None:
        limit = max if gamma < 1 else min
        pieces = [piece._replace(value=limit(piece.value, bound)) for piece in pieces]
    return to_schedule(pieces)
