"""Schedules of Keras."""

import math
from collections.abc import Mapping
from typing import Any

from optax_stepping._manual_stepping import manual_stepping
from optax_stepping._schedule import SteppingSchedule
from optax_stepping.interop._refusals import not_in_stages


def from_keras(schedule: Any) -> SteppingSchedule:
    """A Keras ``PiecewiseConstantDecay``.

    Keras switches after a boundary (``keras/optimizers/schedules``: the old value holds for
    ``step <= boundary``), so stages start one step later here.

    Args:
      schedule: the object, or its ``get_config()``. Boundaries may be fractional.

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
    elif kind == "PiecewiseConstantDecay":
        config = schedule.get_config()
    elif hasattr(schedule, "get_config"):
        raise not_in_stages("schedule", kind)
    else:
        raise TypeError(
            f"schedule must be a PiecewiseConstantDecay or its get_config(), got {schedule!r}."
        )
    missing = [key for key in ("boundaries", "values") if key not in config]
    if missing:
        raise ValueError(
            f"schedule: the config has no {missing[0]!r}, only {sorted(config)}; hand in the "
            f"get_config() of a PiecewiseConstantDecay."
        )
    boundaries = [float(boundary) for boundary in config["boundaries"]]
    for i, boundary in enumerate(boundaries):
        if not (math.isfinite(boundary) and boundary >= 0):
            raise ValueError(
                f"schedule: boundaries must be steps from 0 on, got boundaries[{i}] = {boundary}."
            )
    starts = [math.floor(boundary) + 1 for boundary in boundaries]
    return manual_stepping(starts, [float(value) for value in config["values"]])
