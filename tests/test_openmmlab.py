"""Recipes of MMEngine and MMCV. tests/parity/test_mmengine.py compares them with the frameworks."""

import re

import numpy as np
import pytest

from optax_stepping import manual_stepping
from optax_stepping.interop import from_mmengine

WARMUP = {"type": "LinearLR", "start_factor": 0.5, "by_epoch": False, "end": 11}
DROPS = {"type": "MultiStepLR", "milestones": [3, 6]}
RECIPE = [WARMUP, DROPS]
EXPECTED = manual_stepping([10, 15, 30], [0.1, 0.2, 0.02, 0.002], interpolate=[True, False, False])


def assert_same(schedule, expected):
    """The same stages; MMEngine's recursions have noise in the last bits of float64."""
    assert schedule.boundaries.tolist() == expected.boundaries.tolist()
    assert schedule.ramps.tolist() == expected.ramps.tolist()
    np.testing.assert_allclose(schedule.rates, expected.rates, rtol=1e-6)


def test_a_recipe():
    for recipe in (RECIPE, tuple(RECIPE), [{"_scope_": "mmdet", **part} for part in RECIPE]):
        assert_same(from_mmengine(recipe, base_lr=0.2, steps_per_epoch=5), EXPECTED)


LINE = {"type": "PolyLR", "by_epoch": False}
CYCLE = {"type": "OneCycleLR", "eta_max": 1, "anneal_strategy": "linear", "by_epoch": False}
STAIRS = {"type": "StepLR", "step_size": 30, "gamma": 2.0**-74}
SCHEDULES = {
    "no scheduler": ((None, {}), ([], [0.5])),
    "no schedulers": (([], {}), ([], [0.5])),
    "steps beyond the end": (({"policy": "step", "step": 60, "gamma": 0.9}, {"steps_per_epoch": 20, "total_steps": 1200}), ([], [0.5])),
    "the end of the training": ((LINE, {"total_steps": 11}), ([10], [0.5, 0.0], True)),
    "fewer rows than the recipe": (({**LINE, "end": 11}, {"total_steps": 6}), ([5], [0.5, 0.25], True)),
    "more rows than the recipe": (({**LINE, "end": 11}, {"total_steps": 60}), ([10], [0.5, 0.0], True)),
    "a length of its own": (({**CYCLE, "total_steps": 60, "pct_start": 0.35}, {}), ([20, 59], [1 / 25, 1.0, 1 / 25e4], True)),
    "a decay without an end": ((STAIRS, {"steps_per_epoch": 5000}), ([150_000, 300_000, 450_000], [0.5, 2.0**-75, 2.0**-149, 0.0])),
    "back to the first rate": (({"type": "ConstantLR", "factor": 0.5, "by_epoch": False, "begin": 3, "end": 9}, {}), ([3, 8], [0.5, 0.25, 0.5])),
    "a decay by 0": (({**STAIRS, "gamma": 0}, {"steps_per_epoch": 5}), ([150], [0.5, 0.0])),
    "a decay by 1 with an end": (({**STAIRS, "gamma": 1, "end": 99}, {"steps_per_epoch": 5}), ([], [0.5])),
    "milestones at the end of int32": (({"type": "MultiStepLR", "by_epoch": False, "milestones": [2**31 - 1, 2**31]}, {}), ([2**31 - 1], [0.5, 0.05])),
    "a milestone that no count has": (({"type": "MultiStepLR", "milestones": [2, 1e308]}, {"steps_per_epoch": 5}), ([10], [0.5, 0.05])),
    "a floor ends a decay": (({"policy": "step", "step": np.int64(8), "min_lr": 0.05, "by_epoch": False}, {}), ([8], [0.5, 0.05])),
    "policies in any case": (({"policy": "Fixed", "by_epoch": False}, {}), ([], [0.5])),
    "a constant warmup": (({"policy": "fixed", "warmup": "constant", "warmup_iters": 5, "by_epoch": False}, {}), ([5], [0.05, 0.5])),
    "a warmup by epochs": (({"policy": "step", "step": np.array([2]), "warmup": "linear", "warmup_iters": 1, "warmup_by_epoch": True}, {"steps_per_epoch": 10}), ([10, 20], [0.05, 0.5, 0.05], [True, False])),
    "a restart of MMCV": (({"policy": "CosineRestart", "periods": [2], "min_lr": 0}, {"steps_per_epoch": 5}), ([5], [0.5, 0.25])),
    "a restart of MMEngine": (({"type": "CosineRestartLR", "periods": [2], "eta_min": 0}, {"steps_per_epoch": 5}), ([5], [0.5, 0.25])),
    "a cycle of one number": (({"policy": "cyclic", "target_ratio": 2, "anneal_strategy": "linear", "step_ratio_up": 0.5}, {"total_steps": 20}), ([10, 19], [0.5, 1.0, 0.100009], True)),
    "a cycle of MMCV with a length": (({"policy": "OneCycle", "max_lr": 1, "anneal_strategy": "linear", "total_steps": 60, "pct_start": 0.35}, {}), ([20, 59], [1 / 25, 1.0, 1 / 25e4], True)),
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name):
    (recipe, arguments), (boundaries, rates, *ramps) = SCHEDULES[name]
    expected = manual_stepping(boundaries, rates, interpolate=ramps[0] if ramps else False)
    assert_same(from_mmengine(recipe, base_lr=0.5, **arguments), expected)


def test_an_endless_decay_ends_where_float32_does():
    schedule = from_mmengine(
        {"policy": "step", "step": 60, "gamma": 0.9}, base_lr=0.003, steps_per_epoch=5000
    )
    counts = np.arange(0, 930, 7) * 300_000
    expected = np.float32(0.003 * 0.9 ** np.arange(0, 930, 7))
    np.testing.assert_allclose(schedule(counts), expected, rtol=1e-6, atol=1e-38)
    assert schedule(2**31 - 1) == 0


T, V = TypeError, ValueError
NO_END = r"total_steps must be given in whole (epochs|iters), as .* got None; write"
REFUSALS = [
    ("a", {}, T, r"param_scheduler must be a list, .*, got 'a' .* such as \[dict\(type='Multi"),
    ([3], {}, T, r"param_scheduler\[0\] must be a dict, got 3"),
    ({"d": [], 3: []}, {}, V, r"param_scheduler\[0\] must have a 'type', got \['d', 3\] .*\[one of them\]"),
    ({"type": "FooLR"}, {}, V, r"\[0\]: type must be one of ConstantLR, .* got 'FooLR'.*from_table\(rates, t"),
    ({"type": "Step"}, {}, V, r"type must be one of .* got 'Step'"),
    ({"type": 3}, {}, V, r"type must be one of .* got '3'"),
    ([WARMUP, {"type": "StepLR", "step": 3}], {}, V, r"\[1\]: StepLR: 'step' is not known; known are"),
    ({"type": "StepLR"}, {}, V, r"\[0\]: StepLR needs 'step_size'; write step_size=8"),
    ({"type": "MultiStepLR"}, {}, V, r"MultiStepLR needs 'milestones'; write milestones=\[8\]"),
    ({"type": "MultiStepLR", "milestones": 3}, {}, T, r"MultiStepLR: milestones must be a list.*got 3"),
    ({"type": "MultiStepLR", "milestones": [3, "a"]}, {}, T, r"milestones\[1\] must be a real .*'a'"),
    ({"type": "StepLR", "step_size": 0}, {}, V, r"StepLR: step_size must be positive, got 0"),
    ({"type": "StepLR", "step_size": 3, "gamma": None}, {}, T, r"gamma must be a real number, got None"),
    ({**WARMUP, "by_epoch": 1}, {}, T, r"LinearLR: by_epoch must be True or False, got 1"),
    ({**WARMUP, "start_factor": 2}, {}, V, r"start_factor must lie between 0 and 1, got 2"),
    ({**WARMUP, "end_factor": -1}, {}, V, r"end_factor must lie between 0 and 1, got -1"),
    ({**WARMUP, "start_factor": 0}, {}, V, r"LinearLR must have a rate at every step, got .* at its step 1"),
    ({**WARMUP, "begin": 11}, {}, V, r"LinearLR must begin before its end, got begin=11, end=11; write end=12"),
    ({**WARMUP, "end": 10**8}, {}, V, r"the number of its steps must be at most 10000000, .* got 100000000"),
    ({**WARMUP, "convert_to_iter_based": True}, {}, V, r"must have by_epoch for convert_to_iter_based, got False"),
    (RECIPE, {}, V, r"steps_per_epoch must be given, as param_scheduler\[1\]: MultiStepLR counts epochs"),
    ({"type": "PolyLR"}, {"steps_per_epoch": 7}, V, NO_END + r" total_steps=max_epochs \* 7"),
    (LINE, {}, V, NO_END + " total_steps=max_iters"),
    ({"type": "PolyLR"}, {"steps_per_epoch": 7, "total_steps": 9}, V, r"in whole epochs, as .* got 9; write total_steps=max_epochs \* 7"),
    ({**STAIRS, "gamma": 0.999}, {"steps_per_epoch": 9}, V, NO_END),
    ({**STAIRS, "gamma": 3}, {"steps_per_epoch": 1, "total_steps": 9000}, V, r"rate at every step, got .*e\+38 at its step 2460"),
    ({**CYCLE, "total_steps": 9}, {"total_steps": 20}, V, "OneCycleLR must have a rate .* got nan at its step 10"),
    ({**CYCLE, "total_steps": 0}, {}, V, "total_steps must be positive, got 0"),
    ({**CYCLE, "anneal_strategy": "sin"}, {}, V, "must be one of cos, linear, got 'sin' .* write 'linear'"),
    ({**CYCLE, "div_factor": 0, "end": 9}, {}, V, "OneCycleLR must have a rate at every step"),
    (
        {"type": "CosineRestartLR", "periods": [3, 4], "eta_min": 0, "by_epoch": False}, {}, V,
        r"restart_weights must have length 2, got \[1.0\]; write \[1.0, 1.0\]",
    ),
    ({"type": "CosineRestartLR", "periods": [3], "by_epoch": False}, {}, V, "either a lowest rate or its ratio"),
    ({"type": "MultiStepLR", "by_epoch": False, "milestones": [10**8, 10**8 + 1]}, {}, V, "the rate must change"),
    ({"policy": "YOLOX"}, {}, V, "lr_config: policy must be one of Fixed, .* got 'YOLOX'"),
    ({"policy": "fixed", "target": 1}, {}, V, "lr_config: 'target' is not known; known are"),
    ({"policy": "fixed", "warmup": "sin"}, {}, V, "lr_config: warmup must be one of None, constant, exp, linear, got 'sin'"),
    ({"policy": "fixed"}, {}, V, "steps_per_epoch must be given, .* or by_epoch=False there"),
    ({"policy": "fixed", "by_epoch": False, "warmup": "exp"}, {}, V, "warmup_iters must be positive, got 0"),
    ({"policy": "step"}, {}, V, r"lr_config needs 'step'; write step=\[8\]"),
    ({"policy": "step", "step": 0, "by_epoch": False}, {}, V, "lr_config: step must be positive, got 0"),
    ({"policy": "step", "step": [2, 0], "by_epoch": False}, {}, V, "step must be positive, got 0"),
    ({"policy": "cyclic", "by_epoch": True}, {}, V, "by_epoch must be False for Cyclic, got True"),
    ({"policy": "cyclic", "target_ratio": []}, {"total_steps": 9}, V, r"target_ratio must have length 1 or 2, got \[\]; write \[1.0, 1.0\]"),
    ({"policy": "inv", "gamma": 0.1, "by_epoch": False}, {}, V, NO_END),
    (
        {"policy": "CosineRestart", "periods": [3], "min_lr": 0, "by_epoch": False}, {"total_steps": 4}, V,
        "lr_config must have a rate at every step, got .* at its step 3",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("recipe", "arguments", "error", "message"), REFUSALS)
def test_refusals(recipe, arguments, error, message):
    with pytest.raises(error, match=message) as refusal:
        from_mmengine(recipe, base_lr=0.5, **arguments)
    assert type(refusal.value) is error


EPOCHS = {"steps_per_epoch": 7}
INCOMPLETE = [
    ({"type": "PolyLR"}, EPOCHS), (LINE, {}), (DROPS, {}), ({**WARMUP, "begin": 11}, {}),
    ({"type": "MultiStepLR"}, EPOCHS), ({"type": "StepLR"}, EPOCHS), ({"policy": "step"}, EPOCHS),
    ({**LINE, "eta_min": 0.1, "type": "CosineRestartLR"}, {}), ({"policy": "exp", "by_epoch": False}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("recipe", "arguments"), INCOMPLETE)
def test_what_refusals_say_to_write(recipe, arguments):
    with pytest.raises(ValueError, match="; write ") as refusal:
        from_mmengine(recipe, base_lr=0.5, **arguments, tolerance=1e-3)
    written = re.search(r"; write (\w+=.*?)(, or .*)?\.$", str(refusal.value))[1]
    names = {"max_epochs": 3, "max_iters": 21, "train_dataloader": range(7)}
    written = eval(f"dict({written})", names)
    if written.keys() <= {"steps_per_epoch", "total_steps"}:
        arguments = arguments | written
    else:
        recipe = recipe | written
    assert from_mmengine(recipe, base_lr=0.5, **arguments, tolerance=1e-3)(0) <= 0.5
