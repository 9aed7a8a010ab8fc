"""Schedules of different shapes become one batch, and come back; no rate changes."""

import chex
import jax
import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from oracle import same, schedules

from optax_stepping import SteppingSchedule, manual_stepping, pad, stack, unpad, unstack

INT32_MAX = 2**31 - 1
MEMBERS = [
    manual_stepping([], [0.1]),
    manual_stepping([10, 25, 60], [0.1, 0.05, 0.01, 0.005], warmup_steps=4),
    manual_stepping([7], [0.001, 0.1], True),
    manual_stepping([13, 50], [0.0, 1.0, 0.2], interpolate=True),
    manual_stepping([5, INT32_MAX], [0.3, 0.2, 0.2]),
    manual_stepping([INT32_MAX], [0.5, 0.5]),
]


rates_of_all = jax.jit(jax.vmap(SteppingSchedule.__call__, (0, None)))


@given(
    st.lists(schedules(), min_size=3, max_size=3), st.lists(st.integers(0, INT32_MAX)), st.data()
)
def test_padding_changes_no_rate(members, counts, data):
    counts += [0, INT32_MAX]
    for member in members:
        for boundary in np.asarray(member.boundaries).tolist():
            counts.append(min(max(boundary + data.draw(st.integers(-2, 2)), 0), INT32_MAX))
    batch = stack(members, num_stages=data.draw(st.sampled_from([5, 14])))
    counts = np.array(counts[:24] + [0] * (24 - len(counts)))
    rates = rates_of_all(batch, counts)
    one_by_one = np.stack([rates_of_all(batch, count) for count in counts[:3]], axis=1)
    for i, member in enumerate(members):
        expected = np.asarray(member(counts))
        np.testing.assert_array_equal(rates[i], expected)
        np.testing.assert_array_equal(one_by_one[i], expected[:3])


def all_same(members, others):
    return len(members) == len(others) and all(map(same, members, others))


@given(st.lists(schedules(), min_size=1, max_size=5), st.integers(0, 3))
@example(MEMBERS, 15)
def test_unstack_gives_them_back(members, room):
    longest = max(member.rates.size for member in members)
    for batch in (stack(members), stack(members, num_stages=longest + room)):
        assert all_same(unstack(batch), members)


def test_shapes_and_dtypes():
    batch = stack(MEMBERS)
    assert type(batch) is SteppingSchedule
    chex.assert_shape([batch.boundaries, batch.rates, batch.ramps], [(6, 4), (6, 5), (6, 4)])
    chex.assert_trees_all_equal_dtypes(batch, MEMBERS[0])


def test_stacks_of_stacks():
    grid = stack([stack(MEMBERS[:3]), stack(MEMBERS[3:])])
    assert grid.rates.shape == (2, 3, 5)
    rates = jax.vmap(jax.vmap(lambda schedule: schedule(12)))(grid)
    expected = np.reshape([member(12) for member in MEMBERS], (2, 3))
    np.testing.assert_array_equal(rates, expected)
    rows = unstack(grid)
    assert all_same([member for row in rows for member in unstack(row)], MEMBERS)


def test_a_fixed_number_of_stages_keeps_one_program():
    chex.clear_trace_counter()
    train = jax.jit(jax.vmap(chex.assert_max_traces(lambda schedule: schedule(3), n=1)))
    for members in (MEMBERS[:2], MEMBERS[2:4], MEMBERS[4:]):
        train(stack(members, num_stages=8))


def test_inside_of_jit():
    made = jax.jit(lambda a, b: stack([a, b], num_stages=6))(*MEMBERS[:2])
    chex.assert_trees_all_equal(made, stack(MEMBERS[:2], num_stages=6))


def test_pad_and_unpad():
    for member in MEMBERS:
        padded = pad(member, 9)
        assert padded.rates.shape == (9,)
        assert same(unpad(padded), member)
        assert same(pad(member, member.rates.size), member)
    assert pad(stack(MEMBERS), 9).rates.shape == (6, 9)
