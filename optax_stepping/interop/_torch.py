"""Schedulers of PyTorch."""

import itertools
import math
import warnings
from collections import Counter
from typing import Any

import jax

from optax_stepping._arguments import INT32_MAX, integer, shown
from optax_stepping._pieces import Piece, in_sequence
from optax_stepping._schedule import SteppingSchedule
from optax_stepping.interop._factors import (
    by_epoch,
    decays,
    last_step,
    multiply,
    periodic_decays,
    scaled,
    until,
)
from optax_stepping.interop._refusals import NOT_IN_STAGES, not_in_stages


def from_torch(
    scheduler: Any,
    total_steps: int | None = None,
    *,
    param_group: int = 0,
    steps_per_epoch: int = 1,
    warmup: Any = None,
) -> SteppingSchedule:
    """A live scheduler of ``torch.optim.lr_scheduler``, per ``scheduler.step()``.

    Reads ``MultiStepLR``, ``StepLR``, ``ExponentialLR``, ``ConstantLR``, ``LinearLR``, and
    ``ChainedScheduler`` and ``SequentialLR`` of these, nested as far as torch itself can step
    them. The rate at count ``c`` is the one after ``c`` calls of ``scheduler.step()`` since the
    scheduler was made, whether it is fresh or half-run. Compared with the real schedulers,
    stepped.

    Args:
      scheduler: the object.
      total_steps: leave out stages that start at this step or later.
      param_group: the index of the optimizer's parameter group.
      steps_per_epoch: for a scheduler that is stepped once an epoch, the number of optimizer
        steps in one; its ramps become stairs. The schedule then counts optimizer steps.
      warmup: a second scheduler on the same optimizer, made after ``scheduler`` and stepped once
        every optimizer step, as in torchvision's detection reference.

    Returns:
      The schedule, in calls of ``scheduler.step()``, or in optimizer steps (see
      ``steps_per_epoch``).

    Raises:
      ValueError: another kind of scheduler (the message names the Optax schedule to use), a
        product of two ramps, unsorted milestones, a rate that was changed by hand or by another
        scheduler, no such group.
      TypeError: no scheduler at all.

    Example:
      >>> from types import SimpleNamespace
      >>> from optax_stepping import interop
      >>> class MultiStepLR(SimpleNamespace):  # stands in for torch's
      ...     pass
      >>> interop.from_torch(MultiStepLR(
      ...     milestones=[30, 80], gamma=0.1, base_lrs=[0.5], last_epoch=0, _last_lr=[0.5]))
      SteppingSchedule(boundaries=[30, 80], rates=[0.5, 0.05, 0.005], ramps=[False, False])
    """
    length = integer("steps_per_epoch", steps_per_epoch, low=1, example="500")
    end = last_step(total_steps)
    base = _base_rate("scheduler", scheduler, param_group)
    curves = [by_epoch(_curve("scheduler", scheduler, base, -(-end // length)), length)]
    if warmup is not None:
        _base_rate("warmup", warmup, param_group)
        curves.append(_curve("warmup", warmup, base, end))
    schedule = scaled(until(multiply(curves, "scheduler"), end), base)
    _check_rate_now(schedule, scheduler, warmup, param_group, length)
    return schedule


def _base_rate(name: str, scheduler: Any, param_group: int) -> float:
    first = scheduler
    while hasattr(first, "_schedulers"):
        first = first._schedulers[0]
    if not hasattr(first, "base_lrs"):
        kind = type(scheduler).__name__
        if kind in NOT_IN_STAGES:
            raise not_in_stages(name, kind)
        raise TypeError(
            f"{name} must be a torch learning rate scheduler, got {shown(scheduler)}; hand in the "
            f"object, such as lr_scheduler.StepLR(optimizer, 30)."
        )
    number = len(first.base_lrs)
    group = integer("param_group", param_group, example="0")
    if group >= number:
        raise ValueError(
            f"param_group = {group}: the optimizer has {number} groups; write 0 .. {number - 1}."
        )
    return float(first.base_lrs[group])


def _curve(name: str, scheduler: Any, base: float, end: int) -> list[Piece]:
    """The factor of a scheduler over its own steps."""
    kind = type(scheduler).__name__
    if kind in ("ChainedScheduler", "SequentialLR"):
        parts = list(scheduler._schedulers)
        curves = [_curve(f"{name}: part {i}", part, base, end) for i, part in enumerate(parts)]
        join = _chain if kind == "ChainedScheduler" else _sequence
        return join(name, scheduler, curves)
    if kind not in _TORCH_CURVES:
        raise not_in_stages(name, kind)
    return _TORCH_CURVES[kind](name, scheduler, base, end)


def _chain(name: str, scheduler: Any, curves: list[list[Piece]]) -> list[Piece]:
    for i, part in enumerate(scheduler._schedulers):
        restart = max(_restarts(part), default=0)
        others = itertools.chain.from_iterable(c for j, c in enumerate(curves) if j != i)
        for piece in others:
            if piece.start < restart and (piece.value, piece.end_value) != (1.0, None):
                raise ValueError(
                    f"{name}: part {i} is a SequentialLR, which sets the rate anew at step "
                    f"{restart} and so drops what the rest of the chain did before; put the chain "
                    f"into the sequence, or write the stages with manual_stepping."
                )
    return multiply(curves, name)


def _restarts(scheduler: Any) -> list[int]:
    """Where a scheduler sets the rate instead of multiplying it."""
    found = [m for m in getattr(scheduler, "_milestones", []) if m > 0]
    for part in getattr(scheduler, "_schedulers", []):
        found += _restarts(part)
    return found


def _sequence(name: str, scheduler: Any, curves: list[list[Piece]]) -> list[Piece]:
    milestones = [
        integer(f"{name}: milestones[{i}]", milestone, low=-INT32_MAX)
        for i, milestone in enumerate(scheduler._milestones)
    ]
    if milestones != sorted(milestones):
        raise ValueError(
            f"{name}: milestones must be in ascending order, got {milestones}; what torch does "
            f"with others is an accident of its search: sort schedulers and milestones."
        )
    for i, part in enumerate(scheduler._schedulers):
        if _restarts(part) or (i and hasattr(part, "_schedulers")):
            raise ValueError(
                f"{name}: part {i} is a {type(part).__name__}: torch starts a sequence inside of a "
                f"sequence a step early, and a chain at a milestone not at all; write one "
                f"SequentialLR, of which only the first part may be a ChainedScheduler."
            )
    # At a step on which several start, the last one does; before the first step, all have.
    return in_sequence(curves, [max(milestone, 0) for milestone in milestones])


def _linear(name: str, scheduler: Any, *_: Any) -> list[Piece]:
    length = _length(name, scheduler)
    start, end = float(scheduler.start_factor), float(scheduler.end_factor)
    return [Piece(0, start, end), Piece(length, end)]


def _constant(name: str, scheduler: Any, *_: Any) -> list[Piece]:
    return [Piece(0, float(scheduler.factor)), Piece(_length(name, scheduler), 1.0)]


def _length(name: str, scheduler: Any) -> int:
    return integer(f"{name}: total_iters", scheduler.total_iters, low=1)


def _multi_step(name: str, scheduler: Any, *_: Any) -> list[Piece]:
    # A Counter of steps, of which repeated ones multiply.
    steps = list(Counter(scheduler.milestones).elements())
    unmet = [step for step in steps if isinstance(step, float) and not step.is_integer()]
    unmet += [step for step in steps if step < 0]
    if unmet:
        warnings.warn(
            f"{name}: torch never reaches the milestones {unmet}, as it steps by whole numbers "
            f"from 0 on; they are left out here, too.",
            stacklevel=2,
        )
    milestones = [integer(f"{name}: milestone", step) for step in steps if step not in unmet]
    return decays(milestones, float(scheduler.gamma))


def _step(name: str, scheduler: Any, base: float, end: int) -> list[Piece]:
    period = integer(f"{name}: step_size", scheduler.step_size, low=1)
    return periodic_decays(period, period, float(scheduler.gamma), end, base)


def _exponential(name: str, scheduler: Any, base: float, end: int) -> list[Piece]:
    return periodic_decays(1, 1, float(scheduler.gamma), end, base)


_TORCH_CURVES = {
    "MultiStepLR": _multi_step,
    "StepLR": _step,
    "ExponentialLR": _exponential,
    "ConstantLR": _constant,
    "LinearLR": _linear,
}


def _check_rate_now(
    schedule: SteppingSchedule, scheduler: Any, warmup: Any, group: int, length: int
) -> None:
    """That the optimizer's rate is the one that the settings say."""
    steps = _steps_done(scheduler) * length if warmup is None else _steps_done(warmup)
    optimizer = getattr(scheduler, "optimizer", None)
    now = scheduler._last_lr[group] if warmup is None else warmup._last_lr[group]
    rates = [now] + ([optimizer.param_groups[group]["lr"]] if optimizer is not None else [])
    # Known, also where this is called inside of jit.
    with jax.ensure_compile_time_eval():
        expected = float(schedule(steps))
    for rate in map(float, rates):
        if not math.isclose(expected, rate, rel_tol=1e-5, abs_tol=1e-37):
            raise ValueError(
                f"scheduler: after {steps} steps the rate is {rate}, not {expected} as its "
                f"settings say: it was changed by hand, stepped with an epoch, or another "
                f"scheduler works on the same optimizer. Put several into a ChainedScheduler (or "
                f"one that is stepped every step into warmup=), or write the stages with "
                f"manual_stepping."
            )


def _steps_done(scheduler: Any) -> int:
    if hasattr(scheduler, "last_epoch"):
        return int(scheduler.last_epoch)
    return _steps_done(scheduler._schedulers[0])
