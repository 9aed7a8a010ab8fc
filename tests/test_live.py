"""The schedule in the optimizer state: same rates, editable, visible, checkpointed."""

import functools
import gc
import inspect
import itertools
import pickle

import chex
import flax.serialization
import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
import pytest
from flax import nnx
from jax import export
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from optax import contrib
from optax.schedules import StatefulSchedule
from oracle import enable_x64

from optax_stepping import (
    SteppingState,
    describe,
    get_state,
    join,
    manual_stepping,
    pad,
    scale_by_stepping,
    set_schedule,
    shift,
    stack,
    stateful,
)

trains_with_adam = pytest.mark.not_under(
    "JAX_NUMPY_DTYPE_PROMOTION", reason="Adam raises a float to an int"
)
SCHEDULE = manual_stepping([5, 9, 14], [2**-5, 0.05, 0.01, 0.005], warmup_steps=4)
DECAY = manual_stepping([3, 8], [0.1, 0.01, 0.0])


def init_params(dtype=jnp.float32):
    return {"w": jnp.arange(6, dtype=dtype).reshape(2, 3) / 6, "b": jnp.zeros(3, dtype)}


def loss_fn(params):
    return jnp.sum((jnp.ones((4, 2), params["w"].dtype) @ params["w"] + params["b"][None] - 1) ** 2)


def placed(tree, count):
    """A copy on each of so many devices."""
    mesh = Mesh(np.array(jax.devices("cpu")[:count]), "data")
    return jax.device_put(tree, NamedSharding(mesh, PartitionSpec()))


@functools.cache
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
        rates.append(getattr(opt_state, "hyperparams", None))
    return params, opt_state, rates


@trains_with_adam
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_the_rates_of_the_stateless_one(dtype):
    params = init_params(dtype)
    ours, _, our_rates = train(make_adamw(stateful(SCHEDULE), stateful(DECAY)), 20, params)
    plain, _, plain_rates = train(make_adamw(SCHEDULE, DECAY), 20, params)
    chex.assert_trees_all_equal_shapes_and_dtypes((ours, our_rates), (plain, plain_rates))
    chex.assert_trees_all_equal(our_rates, plain_rates)
    # The schedule is an argument here and a constant there, so XLA may fuse differently.
    as_float = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), (ours, plain))
    near = {"rtol": 1e-6, "atol": 1e-7} if dtype == jnp.float32 else {"rtol": 2**-7, "atol": 2**-8}
    chex.assert_trees_all_close(*as_float, **near)


@trains_with_adam
def test_any_hyperparameter():
    first = {"learning_rate": 0.5, "weight_decay": 0.75, "b1": 0.625, "b2": 0.875}
    plans = {name: manual_stepping([2], [rate, rate / 2]) for name, rate in first.items()}
    optimizer = optax.inject_hyperparams(optax.adamw)(
        **jax.tree.map(stateful, plans, is_leaf=callable)
    )
    _, _, rates = train(optimizer, 4, init_params())
    for name, rate in first.items():
        assert [found[name] for found in rates] == [rate, rate, rate / 2, rate / 2]


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


PLAN = manual_stepping([20, 40], [0.4, 0.2, 0.1], warmup_steps=10)
EDITS = {
    # What is made of the state, and the rate that is wanted at a later count k if it is done at count c.
    "drop": (lambda live: PLAN / 8, lambda c, k: PLAN(k) / 8),
    "hold": (
        lambda live: join([manual_stepping([], [live.rate]), shift(PLAN, live.count)], [live.count + 30]),
        lambda c, k: PLAN(c) if k < c + 30 else PLAN(k - 30),
    ),
    "cool down": (
        lambda live: shift(manual_stepping([10], [live.rate, 0.0], interpolate=True), -live.count),
        lambda c, k: PLAN(c) * max(0, 1 - (k - c) / 10),
    ),
    "go back": (lambda live: PLAN, lambda c, k: PLAN(k)),
}  # fmt: skip
LIVE = {
    "scale_by_stepping": scale_by_stepping,
    "inject_hyperparams": lambda plan: optax.inject_hyperparams(optax.sgd)(stateful(plan)),
}


@pytest.mark.parametrize("form", LIVE)
def test_the_four_edits_of_a_bad_night(form):
    """One program for all of them."""
    optimizer = LIVE[form](pad(PLAN, 8))
    chex.clear_trace_counter()
    step = jax.jit(chex.assert_max_traces(lambda state: optimizer.update(jnp.ones(2), state)[1], 1))
    for (edit, wanted), count in itertools.product(EDITS.values(), (0, 3, 10, 25, 100)):
        opt_state = optimizer.init(jnp.zeros(2))
        for _ in range(count):
            opt_state = step(opt_state)
        opt_state = set_schedule(opt_state, edit(get_state(opt_state)))
        for k in range(count, count + 60):
            assert int(get_state(opt_state).count) == k
            np.testing.assert_allclose(get_state(opt_state).rate, wanted(count, k), rtol=4e-7)
            opt_state = step(opt_state)


def through_pickle(opt_state, _like, _path):
    return pickle.loads(pickle.dumps(jax.device_get(opt_state)))


def through_flax(opt_state, like, _path):
    return flax.serialization.from_bytes(like, flax.serialization.to_bytes(opt_state))


def through_orbax(opt_state, like, path):
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path / "state", opt_state)
        checkpointer.wait_until_finished()
        return checkpointer.restore(path / "state", like)


FORMS = {
    "injected": lambda schedule: make_adamw(stateful(schedule), stateful(DECAY)),
    "chained": lambda plan: optax.chain(optax.scale_by_adam(b2=0.9), scale_by_stepping(plan)),
}
NAMES = {"injected": "learning_rate", "chained": None}


@trains_with_adam
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_a_restored_run_continues_to_the_bit(dtype, form, tmp_path):
    optimizer = FORMS[form](SCHEDULE)
    edited = manual_stepping([6, 9, 11, 14], [0.05, 0.2, 0.1, 0.03, 0.02])
    params, opt_state, _ = train(optimizer, 7, init_params(dtype))
    saved = params, set_schedule(opt_state, edited, NAMES[form])
    like = init_params(dtype), optimizer.init(init_params(dtype))
    undisturbed = train(optimizer, 9, *saved)
    for through in (through_pickle, through_flax, through_orbax):
        restored = through(saved, like, tmp_path)
        chex.assert_trees_all_equal_dtypes(saved, restored)
        resumed = train(optimizer, 9, *restored)
        chex.assert_trees_all_equal(undisturbed, resumed, strict=True)


@trains_with_adam
@pytest.mark.not_under("JAX_ENABLE_X64", reason="shows float32")
@pytest.mark.parametrize("form", FORMS)
def test_a_vmapped_state_is_edited_per_member(form):
    members = [manual_stepping([4], [0.1 * (i + 1), 0.01]) for i in range(3)]
    init = jax.vmap(lambda schedule: FORMS[form](schedule).init(init_params()))

    @jax.jit
    @jax.vmap
    def step(opt_state):
        return FORMS[form](members[0]).update(init_params(), opt_state, init_params())[1]

    opt_state = step(init(stack(members)))
    batch = get_state(opt_state, NAMES[form]).schedule
    batch = batch.replace(rates=batch.rates.at[1].set(jnp.array([0.7, 0.6])))
    opt_state = set_schedule(opt_state, batch, NAMES[form])
    rates = []
    for _ in range(5):
        rates.append(get_state(opt_state, NAMES[form]).rate)
        opt_state = step(opt_state)
    expected = np.float32([[0.1, 0.7, 0.3]] * 3 + [[0.01, 0.6, 0.01]] * 2)
    np.testing.assert_array_max_ulp(np.stack(rates), expected, maxulp=1)


SHORT = manual_stepping([2, 4], [2**-5, 0.05, 0.01], interpolate=[True, False])
WHOLE_AND_IN_PARTS = {
    "adamw": (
        optax.adamw(SHORT, weight_decay=1e-4),
        optax.chain(optax.scale_by_adam(), optax.add_decayed_weights(1e-4), scale_by_stepping(SHORT)),
    ),
    # Its parts are not public: a rate of 1, which has flipped the sign already.
    "muon": (contrib.muon(SHORT), optax.chain(contrib.muon(1.0), scale_by_stepping(SHORT, flip_sign=False))),
}  # fmt: skip


@pytest.mark.not_under("JAX_CHECK_TRACER_LEAKS", reason="takes hours, op by op")
@trains_with_adam
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("name", WHOLE_AND_IN_PARTS)
def test_scale_by_stepping_is_scale_by_learning_rate(name, dtype):
    """Bit for bit, op by op: what a compiler fuses differs with what stands beside it."""
    results = []
    # Muon's loop would be compiled anew in every step.
    with jax.disable_jit(name == "muon"):
        for optimizer in WHOLE_AND_IN_PARTS[name]:
            params = {"w": jnp.arange(1, 7, dtype=dtype).reshape(2, 3) / 6}
            state = optimizer.init(params)
            for i in range(5):
                grads = jax.tree.map(lambda p, i=i: p * (1 + i % 3) - 0.25, params)
                updates, state = optimizer.update(grads, state, params)
                params = optax.apply_updates(params, updates)
            results.append(params)
    chex.assert_trees_all_equal(*results, strict=True)
    chex.assert_tree_all_finite(results)


@pytest.mark.not_under("JAX_DEBUG_NANS", reason="Adam makes NaN")
@trains_with_adam
def test_bfloat16_needs_no_float32_hyperparameters():
    """Where inject_hyperparams rounds b2 = 0.999 to 1, as the documents say."""
    params = init_params(jnp.bfloat16)
    injected = optax.inject_hyperparams(optax.adam)(stateful(SCHEDULE))
    updates, _ = injected.update(params, injected.init(params), params)
    assert any(np.isnan(np.float32(leaf)).any() for leaf in jax.tree.leaves(updates))
    ours = optax.chain(optax.scale_by_adam(), scale_by_stepping(SCHEDULE))
    updates, _ = ours.update(params, ours.init(params), params)
    chex.assert_tree_all_finite(updates)


@trains_with_adam
def test_under_multi_transform_and_multi_steps():
    links = {"encoder": scale_by_stepping(SCHEDULE), "decoder": scale_by_stepping(DECAY)}
    groups = optax.multi_transform(links, {"w": "encoder", "b": "decoder"})
    optimizer = optax.MultiSteps(groups, every_k_schedule=2)
    params = init_params()
    opt_state = optimizer.init(params)
    opt_state = set_schedule(opt_state, DECAY / 2, "decoder")
    step = jax.jit(lambda s: optimizer.update(params, s, params)[1])
    for i in range(12):
        assert get_state(opt_state, "encoder").rate == SCHEDULE(i // 2)
        assert get_state(opt_state, ("inner_opt_state", "decoder")).rate == (DECAY / 2)(i // 2)
        opt_state = step(opt_state)


LEVELS = [manual_stepping([], [2.0**-i]) for i in range(7)]
LINKS = [scale_by_stepping(level) for level in LEVELS]
GROUPS = optax.multi_transform(
    {"learning_rate": LINKS[0], "decoder": make_adamw(*map(stateful, LEVELS[1:3]))},
    {"w": "learning_rate", "b": "decoder"},
)
NESTED = optax.chain(optax.chain(*LINKS[:2]), optax.chain(*LINKS[2:4]))
GROUP_NAMES = [("learning_rate", "inner_state"), ("decoder", "learning_rate"), "weight_decay"]
TREES = {
    "six": (optax.chain(*LINKS[:6]), list("012345")), "seven": (optax.chain(*LINKS), list("0123456")),
    "nested chains": (NESTED, [("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")]),
    "the whole path wins": (optax.chain(LINKS[0], optax.chain(*LINKS[1:3])), ["0", ("1", "0"), ("1", "1")]),
    "named": (optax.named_chain(("a", LINKS[0]), ("b", optax.chain(*LINKS[1:3]))), ["a", ("b", "0"), "1"]),
    "groups": (GROUPS, GROUP_NAMES), "wrapped": (optax.MultiSteps(optax.masked(GROUPS, True), 2), GROUP_NAMES),
}  # fmt: skip


@pytest.mark.parametrize("tree", TREES)
def test_the_words_of_a_path_in_their_order(tree):
    optimizer, names = TREES[tree]
    opt_state = optimizer.init(init_params())
    rates = [get_state(opt_state, name).rate for name in names]
    assert rates == [2.0**-i for i in range(len(names))]
    for i, name in enumerate(names):
        edited = set_schedule(opt_state, manual_stepping([], [0.375]), name)
        expected = [*rates[:i], 0.375, *rates[i + 1 :]]
        assert [get_state(edited, other).rate for other in names] == expected


@jax.tree_util.register_pytree_with_keys_class
class Pair(tuple):
    """A node whose keys are of a kind of their own."""

    def tree_flatten_with_keys(self):
        return tuple(zip(("first", "second"), self, strict=True)), None

    @classmethod
    def tree_unflatten(cls, _, leaves):
        return cls(leaves)


def test_states_below_keys_of_any_kind():
    assert get_state(Pair(link.init(None) for link in LINKS[:2]), "second").rate == 0.5


@pytest.mark.parametrize(
    ("tree", "name", "error", "message"),
    [
        ("nested chains", None, ValueError, r"got None, which fits 4: opt_state\[0\]\[0\], .*name=\('0', '0'\)"),
        ("nested chains", "1", ValueError, r"fits 3: opt_state\[0\]\[1\], opt_state\[1\]\[0\], opt_state\[1\]\[1\]; write"),
        ("groups", "learning_rate", ValueError, r"fits 2: opt_state.inner_states\['decoder'\].*in their order"),
        ("groups", ("learning_rate", "decoder"), ValueError, r"occur in a path, got .*; there are: opt_state\.inner"),
        ("six", None, ValueError, r"fits 6: opt_state\[0\], .*, opt_state\[5\]; write"),
        ("seven", None, ValueError, r"fits 7: opt_state\[0\], .*, opt_state\[5\], \.\.\.; write"),
        ("groups", "momentum", ValueError, r"occur in a path, got 'momentum'; there are: opt_state"),
    ],
)  # fmt: skip
def test_names_that_fit_no_state_or_several(tree, name, error, message):
    opt_state = TREES[tree][0].init(init_params())
    for act in (get_state, lambda opt_state, name: set_schedule(opt_state, DECAY, name)):
        with pytest.raises(error, match=message):
            act(opt_state, name)


@trains_with_adam
def test_the_state_of_a_closure_says_how_it_goes_live():
    params, old, _ = train(optax.adam(SCHEDULE), 3, init_params())
    for act in (get_state, lambda opt_state: set_schedule(opt_state, DECAY)):
        with pytest.raises(ValueError, match=r"a ScaleByScheduleState, opt_state\[1\].*count=opt_"):
            act(old)
    live = optax.chain(optax.scale_by_adam(), scale_by_stepping(SCHEDULE))
    new = (old[0], get_state(live.init(params))._replace(count=old[1].count))
    expected, *_ = train(optax.adam(SCHEDULE), 5, params, old)
    chex.assert_trees_all_equal(train(live, 5, params, new)[0], expected)


STATE = scale_by_stepping(DECAY).init(None)
LATER = DECAY.replace(boundaries=[3, 9])
BOTH, APART = (
    jax.vmap(lambda s: scale_by_stepping(s).init(None))(stack([DECAY, other])) for other in (DECAY / 2, LATER)
)  # fmt: skip


@pytest.mark.parametrize(
    ("opt_state", "schedule", "error", "message"),
    [
        (STATE, SCHEDULE, ValueError, r"the 3 stages of the state, got 5 stages; write .*grow=True.* num_stages=5"),
        (STATE, stack([DECAY, DECAY]), ValueError, r"batch shape \(\) of the state, got \(2,\); write stack"),
        (BOTH, stack([DECAY] * 3), ValueError, r"batch shape \(2,\) of the state, got \(3,\)"),
        (jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), BOTH), stack([stack([DECAY] * 2)]), ValueError, r"\(3, 2\) of the state, got \(1, 2\)"),
        (jax.tree.map(lambda leaf: jnp.stack([leaf] * 3), BOTH), DECAY, ValueError, r"batch shape \(3, 2\), as the members"),
        (APART, DECAY, ValueError, "as the members of the state differ"),
        (BOTH, DECAY, ValueError, r"a stack of batch shape \(2,\), as the members .* got one schedule; write stack"),
        (STATE, DECAY.replace(ramps=jnp.zeros(2, int)), TypeError, "have bools as ramps, got int"),
        (STATE._replace(rates=None), DECAY, TypeError, "schedule of the state must have an array as rates"),
        (STATE._replace(ramps=STATE.ramps[1:]), DECAY, ValueError, "schedule of the state must have rates of shape"),
        (jax.tree.map(lambda leaf: leaf.astype("f4"), STATE), DECAY, TypeError, "the state must have integers as boundaries, got float"),
        (STATE._replace(rates=STATE.rates.astype("bfloat16")), DECAY, TypeError, "32 bits or more, got rates of bfloat16; leave"),
        (STATE._replace(boundaries=STATE.boundaries.astype("i2")), DECAY, TypeError, "32 bits or more, got boundaries of int16"),
    ],
)  # fmt: skip
def test_what_does_not_fit(opt_state, schedule, error, message):
    with pytest.raises(error, match=message):
        set_schedule(opt_state, schedule)


def test_rates_take_the_width_of_the_state():
    half = DECAY.replace(rates=DECAY.rates.astype(jnp.float16))
    rates = set_schedule(STATE, half).rates
    chex.assert_trees_all_equal(rates, half.rates.astype(STATE.rates.dtype))
    with enable_x64(True):
        double, large = manual_stepping([3], [0.1, 0.2]), manual_stepping([3], [0.1, 1e300])
        single = jax.tree.map(lambda leaf: leaf.astype("f4") if leaf.dtype == "f8" else leaf, STATE)
        edited = set_schedule(single, double)
        np.testing.assert_array_equal(edited.rates, np.float32([0.1, 0.1, 0.2]))
        chex.assert_trees_all_equal_dtypes(edited, single)
        with pytest.raises(ValueError, match=r"fit into float32.* got rates\[2\] = 1e\+300 inf"):
            set_schedule(single, large)


def through_vmap(opt_state):
    return jax.tree.map(lambda leaf: jnp.stack([leaf] * 8), opt_state)


MEMBERS = {
    "vmap": through_vmap,
    "pmap": lambda opt_state: jax.pmap(lambda leaves: leaves)(through_vmap(opt_state)),
    "both": lambda opt_state: through_vmap(through_vmap(opt_state)),
}


@pytest.mark.parametrize("how", MEMBERS)
def test_one_schedule_for_members_that_agree(how):
    optimizer = optax.inject_hyperparams(optax.sgd)(stateful(pad(SCHEDULE, 8)))
    together = MEMBERS[how](optimizer.init(init_params()))
    old, new = get_state(together), get_state(set_schedule(together, DECAY))
    grown = get_state(set_schedule(together, pad(DECAY, 9), grow=True))
    assert [leaf.sharding for leaf in new] == [leaf.sharding for leaf in old]
    chex.assert_trees_all_equal(new.rate, jnp.full_like(old.rate, DECAY(0)))
    chex.assert_trees_all_equal(grown.rate, new.rate)
    assert grown.rates.shape == (*old.rates.shape[:-1], 9)
    assert describe(new) == describe(DECAY)


def test_members_that_differ_or_grow():
    inside = jax.jit(lambda state: set_schedule(state, SCHEDULE, grow=True))(BOTH)  # traced: taken
    np.testing.assert_array_equal(inside.rate, [SCHEDULE(0)] * 2)
    with pytest.raises(ValueError, match=r"a state of \(2,\) members that differ; take one member"):
        describe(BOTH)
    assert describe(jax.tree.map(lambda leaf: leaf[1], BOTH)) == describe(DECAY / 2)
    twice = through_vmap(BOTH)._replace(count=jnp.arange(16).reshape(8, 2))
    np.testing.assert_array_equal(twice.rate[2], [DECAY(4), DECAY(5) / 2])
    grown = set_schedule(BOTH, stack([LONG, DECAY]), grow=True)
    assert grown.rates.shape == (2, 7)
    rates = grown._replace(count=jnp.array([12, 3])).rate
    np.testing.assert_array_equal(rates, [LONG(12), DECAY(3)])


LONG = manual_stepping([3, 4, 6, 8, 12], [0.5, 0.4, 0.3, 0.2, 0.1, 0.05], warmup_steps=1)


@pytest.mark.parametrize("form", ["single", "sharded", "in jit"])
def test_a_state_grows(form):
    """One more compilation; the same count, devices and later programs."""
    inject = optax.inject_hyperparams(optax.sgd)
    optimizer = inject(learning_rate=stateful(SCHEDULE), momentum=stateful(DECAY))
    chex.clear_trace_counter()
    step = make_step(optimizer, traces=2)
    params, opt_state = init_params(), optimizer.init(init_params())
    if form == "sharded":
        params, opt_state = placed((params, opt_state), 8)
    params, opt_state = step(params, opt_state)
    grow = functools.partial(set_schedule, schedule=LONG, name="learning_rate", grow=True)
    opt_state = jax.jit(grow)(opt_state) if form == "in jit" else grow(opt_state)
    for count in range(1, 14):
        live = get_state(opt_state, "learning_rate")
        assert (live.count, live.rate) == (count, LONG(count))
        assert live.rates.sharding.is_equivalent_to(params["w"].sharding, 1)
        params, opt_state = step(params, opt_state)
    opt_state = set_schedule(opt_state, DECAY, "learning_rate", grow=True)  # stays padded
    assert get_state(opt_state, "learning_rate").rates.shape == (7,)
    step(params, opt_state)
    chex.assert_trees_all_equal(get_state(opt_state, "momentum").schedule, DECAY)


@pytest.mark.not_under("JAX_NUMPY_DTYPE_PROMOTION", reason="SAM multiplies bools and floats")
def test_sharpness_aware_minimization():
    """It averages all leaves of the states, which makes integers of bools; a checkpoint, uint8."""

    def trained(link):
        optimizer = contrib.sam(link, contrib.normalize(), sync_period=2)
        return train(optimizer, 30, init_params())

    ours, opt_state, _ = trained(scale_by_stepping(SCHEDULE))
    chex.assert_trees_all_equal(ours, trained(optax.scale_by_learning_rate(SCHEDULE))[0])
    live = get_state(opt_state)
    assert jnp.issubdtype(live.ramps.dtype, jnp.integer)
    for state in (live, live._replace(ramps=live.ramps.astype(jnp.uint8))):
        assert state.rate == SCHEDULE(15)
        assert describe(state._replace(count=0)) == describe(SCHEDULE)
        edited = set_schedule(state, SCHEDULE / 2)
        chex.assert_trees_all_equal_dtypes(edited, state)
        chex.assert_trees_all_equal(edited.schedule, SCHEDULE / 2)


@trains_with_adam
@pytest.mark.parametrize("form", ["injected", "twice", "chained"])
def test_an_edit_is_a_copy_and_keeps_the_program(form):
    """The step gives its arguments' memory away; the caller's schedules stay as they are."""
    plan = pad(SCHEDULE, 8)
    optimizer = make_adamw(stateful(plan), stateful(plan)) if form == "twice" else FORMS[form](plan)
    name = "learning_rate" if form == "twice" else NAMES[form]
    params = init_params()
    step = jax.jit(lambda s: optimizer.update(params, s, params)[1], donate_argnums=0)
    opt_state = step(set_schedule(optimizer.init(params), SCHEDULE, name))
    opt_state = step(set_schedule(opt_state, SCHEDULE, name))
    assert step._cache_size() == 1
    assert plan(12) == SCHEDULE(12) == np.float32(0.01)
    inside = jax.jit(lambda s: set_schedule(s, DECAY, name))(opt_state)
    chex.assert_trees_all_equal(inside, set_schedule(opt_state, DECAY, name))
    assert jax.jit(lambda s: get_state(s, name).rate)(opt_state) == SCHEDULE(2)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_checkpoint_of_another_number_of_stages(tmp_path):
    """Orbax names both numbers, and padding is the remedy; flax and pickle just take it. What was
    saved brings its schedule along; one line says otherwise."""
    saved = scale_by_stepping(SCHEDULE).init(None)
    blank = scale_by_stepping(DECAY).init(None)
    # Of whichever leaf it restores first.
    sizes = r"\(2,\).*\(4,\)|\(4,\).*\(2,\)|\(3,\).*\(5,\)|\(5,\).*\(3,\)"
    with pytest.raises(ValueError, match=f"(?s){sizes}"):
        through_orbax(saved, blank, tmp_path / "other")
    gc.collect()  # what Orbax leaves behind when it raises is warned of here
    roomy = scale_by_stepping(pad(DECAY, 8)).init(None)
    restored = through_orbax(scale_by_stepping(pad(SCHEDULE, 8)).init(None), roomy, tmp_path)
    assert get_state(restored).rate == SCHEDULE(0)
    assert get_state(through_flax(saved, blank, tmp_path)).rate == SCHEDULE(0)
    assert get_state(through_pickle(saved, blank, tmp_path)).rate == SCHEDULE(0)
    assert get_state(set_schedule(restored, DECAY)).rate == DECAY(0)


@trains_with_adam
@pytest.mark.parametrize("devices", [1, 4])
def test_restored_onto_another_number_of_devices(devices, tmp_path):
    optimizer = FORMS["chained"](pad(SCHEDULE, 8))
    opt_state = set_schedule(placed(optimizer.init(init_params()), 8), DECAY)
    like = placed(optimizer.init(init_params()), devices)
    restored = through_orbax(opt_state, like, tmp_path)
    state = get_state(restored)
    assert len(state.rates.devices()) == devices
    assert state.rate == DECAY(0)
    step = jax.jit(lambda s: optimizer.update(placed(init_params(), devices), s)[1])
    assert get_state(step(restored)).rate == DECAY(1)
    edited = get_state(set_schedule(restored, DECAY / 2))
    assert len(edited.rates.devices()) == devices


@trains_with_adam
def test_restored_into_another_dtype_policy(tmp_path):
    """The rest of the state may be restored as bfloat16: the schedule keeps its own dtypes."""
    optimizer = FORMS["chained"](SCHEDULE)
    opt_state = optimizer.init(init_params(jnp.float32))
    like = optimizer.init(init_params(jnp.bfloat16))
    restored = through_orbax(opt_state, like, tmp_path)
    chex.assert_trees_all_equal(get_state(restored), get_state(opt_state))
    chex.assert_trees_all_equal_dtypes(restored, like)
    step = make_step(optimizer)
    params, restored = step(init_params(jnp.bfloat16), restored)
    assert params["w"].dtype == jnp.bfloat16
    assert get_state(restored).rate == SCHEDULE(1)


def test_export_of_a_step():
    optimizer = scale_by_stepping(SCHEDULE)
    arguments = jnp.ones(2), optimizer.init(None)
    program = export.export(jax.jit(optimizer.update))(*arguments).serialize()
    updates, state = export.deserialize(program).call(*arguments)
    assert type(state) is SteppingState
    np.testing.assert_array_equal(updates, -SCHEDULE(0) * np.ones(2))


@pytest.mark.parametrize("form", LIVE)
def test_nnx_optimizer(form):
    model = nnx.Linear(2, 1, rngs=nnx.Rngs(0))
    trainer = nnx.Optimizer(model, LIVE[form](pad(SCHEDULE, 8)), wrt=nnx.Param)

    @nnx.jit
    def step(model, trainer):
        grads = nnx.grad(lambda m: jnp.mean(m(jnp.ones((3, 2))) ** 2))(model)
        # Before flax 0.11, an optimizer held its model.
        takes_model = "model" in inspect.signature(trainer.update).parameters
        trainer.update(*([model, grads] if takes_model else [grads]))

    step(model, trainer)
    assert get_state(trainer.opt_state).rate == SCHEDULE(1)
    trainer.opt_state = set_schedule(trainer.opt_state, DECAY)
    assert get_state(trainer.opt_state).rate == DECAY(1)
    step(model, trainer)
    assert get_state(trainer.opt_state).rate == DECAY(2)
    assert SCHEDULE(trainer.step) == SCHEDULE(2)


def test_every_leaf_stays_on_its_device():
    devices = jax.devices("cpu")
    state = scale_by_stepping(SCHEDULE).init(None)
    spread = SteppingState(*map(jax.device_put, state, devices))
    edited = set_schedule(spread, SCHEDULE / 2)
    assert [leaf.devices() for leaf in edited] == [{device} for device in devices[:4]]
