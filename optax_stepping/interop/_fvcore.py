"""Parameter schedulers of fvcore, as Detectron2's LazyConfigs have them."""

import bisect
import functools
import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

from optax_stepping._arguments import integer, real, shown
from optax_stepping._pieces import Piece
from optax_stepping._schedule import SteppingSchedule
from optax_stepping.interop._factors import scaled
from optax_stepping.interop._refusals import not_in_stages

# The tolerance with which fvcore compares shares of the training.
EPSILON = 1e-6


def from_fvcore(scheduler: Any, base_lr: float, *, num_updates: int) -> SteppingSchedule:
    """A ``ParamScheduler`` of fvcore, as the multiplier of a rate.

    Reads ``MultiStepParamScheduler``, ``LinearParamScheduler``, ``ConstantParamScheduler``, a
    ``CompositeParamScheduler`` of these, and so the ``WarmupParamScheduler`` of Detectron2
    (``fvcore/common/param_scheduler.py``). These count in shares of the training; the rate at
    count ``c`` is ``base_lr * scheduler(c / num_updates)``, that at the end holds for ever.
    Compared with the real schedulers, called at every step.

    Args:
      scheduler: the object.
      base_lr: the rate of the optimizer, which the scheduler multiplies.
      num_updates: the length of training, in optimizer steps.

    Returns:
      The schedule, in optimizer steps.

    Raises:
      ValueError: another kind of scheduler.
      TypeError: no scheduler at all.

    Example:
      >>> from types import SimpleNamespace
      >>> from optax_stepping import interop
      >>> class MultiStepParamScheduler(SimpleNamespace):  # stands in for fvcore's
      ...     pass
      >>> interop.from_fvcore(MultiStepParamScheduler(
      ...     _param_schedule=[1.0, 0.1], _milestones=[60], _num_updates=90), 0.02, num_updates=900)
      SteppingSchedule(boundaries=[600], rates=[0.02, 0.002], ramps=[False])
    """
    base = float(real("base_lr", base_lr, "0.02"))
    total = integer("num_updates", num_updates, low=1, example="90000")
    where = functools.partial(_share, total=total)
    pieces = _pieces("scheduler", scheduler, _Span(0, total, where))
    at_end = _pieces("scheduler", scheduler, _Span(total, total + 1, where))[0].value
    return scaled([*pieces, Piece(total, at_end)], base)


def _share(count: int, total: int) -> float:
    return count / total


class _Span(NamedTuple):
    """Counts from ``start`` to before ``end``, and where in a scheduler each of them is."""

    start: int
    end: int
    where: Callable[[int], float]

    def first(self, reached: Callable[[float], bool]) -> int:
        """The first count at which something is reached that stays so."""
        counts = range(self.start, self.end)
        return self.start + bisect.bisect_left(counts, True, key=lambda c: reached(self.where(c)))


def _pieces(name: str, scheduler: Any, span: _Span) -> list[Piece]:
    if hasattr(scheduler, "_interval_scaling"):
        return _composite(name, scheduler, span)
    kind = type(scheduler).__name__
    if kind == "ConstantParamScheduler":
        return [Piece(span.start, float(scheduler._value))]
    if kind == "LinearParamScheduler":
        ends = (_linear(scheduler, span.where(count)) for count in (span.start, span.end))
        return [Piece(span.start, *ends)]
    if kind == "MultiStepParamScheduler":
        edges = [
            span.first(lambda where, m=m: int((where + EPSILON) * scheduler._num_updates) >= m)
            for m in scheduler._milestones
        ]
        starts = zip(
            [span.start, *edges], [*edges, span.end], scheduler._param_schedule, strict=True
        )
        return [Piece(start, float(value)) for start, end, value in starts if start < end]
    if kind.endswith("ParamScheduler"):
        raise not_in_stages(name, kind)
    raise TypeError(
        f"{name} must be a ParamScheduler of fvcore, got {shown(scheduler)}; of a LazyConfig, hand "
        f"in instantiate(cfg.lr_multiplier)."
    )


def _linear(scheduler: Any, where: float) -> float:
    return scheduler._end_value * where + scheduler._start_value * (1 - where)


def _composite(name: str, scheduler: Any, span: _Span) -> list[Piece]:
    ends = list(itertools.accumulate(scheduler._lengths))
    edges = [span.first(lambda where, end=end: where + EPSILON > end) for end in ends[:-1]]
    pieces = []
    for i, (start, end) in enumerate(itertools.pairwise([span.start, *edges, span.end])):
        if start >= end:
            continue
        where, length = span.where, scheduler._lengths[i]
        if scheduler._interval_scaling[i] == "rescaled":
            where = functools.partial(_rescaled, where, ends[i] - length, length)
        part = scheduler._schedulers[i]
        pieces += _pieces(f"{name}: part {i}", part, _Span(start, end, where))
    return pieces


def _rescaled(where: Callable[[int], float], start: float, length: float, count: int) -> float:
    return (where(count) - start) / length
