"""Schedules of other frameworks, with the same rate at every step.

No other framework is imported: schedulers are read as they are handed in. Whatever cannot
be expressed in stages is refused with an error that says which part.
"""

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from optax_stepping._manual_stepping import manual_stepping
from optax_stepping._pieces import MAX_PIECES, Piece, decays, multiply, periodic_decays, to_schedule
from optax_stepping._pipeline_config import Field, find_learning_rate, read_config
from optax_stepping._schedule import INT32_MAX, SteppingSchedule

__all__ = [
    "from_detectron2",
    "from_keras",
    "from_mmengine",
    "from_optax",
    "from_tf_object_detection",
    "from_torch",
]

_NOT_IN_STAGES = {
    "exponential_decay_learning_rate": "optax.exponential_decay",
    "cosine_decay_learning_rate": "optax.warmup_cosine_decay_schedule",
    "ExponentialDecay": "optax.exponential_decay",
    "CosineDecay": "optax.cosine_decay_schedule",
    "PolynomialDecay": "optax.polynomial_schedule",
    "CosineAnnealingLR": "optax.cosine_decay_schedule",
    "CosineAnnealingWarmRestarts": "optax.sgdr_schedule",
    "ExponentialLR": "optax.exponential_decay",
    "PolynomialLR": "optax.polynomial_schedule",
    "PolyLR": "optax.polynomial_schedule",
    "OneCycleLR": "optax.cosine_onecycle_schedule",
    "ReduceLROnPlateau": "optax.contrib.reduce_on_plateau",
    "ReduceOnPlateauLR": "optax.contrib.reduce_on_plateau",
    "WarmupCosineLR": "optax.warmup_cosine_decay_schedule",
}
_WRITE_BY_HAND = (
    "stages with a ramp cannot be multiplied or cut off; let the warmup end before the "
    "first milestone, or write the stages with manual_stepping."
)


def from_tf_object_detection(config: str | os.PathLike[str]) -> SteppingSchedule:
    """The learning rate of a ``pipeline.config`` of the TensorFlow Object Detection API.

    Reads ``manual_step_learning_rate`` and ``constant_learning_rate`` of any optimizer, with
    the defaults of the API's ``protos/optimizer.proto``: rates 0.002, no warmup. A first
    entry ``step: 0``, as in old files, replaces the initial rate.

    Args:
      config: the text of the file, or its path. At most a million characters.

    Returns:
      The schedule, in steps of the optimizer.

    Raises:
      ValueError: another kind of learning rate (the message names the Optax schedule to
        use), none, several, or a malformed one; a file that is too large or too deeply
        nested.
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
    message = find_learning_rate(read_config(config))
    if message.name == "constant_learning_rate":
        return manual_stepping([], [_read_message(message, learning_rate=0.002)["learning_rate"]])
    if message.name != "manual_step_learning_rate":
        raise _not_in_stages(f"config: line {message.line}", message.name)
    fields = _read_message(message, initial_learning_rate=0.002, schedule=[], warmup=False)
    entries = [_read_message(entry, step=0, learning_rate=0.002) for entry in fields["schedule"]]
    if not entries:
        raise ValueError(
            f"config: line {message.line}: manual_step_learning_rate has no schedule, which the "
            f"API refuses; write constant_learning_rate for a constant."
        )
    boundaries = [entry["step"] for entry in entries]
    rates = [fields["initial_learning_rate"], *(entry["learning_rate"] for entry in entries)]
    if boundaries[0] == 0:
        boundaries, rates = boundaries[1:], rates[1:]
    return manual_stepping(boundaries, rates, fields["warmup"])


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
        raise _not_in_stages("schedule", kind)
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
        ramp that spans a milestone, a rate that was changed by hand, no such group.
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
    elif hasattr(scheduler, "base_lrs") or kind in _NOT_IN_STAGES:
        parts = [scheduler]
    else:
        raise TypeError(f"scheduler must be a torch learning rate scheduler, got {scheduler!r}.")
    for i, part in enumerate(parts):
        if type(part).__name__ not in _TORCH_CURVES:
            place = "scheduler" if part is scheduler else f"scheduler: part {i}"
            raise _not_in_stages(place, type(part).__name__)
    rates = parts[0].base_lrs
    if not 0 <= param_group < len(rates):
        raise ValueError(f"param_group = {param_group}: the optimizer has {len(rates)} groups.")
    base = float(rates[param_group])
    end = INT32_MAX + 1 if total_steps is None else total_steps
    curves = [_TORCH_CURVES[type(part).__name__](part, base, end) for part in parts]
    if kind == "SequentialLR":
        pieces = _in_sequence(curves, list(scheduler._milestones))
    else:
        pieces = multiply(curves, f"scheduler: {_WRITE_BY_HAND}")
    if total_steps is not None:
        pieces = _until(pieces, total_steps)
    schedule = to_schedule(pieces, base, f"scheduler: {_WRITE_BY_HAND}")
    steps_done = int(getattr(scheduler, "last_epoch", parts[0].last_epoch))
    now = float(scheduler._last_lr[param_group])
    if not math.isclose(schedule(steps_done), now, rel_tol=1e-5, abs_tol=1e-44):
        raise ValueError(
            f"scheduler: after {steps_done} steps its rate is {now}, not "
            f"{float(schedule(steps_done))} as its settings say; it was changed by hand or "
            f"stepped with an epoch. Write the stages with manual_stepping."
        )
    return schedule


def from_detectron2(cfg: Any) -> SteppingSchedule:
    """The solver of a Detectron2 config: ``WarmupMultiStepLR``.

    Reads BASE_LR, STEPS, GAMMA, MAX_ITER, WARMUP_ITERS, WARMUP_FACTOR and WARMUP_METHOD
    (``detectron2/solver``); what is missing has Detectron2's default. Steps beyond MAX_ITER
    are ignored, as there. The warmup leads to the rate that is in force at its end, so it
    may span a step.

    Args:
      cfg: the config, its ``SOLVER``, or a mapping of either form.

    Returns:
      The schedule, in iterations.

    Raises:
      ValueError: another LR_SCHEDULER_NAME or WARMUP_METHOD, a rescaled interval, or a
        malformed value.
      TypeError: ``cfg`` is no config.

    Example:
      >>> from optax_stepping import interop
      >>> interop.from_detectron2({"BASE_LR": 0.02, "STEPS": (60000, 80000), "MAX_ITER": 90000})
      SteppingSchedule(boundaries=[1000, 60000, 80000], rates=[2e-05, 0.02, 0.002, 0.0002],
                       ramps=[True, False, False])
    """
    solver = _detectron2_solver(cfg)
    if solver["LR_SCHEDULER_NAME"] != "WarmupMultiStepLR":
        raise _not_in_stages("cfg: LR_SCHEDULER_NAME", solver["LR_SCHEDULER_NAME"])
    if solver["RESCALE_INTERVAL"]:
        raise ValueError(
            "cfg: RESCALE_INTERVAL = True moves the steps; write the stages with manual_stepping."
        )
    total_steps = _positive("cfg: MAX_ITER", solver["MAX_ITER"])
    steps = [_integer(f"cfg: STEPS[{i}]", step) for i, step in enumerate(solver["STEPS"])]
    if steps != sorted(steps):
        raise ValueError(f"cfg: STEPS must be ascending, got {steps}.")
    # Detectron2 compares shares of the training, with a tolerance that makes a step of a
    # training of over a million come earlier.
    starts = [_first_step(step, total_steps) for step in steps if step <= total_steps]
    curve = decays(starts, float(solver["GAMMA"]))
    warmup = min(_integer("cfg: WARMUP_ITERS", solver["WARMUP_ITERS"]), total_steps)
    return to_schedule(
        _with_warmup(curve, warmup, total_steps, solver), float(solver["BASE_LR"]), "cfg"
    )


def from_mmengine(
    base_lr: float,
    param_scheduler: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    steps_per_epoch: int,
) -> SteppingSchedule:
    """The ``param_scheduler`` of an MMEngine config, as in MMDetection.

    Reads ``LinearLR``, ``ConstantLR``, ``MultiStepLR`` and ``StepLR`` with ``by_epoch``,
    ``begin``, ``end`` and ``convert_to_iter_based`` (``mmengine/optim/scheduler``). There, a
    linear warmup reaches the base rate at ``end - 1``, and milestones count from ``begin``.

    Args:
      base_lr: the rate of the optimizer.
      param_scheduler: the config's list of dicts, or one of them.
      steps_per_epoch: the number of iterations in an epoch.

    Returns:
      The schedule, in iterations.

    Raises:
      ValueError: another kind of scheduler (the message names the Optax schedule to use), an
        unknown key, a ramp that spans a milestone.
      TypeError: no mappings.

    Example:
      >>> from optax_stepping import interop
      >>> interop.from_mmengine(0.02, [
      ...     {"type": "LinearLR", "start_factor": 0.001, "by_epoch": False, "end": 500},
      ...     {"type": "MultiStepLR", "by_epoch": True, "milestones": [8, 11], "end": 12},
      ... ], steps_per_epoch=7330)
      SteppingSchedule(boundaries=[499, 58640, 80630], rates=[2e-05, 0.02, 0.002, 0.0002],
                       ramps=[True, False, False])
    """
    parts = [param_scheduler] if isinstance(param_scheduler, Mapping) else param_scheduler
    if not isinstance(parts, list | tuple):
        raise TypeError(f"param_scheduler must be a list of dicts, got {param_scheduler!r}.")
    length = _positive("steps_per_epoch", steps_per_epoch)
    curves = [[Piece(0, 1.0)]]
    for i, part in enumerate(parts):
        if not isinstance(part, Mapping):
            raise TypeError(f"param_scheduler[{i}] must be a dict, got {part!r}.")
        curves.append(_mmengine_curve(f"param_scheduler[{i}]", part, float(base_lr), length))
    refusal = f"param_scheduler: {_WRITE_BY_HAND}"
    return to_schedule(multiply(curves, refusal), float(base_lr), refusal)


def from_optax(
    init_value: float,
    boundaries_and_scales: Mapping[int, float] | None = None,
    *,
    interpolate: bool = False,
) -> SteppingSchedule:
    """The arguments of ``optax.piecewise_constant_schedule``.

    The scales are cumulative: each multiplies the rate before it, in float32 as there.

    Args:
      init_value: the first rate.
      boundaries_and_scales: scales by step, in any order; None for a constant.
      interpolate: True for ``optax.piecewise_interpolate_schedule("linear", ...)``.

    Returns:
      The schedule, in steps of the optimizer.

    Raises:
      ValueError: a negative scale, which Optax refuses too, or a negative step.
      TypeError: a step that is no integer, or no mapping.

    Example:
      >>> from optax_stepping import interop
      >>> interop.from_optax(0.5, {100: 0.1, 200: 0.5})
      SteppingSchedule(boundaries=[100, 200], rates=[0.5, 0.05, 0.025], ramps=[False, False])
    """
    if boundaries_and_scales is not None and not isinstance(boundaries_and_scales, Mapping):
        raise TypeError(f"boundaries_and_scales must be a dict, got {boundaries_and_scales!r}.")
    dtype = np.dtype(jnp.result_type(float))
    boundaries, rates = [], [dtype.type(init_value)]
    for step, scale in sorted((boundaries_and_scales or {}).items()):
        step = _integer("boundaries_and_scales: step", step)
        if step < 0 or not scale >= 0:
            raise ValueError(
                f"boundaries_and_scales: steps and scales must not be negative, got "
                f"{{{step}: {scale}}}."
            )
        rate = rates[-1] * dtype.type(scale)
        if step == 0:
            rates[-1] = rate
        else:
            boundaries.append(step)
            rates.append(rate)
    return manual_stepping(boundaries, rates, interpolate=interpolate)


def _read_message(message: Field, **defaults: Any) -> dict[str, Any]:
    """The fields of a message by name, of the types of their defaults; a field with a list
    as default may be repeated, of others the last counts, as in protocol buffers.
    """
    fields = dict(defaults) | {k: [] for k, v in defaults.items() if v == []}
    for field in message.value:
        assert isinstance(field, Field)
        here = f"config: line {field.line}: {field.name or 'a field without a name'}"
        if field.name not in defaults:
            raise ValueError(
                f"{here} is not known in {message.name}; known are {', '.join(defaults)}."
            )
        if isinstance(field.value, list) != isinstance(defaults[field.name], list):
            raise ValueError(f"{here} has a value of the wrong kind.")
        if isinstance(field.value, list):
            fields[field.name].append(field)
        else:
            fields[field.name] = _read_scalar(here, field.value, type(defaults[field.name]))
    return fields


def _read_scalar(here: str, text: str, kind: type) -> Any:
    if kind is bool:
        values = {"true": True, "t": True, "True": True, "1": True}
        values |= {"false": False, "f": False, "False": False, "0": False}
        if text in values:
            return values[text]
    try:
        if kind is int:
            return int(text, 0)
        if kind is float and "_" not in text:
            return float(text.removesuffix("f").removesuffix("F"))
    except ValueError:
        pass
    kinds = {
        bool: "true or false",
        int: "an integer such as 90000",
        float: "a number such as .0003",
    }
    raise ValueError(f"{here} is {text!r}; write {kinds[kind]}.")


def _torch_linear(scheduler: Any, *_: Any) -> list[Piece]:
    length = _torch_length(scheduler)
    start, end = float(scheduler.start_factor), float(scheduler.end_factor)
    return [Piece(0, start, end), Piece(length, end)]


def _torch_constant(scheduler: Any, *_: Any) -> list[Piece]:
    return [Piece(0, float(scheduler.factor)), Piece(_torch_length(scheduler), 1.0)]


def _torch_length(scheduler: Any) -> int:
    return _positive("scheduler: total_iters", scheduler.total_iters)


def _torch_multi_step(scheduler: Any, *_: Any) -> list[Piece]:
    # A Counter of steps, of which repeated ones multiply.
    steps = Counter(scheduler.milestones).elements()
    milestones = [_integer("scheduler: milestone", step) for step in steps]
    return decays(milestones, float(scheduler.gamma))


def _torch_step(scheduler: Any, base: float, end: int) -> list[Piece]:
    period = _positive("scheduler: step_size", scheduler.step_size)
    return periodic_decays(period, period, float(scheduler.gamma), end, base)


_TORCH_CURVES = {
    "MultiStepLR": _torch_multi_step,
    "StepLR": _torch_step,
    "ConstantLR": _torch_constant,
    "LinearLR": _torch_linear,
}


def _in_sequence(curves: list[list[Piece]], milestones: list[int]) -> list[Piece]:
    """Each curve from its milestone on, counted from there."""
    pieces = []
    for curve, start, end in zip(curves, [0, *milestones], [*milestones, None], strict=True):
        moved = [piece._replace(start=piece.start + start) for piece in curve]
        pieces += moved if end is None else _until(moved, end, cut=True)
    return pieces


def _until(pieces: list[Piece], end: int, *, cut: bool = False) -> list[Piece]:
    """The pieces that start before ``end``. A ramp across it is cut there, or keeps the piece
    at which it ends.
    """
    kept = [piece for piece in pieces if piece.start < end]
    last = kept[-1]
    if last.end_value is None or len(kept) == len(pieces):
        return kept
    after = pieces[len(kept)]
    if not cut:
        return [*kept, after]
    share = (end - last.start) / (after.start - last.start)
    end_value = last.value + (last.end_value - last.value) * share
    return [*kept[:-1], last._replace(end_value=end_value)]


_DETECTRON2_DEFAULTS = {
    "LR_SCHEDULER_NAME": "WarmupMultiStepLR",
    "BASE_LR": 0.001,
    "STEPS": (30000,),
    "GAMMA": 0.1,
    "MAX_ITER": 40000,
    "WARMUP_ITERS": 1000,
    "WARMUP_FACTOR": 0.001,
    "WARMUP_METHOD": "linear",
    "RESCALE_INTERVAL": False,
}


def _detectron2_solver(cfg: Any) -> dict[str, Any]:
    if not isinstance(cfg, Mapping) and hasattr(cfg, "SOLVER"):
        cfg = cfg.SOLVER
    elif isinstance(cfg, Mapping) and "SOLVER" in cfg:
        cfg = cfg["SOLVER"]
    if isinstance(cfg, Mapping):
        given = {key: cfg[key] for key in _DETECTRON2_DEFAULTS if key in cfg}
    else:
        given = {key: getattr(cfg, key) for key in _DETECTRON2_DEFAULTS if hasattr(cfg, key)}
    if not given:
        raise TypeError(
            f"cfg must be a Detectron2 config, its SOLVER or a mapping with BASE_LR, STEPS, ..., "
            f"got {cfg!r}."
        )
    return _DETECTRON2_DEFAULTS | given


def _first_step(step: int, total_steps: int) -> int:
    """The first iteration that counts as ``step`` or later."""
    first = step
    while first > 0 and int(((first - 1) / total_steps + 1e-6) * total_steps) >= step:
        first -= 1
    return first


def _with_warmup(
    curve: list[Piece], warmup: int, total_steps: int, solver: dict[str, Any]
) -> list[Piece]:
    """The curve with its first ``warmup`` iterations replaced."""
    method = solver["WARMUP_METHOD"]
    if method not in ("linear", "constant"):
        raise ValueError(f"cfg: WARMUP_METHOD must be 'linear' or 'constant', got {method!r}.")
    end = warmup
    while end > 0 and (end - 1) / total_steps + 1e-6 > warmup / total_steps:
        end -= 1
    if end <= 0:
        return curve
    start_value = float(solver["WARMUP_FACTOR"]) * curve[0].value
    rest = [piece for piece in curve if piece.start > end]
    at_end = curve[len(curve) - len(rest) - 1].value
    after = [Piece(end, at_end), *rest]
    if method == "constant":
        return [Piece(0, start_value), *after]
    if end == warmup:
        return [Piece(0, start_value, at_end), *after]
    # The tolerance of shares ends the warmup early, on its way.
    last = start_value + (at_end - start_value) * (end - 1) / warmup
    return [Piece(0, start_value, last), Piece(end - 1, last), *after]


_MMENGINE_KEYS = {
    "LinearLR": {"start_factor": 1 / 3, "end_factor": 1.0},
    "ConstantLR": {"factor": 1 / 3},
    "MultiStepLR": {"milestones": None, "gamma": 0.1},
    "StepLR": {"step_size": None, "gamma": 0.1},
}
_MMENGINE_COMMON = {
    "type": None,
    "begin": 0,
    "end": 10**9,
    "by_epoch": True,
    "convert_to_iter_based": False,
    "verbose": False,
    "_scope_": None,
}


def _mmengine_curve(name: str, part: Mapping[str, Any], base: float, length: int) -> list[Piece]:
    """One scheduler of the list, in iterations of which ``length`` are an epoch."""
    kind = part.get("type")
    if kind not in _MMENGINE_KEYS:
        raise _not_in_stages(name, str(kind))
    known = _MMENGINE_COMMON | _MMENGINE_KEYS[kind]
    settings = known | dict(part)
    for key in part:
        if key not in known:
            raise ValueError(f"{name}: {key!r} is not known in {kind}; known are {sorted(known)}.")
    for key in known:
        if settings[key] is None and key not in ("type", "_scope_"):
            raise ValueError(f"{name}: {kind} needs {key!r}.")
    per_epoch = bool(settings["by_epoch"])
    convert = per_epoch and settings["convert_to_iter_based"]
    scaled = length if convert else 1
    begin = _integer(f"{name}: begin", settings["begin"]) * scaled
    end = _integer(f"{name}: end", settings["end"])
    end = end * scaled if end != _MMENGINE_COMMON["end"] else end
    if not 0 <= begin < end:
        raise ValueError(f"{name}: begin must lie in 0 .. end - 1, got begin={begin}, end={end}.")
    unit = length if per_epoch and not convert else 1
    pieces = _mmengine_pieces(name, settings, base, begin, end, scaled)
    if unit > 1:
        pieces = _by_epoch(name, pieces)
    pieces = [piece._replace(start=piece.start * unit) for piece in pieces]
    return pieces if pieces[0].start == 0 else [Piece(0, 1.0), *pieces]


def _mmengine_pieces(
    name: str, settings: dict[str, Any], base: float, begin: int, end: int, scaled: int
) -> list[Piece]:
    """The factor of one scheduler in its own steps, from ``begin`` on."""
    kind = settings["type"]
    last = end - 1
    if kind == "LinearLR":
        start, stop = float(settings["start_factor"]), float(settings["end_factor"])
        if last == begin:
            return [Piece(begin, start)]
        return [Piece(begin, start, stop), Piece(last, stop)]
    if kind == "ConstantLR":
        factor = float(settings["factor"])
        return [Piece(begin, factor)] + ([Piece(last, 1.0)] if last > begin else [])
    gamma = float(settings["gamma"])
    if kind == "MultiStepLR":
        steps = [_integer(f"{name}: milestone", m) * scaled for m in settings["milestones"]]
        return decays([begin + step for step in steps if 0 <= step < end - begin], gamma)
    period = _positive(f"{name}: step_size", settings["step_size"]) * scaled
    return periodic_decays(begin + period, period, gamma, end, base)


def _by_epoch(name: str, pieces: list[Piece]) -> list[Piece]:
    """Ramps in epochs are stairs in iterations: a held piece for every epoch."""
    stairs = []
    for i, piece in enumerate(pieces):
        if piece.end_value is None:
            stairs.append(piece)
            continue
        epochs = pieces[i + 1].start - piece.start
        if epochs > MAX_PIECES:
            raise ValueError(f"{name}: a ramp over {epochs} epochs is too long; write an 'end'.")
        slope = (piece.end_value - piece.value) / epochs
        stairs += [Piece(piece.start + k, piece.value + slope * k) for k in range(epochs)]
    return stairs


def _integer(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, got {value!r} of type {type(value).__name__}.")
    return int(value)


def _positive(name: str, value: Any) -> int:
    number = _integer(name, value)
    if number < 1:
        raise ValueError(f"{name} must be at least 1, got {number}.")
    return number


def _not_in_stages(place: str, kind: str) -> ValueError:
    known = _NOT_IN_STAGES.get(kind)
    advice = f"use {known}" if known else "write the stages with manual_stepping"
    return ValueError(f"{place}: {kind} cannot be expressed in stages; {advice}.")
