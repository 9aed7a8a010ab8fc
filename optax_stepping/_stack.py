"""A batch of schedules for ``jax.vmap``, and room for more stages."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from optax_stepping._arguments import (
    bad_kind,
    bad_value,
    check_known,
    integer,
    is_traced,
    sequence,
)
from optax_stepping._schedule import (
    SteppingSchedule,
    check_schedule,
    leaves_on_host,
    make_schedule,
)


def stack(
    schedules: Sequence[SteppingSchedule], *, num_stages: int | None = None
) -> SteppingSchedule:
    """Stacks schedules into one with a leading batch axis, ready for ``jax.vmap``.

    Schedules with fewer stages are padded at the front with stages of no length, which changes
    no rate. Held and ramped schedules may be mixed. Stacks can be stacked again, if they have the
    same batch shape: a grid then has two axes.

    Args:
      schedules: a sequence of schedules, or of stacks of one batch shape, with rates of one
        dtype.
      num_stages: pad all to this number of stages; by default, to the largest among them.
        With a fixed number, sweeps over different schedules share one compiled program.

    Returns:
      A ``SteppingSchedule`` with boundaries ``(k, ..., num_stages - 1)``, rates
      ``(k, ..., num_stages)`` and ramps ``(k, ..., num_stages - 1)`` for ``k`` schedules.

    Raises:
      ValueError: there are no schedules, their batch shapes differ, or one has more stages than
        ``num_stages``.
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
        num_stages = _most_stages(schedules)
    else:
        num_stages = _checked_num_stages(schedules, num_stages)
    # On the host, where stacking a thousand small arrays is fast.
    padded = [_pad(*leaves, num_stages) for leaves in map(leaves_on_host, schedules)]
    columns = zip(*padded, strict=True)
    return make_schedule(*(_numpy_for(column).stack(column) for column in columns))


def unstack(batch: SteppingSchedule) -> list[SteppingSchedule]:
    """The schedules of a stack, as a list; the inverse of :func:`stack`.

    Args:
      batch: a ``SteppingSchedule`` with a leading batch axis, not a tracer.

    Returns:
      The members along the first axis. Single schedules come without their padding. A batch with
      several batch axes has stacks as members.

    Raises:
      ValueError: ``batch`` has no batch axis, or is traced.
      TypeError: ``batch`` is not a ``SteppingSchedule``.

    Example:
      >>> import optax_stepping
      >>> constant = optax_stepping.manual_stepping([], [0.1])
      >>> stepped = optax_stepping.manual_stepping([100], [0.1, 0.01])
      >>> optax_stepping.unstack(optax_stepping.stack([constant, stepped]))[0]
      SteppingSchedule(boundaries=[], rates=[0.1], ramps=[])
    """
    check_schedule("batch", batch)
    if np.ndim(batch.rates) < 2:
        raise bad_value(
            "batch", "have a batch axis", f"the single schedule {batch!r}", "write [schedule]"
        )
    leaves = _known_leaves("batch", batch)
    members = [make_schedule(*(leaf[i] for leaf in leaves)) for i in range(len(batch.rates))]
    return [unpad(member) if member.rates.ndim == 1 else member for member in members]


def pad(schedule: SteppingSchedule, num_stages: int) -> SteppingSchedule:
    """Pads a schedule at the front with stages of no length, which changes no rate.

    In an optimizer state, padding leaves room for more stages later, without a new
    compilation. ``repr`` shows padding as boundaries at 0; ``describe`` leaves it out.

    Args:
      schedule: a schedule, or a stack of them.
      num_stages: the number of stages wanted. A warmup counts as one.

    Returns:
      The schedule with rates of shape ``(..., num_stages)``.

    Raises:
      ValueError: the schedule has more stages already.
      TypeError: ``num_stages`` is not an integer, or ``schedule`` not a ``SteppingSchedule``.

    Example:
      >>> import optax_stepping
      >>> optax_stepping.pad(optax_stepping.manual_stepping([100], [0.1, 0.01]), 4)
      SteppingSchedule(boundaries=[0, 0, 100], rates=[0.1, 0.1, 0.1, 0.01],
                       ramps=[False, False, False])
    """
    check_schedule("schedule", schedule)
    num_stages = _checked_num_stages([schedule], num_stages)
    return make_schedule(*_pad(*leaves_on_host(schedule), num_stages))


def unpad(schedule: SteppingSchedule) -> SteppingSchedule:
    """A single schedule without its padding; the inverse of :func:`pad`.

    Args:
      schedule: one schedule, not a tracer.

    Returns:
      The schedule without leading stages of no length.

    Raises:
      ValueError: ``schedule`` is a batch, or traced.
      TypeError: ``schedule`` is not a ``SteppingSchedule``.

    Example:
      >>> import optax_stepping
      >>> schedule = optax_stepping.manual_stepping([100], [0.1, 0.01])
      >>> optax_stepping.unpad(optax_stepping.pad(schedule, 4))
      SteppingSchedule(boundaries=[100], rates=[0.1, 0.01], ramps=[False])
    """
    check_schedule("schedule", schedule)
    boundaries, rates, ramps = _known_leaves("schedule", schedule)
    if boundaries.ndim != 1:
        got = f"a batch of shape {boundaries.shape[:-1]}"
        raise bad_value("schedule", "be one schedule", got, "take its members from unstack(batch)")
    # Only padding has boundaries at 0.
    padding = int(np.count_nonzero(boundaries == 0))
    return make_schedule(boundaries[padding:], rates[padding:], ramps[padding:])


def _pad(boundaries: Any, rates: Any, ramps: Any, num_stages: int) -> tuple[Any, Any, Any]:
    """The leaves with more stages at the front. Boundaries at 0 are reached at every count. (At the
    back, padding would look like a last boundary at 2**31 - 1.)
    """
    missing = num_stages - rates.shape[-1]
    if not missing:
        return boundaries, rates, ramps
    widths = [(0, 0)] * (rates.ndim - 1) + [(missing, 0)]
    xp = _numpy_for((boundaries, rates, ramps))
    return xp.pad(boundaries, widths), xp.pad(rates, widths, mode="edge"), xp.pad(ramps, widths)


def _known_leaves(name: str, schedule: SteppingSchedule) -> tuple[Any, Any, Any]:
    leaves = leaves_on_host(schedule)
    write = "take it apart outside jit, or map over it with jax.vmap"
    check_known(name, "be known", schedule, leaves, write)
    return leaves


def _numpy_for(arrays: Any) -> Any:
    return jnp if any(map(is_traced, arrays)) else np


def _most_stages(schedules: Sequence[SteppingSchedule]) -> int:
    return max(np.shape(schedule.rates)[-1] for schedule in schedules)


def _checked_num_stages(schedules: Sequence[SteppingSchedule], num_stages: int) -> int:
    present = _most_stages(schedules)
    num_stages = integer("num_stages", num_stages, low=1, example="8")
    if num_stages < present:
        must = f"be at least {present}, the stages of a schedule (a warmup counts as one)"
        raise bad_value("num_stages", must, num_stages, f"write num_stages={present} or more")
    return num_stages


def _checked(schedules: Sequence[SteppingSchedule]) -> Sequence[SteppingSchedule]:
    schedules = sequence("schedules", schedules, "[schedule, ...]")
    if not schedules:
        raise bad_value("schedules", "not be empty", "[]", "write stack([schedule, ...])")
    first = schedules[0]
    for i, schedule in enumerate(schedules):
        check_schedule(f"schedules[{i}]", schedule)
        if schedule.rates.dtype != first.rates.dtype:
            raise bad_kind(
                "schedules",
                "have rates of one dtype",
                f"{first.rates.dtype} in schedules[0] and {schedule.rates.dtype} in schedules[{i}]",
                "build them all with, or all without, jax_enable_x64",
            )
        if schedule.rates.shape[:-1] != first.rates.shape[:-1]:
            raise bad_value(
                "schedules",
                "have one batch shape",
                f"{first.rates.shape[:-1]} in schedules[0] and {schedule.rates.shape[:-1]} in "
                f"schedules[{i}]",
                "stack single schedules with single ones and stacks with stacks of the same shape",
            )
    return schedules
