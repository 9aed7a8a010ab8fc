"""Values that exist only at run time are checked where the user asks, at no cost elsewhere."""

import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import checkify

from optax_stepping import check, get_state, manual_stepping, pad, scale_by_stepping, stack

GOOD = pad(manual_stepping([10, 20], [0.1, 0.01, 0.001], warmup_steps=5), 6)
BAD = {
    "descending": (
        GOOD.replace(boundaries=[0, 0, 10, 5, 20]),
        r"boundaries must be strictly .* got boundaries\[3\] = 5 after 10; write each step once",
    ),
    "twice": (GOOD.replace(boundaries=[0, 0, 5, 5, 20]), r"boundaries\[3\] = 5 after 5"),
    "zero later": (GOOD.replace(boundaries=[0, 5, 0, 10, 20]), r"boundaries\[2\] = 0 after 5"),
    "negative": (GOOD.replace(boundaries=[-1, 0, 5, 10, 20]), r"boundaries\[0\] = -1 after 0"),
    "NaN": (
        GOOD.replace(rates=[1, 1, 1, 1, np.nan, 1]),
        r"rates must be finite, got rates\[4\] = nan; write a number",
    ),
    "infinite": (GOOD.replace(rates=[-np.inf, 1, 1, 1, 1, 1]), r"rates\[0\] = -inf"),
}


def rate(schedule, count):
    check(schedule)
    return schedule(count)


@pytest.mark.not_under("JAX_DEBUG_NANS", reason="makes NaN")
@pytest.mark.parametrize("case", BAD)
def test_what_is_found(case):
    schedule, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        check(schedule)
    error, _ = checkify.checkify(jax.jit(rate))(schedule, 7)
    assert re.search(message, error.get())
    with pytest.raises(checkify.JaxRuntimeError, match=message):
        chex.chexify(jax.jit(rate), async_check=False)(schedule, 7)
    chex.block_until_chexify_assertions_complete()  # chex would warn at the end


def test_what_is_fine():
    for schedule in (GOOD, manual_stepping([], [0.1]), stack([GOOD, GOOD])):
        check(schedule)
    for transformed in (
        jax.jit(rate),
        jax.vmap(rate, (None, 0)),
        jax.checkpoint(rate),
        lambda s, counts: jax.lax.scan(lambda c, k: (c, rate(s, k)), 0, counts)[1],
        lambda s, counts: jax.lax.cond(counts[0] < 3, rate, rate, s, counts),
    ):
        expected = np.asarray(GOOD(jnp.arange(30)))
        np.testing.assert_array_equal(transformed(GOOD, jnp.arange(30)), expected)
        error, rates = jax.jit(checkify.checkify(transformed))(GOOD, jnp.arange(30))
        error.throw()
        np.testing.assert_array_equal(rates, expected)
    assert jax.grad(lambda r: rate(GOOD.replace(rates=r), 12))(GOOD.rates)[-2] == 1


def test_members_of_a_batch():
    batch = stack([GOOD, BAD["descending"][0], GOOD])
    with pytest.raises(ValueError, match=r"boundaries\[1, 3\] = 5 after 10"):
        check(batch)
    error, _ = checkify.checkify(jax.jit(jax.vmap(rate, (0, None))))(batch, 7)
    assert "= 5 after 10" in error.get()


@pytest.mark.not_under("JAX_DEBUG_NANS", reason="makes NaN")
def test_in_a_train_step():
    """A restored or edited state; what the step does with a good one is left alone."""
    optimizer = scale_by_stepping(GOOD)

    def step(opt_state):
        check(get_state(opt_state))
        return optimizer.update(jnp.ones(2), opt_state)

    good = optimizer.init(None)
    error, (updates, _) = checkify.checkify(jax.jit(step))(good)
    error.throw()
    chex.assert_trees_all_equal(updates, optimizer.update(jnp.ones(2), good)[0])
    bad = good._replace(rates=good.rates.at[1].set(jnp.nan))
    assert "rates[1] = nan" in checkify.checkify(jax.jit(step))(bad)[0].get()
    assert np.isfinite(jax.jit(step)(bad)[0]).all()


def test_it_costs_nothing_when_off():
    """The same compiled program as without it, but for the names in it."""
    programs = []
    for function in (rate, lambda schedule, count: schedule(count)):
        text = jax.jit(function).lower(GOOD, 7).compile().as_text()
        instructions = re.findall(r"^ .*?= \S+ (\w+)\(", text, re.MULTILINE)
        assert len(instructions) > 5
        programs.append(sorted(instructions))
    assert programs[0] == programs[1]
