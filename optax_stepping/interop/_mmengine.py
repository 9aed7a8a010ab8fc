"""Parameter schedulers of MMEngine."""

from collections.abc import Mapping, Sequence
from typing import Any

from optax_stepping._checks import integer
from optax_stepping._pieces import Piece
from optax_stepping._schedule import SteppingSchedule
from optax_stepping.interop._factors import MAX_PIECES, decays, multiply, periodic_decays, scaled
from optax_stepping.interop._refusals import not_in_stages


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
        unknown key, a product of two ramps.
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
    length = integer("steps_per_epoch", steps_per_epoch, low=1)
    curves = [[Piece(0, 1.0)]]
    for i, part in enumerate(parts):
        if not isinstance(part, Mapping):
            raise TypeError(f"param_scheduler[{i}] must be a dict, got {part!r}.")
        curves.append(_curve(f"param_scheduler[{i}]", part, float(base_lr), length))
    return scaled(multiply(curves, "param_scheduler"), float(base_lr))


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
    kind = part.get("type")
    if kind not in _MMENGINE_KEYS:
        raise not_in_stages(name, str(kind))
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
    begin = integer(f"{name}: begin", settings["begin"]) * scaled
    end = integer(f"{name}: end", settings["end"])
    end = end * scaled if end != _MMENGINE_COMMON["end"] else end
    if not 0 <= begin < end:
        raise ValueError(f"{name}: begin must lie in 0 .. end - 1, got begin={begin}, end={end}.")
    unit = length if per_epoch and not convert else 1
    pieces = _pieces(name, settings, base, begin, end, scaled)
    if unit > 1:
        pieces = _by_epoch(name, pieces)
    pieces = [piece._replace(start=piece.start * unit) for piece in pieces]
    return pieces if pieces[0].start == 0 else [Piece(0, 1.0), *pieces]


def _pieces(
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
        steps = [integer(f"{name}: milestone", m) * scaled for m in settings["milestones"]]
        return decays([begin + step for step in steps if 0 <= step < end - begin], gamma)
    period = integer(f"{name}: step_size", settings["step_size"], low=1) * scaled
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
