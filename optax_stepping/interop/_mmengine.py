"""Parameter schedulers of MMEngine, and the ``lr_config`` of MMCV."""

import bisect
import heapq
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from optax_stepping import _arguments as arguments
from optax_stepping._arguments import bad_kind, bad_value, integer, real, shown
from optax_stepping._changes import LONGEST_TABLE, from_changes
from optax_stepping._schedule import SteppingSchedule
from optax_stepping.interop._openmmlab import POLICIES, POLICY, SCHEDULER, SCHEDULERS

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
    group = {"lr": run.base_lr, "initial_lr": run.base_lr}
    parts = [param_scheduler] if isinstance(param_scheduler, Mapping) else param_scheduler
    if not isinstance(parts, Sequence | None) or isinstance(parts, str):
        must, write = "be a list of dicts, or an lr_config", "write [dict(type='MultiStepLR', ...)]"
        raise bad_kind("param_scheduler", must, shown(parts), write)
    if isinstance(param_scheduler, Mapping) and "policy" in param_scheduler:
        schedulers = _read_policy(param_scheduler, run, group)
    else:
        named = ((f"param_scheduler[{i}]", part) for i, part in enumerate(parts or []))
        schedulers = filter(None, (_read(place, part, run, group) for place, part in named))
    return from_changes(_stepped(schedulers, group), tolerance)


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
            write = "write steps_per_epoch=len(train_dataloader), or by_epoch=False there"
            raise bad_value("steps_per_epoch", f"be given, as {place} counts epochs", None, write)
        return self.steps_per_epoch

    def length(self, place: str, by_epoch: bool) -> int:
        """The runner's max_epochs or max_iters."""
        unit, total_steps = self.unit(place, by_epoch), self.total_steps
        if total_steps is None or total_steps % unit:
            must = "be given" if total_steps is None else f"be whole epochs of {unit} steps"
            write = f"write total_steps={f'max_epochs * {unit}' if by_epoch else 'max_iters'}"
            must = f"{must}, as {place} ends with the training"
            raise bad_value("total_steps", must, total_steps, write)
        return total_steps // unit


def _stepped(schedulers: Iterable[Any], group: dict[str, float]) -> dict[int, float]:
    """The rates from each count on at which a scheduler acts."""

    def act(s: Any, step: int) -> float:
        try:
            rate = s.formula(s, step - s.first, group["lr"])
        except ArithmeticError as error:
            rate = error
        if not isinstance(rate, int | float) or not abs(rate) <= LARGEST:
            must, got = "have a rate at every step", f"{rate} at its step {step - s.first}"
            write = "change a number, or end before by total_steps"
            raise bad_value(s.place, must, got, write)
        group["lr"] = rate
        return rate

    # A scheduler makes its first step when it is made, before the next one is. The others follow
    # each iteration, or each epoch, after those of the iteration.
    made = []
    for s in schedulers:
        made.append(s)
        if s.first == 0 < s.end:
            act(s, 0)
    changes = {0: group["lr"]}
    for count, _, i, step in heapq.merge(*map(_events, range(len(made)), made)):
        changes[count] = act(made[i], step)
    return changes


def _events(i: int, s: Any) -> Iterable[tuple[int, bool, int, int]]:
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
        raise _not_known(f"{place}: type", name, [f"{known}LR" for known in SCHEDULERS])
    defaults, formula = SCHEDULERS[kind]
    s = _settings(f"{place}: {name}", settings, SCHEDULER | defaults, formula)
    if kind == "CosineAnnealing" and s.eta_min_ratio is None:
        s.eta_min = s.eta_min or 0.0
    return _prepared(kind, s, run, group)


def _read_policy(config: Mapping[str, Any], run: Run, group: dict[str, float]) -> list[Any]:
    """The policy of an lr_config, and its warmup, which acts after it."""
    place, settings = "lr_config", dict(config)
    policy, warmup = settings.pop("policy"), settings.pop("warmup", None)
    policy = str(policy).title() if str(policy).islower() else str(policy)
    if policy not in POLICIES:
        raise _not_known(f"{place}: policy", policy, POLICIES)
    _check_choice(f"{place}: warmup", warmup, [None, "constant", "exp", "linear"])
    if not hasattr(settings.get("target_ratio", ()), "__len__"):
        settings["target_ratio"] = [settings["target_ratio"]]
    defaults, formula = POLICIES[policy]
    s = _settings(place, settings, POLICY | defaults, formula)
    vars(s).update(begin=0, end=None, convert_to_iter_based=False)
    if s.by_epoch and policy in ("Cyclic", "OneCycle"):
        raise bad_value(f"{place}: by_epoch", f"be False for {policy}", True, "leave it out")
    if policy == "Cyclic" and len(s.target_ratio) not in (1, 2):
        must, write = "be two ratios, or one", "write (10, 1e-4)"
        raise bad_value(f"{place}: target_ratio", must, s.target_ratio, write)
    kind = {"Exp": "Exponential", "Fixed": "MultiStep"}.get(policy, policy)
    s.milestones = []
    if policy == "Step" and hasattr(s.step, "__len__"):
        name, kind = f"{place}: step", "MultiStep"
        s.step = [integer(name, at, low=1, example="[8]") for at in _numbers(name, s.step)]
        s.milestones = s.step
    elif policy == "Step":
        s.step = s.step_size = integer(f"{place}: step", s.step, low=1, example="8")
    _prepared(kind, s, run, group)
    return [s, _warmup(s, warmup, run)] if warmup else [s]


def _warmup(policy: Any, kind: str, run: Run) -> Any:
    """The warmup of an lr_config as a scheduler: the policy's rate, times a share."""
    name, ratio = f"{policy.place}: warmup_iters", policy.warmup_ratio
    end = integer(name, policy.warmup_iters, low=1, example="500")
    end *= run.unit(name, policy.warmup_by_epoch)

    def rate(_: Any, count: int, __: float) -> float:
        left = 1 - count / end
        shares = {"constant": ratio, "exp": ratio**left, "linear": 1 - left * (1 - ratio)}
        return policy.formula(policy, count // policy.unit, 0.0) * (shares[kind] if left else 1)

    steps = _reached(name, range(end + 1), 1, run)
    own = {"formula": rate, "first": 0, "end": end, "unit": 1, "steps": steps}
    return SimpleNamespace(place=policy.place, by_epoch=policy.by_epoch, **own)


COUNTS = ("step_size", "total_steps", "cyclic_times")
SHARES = (
    "factor", "start_factor", "end_factor", "pct_start", "start_percent", "step_ratio_up",
    "warmup_ratio",
)  # fmt: skip


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
            _check_choice(name, value, ["cos", "linear"])
        elif isinstance(default, tuple) or default in (tuple, list):
            settings[key] = _numbers(name, value)
        elif key in COUNTS and value is not None:
            settings[key] = integer(name, value, low=1, example="8")
        elif default is not object and value is not default:
            settings[key] = real(name, value, "0.1")
        if key in SHARES and not 0 <= settings[key] <= 1:
            raise bad_value(name, "lie between 0 and 1", value, "write 0.1")
    return SimpleNamespace(place=place, formula=formula, **settings)


def _numbers(name: str, values: Any) -> list[float]:
    values = values.tolist() if hasattr(values, "tolist") else values
    values = arguments.sequence(name, values, "[8, 11]")
    return [real(f"{name}[{i}]", value, "[8, 11]") for i, value in enumerate(values)]


def _check_choice(name: str, value: Any, choices: Sequence[str | None]) -> None:
    if value not in choices:
        raise bad_value(name, f"be one of {choices}", shown(value), f"write {choices[-1]!r}")


def _not_known(name: str, value: Any, known: Iterable[str]) -> ValueError:
    write = "step it yourself, and write optax_stepping.from_table(rates, tolerance=1e-3)"
    return bad_value(name, f"be one of {', '.join(known)}", shown(value), write)


def _prepared(kind: str, s: Any, run: Run, group: dict[str, float]) -> Any:
    """The settings, with the base rate, its bounds, and the steps at which it acts."""
    s.base, s.group = group["initial_lr"], group
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
    if kind in ("Exponential", "Step") and run.total_steps is None and s.end >= NO_END:
        if abs(s.gamma) >= 0.99:
            must, write = f"be given, as {s.place} has no end", "write the steps of the training"
            raise bad_value("total_steps", must, None, write)
        # A float32 may be from 2**-149 to 2**128, which is exp(193) times as much.
        s.steps = s.steps[: math.ceil(193 / -math.log(max(abs(s.gamma), 0.01)))]
    if kind == "MultiStep":
        inside = {s.first + int(step) for step in s.milestones if 0 <= step < s.length}
        s.steps = sorted(inside)
    s.steps = _reached(s.place, s.steps, s.unit, run)
    for key in ("eta_min", "min_lr"):
        if hasattr(s, f"{key}_ratio"):
            rate, ratio = getattr(s, key), getattr(s, f"{key}_ratio")
            if (rate is None) == (ratio is None):
                must, write = "have either a lowest rate or its ratio", "write one of the two"
                raise bad_value(s.place, must, f"{rate} and {ratio}", write)
            s.lowest = s.base * ratio if rate is None else rate
    if kind == "CosineRestart" and len(s.periods) != len(s.restart_weights):
        must, write = f"be as many as the {len(s.periods)} periods", "write one for each"
        raise bad_value(f"{s.place}: restart_weights", must, len(s.restart_weights), write)
    if kind == "OneCycle":
        s.total_steps = s.total_steps or s.length
        highest = s.max_lr if hasattr(s, "max_lr") else s.eta_max
        initial = highest / (s.div_factor or math.nan)
        final = initial / (s.final_div_factor or math.nan)
        group.update(initial_lr=initial, max_lr=highest, min_lr=final)
    return s


def _reached(place: str, steps: Sequence[int], unit: int, run: Run) -> Sequence[int]:
    """Those of a scheduler's steps that are in the training, or fit into int32."""
    steps = steps[: bisect.bisect_left(steps, -(-(run.total_steps or 2**31) // unit))]
    if len(steps) > LONGEST_TABLE:
        must = f"change the rate at {LONGEST_TABLE} steps at most"
        raise bad_value(place, must, len(steps), "write a smaller total_steps")
    return steps


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
