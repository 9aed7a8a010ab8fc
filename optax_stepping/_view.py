"""A schedule for people: a table of its stages, what looks wrong, a plot."""

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from optax_stepping._arguments import bad_kind, bad_value, integer, known, shown
from optax_stepping._edit import one_member
from optax_stepping._extras import import_extra
from optax_stepping._live import SteppingState
from optax_stepping._schedule import SteppingSchedule
from optax_stepping._stack import unpad, unstack

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def describe(schedule: SteppingSchedule | SteppingState, total_steps: int | None = None) -> str:
    """The stages of a schedule as a table, and below it what looks wrong.

    Named as suspicious: stages that start at or after ``total_steps``; all boundaries
    within the first hundredth of ``total_steps`` (were epochs given as steps?); a rate that
    rises after the warmup (after the first fall or plateau); boundaries that do not
    increase, rates that are not finite or are negative (a live edit is not checked).

    Args:
      schedule: one schedule; describe a batch member by member, after ``unstack``. Of a
        :class:`optax_stepping.SteppingState`, what its schedule does from its count on, if all
        members are the same.
      total_steps: the length of training in optimizer steps, if known.

    Returns:
      Text of one line per stage, without a newline at its end.

    Raises:
      ValueError: ``schedule`` is a batch, or ``total_steps`` is not positive.
      TypeError: ``schedule`` is no ``SteppingSchedule``, or ``total_steps`` no integer.

    Example:
      >>> import optax_stepping
      >>> schedule = optax_stepping.manual_stepping(
      ...     [1000, 2000], [0.1, 0.01, 0.001], warmup_steps=500)
      >>> print(optax_stepping.describe(schedule, total_steps=1500))
      stage  from   to  steps        rate
          0     0  500    500  0.0 -> 0.1
          1   500 1000    500         0.1
          2  1000 2000   1000        0.01
          3  2000    -      -       0.001
      Looks wrong:
        - stage 3 is never reached: it starts at step 2000, training ends at 1500.
      >>> optimizer = optax_stepping.scale_by_stepping(schedule)
      >>> state = optax_stepping.get_state(optimizer.init(None))
      >>> print(optax_stepping.describe(state._replace(count=1200)))
      stage  from   to  steps   rate
          2  1200 2000    800   0.01
          3  2000    -      -  0.001
    """
    schedule = one_member(schedule) if isinstance(schedule, SteppingState) else schedule
    if total_steps is not None:
        total_steps = integer("total_steps", total_steps, low=1, example="4000")
    stages = _stages(schedule, total_steps)
    count = _count_of(schedule)
    passed = sum(end is not None and end <= count for _, end, *_ in stages)
    rows = [("stage", "from", "to", "steps", "rate")]
    rows += [
        (
            str(i),
            str(max(start, count)),
            "-" if end is None else str(end),
            "-" if end is None else str(max(0, end - max(start, count))),
            f"{rate!s} -> {next_rate!s}" if ramp else str(rate),
        )
        for i, (start, end, rate, next_rate, ramp) in enumerate(stages[passed:], passed)
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    gaps = ("", "  ", " ", "  ", "  ")
    lines = [
        "".join(gap + cell.rjust(width) for gap, cell, width in zip(gaps, row, widths, strict=True))
        for row in rows
    ]
    suspicions = _suspicions(stages, total_steps, passed)
    if suspicions:
        lines += ["Looks wrong:", *(f"  - {suspicion}" for suspicion in suspicions)]
    return "\n".join(lines)


def plot(
    schedule: SteppingSchedule | SteppingState,
    total_steps: int,
    ax: "Axes | None" = None,
    **line: Any,
) -> "Axes":
    """Draws the rate from step 0 to ``total_steps``, with matplotlib.

    Args:
      schedule: one schedule; or a stack of them, which makes a line for every member. Of a
        :class:`optax_stepping.SteppingState`, its schedule from its count on.
      total_steps: the length of training in optimizer steps.
      ax: the axes to draw into; new ones if None.
      **line: options of matplotlib's lines, such as ``label="plan"``; for a stack, ``label``
        may be a list with one for every member.

    Returns:
      The axes. A line has an exact point on either side of every boundary, and many in every
      ramp, so that it is right on logarithmic axes, too.

    Raises:
      ImportError: matplotlib is missing (``pip install optax-stepping[plot]``).
      ValueError: ``total_steps`` is not positive, or ``label`` is a list of another length.
      TypeError: ``schedule`` is not a ``SteppingSchedule``, ``total_steps`` not an integer, or
        ``ax`` not an ``Axes``.

    Example:
      >>> import optax_stepping
      >>> schedule = optax_stepping.manual_stepping([1000, 2000], [0.1, 0.01, 0.001])
      >>> ax = optax_stepping.plot(schedule, total_steps=3000, label="plan")
      >>> ax.get_xlabel(), ax.get_ylabel()
      ('step', 'rate')
    """
    total_steps = integer("total_steps", total_steps, low=1, example="4000")
    members = _members(schedule)
    labels = line.pop("label", None)
    if not isinstance(labels, list | tuple):
        labels = [labels] + [None] * (len(members) - 1)
    if len(labels) != len(members):
        raise bad_value(
            "label",
            "be one, or one for every member",
            f"{len(labels)} for {len(members)} schedules",
            f"write label=[...] with {len(members)}",
        )
    curves = [_curve(member, total_steps) for member in members]
    axes = _new_axes() if ax is None else _checked_axes(ax)
    for curve, label in zip(curves, labels, strict=True):
        axes.plot(*curve, label=label, **line)
    axes.set(xlabel="step", ylabel="rate")
    return axes


def _members(schedule: Any) -> list[Any]:
    """The schedule, or the members of a stack, of its stacks."""
    if isinstance(schedule, SteppingState):
        return [one_member(schedule)]
    if not isinstance(schedule, SteppingSchedule) or np.ndim(schedule.rates) < 2:
        return [schedule]
    return list(itertools.chain.from_iterable(map(_members, unstack(schedule))))


def _curve(schedule: Any, total_steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts and rates that make the line."""
    stages = _stages(schedule, total_steps)
    count = min(_count_of(schedule), total_steps)
    starts = np.array([start for start, *_ in stages if start <= total_steps])
    # Every stage densely, however short, for logarithmic axes.
    grids = [
        np.linspace(start, end, 65).astype(np.int64)
        for start, end in itertools.pairwise([*starts, total_steps])
    ]
    counts = np.unique(np.concatenate([*grids, starts, np.maximum(starts - 1, 0), [count]]))
    counts = counts[counts >= count]
    return counts, np.asarray(_schedule_of(schedule)(counts))


def _new_axes() -> "Axes":
    pyplot = import_extra("matplotlib.pyplot", extra="plot")
    return pyplot.subplots(figsize=(7, 3), layout="constrained")[1]


def _checked_axes(ax: Any) -> "Axes":
    if not isinstance(ax, import_extra("matplotlib.axes", extra="plot").Axes):
        write = "write ax=fig.add_subplot(), or leave it out for new ones"
        raise bad_kind("ax", "be matplotlib's Axes", shown(ax), write)
    return ax


def _count_of(schedule: Any) -> int:
    """From where on: of a state, the steps done."""
    return int(known(schedule.count)) if isinstance(schedule, SteppingState) else 0


def _schedule_of(schedule: Any) -> Any:
    return schedule.schedule if isinstance(schedule, SteppingState) else schedule


def _stages(schedule: Any, total_steps: int | None) -> list[tuple]:
    """(start, end or None, rate, next rate, ramps) of every stage, as Python values; the
    rates as NumPy scalars, which print as short as their dtype permits.
    """
    schedule = unpad(_schedule_of(schedule))
    boundaries, rates, ramps = map(known, (schedule.boundaries, schedule.rates, schedule.ramps))
    starts = [0, *boundaries.tolist()]
    ends = [*boundaries.tolist(), None]
    if total_steps is not None and starts[-1] < total_steps:
        ends[-1] = total_steps
    return list(
        zip(starts, ends, rates, [*rates[1:], rates[-1]], [*ramps.tolist(), False], strict=True)
    )


def _suspicions(stages: list[tuple], total_steps: int | None, passed: int) -> list[str]:
    starts = [start for start, *_ in stages]
    rates = [rate for _, _, rate, *_ in stages]
    found = []
    for i, (before, start) in enumerate(itertools.pairwise(starts), 1):
        if start <= before:
            found.append(f"stage {i} starts at step {start}, not after stage {i - 1} ({before}).")
    if total_steps is not None:
        found += [
            f"stage {i} is never reached: it starts at step {start}, training ends at "
            f"{total_steps}."
            for i, start in enumerate(starts)
            if start > total_steps or (start == total_steps and not stages[i - 1][4])
        ]
        if 0 < starts[-1] <= total_steps / 100:
            found.append(
                f"all boundaries lie within the first 1 % of training (the last at step "
                f"{starts[-1]} of {total_steps}): were epochs given as steps?"
            )
    warming_up = True
    for i, (rate, next_rate) in enumerate(itertools.pairwise(rates)):
        if next_rate > rate and not warming_up and i >= passed:
            found.append(
                f"the rate rises after the warmup: from {rate!s} to {next_rate!s} "
                f"{'during' if stages[i][4] else 'after'} stage {i}; a warm restart?"
            )
        warming_up = warming_up and bool(next_rate > rate)
    for i, rate in enumerate(rates):
        if not np.isfinite(rate) or rate < 0:
            kind = "negative" if rate < 0 else "not finite"
            found.append(f"the rate of stage {i} is {kind}: {rate!s}.")
    return found
