"""The rate at a count: the whole evaluation, in functions of arrays."""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from optax_stepping._axes import jit_on_any_mesh
from optax_stepping._checks import INT32_MAX, check_leaves
from optax_stepping._count import at_least_single, whole_steps

# Of up to FEW boundaries, the rates of all stages cost no kernel on a GPU; of more, the CPU's
# runtime would hand the arithmetic to another thread, which takes longer than the call.
# All comparisons at once are the fastest search, but from 64 boundaries on, compilers keep
# them in memory for every count. Of more than FLAT, the block that holds the stage is searched
# first; the width of blocks is what GPU compilers take into one kernel. For MANY counts, it pays
# to make a table of ramps first, and to leave all but one rate of each count uncomputed.
FEW, FLAT, BLOCK, MANY = 12, 32, 13, 1000


@jit_on_any_mesh
def rates_at(boundaries, rates, ramps, counts, unknown=None):
    """The rates at ``counts`` (NaN where ``unknown``), weakly typed, of the same shape.

    One jitted function, so that eager calls run the same arithmetic as calls inside of a
    larger program; an array is one count mapped over by ``vmap``, so that it does, too.
    """
    boundaries, rates, ramps, counts = map(jnp.asarray, (boundaries, rates, ramps, counts))
    check_leaves(boundaries, rates, ramps)
    if jnp.issubdtype(counts.dtype, jnp.floating):
        unknown = jnp.isnan(counts)
    # On a GPU, XLA gives a search among a power of two a kernel of its own; among up to ten
    # other boundaries it becomes part of the kernels that use the rate.
    pad = functools.partial(jnp.pad, pad_width=(int(boundaries.size in (2, 4, 8)), 0))
    boundaries, ramps = pad(whole_steps(boundaries)), pad(ramps)
    rates = pad(rates.astype(at_least_single(rates.dtype)), mode="edge")
    rate_at = functools.partial(_rate_at, boundaries, rates, ramps, many=counts.size >= MANY)
    found = jnp.vectorize(lambda count: jnp.full_like(0.0, rate_at(count)))(whole_steps(counts))
    return found if unknown is None else jnp.where(unknown, jnp.nan, found)


def _rate_at(boundaries, rates, ramps, count, many):
    stage = _stage_at(boundaries, count)
    if boundaries.size > (FLAT if many else FEW):
        return _rate_on(count, *_one_ramp(boundaries, rates, ramps, stage))
    every = _all_ramps(boundaries, rates, ramps)
    if not many:
        # GPU compilers fuse the pick into the arithmetic, so only one rate is computed.
        return _pick(_rate_on(count, *every), stage)
    pick = _select if boundaries.size <= FEW else _pick
    return _rate_on(count, *(pick(column, stage) for column in every))


def _stage_at(boundaries, count, flat=FLAT):
    """The number of boundaries that ``count`` has reached."""
    if boundaries.size <= flat:
        return jnp.searchsorted(boundaries, count, side="right", method="compare_all")
    padding = -boundaries.size % BLOCK
    blocks = jnp.pad(boundaries, (padding, 0), constant_values=-INT32_MAX - 1).reshape(-1, BLOCK)
    passed = _stage_at(blocks[:-1, -1], count, BLOCK)
    block, first = _pick(blocks, passed), passed * BLOCK - padding
    return first + _stage_at(block, count)


def _all_ramps(boundaries, rates, ramps):
    """The ramp of every stage. The last one holds, and has no end that is looked at."""
    ends, targets, ramps = jnp.append(boundaries, 0), jnp.roll(rates, -1), jnp.append(ramps, False)
    return _ramp_between(jnp.append(0, boundaries), ends, rates, targets, ramps)


def _one_ramp(boundaries, rates, ramps, stage):
    """The ramp of one stage: a table of many would have to be made first. Of the last stage, the
    nearest entries are looked up, and make a ramp of no length.
    """
    start = jnp.where(stage == 0, 0, _pick(boundaries, stage - 1))
    end, rate, target = _pick(boundaries, stage), _pick(rates, stage), _pick(rates, stage + 1)
    return _ramp_between(start, end, rate, target, _pick(ramps, stage))


def _ramp_between(start, end, rate, target, ramp):
    """Where a ramp is counted from, its length, its rate there and that at the other end: the
    end that is closer to zero, where rounding shows most. A held stage is a ramp of no length,
    which has always ended.
    """
    target, length = jnp.where(ramp, target, rate), jnp.where(ramp, end - start, 0)
    grows = jnp.abs(target) >= jnp.abs(rate)
    small, large = jnp.where(grows, rate, target), jnp.where(grows, target, rate)
    return jnp.where(grows, start, end), length, small, large


def _rate_on(count, origin, length, small, large):
    """The rate at ``count``, which lies on this ramp."""
    steps = jnp.abs(jnp.maximum(count, 0) - origin)
    ended = steps >= length
    # Scaled by a power of two, no product or difference leaves the range of normal numbers; nor
    # does the smaller end, which a ramp starts with exactly.
    scale = jnp.where(jnp.abs(small) > 2.0**64, 2.0**-64, 1.0)
    scale = jnp.where(jnp.abs(large) < 2.0**-32, 2.0**94, scale)
    low, high = small * scale, large * scale
    # The slope in two parts. Products of the 8 bits of the coarse one with 16 bits of an integer
    # are exact, so the fine one makes up for every rounding until then, also for that of a
    # GPU's approximate division. Neither has the other sign: ramps are monotone.
    height = high - low
    share = 1 / jnp.maximum(length, 1).astype(small.dtype)
    slope = lax.stop_gradient(0.995 * height * share)
    coarse = lax.reduce_precision(slope, jnp.finfo(small.dtype).nexp, 7)
    upper, lower = _halves(length, small.dtype)
    fine = ((height - coarse * upper) - coarse * lower + ((high - height) - low)) * share
    # No compiler can fuse this product with the sum: a selection stands between them.
    fine = jnp.where(ended, 0, fine * steps.astype(small.dtype))
    upper, lower = _halves(steps, small.dtype)
    rate = low + (coarse * upper + (coarse * lower + fine))
    return jnp.where(ended, large, _within(large, rate / scale))


def _halves(integers, dtype):
    """The upper and the lower 16 bits, as exact floats."""
    return (integers & ~0xFFFF).astype(dtype), (integers & 0xFFFF).astype(dtype)


# A rate, its rounding kept from overshooting. The derivative is the ramp's, also at the limit.
_within = jax.custom_jvp(lambda end, rate: lax.clamp(-jnp.abs(end), rate, jnp.abs(end)))
_within.defjvps(None, lambda tangent, *_: tangent)


@jax.custom_jvp
def _select(leaf, index):
    # A sum of integers, which a CPU adds up for several counts at once: not so gathers, nor floats.
    bits = jnp.where(jnp.arange(leaf.size) == index, leaf.view(f"i{leaf.dtype.itemsize}"), 0)
    return jnp.sum(bits, dtype=bits.dtype).view(leaf.dtype)


_select.defjvps(lambda tangent, _, leaf, index: _pick(tangent, index), None)


def _pick(leaf, index):
    # Beyond the last entry, that one.
    return leaf.at[index.astype(jnp.uint32)].get(mode="clip")
