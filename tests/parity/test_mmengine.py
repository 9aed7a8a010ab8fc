"""OpenMMLab: MMEngine's schedulers really stepped; MMCV's hooks, by their formulas, in plain Python."""

import math
import re

import numpy as np
import optax
import pytest
import torch
from agreement import assert_agrees
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.optim import scheduler as mm
from mmengine.registry import PARAM_SCHEDULERS

from optax_stepping import pad
from optax_stepping.interop import from_mmengine

pytestmark = pytest.mark.filterwarnings("ignore")


def mmengine_rates(base, configs, steps_per_epoch, total_steps):
    """Built and stepped as MMEngine's runner and its hook do."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=base, momentum=0.9)
    schedulers = []
    for config in configs:
        epochs = total_steps // steps_per_epoch
        config = {"end": epochs if config.get("by_epoch", True) else total_steps} | dict(config)
        arguments = {"optimizer": optimizer, "epoch_length": steps_per_epoch}
        schedulers.append(PARAM_SCHEDULERS.build(config, default_args=arguments))
    for count in range(total_steps):
        yield optimizer.param_groups[0]["lr"]
        for scheduler in schedulers:
            if not scheduler.by_epoch:
                scheduler.step()
        for scheduler in schedulers:
            if scheduler.by_epoch and (count + 1) % steps_per_epoch == 0:
                scheduler.step()


def assert_near(schedule, theirs, tolerance=1e-6):
    """Within the tolerance, and a float32's rounding, of the largest rate."""
    # Of one size, so that one compiled program serves all.
    ours = np.asarray(pad(schedule, 128)(np.arange(128)), np.float64)[: len(theirs)]
    assert np.abs(ours - theirs).max() <= (tolerance + 2.0**-23) * np.abs(theirs).max()


RECIPES = {
    "constant warmup": ([{"type": "ConstantLR", "factor": 0.1, "by_epoch": False, "end": 400}, {"type": "MultiStepLR", "by_epoch": False, "milestones": np.array([900, 1200])}], 100, 1500),
    "epoch warmup": ([{"type": "LinearLR", "start_factor": 0.1, "end": 5}, {"type": "StepLR", "step_size": 7, "begin": 5}], 10, 400),
    "converted": ([{"type": "LinearLR", "start_factor": 0.1, "end": 5, "convert_to_iter_based": True}, {"type": "MultiStepLR", "milestones": [8, 11], "end": 12, "convert_to_iter_based": True}], 10, 200),
    "begin later": ([{"type": "LinearLR", "start_factor": 0.5, "end_factor": 0.25, "by_epoch": False, "begin": 20, "end": 41}, {"type": "MultiStepLR", "by_epoch": False, "milestones": [5, 9, 9], "begin": 50, "end": 70}], 10, 100),
    "a ramp across milestones": ([{"type": "LinearLR", "by_epoch": False, "end": 61, "start_factor": 0.5}, {"type": "MultiStepLR", "by_epoch": False, "milestones": [0, 30, 50]}], 10, 100),
    "end before a milestone": ([{"type": "MultiStepLR", "milestones": [3, 6, 9], "begin": 0.5, "end": 7}], 5, 80),
    "StepLR with an end": ([{"type": "StepLR", "step_size": 3, "gamma": 0.5, "end": 20, "by_epoch": False}], 5, 50),
    "one step each": ([{"type": "ConstantLR", "by_epoch": False, "begin": 3, "end": 4}, {"type": "LinearLR", "by_epoch": False, "begin": 6, "end": 8}], 5, 20),
    "step for ever": ([{"type": "StepLR", "step_size": 2, "by_epoch": False}], 5, 60),
    "a cosine by epochs": ([{"type": "CosineAnnealingLR", "T_max": 100}], 10, 1000),
    "restarts by epochs": ([{"type": "CosineRestartLR", "periods": [3, 5], "restart_weights": [1, 0.5], "eta_min": 0.001}], 4, 32),
    "a linear cycle": ([{"type": "OneCycleLR", "eta_max": 0.1, "total_steps": 50, "anneal_strategy": "linear", "by_epoch": False}], 5, 50),
    "a line to 0": ([{"type": "PolyLR", "eta_min": 0.001, "by_epoch": False, "end": 80}], 5, 100),
    "begin before 0": ([{"type": "PolyLR", "begin": -5, "end": 4}, {"type": "StepLR", "step_size": 1, "begin": -9, "end": 0}], 5, 50),
    "half a step": ([{"type": "LinearLR", "end": 0.5}], 5, 50),
    "momentum": ([{"type": "CosineAnnealingMomentum", "T_max": 9}, {"type": "StepParamScheduler", "param_name": "momentum", "step_size": 2}, {"type": "StepParamScheduler", "param_name": "lr", "step_size": 3}], 5, 50),
    "nothing": ([], 5, 9),
}  # fmt: skip


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes(recipe):
    configs, steps_per_epoch, total_steps = RECIPES[recipe]
    theirs = list(mmengine_rates(0.02, configs, steps_per_epoch, total_steps))
    for length in (None, total_steps):
        arguments = {"steps_per_epoch": steps_per_epoch, "total_steps": length}
        schedule = from_mmengine(configs, base_lr=0.02, **arguments)
        assert_agrees(schedule, range(total_steps), theirs)


def test_types_of_every_form():
    configs, steps_per_epoch, total_steps = RECIPES["epoch warmup"]
    theirs = list(mmengine_rates(0.02, configs, steps_per_epoch, total_steps))
    classes = [config | {"type": getattr(mm, config["type"])} for config in configs]
    scoped = [config | {"type": f"mmengine.{config['type']}"} for config in configs]
    read = Config({"param_scheduler": configs})
    for form in (classes, scoped, read.param_scheduler, read.to_dict()["param_scheduler"]):
        schedule = from_mmengine(form, base_lr=0.02, steps_per_epoch=steps_per_epoch)
        assert_agrees(schedule, range(total_steps), theirs)


STRATEGY = st.sampled_from(["cos", "linear"])
SHARE = st.sampled_from([0.001, 0.1, 0.5, 1.0])
FLOOR = st.sampled_from([{"eta_min": 0.01}, {"eta_min_ratio": 0.1}, {"eta_min": 0}])
KINDS = {
    "ConstantLR": {"factor": SHARE},
    "CosineAnnealingLR": {"T_max": st.none() | st.integers(1, 30), "floor": st.just({}) | FLOOR},
    "CosineRestartLR": {"periods": st.lists(st.integers(1, 20), min_size=1, max_size=3), "floor": FLOOR},
    "ExponentialLR": {"gamma": st.sampled_from([0.5, 0.9, 1.1])},
    "LinearLR": {"start_factor": SHARE, "end_factor": SHARE},
    "MultiStepLR": {"milestones": st.lists(st.integers(0, 40), max_size=4), "gamma": SHARE},
    "OneCycleLR": {
        "eta_max": st.just(0.1), "total_steps": st.none() | st.integers(121, 200),
        "pct_start": st.sampled_from([0.25, 0.3, 0.5]), "three_phase": st.booleans(),
        "anneal_strategy": STRATEGY,
    },
    "PolyLR": {"power": st.sampled_from([0.9, 1.0, 2.0]), "eta_min": st.sampled_from([0, 0.001])},
    "StepLR": {"step_size": st.integers(1, 15), "gamma": SHARE},
}  # fmt: skip


@st.composite
def schedulers(draw):
    kind = draw(st.sampled_from(sorted(KINDS)))
    config = draw(st.fixed_dictionaries({"by_epoch": st.booleans(), **KINDS[kind]}))
    config |= config.pop("floor", {})
    if kind == "CosineRestartLR":
        config["restart_weights"] = draw(st.permutations([1, 0.5, 0.25]))[: len(config["periods"])]
    if config["by_epoch"]:
        config["convert_to_iter_based"] = draw(st.booleans())
    config["begin"] = draw(st.sampled_from([0, 0, 1, 3, 2.5]))
    if draw(st.booleans()):
        config["end"] = config["begin"] + draw(st.sampled_from([0.5, 1, 2, 7.5, 20, 60]))
    return {"type": kind} | config


@given(st.lists(schedulers(), max_size=4), st.integers(1, 6), st.integers(4, 20))
@settings(deadline=None, max_examples=500)
def test_random_lists(configs, steps_per_epoch, epochs):
    total_steps = steps_per_epoch * epochs
    arguments = {"base_lr": 0.2, "steps_per_epoch": steps_per_epoch, "total_steps": total_steps}
    try:
        theirs = list(mmengine_rates(0.2, configs, steps_per_epoch, total_steps))
        assert all(map(math.isfinite, theirs))
    except (ArithmeticError, AssertionError, TypeError, ValueError):
        with pytest.raises(ValueError, match=r"must (have a rate at every step|begin before)"):
            from_mmengine(configs, **arguments, tolerance=1e-6)
        return
    assert_near(from_mmengine(configs, **arguments, tolerance=1e-6), theirs)


PLATEAU = {"factor": 0.5, "patience": 2, "threshold": 0.1, "cooldown": 1, "min_value": 0.02}


@pytest.mark.parametrize("config", [{}, PLATEAU, PLATEAU | {"threshold_rule": "abs"}])
def test_a_plateau_is_refused_with_the_call_of_optax(config):
    with pytest.raises(ValueError, match="follows a metric") as refusal:
        from_mmengine([{"type": "ReduceOnPlateauLR"} | config], base_lr=0.2)
    call = re.search(r"write (optax.*\)), and", str(refusal.value))[1]
    transformation = eval(call, {"optax": optax})
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.2)
    theirs = mm.ReduceOnPlateauLR(optimizer, **config)
    state = transformation.init(np.zeros(1, np.float32))
    for metric in [9, 8, 7.95, 7.9, 8, 8, 8, 8, 8, 8, 7.5, *[7.5] * 15]:
        theirs.step({"loss": metric})
        scale, state = transformation.update(np.ones(1, np.float32), state, value=float(metric))
        np.testing.assert_allclose(0.2 * scale[0], optimizer.param_groups[0]["lr"], rtol=1e-6)


def annealed(start, end, share, weight=1.0, strategy="cos"):
    if strategy == "linear":
        return start + (end - start) * share
    return end + 0.5 * weight * (start - end) * (math.cos(math.pi * share) + 1)


def regular_rate(c, base, step, length):
    """MMCV 1.7's get_lr of each hook; ``step`` and ``length`` in epochs or iterations."""
    policy, gamma, strategy = c["policy"].lower(), c.get("gamma"), c.get("anneal_strategy", "cos")
    floor = c.get("min_lr") if c.get("min_lr") is not None else base * c.get("min_lr_ratio", 0)
    if policy == "step":
        starts = c["step"] if isinstance(c["step"], list) else range(c["step"], 999, c["step"])
        drops = next((i for i, start in enumerate(starts) if step < start), len(starts))
        return max(base * (gamma or 0.1) ** drops, floor)
    if policy == "exp":
        return base * gamma**step
    if policy == "inv":
        return base * (1 + gamma * step) ** (-c["power"])
    if policy == "poly":
        return (base - floor) * (1 - step / length) ** c["power"] + floor
    if policy in ("cosineannealing", "linearannealing"):
        kind = "cos" if policy.startswith("cos") else "linear"
        return annealed(base, floor, step / length, strategy=kind)
    if policy == "flatcosineannealing":
        start = round(length * c["start_percent"])
        return base if step < start else annealed(base, floor, (step - start) / (length - start))
    if policy == "cosinerestart":
        begins = np.cumsum([0, *c["periods"]])
        i = int(np.searchsorted(begins, step, side="right")) - 1
        return annealed(base, floor, (step - begins[i]) / c["periods"][i], c["restart_weights"][i])
    if policy == "cyclic":
        cycle_length, ratios = length // c["cyclic_times"], [1, *c["target_ratio"]]
        knots = [0, int(c["step_ratio_up"] * cycle_length), cycle_length]
        scale, at = gamma ** (step // cycle_length), step % cycle_length
        i = int(at >= knots[1])
        raised = i if knots[i] else i + 1
        ratios[raised] = 1 - scale + ratios[raised] * scale
    if policy == "onecycle":
        knots, at = [0, c["pct_start"] * length - 1, length - 1], step
        base, ratios = c["max_lr"], [1 / 25, 1, 1 / 25e3]
        if c["three_phase"]:
            knots[2:2], ratios[2:2] = [2 * c["pct_start"] * length - 2], [1 / 25]
        i = next(i for i, knot in enumerate(knots[1:]) if step <= knot)
    if policy in ("cyclic", "onecycle"):
        share = (at - knots[i]) / (knots[i + 1] - knots[i])
        return annealed(base * ratios[i], base * ratios[i + 1], share, strategy=strategy)
    return base


def lr_config_rates(base, c, length, total):
    """As MMCV's hook sets them, before every epoch and every iteration."""
    by_epoch = c.get("by_epoch", c["policy"] not in ("cyclic", "OneCycle"))
    warmup_iters = c.get("warmup_iters", 0) * (length if c.get("warmup_by_epoch") else 1)
    for count in range(total):
        units = (count // length, total // length) if by_epoch else (count, total)
        ratio, left = c.get("warmup_ratio"), max(1 - count / (warmup_iters or 1), 0)
        kind = c.get("warmup") if left else None
        share = {"constant": ratio, "exp": ratio and ratio**left, "linear": ratio and 1 - left * (1 - ratio)}  # fmt: skip
        yield regular_rate(c, base, *units) * share.get(kind, 1)


MIN_LR = st.sampled_from([{"min_lr": 0.01}, {"min_lr_ratio": 0.1}, {"min_lr": 0}])
POWER = st.sampled_from([0.9, 1.0, 2.0])
POLICIES = {
    "fixed": {},
    "step": {"step": st.integers(1, 30) | st.lists(st.integers(1, 30), min_size=1, max_size=4), "gamma": SHARE, "min_lr": st.sampled_from([None, 0.01])},
    "exp": {"gamma": st.sampled_from([0.5, 0.9])},
    "poly": {"power": POWER, "min_lr": st.sampled_from([0, 0.01])},
    "inv": {"gamma": SHARE, "power": POWER},
    "CosineAnnealing": {"floor": MIN_LR},
    "LinearAnnealing": {"floor": MIN_LR},
    "FlatCosineAnnealing": {"floor": MIN_LR, "start_percent": st.sampled_from([0.0, 0.5, 0.75, 1.0])},
    "CosineRestart": {"floor": MIN_LR, "periods": st.permutations([10, 20, 100]), "restart_weights": st.permutations([1, 0.5, 0.2])},
    "cyclic": {"target_ratio": st.sampled_from([(10, 1e-4), (5, 0.1)]), "cyclic_times": st.integers(1, 4), "step_ratio_up": st.sampled_from([0, 0.4, 0.5]), "gamma": st.sampled_from([1, 0.5]), "anneal_strategy": STRATEGY},
    "OneCycle": {"max_lr": st.just(0.3), "pct_start": st.sampled_from([0.3, 0.4]), "div_factor": st.just(25), "final_div_factor": st.just(1e3), "three_phase": st.booleans(), "anneal_strategy": STRATEGY},
}  # fmt: skip
WARMUPS = st.just({}) | st.fixed_dictionaries({
    "warmup": st.sampled_from(["constant", "linear", "exp"]), "warmup_iters": st.integers(1, 9),
    "warmup_ratio": SHARE, "warmup_by_epoch": st.booleans(),
})  # fmt: skip


@pytest.mark.parametrize("policy", POLICIES)
@given(st.data(), st.integers(1, 6), st.integers(4, 20))
@settings(deadline=None, max_examples=50)
def test_random_lr_configs(policy, data, steps_per_epoch, epochs):
    config = data.draw(st.fixed_dictionaries({"policy": st.just(policy), **POLICIES[policy]}))
    config |= config.pop("floor", {}) | data.draw(WARMUPS)
    if policy not in ("cyclic", "OneCycle"):
        config["by_epoch"] = data.draw(st.booleans())
    total_steps = steps_per_epoch * epochs
    theirs = list(lr_config_rates(0.2, config, steps_per_epoch, total_steps))
    arguments = {"base_lr": 0.2, "steps_per_epoch": steps_per_epoch, "total_steps": total_steps}
    assert_near(from_mmengine(config, **arguments, tolerance=1e-6), theirs)
