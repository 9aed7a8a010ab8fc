"""The ``lr_config`` of MMCV, and what MMEngine's schedulers have in common with it."""

import bisect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from optax_stepping._arguments import bad_value, check_flag, integer, real, sequence, shown

NO_END = 10**9  # MMEngine's default
LARGEST = float(np.finfo(np.float32).max)
MOST_STEPS = 10_000_000
RESTARTS = {"periods": list, "restart_weights": (1.0,)}
ONE_CYCLE = {
    "total_steps": None, "pct_start": 0.3, "anneal_strategy": "cos", "div_factor": 25.0,
    "final_div_factor": 1e4, "three_phase": False,
}  # fmt: skip
COUNTS = ("step_size", "total_steps", "cyclic_times")
SHARES = (
    "factor", "start_factor", "end_factor", "pct_start", "start_percent", "step_ratio_up",
    "warmup_ratio",
)  # fmt: skip


class Run(NamedTuple):
    """What the runner of a training knows."""

    base_lr: float
    steps_per_epoch: int | None
    total_steps: int | None

    def unit(self, place: str, by_epoch: bool) -> int:
        """The optimizer steps in one step of a scheduler."""
        if not by_epoch:
            return 1
        if self.steps_per_epoch is None:
            must = f"be given, as {place} counts epochs"
            write = "write steps_per_epoch=len(train_dataloader), or by_epoch=False there"
            raise bad_value("steps_per_epoch", must, None, write)
        return self.steps_per_epoch

    def length(self, place: str, by_epoch: bool) -> int:
        """The runner's max_epochs or max_iters."""
        unit, total_steps = self.unit(place, by_epoch), self.total_steps
        if total_steps is None or total_steps % unit:
            must = "be given" if total_steps is None else f"be whole epochs of {unit} steps"
            must = f"{must}, as {place} ends with the training"
            write = f"write total_steps={f'max_epochs * {unit}' if by_epoch else 'max_iters'}"
            raise bad_value("total_steps", must, total_steps, write)
        return total_steps // unit

    def reached(self, place: str, steps: Sequence[int], unit: int) -> Sequence[int]:
        """Those of a scheduler's steps that are in the training, or fit into int32."""
        steps = steps[: bisect.bisect_left(steps, -(-(self.total_steps or 2**31) // unit))]
        if len(steps) > MOST_STEPS:
            must = f"change the rate at {MOST_STEPS} steps at most"
            raise bad_value(place, must, len(steps), "write a smaller total_steps")
        return steps

    def decays(self, place: str, gamma: float, steps: range) -> range:
        """The steps of a decay: without an end, until no float32 is left of any rate."""
        if self.total_steps is not None or steps.stop < NO_END:
            return steps
        if abs(gamma) >= 0.99:
            must, write = f"be given, as {place} has no end", "write the steps of the training"
            raise bad_value("total_steps", must, None, write)
        # A float32 may be from 2**-149 to 2**128, which is exp(193) times as much.
        return steps[: math.ceil(193 / -math.log(max(abs(gamma), 0.01)))]


def read_settings(place: str, config: Mapping[str, Any], defaults: dict[str, Any]) -> Any:
    """The settings, each checked to be like its default. A type stands for one that has none."""
    for key in config:
        if key not in defaults:
            raise ValueError(f"{place}: {key!r} is not known; known are {sorted(defaults)}.")
    settings = {**defaults, **config}
    for key, value in settings.items():
        name, default = f"{place}: {key}", defaults[key]
        if isinstance(value, type):
            example = "0.1" if value is float else "[8, 11]"
            raise ValueError(f"{place} needs {key!r}; write {key}={example}.")
        if isinstance(default, bool):
            check_flag(name, value)
        elif isinstance(default, str):
            check_choice(name, value, ["cos", "linear"])
        elif isinstance(default, tuple) or default is list:
            settings[key] = numbers(name, value)
        elif key in COUNTS and value is not None:
            settings[key] = integer(name, value, low=1, example="8")
        elif default is not object and value is not default:
            settings[key] = real(name, value, "0.1")
        if key in SHARES and not 0 <= settings[key] <= 1:
            raise bad_value(name, "lie between 0 and 1", value, "write 0.1")
    return SimpleNamespace(**settings)


def numbers(name: str, values: Any) -> list[float]:
    values = values.tolist() if hasattr(values, "tolist") else values
    values = sequence(name, values, "[8, 11]")
    return [real(f"{name}[{i}]", value, "[8, 11]") for i, value in enumerate(values)]


def check_choice(name: str, value: Any, choices: Sequence[str | None]) -> None:
    if value not in choices:
        raise bad_value(name, f"be one of {choices}", shown(value), f"write {choices[-1]!r}")


def not_known(name: str, value: Any, known: Iterable[str]) -> ValueError:
    write = "step it yourself, and write optax_stepping.from_table(rates, tolerance=1e-3)"
    return bad_value(name, f"be one of {', '.join(known)}", shown(value), write)


def lowest(s: Any, rate: float | None, ratio: float | None) -> float:
    """The lowest rate, which is given either by itself or by its ratio to the base rate."""
    if (rate is None) == (ratio is None):
        must, write = "have either a lowest rate or its ratio", "write one of the two"
        raise bad_value(s.place, must, f"{rate} and {ratio}", write)
    return s.base * ratio if rate is None else rate


def rate_at(place: str, step: int, formula: Callable[..., Any], *arguments: Any) -> float:
    """The rate by the formula, or a refusal where the framework has none, either."""
    try:
        rate = formula(*arguments)
    except ArithmeticError as error:
        rate = error
    if isinstance(rate, int | float) and abs(rate) <= LARGEST:
        return rate
    must, write = "have a rate at every step", "change a number, or end before by total_steps"
    raise bad_value(place, must, f"{rate} at its step {step}", write)


def anneal(start: float, end: float, share: float, strategy: str = "cos") -> float:
    if strategy == "linear":
        return start + (end - start) * share
    return end + (start - end) / 2 * (math.cos(math.pi * share) + 1)


def one_cycle(s: Any, step: int, initial: float, highest: float, final: float) -> float:
    """Up to the highest rate and down to the final one: with three phases, by the initial one."""
    first, last = s.pct_start * s.total_steps - 1, s.total_steps - 1
    phases = [(0, first, initial, highest), (first, last, highest, final)]
    if s.three_phase:
        second = 2 * s.pct_start * s.total_steps - 2
        phases[1:] = [(first, second, highest, initial), (second, last, initial, final)]
    start, end, value, end_value = next((p for p in phases if step <= p[1]), phases[-1])
    return anneal(value, end_value, (step - start) / (end - start), s.anneal_strategy)


def restart_at(s: Any, step: int) -> tuple[int, float, float] | None:
    """The step within its period, the period, and the weight of its start."""
    if len(s.periods) != len(s.restart_weights):
        must, write = f"be as many as the {len(s.periods)} periods", "write one for each"
        raise bad_value(f"{s.place}: restart_weights", must, len(s.restart_weights), write)
    for period, weight in zip(s.periods, s.restart_weights, strict=True):
        if step < period:
            return step, period, weight
        step -= period
    return None


def lr_config_rates(config: Mapping[str, Any], run: Run) -> dict[int, float]:
    """The rates from each count on at which they may change."""
    place, settings = "lr_config", dict(config)
    policy, warmup = settings.pop("policy"), settings.pop("warmup", None)
    policy = str(policy).title() if str(policy).islower() else str(policy)
    if policy not in POLICIES:
        raise not_known(f"{place}: policy", policy, POLICIES)
    check_choice(f"{place}: warmup", warmup, [None, "constant", "exp", "linear"])
    if not hasattr(settings.get("target_ratio", ()), "__len__"):
        settings["target_ratio"] = [settings["target_ratio"]]
    defaults, formula = POLICIES[policy]
    s = read_settings(place, settings, COMMON | defaults)
    if s.by_epoch and policy in ("Cyclic", "OneCycle"):
        raise bad_value(f"{place}: by_epoch", f"be False for {policy}", True, "leave it out")
    s.place, s.base, unit = place, run.base_lr, run.unit(place, s.by_epoch)
    steps = run.reached(place, _steps(policy, s, run), unit)
    counts = {0, *(step * unit for step in steps)}
    if warmup:
        name = f"{place}: warmup_iters"
        s.warmup_iters = integer(name, s.warmup_iters, low=1, example="500")
        s.warmup_iters *= run.unit(name, s.warmup_by_epoch)
        counts |= {*run.reached(name, range(s.warmup_iters + 1), 1)}

    def rate(count: int) -> float:
        regular = formula(s, count // unit)
        if not warmup or count >= s.warmup_iters:
            return regular
        left, ratio = 1 - count / s.warmup_iters, s.warmup_ratio
        shares = {"constant": ratio, "exp": ratio**left, "linear": 1 - left * (1 - ratio)}
        return regular * shares[warmup]

    return {count: rate_at(place, count, rate, count) for count in sorted(counts)}


def _steps(policy: str, s: Any, run: Run) -> Sequence[int]:
    """The epochs or iterations at which the rate may change, and what depends on their number."""
    if hasattr(s, "min_lr_ratio"):
        s.lowest = lowest(s, s.min_lr, s.min_lr_ratio)
    match policy:
        case "Fixed":
            return range(1)
        case "Step" if hasattr(s.step, "__len__"):
            steps = numbers(f"{s.place}: step", s.step)
            s.step = [integer(f"{s.place}: step", step, low=1, example="[8]") for step in steps]
            return sorted({*s.step})
        case "Step":
            s.step = integer(f"{s.place}: step", s.step, low=1, example="8")
            return run.decays(s.place, s.gamma, range(0, NO_END, s.step))
        case "Exp":
            return run.decays(s.place, s.gamma, range(NO_END))
        case "CosineRestart" if run.total_steps is None:
            return range(math.ceil(sum(s.periods)))
        case "Cyclic" if len(s.target_ratio) not in (1, 2):
            must, write = "be two ratios, or one", "write (10, 1e-4)"
            raise bad_value(f"{s.place}: target_ratio", must, s.target_ratio, write)
        case "OneCycle":
            s.base = s.max_lr / (s.div_factor or math.nan)
            s.total_steps = s.total_steps or run.length(s.place, False)
            return range(run.total_steps or s.total_steps)
    s.length = run.length(s.place, s.by_epoch)
    return range(s.length)


def _step(s: Any, step: int) -> float:
    if isinstance(s.step, int):
        drops = step // s.step
    else:
        drops = next((i for i, at in enumerate(s.step) if step < at), len(s.step))
    rate = s.base * s.gamma**drops
    return rate if s.min_lr is None else max(rate, s.min_lr)


def _flat_cosine(s: Any, step: int) -> float:
    start = round(s.length * s.start_percent)
    return anneal(s.base, s.lowest, max(step - start, 0) / max(s.length - start, 1))


def _cosine_restart(s: Any, step: int) -> float:
    # MMCV fails beyond the last period.
    step, period, weight = restart_at(s, step) or (0, 0, 0)
    return anneal(weight * s.base + (1 - weight) * s.lowest, s.lowest, step / period)


def _cyclic(s: Any, step: int) -> float:
    length = s.length // s.cyclic_times
    cycle, step = divmod(step, length)
    up, scale = int(s.step_ratio_up * length), s.gamma**cycle
    high, low = [*s.target_ratio, s.target_ratio[0] / 1e5][:2]
    if step < up:
        return anneal(s.base, s.base * (1 - scale + high * scale), step / up, s.anneal_strategy)
    high, low = (1 - scale + high * scale, low) if up else (high, 1 - scale + low * scale)
    share = (step - up) / (length - up)
    return anneal(s.base * high, s.base * low, share, s.anneal_strategy)


def _one_cycle(s: Any, step: int) -> float:
    highest, final = s.base * s.div_factor, s.base / s.final_div_factor
    return one_cycle(s, step, s.base, highest, final) if step < s.total_steps else math.nan


COMMON = {"by_epoch": True, "warmup_iters": 0, "warmup_ratio": 0.1, "warmup_by_epoch": False}
FLOOR = {"min_lr": None, "min_lr_ratio": None}
# The settings of each policy, and its rate at a step of its own, without a warmup.
POLICIES: dict[str, tuple[dict[str, Any], Callable[[Any, int], float]]] = {
    "Fixed": ({}, lambda s, step: s.base),
    "Step": ({"step": object, "gamma": 0.1, "min_lr": None}, _step),
    "Exp": ({"gamma": float}, lambda s, step: s.base * s.gamma**step),
    "Poly": (
        {"power": 1.0, "min_lr": 0.0},
        lambda s, step: (s.base - s.min_lr) * (1 - step / s.length) ** s.power + s.min_lr,
    ),
    "Inv": (
        {"gamma": float, "power": 1.0},
        lambda s, step: s.base * (1 + s.gamma * step) ** -s.power,
    ),
    "CosineAnnealing": (FLOOR, lambda s, step: anneal(s.base, s.lowest, step / s.length)),
    "LinearAnnealing": (FLOOR, lambda s, step: anneal(s.base, s.lowest, step / s.length, "linear")),
    "FlatCosineAnnealing": (FLOOR | {"start_percent": 0.75}, _flat_cosine),
    "CosineRestart": (FLOOR | RESTARTS, _cosine_restart),
    "Cyclic": (
        {
            "by_epoch": False, "target_ratio": (10.0, 1e-4), "cyclic_times": 1,
            "step_ratio_up": 0.4, "anneal_strategy": "cos", "gamma": 1.0,
        },
        _cyclic,
    ),
    "OneCycle": (ONE_CYCLE | {"by_epoch": False, "max_lr": float}, _one_cycle),
}  # fmt: skip
