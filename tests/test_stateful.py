"""The schedule in the optimizer state: same rates, editable, visible, checkpointed."""

import pickle

import chex
import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from optax.schedules import StatefulSchedule

from optax_stepping import (
    SteppingState,
    manual_stepping,
    pad,
    stack,
    stateful,
)

SCHEDULE = manual_stepping([5, 9, 14], [2**-5, 0.05, 0.01, 0.005], warmup_steps=4)
DECAY = manual_stepping([3, 8], [0.1, 0.01, 0.0])


def init_params(dtype=jnp.float32):
    return {"w": jnp.arange(6, dtype=dtype).reshape(2, 3) / 6, "b": jnp.zeros(3, dtype)}


def loss_fn(params):
    return jnp.sum((jnp.ones((4, 2), params["w"].dtype) @ params["w"] + params["b"] - 1) ** 2)


def make_step(optimizer, traces=None):
    def step(params, opt_state):
        updates, opt_state = optimizer.update(jax.grad(loss_fn)(params), opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    return jax.jit(step if traces is None else chex.assert_max_traces(step, n=traces))


def make_adamw(learning_rate, weight_decay=1e-4):
    return optax.inject_hyperparams(optax.adamw)(
        learning_rate=learning_rate, weight_decay=weight_decay, b2=0.9
    )


def train(optimizer, steps, params, opt_state=None):
    step = make_step(optimizer)
    opt_state = optimizer.init(params) if opt_state is None else opt_state
    rates = []
    for _ in range(steps):
        params, opt_state = step(params, opt_state)
        rates.append(opt_state.hyperparams)
    return params, opt_state, rates


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_the_rates_of_the_stateless_one(dtype):
    params = init_params(dtype)
    ours, _, our_rates = train(make_adamw(stateful(SCHEDULE), stateful(DECAY)), 20, params)
    plain, _, plain_rates = train(make_adamw(SCHEDULE, DECAY), 20, params)
    chex.assert_trees_all_equal_shapes_and_dtypes((ours, our_rates), (plain, plain_rates))
    chex.assert_trees_all_equal(our_rates, plain_rates)
    # The schedule is an argument here and a constant there, so XLA may fuse differently.
    if dtype == jnp.float32:
        chex.assert_trees_all_close(ours, plain, rtol=1e-6, atol=1e-7)
    else:
        as_float = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), (ours, plain))
        chex.assert_trees_all_close(*as_float, rtol=2**-7, atol=2**-8)


@pytest.mark.parametrize("name", ["learning_rate", "weight_decay", "b1", "b2"])
def test_any_hyperparameter(name):
    schedule = manual_stepping([2, 4], [0.5, 0.25, 0.125])
    optimizer = optax.inject_hyperparams(optax.adamw)(
        **{"learning_rate": 0.1, name: stateful(schedule)}
    )
    _, _, rates = train(optimizer, 6, init_params())
    assert [float(rate[name]) for rate in rates] == [0.5, 0.5, 0.25, 0.25, 0.125, 0.125]


def test_it_is_an_optax_stateful_schedule():
    schedule = stateful(SCHEDULE)
    assert isinstance(schedule, StatefulSchedule)
    state = schedule.init()
    assert type(state) is SteppingState
    assert state.count.dtype == jnp.int32
    state = schedule.update(state, value=3.0)
    assert (int(state.count), schedule(state, value=3.0)) == (1, SCHEDULE(1))
    assert "boundaries=[4, 5, 9, 14]" in repr(schedule)
    last = state._replace(count=jnp.int32(2**31 - 1))
    assert schedule.update(last).count == 2**31 - 1


@pytest.mark.parametrize("wrong", [0.1, None, lambda count: 0.1, (1, 2, 3)])
def test_only_schedules(wrong):
    with pytest.raises(TypeError, match=r"must be a SteppingSchedule.*stateful\(manual_stepping"):
        stateful(wrong)


def test_an_edit_takes_effect_in_the_next_step_without_a_trace():
    chex.clear_trace_counter()
    optimizer = make_adamw(stateful(SCHEDULE))
    step = make_step(optimizer, traces=1)
    params = init_params()
    opt_state = optimizer.init(params)
    params, opt_state = step(params, opt_state)
    new = manual_stepping([3, 6, 9, 12], [0.5, 0.4, 0.3, 0.2, 0.1])
    opt_state = optax.tree.set(opt_state, schedule=new)
    for count in range(1, 14):
        params, opt_state = step(params, opt_state)
        assert opt_state.hyperparams["learning_rate"] == new(count)


def test_one_hyperparameter_among_several():
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0), make_adamw(stateful(SCHEDULE), stateful(DECAY))
    )
    opt_state = optimizer.init(init_params())
    new = manual_stepping([3, 8], [0.2, 0.02, 0.002])
    opt_state = optax.tree.set(
        opt_state, lambda path, _: "weight_decay" in jax.tree_util.keystr(path), schedule=new
    )
    states = opt_state[1].hyperparams_states
    chex.assert_trees_all_equal(states["weight_decay"].schedule, new)
    chex.assert_trees_all_equal(states["learning_rate"].schedule, SCHEDULE)


def test_edits_of_the_handbook():
    state = SteppingState(jnp.int32(10), manual_stepping([8, 20, 30], [0.4, 0.2, 0.1, 0.05]))
    schedule, count = state.schedule, state.count
    dropped = schedule._replace(rates=schedule.rates / 10)
    np.testing.assert_allclose(dropped(count), 0.02, rtol=1e-6)
    later = schedule._replace(
        boundaries=schedule.boundaries + 10_000 * (schedule.boundaries > count)
    )
    assert np.asarray(later.boundaries).tolist() == [8, 10_020, 10_030]
    roomy = pad(schedule, 8)
    held_in_room = roomy._replace(boundaries=roomy.boundaries + 10_000 * (roomy.boundaries > count))
    assert held_in_room(10_019) == schedule(10)
    cooled = manual_stepping(
        [*schedule.boundaries, 40, 50],
        [*schedule.rates, schedule.rates[-1], 0.0],
        interpolate=[*schedule.ramps, False, True],
    )
    np.testing.assert_allclose(cooled(np.array([10, 39, 45, 50])), [0.2, 0.05, 0.025, 0], rtol=1e-6)
    assert pad(cooled, 8).rates.shape == roomy.rates.shape


def test_the_current_rate_is_visible():
    optimizer = optax.chain(optax.clip(1.0), make_adamw(stateful(SCHEDULE)))
    params = init_params()
    opt_state = optimizer.init(params)
    assert optax.tree.get(opt_state, "SteppingState").rate == SCHEDULE(0)
    inside = jax.jit(lambda s: optax.tree.get(s, "SteppingState").rate)
    for count in range(1, 8):
        _, opt_state = make_step(optimizer)(params, opt_state)
        assert opt_state[1].hyperparams["learning_rate"] == SCHEDULE(count - 1)
        assert optax.tree.get(opt_state, "SteppingState").rate == SCHEDULE(count)
        assert inside(opt_state) == SCHEDULE(count)


def test_a_donated_state_leaves_the_schedule_alive():
    optimizer = make_adamw(stateful(SCHEDULE), stateful(SCHEDULE))
    step = jax.jit(lambda s: optimizer.update(init_params(), s, init_params())[1], donate_argnums=0)
    for _ in range(2):
        step(step(optimizer.init(init_params())))
    assert SCHEDULE(12) == np.float32(0.01)


def through_pickle(opt_state, like, path):
    del like, path
    return pickle.loads(pickle.dumps(jax.device_get(opt_state)))


def through_flax(opt_state, like, path):
    del path
    return flax.serialization.from_bytes(like, flax.serialization.to_bytes(opt_state))


def through_orbax(opt_state, like, path):
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path / "state", opt_state)
        checkpointer.wait_until_finished()
        return checkpointer.restore(path / "state", like)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("through", [through_pickle, through_flax, through_orbax])
def test_a_restored_run_continues_to_the_bit(through, dtype, tmp_path):
    optimizer = make_adamw(stateful(SCHEDULE), stateful(DECAY))
    edited = manual_stepping([6, 9, 11, 14], [0.05, 0.2, 0.1, 0.03, 0.02], warmup_steps=0)
    params, opt_state, _ = train(optimizer, 7, init_params(dtype))
    opt_state = optax.tree.set(
        opt_state, lambda path, _: "learning_rate" in jax.tree_util.keystr(path), schedule=edited
    )
    like = (init_params(dtype), optimizer.init(init_params(dtype)))
    saved = (params, opt_state)
    restored = through(saved, like, tmp_path)
    chex.assert_trees_all_equal_dtypes(saved, restored)
    undisturbed = train(optimizer, 9, *saved)
    resumed = train(optimizer, 9, *restored)
    chex.assert_trees_all_equal(undisturbed, resumed)
    chex.assert_trees_all_equal_dtypes(undisturbed, resumed)


def test_a_vmapped_state_is_edited_per_member():
    members = [manual_stepping([4], [0.1 * (i + 1), 0.01]) for i in range(3)]

    def init(schedule):
        return make_adamw(stateful(schedule)).init(init_params())

    @jax.jit
    @jax.vmap
    def step(opt_state):
        optimizer = make_adamw(stateful(members[0]))
        return optimizer.update(init_params(), opt_state, init_params())[1]

    opt_state = step(jax.vmap(init)(stack(members)))
    batch = optax.tree.get(opt_state, "SteppingState").schedule
    batch = batch._replace(rates=batch.rates.at[1].set(jnp.array([0.7, 0.6])))
    opt_state = optax.tree.set(opt_state, schedule=batch)
    rates = []
    for _ in range(5):
        opt_state = step(opt_state)
        rates.append(opt_state.hyperparams["learning_rate"])
    expected = np.float32([[0.1, 0.7, 0.3]] * 3 + [[0.01, 0.6, 0.01]] * 2)
    np.testing.assert_array_max_ulp(np.stack(rates), expected, maxulp=1)
