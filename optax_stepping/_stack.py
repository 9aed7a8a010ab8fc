"""Many schedules in one: a leading batch axis, for ``jax.vmap``; and room for stages."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from optax_stepping._schedule import SteppingSchedule, pad_stages


def stack(
    schedules: Sequence[SteppingSchedule], *, num_stages: int | None = None
) -> SteppingSchedule:
    """Stacks schedules into one with a leading batch axis, ready for ``jax.vmap``.

    Schedules with fewer stages are padded at the front, with stages of no length: that
    changes no rate at any count. Ramping and holding schedules mix. A stack can be stacked
    again, which gives a grid two axes; members of a stack must have equal batch shapes.

    Args:
      schedules: list or tuple of schedules, or of stacks of one batch shape, with rates of
        one dtype.
      num_stages: pad all to this number of stages; by default to the largest among them.
        With a fixed number, sweeps of different shapes run in one compiled program.

    Returns:
      A ``SteppingSchedule`` with boundaries ``(k, ..., num_stages - 1)``, rates
      ``(k, ..., num_stages)`` and ramps ``(k, ..., num_stages - 1)`` for ``k`` schedules.

    Raises:
      ValueError: no schedules, unequal batch shapes, or more stages than ``num_stages``.
      TypeError: something is not a schedule, or the rates differ in dtype.

    Example:
      >>> import jax, optax_stepping
      >>> short = optax_stepping.manual_stepping([100], [0.1, 0.01])
      >>> long = optax_stepping.manual_stepping([50, 100], [0.3, 0.2, 0.1])
      >>> batch = optax_stepping.stack([short, long])
      >>> batch.rates.shape
      (2, 3)
      >>> print(jax.vmap(lambda schedule: schedule(75))(batch))
      [0.1 0.2]
    """
    schedules = _checked(schedules)
    if num_stages is None:
        num_stages = max(schedule.rates.shape[-1] for schedule in schedules)
    padded = [pad(schedule, num_stages) for schedule in schedules]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *padded)


def unstack(batch: SteppingSchedule) -> list[SteppingSchedule]:
    """The schedules of a stack, as a list; the inverse of :func:`stack`.

    Args:
      batch: a ``SteppingSchedule`` with a leading batch axis, not a tracer.

    Returns:
      The members along the first axis. Single schedules come without padding; of a stack
      of stacks, the inner stacks.

    Raises:
      ValueError: ``batch`` has no batch axis.
      TypeError: ``batch`` is no ``SteppingSchedule``.

    Example:
      >>> import optax_stepping
      >>> constant = optax_stepping.manual_stepping([], [0.1])
      >>> stepped = optax_stepping.manual_stepping([100], [0.1, 0.01])
      >>> optax_stepping.unstack(optax_stepping.stack([constant, stepped]))[0]
      SteppingSchedule(boundaries=[], rates=[0.1], ramps=[])
    """
    _check_schedule("batch", batch)
    if np.ndim(batch.rates) < 2:
        raise ValueError(f"batch must have a batch axis, got the single schedule {batch!r}.")
    members = [jax.tree.map(lambda leaf, i=i: leaf[i], batch) for i in range(len(batch.rates))]
    return [unpad(member) if member.rates.ndim == 1 else member for member in members]


def pad(schedule: SteppingSchedule, num_stages: int) -> SteppingSchedule:
    """Pads a schedule at the front, with stages of no length, which changes no rate.

    In the optimizer state, a padded schedule leaves room for stages to be added later
    without a new compilation. ``repr`` shows padding as boundaries at 0; ``describe``
    leaves it out.

    Args:
      schedule: a schedule, or a stack of them.
      num_stages: the number of stages wanted, a warmup counting as one.

    Returns:
      The schedule with rates of shape ``(..., num_stages)``.

    Raises:
      ValueError: the schedule has more stages already.
      TypeError: ``num_stages`` is no integer, or ``schedule`` no ``SteppingSchedule``.

    Example:
      >>> import optax_stepping
      >>> optax_stepping.pad(optax_stepping.manual_stepping([100], [0.1, 0.01]), 4)
      SteppingSchedule(boundaries=[0, 0, 100], rates=[0.1, 0.1, 0.1, 0.01],
                       ramps=[False, False, False])
    """
    _check_schedule("schedule", schedule)
    if isinstance(num_stages, bool) or not isinstance(num_stages, int | np.integer):
        raise TypeError(f"num_stages must be an integer, got {num_stages!r}; write it as 8.")
    present = schedule.rates.shape[-1]
    if num_stages < present:
        raise ValueError(
            f"num_stages = {num_stages} is too small for a schedule of {present} stages (a "
            f"warmup counts as one); write num_stages={present} or more."
        )
    return pad_stages(schedule, num_stages - present)


def unpad(schedule: SteppingSchedule) -> SteppingSchedule:
    """A single schedule without its padding; the inverse of :func:`pad`.

    Args:
      schedule: one schedule, not a tracer.

    Returns:
      The schedule without leading stages of no length.

    Raises:
      ValueError: ``schedule`` is a batch.
      TypeError: ``schedule`` is no ``SteppingSchedule``.

    Example:
      >>> import optax_stepping
      >>> schedule = optax_stepping.manual_stepping([100], [0.1, 0.01])
      >>> optax_stepping.unpad(optax_stepping.pad(schedule, 4)) == schedule
      True
    """
    _check_schedule("schedule", schedule)
    if np.ndim(schedule.boundaries) != 1:
        raise ValueError(
            f"schedule must be one schedule, got a batch of shape "
            f"{np.shape(schedule.boundaries)[:-1]}; take its members from unstack(batch)."
        )
    # Only padding has boundaries at 0: those of a schedule are positive.
    padding = int(np.count_nonzero(np.asarray(schedule.boundaries) == 0))
    return jax.tree.map(lambda leaf: leaf[padding:], schedule)


def _check_schedule(name: str, schedule: Any) -> None:
    if not isinstance(schedule, SteppingSchedule):
        raise TypeError(
            f"{name} must be a SteppingSchedule, got {schedule!r} of type "
            f"{type(schedule).__name__}; write manual_stepping(boundaries, rates)."
        )


def _checked(schedules: Sequence[SteppingSchedule]) -> list[SteppingSchedule]:
    if isinstance(schedules, SteppingSchedule) or not isinstance(schedules, list | tuple):
        raise TypeError(
            f"schedules must be a list of schedules, got {schedules!r}; write [schedule, ...]."
        )
    if not schedules:
        raise ValueError("schedules must not be empty; write stack([schedule, ...]).")
    for i, schedule in enumerate(schedules):
        _check_schedule(f"schedules[{i}]", schedule)
        first = schedules[0]
        if schedule.rates.dtype != first.rates.dtype:
            raise TypeError(
                f"schedules must have rates of one dtype, got {first.rates.dtype} in "
                f"schedules[0] and {schedule.rates.dtype} in schedules[{i}]; build them all "
                f"with, or all without, jax_enable_x64."
            )
        if schedule.rates.shape[:-1] != first.rates.shape[:-1]:
            raise ValueError(
                f"schedules must have one batch shape, got {first.rates.shape[:-1]} in "
                f"schedules[0] and {schedule.rates.shape[:-1]} in schedules[{i}]; stack "
                f"single schedules with single ones and stacks with stacks of the same shape."
            )
    return list(schedules)
