"""The schedule as data, and its evaluation."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

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
        if np.ndim(self.boundaries) != 1:
            raise ValueError(
                f"schedule: this is a batch of schedules (boundaries have shape "
                f"{np.shape(self.boundaries)}); evaluate it under jax.vmap, as in "
                f"jax.vmap(lambda schedule: schedule(count))(batch)."
            )
        if type(count) is int:
            return _rate(self, min(max(count, 0), INT32_MAX), None)
        if not isinstance(count, jax.Array):
            return _rate(self, *_split_on_host(count))
        _check_count_dtype(count)
        return _rate(self, count, None)

    def __repr__(self) -> str:
        fields = (f"{name}={_readable(leaf)}" for name, leaf in self._asdict().items())
        return f"SteppingSchedule({', '.join(fields)})"


@jax.jit
def _rate(
    schedule: SteppingSchedule, count: jax.typing.ArrayLike, fraction: jax.typing.ArrayLike | None
) -> jax.Array:
    """The rate at ``count + fraction``. One jitted function, so that eager calls and
    calls inside a larger program run the same arithmetic."""
    boundaries, rates, ramps = (jnp.asarray(leaf) for leaf in schedule)
    # Leaves cast to half precision by a mixed-precision policy still ramp in float32.
    rates = rates.astype(jnp.promote_types(rates.dtype, jnp.float32))
    count, fraction = _split(jnp.asarray(count), fraction)
    stages = (
        jnp.concatenate([jnp.zeros_like(boundaries, shape=1), boundaries]),
        jnp.concatenate([boundaries, jnp.full_like(boundaries, INT32_MAX, shape=1)]),
        rates,
        jnp.concatenate([rates[1:], rates[-1:]]),
        jnp.concatenate([ramps, jnp.zeros_like(ramps, shape=1)]),
    )
    if count.ndim == 0:
        # The rate of every stage at this count, then the one that is in force. Compilers
        # fuse the selection into the arithmetic, so only that one is computed.
        stage = jnp.searchsorted(boundaries, count, side="right", method="compare_all")
        rate = _pick(_stage_rate(*stages, count, fraction), stage)
    else:
        method = "compare_all" if boundaries.size <= 32 else "scan_unrolled"
        stage = jnp.searchsorted(boundaries, count, side="right", method=method)
        rate = _stage_rate(*(_pick(leaf, stage) for leaf in stages), count, fraction)
    if fraction is not None:
        rate = jnp.where(jnp.isnan(fraction), jnp.nan, rate)
    return _weakly_typed(rate)


def _stage_rate(start, end, rate, next_rate, ramps, count, fraction):
    """The rate at ``count`` of a stage from ``start`` to ``end``; all broadcast.

    A ramp adds a share of its height to whichever of its two rates is closer to zero:
    ``a + (b - a) * t`` alone is hundreds of ulp off at the end of a steep fall. The
    integers are subtracted before they are rounded to floats, which keeps ramps of
    every length monotone.
    """
    rises = jnp.abs(next_rate) >= jnp.abs(rate)
    small = jnp.where(rises, rate, next_rate)
    large = jnp.where(rises, next_rate, rate)
    steps = jnp.where(rises, count - start, end - count).astype(rate.dtype)
    starts = count == start
    if fraction is not None:
        steps = jnp.where(rises, steps + fraction, steps - fraction).astype(rate.dtype)
        starts &= fraction == 0
    # A stage of no length is padding: it is never in force, but must not divide by zero.
    length = jnp.maximum(end - start, 1).astype(rate.dtype)
    value = small + (large - small) * (steps / length)
    # Rounding may overshoot by an ulp. Selecting, rather than clipping, keeps the
    # derivative with respect to both rates exact.
    overshoots = jnp.where(large > small, value > large, value < large)
    value = jnp.where(overshoots, large, value)
    return jnp.where(ramps & ~starts, value, rate)


def _pick(leaf, stage):
    # The stage is a valid index by construction: no bounds checks, no wrapping.
    return leaf.at[stage].get(mode="promise_in_bounds", wrap_negative_indices=False)


def _weakly_typed(rate: jax.Array) -> jax.Array:
    return jnp.vectorize(lambda value: jnp.full_like(0.0, value))(rate)


def _split(count, fraction):
    """``count`` as an int32 array of whole steps >= 0 and the fraction beyond, if any."""
    if jnp.issubdtype(count.dtype, jnp.floating):
        count = jnp.maximum(count.astype(jnp.promote_types(count.dtype, jnp.float32)), 0)
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


def _split_on_host(count):
    """As ``_split``, at the full precision of the host: without x64, JAX would round a
    float64 count to float32 and cut the upper half off an int64."""
    if not isinstance(count, int | float | np.ndarray | np.generic):
        raise TypeError(
            f"count must be a number or an array of numbers, got {count!r} of type "
            f"{type(count).__name__}; write an int, or an array such as jnp.arange(10)."
        )
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


def _check_count_dtype(count: jax.Array | np.ndarray) -> None:
    dtype = count.dtype
    if not (jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.floating)):
        raise TypeError(
            f"count must have an integer or floating dtype, got {dtype}; "
            f"counts are optimizer steps, such as 0, 1, 2."
        )


def _readable(leaf) -> str:
    if isinstance(leaf, jax.core.Tracer):
        return f"{leaf.dtype}{list(leaf.shape)}"
    if not isinstance(leaf, np.ndarray | jax.Array):
        return repr(leaf)
    if leaf.ndim != 1:
        return f"{leaf.dtype}{list(leaf.shape)}"
    values = [str(value) for value in np.asarray(leaf)]
    if len(values) > 16:
        values[3:-3] = ["..."]
    return f"[{', '.join(values)}]"
