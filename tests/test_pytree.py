"""A schedule passes through everything that takes a pytree, unchanged and callable."""

import copy
import pickle

import chex
import equinox as eqx
import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from flax import nnx
from jax import export
from oracle import assert_rates, schedule_arguments, stage_at

from optax_stepping import SteppingSchedule, manual_stepping

SCHEDULE = manual_stepping([10, 25, 60], [0.1, 0.05, 0.01, 0.005], warmup_steps=4)
COUNTS = np.arange(-2, 64)


def assert_survived(schedule):
    assert type(schedule) is SteppingSchedule
    chex.assert_trees_all_equal(schedule, SCHEDULE)
    chex.assert_trees_all_equal_dtypes(schedule, SCHEDULE)
    rate = schedule(12)
    assert jnp.asarray(rate).weak_type
    assert (rate * jnp.ones((), jnp.bfloat16)).dtype == jnp.bfloat16
    assert_rates(schedule, COUNTS, schedule(COUNTS))


def stacked(schedule):
    return jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), schedule)


def exported(schedule):
    function = jax.jit(lambda s, count: (s, s(count)))
    program = export.export(function)(schedule, jnp.int32(0)).serialize()
    schedule, rate = export.deserialize(program).call(schedule, jnp.int32(12))
    assert rate == SCHEDULE(12)
    return schedule


class Module(eqx.Module):
    schedule: SteppingSchedule
    width: int


class NnxModule(nnx.Module):
    def __init__(self, schedule):
        self.schedule = getattr(nnx, "data", lambda tree: tree)(schedule)  # before flax 0.12


PASSAGES = {
    "jit": jax.jit(lambda schedule: schedule),
    "vmap": lambda s: jax.tree.map(lambda leaf: leaf[1], jax.vmap(lambda s: s * 1)(stacked(s))),
    "scan": lambda s: jax.lax.scan(lambda s, count: (s, s(count)), s, jnp.arange(3))[0],
    "while_loop": lambda s: jax.lax.while_loop(lambda s: s(3) < 0, lambda s: s, s),
    "cond": lambda s: jax.lax.cond(True, lambda s: s, lambda s: s, s), "export": exported,
    "tree.map": lambda s: jax.tree.map(lambda leaf: leaf, s),
    "NumPy leaves": lambda s: jax.tree.map(np.asarray, s), "pickle": lambda s: pickle.loads(pickle.dumps(s)),
    "deepcopy": copy.deepcopy, "copy": copy.copy,
    "Equinox": lambda s: eqx.filter_jit(lambda module: module)(Module(s, 3)).schedule,
    "nnx": lambda s: nnx.merge(*nnx.split(NnxModule(s))).schedule,
}  # fmt: skip


@pytest.mark.parametrize("through", PASSAGES)
def test_it_comes_through_unchanged(through):
    assert_survived(PASSAGES[through](SCHEDULE))


ENDS = [(0.1, 0.3), (0.3, 0.1), (0.2, 0.2), (-0.1, 0.2), (0.0, 0.0), (1e-7, 1)]


@pytest.mark.parametrize(
    "schedule", [SCHEDULE, *(manual_stepping([8], ends, True) for ends in ENDS)]
)
def test_grad_with_respect_to_rates_is_the_share(schedule):
    def rate(rates, count):
        return schedule.replace(rates=rates)(count)

    boundaries, rates, ramps = schedule_arguments(schedule)
    for count in (0, 1, 3, 4, 7, 8, 9, 10, 59, 60, 100):
        stage, start, _ = stage_at(boundaries, count)
        share = (count - start) / (boundaries[stage] - start) if [*ramps, False][stage] else 0
        expected = np.zeros(len(rates))
        expected[stage : stage + 2] = [1 - share, share][: len(rates) - stage]
        for actual in (
            jax.grad(rate)(schedule.rates, count),
            jax.jacfwd(rate)(schedule.rates, count),
            jax.grad(lambda r, c: rate(r, c)[7])(schedule.rates, jnp.full(1000, count)),
            jax.jacfwd(rate)(schedule.rates, jnp.full(1000, count))[-1],
        ):
            np.testing.assert_allclose(actual, expected, rtol=1e-6)
    gradient = jax.grad(lambda base: manual_stepping([10], [base, base / 10])(15))(0.5)
    np.testing.assert_allclose(gradient, 0.1, rtol=1e-6)


@pytest.mark.not_under("JAX_ENABLE_X64", reason="shows float32")
def test_built_inside_of_transformations():
    def build(boundaries, rates, steps, value):
        return manual_stepping(boundaries, rates, warmup_steps=steps, warmup_init_value=value)

    arguments = (jnp.array([10, 25, 60]), jnp.array([0.1, 0.05, 0.01, 0.005]), 4, 0.0)
    with jax.check_tracer_leaks():
        assert_survived(jax.jit(build)(*arguments))
    in_map = jax.lax.map(lambda steps: build(*arguments[:2], steps, 0.0), jnp.array([4]))
    assert_survived(jax.tree.map(lambda leaf: leaf[0], in_map))
    swept = jax.vmap(lambda steps: build(*arguments[:2], steps, 0.0)(2))(jnp.array([4, 8]))
    np.testing.assert_array_equal(swept, np.float32([0.05, 0.025]))


MADE = {
    "lists": lambda: manual_stepping([3], [1, 2]),
    "no boundaries": lambda: manual_stepping([], [1.0]),
    "arrays": lambda: manual_stepping(np.array([3, 9]), np.ones(3), warmup_steps=2),
    "inside jit": lambda: jax.jit(lambda: manual_stepping([3], [1, 2]))(),
    "of tracers": lambda: jax.jit(lambda b, r: manual_stepping(b, r, warmup_steps=b[0] - 2))(
        jnp.array([3]), 2.0 * jnp.ones(2)
    ),
}


@pytest.mark.not_under("JAX_ENABLE_X64", reason="shows float32")
@pytest.mark.parametrize("how", MADE)
def test_leaves_are_strongly_typed_arrays(how):
    leaves = jax.tree.leaves(MADE[how]())
    assert all(isinstance(leaf, jax.Array) and not leaf.weak_type for leaf in leaves)
    assert [leaf.dtype for leaf in leaves] == [jnp.int32, jnp.float32, jnp.bool_]


def test_tree_paths():
    paths = jax.tree_util.tree_leaves_with_path(SCHEDULE)
    assert [jax.tree_util.keystr(path) for path, _ in paths] == [".boundaries", ".rates", ".ramps"]
    shapes = jax.tree.map(jnp.shape, SCHEDULE)
    assert (shapes.boundaries, shapes.rates, shapes.ramps) == ((4,), (5,), (4,))
    assert shapes.replace(rates=SCHEDULE.rates).boundaries == (4,)


def test_eval_shape():
    shapes = jax.eval_shape(lambda s: (s, s(3), s(jnp.zeros((2, 3), int))), SCHEDULE)
    assert type(shapes[0]) is SteppingSchedule
    assert shapes[0].rates.shape == (5,)
    assert (shapes[1].shape, shapes[1].dtype) == ((), SCHEDULE.rates.dtype)
    assert (shapes[2].shape, shapes[2].dtype) == ((2, 3), SCHEDULE.rates.dtype)
    repr(shapes[0])


def test_orbax(tmp_path):
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "schedule", SCHEDULE)
        checkpointer.wait_until_finished()
        assert_survived(checkpointer.restore(tmp_path / "schedule", SCHEDULE))


def test_it_is_called_in_modules():
    class Net(flax.linen.Module):
        schedule: SteppingSchedule

        def __call__(self, count):
            return self.schedule(count)

    assert eqx.filter_jit(lambda m, c: m.schedule(c))(Module(SCHEDULE, 3), 12) == SCHEDULE(12)
    assert nnx.jit(lambda m, c: m.schedule(c))(NnxModule(SCHEDULE), 12) == SCHEDULE(12)
    assert Net(SCHEDULE).apply({}, 12) == SCHEDULE(12)


@pytest.mark.not_under("JAX_ENABLE_X64", reason="shows float32")
def test_repr():
    assert repr(manual_stepping([3], [0.1, 1e-5], True)) == (
        "SteppingSchedule(boundaries=[3], rates=[0.1, 1e-05], ramps=[True])"
    )
    sixteen, seventeen = (repr(manual_stepping(range(1, n + 1), [0.5] * (n + 1))) for n in (16, 17))
    assert f"boundaries={list(range(1, 17))}, rates=[0.5, 0.5, 0.5, ..., 0.5, 0.5, 0.5]" in sixteen
    assert "boundaries=[1, 2, 3, ..., 15, 16, 17], " in seventeen
    seen = []
    jax.jit(lambda s: seen.append(repr(s)))(SCHEDULE)
    assert seen == ["SteppingSchedule(boundaries=int32[4], rates=float32[5], ramps=bool[4])"]
    assert "rates=float32[2, 5]" in repr(stacked(SCHEDULE))


def test_equality_and_hash_are_those_of_a_function():
    twin = copy.deepcopy(SCHEDULE)
    assert twin != SCHEDULE
    assert SCHEDULE in {SCHEDULE: 1}
    assert twin not in {SCHEDULE}


def test_half_precision_leaves_still_work():
    cast = SCHEDULE.replace(rates=SCHEDULE.rates.astype(jnp.bfloat16))
    assert cast(12).dtype == SCHEDULE.rates.dtype
    assert cast(12) == jnp.float32(jnp.bfloat16(0.05))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.float32])
def test_the_rate_changes_no_dtype(dtype):
    for count in (3, jnp.int32(3), jnp.arange(3), np.arange(3), 2.5, jnp.arange(3.0)):
        assert (SCHEDULE(count) * jnp.ones((), dtype)).dtype == dtype
        assert jax.jit(SCHEDULE.__call__)(count).weak_type
    assert (jax.vmap(SCHEDULE)(jnp.arange(3)) * jnp.ones(3, dtype)).dtype == dtype
