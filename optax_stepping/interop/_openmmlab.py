"""The formulas of MMEngine's schedulers and of MMCV's policies, and the settings of each."""

import math
from bisect import bisect_left, bisect_right
from typing import Any


def _anneal(start: float, end: float, share: float, strategy: str = "cos") -> float:
    if strategy == "linear":
        return start + (end - start) * share
    return end + (start - end) / 2 * (math.cos(math.pi * share) + 1)


def _one_cycle(s: Any, step: int) -> float:
    """Up to the highest rate and down to the final one: with three phases, by the initial one."""
    knots = [0, s.pct_start * s.total_steps - 1, s.total_steps - 1]
    rates = [s.run.initial_lr, s.run.max_lr, s.run.min_lr]
    if s.three_phase:
        knots[2:2], rates[2:2] = [2 * knots[1]], [s.run.initial_lr]
    i = bisect_left(knots[1:-1], step)
    share = (step - knots[i]) / (knots[i + 1] - knots[i])
    return _anneal(rates[i], rates[i + 1], share, s.anneal_strategy)


def _cyclic(s: Any, step: int) -> float:
    length = s.length // s.cyclic_times
    cycle, step = divmod(step, length)
    up, scale = int(s.step_ratio_up * length), s.gamma**cycle
    knots, ratios = [0, up, length], [1, *s.target_ratio, s.target_ratio[0] / 1e5]
    scaled, i = 1 if up else 2, int(step >= up)
    ratios[scaled] = 1 - scale + ratios[scaled] * scale
    share = (step - knots[i]) / (knots[i + 1] - knots[i])
    return _anneal(s.base * ratios[i], s.base * ratios[i + 1], share, s.anneal_strategy)


def _restart(s: Any, step: int) -> float:
    for period, weight in zip(s.periods, s.restart_weights, strict=True):
        if step < period and s.kind == "CosineRestart":
            return _anneal(weight * s.base + (1 - weight) * s.min_lr, s.min_lr, step / period)
        if step < period:
            return _along_cosine(s, step, period) if step else s.base * weight
        step -= period
    return math.nan if s.kind == "CosineRestart" else s.rate  # MMCV fails beyond the last period


def _cosine(s: Any, step: int) -> float:
    length = s.T_max or s.length
    if step and (step - 1 - length) % (2 * length) == 0:
        return s.rate + (s.base - s.min_lr) * (1 - math.cos(math.pi / length)) / 2
    return _along_cosine(s, step, length) if step else s.rate


def _along_cosine(s: Any, step: int, length: float) -> float:
    before, now = (1 + math.cos(math.pi * count / length) for count in (step - 1, step))
    return now / before * (s.rate - s.min_lr) + s.min_lr


ETA = {"eta_min": None, "eta_min_ratio": None}
MIN_LR = {"min_lr": None, "min_lr_ratio": None}
RESTARTS = {"periods": list, "restart_weights": (1.0,)}
CYCLE = {
    "total_steps": None, "pct_start": 0.3, "anneal_strategy": "cos", "div_factor": 25.0,
    "final_div_factor": 1e4, "three_phase": False,
}  # fmt: skip
SPAN = {"begin": 0, "end": None, "by_epoch": True, "convert_to_iter_based": False, "verbose": False}
POLICY = {"by_epoch": True, "warmup_iters": 0, "warmup_ratio": 0.1, "warmup_by_epoch": False}
# What is asked of every scheduler and policy, whether it is among its settings or not.
EVERY = SPAN | {"T_max": 0, "total_steps": 0, "step_size": 0, "milestones": (), "periods": ()}
PLATEAU = {"factor": 0.1, "patience": 10, "threshold": 1e-4, "cooldown": 0, "min_value": 0.0}
# Each has its settings with their defaults, or with a type if there is none (object: a number or
# numbers), and the rate at its step n. MMEngine's go on from the rate they find, MMCV's do not.
SCHEDULERS: dict[str, Any] = {
    "ConstantLR": ({"factor": 1 / 3}, lambda s, n:
        s.rate * s.factor if n == 0 else s.rate / s.factor if n == s.length - 1 else s.rate),
    "CosineAnnealingLR": (ETA | {"T_max": None}, _cosine),
    "CosineRestartLR": (ETA | RESTARTS, _restart),
    "ExponentialLR": ({"gamma": float}, lambda s, n: s.rate * s.gamma if n else s.rate),
    "LinearLR": ({"start_factor": 1 / 3, "end_factor": 1.0}, lambda s, n:
        s.rate * s.start_factor if n == 0 else s.rate * (1 + (s.end_factor - s.start_factor)
        / ((s.length - 1) * s.start_factor + (n - 1) * (s.end_factor - s.start_factor)))),
    "MultiStepLR": ({"milestones": list, "gamma": 0.1}, lambda s, n:
        s.rate * s.gamma ** s.milestones.count(n)),
    "OneCycleLR": (CYCLE | {"eta_max": 0.0}, lambda s, n:
        _one_cycle(s, n) if n <= s.total_steps else math.nan),
    "PolyLR": ({"eta_min": 0.0, "power": 1.0}, lambda s, n:
        s.min_lr + (s.rate - s.min_lr) * (1 - 1 / (s.length - n) if n else 1) ** s.power),
    "QuadraticWarmupLR": ({}, lambda s, n:
        s.base * (2 * n + 1) / s.length**2 + (s.rate if n else 0)),
    "StepLR": ({"step_size": int, "gamma": 0.1}, lambda s, n: s.rate * s.gamma if n else s.rate),
}  # fmt: skip
POLICIES: dict[str, Any] = {
    "Fixed": ({}, lambda s, n: s.base),
    "Step": ({"step": object, "gamma": 0.1, "min_lr": None}, lambda s, n:
        max(s.base * s.gamma ** (n // s.step_size if s.step_size else
        bisect_right(s.milestones, n)), -math.inf if s.min_lr is None else s.min_lr)),
    "Exp": ({"gamma": float}, lambda s, n: s.base * s.gamma**n),
    "Poly": ({"power": 1.0, "min_lr": 0.0}, lambda s, n:
        (s.base - s.min_lr) * (1 - n / s.length) ** s.power + s.min_lr),
    "Inv": ({"gamma": float, "power": 1.0}, lambda s, n: s.base * (1 + s.gamma * n) ** -s.power),
    "CosineAnnealing": (MIN_LR, lambda s, n: _anneal(s.base, s.min_lr, n / s.length)),
    "LinearAnnealing": (MIN_LR, lambda s, n: _anneal(s.base, s.min_lr, n / s.length, "linear")),
    "FlatCosineAnnealing": (MIN_LR | {"start_percent": 0.75}, lambda s, n: _anneal(
        s.base, s.min_lr, max(n - (start := round(s.length * s.start_percent)), 0)
        / max(s.length - start, 1))),
    "CosineRestart": (MIN_LR | RESTARTS, _restart),
    "Cyclic": ({"by_epoch": False, "target_ratio": (10.0, 1e-4), "cyclic_times": 1,
        "step_ratio_up": 0.4, "anneal_strategy": "cos", "gamma": 1.0}, _cyclic),
    "OneCycle": (CYCLE | {"by_epoch": False, "max_lr": float}, lambda s, n:
        _one_cycle(s, n) if n < s.total_steps else math.nan),
}  # fmt: skip
WARMUPS: dict[str, Any] = {  # by the ratio, and the share of the warmup that is left
    "constant": lambda ratio, left: ratio if left else 1.0,
    "exp": lambda ratio, left: ratio**left,
    "linear": lambda ratio, left: 1 - left * (1 - ratio),
}
