"""Solvers of Detectron2."""

import ast
import os
from collections.abc import Mapping
from typing import Any

from optax_stepping._arguments import integer, real, sequence, shown
from optax_stepping._pieces import Piece
from optax_stepping._schedule import SteppingSchedule
from optax_stepping.interop._factors import decays, scaled
from optax_stepping.interop._refusals import not_in_stages
from optax_stepping.interop._yaml import read_yaml


def from_detectron2(cfg: Any) -> SteppingSchedule:
    """The solver of a Detectron2 config: ``WarmupMultiStepLR``.

    Reads BASE_LR, STEPS, GAMMA, MAX_ITER, WARMUP_ITERS, WARMUP_FACTOR and WARMUP_METHOD
    (``detectron2/solver``); what is missing has Detectron2's default. Steps beyond MAX_ITER
    are ignored, as there. The warmup leads to the rate that is in force at its end, so it
    may span a step. Compared with fvcore's schedulers, put together as Detectron2 does.

    Args:
      cfg: the config, its ``SOLVER``, a mapping of either form; or the path or the text of a
        YAML config, which may have a ``_BASE_`` (needs ``optax-stepping[detectron2]``).

    Returns:
      The schedule, in iterations.

    Raises:
      ValueError: another LR_SCHEDULER_NAME or WARMUP_METHOD, a rescaled interval, epochs
        (MAX_EPOCH, as fast-reid has them), a malformed value or file.
      TypeError: ``cfg`` is no config, or a value of the wrong kind.
      ImportError: PyYAML is missing (``pip install optax-stepping[detectron2]``).

    Example:
      >>> from optax_stepping import interop
      >>> interop.from_detectron2({"BASE_LR": 0.02, "STEPS": (60000, 80000), "MAX_ITER": 90000})
      SteppingSchedule(boundaries=[1000, 60000, 80000], rates=[2e-05, 0.02, 0.002, 0.0002],
                       ramps=[True, False, False])
    """
    solver = _solver(cfg)
    if solver["LR_SCHEDULER_NAME"] != "WarmupMultiStepLR":
        raise not_in_stages("cfg: LR_SCHEDULER_NAME", solver["LR_SCHEDULER_NAME"])
    if solver["RESCALE_INTERVAL"]:
        raise ValueError(
            "cfg: RESCALE_INTERVAL = True moves the steps; write the stages with manual_stepping."
        )
    total_steps = integer("cfg: MAX_ITER", solver["MAX_ITER"], low=1)
    steps = [
        integer(f"cfg: STEPS[{i}]", step)
        for i, step in enumerate(sequence("cfg: STEPS", solver["STEPS"], "(60000, 80000)"))
    ]
    if steps != sorted(steps):
        raise ValueError(f"cfg: STEPS must be ascending, got {steps}; sort them.")
    # Detectron2 compares shares of the training, with a tolerance that makes a step of a
    # training of over a million come earlier.
    starts = [_first_step(step, total_steps) for step in steps if step <= total_steps]
    curve = decays(starts, _number(solver, "GAMMA"))
    warmup = min(integer("cfg: WARMUP_ITERS", solver["WARMUP_ITERS"]), total_steps)
    return scaled(_with_warmup(curve, warmup, total_steps, solver), _number(solver, "BASE_LR"))


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


def _number(solver: dict[str, Any], key: str) -> float:
    return float(real(f"cfg: {key}", solver[key], "0.1"))


def _solver(cfg: Any) -> dict[str, Any]:
    if isinstance(cfg, str | os.PathLike):
        cfg = read_yaml(cfg)
    if not isinstance(cfg, Mapping) and hasattr(cfg, "SOLVER"):
        cfg = cfg.SOLVER
    elif isinstance(cfg, Mapping) and "SOLVER" in cfg:
        cfg = cfg["SOLVER"]
    keys = ("MAX_EPOCH", *_DETECTRON2_DEFAULTS)
    if isinstance(cfg, Mapping):
        given = {key: cfg[key] for key in keys if key in cfg}
    else:
        given = {key: getattr(cfg, key) for key in keys if hasattr(cfg, key)}
    if "MAX_EPOCH" in given:
        raise ValueError(
            f"cfg: MAX_EPOCH = {given['MAX_EPOCH']!r} is not of Detectron2: this is a config of "
            f"fast-reid, whose STEPS and WARMUP_ITERS may be epochs; write the stages with "
            f"manual_stepping, in steps."
        )
    if not given:
        raise TypeError(
            f"cfg must be a Detectron2 config, its SOLVER or a mapping with BASE_LR, STEPS, ..., "
            f"got {shown(cfg)}; hand in cfg, cfg.SOLVER, or the path of a YAML file."
        )
    return _DETECTRON2_DEFAULTS | {key: _literal(key, value) for key, value in given.items()}


def _literal(key: str, value: Any) -> Any:
    """What YAML leaves a string, as Detectron2 reads it: tuples, and numbers such as 1e-3."""
    if not isinstance(value, str) or key in ("LR_SCHEDULER_NAME", "WARMUP_METHOD"):
        return value
    try:
        return ast.literal_eval(value)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        raise ValueError(
            f"cfg: {key} = {value!r:.80} is no Python value; write {key}: "
            f"{_DETECTRON2_DEFAULTS[key]!r}, say."
        ) from None


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
    start_value = _number(solver, "WARMUP_FACTOR") * curve[0].value
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
