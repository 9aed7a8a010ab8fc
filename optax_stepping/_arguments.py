"""Checks that several doors share: of numbers, sequences, leaves and schedules."""

import sys
from collections.abc import Sequence
from typing import Any, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

INT32_MAX = 2**31 - 1


def is_traced(value: object) -> TypeGuard[jax.Array]:
    """Whether ``value`` is only known when the compiled program runs."""
    return isinstance(value, Tracer)


def known(leaf: Any) -> Any:
    """``leaf`` on the host; a tracer as it is. An explicit transfer, which no guard refuses."""
    return leaf if is_traced(leaf) else np.asarray(jax.device_get(leaf))


def is_real(dtype: Any) -> bool:
    return jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.floating)


def shown(value: Any) -> str:
    """``value`` in a message: short, on one line, and with its type."""
    text = " ".join(repr(value).split())
    text = text if len(text) <= 200 else f"{text[:150]} ... {text[-40:]}"
    return f"{text} of type {type(value).__name__}"


def bad_value(name: str, must: str, got: object, write: str) -> ValueError:
    """The refusal of an argument of the right kind: what it must do, what it is, what to write."""
    return ValueError(f"{name} must {must}, got {got}; {write}.")


def bad_kind(name: str, must: str, got: object, write: str) -> TypeError:
    """The refusal of an argument of another kind."""
    return TypeError(f"{name} must {must}, got {got}; {write}.")


def check_flag(name: str, flag: Any) -> None:
    if not isinstance(flag, bool | np.bool_):
        raise bad_kind(name, "be True or False", shown(flag), f"write {name}=True")


def scalar(name: str, value: Any, example: str) -> Any:
    """``value`` as a Python number if it is an array of no dimensions, or as a tracer."""
    if isinstance(value, np.ndarray | jax.Array | np.generic):
        if value.ndim:
            raise bad_value(name, "be a scalar", f"shape {value.shape}", f"write {example}")
        return value if is_traced(value) else known(value).item()
    return value


def integer(name: str, value: Any, *, low: int = 0, example: str = "1000", remedy: str = "") -> int:
    """``value`` as an int of at least ``low`` that fits into int32; a float may be whole."""
    number = scalar(name, value, example)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if isinstance(number, bool) or not isinstance(number, int):
        raise bad_kind(
            name,
            "be an integer",
            shown(value),
            f"it counts optimizer steps: write a whole number, as in {example}",
        )
    if number < low:
        must = {0: "not be negative", 1: "be positive"}.get(low, f"be at least {low}")
        raise bad_value(name, must, number, remedy or f"write {example}")
    if number > INT32_MAX:
        raise bad_value(
            name,
            "fit into int32, the type of Optax's step counts",
            number,
            f"write at most {INT32_MAX}",
        )
    return number


def real(name: str, value: Any, example: str) -> float:
    """``value`` as a finite int or float."""
    number = scalar(name, value, example)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise bad_kind(name, "be a real number", shown(value), f"write {example}")
    if not abs(number) <= sys.float_info.max:
        raise bad_value(name, "be finite", shown(value), f"write a number such as {example}")
    return number


def sequence(name: str, values: Any, example: str) -> Sequence[Any]:
    """``values`` if it is any sequence but text: list, tuple, range, OmegaConf's list."""
    if not isinstance(values, Sequence) or isinstance(values, str | bytes | bytearray):
        raise bad_kind(
            name,
            "be a list, tuple, other sequence or array",
            shown(values),
            f"write a list such as {example}",
        )
    return values


def check_leaves(boundaries: jax.Array, rates: jax.Array, ramps: jax.Array) -> None:
    """Refuses a batch, and what ``replace`` may have brought together."""
    if boundaries.ndim != 1:
        raise bad_value(
            "schedule",
            "be one schedule",
            f"a batch of schedules (boundaries have shape {boundaries.shape})",
            "evaluate it under jax.vmap, as in jax.vmap(lambda schedule: schedule(count))(batch)",
        )
    n = boundaries.size
    if rates.shape != (n + 1,) or ramps.shape != (n,):
        raise bad_value(
            "schedule",
            f"have rates of shape ({n + 1},) and ramps of shape ({n},) for its {n} boundaries",
            f"{rates.shape} and {ramps.shape}",
            "replace all three, or write manual_stepping(boundaries, rates)",
        )
    if not jnp.issubdtype(boundaries.dtype, jnp.integer):
        raise bad_kind(
            "schedule",
            "have integers as boundaries",
            boundaries.dtype,
            "write boundaries.astype(jnp.int32)",
        )
    if not is_real(rates.dtype):
        raise bad_kind(
            "schedule",
            "have real numbers as rates",
            rates.dtype,
            "write rates.astype(jnp.float32)",
        )
    # Integers, too: code that casts all leaves of a state alike makes them of bools.
    if ramps.dtype != bool and not jnp.issubdtype(ramps.dtype, jnp.integer):
        raise bad_kind("schedule", "have bools as ramps", ramps.dtype, "write ramps.astype(bool)")
