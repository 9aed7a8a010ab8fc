"""The schedule as data, and its evaluation."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

INT32_MAX = 2**31 - 1


class SteppingSchedule(NamedTuple):
    r"""A learning rate in stages: an ``optax.Schedule`` that is also a pytree.

    Build one with :func:`optax_stepping.manual_stepping`, which checks its arguments;
    this class only holds the arrays and reads the rate at a count.

    With boundaries :math:`b_0 < \dots < b_{n-1}` there are :math:`n + 1` stages. Stage
    :math:`i` covers the counts :math:`s_i \le c < e_i`, from :math:`s_i = b_{i-1}`
    (0 for the first) to :math:`e_i = b_i` (the last has no end). It either holds its
    rate :math:`r_i`, or ramps to the next one:

    .. math:: r(c) = r_i + (r_{i+1} - r_i) \frac{c - s_i}{e_i - s_i}

    Being a ``NamedTuple`` of arrays, a schedule can be an argument and a result of
    ``jax.jit``, be mapped over by ``jax.vmap``, carried by ``jax.lax.scan``,
    differentiated, sharded, exported, pickled and checkpointed. A changed schedule with
    as many stages runs in the program that is already compiled. Fields are changed as
    those of any ``NamedTuple``: ``schedule._replace(rates=schedule.rates * 0.5)``.

    Attributes:
      boundaries: int32 ``(n,)``, the optimizer steps at which stages ``1 .. n`` start,
        strictly increasing. Leading zeros are padding (see
        :func:`optax_stepping.stack`): stages of no length, at the front.
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
      >>> halved = schedule._replace(rates=schedule.rates / 2)
      >>> print(jax.jit(lambda schedule, count: schedule(count))(halved, 1000))
      0.005
    """

    boundaries: jax.Array
    rates: jax.Array
    ramps: jax.Array

    def __call__(self, count: jax.typing.ArrayLike) -> jax.Array:
        """Returns the rate at ``count``.

        A held rate is returned bit for bit. A ramp starts at exactly its first rate, is
        within 4 ulp of the real value (through zero: 4 ulp of the larger of its two
        rates), monotone, and never outside of its two rates.

        Args:
          count: optimizer steps done so far, a scalar or an array of any shape: Python
            numbers, numpy or JAX arrays, of any integer or floating dtype (a fractional
            count lies between two steps). Counts below 0 read as 0; from the last
            boundary on, the last rate holds for ever; NaN gives NaN.

        Returns:
          The rate, of the shape of ``count``. Its type is weak: it promotes like a
          Python float and so changes no dtype in a bfloat16 train step.

        Raises:
          TypeError: ``count`` is no real number or array of such.
          ValueError: this is a batch of schedules (call it under ``jax.vmap``).
        """
        if isinstance(count, jax.Array) or (type(count) is int and 0 <= count <= INT32_MAX):
            return _rate(self, count, None)
        return _rate(self, *_split_on_host(count))

    def __eq__(self, other: object) -> bool:
        """Whether both have the same leaves: values, shapes and dtypes; of tracers,
        whether they are the same tracers.
        """
        if not isinstance(other, SteppingSchedule):
            return NotImplemented
        return all(map(_same, self, other))

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        # Without the values, which are on the device, and which tracers do not have.
        return hash(tuple(np.shape(leaf) for leaf in self))

    def __repr__(self) -> str:
        fields = (f"{name}={_readable(leaf)}" for name, leaf in self._asdict().items())
        return f"SteppingSchedule({', '.join(fields)})"


@jax.jit
def _rate(
    schedule: SteppingSchedule, count: jax.typing.ArrayLike, fraction: jax.typing.ArrayLike | None
) -> jax.Array:
    """The rate at ``count + fraction``. One jitted function, so that eager calls and
    calls inside a larger program run the same arithmetic; what is checked in here costs
    nothing but the first time.
    """
    schedule = SteppingSchedule(*map(jnp.asarray, schedule))
    _check_leaves(*schedule)
    # On a GPU, XLA gives a reduction over a power of two a kernel of its own; over
    # any other small number it becomes part of the kernels that use the rate.
    missing = {1: 2, 2: 1, 4: 1, 8: 1, 16: 1}.get(schedule.boundaries.size, 0)
    schedule = pad_stages(schedule, missing)
    boundaries, stages = schedule.boundaries, _stage_table(*schedule)
    count, fraction = _split(jnp.asarray(count), fraction)

    def rate_at(count, fraction, method):
        stage = jnp.searchsorted(boundaries, count, side="right", method=method)
        return _stage_rate([_pick(column, stage) for column in stages], count, fraction)

    if count.ndim == 0:
        # The rate of every stage at this count, then the one that is in force. Compilers
        # fuse the selection into the arithmetic, so only that one is computed.
        stage = jnp.searchsorted(boundaries, count, side="right", method="compare_all")
        rate = _pick(_stage_rate(stages, count, fraction), stage)
    elif boundaries.size <= 32:
        # One vectorised pass, four times as fast as the binary search. From 64 boundaries
        # on, it is ten times slower, in memory for every pair of a boundary and a count.
        rate = rate_at(count, fraction, "compare_all")
    else:
        # A binary search, in blocks to keep its memory at a fraction of the result.
        at = jax.tree.map(jnp.ravel, (count, fraction))
        rate = jax.lax.map(lambda at: rate_at(at[0], at[1], "scan"), at, batch_size=2**16)
        rate = rate.reshape(count.shape)
    return _weakly_typed(rate)


def is_traced(value: Any) -> bool:
    """Whether ``value`` is only known when the compiled program runs."""
    return isinstance(value, Tracer)


def pad_stages(schedule: SteppingSchedule, missing: int) -> SteppingSchedule:
    """``schedule`` with ``missing`` more stages, of no length, at the front: boundaries at 0
    are passed at every count. (At the other end, padding could not be told from a last
    boundary at 2**31 - 1.)
    """
    widths = [(0, 0)] * (schedule.rates.ndim - 1) + [(missing, 0)]
    return SteppingSchedule(
        boundaries=jnp.pad(schedule.boundaries, widths),
        rates=jnp.pad(schedule.rates, widths, mode="edge"),
        ramps=jnp.pad(schedule.ramps, widths),
    )


def _stage_table(boundaries, rates, ramps) -> Any:
    """Of every stage: the rate that is closer to zero, the other one, the count at which
    it has the first, and its length. A held stage is a ramp of length 0.
    """
    # Leaves cast to half precision by a mixed-precision policy still ramp in float32.
    rates = rates.astype(jnp.result_type(rates, jnp.float32))
    last_holds = jnp.zeros(1, bool)
    ramps = jnp.concatenate([ramps, last_holds])
    starts = jnp.concatenate([jnp.zeros(1, boundaries.dtype), boundaries])
    ends = jnp.concatenate([boundaries, starts[-1:]])
    targets = jnp.where(ramps, jnp.concatenate([rates[1:], rates[-1:]]), rates)
    grows = jnp.abs(targets) >= jnp.abs(rates)
    return (
        jnp.where(grows, rates, targets),
        jnp.where(grows, targets, rates),
        jnp.where(grows, starts, ends),
        jnp.where(ramps, ends - starts, 0),
    )


def _stage_rate(stages, count, fraction):
    """The rate at ``count`` of stages, as columns of their table.

    A ramp adds a share of its height to the end that is closer to zero, counted from
    there: ``a + (b - a) * t`` is hundreds of ulp off at the low end of a steep fall. The
    integers are subtracted before they are rounded, so ramps of any length are monotone.
    """
    small, large, origin, length = stages
    steps = (count - origin).astype(small.dtype)
    if fraction is not None:
        steps += fraction.astype(small.dtype)
    steps = jnp.abs(steps)
    rate = small + (large - small) * (steps / jnp.maximum(length, 1).astype(small.dtype))
    # Rounding may overshoot by an ulp. Selecting, rather than clipping, keeps the
    # derivatives with respect to both ends exact; and at its end a ramp is exact.
    ended = steps >= length.astype(small.dtype)
    rate = jnp.where(ended | (jnp.abs(rate) > jnp.abs(large)), large, rate)
    return rate if fraction is None else jnp.where(jnp.isnan(fraction), jnp.nan, rate)


def _pick(leaf, stage):
    # The stage is a valid index by construction: no bounds checks, no wrapping.
    return leaf.at[stage].get(mode="promise_in_bounds", wrap_negative_indices=False)


def _weakly_typed(rate: jax.Array) -> jax.Array:
    return jnp.vectorize(lambda value: jnp.full_like(0.0, value))(rate)


def _split(count, fraction):
    """``count`` as an int32 array of whole steps >= 0 and the fraction beyond, if any."""
    _check_count_dtype(count)
    if jnp.issubdtype(count.dtype, jnp.floating):
        wide = jnp.float64 if count.dtype == jnp.float64 else jnp.float32
        count = jnp.maximum(count.astype(wide), 0)
        whole = jnp.floor(count)
        fraction = count - whole
        within = count < 2.0**31
        return (
            jnp.where(within, whole.astype(jnp.int32), INT32_MAX),
            jnp.where(within | jnp.isnan(count), fraction, 0),
        )
    if jnp.iinfo(count.dtype).max > INT32_MAX:
        count = jnp.minimum(count, INT32_MAX)
    return jnp.maximum(count.astype(jnp.int32), 0), fraction


def _split_on_host(count: Any) -> Any:
    """As ``_split``, at the full precision of the host: without x64, JAX would round a
    float64 count to float32 and cut the upper half off an int64.
    """
    if not isinstance(count, int | float | np.ndarray | np.generic):
        raise TypeError(
            f"count must be a number or an array of numbers, got {count!r} of type "
            f"{type(count).__name__}; write an int, or an array such as jnp.arange(10)."
        )
    if isinstance(count, int):
        count = min(max(count, 0), INT32_MAX)
    count = np.asarray(count)
    _check_count_dtype(count)
    if not jnp.issubdtype(count.dtype, jnp.floating):
        unsigned = jnp.issubdtype(count.dtype, jnp.unsignedinteger)
        count = np.minimum(count.astype(np.uint64 if unsigned else np.int64), INT32_MAX)
        return np.maximum(count, 0).astype(np.int32), None
    count = np.maximum(count.astype(np.float64), 0)
    known = np.where(np.isnan(count), 0, np.minimum(count, INT32_MAX))
    whole = np.floor(known)
    fraction = np.where(np.isnan(count), np.nan, known - whole)
    return whole.astype(np.int32), fraction.astype(jnp.result_type(float))


def _check_leaves(boundaries, rates, ramps) -> None:
    """Refuses a batch, and what ``_replace`` may have brought together by mistake."""
    if boundaries.ndim != 1:
        raise ValueError(
            f"schedule: this is a batch of schedules (boundaries have shape "
            f"{boundaries.shape}); evaluate it under jax.vmap, as in "
            f"jax.vmap(lambda schedule: schedule(count))(batch)."
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


def _check_count_dtype(count: jax.Array | np.ndarray) -> None:
    dtype = count.dtype
    if not (jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.floating)):
        raise TypeError(
            f"count must have an integer or floating dtype, got {dtype}; "
            f"counts are optimizer steps, such as 0, 1, 2."
        )


def _same(a, b) -> bool:
    if a is b:
        return True
    if is_traced(a) or is_traced(b):
        return False
    a, b = np.asarray(a), np.asarray(b)
    return a.dtype == b.dtype and np.array_equal(a, b)


def _readable(leaf) -> str:
    if is_traced(leaf):
        return f"{leaf.dtype}{list(leaf.shape)}"
    if not isinstance(leaf, np.ndarray | jax.Array):
        return repr(leaf)
    if leaf.ndim != 1:
        return f"{leaf.dtype}{list(leaf.shape)}"
    values = [str(value) for value in np.asarray(leaf)]
    if len(values) > 16:
        values[3:-3] = ["..."]
    return f"[{', '.join(values)}]"
