"""Schedules from schedules, along the count."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import jax
import numpy as np

from optax_stepping._arguments import (
    INT32_MAX,
    bad_value,
    check_increasing,
    check_known,
    integer,
    known,
    real,
    sequence,
    shown,
)
from optax_stepping._pieces import Piece, delayed, in_sequence, pieces_of, section, to_schedule
from optax_stepping._schedule import (
    SteppingSchedule,
    check_schedule,
    leaves_on_host,
    make_schedule,
)


def join(schedules: Sequence[SteppingSchedule], boundaries: Sequence[int]) -> SteppingSchedule:
    """One schedule after the other, each counted from where it starts.

    This is ``optax.join_schedules`` as data: before the first boundary the rate is
    ``schedules[0](count)``; from ``boundaries[i - 1]`` to before ``boundaries[i]`` it is
    ``schedules[i](count - boundaries[i - 1])``. Held rates keep their bits, ramps stay within
    4 ulp. A boundary cuts a ramp that is under way. The last step of that ramp becomes a stage of
    its own.

    Args:
      schedules: a sequence of ``k`` single schedules. Their rates may be traced, their
        boundaries and ramps not.
      boundaries: ``k - 1`` strictly increasing integers from 0 on, in optimizer steps.

    Returns:
      A schedule of all stages that are in force at some count, and one more for every ramp
      that is cut. Stages beyond 2**31 - 1 are left out.

    Raises:
      ValueError: there are no schedules, the boundaries are of a wrong number or order, or a
        schedule is a batch.
      TypeError: something is not a schedule, or a boundary not an integer.

    Example:
      >>> from optax_stepping import join, manual_stepping
      >>> warmup = manual_stepping([100], [0.0, 0.5], warmup=True)
      >>> join([warmup, manual_stepping([300], [0.5, 0.05])], [100])
      SteppingSchedule(boundaries=[100, 400], rates=[0.0, 0.5, 0.05], ramps=[True, False])
      >>> join([warmup, manual_stepping([], [0.05])], [50])
      SteppingSchedule(boundaries=[49, 50], rates=[0.0, 0.245, 0.05], ramps=[True, False])
    """
    schedules = sequence("schedules", schedules, "[schedule, ...]")
    if not schedules:
        raise bad_value("schedules", "not be empty", "[]", "write join([schedule, ...], [1000])")
    curves = [_pieces(f"schedules[{i}]", schedule) for i, schedule in enumerate(schedules)]
    steps = _steps(boundaries)
    if len(steps) != len(curves) - 1:
        must = "be one fewer than schedules"
        write = f"write {len(curves) - 1}: where each but the first starts"
        raise bad_value("boundaries", must, f"{len(steps)} for {len(curves)} schedules", write)
    check_increasing("boundaries", steps)
    return to_schedule(in_sequence(curves, steps))


def shift(schedule: SteppingSchedule, steps: int) -> SteppingSchedule:
    """What is left of a schedule after ``steps`` steps; or, negative, the schedule after a delay.

    ``shift(schedule, steps)(count)`` is ``schedule(count + steps)``. Counts below 0 read as 0, so
    the first rate holds during a delay. Held rates keep their bits, ramps stay within 4 ulp.

    Args:
      schedule: a single schedule. Its rates may be traced, its boundaries and ramps not.
      steps: an integer, in optimizer steps. An array of no dimensions is taken, such as the
        ``count`` of a state.

    Returns:
      A schedule of all stages that are in force at some count. Stages beyond 2**31 - 1 are left
      out.

    Raises:
      ValueError: ``schedule`` is a batch; its boundaries or ``steps`` are traced; or ``steps`` do
        not fit into int32.
      TypeError: ``schedule`` is not a ``SteppingSchedule``, or ``steps`` not an integer.

    Example:
      >>> from optax_stepping import manual_stepping, shift
      >>> schedule = manual_stepping([1000, 2000], [0.1, 0.01, 0.001], warmup_steps=100)
      >>> shift(schedule, 1500)
      SteppingSchedule(boundaries=[500], rates=[0.01, 0.001], ramps=[False])
      >>> shift(schedule, 50)
      SteppingSchedule(boundaries=[50, 950, 1950], rates=[0.05, 0.1, 0.01, 0.001],
                       ramps=[True, False, False])
      >>> shift(schedule, -50)
      SteppingSchedule(boundaries=[50, 150, 1050, 2050], rates=[0.0, 0.0, 0.1, 0.01, 0.001],
                       ramps=[False, True, False, False])
    """
    pieces = _pieces("schedule", schedule)
    check_known(
        "steps", "be known", steps, [steps], "shift outside jit, or call schedule(count + steps)"
    )
    steps = integer("steps", steps, low=-(2**31), example="1000")
    if steps >= 0:
        return to_schedule(section(pieces, steps))
    return to_schedule([Piece(0, pieces[0].value), *delayed(pieces, -steps)])


def stretch(
    schedule: SteppingSchedule, factor: Fraction | jax.typing.ArrayLike
) -> SteppingSchedule:
    """The same recipe over ``factor`` times the steps.

    ``stretch(recipe, steps_per_epoch)`` turns a recipe in epochs into one in optimizer steps;
    ``stretch(schedule, Fraction(new_total_steps, old_total_steps))`` fits it to a longer or a
    shorter training. Each boundary is multiplied by the factor and rounded to a whole step, halves
    to even. Rates stay as they are.

    Args:
      schedule: a schedule, or a stack, whose members are all stretched. Rates and ramps may be
        traced, boundaries not.
      factor: a positive int, float or ``fractions.Fraction``, or an array of no dimensions. The
        product is exact. A float means the decimal number that it prints as: 0.1 is a tenth.
        For a third, write ``Fraction(1, 3)``.

    Returns:
      A schedule of the same number of stages. Padding stays padding.

    Raises:
      ValueError: ``factor`` is not positive or not finite; it leaves a stage no step, or puts a
        boundary beyond 2**31 - 1; or it, or the boundaries, are traced.
      TypeError: ``schedule`` is not a ``SteppingSchedule``, or ``factor`` not a real number.

    Example:
      >>> from fractions import Fraction
      >>> from optax_stepping import manual_stepping, stretch
      >>> epochs = manual_stepping([30, 60, 80], [0.1, 0.01, 0.001, 0.0001], warmup_steps=5)
      >>> schedule = stretch(epochs, 500)
      >>> schedule.boundaries.tolist()
      [2500, 15000, 30000, 40000]
      >>> stretch(schedule, Fraction(1, 3)).boundaries.tolist()
      [833, 5000, 10000, 13333]
    """
    check_schedule("schedule", schedule)
    write = "stretch it outside jit (its rates may be traced)"
    check_known("schedule", "have known boundaries", schedule, [schedule.boundaries], write)
    exact = _fraction(factor)
    boundaries = known(schedule.boundaries)
    steps = [round(step * exact) for step in boundaries.ravel().tolist()]
    if max(steps, default=0) > INT32_MAX:
        last = np.unravel_index(np.argmax(boundaries), boundaries.shape)
        must = "keep boundaries within int32, the type of Optax's step counts"
        got = f"{shown(factor)}, which puts {_named(boundaries, last)} beyond {INT32_MAX}"
        raise bad_value("factor", must, got, "write a smaller one")
    stretched = np.array(steps, np.int32).reshape(boundaries.shape)
    _check_apart(factor, boundaries, stretched)
    return make_schedule(stretched, schedule.rates, schedule.ramps)


def _fraction(factor: Any) -> Fraction:
    """A positive factor exactly; a float as it is written."""
    check_known("factor", "be known", factor, [factor], "stretch outside jit")
    exact = factor
    if not isinstance(factor, Fraction):
        number = real("factor", factor, "500")
        exact = Fraction(str(known(factor)[()]) if isinstance(number, float) else number)
    if exact <= 0:
        raise bad_value("factor", "be positive", shown(factor), "write 500 or 0.5, say")
    return exact


def _check_apart(factor: Any, boundaries: np.ndarray, stretched: np.ndarray) -> None:
    """Refuses a factor that leaves a stage no step; but padding has none."""
    before = np.roll(stretched, 1, axis=-1)
    before[..., :1] = 0
    lost = (stretched <= before) & ((boundaries != 0) | (before != 0))
    if lost.any():
        *member, i = np.argwhere(lost)[0].tolist()
        here, previous = (*member, i), (*member, i - 1)
        other = f"{_named(boundaries, previous)} on {before[here]}"
        raise bad_value(
            "factor",
            "leave every stage a step",
            f"{shown(factor)}, which puts {_named(boundaries, here)} on step {stretched[here]} "
            f"and {other if before[here] else 'the first stage on 0'}",
            "write a larger one, or leave a stage out",
        )


def _named(boundaries: np.ndarray, index: Any) -> str:
    return f"boundaries[{', '.join(map(str, index))}] = {boundaries[index]}"


def _steps(boundaries: Any) -> list[int]:
    write = "join outside jit, or join functions: optax.join_schedules"
    check_known("boundaries", "be known", boundaries, [boundaries], write)
    entries = sequence("boundaries", boundaries, "[1000]")
    check_known("boundaries", "be known", boundaries, entries, write)
    return [
        integer(f"boundaries[{i}]", boundary, example="[1000]")
        for i, boundary in enumerate(entries)
    ]


def _pieces(name: str, schedule: Any) -> list[Piece]:
    check_schedule(name, schedule)
    write = (
        "build it outside jit (its rates may be traced), or join functions: optax.join_schedules"
    )
    parts = schedule.boundaries, schedule.ramps
    check_known(name, "have known boundaries and ramps", schedule, parts, write)
    boundaries, rates, ramps = leaves_on_host(schedule)
    if boundaries.ndim != 1:
        write = "take its members from unstack(batch), and stack what comes out"
        raise bad_value(name, "be one schedule", f"a batch of shape {boundaries.shape[:-1]}", write)
    return pieces_of(boundaries, rates, ramps)
