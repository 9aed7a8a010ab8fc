"""The schedule: three arrays that can be called."""

import operator
from collections.abc import Callable
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from optax_stepping._arguments import (
    INT32_MAX,
    bad_kind,
    bad_value,
    check_array,
    check_leaves,
    in_native_order,
    is_integer,
    is_real,
    is_traced,
    known,
    real,
    scalar,
    short,
    shown,
)
from optax_stepping._count import on_host
from optax_stepping._rate import rates_at


class SteppingSchedule:
    """A learning rate in stages: an ``optax.Schedule`` that is also a pytree.

    Build one with :func:`optax_stepping.manual_stepping`, which checks its arguments. This class
    only holds the arrays and reads the rate at a count.

    ``n`` boundaries make ``n + 1`` stages. Stage ``i`` is in force from ``boundaries[i - 1]``
    (0 for the first) until ``boundaries[i]`` (the last has no end). It either holds
    ``rates[i]``, or ramps to the next rate::

        rate(count) = rates[i] + (rates[i + 1] - rates[i]) * (count - start) / (end - start)

    It is a function: pass it to ``jax.jit``, ``vmap`` or ``grad``. Like functions, schedules
    compare and hash by identity. It is also a pytree of arrays: it can be an argument and a
    result of ``jax.jit``, mapped over by ``jax.vmap``, carried by ``jax.lax.scan``, sharded,
    exported, pickled and checkpointed. Schedules with the same number of stages share one
    compiled program.

    ``schedule * factor``, ``factor * schedule`` and ``schedule / factor`` have the same stages and
    other rates. The factor is a number or a traced scalar. ``schedule.replace(rates=...)`` changes
    a field.

    Attributes:
      boundaries: int32 ``(n,)``, the optimizer steps at which stages ``1 .. n`` start,
        strictly increasing. Leading zeros are padding: stages of no length (see
        :func:`optax_stepping.pad`).
      rates: float32 ``(n + 1,)`` (float64 under x64), the rate at the start of every
        stage.
      ramps: bool ``(n,)``, whether stage ``i`` ramps to ``rates[i + 1]`` instead of
        holding ``rates[i]``. The last stage always holds.

    Example:
      >>> import jax, jax.numpy as jnp
      >>> import optax_stepping
      >>> schedule = optax_stepping.manual_stepping([1000, 2000], [0.1, 0.01, 0.001])
      >>> schedule
      SteppingSchedule(boundaries=[1000, 2000], rates=[0.1, 0.01, 0.001], ramps=[False, False])
      >>> print(schedule(999), schedule(1000))
      0.1 0.01
      >>> print(schedule(jnp.array([0, 1500, 10**9])))
      [0.1   0.01  0.001]
      >>> print(jax.jit(lambda schedule, count: schedule(count))(schedule / 2, 1000))
      0.005
    """

    boundaries: jax.Array
    rates: jax.Array
    ramps: jax.Array

    # jax.jit(schedule) names its program so.
    __name__ = "stepping_schedule"

    def __init__(self, boundaries: Any, rates: Any, ramps: Any) -> None:
        # JAX rebuilds trees with any objects as leaves. Of NumPy's integers it would cut bits off.
        if isinstance(boundaries, np.ndarray):
            _check_range(boundaries)
        # __setattr__ refuses.
        vars(self).update(boundaries=boundaries, rates=rates, ramps=ramps)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(
            f"a schedule does not change, got {name} = {shown(value)}; write "
            f"schedule.replace({name}=...)."
        )

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a schedule does not change, got del {name}.")

    def replace(self, **fields: Any) -> "SteppingSchedule":
        """Returns the schedule with other arrays in some of its three fields.

        Lists and NumPy arrays become JAX arrays. Values are not checked, except that boundaries
        must fit into int32.

        Args:
          **fields: new ``boundaries``, ``rates`` or ``ramps``.

        Raises:
          ValueError: a boundary does not fit into int32.
          TypeError: a schedule has no such field, or its new value is not an array of numbers.
        """
        made = vars(self) | {name: _checked_field(name, leaf) for name, leaf in fields.items()}
        return make_schedule(*vars(SteppingSchedule(**made)).values())

    __replace__ = replace  # copy.replace, from Python 3.13 on

    # NumPy's numbers leave products to this class.
    __array_ufunc__ = None

    def __call__(self, count: jax.typing.ArrayLike) -> jax.Array:
        """Returns the rate at ``count``.

        A held rate is returned bit for bit. A ramp starts at exactly its first rate. In between
        it is within 4 ulp of the real value (through zero: 4 ulp of the larger of its two
        rates), monotone, and never beyond its two rates. On one backend it has the same bits
        however you evaluate it: eagerly, jitted, mapped, in an array.

        Args:
          count: optimizer steps done so far, a scalar or an array of any shape: Python
            numbers, NumPy or JAX arrays, of any integer or floating dtype. Fractional counts are
            rounded down. Counts below 0 read as 0. From the last boundary on, the last rate
            holds for ever. NaN gives NaN.

        Returns:
          The rate, of the shape of ``count``. It is weakly typed: it promotes like a Python
          float, so it changes no dtype in a bfloat16 train step.

        Raises:
          TypeError: ``count`` is not a real number or an array of real numbers.
          ValueError: this is a batch of schedules (call it under ``jax.vmap``).
        """
        if isinstance(count, jax.Array) or (type(count) is int and 0 <= count <= INT32_MAX):
            return rates_at(self.boundaries, self.rates, self.ramps, count)
        count, unknown = on_host(count)
        found = rates_at(self.boundaries, self.rates, self.ramps, count)
        return found if unknown is None else jnp.where(unknown, jnp.nan, found)

    def __mul__(self, factor: jax.typing.ArrayLike) -> "SteppingSchedule":
        return self._scaled("factor", factor, operator.mul)

    __rmul__ = __mul__

    def __truediv__(self, divisor: jax.typing.ArrayLike) -> "SteppingSchedule":
        return self._scaled("divisor", divisor, operator.truediv)

    def _scaled(
        self, name: str, number: Any, operation: Callable[[Any, Any], Any]
    ) -> "SteppingSchedule":
        if isinstance(number, bool) or not isinstance(
            number, int | float | np.ndarray | np.generic | jax.Array
        ):
            return NotImplemented
        check_leaves("schedule", *vars(self).values())
        if np.ndim(number):
            raise bad_value(
                name,
                "be a scalar",
                f"shape {np.shape(number)}",
                "to scale every member of a batch by its own, map: "
                "jax.vmap(lambda s, f: s * f)(batch, factors)",
            )
        if is_traced(number):
            if not is_real(number.dtype):
                raise bad_kind(name, "be a real number", f"dtype {number.dtype}", "write 0.5")
        else:
            number = _checked_number(name, number, self.rates.dtype)
            if number == 0 and operation is operator.truediv:
                raise bad_value(name, "not be 0", short(number), "write 10, say")
        if is_traced(number) or is_traced(self.rates):
            rates = operation(self.rates, jnp.asarray(number, self.rates.dtype))
            return SteppingSchedule(self.boundaries, rates, self.ramps)
        rates = _checked_scaled(name, number, known(self.rates), operation)
        return make_schedule(self.boundaries, rates, self.ramps)

    def __repr__(self) -> str:
        fields = (f"{name}={_readable(getattr(self, name))}" for name in _FIELDS)
        return f"SteppingSchedule({', '.join(fields)})"


_FIELDS = ["boundaries", "rates", "ramps"]
jax.tree_util.register_dataclass(SteppingSchedule, data_fields=_FIELDS, meta_fields=[])


# For exported programs with a schedule as an argument or a result. All its data are leaves.
export.register_pytree_node_serialization(
    SteppingSchedule,
    serialized_name="optax_stepping.SteppingSchedule",
    serialize_auxdata=lambda auxdata: b"",
    deserialize_auxdata=lambda auxdata: (),
)


def make_schedule(boundaries: Any, rates: Any, ramps: Any) -> SteppingSchedule:
    """The schedule of NumPy's or JAX's arrays, or of tracers. Inside a trace too, concrete leaves
    become arrays that outlive it.
    """
    with jax.ensure_compile_time_eval():
        return SteppingSchedule(*map(_outliving, (boundaries, rates, ramps)))


def as_function(
    schedule: SteppingSchedule,
) -> Callable[[jax.typing.ArrayLike], jax.Array]:
    """The same schedule as a plain function: one leaf of a tree, not three.

    Use it for programs that map over functions or store them: the ``schedules`` of a Kauldron
    trainer, an attribute of an ``nnx.Module``, a field of an Equinox module whose rates are not
    to be trained.

    Args:
      schedule: a single ``SteppingSchedule``.

    Returns:
      A function from ``count`` to the rate. It can be pickled and copied. Two functions of one
      schedule are equal.

    Raises:
      TypeError: ``schedule`` is not a ``SteppingSchedule``.

    Example:
      >>> import jax
      >>> from optax_stepping import as_function, manual_stepping
      >>> schedule = manual_stepping([1000], [0.1, 0.01])
      >>> len(jax.tree.leaves(schedule)), len(jax.tree.leaves(as_function(schedule)))
      (3, 1)
      >>> print(as_function(schedule)(1000))
      0.01
    """
    check_schedule("schedule", schedule)
    return schedule.__call__


def check_schedule(name: str, schedule: object) -> None:
    if not isinstance(schedule, SteppingSchedule):
        write = "write manual_stepping(boundaries, rates), or state.schedule"
        raise bad_kind(name, "be a SteppingSchedule", shown(schedule), write)
    check_leaves(name, *vars(schedule).values())


def leaves_on_host(schedule: SteppingSchedule) -> tuple[Any, Any, Any]:
    """Boundaries, rates and ramps: NumPy's arrays if they are known, else tracers."""
    return known(schedule.boundaries), known(schedule.rates), known(schedule.ramps)


def _outliving(leaf: Any) -> Any:
    if not isinstance(leaf, np.ndarray | jax.Array):
        return leaf  # a tree of axes or shardings, say
    # Put there explicitly, which jax.transfer_guard("disallow") lets pass.
    array = leaf if isinstance(leaf, jax.Array) else jax.device_put(leaf)
    # An eager shard_map traces constants, too: there, NumPy's arrays stay.
    return leaf if is_traced(array) else array


def _checked_field(name: str, leaf: Any) -> Any:
    must, write = "be an array, or a list of numbers", "write [0.1, 0.01], or jnp.stack([...])"
    if isinstance(leaf, list | tuple):
        entries = [scalar(f"{name}[{i}]", entry, "0.1") for i, entry in enumerate(leaf)]
        try:
            leaf = np.asarray(entries)
        except (TypeError, ValueError):  # ragged, or traced
            raise bad_kind(name, must, shown(leaf), write) from None
    if not isinstance(leaf, np.ndarray | jax.Array):
        raise bad_kind(name, must, shown(leaf), write)
    check_array(name, leaf, "[0.1, 0.01]")
    if isinstance(leaf, np.ndarray):
        leaf = in_native_order(leaf)
    if leaf.dtype != bool and not is_real(leaf.dtype):
        raise bad_kind(name, must, f"dtype {leaf.dtype}", write)
    if name == "rates" and is_integer(leaf.dtype):
        return leaf.astype(jnp.result_type(float))
    if name == "boundaries" and not is_traced(leaf):
        _check_range(known(leaf))
    return leaf


def _check_range(boundaries: np.ndarray) -> None:
    if boundaries.dtype.kind not in "iu" or not boundaries.size:
        return
    outside = (boundaries > INT32_MAX) | (boundaries < -INT32_MAX - 1)
    if outside.any():
        index = tuple(np.argwhere(outside)[0].tolist())
        must = "fit into int32, the type of Optax's step counts"
        write = f"write at most {INT32_MAX}"
        raise bad_value(f"boundaries[{', '.join(map(str, index))}]", must, boundaries[index], write)


def _checked_number(name: str, number: Any, dtype: np.dtype) -> float:
    number = real(name, number, "0.5")
    if abs(number) > float(jnp.finfo(dtype).max):
        raise bad_value(name, f"fit into {dtype}", shown(number), "write 0.5, say")
    return number


def _checked_scaled(
    name: str, number: Any, rates: np.ndarray, operation: Callable[[Any, Any], Any]
) -> np.ndarray:
    """``operation`` on known rates, or a refusal of a number that loses one of them."""
    limits = jnp.finfo(rates.dtype)
    with np.errstate(all="ignore"):
        scaled = operation(rates, rates.dtype.type(number))
    lost = lost_rate(rates, scaled) if number else ""
    if lost:
        must = f"keep rates within {limits.tiny:.3g} .. {limits.max:.3g}"
        got = f"{number!r}, which makes {lost}"
        raise bad_value(name, must, got, f"write a {name} closer to 1")
    return scaled


def lost_rate(before: np.ndarray, after: Any) -> str:
    """The first rate that became infinite or vanished, for a message; "" if none did."""
    infinite = np.isfinite(before) & ~np.isfinite(after)
    lost = np.argwhere(infinite | ((before != 0) & (after == 0)))
    if not lost.size:
        return ""
    index = tuple(lost[0].tolist())
    here = f"rates[{', '.join(map(str, index))}]"
    return f"{here} = {before[index]!s} {after[index]!s} in {after.dtype}"


def _readable(leaf: Any) -> str:
    if not isinstance(leaf, np.ndarray | jax.Array):
        return repr(leaf)
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.extended)
    if is_traced(leaf) or leaf.ndim != 1 or is_key:
        return f"{leaf.dtype}{list(leaf.shape)}"
    values = [str(value) for value in known(leaf)]
    if len(values) > 16:
        values[3:-3] = ["..."]
    return f"[{', '.join(values)}]"
