"""Schedules of Keras."""

import math
from collections.abc import Mapping
from typing import Any

from optax_stepping._arguments import integer, real, sequence, shown
from optax_stepping._manual_stepping import manual_stepping
from optax_stepping._pieces import to_schedule
from optax_stepping._schedule import SteppingSchedule
from optax_stepping.interop._factors import last_step, staircase, until
from optax_stepping.interop._refusals import not_in_stages


def from_keras(schedule: Any, total_steps: int | None = None) -> SteppingSchedule:
    """A Keras ``PiecewiseConstantDecay``, or an ``ExponentialDecay`` with ``staircase=True``.

    Keras switches after a boundary (``keras/optimizers/schedules``: the old value holds for
    ``step <= boundary``), so stages of the former start one step later here. Those of the
    latter start at the multiples of ``decay_steps``. Compared with Keras' own objects, called.

    Args:
      schedule: the object, or its ``get_config()``. Boundaries may be fractional.
      total_steps: leave out stages that start at this step or later, of which an exponential
        decay may have thousands.

    Returns:
      The schedule, in steps of the optimizer.

    Raises:
      ValueError: another kind of schedule, or a malformed one.
      TypeError: no schedule at all.

    Example:
      >>> from optax_stepping import interop
      >>> interop.from_keras({"boundaries": [1000, 2000], "values": [0.1, 0.01, 0.001]})
      SteppingSchedule(boundaries=[1001, 2001], rates=[0.1, 0.01, 0.001], ramps=[False, False])
    """
    kind = type(schedule).__name__
    if isinstance(schedule, Mapping):
        config = schedule
    elif kind in ("PiecewiseConstantDecay", "ExponentialDecay"):
        config = schedule.get_config()
    elif hasattr(schedule, "get_config"):
        raise not_in_stages("schedule", kind)
    else:
        raise TypeError(
            f"schedule must be a PiecewiseConstantDecay or its get_config(), got "
            f"{shown(schedule)}; hand in the object that the optimizer was given."
        )
    end = last_step(total_steps)
    if "decay_rate" in config and "decay_steps" in config:
        return _exponential_decay(config, end)
    missing = [key for key in ("boundaries", "values") if key not in config]
    if missing:
        raise ValueError(
            f"schedule: the config has no {missing[0]!r}, only {sorted(config)}; hand in the "
            f"get_config() of a PiecewiseConstantDecay."
        )
    starts = []
    for i, boundary in enumerate(sequence("schedule: boundaries", config["boundaries"], "[1000]")):
        boundary = real(f"schedule: boundaries[{i}]", boundary, "1000")
        if boundary < 0:
            raise ValueError(
                f"schedule: boundaries must be steps from 0 on, got boundaries[{i}] = {boundary}; "
                f"leave it and the value before it out."
            )
        starts.append(math.floor(boundary) + 1)
    kept = sum(start < end for start in starts)
    values = sequence("schedule: values", config["values"], "[0.1, 0.01]")
    if len(values) != len(starts) + 1:
        raise ValueError(
            f"schedule: values must have one entry more than boundaries, got {len(values)} for "
            f"{len(starts)}; write one before the first boundary and one after each."
        )
    return manual_stepping(starts[:kept], values[: kept + 1])


def _exponential_decay(config: Mapping[str, Any], end: int) -> SteppingSchedule:
    rate, gamma = (
        float(real(f"schedule: {key}", config.get(key), "0.1"))
        for key in ("initial_learning_rate", "decay_rate")
    )
    if not config.get("staircase", False):
        instead = f"optax.exponential_decay({rate}, {config['decay_steps']}, {gamma})"
        raise not_in_stages("schedule", "ExponentialDecay without staircase", instead)
    period = integer("schedule: decay_steps", config["decay_steps"], low=1, example="1000")
    return to_schedule(until(staircase(rate, period, gamma, 0, end), end))
