"""The rate at a count: the whole evaluation, in functions of arrays."""

import jax
import jax.numpy as jnp
from jax import Array, lax

from optax_stepping._arguments import INT32_MAX, check_leaves, check_single
from optax_stepping._axes import jit_on_any_mesh
from optax_stepping._count import at_least_single, whole_steps

# Up to FEW boundaries, all are compared with the count, the rates of all stages are computed, and
# one is picked: that takes no GPU kernel of its own. With many more, compilers would keep the
# comparisons in memory for every count. So the last boundaries of blocks are searched, then the
# block; and only the rate of one stage is computed.
FEW = 12


@jit_on_any_mesh
def rates_at(boundaries: Array, rates: Array, ramps: Array, counts: Array) -> Array:
    """The rates at ``counts`` (NaN at NaN), weakly typed, of the same shape."""
    check_leaves("schedule", boundaries, rates, ramps)
    check_single(boundaries)
    boundaries, rates, ramps, counts = map(jnp.asarray, (boundaries, rates, ramps, counts))
    boundaries, ramps = whole_steps(boundaries), ramps.astype(bool)
    rates = rates.astype(at_least_single(rates.dtype))

    def rate_at(count: Array) -> Array:
        stage = _stage_at(boundaries, count)
        if boundaries.size <= FEW:
            starts, ends = jnp.append(0, boundaries), jnp.append(boundaries, 0)
            stages = starts, ends, rates, jnp.roll(rates, -1), jnp.append(ramps, False)
            rate = _pick(_rate_on(count, *stages), stage)
        else:
            # The last stage has neither end nor target: it becomes a ramp of no length.
            start = jnp.where(stage == 0, 0, _pick(boundaries, stage - 1))
            end, ramp = _pick(boundaries, stage), _pick(ramps, stage)
            rate = _rate_on(count, start, end, _pick(rates, stage), _pick(rates, stage + 1), ramp)
        return jnp.full_like(0.0, rate)  # weakly typed

    found = jnp.vectorize(rate_at)(whole_steps(counts))
    is_float = jnp.issubdtype(counts.dtype, jnp.floating)
    return jnp.where(jnp.isnan(counts), jnp.nan, found) if is_float else found


def _stage_at(boundaries: Array, count: Array) -> Array:
    """The number of boundaries that ``count`` has reached; at INT32_MAX, more than there are."""
    if boundaries.size <= FEW:
        if boundaries.size in (2, 4, 8):
            # XLA would give a search among a power of two a GPU kernel of its own.
            boundaries = jnp.append(boundaries, INT32_MAX)
        return jnp.searchsorted(boundaries, count, side="right", method="compare_all")
    width = min(FEW, -(-boundaries.size // FEW))
    padding = (0, -boundaries.size % width)
    blocks = jnp.pad(boundaries, padding, constant_values=INT32_MAX).reshape(-1, width)
    block = _stage_at(blocks[:-1, -1], count)
    return width * block + _stage_at(_pick(blocks, block), count)


def _rate_on(
    count: Array, start: Array, end: Array, rate: Array, target: Array, ramp: Array
) -> Array:
    """The rate of a stage at ``count``. To hold a rate is a ramp of no length, which has ended."""
    target, length = jnp.where(ramp, target, rate), jnp.where(ramp, end - start, 0)
    # Counted from the end that is closer to zero, where rounding shows most.
    grows = jnp.abs(target) >= jnp.abs(rate)
    small, large = jnp.where(grows, rate, target), jnp.where(grows, target, rate)
    steps = jnp.abs(jnp.maximum(count, 0) - jnp.where(grows, start, end))
    ended = steps >= length
    # Scaled by a power of two, no product or difference leaves the range of normal numbers.
    scale = jnp.where(jnp.abs(small) > 2.0**64, 2.0**-64, 1.0)
    scale = jnp.where(jnp.abs(large) < 2.0**-32, 2.0**94, scale)
    low, high = small * scale, large * scale
    # The slope in two parts. Products of the 8 bits of the coarse one with 16 bits of an integer
    # are exact, so the fine one makes up for all rounding so far, also of a GPU's approximate
    # division. Both parts have the slope's sign, so the ramp is monotone.
    height, share = high - low, 1 / jnp.maximum(length, 1).astype(rate.dtype)
    slope = lax.stop_gradient(0.995 * height * share)
    coarse = lax.reduce_precision(slope, jnp.finfo(rate.dtype).nexp, 7)
    upper, lower = _halves(length, rate.dtype)
    fine = ((height - coarse * upper) - coarse * lower + ((high - height) - low)) * share
    # No compiler can fuse this product with the sum: a selection stands between them.
    fine = jnp.where(ended, 0, fine * steps.astype(rate.dtype))
    upper, lower = _halves(steps, rate.dtype)
    value = (low + (coarse * upper + (coarse * lower + fine))) / scale
    return jnp.where(ended, large, _within(large, value))


def _halves(integers: Array, dtype: jnp.dtype) -> tuple[Array, Array]:
    """The upper and the lower 16 bits, as exact floats."""
    return (integers & ~0xFFFF).astype(dtype), (integers & 0xFFFF).astype(dtype)


# Rounding must not carry a rate beyond the end of its ramp. The derivative ignores the limit.
_within = jax.custom_jvp(lambda end, rate: lax.clamp(-jnp.abs(end), rate, jnp.abs(end)))
_within.defjvps(None, lambda tangent, *_: tangent)


def _pick(leaf: Array, index: Array) -> Array:
    # Beyond the last entry, that one.
    return leaf.at[index.astype(jnp.uint32)].get(mode="clip")
