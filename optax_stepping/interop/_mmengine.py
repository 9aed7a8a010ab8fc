"""Parameter schedulers of MMEngine, and the ``lr_config`` of MMCV."""

import heapq
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from optax_stepping import _arguments as arguments
from optax_stepping._arguments import bad_kind, bad_value, check_choice, integer, real, shown
from optax_stepping._changes import LONGEST_TABLE, from_changes
from optax_stepping._schedule import SteppingSchedule
from optax_stepping.interop import _openmmlab as table

NO_END = 10**9  # MMEngine's default
LARGEST = float(np.finfo(np.float32).max)


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
    rate that it finds, milestones count from ``begin``, and a linear warmup ends at ``end - 1``.
    Schedulers of momentum and weight decay are ignored. Types may be names, scoped names
    (``"mmdet.QuadraticWarmupLR"``) or classes. Tests compare it with the real schedulers.

    A mapping with a ``policy`` is MMCV's ``lr_config`` (``mmcv/runner/hooks/lr_updater.py`` of
    MMCV 1), with any of its policies and warmups. ``by_epoch`` is True by default, as in MMCV's
    ``EpochBasedRunner``; for an ``IterBasedRunner``, write ``by_epoch=False``. Tests compare it
    with MMCV's formulas.

    Args:
      param_scheduler: the config's list of dicts, or one of them; or an ``lr_config``. None is a
        constant rate.
      base_lr: the rate of the optimizer, scaled if the config scales it (``auto_scale_lr``).
      steps_per_epoch: the number of optimizer steps in an epoch. Needed where something counts
        epochs.
      total_steps: the number of optimizer steps in the training, after which the last rate holds.
        Needed where the config leaves an end to the runner. Without it, a decay without an end
        goes on until float32 underflows.
      tolerance: the largest error of a curve, relative to the largest rate, as in
        :func:`optax_stepping.from_table`. Rates that change once an epoch are exact without it.

    Returns:
      The schedule, in optimizer steps.

    Raises:
      ValueError: a scheduler that follows a metric (the message has Optax's call), an unknown one,
        unknown or missing settings, settings that MMEngine or MMCV fails on, a curve without a
        ``tolerance``.
      TypeError: the config is not made of dicts, or a setting is of a wrong kind.

    Example:
      >>> from optax_stepping import interop
      >>> interop.from_mmengine([
      ...     {"type": "LinearLR", "start_factor": 0.001, "by_epoch": False, "end": 500},
      ...     {"type": "MultiStepLR", "by_epoch": True, "milestones": [8, 11], "end": 12},
      ... ], base_lr=0.02, steps_per_epoch=7330)
      SteppingSchedule(boundaries=[499, 58640, 80630], rates=[2e-05, 0.02, 0.002, 0.0002],
                       ramps=[True, False, False])
    """
    base_lr = real("base_lr", base_lr, "0.02")
    if abs(base_lr) > LARGEST:
        raise bad_value("base_lr", "fit into float32", base_lr, "write a rate such as 0.02")
    run = Run(
        None if steps_per_epoch is None else integer("steps_per_epoch", steps_per_epoch, low=1),
        None if total_steps is None else integer("total_steps", total_steps, low=1),
        {"lr": base_lr, "initial_lr": base_lr},
    )
    if isinstance(param_scheduler, Mapping) and "policy" in param_scheduler:
        schedulers = _read_policy(param_scheduler, run)
    else:
        parts = [param_scheduler] if isinstance(param_scheduler, Mapping) else param_scheduler
        example = "[dict(type='MultiStepLR', ...)]"
        parts = [] if parts is None else arguments.sequence("param_scheduler", parts, example)
        schedulers = (_read(f"param_scheduler[{i}]", part, run) for i, part in enumerate(parts))
    return from_changes(_changes(schedulers, run.group), tolerance)


class Run(NamedTuple):
    """What the runner of a training and its optimizer know."""

    steps_per_epoch: int | None
    total_steps: int | None
    group: dict[str, float]

    def unit(self, place: str, by_epoch: bool) -> int:
        """The optimizer steps in one step of a scheduler."""
        if by_epoch and self.steps_per_epoch is None:
            write = "write steps_per_epoch=len(train_dataloader), or by_epoch=False there"
            raise bad_value("steps_per_epoch", f"be given, as {place} counts epochs", None, write)
        return (by_epoch and self.steps_per_epoch) or 1

    def length(self, place: str, by_epoch: bool) -> int:
        """The runner's max_epochs or max_iters."""
        unit, total_steps = self.unit(place, by_epoch), self.total_steps
        if total_steps is None or total_steps % unit:
            must = "be given" if total_steps is None else f"be whole epochs of {unit} steps"
            must = f"{must}, as {place} ends with the training"
            write = f"write total_steps={f'max_epochs * {unit}' if by_epoch else 'max_iters'}"
            raise bad_value("total_steps", must, total_steps, write)
        return total_steps // unit


def _changes(schedulers: Iterable[Any], group: dict[str, float]) -> dict[int, float]:
    """The rates from each count on at which a scheduler acts."""
    changes = {0: group["lr"]}
    for count, s in _acts(schedulers):
        step = count // s.unit - s.first
        try:
            rate = s.formula(s, step, group["lr"])
        except ArithmeticError as error:
            rate = error
        if not isinstance(rate, int | float) or not abs(rate) <= LARGEST:
            must = "have a rate at every step"
            write = "change a number, or end before by total_steps"
            raise bad_value(s.place, must, f"{rate} at its step {step}", write)
        changes[count] = group["lr"] = rate
    return changes


def _acts(schedulers: Iterable[Any]) -> Iterator[tuple[int, Any]]:
    """The counts at which schedulers act, each with its scheduler, in the runner's order."""
    made = []
    for s in filter(None, schedulers):
        if len(s.counts) > LONGEST_TABLE:
            must = f"change the rate at {LONGEST_TABLE} steps at most"
            raise bad_value(s.place, must, len(s.counts), "write a smaller total_steps")
        # A scheduler makes its first step when it is made, before the next one is.
        made.append(s)
        if 0 in s.counts:
            yield 0, s
    # The others follow each iteration, or each epoch, after those of the iteration.
    made.sort(key=lambda s: s.by_epoch)
    later = (zip(filter(None, s.counts), itertools.repeat(s)) for s in made)
    yield from heapq.merge(*later, key=lambda act: act[0])


def _read(place: str, part: Any, run: Run) -> Any:
    """A scheduler's settings and the counts at which it acts; None if it leaves the rate alone."""
    if not isinstance(part, Mapping):
        raise bad_kind(place, "be a dict", shown(part), "write dict(type='MultiStepLR', ...)")
    if "type" not in part:
        write = "write type='MultiStepLR'; of several optimizers, param_scheduler[one of them]"
        raise bad_value(place, "have a 'type'", shown(list(part)), write)
    settings = {key: value for key, value in part.items() if key not in ("type", "_scope_")}
    name = getattr(part["type"], "__name__", str(part["type"])).rpartition(".")[2]
    param_name = settings.pop("param_name", "lr") if name.endswith("ParamScheduler") else "lr"
    if name.endswith(("Momentum", "WeightDecay")) or param_name != "lr":
        return None
    kind = re.sub("ParamScheduler$", "LR", name)
    if kind == "ReduceOnPlateauLR":
        raise _plateau(f"{place}: {name}", settings, run.group["initial_lr"])
    check_choice(f"{place}: type", kind, table.SCHEDULERS, STEP_IT)
    defaults, formula = table.SCHEDULERS[kind]
    s = _settings(f"{place}: {name}", settings, table.SCHEDULER | defaults, formula)
    if kind == "CosineAnnealingLR" and s.eta_min_ratio is None:
        s.eta_min = s.eta_min or 0.0
    return _prepared(kind, s, run)


def _read_policy(config: Mapping[str, Any], run: Run) -> list[Any]:
    """The policy of an lr_config, and its warmup: the policy's rate, times a share."""
    place, settings = "lr_config", dict(config)
    policy, warmup = settings.pop("policy"), settings.pop("warmup", None)
    policy = str(policy).title() if str(policy).islower() else str(policy)
    check_choice(f"{place}: policy", policy, table.POLICIES, STEP_IT)
    check_choice(f"{place}: warmup", warmup, [None, *table.WARMUPS])
    if not hasattr(settings.get("target_ratio", ()), "__len__"):
        settings["target_ratio"] = [settings["target_ratio"]]
    defaults, formula = table.POLICIES[policy]
    s = _settings(place, settings, table.POLICY | defaults, formula)
    if s.by_epoch and policy in ("Cyclic", "OneCycle"):
        raise bad_value(f"{place}: by_epoch", f"be False for {policy}", True, "leave it out")
    if policy == "Cyclic" and len(s.target_ratio) not in (1, 2):
        must, write = "be two ratios, or one", "write (10, 1e-4)"
        raise bad_value(f"{place}: target_ratio", must, s.target_ratio, write)
    kind = {"Exp": "Exponential", "Fixed": "MultiStep"}.get(policy, policy)
    if policy == "Step":
        s.min_lr = -math.inf if s.min_lr is None else s.min_lr
    if policy == "Step" and hasattr(s.step, "__len__"):
        steps = _numbers(f"{place}: step", s.step)
        s.milestones = [integer(f"{place}: step", at, low=1, example="[8]") for at in steps]
        kind, s.step = "MultiStep", list(itertools.accumulate(s.milestones, max))
    elif policy == "Step":
        s.step_size = integer(f"{place}: step", s.step, low=1, example="8")
        s.step = range(s.step_size, 2**31, s.step_size)
    _prepared(f"{kind}LR", s, run)
    if warmup is None:
        return [s]
    name = f"{place}: warmup_iters"
    end = integer(name, s.warmup_iters, low=1, example="500") * run.unit(name, s.warmup_by_epoch)

    def warmed(_: Any, count: int, __: float) -> float:
        share = table.WARMUPS[warmup](s.warmup_ratio, 1 - count / end)
        return formula(s, count // s.unit, 0.0) * share

    counts = range(min(end + 1, run.total_steps or 2**31))
    own = {"place": name, "formula": warmed, "first": 0, "unit": 1, "counts": counts}
    return [s, SimpleNamespace(**vars(s) | own)]


STEP_IT = "step it yourself, and write optax_stepping.from_table(rates, tolerance=1e-3)"
COUNTS = ("step_size", "total_steps", "cyclic_times")
SHARES = "factor|(start|end)_factor|pct_start|start_percent|step_ratio_up|warmup_ratio"


def _settings(place: str, given: Mapping[str, Any], defaults: dict[str, Any], formula: Any) -> Any:
    """The settings, each checked to be like its default. A type stands for one that has none."""
    for key in given:
        if key not in defaults:
            raise ValueError(f"{place}: {key!r} is not known; known are {sorted(defaults)}.")
    settings = {**defaults, **given}
    for key, value in settings.items():
        name, default = f"{place}: {key}", defaults[key]
        if isinstance(value, type):
            example = {float: 0.1, int: 8, tuple: [8]}.get(value, [8, 11])
            raise ValueError(f"{place} needs {key!r}; write {key}={example}.")
        if isinstance(default, bool):
            arguments.check_flag(name, value)
        elif isinstance(default, str):
            check_choice(name, value, ["cos", "linear"])
        elif isinstance(default, tuple) or default in (tuple, list):
            settings[key] = _numbers(name, value)
        elif key in COUNTS and value is not None:
            settings[key] = integer(name, value, low=1, example="8")
        elif default is not object and value is not default:
            settings[key] = real(name, value, "0.1")
        if re.fullmatch(SHARES, key) and not 0 <= settings[key] <= 1:
            raise bad_value(name, "lie between 0 and 1", value, "write 0.1")
    return SimpleNamespace(**table.EVERY | settings, place=place, formula=formula)


def _numbers(name: str, values: Any) -> list[float]:
    values = arguments.sequence(name, values, "[8, 11]")
    return [real(f"{name}[{i}]", value, "[8, 11]") for i, value in enumerate(values)]


def _prepared(kind: str, s: Any, run: Run) -> Any:
    """The settings, with the base rate, its bounds, and the counts at which it acts."""
    s.base, s.group, s.unit = run.group["initial_lr"], run.group, run.unit(s.place, s.by_epoch)
    own, decays = s.T_max or s.total_steps or sum(s.periods), kind in ("ExponentialLR", "StepLR")
    if decays and abs(s.gamma) < 0.99:
        # A float32 may be from 2**-149 to 2**128, which is exp(193) times as much.
        own = (s.step_size or 1) * (2 + int(193 / -math.log(max(abs(s.gamma), 0.01))))
    if s.end is None or (decays and s.end >= NO_END):
        if own and run.total_steps is None:
            s.end = s.begin + own
        elif kind == "MultiStepLR" or (decays and run.total_steps):
            s.end = math.inf
        else:
            s.end = run.length(s.place, s.by_epoch)
    if s.convert_to_iter_based:
        _convert_to_iterations(s)
    if not s.begin < s.end:
        write = f"write end={s.begin + 1}"
        raise bad_value(s.place, "begin before its end", f"begin={s.begin}, end={s.end}", write)
    s.first, s.length = max(0, math.ceil(s.begin)), s.end - s.begin
    end = math.ceil(min(s.end * s.unit, run.total_steps or 2**31))
    s.counts = range(s.first * s.unit, end, s.unit * (s.step_size or 1))
    if kind == "MultiStepLR":
        reached = sorted({int((s.first + step) * s.unit) for step in (0, *s.milestones)})
        s.counts = dict.fromkeys(count for count in reached if count in s.counts)
    for key in ("eta_min", "min_lr"):
        if hasattr(s, f"{key}_ratio"):
            rate, ratio = getattr(s, key), getattr(s, f"{key}_ratio")
            if (rate is None) == (ratio is None):
                must, write = "have either a lowest rate or its ratio", "write one of the two"
                raise bad_value(s.place, must, f"{rate} and {ratio}", write)
            s.lowest = s.base * ratio if rate is None else rate
    if len(s.periods) != len(s.restart_weights):
        must, write = f"be as many as the {len(s.periods)} periods", "write one for each"
        raise bad_value(f"{s.place}: restart_weights", must, len(s.restart_weights), write)
    if kind == "OneCycleLR":
        s.total_steps = s.total_steps or s.length
        highest = s.max_lr if hasattr(s, "max_lr") else s.eta_max
        initial = highest / (s.div_factor or math.nan)
        final = initial / (s.final_div_factor or math.nan)
        run.group.update(initial_lr=initial, max_lr=highest, min_lr=final)
    return s


def _convert_to_iterations(s: Any) -> None:
    if not s.by_epoch:
        must, write = "come with by_epoch=True", "leave it out"
        raise bad_value(f"{s.place}: convert_to_iter_based", must, "by_epoch=False", write)
    s.begin, s.end = int(s.begin * s.unit), s.end if s.end >= NO_END else int(s.end * s.unit)
    for key in ("step_size", "T_max", "total_steps"):
        setattr(s, key, getattr(s, key) and getattr(s, key) * s.unit)
    for key in ("milestones", "periods"):
        setattr(s, key, [count * s.unit for count in getattr(s, key)])
    s.unit, s.by_epoch = 1, False


def _plateau(place: str, settings: Mapping[str, Any], base_lr: float) -> ValueError:
    s = {"factor": 0.1, "patience": 10, "threshold": 1e-4, "cooldown": 0, "min_value": 0.0}
    s.update(settings)
    margins = ("atol=0.0, rtol", "rtol=0.0, atol")[s.get("threshold_rule") == "abs"]
    return ValueError(
        f"{place} follows a metric, as no schedule does; write optax.contrib.reduce_on_plateau("
        f"factor={s['factor']}, patience={s['patience']} + 1, {margins}={s['threshold']}, "
        f"cooldown={s['cooldown']}, min_scale={s['min_value']} / {base_lr}), and give its update "
        f"{'-metric' if s.get('rule') == 'greater' else 'the metric'} as value."
    )
