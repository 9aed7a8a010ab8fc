"""Parameter schedulers of MMEngine."""

import heapq
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from optax_stepping._arguments import bad_kind, bad_value, integer, real, shown
from optax_stepping._changes import from_changes
from optax_stepping._schedule import SteppingSchedule
from optax_stepping.interop._lr_config import (
    LARGEST,
    NO_END,
    ONE_CYCLE,
    RESTARTS,
    Run,
    lowest,
    lr_config_rates,
    not_known,
    one_cycle,
    rate_at,
    read_settings,
    restart_at,
)


def from_mmengine(
    param_scheduler: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None,
    *,
    base_lr: float,
    steps_per_epoch: int | None = None,
    total_steps: int | None = None,
    tolerance: float | None = None,
) -> SteppingSchedule:
    """The ``param_scheduler`` of an MMEngine config, or the older ``lr_config`` of MMCV.

    Every scheduler of MMEngine for learning rates (``mmengine/optim/scheduler``), and
    MMDetection's ``QuadraticWarmupLR``, is stepped as the runner steps it: each goes on from the
    rate that it finds, milestones count from ``begin``, a linear warmup reaches its end at
    ``end - 1``. Schedulers of momentum and weight decay are left out. Types may be names, scoped
    names (``"mmdet.QuadraticWarmupLR"``) or classes. Compared with the real schedulers, stepped.

    A mapping with a ``policy`` is MMCV's ``lr_config`` (``mmcv/runner/hooks/lr_updater.py`` of
    MMCV 1): each of its policies, with each warmup. ``by_epoch`` is True unless written, as with
    MMCV's ``EpochBasedRunner``; under an ``IterBasedRunner``, write ``by_epoch=False``. Compared
    with its formulas.

    Args:
      param_scheduler: the config's list of dicts, or one of them; or an ``lr_config``. None is a
        constant rate.
      base_lr: the rate of the optimizer, scaled if the config scales it (``auto_scale_lr``).
      steps_per_epoch: the number of optimizer steps in an epoch. Needed where something counts
        epochs.
      total_steps: the number of optimizer steps in the training, after which the last rate holds.
        Needed where the config leaves an end to the runner. Without it, a decay without an end
        goes on until float32 underflows.
      tolerance: what curved stretches may be off by, relative to the largest rate; see
        :func:`optax_stepping.from_table`. What changes by epoch is exact without it.

    Returns:
      The schedule, in optimizer steps.

    Raises:
      ValueError: a scheduler that follows a metric (the message has Optax's call), an unknown one,
        unknown or missing settings, settings that MMEngine or MMCV fails on, a curve without a
        ``tolerance``.
      TypeError: no mappings, or a setting of another kind.

    Example:
      >>> from optax_stepping import interop
      >>> interop.from_mmengine([
      ...     {"type": "LinearLR", "start_factor": 0.001, "by_epoch": False, "end": 500},
      ...     {"type": "MultiStepLR", "by_epoch": True, "milestones": [8, 11], "end": 12},
      ... ], base_lr=0.02, steps_per_epoch=7330)
      SteppingSchedule(boundaries=[499, 58640, 80630], rates=[2e-05, 0.02, 0.002, 0.0002],
                       ramps=[True, False, False])
    """
    run = Run(
        real("base_lr", base_lr, "0.02"),
        None if steps_per_epoch is None else integer("steps_per_epoch", steps_per_epoch, low=1),
        None if total_steps is None else integer("total_steps", total_steps, low=1),
    )
    if abs(run.base_lr) > LARGEST:
        raise bad_value("base_lr", "fit into float32", run.base_lr, "write a rate such as 0.02")
    if isinstance(param_scheduler, Mapping) and "policy" in param_scheduler:
        return from_changes(lr_config_rates(param_scheduler, run), tolerance)
    parts = [param_scheduler] if isinstance(param_scheduler, Mapping) else param_scheduler
    if not isinstance(parts, Sequence | None) or isinstance(parts, str):
        must, write = "be a list of dicts, or an lr_config", "write [dict(type='MultiStepLR', ...)]"
        raise bad_kind("param_scheduler", must, shown(parts), write)
    return from_changes(_stepped(parts or [], run), tolerance)


def _stepped(parts: Sequence[Any], run: Run) -> dict[int, float]:
    """The rates from each count on at which a scheduler acts."""
    group = {"lr": run.base_lr, "initial_lr": run.base_lr}
    schedulers, events = {}, []

    def act(i: int, step: int) -> float:
        s = schedulers[i]
        group["lr"] = rate_at(s.place, step - s.first, s.formula, s, step - s.first, group["lr"])
        return group["lr"]

    for i, part in enumerate(parts):
        s = schedulers[i] = _read(f"param_scheduler[{i}]", part, run, group)
        if s is None:
            continue
        # A scheduler makes its first step when it is made. The others follow each iteration, or
        # each epoch, after those of the iteration.
        if s.first == 0 < s.end:
            act(i, 0)
        events.append(_events(i, s))
    changes = {0: group["lr"]}
    for count, _, i, step in heapq.merge(*events):
        changes[count] = act(i, step)
    return changes


def _events(i: int, s: Any) -> Iterator[tuple[int, bool, int, int]]:
    return ((step * s.unit, s.by_epoch, i, step) for step in s.steps if step)


def _read(place: str, part: Any, run: Run, group: dict[str, float]) -> Any:
    """A scheduler's settings and the steps at which it acts; None if it leaves the rate alone."""
    if not isinstance(part, Mapping):
        raise bad_kind(place, "be a dict", shown(part), "write dict(type='MultiStepLR', ...)")
    if "type" not in part:
        raise ValueError(
            f"{place} has no 'type', only {shown(list(part))}; write type='MultiStepLR', or, if "
            f"these are optimizers, param_scheduler[one of them]."
        )
    settings = {key: value for key, value in part.items() if key not in ("type", "_scope_")}
    name = getattr(part["type"], "__name__", str(part["type"])).rpartition(".")[2]
    kind = re.sub("(LR|ParamScheduler|Momentum|WeightDecay)$", "", name)
    suffix = name.removeprefix(kind)
    param_name = settings.pop("param_name", "lr") if suffix == "ParamScheduler" else "lr"
    if suffix in ("Momentum", "WeightDecay") or param_name != "lr":
        return None
    if kind == "ReduceOnPlateau":
        raise _plateau(f"{place}: {name}", settings, run.base_lr)
    if not suffix or kind not in SCHEDULERS:
        raise not_known(f"{place}: type", name, [f"{known}LR" for known in SCHEDULERS])
    defaults, formula = SCHEDULERS[kind]
    s = read_settings(f"{place}: {name}", settings, COMMON | defaults)
    s.place, s.formula, s.base = f"{place}: {name}", formula, group["initial_lr"]
    _find_steps(kind, s, run)
    if hasattr(s, "eta_min_ratio"):
        if kind == "CosineAnnealing" and s.eta_min_ratio is None:
            s.eta_min = s.eta_min or 0.0
        s.lowest = lowest(s, s.eta_min, s.eta_min_ratio)
    if kind == "OneCycle":
        s.group, s.total_steps = group, s.total_steps or s.length
        initial = s.eta_max / (s.div_factor or math.nan)
        final = initial / (s.final_div_factor or math.nan)
        group.update(initial_lr=initial, max_lr=s.eta_max, min_lr=final)
    return s


def _find_steps(kind: str, s: Any, run: Run) -> None:
    """Where a scheduler begins and ends, in its own steps, and at which of them it acts."""
    s.unit = run.unit(s.place, s.by_epoch)
    own = getattr(s, "T_max", None) or getattr(s, "total_steps", None)
    own = own or sum(getattr(s, "periods", []))
    if s.end is None and kind in ("Exponential", "MultiStep", "Step"):
        s.end = math.inf
    elif s.end is None and own and run.total_steps is None:
        s.end = s.begin + own
    elif s.end is None:
        s.end = run.length(s.place, s.by_epoch)
    if s.convert_to_iter_based:
        _convert_to_iterations(s)
    if not s.begin < s.end:
        write = f"write end={s.begin + 1}"
        raise bad_value(s.place, "begin before its end", f"begin={s.begin}, end={s.end}", write)
    s.first, s.length = max(0, math.ceil(s.begin)), s.end - s.begin
    s.steps = range(s.first, math.ceil(min(s.end, 2**31)))
    if kind == "Step":
        s.steps = s.steps[s.step_size :: s.step_size]
    if kind in ("Exponential", "Step"):
        s.steps = run.decays(s.place, s.gamma, s.steps)
    if kind == "MultiStep":
        inside = {s.first + int(step) for step in s.milestones if 0 <= step < s.length}
        s.steps = sorted(inside)
    s.steps = run.reached(s.place, s.steps, s.unit)


def _convert_to_iterations(s: Any) -> None:
    if not s.by_epoch:
        must, write = "come with by_epoch=True", "leave it out"
        raise bad_value(f"{s.place}: convert_to_iter_based", must, "by_epoch=False", write)
    s.begin, s.end = int(s.begin * s.unit), s.end if s.end >= NO_END else int(s.end * s.unit)
    for key in vars(s).keys() & {"step_size", "T_max", "total_steps"}:
        setattr(s, key, getattr(s, key) and getattr(s, key) * s.unit)
    for key in vars(s).keys() & {"milestones", "periods"}:
        setattr(s, key, [count * s.unit for count in getattr(s, key)])
    s.unit, s.by_epoch = 1, False


def _plateau(place: str, settings: Mapping[str, Any], base_lr: float) -> ValueError:
    defaults = {"factor": 0.1, "patience": 10, "threshold": 1e-4, "cooldown": 0, "min_value": 0.0}
    s = {**defaults, **settings}
    margins = ("atol=0.0, rtol", "rtol=0.0, atol")[s.get("threshold_rule") == "abs"]
    return ValueError(
        f"{place} follows a metric, as no schedule does; write optax.contrib.reduce_on_plateau("
        f"factor={s['factor']}, patience={s['patience']} + 1, {margins}={s['threshold']}, "
        f"cooldown={s['cooldown']}, min_scale={s['min_value']} / {base_lr}), and give its update "
        f"{'-metric' if s.get('rule') == 'greater' else 'the metric'} as value."
    )


def _constant(s: Any, step: int, rate: float) -> float:
    if step == 0:
        return rate * s.factor
    return rate * (1.0 / s.factor) if step == s.length - 1 else rate


def _cosine(s: Any, step: int, rate: float) -> float:
    length = s.T_max or s.length
    if step and (step - 1 - length) % (2 * length) == 0:
        return rate + (s.base - s.lowest) * (1 - math.cos(math.pi / length)) / 2
    return _along_cosine(step, length, rate, s.lowest) if step else rate


def _along_cosine(step: int, length: float, rate: float, lowest: float) -> float:
    before, now = (1 + math.cos(math.pi * count / length) for count in (step - 1, step))
    return now / before * (rate - lowest) + lowest


def _cosine_restart(s: Any, step: int, rate: float) -> float:
    step, period, weight = restart_at(s, step) or (-1, 1, 0)
    if step < 0:
        return rate
    return _along_cosine(step, period, rate, s.lowest) if step else s.base * weight


def _linear(s: Any, step: int, rate: float) -> float:
    if step == 0:
        return rate * s.start_factor
    rise = s.end_factor - s.start_factor
    return rate * (1.0 + rise / ((s.length - 1) * s.start_factor + (step - 1) * rise))


def _one_cycle(s: Any, step: int, _: float) -> float:
    rates = (s.group[key] for key in ("initial_lr", "max_lr", "min_lr"))
    return one_cycle(s, step, *rates) if step <= s.total_steps else math.nan


def _poly(s: Any, step: int, rate: float) -> float:
    if step == 0:
        return rate
    return (rate - s.eta_min) * (1 - 1 / (s.length - step)) ** s.power + s.eta_min


def _quadratic_warmup(s: Any, step: int, rate: float) -> float:
    rise = s.base * (2 * step + 1) / s.length**2
    return rate + rise if step else rise


COMMON = {
    "begin": 0, "end": None, "by_epoch": True, "convert_to_iter_based": False, "verbose": False,
}  # fmt: skip
FLOOR = {"eta_min": None, "eta_min_ratio": None}
# The settings of each scheduler, and the rate after a step of its own: most go on from the rate
# that they find.
SCHEDULERS: dict[str, tuple[dict[str, Any], Callable[[Any, int, float], float]]] = {
    "Constant": ({"factor": 1 / 3}, _constant),
    "CosineAnnealing": (FLOOR | {"T_max": None}, _cosine),
    "CosineRestart": (FLOOR | RESTARTS, _cosine_restart),
    "Exponential": ({"gamma": float}, lambda s, step, rate: rate * s.gamma if step else rate),
    "Linear": ({"start_factor": 1 / 3, "end_factor": 1.0}, _linear),
    "MultiStep": (
        {"milestones": list, "gamma": 0.1},
        lambda s, step, rate: rate * s.gamma ** s.milestones.count(step),
    ),
    "OneCycle": (ONE_CYCLE | {"eta_max": 0.0}, _one_cycle),
    "Poly": ({"eta_min": 0.0, "power": 1.0}, _poly),
    "QuadraticWarmup": ({}, _quadratic_warmup),
    "Step": (
        {"step_size": float, "gamma": 0.1},
        lambda s, step, rate: rate * s.gamma if step and step % s.step_size == 0 else rate,
    ),
}
