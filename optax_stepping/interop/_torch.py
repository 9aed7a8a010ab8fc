"""Schedulers of PyTorch: a copy is stepped, and its rates are read."""

import inspect
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from optax_stepping._arguments import bad_kind, bad_value, check_choice, integer, shown
from optax_stepping._schedule import SteppingSchedule
from optax_stepping._table import from_table
from optax_stepping.interop._light_copy import is_scheduler, light_copy


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

    It takes ``SWALR`` and every class of ``torch.optim.lr_scheduler`` except
    ``ReduceLROnPlateau``; your own subclasses; chains and sequences of them; fresh, half-run or
    restored. The rate at count ``c`` is the one in ``optimizer.param_groups`` after ``c``
    optimizer steps. The rates become stages as in :func:`optax_stepping.from_table`.

    Your scheduler, optimizer and model stay as they are. The copy has the numbers of the
    optimizer's groups, but no parameters. The functions of a ``LambdaLR`` are copied too, with
    their closures and objects. Only if they change something else, such as a global variable, you
    see that change.

    Args:
      scheduler: the scheduler, or Lightning's dict of one, with ``"interval"`` (``"epoch"`` if left
        out, as there) and ``"frequency"``.
      total_steps: the number of optimizer steps of the whole training, those done included. After
        the last, the last rate holds.
      param_group: the index of the parameter group.
      steps_per_epoch: for a scheduler that is stepped once an epoch, the number of optimizer steps
        in one. With 1, a count is one ``scheduler.step()``.
      warmup: a second scheduler on the same optimizer that is stepped after every optimizer step,
        as in torchvision's detection reference. Leave it out once it is no longer stepped.
      tolerance: for curved rates, as in :func:`optax_stepping.from_table`.

    Returns:
      The schedule, in optimizer steps. If the scheduler is half-run, earlier counts have the rate
      in force now. Now is ``last_epoch * steps_per_epoch``; with ``warmup``, its ``last_epoch``.

    Raises:
      ValueError: a scheduler that follows a metric (``ReduceLROnPlateau``, Lightning's
        ``"monitor"``); a ``total_steps`` that the scheduler has already reached, or cannot reach;
        curved rates without a ``tolerance``; no such group.
      TypeError: ``scheduler`` is not a PyTorch scheduler. For functions, see
        :func:`optax_stepping.from_function`.

    Example:
      >>> from types import SimpleNamespace
      >>> from optax_stepping import interop
      >>> class Halved(SimpleNamespace):  # instead of lr_scheduler.StepLR(optimizer, 30, 0.5)
      ...     def step(self):
      ...         self.last_epoch += 1
      ...         for group in self.optimizer.param_groups:
      ...             group["lr"] = 0.8 * 0.5 ** (self.last_epoch // 30)
      >>> groups = [{"params": [], "lr": 0.8}]
      >>> optimizer = SimpleNamespace(param_groups=groups, step=lambda: None)
      >>> interop.from_torch(Halved(optimizer=optimizer, last_epoch=0), total_steps=90)
      SteppingSchedule(boundaries=[30, 60], rates=[0.8, 0.4, 0.2], ramps=[False, False])
    """
    end = integer("total_steps", total_steps, low=1, example="90000")
    length = integer("steps_per_epoch", steps_per_epoch, low=1, example="500")
    counts = np.arange(end)
    stepped = counts // length
    if isinstance(scheduler, Mapping):
        scheduler, stepped = _from_lightning(scheduler, counts, length)
    done = _steps_done("scheduler", scheduler)
    now = int(np.searchsorted(stepped, done))
    if warmup is not None:
        now = _steps_done("warmup", warmup)
        if warmup.optimizer is not scheduler.optimizer:
            must, got = "have the optimizer of scheduler", f"a {type(warmup).__name__} of another"
            raise bad_value("warmup", must, got, "write the two schedulers of one optimizer")
        if now < end and stepped[now] != done:
            must = "have been stepped after every optimizer step"
            got = f"last_epoch={now} in it and {done} in scheduler"
            write = "leave it out if it has ended, or correct steps_per_epoch"
            raise bad_value("warmup", must, got, write)
    if now >= end:
        must, write = "lie after the steps that are done", "write the steps of the whole training"
        raise bad_value("total_steps", must, f"{end} for a scheduler with last_epoch={done}", write)
    number = len(scheduler.optimizer.param_groups)
    group = integer("param_group", param_group, example="0")
    if group >= number:
        must = f"be below the number of groups, {number}"
        raise bad_value("param_group", must, group, f"write {number - 1} for the last")
    return from_table(_rates((scheduler, warmup), stepped, now, group), tolerance=tolerance)


_KEYS = {"scheduler", "interval", "frequency", "monitor", "reduce_on_plateau", "strict", "name"}
_FOR_A_METRIC = "use optax.contrib.reduce_on_plateau for a rate that follows a metric"


def _from_lightning(config: Mapping, counts: np.ndarray, length: int) -> tuple[Any, np.ndarray]:
    """The scheduler of the dict, and how often Lightning has stepped it at every count."""
    if "scheduler" not in config or not _KEYS.issuperset(config):
        must = f"have 'scheduler' and otherwise only keys of {sorted(_KEYS)}"
        write = "write the dict that configure_optimizers returns as 'lr_scheduler'"
        raise bad_value("scheduler", must, f"a dict of {sorted(map(str, config))}", write)
    for key in ("monitor", "reduce_on_plateau"):
        if config.get(key):
            raise bad_value(f"scheduler[{key!r}]", "be left out", repr(config[key]), _FOR_A_METRIC)
    scheduler, interval = config["scheduler"], config.get("interval", "epoch")
    every = integer("scheduler['frequency']", config.get("frequency", 1), low=1, example="1")
    if interval == "epoch":
        return scheduler, counts // (length * every)
    check_choice("scheduler['interval']", interval, ["epoch", "step"])
    if every > length:
        must = "be at most steps_per_epoch, as Lightning counts from 1 in every epoch"
        got = f"{every} with steps_per_epoch={length}"
        raise bad_value("scheduler['frequency']", must, got, "write steps_per_epoch=500, say")
    return scheduler, counts // length * (length // every) + counts % length // every


def _steps_done(name: str, scheduler: Any) -> int:
    """How often a scheduler has been stepped, if it can be."""
    if not is_scheduler(scheduler):
        write = (
            "hand in the object, such as lr_scheduler.StepLR(optimizer, 30), or turn another "
            "schedule into a function: from_function(lambda count: ..., total_steps=...)"
        )
        raise bad_kind(name, "be a PyTorch scheduler", shown(scheduler), write)
    try:
        inspect.signature(scheduler.step).bind()
    except TypeError as error:
        missing = str(error).rpartition(" ")[2].strip("'")
        got = f"{type(scheduler).__name__}, whose step needs {missing}"
        raise bad_value(name, "be stepped without a metric", got, _FOR_A_METRIC) from None
    while not hasattr(scheduler, "last_epoch"):
        scheduler = scheduler._schedulers[0]
    return int(scheduler.last_epoch)


def _rates(schedulers: Any, stepped: np.ndarray, now: int, param_group: int) -> np.ndarray:
    """The rate at every count, by when the scheduler is stepped as often as ``stepped`` says."""
    scheduler, warmup = light_copy(schedulers, {})
    group = scheduler.optimizer.param_groups[param_group]
    rates = np.full(len(stepped), float(group["lr"]))
    with warnings.catch_warnings():
        # PyTorch warns of an optimizer without steps, its older SequentialLR of itself.
        warnings.filterwarnings("ignore", ".*scheduler.step")
        for count in range(now + 1, len(stepped)):
            try:
                if warmup is not None:
                    warmup.step()
                if stepped[count] > stepped[count - 1]:
                    scheduler.step()
            except Exception as error:
                must, write = "be within what the scheduler can step", f"write at most {count}"
                got = f"{len(rates)}, and at step {count} {error!r}"
                raise bad_value("total_steps", must, got, write) from error
            rates[count] = float(group["lr"])
    return rates
