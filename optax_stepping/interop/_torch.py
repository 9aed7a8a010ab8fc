"""Schedulers of PyTorch: a copy is stepped, and its rates are read."""

import contextlib
import copy
import functools
import inspect
import types
import warnings
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from optax_stepping._arguments import bad_kind, bad_value, check_choice, integer, short, shown
from optax_stepping._function import LONGEST
from optax_stepping._schedule import SteppingSchedule
from optax_stepping._table import from_table


def from_torch(
    scheduler: Any,
    *,
    total_steps: int,
    param_group: int = 0,
    steps_per_epoch: int = 1,
    warmup: Any = None,
    tolerance: float | None = None,
) -> SteppingSchedule:
    """The schedule of a PyTorch scheduler, read by stepping a copy of it.

    It takes every class of ``torch.optim.lr_scheduler`` except ``ReduceLROnPlateau``; ``SWALR``;
    your own; fresh, half-run or restored. The rate at count ``c`` is the one in the optimizer's
    group after ``c`` optimizer steps. Your scheduler, optimizer, model, functions and their objects
    stay as they are. Only what functions change elsewhere, such as a global variable, changes.

    Args:
      scheduler: the scheduler, or Lightning's dict with its ``"interval"`` and ``"frequency"``.
      total_steps: the optimizer steps of the whole training, with those done; then the rate holds.
      param_group: the index of the parameter group.
      steps_per_epoch: the number of optimizer steps in one epoch, if the scheduler counts epochs.
      warmup: a second scheduler on the same optimizer that is stepped after every optimizer step,
        as in torchvision's detection reference. Leave it out once it is no longer stepped.
      tolerance: for curved rates, as in :func:`optax_stepping.from_table`.

    Returns:
      The schedule, in optimizer steps. If the scheduler is half-run, earlier counts have the rate
      in force now, at ``last_epoch * steps_per_epoch``; with ``warmup``, at its ``last_epoch``.

    Raises:
      ValueError: a scheduler that follows a metric; a ``total_steps`` that it has reached already
        or cannot reach; curved rates without a ``tolerance``; no such group.
      TypeError: not a PyTorch scheduler. For functions, see :func:`optax_stepping.from_function`.

    Example:
      >>> from types import SimpleNamespace
      >>> from optax_stepping import interop
      >>> class Halved(SimpleNamespace):  # instead of lr_scheduler.ExponentialLR(optimizer, 0.5)
      ...     def step(self):
      ...         self.optimizer.param_groups[0]["lr"] /= 2
      >>> optimizer = SimpleNamespace(param_groups=[{"params": [], "lr": 0.8}], step=None)
      >>> interop.from_torch(Halved(optimizer=optimizer, last_epoch=0), total_steps=3)
      SteppingSchedule(boundaries=[1, 2], rates=[0.8, 0.4, 0.2], ramps=[False, False])
    """
    end = integer("total_steps", total_steps, low=1, high=LONGEST, example="90000")
    length = integer("steps_per_epoch", steps_per_epoch, low=1, example="500")
    scheduler, stepped = _from_lightning(scheduler, np.arange(end), length)
    done = _steps_done("scheduler", scheduler)
    now = int(np.searchsorted(stepped, done))
    if warmup is not None:
        now = _steps_done("warmup", warmup)
        if warmup.optimizer is not scheduler.optimizer or (now < end and stepped[now] != done):
            must = "have scheduler's optimizer, and be stepped after every step of it until now"
            got = f"{type(warmup).__name__} with last_epoch={now}, and {done} in scheduler"
            raise bad_value("warmup", must, got, "leave it out, or correct steps_per_epoch")
    if now >= end:
        must, write = "lie after the steps that are done", "write the steps of the whole training"
        raise bad_value("total_steps", must, f"{end} for a scheduler with last_epoch={done}", write)
    index = integer("param_group", param_group, example="0")
    if index >= (number := len(scheduler.optimizer.param_groups)):
        raise bad_value("param_group", f"be one of {number} groups", index, f"write {number - 1}")
    scheduler, warmup = _copied((scheduler, warmup), {})
    group = scheduler.optimizer.param_groups[index]
    rates = np.full(end, float(group["lr"]))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*scheduler.step")  # the copy's optimizer has no steps
        for count in range(now + 1, end):
            try:
                if warmup is not None:
                    warmup.step()
                if stepped[count] > stepped[count - 1]:
                    scheduler.step()
            except Exception as error:
                must, got = "be in the scheduler's reach", f"{end}, and at step {count} {error!r}"
                raise bad_value("total_steps", must, got, f"write at most {count}") from error
            rates[count] = float(group["lr"])
    return from_table(rates, tolerance=tolerance)


def _from_lightning(config: Any, counts: np.ndarray, length: int) -> tuple[Any, np.ndarray]:
    """The scheduler, alone or in Lightning's dict, and how often it is stepped by every count."""
    config = config if isinstance(config, Mapping) else {"scheduler": config}
    keys = {key for key in config if key not in ("monitor", "reduce_on_plateau") or config[key]}
    if not {"scheduler"} <= keys <= {"scheduler", "interval", "frequency", "strict", "name"}:
        must = "have 'scheduler', and else only 'interval', 'frequency', 'strict' or 'name'"
        write = "write the dict of a scheduler; for a metric, use optax.contrib.reduce_on_plateau"
        raise bad_value("scheduler", must, short(dict(config)), write)
    every = integer("scheduler['frequency']", config.get("frequency", 1), low=1, example="1")
    check_choice("scheduler['interval']", config.get("interval", "epoch"), ["epoch", "step"])
    if config.get("interval") != "step":
        length = every = length * every
    if every > length:
        got, write = f"{every} with steps_per_epoch={length}", "write steps_per_epoch=500, say"
        raise bad_value("scheduler['frequency']", "be at most steps_per_epoch", got, write)
    return config["scheduler"], counts // length * (length // every) + counts % length // every


def _is_scheduler(value: Any) -> bool:
    counts = hasattr(value, "last_epoch") or hasattr(value, "_schedulers")
    return counts and hasattr(value, "optimizer") and hasattr(value, "step")


def _steps_done(name: str, scheduler: Any) -> int:
    if not _is_scheduler(scheduler):
        write = "hand in the object, as in StepLR(optimizer, 30), or a function to from_function"
        raise bad_kind(name, "be a PyTorch scheduler", shown(scheduler), write)
    try:
        inspect.signature(scheduler.step).bind()
    except TypeError as error:
        got = f"{type(scheduler).__name__}, whose step is {error}"
        write = "use optax.contrib.reduce_on_plateau for a rate that follows a metric"
        raise bad_value(name, "be stepped without a metric", got, write) from None
    while not hasattr(scheduler, "last_epoch"):
        scheduler = scheduler._schedulers[0]
    return int(scheduler.last_epoch)


def _copied(value: Any, copies: dict[int, tuple[Any, Any]], *, owner: bool = False) -> Any:
    """A copy of what a step can change, and of a method's ``owner``; all else is shared."""
    kind, state = type(value), {}
    new: Any = value
    if kind is tuple:
        return tuple(_copied(part, copies) for part in value)
    if kind is functools.partial:
        return kind(*_copied((value.func, *value.args), copies), **_copied(value.keywords, copies))
    if kind is types.MethodType:
        return kind(value.__func__, _copied(value.__self__, copies, owner=True))
    closure = _copied(value.__closure__, copies) if kind is types.FunctionType else None
    if id(value) in copies:  # only now, since a closure can hold its own function
        return copies[id(value)][1]
    shared = hasattr(kind, "named_parameters") or hasattr(kind, "__del__")  # would be freed twice
    if kind is types.FunctionType:
        new = kind(value.__code__, value.__globals__, closure=closure)
        state = {key: getattr(value, key) for key in ("__defaults__", "__kwdefaults__", "__dict__")}
    elif kind is types.CellType:
        new = types.CellType()
        state = {"cell_contents": value.cell_contents} if value != new else {}
    elif isinstance(value, dict | list | set | deque | np.ndarray):
        new = {} if kind is dict else copy.copy(value)  # a __dict__ is slower once it is copied
    elif hasattr(kind, "fill_"):  # torch fills a rate that is a tensor in place
        new = value.detach().clone() if value.numel() == 1 else value
    elif hasattr(value, "param_groups") and hasattr(value, "step"):  # its class may have __del__
        new = types.SimpleNamespace(**vars(value) | {"state": {}, "step": lambda *_, **__: None})
        state = {"param_groups": value.param_groups}
        copies.update({id(group["params"]): (group["params"], []) for group in value.param_groups})
    elif _is_scheduler(value) or ((owner or callable(value)) and not shared):
        with contextlib.suppress(TypeError):  # a class, an object made in C or with slots
            new, state = object.__new__(kind), {"__dict__": vars(value)}  # __init__ would step
    if new is not value:
        copies[id(value)] = value, new  # both, so that no other object takes over the id
        for name, part in state.items():
            object.__setattr__(new, name, _copied(part, copies))
        if isinstance(value, dict | list):
            for key, part in value.items() if isinstance(value, dict) else enumerate(value):
                new[key] = _copied(part, copies)
    return new
