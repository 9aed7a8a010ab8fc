"""The table of stages and what looks wrong; the plot; plain numbers and back."""

import json
import sys

import chex
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from oracle import enable_x64, schedules

from optax_stepping import describe, manual_stepping, pad, plot, scale_by_stepping, stack, to_dict

mpl.use("Agg")

SCHEDULE = manual_stepping(
    [1000, 2000, 3000], [0.1, 0.05, 0.01, 0.005], warmup_steps=500, warmup_init_value=0.001
)
TABLE = """\
stage  from   to  steps          rate
    0     0  500    500  0.001 -> 0.1
    1   500 1000    500           0.1
    2  1000 2000   1000          0.05
    3  2000 3000   1000          0.01
    4  3000 4000   1000         0.005"""


def ramps(*rates):
    return manual_stepping(range(10, 10 * len(rates), 10), rates, interpolate=True)


def test_the_table():
    assert describe(SCHEDULE, 4000) == TABLE
    assert describe(pad(SCHEDULE, 9), np.int64(4000)) == TABLE
    for table in (describe(SCHEDULE), describe(SCHEDULE, 3000).partition("\nLooks")[0]):
        assert table.splitlines()[-1].split() == ["4", "3000", "-", "-", "0.005"]
    constant = describe(manual_stepping([], [0.1])).splitlines()[1]
    assert constant.split() == ["0", "0", "-", "-", "0.1"]
    backwards = SCHEDULE.replace(boundaries=[500, 400, 2000, 3000])
    assert describe(backwards).splitlines()[2].split() == ["1", "500", "400", "0", "0.1"]


@pytest.mark.parametrize(
    ("schedule", "total_steps", "words"),
    [
        (SCHEDULE, 2500, "stage 4 is never reached: it starts at step 3000, training ends at 2500"),
        (SCHEDULE, 3000, "stage 4 is never reached"),
        (
            manual_stepping([30, 60, 90], [0.1, 0.01, 0.001, 1e-4]), 90_000,
            "first 1 % of training (the last at step 90 of 90000): were epochs given as steps?",
        ),
        (manual_stepping([90], [0.1, 0.01]), 9000, "the last at step 90 of 9000"),
        (manual_stepping([1], [0.1, 0.01]), 100, "the last at step 1 of 100"),
        (manual_stepping([10, 20], [0.1, 0.01, 0.05]), None, "from 0.01 to 0.05 after stage 1"),
        (ramps(0.1, 0.1, 0.3), None, "from 0.1 to 0.3 during stage 1"),
        (SCHEDULE.replace(boundaries=[500, 400, 2000, 3000]), None, "stage 2 starts at step 400, not after stage 1 (500)."),
        (SCHEDULE.replace(boundaries=[500, 500, 2000, 3000]), None, "stage 2 starts at step 500, not after stage 1 (500)."),
        (SCHEDULE.replace(rates=[0.1, 0.1, np.nan, 0.1, 0.1]), None, "stage 2 is not finite: nan"),
        (SCHEDULE.replace(rates=-SCHEDULE.rates), None, "the rate of stage 0 is negative: -0.001"),
    ],
)  # fmt: skip
def test_what_looks_wrong(schedule, total_steps, words):
    table, _, suspicions = describe(schedule, total_steps).partition("\nLooks wrong:\n")
    assert words in suspicions
    assert len(table.splitlines()) == schedule.rates.size + 1


@pytest.mark.parametrize(
    ("schedule", "total_steps"),
    [
        (SCHEDULE, 4000), (SCHEDULE, None), (manual_stepping([], [0.1]), 10), (manual_stepping([100], [0.01, 0.1]), 1000),
        (manual_stepping([100, 900, 1000], [0, 1, 1, 0], interpolate=True), 1000 + 1),
        (manual_stepping([100, 1000], [1, 1, 0.5], interpolate=[False, True]), 1000),
        (manual_stepping([10, 20, 30], [0.1, 0.05, 0.05, 0.01]), None), (manual_stepping([11], [0.1, 0.01]), 1000),
        (manual_stepping([90], [0.1, 0.01]), 8999), (pad(SCHEDULE, 12), 4000),
    ],
)  # fmt: skip
def test_what_does_not_look_wrong(schedule, total_steps):
    assert "wrong" not in describe(schedule, total_steps)


def test_the_plot_is_exact_at_the_boundaries():
    ax = plot(SCHEDULE, 4000)
    counts, rates = ax.lines[0].get_data()
    drawn = dict(zip(np.asarray(counts).tolist(), np.asarray(rates).tolist(), strict=True))
    for count in (0, 499, 500, 999, 1000, 1999, 2000, 2999, 3000, 4000):
        assert drawn[count] == float(SCHEDULE(count))
    assert plot(SCHEDULE, 100, ax=ax) is ax
    assert len(ax.lines) == 2
    assert [min(ax.lines[1].get_xdata()), max(ax.lines[1].get_xdata())] == [0, 100]


def test_a_drop_at_the_end_is_drawn_as_one():
    counts, rates = plot(SCHEDULE, 3000).lines[0].get_data()
    assert list(counts[-2:]) == [2999, 3000]
    assert list(rates[-2:]) == np.asarray(SCHEDULE.rates)[-2:].tolist()


@pytest.mark.parametrize(
    ("rates", "lines"),
    [
        ([0, 9, 8, 6, 3, 1], ["0: 0 -> 9", "1-4: 9 -> 1 in 4 ramps"]),
        ([0, 2, 3, 5, 9, 7, 6, 3, 1], ["0-3: 0 -> 9 in 4 ramps", "4-7: 9 -> 1 in 4 ramps"]),
        ([9, 6, 3, 1], ["0: 9 -> 6", "1: 6 -> 3", "2: 3 -> 1"]),
        ([2, 8, 1, 9, 2], ["0-3: 2 -> 2 in 4 ramps between 1 and 9"]),
        ([2, 8, 3, 9, 4], ["0-3: 2 -> 4 in 4 ramps between 2 and 9"]),
        ([0, 9, 9, 8, 7, 6], ["0: 0 -> 9", "1: 9", "2: 9 -> 8", "3: 8 -> 7", "4: 7 -> 6"]),
        ([1 / 3, 0.1, 0.01, 0.001, 1e-9], ["0-3: 0.333333 -> 1e-09 in 4 ramps"]),
    ],
)
def test_many_ramps_in_a_row_share_a_line(rates, lines):
    plan = ramps(*rates)
    last = f"{len(rates) - 1}: {rates[-1]:.6g}"
    table = describe(plan).partition("\nLooks")[0].splitlines()[1:]
    cells = [row.split(maxsplit=4) for row in table]
    assert [f"{number}: {rate}" for number, *_, rate in cells] == [*lines, last]
    for number, start, end, steps, _ in cells[:-1]:
        first, _, final = number.partition("-")
        assert [int(start), int(end)] == [10 * int(first), 10 * int(final or first) + 10]
        assert int(steps) == int(end) - int(start)
    rows = describe(plan, all_stages=True).partition("\nLooks")[0].splitlines()[1:]
    assert [row.split()[0] for row in rows] == [str(i) for i in range(len(rates))]


def test_what_looks_wrong_with_a_curve_is_a_line_of_each_kind():
    restarts = ramps(*[9, 7, 5, 3, 1] * 4)
    suspicions = describe(restarts, 100).partition("Looks wrong:\n")[2].splitlines()
    assert suspicions == [
        "  - stage 11 is never reached: it starts at step 110, training ends at 100. And 8 more.",
        "  - the rate rises after the warmup: from 1 to 9 during stage 4; a warm restart? And 2 more.",
    ]
    assert "wrong" not in describe(ramps(0, 2, 4, 6, 8, 9, 8, 6, 4, 2, 0), 100)


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"^matplotlib is needed .*'optax-stepping\[plot\]'"):
        plot(SCHEDULE, 100)


@pytest.mark.parametrize("count", [0, 250, 500, 2999, 3000, 5000])
def test_a_state_from_its_count_on(count):
    state = scale_by_stepping(pad(SCHEDULE, 8)).init(None)._replace(count=jnp.int32(count))
    whole, rest = (
        [line.split() for line in describe(s, 4000).splitlines()[1:]] for s in (SCHEDULE, state)
    )
    passed = sum(int(row[2]) <= count for row in whole)
    if count < 4000:
        assert [row[0] for row in rest] == [row[0] for row in whole[passed:]]
        assert rest[0][1:4] == [str(count), whole[passed][2], str(int(whole[passed][2]) - count)]
        assert rest[1:] == whole[passed + 1 :]
        counts = plot(state, 4000).lines[0].get_xdata()
        assert (min(counts), max(counts)) == (count, 4000)
    else:
        assert rest == []


def test_a_ramp_under_way_starts_at_the_rate_of_the_count():
    state = scale_by_stepping(ramps(0, 8, 6, 4, 2, 0)).init(None)
    for count, line in ((5, "0 5 10 5 4 -> 8"), (25, "2 25 30 5 5 -> 4")):
        table = describe(state._replace(count=jnp.int32(count))).splitlines()
        assert table[1].split() == line.split()


def test_a_state_is_not_reproached_with_its_past():
    warm_restart = manual_stepping([10, 20], [0.1, 0.01, 0.05])
    state = scale_by_stepping(warm_restart).init(None)
    assert "warm restart?" in describe(state._replace(count=jnp.int32(15)))
    assert "wrong" not in describe(state._replace(count=jnp.int32(20)))


def test_a_stack_is_drawn_with_a_line_for_every_member():
    members = [SCHEDULE, SCHEDULE / 2, manual_stepping([], [0.1])]
    ax = plot(stack(members), 4000, label=["a", "b", "c"], lw=3)
    for member, line in zip(members, ax.lines, strict=True):
        counts, rates = line.get_data()
        np.testing.assert_array_equal(rates, member(np.asarray(counts)))
    assert [text.get_text() for text in ax.legend().get_texts()] == ["a", "b", "c"]
    grid = plot(stack([stack(members[:2])] * 2), 4000, label="all")
    assert len(grid.lines) == 4
    assert [text.get_text() for text in grid.legend().get_texts()] == ["all"]


@pytest.mark.parametrize(
    "plan",
    [
        manual_stepping([10**6], [0.1, 0.01], warmup_steps=500),
        manual_stepping([10**6], [0.1, 0.01], warmup_steps=10**5),
        manual_stepping([10**4, 10**6, 2 * 10**6], [1, 1e-3, 1, 0], interpolate=True),
        manual_stepping([10, 10**6], [0, 0, 1], interpolate=[False, True]),
    ],
)
@pytest.mark.parametrize("log_steps", [False, True])
@pytest.mark.parametrize("log_rates", [False, True])
def test_a_plot_is_right_between_its_points(plan, log_steps, log_rates):
    """On linear and on logarithmic axes, which do not show 0."""
    axes = plot(plan, 2 * 10**6, Figure().subplots())
    steps = np.unique(np.geomspace(1, 2 * 10**6, 3000).astype(int))
    shown, found = np.asarray(axes.lines[0].get_data()), np.array([steps, plan(steps)])
    for axis, logarithmic in enumerate((log_steps, log_rates)):
        if logarithmic:
            shown, found = (data[:, data[axis] > 0] for data in (shown, found))
            shown[axis], found[axis] = np.log(shown[axis]), np.log(found[axis])
    assert shown[0, 0] <= found[0, 0]
    np.testing.assert_allclose(np.interp(found[0], *shown), found[1], atol=0.02)


RATES = st.floats(-(2.0**127), 2.0**127, width=32)


@given(schedules(rates=RATES))
@pytest.mark.parametrize(
    ("write", "read"), [(json.dumps, json.loads), (yaml.safe_dump, yaml.safe_load)]
)
def test_plain_numbers_come_back_to_the_bit(write, read, plan):
    numbers = to_dict(pad(plan, 8))
    back = manual_stepping(**read(write(numbers)))
    for ours, theirs in zip(vars(back).values(), vars(plan).values(), strict=True):
        assert np.asarray(ours).tobytes() == np.asarray(theirs).tobytes()
    for rate, number in zip(np.asarray(plan.rates), numbers["rates"], strict=True):
        digits = len(f"{number!r}".partition("e")[0].replace(".", "").strip("-0"))
        assert digits <= 1 or type(rate)(f"{rate:.{digits - 2}e}") != rate


def test_plain_numbers_of_double_precision():
    with enable_x64(True):
        plan = manual_stepping([3], [1 / 3, 1e-300], warmup_steps=2)
        rates, ramps = [0.0, 1 / 3, 1e-300], [True, False]
        assert to_dict(plan) == {"boundaries": [2, 3], "rates": rates, "interpolate": ramps}
        chex.assert_trees_all_equal(manual_stepping(**to_dict(plan)), plan, strict=True)


def test_numbers_that_digits_round_elsewhere_come_back():
    """Rounded to float64 and then to float32, shortest digits may be another number."""
    plan = manual_stepping([1], [float.fromhex("0x1.5c87fap-84"), np.finfo(np.float32).max])
    chex.assert_trees_all_equal(manual_stepping(**to_dict(plan)), plan)


def test_plain_numbers_are_of_pythons_own_types():
    half = SCHEDULE.rates.astype("bfloat16")
    cast = SCHEDULE.replace(ramps=SCHEDULE.ramps.astype(int), rates=half)
    numbers = to_dict(cast)
    kinds = {name: {type(value) for value in values} for name, values in numbers.items()}
    assert kinds == {"boundaries": {int}, "rates": {float}, "interpolate": {bool}}
