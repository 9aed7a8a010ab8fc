"""Parameter schedulers of MMEngine, and the ``lr_config`` of MMCV."""

import heapq
import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from optax_stepping import _arguments as arguments
from optax_stepping._arguments import bad_kind, bad_value, check_choice, integer, real, shown
from optax_stepping._changes import LONGEST_TABLE, from_changes
from optax_stepping._schedule import SteppingSchedule
from optax_stepping.interop import _openmmlab as table

NO_END = 10**9  # MMEngine's default
LARGEST = 2.0**128 - 2.0**104  # float32
STEP_IT = "step it yourself, and write optax_stepping.from_table(rates, tolerance=1e-3)"
SHARES = "factor|(start|end)_factor|pct_start|start_percent|step_ratio_up|warmup_ratio"


def from_mmengine(
    param_scheduler: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None,
    *,
    base_lr: float,
    steps_per_epoch: int | None = None,
    total_steps: int | None = None,
    tolerance: float | None = None,
) -> SteppingSchedule:
    """The ``param_scheduler`` of an MMEngine config, or the older ``lr_config`` of MMCV.

    The schedulers of ``mmengine/optim/scheduler`` and MMDetection's ``QuadraticWarmupLR`` go on
    from the rate that they find. Milestones count from ``begin``, a linear warmup ends at
    ``end - 1``. Those of momentum and weight decay are ignored. A mapping with a ``policy`` is an
    ``lr_config``, with any policy and warmup of MMCV 1 (``mmcv/runner/hooks/lr_updater.py``).

    Args:
      param_scheduler: a list of dicts, a dict, or None (constant). Types are names, scoped or not,
        or classes. ``by_epoch`` is True by default; for ``IterBasedRunner``, write it as False.
      base_lr: the rate of the optimizer, scaled if the config scales it (``auto_scale_lr``).
      steps_per_epoch: optimizer steps in an epoch. Needed where something counts epochs.
      total_steps: optimizer steps in the training. After it the last rate holds. Needed where the
        config leaves an end to the runner, except for decays, which end where float32 does.
      tolerance: the largest error of a curve, relative to the largest rate, as in
        :func:`optax_stepping.from_table`. Rates that change once an epoch are exact without it.

    Returns:
      The schedule, in optimizer steps.

    Raises:
      ValueError: an unknown scheduler, one that follows a metric (the message has Optax's call),
        a setting that is unknown, missing or wrong, a curve without a ``tolerance``.
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
    given = {"steps_per_epoch": steps_per_epoch, "total_steps": total_steps}
    lengths = {k: n if n is None else integer(k, n, low=1) for k, n in given.items()}
    # What schedulers know of the training, and the rates that they find and change.
    run = SimpleNamespace(**lengths, lr=base_lr, initial_lr=base_lr)
    if isinstance(param_scheduler, Mapping) and "policy" in param_scheduler:
        schedulers = _read_policy(param_scheduler, run)
    else:
        parts = [param_scheduler] if isinstance(param_scheduler, Mapping) else param_scheduler
        example = "[dict(type='MultiStepLR', ...)]"
        parts = [] if parts is None else arguments.sequence("param_scheduler", parts, example)
        schedulers = (_read(f"param_scheduler[{i}]", part, run) for i, part in enumerate(parts))
    return from_changes(_changes(schedulers, run), tolerance)


def _changes(schedulers: Iterable[Any], run: Any) -> dict[int, float]:
    """The rates from each count on at which a scheduler acts."""
    changes, later = {0: run.lr}, []
    for s in filter(None, schedulers):
        integer(f"{s.place}: the number of its steps", len(s.counts), high=LONGEST_TABLE)
        # A scheduler makes its first step when it is made, before the next one is.
        if 0 in s.counts:
            changes[0] = run.lr = _rate(s, 0)
        later.append(zip(filter(None, s.counts), itertools.repeat(s)))
    # The others follow each iteration, or each epoch, after those of the iteration.
    for count, s in heapq.merge(*later, key=lambda act: (act[0], act[1].by_epoch)):
        changes[count] = run.lr = _rate(s, count)
    return changes


def _rate(s: Any, count: int) -> float:
    s.rate, step = s.run.lr, count // s.unit - s.first
    try:
        rate = s.formula(s, step)
    except ArithmeticError as error:
        rate = error
    if not isinstance(rate, int | float) or not abs(rate) <= LARGEST:
        must, got = "have a rate at every step", f"{rate} at its step {step}"
        raise bad_value(s.place, must, got, "change a number, or end before by total_steps")
    return rate


def _read(place: str, part: Any, run: Any) -> Any:
    """A scheduler's settings and the counts at which it acts; None if it leaves the rate alone."""
    if not isinstance(part, Mapping):
        raise bad_kind(place, "be a dict", shown(part), "write dict(type='MultiStepLR', ...)")
    if "type" not in part:
        write = "write type='MultiStepLR'; of several optimizers, param_scheduler[one of them]"
        raise bad_value(place, "have a 'type'", shown(list(part)), write)
    settings = {key: value for key, value in part.items() if key not in ("type", "_scope_")}
    name = getattr(part["type"], "__name__", str(part["type"])).rpartition(".")[2]
    kind, others = re.sub("ParamScheduler$", "LR", name), ("Momentum", "WeightDecay")
    if name.endswith(others) or (kind != name and settings.pop("param_name", "lr") != "lr"):
        return None
    if kind == "ReduceOnPlateauLR":
        s = table.PLATEAU | settings
        margins = ("atol=0.0, rtol", "rtol=0.0, atol")[s.get("threshold_rule") == "abs"]
        metric = "-metric" if s.get("rule") == "greater" else "the metric"
        raise ValueError(
            f"{place}: {name} follows a metric; write optax.contrib.reduce_on_plateau("
            f"factor={s['factor']}, patience={s['patience']} + 1, {margins}={s['threshold']}, "
            f"cooldown={s['cooldown']}, min_scale={s['min_value']} / {run.initial_lr}), and give "
            f"its update {metric} as value."
        )
    check_choice(f"{place}: type", kind, table.SCHEDULERS, STEP_IT)
    return _with_counts(_settings(f"{place}: {name}", kind, settings, table.SPAN, run))


def _read_policy(config: Mapping[str, Any], run: Any) -> list[Any]:
    """The policy of an lr_config, and its warmup: the policy's rate, times a share."""
    settings = dict(config)
    kind, warmup = str(settings.pop("policy")), settings.pop("warmup", None)
    kind = kind.title() if kind.islower() else kind
    check_choice("lr_config: policy", kind, table.POLICIES, STEP_IT)
    check_choice("lr_config: warmup", warmup, [None, *table.WARMUPS])
    if not hasattr(settings.get("target_ratio", ()), "__len__"):
        settings["target_ratio"] = [settings["target_ratio"]]
    s = _settings("lr_config", kind, settings, table.POLICY, run)
    if s.by_epoch and kind in ("Cyclic", "OneCycle"):
        raise bad_value("lr_config: by_epoch", f"be False for {kind}", True, "leave it out")
    _with_counts(s)
    if warmup is None:
        return [s]
    name, share = "lr_config: warmup_iters", table.WARMUPS[warmup]
    end = integer(name, s.warmup_iters, low=1, example="500") * _unit(name, s.warmup_by_epoch, run)
    warm = SimpleNamespace(**vars(s) | {"place": name, "first": 0, "unit": 1})
    warm.counts = range(min(end + 1, run.total_steps or 2**31))
    warm.formula = lambda _, n: s.formula(s, n // s.unit) * share(s.warmup_ratio, 1 - n / end)
    return [s, warm]


def _settings(place: str, kind: str, given: Mapping, common: Mapping, run: Any) -> Any:
    """The settings, checked, and the rates that follow from them."""
    own, formula = (table.SCHEDULERS | table.POLICIES)[kind]
    s = SimpleNamespace(**table.EVERY, kind=kind, place=place, formula=formula, base=run.initial_lr)
    s.run, defaults = run, {**common, **own}
    for key in [key for key in given if key not in defaults]:
        raise ValueError(f"{place}: {key!r} is not known; known are {sorted(defaults)}.")
    for key, default in defaults.items():
        value = _checked(place, key, given.get(key, default), default)
        # MMEngine's rates by the names of MMCV, and MMCV's steps by those of MMEngine.
        key = re.sub("eta_(min|max)", r"\1_lr", key)
        steps = "milestones" if isinstance(value, list) else "step_size"
        setattr(s, steps if key == "step" else key, value)
    if kind == "CosineAnnealingLR" and s.min_lr_ratio is None:
        s.min_lr = s.min_lr or 0.0
    if hasattr(s, "min_lr_ratio"):
        if (s.min_lr is None) == (s.min_lr_ratio is None):
            must, got = "have either a lowest rate or its ratio", f"{s.min_lr} and {s.min_lr_ratio}"
            raise bad_value(place, must, got, "write one of the two")
        s.min_lr = s.base * s.min_lr_ratio if s.min_lr is None else s.min_lr
    for key, lengths in (("restart_weights", [len(s.periods)]), ("target_ratio", [1, 2])):
        numbers, write = getattr(s, key, None), f"write {[1.0] * lengths[-1]}"
        if numbers is not None and len(numbers) not in lengths:
            must = f"have length {' or '.join(map(str, lengths))}"
            raise bad_value(f"{place}: {key}", must, numbers, write)
    if hasattr(s, "max_lr"):
        run.max_lr, run.initial_lr = s.max_lr, s.max_lr / (s.div_factor or math.nan)
        run.min_lr = run.initial_lr / (s.final_div_factor or math.nan)
    return s


def _checked(place: str, key: str, value: Any, default: Any) -> Any:
    """A setting that is like its default. A type stands for a default that is missing."""
    name = f"{place}: {key}"
    if isinstance(value, type):
        example = {float: 0.1, int: 8}.get(value, [8])
        raise ValueError(f"{place} needs {key!r}; write {key}={example}.")
    if isinstance(default, bool):
        arguments.check_flag(name, value)
    elif isinstance(default, str):
        check_choice(name, value, ["cos", "linear"])
    elif isinstance(default, tuple) or default is list:
        numbers = arguments.sequence(name, value, "[8, 11]")
        return [real(f"{name}[{i}]", number, "8") for i, number in enumerate(numbers)]
    elif default is object and hasattr(value, "__len__"):
        numbers = _checked(place, key, value, list)
        numbers = (integer(name, number, low=1, example="[8]") for number in numbers)
        return list(itertools.accumulate(numbers, max))
    elif key in ("step", "step_size", "total_steps", "cyclic_times") and value is not None:
        return integer(name, value, low=1, example="8")
    elif value is not default:
        value = real(name, value, "0.1")
        if re.fullmatch(SHARES, key) and not 0 <= value <= 1:
            raise bad_value(name, "lie between 0 and 1", value, "write 0.1")
    return value


def _with_counts(s: Any) -> Any:
    """The settings with the counts at which the scheduler acts."""
    s.unit, total_steps = _unit(s.place, s.by_epoch, s.run), s.run.total_steps
    decays = s.kind in ("ExponentialLR", "Exp") or s.step_size
    jumps = s.kind in ("MultiStepLR", "Step", "Fixed") and not decays
    if s.end is None or (decays and s.end >= NO_END):
        own = s.T_max or s.total_steps or sum(s.periods)
        if decays and abs(s.gamma) < 0.99:
            # A float32 may be from 2**-149 to 2**128, which is exp(193) times as much.
            own = (s.step_size or 1) * (2 + int(193 / -math.log(max(abs(s.gamma), 0.01))))
        if jumps or (decays and total_steps):
            s.end = math.inf
        elif own and not total_steps:
            s.end = s.begin + own
        elif not total_steps or total_steps % s.unit:
            units = "epochs" if s.by_epoch else "iters"
            must = f"be given in whole {units}, as {s.place} ends with the training"
            write = f"write total_steps=max_{units} * {s.unit}".removesuffix(" * 1")
            raise bad_value("total_steps", must, total_steps, write)
        else:
            s.end = total_steps // s.unit
    if s.convert_to_iter_based:
        if not s.by_epoch:
            raise bad_value(s.place, "have by_epoch for convert_to_iter_based", False, "write True")
        s.begin, s.end = int(s.begin * s.unit), s.end if s.end >= NO_END else int(s.end * s.unit)
        for key in ("step_size", "T_max", "total_steps"):
            setattr(s, key, s.unit * (getattr(s, key) or 0))
        for key in ("milestones", "periods"):
            setattr(s, key, [s.unit * count for count in getattr(s, key)])
        s.unit, s.by_epoch = 1, False
    if not s.begin < s.end:
        write = f"write end={s.begin + 1}"
        raise bad_value(s.place, "begin before its end", f"begin={s.begin}, end={s.end}", write)
    s.first, s.length = max(0, math.ceil(s.begin)), s.end - s.begin
    s.total_steps = s.total_steps or s.length
    end = math.ceil(min(s.end * s.unit, total_steps or 2**31))
    s.counts = range(s.first * s.unit, end, s.unit * (s.step_size or 1))
    if jumps:
        reached = ((s.first + step) * s.unit for step in (0, *s.milestones))
        reached = {int(count) for count in reached if abs(count) < 2**31}
        s.counts = sorted(filter(s.counts.__contains__, reached))
    return s


def _unit(place: str, by_epoch: bool, run: Any) -> int:
    """The optimizer steps in one step of a scheduler."""
    if by_epoch and run.steps_per_epoch is None:
        write = "write steps_per_epoch=len(train_dataloader), or by_epoch=False there"
        raise bad_value("steps_per_epoch", f"be given, as {place} counts epochs", None, write)
    return run.steps_per_epoch if by_epoch else 1
