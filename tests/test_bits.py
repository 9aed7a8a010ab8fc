"""A rate has the same bits however it is evaluated, ramps too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from oracle import assert_rates, shard_map

from optax_stepping import SteppingSchedule, manual_stepping

NUM_SCHEDULES, NUM_COUNTS = 1000, 1024
TINY, HUGE = 1.2e-38, 1.6e38


def random_batch(rng):
    """Schedules of 5 stages, boundaries of every magnitude, rates of all kinds; their counts."""
    boundaries = np.sort((2.0 ** rng.uniform(0, 31, (NUM_SCHEDULES, 4))).astype(np.int64), axis=1)
    boundaries = np.minimum(boundaries + np.arange(4), 2**31 - 1 - np.arange(4)[::-1])
    magnitude = rng.choice([-9.0, -37.0, 0.0, 30.0], (NUM_SCHEDULES, 1))
    rates = 10.0 ** (magnitude + rng.uniform(0, 7, (NUM_SCHEDULES, 5)))
    rates *= rng.choice([-1, 0, 1, 1, 1, 1], rates.shape)
    rates = np.where(rates == 0, 0, np.sign(rates) * np.clip(abs(rates), TINY, HUGE))
    batch = SteppingSchedule(
        jnp.asarray(boundaries, jnp.int32),
        jnp.asarray(rates, jnp.float32),
        jnp.asarray(rng.random(boundaries.shape) < 0.8),
    )
    spread = rng.random((NUM_SCHEDULES, NUM_COUNTS)) * boundaries[:, -1:] * 1.1
    near = boundaries[:, rng.integers(0, 4, NUM_COUNTS)] + rng.integers(-3, 4, NUM_COUNTS)
    counts = np.where(rng.random(spread.shape) < 0.7, spread, near)
    return batch, np.clip(counts, -3, 2**31 - 1).astype(np.int32)


CALL = SteppingSchedule.__call__
FOR_EACH = jax.jit(jax.vmap(CALL))
BATCHED = {
    "over both": jax.jit(jax.vmap(jax.vmap(CALL, (None, 0)))),
    "counts first": jax.jit(lambda s, c: jax.vmap(jax.vmap(CALL), (None, 1))(s, c).T),
    "scan": jax.jit(jax.vmap(lambda s, c: jax.lax.scan(lambda _, k: (0, s(k)), 0, c)[1])),
}
MAP = jax.jit(lambda s, c: jax.lax.map(s, c))


def compare_modes(backend, every):
    """Two million pairs mapped over schedules; and schedule by schedule, of so many one."""
    for seed in range(2):
        batch, counts = random_batch(np.random.default_rng(seed))
        batch, on_device = jax.device_put((batch, counts), jax.devices(backend)[0])
        expected = np.asarray(FOR_EACH(batch, on_device))
        for evaluate in BATCHED.values():
            np.testing.assert_array_equal(evaluate(batch, on_device), expected)
        for i in range(0, NUM_SCHEDULES, every):
            schedule = jax.tree.map(lambda leaf, i=i: leaf[i], batch)
            row, rates = on_device[i], [schedule(on_device[i]), jax.vmap(schedule)(on_device[i])]
            if i % 250 == 0:
                jitted, few = jax.jit(schedule), counts[i, :32].tolist()
                rates += [schedule(row.reshape(8, 4, 32)).ravel(), jitted(row), MAP(schedule, row)]
                rates += [[schedule(count) for count in few], [jitted(count) for count in row[:8]]]
            for actual in rates:
                np.testing.assert_array_equal(np.asarray(actual), expected[i, : len(actual)])


def test_two_million_pairs_in_every_mode(backend):
    compare_modes(backend, every=10)


@pytest.mark.parametrize("num_boundaries", [0, 1, 2, 7, 11, 12, 13, 16, 31, 32, 33, 200])
def test_many_counts_have_the_bits_of_few(num_boundaries, backend):
    """With any number of stages, which are searched in blocks."""
    rng = np.random.default_rng(num_boundaries)
    boundaries = np.cumsum(rng.integers(1, 100, num_boundaries))
    rates = rng.choice([-0.0, 0.0, -1e-9, 1e-3, 0.1, -7.0, 1e30], num_boundaries + 1)
    ramps = rng.random(num_boundaries) < 0.5
    schedule = manual_stepping(boundaries, rates, interpolate=ramps)
    counts = rng.integers(-5, 1.1 * boundaries[-1] if num_boundaries else 9, 1000)
    counts[:2] = -(2**31), 2**31 - 1
    schedule, counts = jax.device_put((schedule, counts.astype(np.int32)), jax.devices(backend)[0])
    expected = np.concatenate([schedule(part) for part in counts.reshape(2, 500)])
    assert_rates(schedule, counts[::7], expected[::7])
    for actual in (schedule(counts), jax.jit(schedule)(counts.reshape(2, 5, 100)).ravel()):
        assert np.asarray(actual).tobytes() == expected.tobytes()


def test_sharded_and_mapped_over_devices():
    batch, counts = random_batch(np.random.default_rng(2))
    expected = np.asarray(FOR_EACH(batch, counts))
    devices = np.array(jax.devices("cpu")[:8])
    meshes = [Mesh(devices, "i")]
    if hasattr(jax.sharding, "auto_axes"):  # from JAX 0.7 on
        explicit = (jax.sharding.AxisType.Explicit,)
        meshes.append(Mesh(devices, "i", axis_types=explicit))
    for i in range(0, NUM_SCHEDULES, 400):
        schedule = jax.tree.map(lambda leaf, i=i: leaf[i], batch)
        np.testing.assert_array_equal(
            jax.pmap(schedule)(counts[i].reshape(8, -1)).ravel(), expected[i]
        )
        for mesh in meshes:
            sharding = NamedSharding(mesh, P("i"))
            on_all = jax.device_put(schedule, NamedSharding(mesh, P()))
            spread = jax.device_put(counts[i], sharding)
            np.testing.assert_array_equal(on_all(spread), expected[i])
            np.testing.assert_array_equal(jax.jit(on_all)(spread), expected[i])
        specs = {"in_specs": (P(), P("i")), "out_specs": P("i")}
        over = shard_map(lambda s, c: s(c), mesh=meshes[0], **specs)
        np.testing.assert_array_equal(jax.jit(over)(schedule, counts[i]), expected[i])


@pytest.mark.parametrize(
    ("boundary", "rates", "count"),
    [
        # Through zero, 6 ulp off when counted with one rounded slope.
        (34248114, [0.0019268207252025604, -0.0018806451698765159], 477780),
        # As much, if the coarse part of the slope is none.
        (416858523, [8.548752812057931e-18, -8.627461528884189e-18], 416858522),
        (1, [1.0, 0.0], 1 - 1e-6),
        (2**31 - 1, [1e-37, 1.1e-37], 2**30),
        (2**31 - 1, [1.2e-38, 1.3e-38], 2**30 + 1),
        (1000, [-3.4e38, 3.4e38], 500),
        (7, [1e-9, 3e38], 3),
        # The scale of a high ramp flushes such a start.
        (1000, [-6.0428015e-24, 1e20], 0),
        (1000, [1e20, 1.2e-38], 999),
    ],
)
def test_found_by_an_adversary(boundary, rates, count):
    schedule = manual_stepping([boundary], rates, interpolate=True)
    assert_rates(schedule, [count], schedule(np.array([count])))
    assert_rates(schedule, [count], [schedule(count)])
