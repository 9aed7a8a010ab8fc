"""Solvers of Detectron2."""

import ast
import contextlib
import os
import re
import warnings
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from types import SimpleNamespace
from typing import Any

import numpy as np

from optax_stepping import _arguments as arguments
from optax_stepping._arguments import bad_kind, bad_value, check_options, integer, shown
from optax_stepping._changes import LONGEST_TABLE
from optax_stepping._extras import import_extra
from optax_stepping._schedule import SteppingSchedule
from optax_stepping._table import from_table
from optax_stepping.interop._files import read_text

_DEFAULTS = {  # of Detectron2, and of its project DeepLab
    "LR_SCHEDULER_NAME": "WarmupMultiStepLR", "MAX_ITER": 40000, "BASE_LR": 0.001,
    "BASE_LR_END": 0.0, "STEPS": (30000,), "GAMMA": 0.1, "NUM_DECAYS": 3, "WARMUP_ITERS": 1000,
    "WARMUP_FACTOR": 0.001, "WARMUP_METHOD": "linear", "RESCALE_INTERVAL": False,
    "POLY_LR_POWER": 0.9, "POLY_LR_CONSTANT_ENDING": 0.0,
}  # fmt: skip
EPSILON = 1e-6  # with which fvcore compares shares of the training
_CURVES: dict[str, Callable[[Any, np.ndarray], np.ndarray]] = {  # at shares of the training
    "WarmupMultiStepLR": lambda s, where: s.GAMMA ** np.searchsorted(
        s.STEPS, np.minimum((where + EPSILON) * s.MAX_ITER, s.MAX_ITER - 1), side="right"),
    "WarmupCosineLR": lambda s, where:
        (end := s.BASE_LR_END / s.BASE_LR) + 0.5 * (1 - end) * (1 + np.cos(np.pi * where)),
    "WarmupStepWithFixedGammaLR": lambda s, where:
        s.GAMMA ** np.minimum(np.trunc((where + EPSILON) * (s.NUM_DECAYS + 1)), s.NUM_DECAYS),
    "WarmupPolyLR": lambda s, where: (1 - where) ** s.POLY_LR_POWER,
}  # fmt: skip
_CHOICES = {"LR_SCHEDULER_NAME": _CURVES, "WARMUP_METHOD": ["linear", "constant"]}
_RATE_WORDS = re.compile("(^|_)(LR|RATE|STEP|ITER|EPOCH|WARM|SCHED|POLICY|GAMMA|MILESTONE)", re.I)
_OTHER_WORDS = re.compile("(^|_)(WEIGHT_DECAY|EMA|SWA|AVERAG|CLIP)|._LR_(FACTOR|MULT)", re.I)


def from_detectron2(cfg: Any, *, tolerance: float | None = None) -> SteppingSchedule:
    """The learning rate of a Detectron2 config's SOLVER.

    Reads every ``LR_SCHEDULER_NAME`` of ``detectron2/solver/build.py``, by fvcore's formulas, and
    ``WarmupPolyLR`` of its project DeepLab. What is missing has Detectron2's default.

    Args:
      cfg: the config or its ``SOLVER``, also as a mapping; or the path or the text of a YAML
        config, which may have a ``_BASE_`` (needs ``optax-stepping[detectron2]``).
      tolerance: the largest error of a curve, relative to the largest rate, as in
        :func:`optax_stepping.from_table`. Steps and lines are exact without it.

    Returns:
      The schedule in iterations. From ``MAX_ITER`` on, its last rate holds. Later ``STEPS`` warn.

    Raises:
      ValueError: a malformed value or file, a curve without a ``tolerance``, or a config of another
        project, as its keys about rates tell, or ``MODEL.WEIGHT`` without a warmup.
      TypeError: ``cfg`` is not a config, or a value is of the wrong kind.

    Example:
      >>> from optax_stepping import interop
      >>> interop.from_detectron2({"BASE_LR": 0.02, "STEPS": [60000], "MAX_ITER": 90000})
      SteppingSchedule(boundaries=[1000, 60000], rates=[2e-05, 0.02, 0.002], ramps=[True, False])
    """
    check_options(tolerance)
    s = read_solver(cfg)
    integer("cfg: MAX_ITER", s.MAX_ITER, high=LONGEST_TABLE)
    if s.LR_SCHEDULER_NAME == "WarmupCosineLR" and not 0 <= s.BASE_LR_END <= s.BASE_LR != 0:
        must = f"lie between 0 and BASE_LR = {s.BASE_LR}"
        raise bad_value("cfg: BASE_LR_END", must, s.BASE_LR_END, "write 0.0")
    late = [step for step in s.STEPS if step >= s.MAX_ITER]
    if late and s.LR_SCHEDULER_NAME == "WarmupMultiStepLR":
        warnings.warn(f"cfg: STEPS = {late} are unused, as MAX_ITER = {s.MAX_ITER}.", stacklevel=2)
    try:
        return from_table(_rates(s), tolerance=tolerance)
    except ValueError as error:
        raise ValueError(f"cfg: {s.LR_SCHEDULER_NAME}: {error}") from None


def read_solver(cfg: Any) -> SimpleNamespace:
    """The settings of the rate, each checked by itself."""
    whole = _mapping(_read_yaml(cfg) if isinstance(cfg, str | os.PathLike) else cfg)
    given = _mapping(whole.get("SOLVER", whole))
    others = [k for k in map(str, given) if k not in _DEFAULTS and not _OTHER_WORDS.search(k)]
    odd = [k for k in others if _RATE_WORDS.search(k) or get_close_matches(k, _DEFAULTS, 1, 0.85)]
    if odd:
        write = "correct it, take out what does not change the rate, or use manual_stepping"
        raise bad_value("cfg: SOLVER", "have Detectron2's keys about rates", ", ".join(odd), write)
    if not _DEFAULTS.keys() & given.keys():
        write = "of a LazyConfig, from_function(lambda c: lr * lr_multiplier(c / n), total_steps=n)"
        raise bad_kind("cfg", "be a Detectron2 config, SOLVER or YAML file", shown(cfg), write)
    # Version 1 is told as Detectron2's compat.py does, or by a key of its predecessor.
    model, test = _mapping(whole.get("MODEL")), _mapping(whole.get("TEST"))
    told = {"WEIGHT", "AUG_ON", "CONV_BODY"} & {*model, *test, *_mapping(model.get("BACKBONE"))}
    if told and "VERSION" not in whole and not {"WARMUP_ITERS", "WARMUP_FACTOR"} <= given.keys():
        write = "write VERSION: 1, or maskrcnn-benchmark's WARMUP_ITERS: 500, WARMUP_FACTOR: 0.3333"
        raise bad_value(f"cfg: {min(told)}", "come with VERSION or a full warmup", "neither", write)
    return SimpleNamespace(**{k: _checked(k, given.get(k, d)) for k, d in _DEFAULTS.items()})


def _read_yaml(config: str | os.PathLike[str], depth: int = 0) -> dict[str, Any]:
    """The mapping of a file (or a text), over those that its ``_BASE_`` names."""
    text, path = read_text("cfg", config, "\n|: ", "cut out its SOLVER")
    where = f"cfg: {repr(str(path)) if path else 'the text'}"
    # Detectron2's own files compute anchors by tags that run code. Here, these stay text.
    loader = type("Loader", (import_extra("yaml", extra="detectron2").SafeLoader,), {})
    loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda _, tag, node: f"!!{tag}")
    try:
        found = loader(text).get_single_data()
    except Exception as error:  # of Python, too: of a date that is none, or nested too deeply
        got = f"the error: {' '.join(str(error).split())}"
        raise bad_value(where, "be YAML that is read safely", got, "cut out its SOLVER") from None
    if not isinstance(found, dict):
        raise bad_value(where, "hold a mapping", f"{found!r:.80}", "write SOLVER: ...")
    base, below = found.pop("_BASE_", []), {}
    for name in base if isinstance(base, list) else [base]:
        if not isinstance(name, str):
            raise bad_kind(f"{where}: _BASE_", "be a path", shown(name), "write a file's name")
        if path is None:
            raise bad_value(where, "not have a _BASE_", repr(name), "hand in the path of its file")
        if depth == 10:
            raise ValueError(f"{where}: more than {depth} files are based on each other.")
        below = _merged(below, _read_yaml(path.parent / os.path.expanduser(name), depth + 1))
    return _merged(below, found)


def _merged(base: Any, changes: Any) -> Any:
    if isinstance(base, dict) and isinstance(changes, dict):
        return base | {key: _merged(base.get(key), value) for key, value in changes.items()}
    return changes


def _mapping(node: Any) -> Mapping[Any, Any]:
    attributes = getattr(node, "__dict__", {}).items()
    return node if isinstance(node, Mapping) else {k: v for k, v in attributes if k.isupper()}


def _checked(key: str, value: Any) -> Any:
    """A value of the kind of its default. YAML leaves tuples and numbers such as 1e-3 strings."""
    name, default = f"cfg: {key}", _DEFAULTS[key]
    with contextlib.suppress(Exception):  # as in Detectron2, all but texts of Python values stay
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
        steps = enumerate(arguments.sequence(name, value, "(60000, 80000)"))
        value = [integer(f"{name}[{i}]", step, low=1, remedy="leave it out") for i, step in steps]
        if value != sorted(set(value)):
            raise bad_value(name, "be strictly ascending", value, f"write {sorted(set(value))}")
    return value


@np.errstate(all="ignore")  # from_table refuses what is not finite
def _rates(s: SimpleNamespace) -> np.ndarray:
    """The rate at every count. DeepLab multiplies by a warmup, fvcore begins a curve with it."""
    curve, counts = _CURVES[s.LR_SCHEDULER_NAME], np.arange(s.MAX_ITER)
    where, length = counts / s.MAX_ITER, min(s.WARMUP_ITERS / s.MAX_ITER, 1.0)
    if s.LR_SCHEDULER_NAME == "WarmupPolyLR":
        rates, ending = curve(s, where), s.POLY_LR_CONSTANT_ENDING
        share = counts / max(s.WARMUP_ITERS, 1) if s.WARMUP_METHOD == "linear" else 0.0
        warmup = np.where(counts < s.WARMUP_ITERS, s.WARMUP_FACTOR * (1 - share) + share, 1.0)
        return s.BASE_LR * np.where(warmup == 1.0, np.maximum(rates, ending), warmup * rates)
    first, end = curve(s, np.array([0.0, length]))
    warm, share, start = where + EPSILON <= length, where / (length or 1.0), s.WARMUP_FACTOR * first
    if s.RESCALE_INTERVAL:
        end, where = first, (where - length) / (1 - length)
    warmup = end * share + start * (1 - share) if s.WARMUP_METHOD == "linear" else start
    return s.BASE_LR * np.where(warm, warmup, curve(s, where))
