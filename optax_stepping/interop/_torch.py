"""Schedulers of PyTorch."""

import math
from collections import Counter
from typing import Any

import jax

from optax_stepping._checks import INT32_MAX, integer
from optax_stepping._pieces import Piece, in_sequence
from optax_stepping._schedule import SteppingSchedule
from optax_stepping.interop._factors import decays, multiply, periodic_decays, scaled
from optax_stepping.interop._refusals import NOT_IN_STAGES, not_in_stages


def from_torch(
    scheduler: Any, total_steps: int | None = None, *, param_group: int = 0
) -> SteppingSchedule:
    """A live scheduler of ``torch.optim.lr_scheduler``, per ``scheduler.step()``.

    Reads ``MultiStepLR``, ``StepLR``, ``ConstantLR``, ``LinearLR``, and a
    ``ChainedScheduler`` or ``SequentialLR`` of these. The rate at count ``c`` is the one
    after ``c`` calls of ``scheduler.step()`` since the scheduler was made, whether it is
    fresh or half-run.

    Args:
      scheduler: the object.
      total_steps: leave out stages that start at this step or later.
      param_group: the index of the optimizer's parameter group.

    Returns:
      The schedule, in calls of ``scheduler.step()``.

    Raises:
      ValueError: another kind of scheduler (the message names the Optax schedule to use), a
        product of two ramps, a rate that was changed by hand, no such group.
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
    kind = type(scheduler).__name__
    if kind in ("ChainedScheduler", "SequentialLR"):
        parts = list(scheduler._schedulers)
    elif hasattr(scheduler, "base_lrs") or kind in NOT_IN_STAGES:
        parts = [scheduler]
    else:
        raise TypeError(f"scheduler must be a torch learning rate scheduler, got {scheduler!r}.")
    for i, part in enumerate(parts):
        if type(part).__name__ not in _TORCH_CURVES:
            place = "scheduler" if part is scheduler else f"scheduler: part {i}"
            raise not_in_stages(place, type(part).__name__)
    rates = parts[0].base_lrs
    if not 0 <= param_group < len(rates):
        raise ValueError(f"param_group = {param_group}: the optimizer has {len(rates)} groups.")
    base = float(rates[param_group])
    end = INT32_MAX + 1 if total_steps is None else total_steps
    curves = [_TORCH_CURVES[type(part).__name__](part, base, end) for part in parts]
    if kind == "SequentialLR":
        pieces = in_sequence(curves, list(scheduler._milestones))
    else:
        pieces = multiply(curves, "scheduler")
    if total_steps is not None:
        pieces = _until(pieces, total_steps)
    schedule = scaled(pieces, base)
    steps_done = int(getattr(scheduler, "last_epoch", parts[0].last_epoch))
    now = float(scheduler._last_lr[param_group])
    # Known, also where this is called inside of jit.
    with jax.ensure_compile_time_eval():
        expected = float(schedule(steps_done))
    if not math.isclose(expected, now, rel_tol=1e-5, abs_tol=1e-37):
        raise ValueError(
            f"scheduler: after {steps_done} steps its rate is {now}, not "
            f"{expected} as its settings say; it was changed by hand or "
            f"stepped with an epoch. Write the stages with manual_stepping."
        )
    return schedule


def _linear(scheduler: Any, *_: Any) -> list[Piece]:
    length = _length(scheduler)
    start, end = float(scheduler.start_factor), float(scheduler.end_factor)
    return [Piece(0, start, end), Piece(length, end)]


def _constant(scheduler: Any, *_: Any) -> list[Piece]:
    return [Piece(0, float(scheduler.factor)), Piece(_length(scheduler), 1.0)]


def _length(scheduler: Any) -> int:
    return integer("scheduler: total_iters", scheduler.total_iters, low=1)


def _multi_step(scheduler: Any, *_: Any) -> list[Piece]:
    # A Counter of steps, of which repeated ones multiply.
    steps = Counter(scheduler.milestones).elements()
    milestones = [integer("scheduler: milestone", step) for step in steps]
    return decays(milestones, float(scheduler.gamma))


def _step(scheduler: Any, base: float, end: int) -> list[Piece]:
    period = integer("scheduler: step_size", scheduler.step_size, low=1)
    return periodic_decays(period, period, float(scheduler.gamma), end, base)


_TORCH_CURVES = {
    "MultiStepLR": _multi_step,
    "StepLR": _step,
    "ConstantLR": _constant,
    "LinearLR": _linear,
}


def _until(pieces: list[Piece], end: int) -> list[Piece]:
    """The pieces that start before ``end``; a ramp across it keeps the piece at which it ends."""
    kept = [piece for piece in pieces if piece.start < end]
    if kept[-1].end_value is None or len(kept) == len(pieces):
        return kept
    return [*kept, pieces[len(kept)]]
