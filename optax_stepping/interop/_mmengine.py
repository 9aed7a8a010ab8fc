"""Parameter schedulers of MMEngine."""

from collections.abc import Mapping, Sequence
from typing import Any

from optax_stepping._arguments import integer, real, sequence, shown
from optax_stepping._pieces import Piece
from optax_stepping._schedule import SteppingSchedule
from optax_stepping.interop._factors import by_epoch, decays, multiply, periodic_decays, scaled
from optax_stepping.interop._lr_config import lr_config_curve
from optax_stepping.interop._refusals import not_in_stages


def from_mmengine(
    base_lr: float,
    param_scheduler: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    steps_per_epoch: int,
) -> SteppingSchedule:
    """The ``param_scheduler`` of an MMEngine config, or the older ``lr_config`` of MMCV.

    Reads ``LinearLR``, ``ConstantLR``, ``MultiStepLR`` and ``StepLR`` with ``by_epoch``,
    ``begin``, ``end`` and ``convert_to_iter_based`` (``mmengine/optim/scheduler``). There, a
    linear warmup reaches the base rate at ``end - 1``, and milestones count from ``begin``.
    Types may be names, scoped names (``"mmengine.MultiStepLR"``) or classes. Compared with the
    real schedulers, stepped.

    A mapping with a ``policy`` is MMCV's ``lr_config`` (``mmcv/runner/hooks/lr_updater.py``):
    ``step`` or ``fixed``, with ``step``, ``gamma``, ``min_lr``, ``by_epoch``, ``warmup``
    (``linear`` or ``constant``), ``warmup_iters``, ``warmup_ratio``, ``warmup_by_epoch``.
    Compared with its formula.

    Args:
      base_lr: the rate of the optimizer.
      param_scheduler: the config's list of dicts, or one of them; or an ``lr_config``.
      steps_per_epoch: the number of iterations in an epoch.

    Returns:
      The schedule, in iterations.

    Raises:
      ValueError: another kind of scheduler (the message names the Optax schedule to use), an
        unknown key, a ``LinearLR`` or ``ConstantLR`` without ``end``, a product of two ramps.
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
    base = real("base_lr", base_lr, "0.02")
    length = integer("steps_per_epoch", steps_per_epoch, low=1, example="7330")
    if isinstance(param_scheduler, Mapping) and "policy" in param_scheduler:
        return scaled(lr_config_curve(param_scheduler, base, length), base)
    parts = [param_scheduler] if isinstance(param_scheduler, Mapping) else param_scheduler
    if not isinstance(parts, Sequence) or isinstance(parts, str):
        raise TypeError(
            f"param_scheduler must be a list of dicts, or an lr_config, got "
            f"{shown(param_scheduler)}; write [dict(type='MultiStepLR', ...)]."
        )
    curves = [[Piece(0, 1.0)]]
    for i, part in enumerate(parts):
        if not isinstance(part, Mapping):
            raise TypeError(
                f"param_scheduler[{i}] must be a dict, got {shown(part)}; write "
                f"dict(type='MultiStepLR', ...)."
            )
        curves.append(_curve(f"param_scheduler[{i}]", part, base, length))
    return scaled(multiply(curves, "param_scheduler"), base)


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


def _curve(name: str, part: Mapping[str, Any], base: float, length: int) -> list[Piece]:
    """One scheduler of the list, in iterations of which ``length`` are an epoch."""
    if "type" not in part:
        raise ValueError(f"{name} has no 'type', only {sorted(part)}; write type='MultiStepLR'.")
    kind = getattr(part["type"], "__name__", str(part["type"])).rpartition(".")[2]
    if kind not in _MMENGINE_KEYS:
        raise not_in_stages(name, kind)
    known = _MMENGINE_COMMON | _MMENGINE_KEYS[kind]
    settings = known | dict(part) | {"type": kind}
    for key in part:
        if key not in known:
            raise ValueError(f"{name}: {key!r} is not known in {kind}; known are {sorted(known)}.")
    for key in known:
        if settings[key] is None and key not in ("type", "_scope_"):
            raise ValueError(f"{name}: {kind} needs {key!r}.")
    if kind in ("LinearLR", "ConstantLR") and settings["end"] == _MMENGINE_COMMON["end"]:
        raise ValueError(
            f"{name}: {kind} needs 'end': MMEngine's Runner takes its max_epochs (with by_epoch) "
            f"or max_iters; write it, as in end=12."
        )
    per_epoch = bool(settings["by_epoch"])
    convert = per_epoch and settings["convert_to_iter_based"]
    scaled = length if convert else 1
    begin = integer(f"{name}: begin", settings["begin"]) * scaled
    end = integer(f"{name}: end", settings["end"])
    end = end * scaled if end != _MMENGINE_COMMON["end"] else end
    if not 0 <= begin < end:
        raise ValueError(f"{name}: begin must lie in 0 .. end - 1, got begin={begin}, end={end}.")
    unit = length if per_epoch and not convert else 1
    pieces = _pieces(name, settings, base, begin, end, scaled)
    pieces = by_epoch(pieces, unit)
    return pieces if pieces[0].start == 0 else [Piece(0, 1.0), *pieces]


def _pieces(
    name: str, settings: dict[str, Any], base: float, begin: int, end: int, scaled: int
) -> list[Piece]:
    """The factor of one scheduler in its own steps, from ``begin`` on."""
    kind = settings["type"]
    last = end - 1
    if kind == "LinearLR":
        start, stop = (_number(name, settings, key) for key in ("start_factor", "end_factor"))
        if last == begin:
            return [Piece(begin, start)]
        return [Piece(begin, start, stop), Piece(last, stop)]
    if kind == "ConstantLR":
        factor = _number(name, settings, "factor")
        return [Piece(begin, factor)] + ([Piece(last, 1.0)] if last > begin else [])
    gamma = _number(name, settings, "gamma")
    if kind == "MultiStepLR":
        milestones = sequence(f"{name}: milestones", settings["milestones"], "[8, 11]")
        steps = [integer(f"{name}: milestone", m) * scaled for m in milestones]
        return decays([begin + step for step in steps if 0 <= step < end - begin], gamma)
    period = integer(f"{name}: step_size", settings["step_size"], low=1) * scaled
    return periodic_decays(begin + period, period, gamma, end, base)


def _number(name: str, settings: Mapping[str, Any], key: str) -> float:
    return float(real(f"{name}: {key}", settings[key], "0.1"))
