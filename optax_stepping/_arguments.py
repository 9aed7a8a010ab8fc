"""Checks of arguments that several functions share, and the one way to refuse."""

import itertools
import sys
from collections.abc import Iterable, Sequence
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
    """``leaf`` on the host, or a tracer as it is."""
    if is_traced(leaf):
        return leaf
    with jax.transfer_guard_device_to_host("allow"):  # several times as fast as jax.device_get
        return np.asarray(leaf)


def in_native_order(array: np.ndarray) -> np.ndarray:
    """With its bytes in the machine's order. Cached programs would misread any other."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def is_integer(dtype: Any) -> bool:
    # NumPy counts time differences as integers.
    return jnp.issubdtype(dtype, jnp.integer) and not np.issubdtype(dtype, np.timedelta64)


def is_real(dtype: Any) -> bool:
    return is_integer(dtype) or jnp.issubdtype(dtype, jnp.floating)


def short(value: object) -> str:
    """``value`` in a message, on one line of at most 200 characters."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # an int of more than 4,300 digits has none, say
        text = "a value that cannot be shown"
    return text if len(text) <= 200 else f"{text[:150]} ... {text[-40:]}"


def shown(value: object) -> str:
    """``value`` in a message, with its type."""
    return f"{short(value)} of type {type(value).__name__}"


def bad_value(name: str, must: str, got: object, write: str) -> ValueError:
    """The refusal of a wrong value: what it must be, what it is, what to write."""
    return ValueError(f"{name} must {must}, got {got}; {write}.")


def bad_kind(name: str, must: str, got: object, write: str) -> TypeError:
    """The refusal of a wrong kind."""
    return TypeError(f"{name} must {must}, got {got}; {write}.")


def check_flag(name: str, flag: Any) -> None:
    if not isinstance(flag, bool | np.bool_):
        raise bad_kind(name, "be True or False", shown(flag), f"write {name}=True")


def check_choice(name: str, value: Any, choices: Iterable[Any], write: str = "") -> None:
    choices = list(choices)
    if not isinstance(value, str | None) or value not in choices:
        must = f"be one of {', '.join(map(str, choices))}"
        raise bad_value(name, must, shown(value), write or f"write {choices[-1]!r}")


def check_array(name: str, array: np.ndarray | np.generic | jax.Array, example: str) -> None:
    """Refuses masked arrays, whose mask would be lost, and dates, durations and random keys."""
    if isinstance(array, np.ma.MaskedArray):
        raise bad_kind(name, "have no mask", shown(array), f"write {example}")
    is_key = jnp.issubdtype(array.dtype, jax.dtypes.extended)
    if is_key or array.dtype.kind in "mM" or array.dtype.char in "gG":  # "gG": long doubles
        must = "be made of numbers that JAX has"
        raise bad_kind(name, must, f"dtype {array.dtype}", f"write {example}")


def plain(name: str, array: np.ndarray | np.generic | jax.Array, example: str) -> Any:
    """A known array as Python has it: a list, or the value of an array of no dimensions."""
    check_array(name, array, example)
    return known(array).tolist()


def scalar(name: str, value: Any, example: str) -> Any:
    """An array of no dimensions as a Python number; a tracer, or anything else, as it is."""
    if isinstance(value, np.ndarray | jax.Array | np.generic):
        if value.ndim:
            raise bad_value(name, "be a scalar", f"shape {value.shape}", f"write {example}")
        return value if is_traced(value) else plain(name, value, example)
    return value


def integer(
    name: str,
    value: Any,
    *,
    low: int = 0,
    high: int = INT32_MAX,
    example: str = "1000",
    remedy: str = "",
) -> int:
    """``value`` as an int from ``low`` to ``high``. Whole floats are taken."""
    number = scalar(name, value, example)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if isinstance(number, bool) or not isinstance(number, int):
        write = f"it counts optimizer steps: write a whole number, as in {example}"
        raise bad_kind(name, "be an integer", shown(value), write)
    if number < low:
        must = {0: "not be negative", 1: "be positive"}.get(low, f"be at least {low}")
        raise bad_value(name, must, short(number), remedy or f"write {example}")
    if number > high:
        int32 = "fit into int32, the type of Optax's step counts"
        must = int32 if high == INT32_MAX else f"be at most {high}, as a table has a rate a step"
        raise bad_value(name, must, short(number), f"write at most {high}")
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
    """``values`` if it is a list, tuple, OmegaConf's list, known array or another sequence, but no
    text.
    """
    text = str | bytes | bytearray | memoryview
    if isinstance(values, np.ndarray | jax.Array) and not is_traced(values):
        values = plain(name, values, example)
    if not isinstance(values, Sequence) or isinstance(values, text):
        must = "be a list, tuple, other sequence or array"
        raise bad_kind(name, must, shown(values), f"write a list such as {example}")
    return values


def check_options(tolerance: Any, num_stages: Any = None) -> None:
    """Of every function that makes stages of a table."""
    if tolerance is not None and real("tolerance", tolerance, "1e-3") < 1e-6:
        raise bad_value("tolerance", "be at least 1e-6", tolerance, "write 1e-3")
    if num_stages is not None:
        integer("num_stages", num_stages, low=1, example="16")


def check_increasing(name: str, steps: Sequence[Any]) -> None:
    """Of steps that are traced, nothing is known."""
    entries = [(i, step) for i, step in enumerate(steps) if not is_traced(step)]
    for (i, before), (j, step) in itertools.pairwise(entries):
        if step <= before:
            must, write = "be strictly increasing", "write each step once, in ascending order"
            raise bad_value(name, must, f"{name}[{j}] = {step} after {name}[{i}] = {before}", write)


def check_known(name: str, must: str, value: Any, parts: Sequence[Any], write: str) -> None:
    """Refuses a value with traced parts where a number of stages depends on them."""
    if any(map(is_traced, parts)):
        raise bad_value(name, must, f"the traced {short(value)}", write)


def check_leaves(name: str, boundaries: Any, rates: Any, ramps: Any) -> None:
    """Refuses leaves that do not make a schedule or a batch of schedules."""
    write = "write manual_stepping(boundaries, rates)"
    for field, leaf in (("boundaries", boundaries), ("rates", rates), ("ramps", ramps)):
        if not isinstance(leaf, np.ndarray | jax.Array) or isinstance(leaf, np.ma.MaskedArray):
            raise bad_kind(name, f"have an array as {field}", shown(leaf), write)
    if not boundaries.ndim:
        raise bad_value(name, "have a dimension of stages", "boundaries of shape ()", write)
    *batch, n = boundaries.shape
    if rates.shape != (*batch, n + 1) or ramps.shape != (*batch, n):
        raise bad_value(
            name,
            f"have rates of shape {(*batch, n + 1)} and ramps of shape {(*batch, n)} for its {n} "
            f"boundaries",
            f"{rates.shape} and {ramps.shape}",
            f"replace all three, or {write}",
        )
    if not is_integer(boundaries.dtype):
        must = "have integers as boundaries"
        raise bad_kind(name, must, boundaries.dtype, "write boundaries.astype(jnp.int32)")
    if not jnp.issubdtype(rates.dtype, jnp.floating):
        must = "have floats as rates"
        raise bad_kind(name, must, rates.dtype, "write rates.astype(jnp.float32)")
    # Code that casts all leaves of a state makes integers of bools.
    if ramps.dtype != bool and not is_integer(ramps.dtype):
        raise bad_kind(name, "have bools as ramps", ramps.dtype, "write ramps.astype(bool)")


def check_single(boundaries: jax.Array) -> None:
    if boundaries.ndim != 1:
        raise bad_value(
            "schedule",
            "be one schedule",
            f"a batch of schedules (boundaries have shape {boundaries.shape})",
            "evaluate it under jax.vmap, as in jax.vmap(lambda schedule: schedule(count))(batch)",
        )
