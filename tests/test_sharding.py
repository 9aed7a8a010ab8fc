"""Sweeps over many devices; schedules and counts on meshes with explicit axes."""

import contextlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from oracle import random_schedule, shard_map

from optax_stepping import manual_stepping, stack, stateful, unstack

COLLECTIVES = re.compile(r"all-reduce|all-gather|all-to-all|collective|reduce-scatter")
INPUTS = np.linspace(-1, 1, 48).reshape(16, 3).astype(np.float32)

has_explicit_axes = pytest.mark.skipif(
    not hasattr(jax.sharding, "auto_axes"), reason="explicit axes are taken from JAX 0.7 on"
)


@pytest.fixture(name="batch")
def batch_fixture():
    with jax.default_device(jax.devices("cpu")[0]):
        return stack([
            manual_stepping([10 + i, 40], [0.5 / i, 0.125, 0.0625], warmup_steps=8, interpolate=i > 9) for i in range(1, 15)
        ] + [manual_stepping([], [0.2]), manual_stepping([30], [0.1, 0.01])])  # fmt: skip


def train(schedule):
    optimizer = optax.inject_hyperparams(optax.sgd)(stateful(schedule), momentum=0.9)

    def step(carry, _):
        params, state = carry
        grads = jax.grad(lambda p: jnp.mean((INPUTS @ p - 1) ** 2))(params)
        updates, state = optimizer.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), state.hyperparams["learning_rate"]

    params = jnp.zeros(3)
    (params, state), rates = jax.lax.scan(step, (params, optimizer.init(params)), length=60)
    return params, state, rates


def assert_spread(tree):
    """Each of the 8 devices holds an eighth of every leaf."""
    for leaf in jax.tree.leaves(tree):
        assert len(leaf.sharding.device_set) == 8
        for shard in leaf.addressable_shards:
            assert shard.data.shape == (leaf.shape[0] // 8, *leaf.shape[1:])


@pytest.mark.parametrize(
    "how",
    ["one device", "jit", "shard_map", pytest.param("explicit axes", marks=has_explicit_axes)],
)
def test_a_sweep_is_the_separate_runs(batch, how):
    """As every member trained alone, on one device; sharded, without a word between devices."""
    members, sweep, context = unstack(batch), jax.vmap(train), contextlib.nullcontext()
    mesh = Mesh(np.array(jax.devices("cpu")[:8]), "i")
    if how == "explicit axes":
        mesh = Mesh(mesh.devices, "i", axis_types=(jax.sharding.AxisType.Explicit,))
        context = jax.set_mesh(mesh)
    if how == "shard_map":
        sweep = shard_map(sweep, mesh=mesh, in_specs=P("i"), out_specs=P("i"), check_vma=False)
    sharding = None if how == "one device" else NamedSharding(mesh, P("i"))
    batch = jax.device_put(batch, sharding)
    with context:
        compiled = jax.jit(sweep, out_shardings=sharding).lower(batch).compile()
        results = compiled(batch)
    if sharding:
        assert_spread((batch, results))
        assert not COLLECTIVES.search(compiled.as_text())
    params, _, rates = jax.device_get(results)
    for i, member in enumerate(members):
        alone, _, its_rates = jax.jit(train)(member)
        np.testing.assert_array_equal(rates[i], its_rates)
        np.testing.assert_allclose(params[i], alone, rtol=1e-5, atol=1e-5)


@has_explicit_axes
@pytest.mark.parametrize(("num_boundaries", "as_context"), [(5, True), (300, False)])
def test_explicit_axes(num_boundaries, as_context):
    """Schedules, counts or both on a mesh: the rates of one device, sharded as the counts are."""
    devices = jax.devices("cpu")[:8]
    mesh = Mesh(devices, "i", axis_types=(jax.sharding.AxisType.Explicit,))
    everywhere, spread = NamedSharding(mesh, P()), NamedSharding(mesh, P("i"))
    schedule = random_schedule(np.random.default_rng(0), num_boundaries)
    sweep = stack([schedule * factor for factor in np.linspace(1, 2, 16)])
    counts = np.linspace(-2, 600 * num_boundaries, 1024).astype(np.int32)
    one = jax.device_put(np.int32(7), everywhere)
    with jax.default_device(devices[0]):
        expected = np.asarray(schedule(counts))
        rate, rates = np.asarray(schedule(7)), np.asarray(jax.vmap(lambda s: s(7))(sweep))
    here, sweep = jax.device_put(schedule, everywhere), jax.device_put(sweep, spread)
    there = jax.device_put(counts, spread)
    call = type(schedule).__call__
    with jax.set_mesh(mesh) if as_context else contextlib.nullcontext():
        for f in (here, schedule, jax.jit(here), jax.vmap(here), jax.jit(jax.vmap(here))):
            actual = f(there)
            assert actual.sharding.spec == P("i")
            np.testing.assert_array_equal(actual, expected)
        np.testing.assert_array_equal(here(there.astype(jnp.float32) + 0.5), expected)
        np.testing.assert_array_equal(here(counts), expected)
        for actual in (here(7), here(one), jax.jit(here)(one), jax.jit(call)(here, 7)):
            np.testing.assert_array_equal(actual, rate)
        for shape, spec in (((8, 128), P("i", None)), ((2, 512), P(None, "i"))):
            tables = jax.device_put(counts.reshape(shape), NamedSharding(mesh, spec))
            np.testing.assert_array_equal(here(tables), expected.reshape(shape))
        for count in (7, one):
            members = jax.jit(jax.vmap(call, (0, None)))(sweep, count)
            assert members.sharding.spec == P("i")
            np.testing.assert_array_equal(members, rates)
        loss = jax.grad(lambda rates, s, c: s.replace(rates=rates)(c).sum())
        gradient = jax.jit(loss)(here.rates, here, there)
        np.testing.assert_allclose(gradient.sum(), 1024, rtol=1e-5)


@has_explicit_axes
def test_axes_of_several_types():
    schedule = random_schedule(np.random.default_rng(0), 13)
    counts = np.linspace(-2, 8000, 1024).astype(np.int32)
    devices = np.array(jax.devices("cpu")[:8]).reshape(4, 2)
    with jax.default_device(devices[0, 0]):
        expected = np.asarray(schedule(counts))
    auto, explicit = jax.sharding.AxisType.Auto, jax.sharding.AxisType.Explicit
    for types in ((explicit, auto), (explicit, explicit)):
        mesh = Mesh(devices, ("a", "b"), axis_types=types)
        for spec in (P("a"), P("b"), P(("a", "b"))):
            spread = jax.device_put(counts, NamedSharding(mesh, spec))
            np.testing.assert_array_equal(jax.jit(schedule)(spread), expected)
    # One axis becomes manual, the other one stays explicit.
    spread = jax.device_put(counts, NamedSharding(mesh, P("a")))
    options = {"in_specs": P("a"), "out_specs": P("a"), "axis_names": {"a"}, "check_vma": False}
    mapped = jax.shard_map(schedule, mesh=mesh, **options)
    np.testing.assert_array_equal(jax.jit(mapped)(spread), expected)
