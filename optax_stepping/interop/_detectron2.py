"""Solvers of Detectron2."""

import ast
import contextlib
import difflib
import os
import re
import warnings
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from optax_stepping import _arguments as arguments
from optax_stepping._arguments import bad_kind, bad_value, check_options, integer, shown
from optax_stepping._changes import LONGEST_TABLE
from optax_stepping._schedule import SteppingSchedule
from optax_stepping._table import from_table
from optax_stepping.interop._files import read_yaml

# The tolerance with which fvcore compares shares of the training.
EPSILON = 1e-6


def from_detectron2(cfg: Any, *, tolerance: float | None = None) -> SteppingSchedule:
    """The learning rate of a Detectron2 config's SOLVER.

    Reads every ``LR_SCHEDULER_NAME`` of ``detectron2/solver/build.py``, and ``WarmupPolyLR`` of
    its project DeepLab. What is missing has Detectron2's default. Compared with fvcore's
    schedulers, put together as Detectron2 does.

    Args:
      cfg: the config, its ``SOLVER``, a mapping of either form; or the path or the text of a
        YAML config, which may have a ``_BASE_`` (needs ``optax-stepping[detectron2]``).
      tolerance: the largest error of a curve, relative to the largest rate, as in
        :func:`optax_stepping.from_table`. Steps and lines are exact without it.

    Returns:
      The schedule, in iterations. After ``MAX_ITER`` iterations the last rate holds. A warning
      names ``STEPS`` beyond ``MAX_ITER``.

    Raises:
      ValueError: a malformed value or file, a curve without a ``tolerance``, a config of another
        project. Its signs are keys about rates, steps, epochs or warmup that Detectron2 does
        not have, and ``MODEL.WEIGHT`` without a warmup, as in maskrcnn-benchmark.
      TypeError: ``cfg`` is not a config, or a value of the wrong kind.

    Example:
      >>> from optax_stepping import interop
      >>> interop.from_detectron2({"BASE_LR": 0.02, "STEPS": (60000, 80000), "MAX_ITER": 90000})
      SteppingSchedule(boundaries=[1000, 60000, 80000], rates=[2e-05, 0.02, 0.002, 0.0002],
                       ramps=[True, False, False])
    """
    check_options(tolerance, None)
    solver = read_solver(cfg)
    name, late = solver.LR_SCHEDULER_NAME, [s for s in solver.STEPS if s >= solver.MAX_ITER]
    if late and name == "WarmupMultiStepLR":
        message = f"cfg: STEPS = {late} are never reached, as MAX_ITER = {solver.MAX_ITER}."
        warnings.warn(message, stacklevel=2)
    with np.errstate(all="ignore"):  # from_table refuses what is not finite
        multiplier = _polynomial if name == "WarmupPolyLR" else _with_warmup
        rates = solver.BASE_LR * multiplier(solver, np.arange(solver.MAX_ITER))
    try:
        return from_table(rates, tolerance=tolerance)
    except ValueError as error:
        raise ValueError(f"cfg: {name}: {error}") from None


# Of Detectron2, and of its project DeepLab.
_DEFAULTS = {
    "LR_SCHEDULER_NAME": "WarmupMultiStepLR", "MAX_ITER": 40000, "BASE_LR": 0.001,
    "BASE_LR_END": 0.0, "STEPS": (30000,), "GAMMA": 0.1, "NUM_DECAYS": 3,
    "WARMUP_ITERS": 1000, "WARMUP_FACTOR": 0.001, "WARMUP_METHOD": "linear",
    "RESCALE_INTERVAL": False, "POLY_LR_POWER": 0.9, "POLY_LR_CONSTANT_ENDING": 0.0,
}  # fmt: skip
# At shares of the training: fvcore's, and DeepLab's.
_CURVES: dict[str, Callable[[Any, np.ndarray], np.ndarray]] = {
    "WarmupMultiStepLR": lambda s, where: s.GAMMA ** np.searchsorted(
        [step for step in s.STEPS if step < s.MAX_ITER],
        np.trunc((where + EPSILON) * s.MAX_ITER), side="right"),
    "WarmupCosineLR": lambda s, where:
        (end := s.BASE_LR_END / s.BASE_LR) + 0.5 * (1 - end) * (1 + np.cos(np.pi * where)),
    "WarmupStepWithFixedGammaLR": lambda s, where:
        s.GAMMA ** np.minimum(np.trunc((where + EPSILON) * (s.NUM_DECAYS + 1)), s.NUM_DECAYS),
    "WarmupPolyLR": lambda s, where: (1 - where) ** s.POLY_LR_POWER,
}  # fmt: skip
_CHOICES = {"LR_SCHEDULER_NAME": _CURVES, "WARMUP_METHOD": ["linear", "constant"]}
# Words of other keys that may change the rate, and of such that do not.
_OF_RATES = "(^|_)(LR|RATE|STEP|ITER|EPOCH|WARM|SCHED|POLICY|GAMMA|MILESTONE)"
_OF_OTHERS = "(^|_)(WEIGHT_DECAY|EMA|SWA|AVERAG|CLIP)|._LR_(FACTOR|MULT)"


def read_solver(cfg: Any) -> SimpleNamespace:
    """The settings of the rate, checked."""
    if isinstance(cfg, str | os.PathLike):
        cfg = read_yaml(cfg)
    whole = _by_key(cfg)
    given = _by_key(whole.get("SOLVER", whole))
    others = [key for key in map(str, given) if key not in _DEFAULTS]
    others = [key for key in others if not re.search(_OF_OTHERS, key, re.I)]
    near = difflib.get_close_matches
    unknown = [k for k in others if re.search(_OF_RATES, k, re.I) or near(k, _DEFAULTS, 1, 0.85)]
    if unknown:
        raise ValueError(
            f"cfg: SOLVER has {', '.join(unknown)}, which Detectron2 does not know: a config of "
            f"another project, or misspelt. Write the stages with manual_stepping, or take out "
            f"what does not change the rate."
        )
    if not _DEFAULTS.keys() & given.keys():
        must = "be a Detectron2 config, its SOLVER or a mapping with BASE_LR, STEPS, ..."
        write = (
            "hand in cfg, cfg.SOLVER, or the path of a YAML file; of a LazyConfig, from_function("
            "lambda c: base_lr * lr_multiplier(c / max_iter), total_steps=max_iter)"
        )
        raise bad_kind("cfg", must, shown(cfg), write)
    # Version 1 is told as Detectron2's compat.py does, or by a key of its predecessor.
    model, test = _by_key(whole.get("MODEL")), _by_key(whole.get("TEST"))
    told = {"WEIGHT", "AUG_ON", "CONV_BODY"} & {*model, *test, *_by_key(model.get("BACKBONE"))}
    if told and "VERSION" not in whole and not {"WARMUP_ITERS", "WARMUP_FACTOR"} <= given.keys():
        raise ValueError(
            f"cfg: {min(told)} tells a file of maskrcnn-benchmark, which warms up over 500 "
            f"iterations from 1/3, or one of Detectron2's version 1, which does over 1000 from "
            f"0.001; write both into its SOLVER, as in WARMUP_ITERS: 500 and WARMUP_FACTOR: 0.3333."
        )
    solver = SimpleNamespace(**{k: _checked(k, given.get(k, d)) for k, d in _DEFAULTS.items()})
    if solver.MAX_ITER > LONGEST_TABLE:
        must, write = f"be at most {LONGEST_TABLE}", "write the training's length"
        raise bad_value("cfg: MAX_ITER", must, solver.MAX_ITER, write)
    is_share = solver.BASE_LR > 0 and 0 <= solver.BASE_LR_END <= solver.BASE_LR
    if solver.LR_SCHEDULER_NAME == "WarmupCosineLR" and not is_share:
        must = f"lie between 0 and BASE_LR = {solver.BASE_LR}"
        raise bad_value("cfg: BASE_LR_END", must, solver.BASE_LR_END, "write 0.0")
    return solver


def _by_key(node: Any) -> Mapping[str, Any]:
    """A node of a config by keys: those of a mapping, or its attributes in capitals."""
    if isinstance(node, Mapping):
        return node
    return {key: value for key, value in getattr(node, "__dict__", {}).items() if key.isupper()}


def _checked(key: str, value: Any) -> Any:
    """A value of the kind of its default. YAML leaves tuples and numbers such as 1e-3 strings."""
    name, default = f"cfg: {key}", _DEFAULTS[key]
    if isinstance(value, str):
        # As in Detectron2, a text that is no Python value stays one.
        with contextlib.suppress(ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            value = ast.literal_eval(value)
    if key in _CHOICES:
        arguments.check_choice(name, value, _CHOICES[key], "hand another to from_function")
    elif isinstance(default, bool):
        arguments.check_flag(name, value)
    elif isinstance(default, float):
        value = float(arguments.real(name, value, str(default)))
    elif isinstance(default, int):
        value = integer(name, value, low=int(key != "WARMUP_ITERS"), example=str(default))
    else:
        remedy = "leave it out, the first rate starts at 0 by itself"
        steps = enumerate(arguments.sequence(name, value, "(60000, 80000)"))
        value = [integer(f"{name}[{i}]", step, low=1, remedy=remedy) for i, step in steps]
        if value != sorted(set(value)):
            raise bad_value(name, "be strictly ascending", value, f"write {sorted(set(value))}")
    return value


def _with_warmup(solver: SimpleNamespace, counts: np.ndarray) -> np.ndarray:
    """WarmupParamScheduler: the curve over shares of the training, its first ones replaced."""
    curve, where = _CURVES[solver.LR_SCHEDULER_NAME], counts / solver.MAX_ITER
    length = min(solver.WARMUP_ITERS / solver.MAX_ITER, 1.0)
    warm, share = where + EPSILON <= length, where / (length or 1.0)
    first, end = curve(solver, np.array([0.0, length]))
    start = solver.WARMUP_FACTOR * first
    if solver.RESCALE_INTERVAL:
        end, where = first, (where - length) / (1 - length)
    warmup = end * share + start * (1 - share) if solver.WARMUP_METHOD == "linear" else start
    return np.where(warm, warmup, curve(solver, where))


def _polynomial(solver: SimpleNamespace, counts: np.ndarray) -> np.ndarray:
    """WarmupPolyLR of projects/DeepLab, which multiplies by the warmup."""
    share = counts / max(solver.WARMUP_ITERS, 1) if solver.WARMUP_METHOD == "linear" else 0.0
    warmup = solver.WARMUP_FACTOR * (1 - share) + share
    warmup = np.where(counts < solver.WARMUP_ITERS, warmup, 1.0)
    rates = _CURVES[solver.LR_SCHEDULER_NAME](solver, counts / solver.MAX_ITER)
    ending = solver.POLY_LR_CONSTANT_ENDING
    return np.where((warmup == 1.0) & (rates < ending), ending, warmup * rates)
