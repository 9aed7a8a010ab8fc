"""A copy of a torch scheduler that can be stepped while the original stays as it is."""

import contextlib
import copy
import functools
import types
from collections import deque
from typing import Any

import numpy as np

Copies = dict[int, tuple[Any, Any]]


def is_scheduler(value: Any) -> bool:
    counts = hasattr(value, "last_epoch") or hasattr(value, "_schedulers")
    return counts and hasattr(value, "optimizer") and hasattr(value, "step")


def light_copy(value: Any, copies: Copies, *, owner: bool = False) -> Any:
    """Copies schedulers, optimizers, functions, callable objects, containers and single numbers,
    each once; with ``owner``, an object of any kind.

    Everything else is shared, models and their parameters above all. ``copies`` has originals and
    copies by the original's id; it holds the original, so that no other object takes over its id.
    """
    kind = type(value)
    if id(value) in copies:
        return copies[id(value)][1]
    if kind is tuple:
        return tuple(light_copy(part, copies) for part in value)
    if kind is functools.partial:
        arguments, options = light_copy(value.args, copies), light_copy(value.keywords, copies)
        return functools.partial(light_copy(value.func, copies), *arguments, **options)
    if kind is types.MethodType:
        return types.MethodType(value.__func__, light_copy(value.__self__, copies, owner=True))
    if kind is types.FunctionType:
        return _copied_function(value, copies)
    if isinstance(value, dict | list | set | deque | np.ndarray):
        new: Any = copy.copy(value)
        copies[id(value)] = value, new
        if isinstance(value, dict | list):
            for key in value if isinstance(value, dict) else range(len(value)):
                new[key] = light_copy(value[key], copies)
        return new
    if hasattr(kind, "fill_"):
        # A tensor of a single number is a rate, which torch fills in place.
        copies[id(value)] = value, value.detach().clone() if value.numel() == 1 else value
        return copies[id(value)][1]
    if hasattr(value, "param_groups") and hasattr(value, "step"):
        return _stand_in(value, copies)
    if owner or callable(value) or is_scheduler(value):
        return _copied_object(value, copies)
    return value


def _copied_function(function: types.FunctionType, copies: Copies) -> types.FunctionType:
    """With a closure and defaults of its own, to read the copies and to change nothing else."""
    closure = function.__closure__ or ()
    for cell in closure:
        copies.setdefault(id(cell), (cell, types.CellType()))
    cells = tuple(copies[id(cell)][1] for cell in closure)
    new = types.FunctionType(function.__code__, function.__globals__, closure=cells)
    copies[id(function)] = function, new
    for name in ("__defaults__", "__kwdefaults__", "__dict__"):
        setattr(new, name, light_copy(getattr(function, name), copies))
    for cell, copied in zip(closure, cells, strict=True):
        with contextlib.suppress(ValueError):  # a variable that has no value yet
            copied.cell_contents = light_copy(cell.cell_contents, copies)
    return new


def _stand_in(optimizer: Any, copies: Copies) -> Any:
    """An optimizer with the numbers of the groups, no parameters, and a step that does nothing."""

    @functools.wraps(optimizer.step)  # with the mark by which torch knows that it wrapped it
    def step(*_: Any, **__: Any) -> None: ...

    # Not of the same class: a finalizer would free what belongs to the original.
    stand_in = types.SimpleNamespace(**vars(optimizer))
    stand_in.__dict__.update(state={}, step=step, _opt_called=True)
    copies[id(optimizer)] = optimizer, stand_in
    for group in optimizer.param_groups:
        copies[id(group["params"])] = group["params"], []
    stand_in.param_groups = light_copy(optimizer.param_groups, copies)
    return stand_in


def _copied_object(value: Any, copies: Copies) -> Any:
    is_model = any(kind.__name__ == "Module" for kind in type(value).__mro__)
    if is_model or (hasattr(value, "__del__") and not is_scheduler(value)):
        return value
    try:
        # Neither __init__ nor __getstate__ run: the first steps, the second leaves things out.
        new, attributes = object.__new__(type(value)), vars(value)
    except TypeError:  # a class, an object made in C or with slots
        return value
    copies[id(value)] = value, new
    new.__dict__.update({key: light_copy(part, copies) for key, part in attributes.items()})
    return new
