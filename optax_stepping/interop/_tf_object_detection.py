"""Schedules of the TensorFlow Object Detection API."""

import os
import re
from types import SimpleNamespace
from typing import Any

import numpy as np

from optax_stepping._arguments import INT32_MAX, bad_value, check_options, integer, short
from optax_stepping._changes import LONGEST_TABLE
from optax_stepping._manual_stepping import manual_stepping
from optax_stepping._pieces import Piece, to_schedule
from optax_stepping._schedule import SteppingSchedule
from optax_stepping._table import from_table
from optax_stepping.interop._pipeline_config import Field, read_config

MAX_STAIRS = 10_000


def from_tf_object_detection(
    config: str | os.PathLike[str],
    *,
    total_steps: int | None = None,
    tolerance: float | None = None,
) -> SteppingSchedule:
    """The learning rate of a ``pipeline.config`` of the TensorFlow Object Detection API.

    Reads every kind of learning rate, of any optimizer, with the defaults of the API's
    ``protos/optimizer.proto`` and the checks of ``utils/learning_schedules.py``. A first entry
    ``step: 0``, as in old files, replaces the initial rate. Compared with the formulas of that
    file, stepped in plain Python.

    Args:
      config: the text of the file, or its path. At most a million characters.
      total_steps: the length of training, in optimizer steps, after which the last rate holds.
        By default, the ``num_steps`` of the file's train_config, or a cosine's ``total_steps``.
        An exponential staircase without a length runs on until float32 underflows. Manual steps
        need no length.
      tolerance: the largest error of a curve, relative to the largest rate, as in
        :func:`optax_stepping.from_table`. Steps, stairs and lines are exact without it.

    Returns:
      The schedule, in steps of the optimizer.

    Raises:
      ValueError: no learning rate, several, or a malformed one; a curve without a ``tolerance``
        or an end; a file that is too large; Caffe's solver.prototxt (the message says what to
        write for it).
      TypeError: ``config`` is neither a ``str`` nor a path.

    Example:
      >>> from optax_stepping import interop
      >>> interop.from_tf_object_detection('''
      ...     learning_rate { manual_step_learning_rate {
      ...       initial_learning_rate: .0003
      ...       schedule { step: 900000 learning_rate: .00003 }
      ...     } }''')
      SteppingSchedule(boundaries=[900000], rates=[0.0003, 3e-05], ramps=[False])
    """
    if total_steps is not None:
        total_steps = integer("total_steps", total_steps, low=1, example="90000")
    check_options(tolerance, None)
    message, num_steps = read_config(config)
    here, name = f"config: line {message.line}", message.name
    if name not in _DEFAULTS:
        or_use = f"hand its rates to from_table; or use {', '.join(_DEFAULTS)}"
        raise ValueError(f"{here}: {name} is not known, {or_use}.")
    fields = SimpleNamespace(**_read(name, message.value, _DEFAULTS[name]))
    length = total_steps or num_steps or getattr(fields, "total_steps", None)
    try:
        if name == "constant_learning_rate":
            return manual_stepping([], [fields.learning_rate])
        if name == "manual_step_learning_rate":
            return _manual_steps(fields, total_steps)
        if length is not None and length > LONGEST_TABLE:
            must = f"be at most {LONGEST_TABLE} steps long"
            raise bad_value("training", must, length, "write total_steps=90000, say")
        with np.errstate(all="ignore"):  # what is not finite is refused
            if length is None:
                return _stairs(fields)
            formula = _cosine if name == "cosine_decay_learning_rate" else _exponential
            return from_table(formula(fields, np.arange(length)), tolerance=tolerance)
    except ValueError as error:
        raise ValueError(f"{here}: {name}: {error}") from None


# Of protos/optimizer.proto. A tuple has the defaults of a message that may be repeated.
_DEFAULTS = {
    "constant_learning_rate": {"learning_rate": 0.002},
    "manual_step_learning_rate": {
        "initial_learning_rate": 0.002, "schedule": ({"step": 0, "learning_rate": 0.002},),
        "warmup": False,
    },
    "exponential_decay_learning_rate": {
        "initial_learning_rate": 0.002, "decay_steps": 4_000_000, "decay_factor": 0.95,
        "staircase": True, "burnin_learning_rate": 0.0, "burnin_steps": 0, "min_learning_rate": 0.0,
    },
    "cosine_decay_learning_rate": {
        "learning_rate_base": 0.002, "total_steps": 4_000_000, "warmup_learning_rate": 0.0002,
        "warmup_steps": 10_000, "hold_base_rate_steps": 0,
    },
}  # fmt: skip


def _manual_steps(fields: SimpleNamespace, total_steps: int | None) -> SteppingSchedule:
    if not fields.schedule:
        write = f"write constant_learning_rate {{ learning_rate: {fields.initial_learning_rate} }}"
        raise ValueError(f"there is no schedule, which the API refuses; for a constant, {write}.")
    boundaries = [entry["step"] for entry in fields.schedule]
    rates = [fields.initial_learning_rate, *(entry["learning_rate"] for entry in fields.schedule)]
    if boundaries[0] == 0:
        boundaries, rates = boundaries[1:], rates[1:]
    if total_steps is not None:
        # A warmup leads to the first boundary, wherever the training ends.
        kept = max(sum(step < total_steps for step in boundaries), int(fields.warmup))
        boundaries, rates = boundaries[:kept], rates[: kept + 1]
    return manual_stepping(boundaries, rates, fields.warmup)


def _exponential(fields: SimpleNamespace, counts: np.ndarray) -> np.ndarray:
    integer("decay_steps", fields.decay_steps, low=1, example="800720")
    power = np.maximum(counts - fields.burnin_steps, 0) / fields.decay_steps
    power = np.floor(power) if fields.staircase else power
    rates = fields.initial_learning_rate * fields.decay_factor**power
    burnin = fields.burnin_learning_rate or fields.initial_learning_rate
    rates = np.where(counts < fields.burnin_steps, burnin, rates)
    return np.maximum(rates, fields.min_learning_rate)


def _stairs(fields: SimpleNamespace) -> SteppingSchedule:
    """Stair by stair, as far as counts go or until the rate changes no more."""
    starts = np.unique([0, *(fields.burnin_steps + fields.decay_steps * np.arange(MAX_STAIRS))])
    starts = starts[starts <= INT32_MAX]
    rates = _exponential(fields, starts)
    rates[np.float32(rates) == 0] = 0.0
    # Two infinities are equal, but their difference is not 0.
    is_endless = len(starts) >= MAX_STAIRS and rates[-1] - rates[-2] != 0
    if is_endless or not fields.staircase:
        raise ValueError("it has no end; write total_steps=90000, say, the steps of the training.")
    return to_schedule(list(map(Piece, starts.tolist(), rates.tolist())))


def _cosine(fields: SimpleNamespace, counts: np.ndarray) -> np.ndarray:
    base, first = fields.learning_rate_base, fields.warmup_learning_rate
    warmup, end = fields.warmup_steps, fields.total_steps
    if end < max(warmup, 1):
        raise bad_value("total_steps", f"be at least warmup_steps = {warmup}", end, "raise it")
    if warmup and base < first:
        must = f"be at least warmup_learning_rate = {first}"
        raise bad_value("learning_rate_base", must, base, "raise it")
    start = warmup + fields.hold_base_rate_steps
    # Where no step is left for the cosine, it is not looked at.
    share = (counts - start) / max(end - start, 1)
    cosine = 0.5 * base * (1 + np.cos(np.pi * share))
    rising = first + (base - first) / max(warmup, 1) * counts
    stages = [counts < warmup, counts > end, counts <= start]
    return np.select(stages, [rising, 0.0, base], cosine)


def _read(message: str, found: list[Field], defaults: dict[str, Any]) -> dict[str, Any]:
    """The fields of a message by name, of the kinds of their defaults. Of those that may not be
    repeated the last one counts, as in protocol buffers.
    """
    fields = {k: [] if isinstance(v, tuple) else v for k, v in defaults.items()}
    for line, _, name, value in found:
        here, default = f"config: line {line}: {name or 'a value'}", defaults.get(name)
        if default is None:
            known = ", ".join(defaults)
            raise ValueError(f"{here} is not known in {message}; known are {known}.")
        pattern, write, parsed = _KINDS[type(default)]
        if isinstance(value, list) and isinstance(default, tuple):
            fields[name].append(_read(name, value, default[0]))
        elif isinstance(value, str) and re.fullmatch(pattern, value):
            fields[name] = parsed(value)
        else:
            got = "a message" if isinstance(value, list) else short(value)
            raise ValueError(f"{here} is {got}; write {write}.")
    return fields


# Values in the text format of protocol buffers. Longer integers fit into none of its types.
_TRUE, _INT = "true|t|True|1", r"0|[1-9]\d{0,9}|0[xX][\da-fA-F]{1,8}"
_FLOAT = r"-?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?[fF]?"
_KINDS: dict[type, tuple[str, str, Any]] = {
    bool: (f"{_TRUE}|false|f|False|0", "true or false", lambda text: text in _TRUE.split("|")),
    int: (_INT, "a whole number of up to 10 digits, say 90000", lambda text: int(text, 0)),
    float: (_FLOAT, "a number such as .0003", lambda text: float(text.rstrip("fF"))),
    tuple: ("(?!)", "a message in braces", None),
}
