"""Checks that several doors share: of numbers, sequences, leaves and schedules."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

INT32_MAX = 2**31 - 1


def is_traced(value: Any) -> bool:
    """Whether ``value`` is only known when the compiled program runs."""
    return isinstance(value, Tracer)


def is_real(dtype: Any) -> bool:
    return jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.floating)


def shown(value: Any) -> str:
    """``value`` in a message: short, and with its type."""
    text = repr(value)
    text = text if len(text) <= 200 else f"{text[:150]} ... {text[-40:]}"
    return f"{text} of type {type(value).__name__}"


def check_flag(name: str, flag: Any) -> None:
    if not isinstance(flag, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {shown(flag)}; write {name}=True.")


def scalar(name: str, value: Any, example: str) -> Any:
    """``value`` as a Python number if it is an array of no dimensions, or as a tracer."""
    if isinstance(value, np.ndarray | jax.Array | np.generic):
        if value.ndim:
            raise ValueError(f"{name} must be a scalar, got shape {value.shape}; write {example}.")
        return value if is_traced(value) else value.item()
    return value


def integer(name: str, value: Any, *, low: int = 0, example: str = "1000", remedy: str = "") -> int:
    """``value`` as an int of at least ``low`` that fits into int32; a float may be whole."""
    number = scalar(name, value, example)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(
            f"{name} must be an integer, got {shown(value)}; it counts optimizer steps: write a "
            f"whole number, as in {example}."
        )
    if number < low:
        kind = {0: "not be negative", 1: "be positive"}.get(low, f"be at least {low}")
        raise ValueError(f"{name} must {kind}, got {number}; {remedy or f'write {example}'}.")
    if number > INT32_MAX:
        raise ValueError(
            f"{name} must fit into int32, the type of Optax's step counts, got {number}; write at "
            f"most {INT32_MAX}."
        )
    return number


def real(name: str, value: Any, example: str) -> float:
    """``value`` as a finite int or float."""
    number = scalar(name, value, example)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise TypeError(f"{name} must be a real number, got {shown(value)}; write {example}.")
    if isinstance(number, float) and not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {value!r}; write a number such as {example}.")
    return number


def sequence(name: str, values: Any, example: str) -> Sequence[Any]:
    """``values`` if it is any sequence but text: list, tuple, range, OmegaConf's list."""
    if not isinstance(values, Sequence) or isinstance(values, str | bytes | bytearray):
        raise TypeError(
            f"{name} must be a list, tuple, other sequence or array, got {shown(values)}; write "
            f"a list such as {example}."
        )
    return values


def check_leaves(boundaries: jax.Array, rates: jax.Array, ramps: jax.Array) -> None:
    """Refuses a batch, and what ``dataclasses.replace`` may have brought together."""
    if boundaries.ndim != 1:
        raise ValueError(
            f"schedule: this is a batch of schedules (boundaries have shape {boundaries.shape}); "
            f"evaluate it under jax.vmap, as in jax.vmap(lambda schedule: schedule(count))(batch)."
        )
    length = boundaries.size
    if rates.shape != (length + 1,) or ramps.shape != (length,):
        raise ValueError(
            f"schedule: {length} boundaries go with rates of shape ({length + 1},) and ramps of "
            f"shape ({length},), got {rates.shape} and {ramps.shape}; replace all three, or "
            f"write manual_stepping(boundaries, rates)."
        )
    if not jnp.issubdtype(boundaries.dtype, jnp.integer) or ramps.dtype != bool:
        raise TypeError(
            f"schedule: boundaries must be integers and ramps bools, got {boundaries.dtype} and "
            f"{ramps.dtype}; write boundaries.astype(jnp.int32), ramps.astype(bool)."
        )
    if not is_real(rates.dtype):
        raise TypeError(
            f"schedule: rates must be real numbers, got {rates.dtype}; write "
            f"rates.astype(jnp.float32)."
        )
