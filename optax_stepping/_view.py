"""A schedule for people and files: a table, what looks wrong, a plot, plain numbers."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from optax_stepping._arguments import bad_kind, bad_value, check_flag, integer, known, shown
from optax_stepping._edit import one_member
from optax_stepping._extras import import_extra
from optax_stepping._live import SteppingState
from optax_stepping._manual_stepping import manual_stepping
from optax_stepping._schedule import SteppingSchedule, leaves_on_host
from optax_stepping._stack import unpad, unstack

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# Of this many ramps in a row, describe makes one line.
MANY_RAMPS = 4


class _Stage(NamedTuple):
    number: int
    start: int
    end: int | None
    rate: Any  # NumPy's, as next_rate
    next_rate: Any
    ramp: bool

    @property
    def direction(self) -> int:
        """1 up, -1 down, 0 held; a flat ramp is as good as held."""
        if not self.ramp or self.rate == self.next_rate:
            return 0
        return 1 if self.next_rate > self.rate else -1


def describe(
    schedule: SteppingSchedule | SteppingState,
    total_steps: int | None = None,
    *,
    all_stages: bool = False,
) -> str:
    """The stages of a schedule as a table, and below it what looks wrong.

    Four or more ramps in a row, as in a converted curve, share a line: the rate where the first
    starts, the rate where the last ends, and their number. Rising and falling ramps have separate
    lines, unless they alternate faster than every four ramps.

    These look wrong: stages that start at or after ``total_steps``; all boundaries within the
    first hundredth of ``total_steps`` (were epochs given as steps?); a rate that rises after the
    warmup, which ends with the first fall or plateau; boundaries that do not increase; rates that
    are not finite or are negative (a live edit is not checked). For each kind, the first is shown,
    and how many more there are.

    Args:
      schedule: one schedule. Describe a batch member by member, after ``unstack``. For a
        :class:`optax_stepping.SteppingState`, the table starts at its count; a vmapped one is
        taken if all its members are the same.
      total_steps: the length of training in optimizer steps, if known.
      all_stages: True gives every ramp a line of its own.

    Returns:
      Text without a newline at its end. Rates have up to 6 significant digits.

    Raises:
      ValueError: ``schedule`` is a batch, or ``total_steps`` is not positive.
      TypeError: ``schedule`` is not a ``SteppingSchedule``, ``total_steps`` not an integer, or
        ``all_stages`` not a bool.

    Example:
      >>> import optax_stepping
      >>> schedule = optax_stepping.manual_stepping(
      ...     [1000, 2000], [0.1, 0.01, 0.001], warmup_steps=500)
      >>> print(optax_stepping.describe(schedule, total_steps=1500))
      stage  from   to  steps      rate
          0     0  500    500  0 -> 0.1
          1   500 1000    500       0.1
          2  1000 2000   1000      0.01
          3  2000    -      -     0.001
      Looks wrong:
        - stage 3 is never reached: it starts at step 2000, training ends at 1500.
      >>> optimizer = optax_stepping.scale_by_stepping(schedule)
      >>> state = optax_stepping.get_state(optimizer.init(None))
      >>> print(optax_stepping.describe(state._replace(count=1200)))
      stage  from   to  steps   rate
          2  1200 2000    800   0.01
          3  2000    -      -  0.001
      >>> squares = [rate**2 for rate in (1, 0.8, 0.6, 0.4, 0.2, 0)]
      >>> decay = optax_stepping.manual_stepping(range(20, 101, 20), squares, interpolate=True)
      >>> print(optax_stepping.describe(decay))
      stage  from   to  steps               rate
        0-4     0  100    100  1 -> 0 in 5 ramps
          5   100    -      -                  0
    """
    check_flag("all_stages", all_stages)
    schedule = one_member(schedule) if isinstance(schedule, SteppingState) else schedule
    if total_steps is not None:
        total_steps = integer("total_steps", total_steps, low=1, example="4000")
    stages = _stages(schedule, total_steps)
    count = _count_of(schedule)
    passed = sum(stage.end is not None and stage.end <= count for stage in stages)
    ahead = stages[passed:]
    if ahead and ahead[0].start < count:
        under_way = known(_schedule_of(schedule)(count))[()]
        ahead[0] = ahead[0]._replace(start=count, rate=under_way)
    lines = [[stage] for stage in ahead] if all_stages else _ramps_together(ahead)
    rows = [("stage", "from", "to", "steps", "rate"), *map(_row, lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    gaps = ("", "  ", " ", "  ", "  ")
    table = [
        "".join(gap + cell.rjust(width) for gap, cell, width in zip(gaps, row, widths, strict=True))
        for row in rows
    ]
    suspicions = _suspicions(stages, total_steps, passed)
    if suspicions:
        table += ["Looks wrong:", *(f"  - {suspicion}" for suspicion in suspicions)]
    return "\n".join(table)


def plot(
    schedule: SteppingSchedule | SteppingState,
    total_steps: int,
    ax: "Axes | None" = None,
    **line: Any,
) -> "Axes":
    """Draws the rate from step 0 to ``total_steps``, with matplotlib.

    Args:
      schedule: one schedule, or a stack, which makes a line for every member. For a
        :class:`optax_stepping.SteppingState`, the line starts at its count.
      total_steps: the length of training in optimizer steps.
      ax: the axes to draw into; new ones if None.
      **line: options of matplotlib's lines, such as ``label="plan"``; for a stack, ``label``
        may be a list with one for every member.

    Returns:
      The axes. A line has an exact point on either side of every boundary, and many in every
      ramp, close together at its ends. So it is right on logarithmic axes, too.

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
        must, got = "be one, or one for every member", f"{len(labels)} for {len(members)} schedules"
        raise bad_value("label", must, got, f"write label=[...] with {len(members)}")
    curves = [_curve(member, total_steps) for member in members]
    axes = _new_axes() if ax is None else _checked_axes(ax)
    for curve, label in zip(curves, labels, strict=True):
        axes.plot(*curve, label=label, **line)
    axes.set(xlabel="step", ylabel="rate")
    return axes


def to_dict(schedule: SteppingSchedule) -> dict[str, list]:
    """A schedule as plain numbers, for JSON, YAML or the configuration of an experiment tracker.

    ``manual_stepping(**to_dict(schedule))`` has the same rate at every count, to the bit in the
    same precision. Padding is left out.

    Args:
      schedule: one schedule. Convert a batch member by member, after ``unstack``.

    Returns:
      ``boundaries``, a list of ints; ``rates``, a list of one float more, each with the fewest
      digits that give the same number in the dtype of the rates; ``interpolate``, a list of bools:
      whether a stage ramps to the next rate. A warmup is a ramp of stage 0.

    Raises:
      ValueError: ``schedule`` is a batch or traced, its boundaries do not increase, or a rate is
        not finite.
      TypeError: ``schedule`` is not a ``SteppingSchedule``. For a state, pass ``.schedule``.

    Example:
      >>> import json
      >>> from optax_stepping import manual_stepping, to_dict
      >>> schedule = manual_stepping([1000, 2000], [0.1, 0.01, 0.001], warmup_steps=500)
      >>> text = json.dumps(to_dict(schedule))
      >>> print(text)
      {"boundaries": [500, 1000, 2000], "rates": [0.0, 0.1, 0.01, 0.001],
       "interpolate": [true, false, false]}
      >>> print(manual_stepping(**json.loads(text))(250))
      0.05
    """
    schedule = unpad(schedule)
    boundaries, rates, ramps = leaves_on_host(schedule)
    numbers = {
        "boundaries": boundaries.tolist(),
        "rates": [_shortest(rate) for rate in rates],
        "interpolate": [bool(ramp) for ramp in ramps],
    }
    manual_stepping(**numbers)  # refuses what an edit has left wrong
    return numbers


def _shortest(rate: Any) -> float:
    """The number with the fewest digits that the dtype rounds to ``rate``."""
    short = float(str(rate))
    # NumPy's shortest digits are rounded to a float first, then to float32: 7.038531e-26 would
    # become its neighbour. Those of the largest float32 are larger than it.
    exact = type(rate)(short) == rate and abs(short) <= float(jnp.finfo(rate.dtype).max)
    return short if exact else float(rate)


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
    first = min(_count_of(schedule), total_steps)
    grids = [[first, 1, total_steps]]
    for _, start, end, *_, ramp in stages:
        grids.append([start - 1, start])
        length = min(end or total_steps, total_steps) - start
        if ramp and length > 0:
            # Close together at both ends, where logarithmic axes show most.
            near = np.geomspace(1, length, 65)
            grids += [start + np.linspace(0, length, 65), start + near, start + length - near]
    counts = np.unique(np.concatenate(grids).astype(np.int64))
    counts = counts[(counts >= first) & (counts <= total_steps)]
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


def _stages(schedule: Any, total_steps: int | None) -> list[_Stage]:
    """Every stage but padding; with ``total_steps``, the last one ends there."""
    schedule = unpad(_schedule_of(schedule))
    boundaries, rates, ramps = leaves_on_host(schedule)
    starts = [0, *boundaries.tolist()]
    ends = [*boundaries.tolist(), None]
    if total_steps is not None and starts[-1] < total_steps:
        ends[-1] = total_steps
    fields = starts, ends, rates, [*rates[1:], rates[-1]], [*ramps.tolist(), False]
    return [_Stage(i, *values) for i, values in enumerate(zip(*fields, strict=True))]


def _ramps_together(stages: Sequence[_Stage]) -> list[list[_Stage]]:
    """The stages of every line: many ramps in one direction, or many that turn every few."""
    runs = [list(run) for _, run in itertools.groupby(stages, lambda stage: stage.direction)]
    rows = []
    for short, group in itertools.groupby(
        runs, lambda run: run[0].direction != 0 and len(run) < MANY_RAMPS
    ):
        members = list(group)
        rows += [list(itertools.chain(*members))] if short else members
    lines = []
    for row in rows:
        together = row[0].direction != 0 and len(row) >= MANY_RAMPS
        lines += [row] if together else [[stage] for stage in row]
    return lines


def _row(stages: Sequence[_Stage]) -> tuple[str, ...]:
    first, last = stages[0], stages[-1]
    numbers = str(first.number) if first is last else f"{first.number}-{last.number}"
    end, steps = "-", "-"
    if last.end is not None:
        end, steps = str(last.end), str(max(0, last.end - first.start))
    return numbers, str(first.start), end, steps, _rates_of(stages)


def _rates_of(stages: Sequence[_Stage]) -> str:
    rates = [*(stage.rate for stage in stages), stages[-1].next_rate]
    if len(stages) == 1 and not stages[0].direction:
        return f"{rates[0]:.6g}"
    text = f"{rates[0]:.6g} -> {rates[-1]:.6g}"
    if len(stages) > 1:
        text += f" in {len(stages)} ramps"
    if min(rates) < min(rates[0], rates[-1]) or max(rates) > max(rates[0], rates[-1]):
        text += f" between {min(rates):.6g} and {max(rates):.6g}"
    return text


def _suspicions(stages: Sequence[_Stage], total_steps: int | None, passed: int) -> list[str]:
    out_of_order = [
        f"stage {stage.number} starts at step {stage.start}, not after stage {before.number} "
        f"({before.start})."
        for before, stage in itertools.pairwise(stages)
        if stage.start <= before.start
    ]
    unreached, in_epochs = [], []
    if total_steps is not None:
        unreached = [
            f"stage {stage.number} is never reached: it starts at step {stage.start}, training "
            f"ends at {total_steps}."
            for before, stage in itertools.pairwise(stages)
            if stage.start > total_steps or (stage.start == total_steps and not before.ramp)
        ]
        if 0 < stages[-1].start <= total_steps / 100:
            in_epochs = [
                f"all boundaries lie within the first 1 % of training (the last at step "
                f"{stages[-1].start} of {total_steps}): were epochs given as steps?"
            ]
    unusable = [
        f"the rate of stage {stage.number} is {'negative' if stage.rate < 0 else 'not finite'}: "
        f"{stage.rate:.6g}."
        for stage in stages
        if not np.isfinite(stage.rate) or stage.rate < 0
    ]
    kinds = out_of_order, unreached, in_epochs, _rises(stages, passed), unusable
    return [_first_of(found) for found in kinds if found]


def _rises(stages: Sequence[_Stage], passed: int) -> list[str]:
    """Where the rate rises but for the warmup, which is every rise until the first that fails."""
    found, warmup = [], True
    for rises, group in itertools.groupby(stages, lambda stage: stage.next_rate > stage.rate):
        run = list(group)
        first, last = run[0], run[-1]
        if rises and not warmup and last.number >= passed:
            when = f"{'during' if first.ramp else 'after'} stage {first.number}"
            found.append(
                f"the rate rises after the warmup: from {first.rate:.6g} to {last.next_rate:.6g} "
                f"{when}; a warm restart?"
            )
        warmup = False
    return found


def _first_of(suspicions: list[str]) -> str:
    more = len(suspicions) - 1
    return suspicions[0] + (f" And {more} more." if more else "")
