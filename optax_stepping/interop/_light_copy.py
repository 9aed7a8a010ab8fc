"""A copy of a torch scheduler that can be stepped while the original stays as it is."""

import copy
import functools
import types
from collections import deque
from typing import Any

import numpy as np


def is_scheduler(value: Any) -> bool:
    counts = hasattr(value, "last_epoch") or hasattr(value, "_schedulers")
    return counts and hasattr(value, "optimizer") and hasattr(value, "step")


def light_copy(value: Any, copies: dict[int, tuple[Any, Any]], *, owner: bool = False) -> Any:
    """Copies schedulers, optimizers, functions, callable objects, containers and single numbers,
    each once; with ``owner``, an object of any kind.

    Everything else is shared, models and their parameters above all. ``copies`` has originals and
    copies by the original's id; it holds the original, so that no other object takes over its id.
    """
    if id(value) in copies:
        return copies[id(value)][1]
    kind = type(value)
    if kind is tuple:
        return tuple(light_copy(part, copies) for part in value)
    if kind is functools.partial:
        arguments, options = light_copy(value.args, copies), light_copy(value.keywords, copies)
        return functools.partial(light_copy(value.func, copies), *arguments, **options)
    if kind is types.MethodType:
        return types.MethodType(value.__func__, light_copy(value.__self__, copies, owner=True))
    new, names = _begun(value, copies, owner)
    if new is value:
        return value
    copies[id(value)] = value, new
    for name in names:
        object.__setattr__(new, name, light_copy(getattr(value, name), copies))
    if kind is types.FunctionType:
        for cell in value.__closure__ or ():
            if cell != types.CellType():  # a variable that has a value by now
                copies[id(cell)][1].cell_contents = light_copy(cell.cell_contents, copies)
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            new[key] = light_copy(part, copies)
    return new


def _begun(value: Any, copies: dict[int, tuple[Any, Any]], owner: bool) -> tuple[Any, list[str]]:
    """A copy, and the attributes that it still has to get; ``value`` itself where it is shared."""
    kind = type(value)
    if kind is dict:
        return {}, []  # attributes are found faster in it than in a copy of a __dict__
    if isinstance(value, dict | list | set | deque | np.ndarray):
        return copy.copy(value), []
    if hasattr(kind, "fill_"):
        # A tensor of a single number is a rate, which torch fills in place.
        return value.detach().clone() if value.numel() == 1 else value, []
    if kind is types.CellType:
        return types.CellType(), []
    if kind is types.FunctionType:
        closure = light_copy(value.__closure__, copies)
        new = types.FunctionType(value.__code__, value.__globals__, closure=closure)
        return new, ["__defaults__", "__kwdefaults__", "__dict__"]
    if hasattr(value, "param_groups") and hasattr(value, "step"):
        # Not of the same class: a finalizer would free what belongs to the original.
        stand_in = types.SimpleNamespace(**vars(value))
        stand_in.__dict__.update(state={}, step=lambda *_, **__: None)
        copies.update({id(group["params"]): (group["params"], []) for group in value.param_groups})
        return stand_in, ["param_groups"]
    if not (owner or callable(value) or is_scheduler(value)):
        return value, []
    if hasattr(kind, "named_parameters") or (hasattr(kind, "__del__") and not is_scheduler(value)):
        return value, []  # a model, or what would be freed twice
    try:
        vars(value)
        # Neither __init__ nor __getstate__ run: the first steps, the second leaves things out.
        return object.__new__(kind), ["__dict__"]
    except TypeError:  # a class, an object made in C or with slots
        return value, []
