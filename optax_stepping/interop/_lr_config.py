"""The ``lr_config`` of MMCV, which MMEngine's schedulers replaced."""

import math
from collections.abc import Mapping
from typing import Any

from optax_stepping._arguments import check_flag, integer, real, sequence
from optax_stepping._pieces import Piece
from optax_stepping.interop._factors import (
    at_least,
    by_epoch,
    decays,
    last_step,
    multiply,
    periodic_decays,
)
from optax_stepping.interop._refusals import not_in_stages

_DEFAULTS = {
    "policy": None,
    "step": None,
    "gamma": 0.1,
    "min_lr": None,
    "by_epoch": True,
    "warmup": None,
    "warmup_iters": 0,
    "warmup_ratio": 0.1,
    "warmup_by_epoch": False,
}
# What MMCV calls its other policies, by the names of MMEngine's schedulers.
_OTHERS = {
    "exp": "ExponentialLR",
    "poly": "PolyLR",
    "CosineAnnealing": "CosineAnnealingLR",
    "CosineRestart": "CosineAnnealingWarmRestarts",
    "OneCycle": "OneCycleLR",
}


def lr_config_curve(config: Mapping[str, Any], base: float, length: int) -> list[Piece]:
    """The factor of the rate over the iterations, of which ``length`` are an epoch."""
    for key in config:
        if key not in _DEFAULTS:
            raise ValueError(f"lr_config: {key!r} is not known; known are {sorted(_DEFAULTS)}.")
    settings = _DEFAULTS | dict(config)
    for key in ("by_epoch", "warmup_by_epoch"):
        check_flag(f"lr_config: {key}", settings[key])
    if base <= 0:
        raise ValueError(
            f"base_lr must be positive, as min_lr is a bound of it, got {base}; write the rate."
        )
    unit = length if settings["by_epoch"] else 1
    steps = at_least(by_epoch(_steps(settings, base), unit), _floor(settings) / base)
    return multiply([steps, _warmup(settings, length)], "lr_config")


def _steps(settings: Mapping[str, Any], base: float) -> list[Piece]:
    policy = str(settings["policy"])
    if policy == "fixed":
        return [Piece(0, 1.0)]
    if policy != "step":
        raise not_in_stages("lr_config: policy", _OTHERS.get(policy, policy))
    step = settings["step"]
    gamma = float(real("lr_config: gamma", settings["gamma"], "0.1"))
    if step is None:
        raise ValueError("lr_config: policy 'step' needs 'step'; write step=[8, 11].")
    if isinstance(step, int | float):
        period = integer("lr_config: step", step, low=1, example="8")
        return periodic_decays(period, period, gamma, last_step(None), base, _floor(settings))
    steps = [
        integer(f"lr_config: step[{i}]", value, low=1, example="[8, 11]")
        for i, value in enumerate(sequence("lr_config: step", step, "[8, 11]"))
    ]
    if steps != sorted(steps):
        raise ValueError(f"lr_config: step must be in ascending order, got {steps}; sort it.")
    return decays(steps, gamma)


def _floor(settings: Mapping[str, Any]) -> float:
    """The rate below which it never falls, by steps alone."""
    floor = settings["min_lr"]
    return -math.inf if floor is None else float(real("lr_config: min_lr", floor, "1e-6"))


def _warmup(settings: Mapping[str, Any], length: int) -> list[Piece]:
    kind = settings["warmup"]
    if kind is None:
        return [Piece(0, 1.0)]
    if kind not in ("linear", "constant"):
        raise ValueError(
            f"lr_config: warmup must be 'linear' or 'constant', got {kind!r}; build an 'exp' "
            f"warmup from Optax's functions, as in optax.join_schedules."
        )
    unit = length if settings["warmup_by_epoch"] else 1
    end = integer("lr_config: warmup_iters", settings["warmup_iters"], low=1, example="500") * unit
    ratio = float(real("lr_config: warmup_ratio", settings["warmup_ratio"], "0.001"))
    return [Piece(0, ratio, 1.0 if kind == "linear" else None), Piece(end, 1.0)]
