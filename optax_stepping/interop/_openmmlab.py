"""The formulas of MMEngine's schedulers and of MMCV's policies, and the settings of each."""

import bisect
import math
from collections.abc import Callable
from typing import Any

# From the settings, the step and the rate that is found there to the rate.
Formula = Callable[[Any, int, float], float]


def _anneal(start: float, end: float, share: float, strategy: str = "cos") -> float:
    if strategy == "linear":
        return start + (end - start) * share
    return end + (start - end) / 2 * (math.cos(math.pi * share) + 1)


def _one_cycle(s: Any, step: int) -> float:
    """Up to the highest rate and down to the final one: with three phases, by the initial one."""
    initial, highest, final = (s.group[key] for key in ("initial_lr", "max_lr", "min_lr"))
    first, last = s.pct_start * s.total_steps - 1, s.total_steps - 1
    phases = [(0, first, initial, highest), (first, last, highest, final)]
    if s.three_phase:
        second = 2 * s.pct_start * s.total_steps - 2
        phases[1:] = [(first, second, highest, initial), (second, last, initial, final)]
    start, end, value, end_value = next((p for p in phases if step <= p[1]), phases[-1])
    return _anneal(value, end_value, (step - start) / (end - start), s.anneal_strategy)


def _cyclic(s: Any, step: int, _: float) -> float:
    length = s.length // s.cyclic_times
    cycle, step = divmod(step, length)
    up, scale = int(s.step_ratio_up * length), s.gamma**cycle
    high, low = [*s.target_ratio, s.target_ratio[0] / 1e5][:2]
    if step < up:
        return _anneal(s.base, s.base * (1 - scale + high * scale), step / up, s.anneal_strategy)
    high, low = (1 - scale + high * scale, low) if up else (high, 1 - scale + low * scale)
    share = (step - up) / (length - up)
    return _anneal(s.base * high, s.base * low, share, s.anneal_strategy)


def _flat_cosine(s: Any, step: int, _: float) -> float:
    start = round(s.length * s.start_percent)
    return _anneal(s.base, s.lowest, max(step - start, 0) / max(s.length - start, 1))


def _period_at(s: Any, step: int) -> tuple[int, float, float]:
    """The step within its period, the period, and the weight of its start."""
    for period, weight in zip(s.periods, s.restart_weights, strict=True):
        if step < period:
            return step, period, weight
        step -= period
    return -1, 0, 0.0


def _restart(s: Any, step: int, _: float) -> float:
    step, period, weight = _period_at(s, step)  # MMCV fails beyond the last one
    return _anneal(weight * s.base + (1 - weight) * s.lowest, s.lowest, step / period)


def _restart_stepped(s: Any, step: int, rate: float) -> float:
    step, period, weight = _period_at(s, step)
    if step < 0:
        return rate
    return _along_cosine(step, period, rate, s.lowest) if step else s.base * weight


def _cosine(s: Any, step: int, rate: float) -> float:
    length = s.T_max or s.length
    if step and (step - 1 - length) % (2 * length) == 0:
        return rate + (s.base - s.lowest) * (1 - math.cos(math.pi / length)) / 2
    return _along_cosine(step, length, rate, s.lowest) if step else rate


def _along_cosine(step: int, length: float, rate: float, lowest: float) -> float:
    before, now = (1 + math.cos(math.pi * count / length) for count in (step - 1, step))
    return now / before * (rate - lowest) + lowest


RESTARTS = {"periods": tuple, "restart_weights": (1.0,)}
CYCLE = {
    "total_steps": None, "pct_start": 0.3, "anneal_strategy": "cos", "div_factor": 25.0,
    "final_div_factor": 1e4, "three_phase": False,
}  # fmt: skip
ETA = {"eta_min": None, "eta_min_ratio": None}
MIN_LR = {"min_lr": None, "min_lr_ratio": None}
SCHEDULER = {
    "begin": 0, "end": None, "by_epoch": True, "convert_to_iter_based": False, "verbose": False,
}  # fmt: skip
# What is asked of every scheduler and policy, whether it is among its settings or not.
EVERY = SCHEDULER | {
    "T_max": None, "total_steps": None, "step_size": None, "milestones": (), "periods": (),
    "restart_weights": (),
}  # fmt: skip
POLICY = {"by_epoch": True, "warmup_iters": 0, "warmup_ratio": 0.1, "warmup_by_epoch": False}
# Each has its settings with their defaults, or with their type if they have none. MMEngine's
# schedulers go on from the rate that they find, MMCV's policies do not.
SCHEDULERS: dict[str, tuple[dict[str, Any], Formula]] = {
    "ConstantLR": ({"factor": 1 / 3}, lambda s, step, rate:
        rate * s.factor if step == 0 else rate / s.factor if step == s.length - 1 else rate),
    "CosineAnnealingLR": (ETA | {"T_max": None}, _cosine),
    "CosineRestartLR": (ETA | RESTARTS, _restart_stepped),
    "ExponentialLR": ({"gamma": float}, lambda s, step, rate: rate * s.gamma if step else rate),
    "LinearLR": ({"start_factor": 1 / 3, "end_factor": 1.0}, lambda s, step, rate:
        rate * s.start_factor if step == 0 else rate * (1 + (s.end_factor - s.start_factor)
        / ((s.length - 1) * s.start_factor + (step - 1) * (s.end_factor - s.start_factor)))),
    "MultiStepLR": ({"milestones": list, "gamma": 0.1}, lambda s, step, rate:
        rate * s.gamma ** s.milestones.count(step)),
    "OneCycleLR": (CYCLE | {"eta_max": 0.0}, lambda s, step, _:
        _one_cycle(s, step) if step <= s.total_steps else math.nan),
    "PolyLR": ({"eta_min": 0.0, "power": 1.0}, lambda s, step, rate:
        s.eta_min + (rate - s.eta_min) * (1 - 1 / (s.length - step) if step else 1) ** s.power),
    "QuadraticWarmupLR": ({}, lambda s, step, rate:
        s.base * (2 * step + 1) / s.length**2 + (rate if step else 0)),
    "StepLR": ({"step_size": int, "gamma": 0.1}, lambda s, step, rate:
        rate * s.gamma if step else rate),
}  # fmt: skip
POLICIES: dict[str, tuple[dict[str, Any], Formula]] = {
    "Fixed": ({}, lambda s, step, _: s.base),
    "Step": ({"step": object, "gamma": 0.1, "min_lr": None}, lambda s, step, _:
        max(s.base * s.gamma ** bisect.bisect_right(s.step, step), s.min_lr)),
    "Exp": ({"gamma": float}, lambda s, step, _: s.base * s.gamma**step),
    "Poly": ({"power": 1.0, "min_lr": 0.0}, lambda s, step, _:
        (s.base - s.min_lr) * (1 - step / s.length) ** s.power + s.min_lr),
    "Inv": ({"gamma": float, "power": 1.0}, lambda s, step, _:
        s.base * (1 + s.gamma * step) ** -s.power),
    "CosineAnnealing": (MIN_LR, lambda s, step, _: _anneal(s.base, s.lowest, step / s.length)),
    "LinearAnnealing": (MIN_LR, lambda s, step, _:
        _anneal(s.base, s.lowest, step / s.length, "linear")),
    "FlatCosineAnnealing": (MIN_LR | {"start_percent": 0.75}, _flat_cosine),
    "CosineRestart": (MIN_LR | RESTARTS, _restart),
    "Cyclic": ({
        "by_epoch": False, "target_ratio": (10.0, 1e-4), "cyclic_times": 1, "step_ratio_up": 0.4,
        "anneal_strategy": "cos", "gamma": 1.0,
    }, _cyclic),
    "OneCycle": (CYCLE | {"by_epoch": False, "max_lr": float}, lambda s, step, _:
        _one_cycle(s, step) if step < s.total_steps else math.nan),
}  # fmt: skip
# Of the ratio of a warmup, and the share of it that is left.
WARMUPS: dict[str, Callable[[float, float], float]] = {
    "constant": lambda ratio, left: ratio if left else 1.0,
    "exp": lambda ratio, left: ratio**left,
    "linear": lambda ratio, left: 1 - left * (1 - ratio),
}
