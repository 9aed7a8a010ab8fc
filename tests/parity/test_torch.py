"""torch.optim.lr_scheduler and SWALR, stepped for real beside a real optimizer."""

import copy
import functools
import math
from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler as lr
from torch.optim.swa_utils import SWALR
from torch.utils._python_dispatch import TorchDispatchMode

from optax_stepping import pad
from optax_stepping.interop import _torch, from_torch

pytestmark = pytest.mark.filterwarnings("error")


def make_optimizer(*rates, kind=torch.optim.SGD):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(2))], "lr": rate} for rate in rates]
    return kind(groups, lr=1.0, **({"momentum": 0.9} if kind is torch.optim.SGD else {}))


def rate_of(optimizer, group=0):
    return float(optimizer.param_groups[group]["lr"])


def assert_rates(schedule, theirs, tolerance=0.0):
    theirs = np.asarray(theirs)
    peak = np.abs(theirs).max()
    # One compiled program for all schedules.
    ours = pad(schedule, max(257, schedule.rates.size))(np.arange(len(theirs)))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=(3e-7 + tolerance) * peak)


class Counting:
    """A callable object with a state of its own, which has a method, too."""

    def __init__(self):
        self.calls, self.seen = {"made": 0}, set()

    def __call__(self, epoch, scale=1):
        self.calls["made"] += 1
        return 1 / self.calls["made"] + scale * epoch % 3

    def rate(self, epoch):
        self.seen.add(epoch + len(self.seen))
        return 1 / len(self.seen)


class Slotted:
    __slots__ = ()

    def __call__(self, epoch):
        return 0.5**epoch


def counting():
    calls = 0

    def factor(epoch, seen=[], *, known=[]):  # noqa: B006
        nonlocal calls
        calls += 1
        vars(factor)["calls"] = attribute = vars(factor).get("calls", 0) + 1
        seen.append(epoch)
        known.append(epoch)
        return (1 if epoch < 999 else later) / (calls + 2 * attribute + 4 * len(seen + known))

    if calls:
        later = 1  # never
    return factor


def two_that_count_together():
    calls = 0

    def first(epoch):
        nonlocal calls
        calls += 1
        return 1 / calls

    return [first, lambda epoch: 1 / calls]


FUNCTIONS = {
    "an object": lambda: [Counting()] * 2,
    "two objects": lambda: [Counting(), Counting()],
    "a method": lambda: [Counting().rate] * 2,
    "a partial": lambda: [functools.partial(Counting(), scale=2)] * 2,
    "a closure": lambda: [counting(), counting()],
    "two closures over one variable": two_that_count_together,
    "made in C": lambda: [functools.lru_cache(counting())] * 2,
    "with slots": lambda: [Slotted()] * 2,
}


def following(optimizer):
    """A factor that looks at the rate."""
    return lr.MultiplicativeLR(optimizer, lambda _: 0.5 + (optimizer.param_groups[0]["lr"] < 0.1))


class Sawtooth(lr.StepLR):
    """A subclass with its own rates and methods stored in it."""

    def __init__(self, optimizer, height, **options):
        self.height, self.saw = height, self.tooth
        self.seen = []
        super().__init__(optimizer, **options)

    def tooth(self):
        self.seen.append(self.last_epoch)
        return self.height * (self.last_epoch % self.step_size + len(self.seen) % 2)

    def state_dict(self):
        return {key: value for key, value in super().state_dict().items() if key != "saw"}

    def get_lr(self):
        return [base * (1 + self.saw()) for base in self.base_lrs]


FACTORS, LENGTHS, RATES = st.floats(0.1, 1.0), st.integers(1, 25), st.floats(1e-3, 1.0)
STRATEGIES = st.sampled_from(["cos", "linear"])
LAMBDAS = st.sampled_from([
    lambda epoch: 0.5 ** (epoch // 5),
    lambda epoch: min(1.0, (epoch + 1) / 10),
    lambda epoch: max(0.0, 0.5 * (1 + math.cos(math.pi * epoch / 40))),
    Counting(),
]).map(copy.deepcopy)  # fmt: skip
KINDS = {
    lr.StepLR: {"step_size": LENGTHS, "gamma": FACTORS},
    lr.MultiStepLR: {"milestones": st.lists(st.integers(0, 60), max_size=4), "gamma": FACTORS},
    lr.ConstantLR: {"factor": FACTORS, "total_iters": LENGTHS},
    lr.LinearLR: {"start_factor": FACTORS, "end_factor": FACTORS, "total_iters": LENGTHS},
    lr.ExponentialLR: {"gamma": st.floats(0.8, 1.05)},
    lr.PolynomialLR: {"total_iters": st.integers(1, 60), "power": st.floats(0.5, 3.0)},
    lr.CosineAnnealingLR: {"T_max": st.integers(2, 60), "eta_min": st.just(0.0) | st.floats(1e-6, 0.1)},
    lr.CosineAnnealingWarmRestarts: {"T_0": LENGTHS, "T_mult": st.integers(1, 3)},
    lr.CyclicLR: {
        "base_lr": RATES, "max_lr": RATES, "step_size_up": LENGTHS, "step_size_down": LENGTHS,
        "mode": st.sampled_from(["triangular", "triangular2", "exp_range"]), "gamma": FACTORS,
    },
    lr.OneCycleLR: {
        "max_lr": RATES, "total_steps": st.integers(20, 150), "three_phase": st.booleans(),
        "anneal_strategy": STRATEGIES,
    },
    SWALR: {"swa_lr": RATES, "anneal_epochs": st.integers(0, 30), "anneal_strategy": STRATEGIES},
    Sawtooth: {"height": FACTORS, "step_size": LENGTHS},
    lr.LambdaLR: {"lr_lambda": st.lists(LAMBDAS, min_size=2, max_size=2)},
    lr.MultiplicativeLR: {"lr_lambda": st.just(lambda epoch: 0.9 + epoch % 3 / 10)},
    following: {},
}  # fmt: skip


def test_every_kind_is_compared():
    others = {"ChainedScheduler", "SequentialLR", "LRScheduler", "ReduceLROnPlateau"}
    assert {kind.__name__ for kind in KINDS} >= {*lr.__all__} - others


def make(kind, options):
    # Made twice where one is restored: each with functions of its own.
    return lambda optimizer: kind(optimizer, **copy.deepcopy(options))


LEAVES = st.one_of(
    st.builds(make, st.just(kind), st.fixed_dictionaries(options))
    for kind, options in KINDS.items()
)


def chain(parts):
    return lambda optimizer: lr.ChainedScheduler([part(optimizer) for part in parts])


def sequence(parts, gaps):
    starts = np.cumsum(gaps).tolist()[: len(parts) - 1]
    return lambda optimizer: lr.SequentialLR(optimizer, [part(optimizer) for part in parts], starts)


def nested(inner):
    parts = st.lists(inner, min_size=1, max_size=3)
    gaps = st.lists(st.integers(0, 20), min_size=2, max_size=2)
    return st.builds(chain, parts) | st.builds(sequence, parts, gaps)


RECIPES = st.recursive(LEAVES, nested, max_leaves=6)


def snapshot(*schedulers):
    optimizer = schedulers[0].optimizer
    return copy.deepcopy((optimizer.state_dict(), [s and s.state_dict() for s in schedulers]))


def train(scheduler, count, *, warmup=None, interval="step", length=1, frequency=1):
    """A step of a training and what follows it, as Lightning does it; torchvision has a warmup."""
    scheduler.optimizer.step()
    if warmup is not None:
        warmup.step()
    epoch, batch = divmod(count - 1, length)
    if interval == "step" and (batch + 1) % frequency == 0:
        scheduler.step()
    if interval == "epoch" and batch + 1 == length and (epoch + 1) % frequency == 0:
        scheduler.step()


def trained(scheduler, counts, *, group=0, **options):
    """The rate at every count of a training."""
    rates = []
    for count in counts:
        rates.append(rate_of(scheduler.optimizer, group))
        train(scheduler, count + 1, **options)
    return rates


@given(
    RECIPES, st.none() | st.none() | LEAVES, st.integers(0, 1),
    st.sampled_from([torch.optim.SGD, torch.optim.AdamW]),
    st.sampled_from([None, None, torch.float32, torch.float64]),
    st.sampled_from([1, 1, 1, 2, 7]), st.sampled_from([1, 1, 2]), st.integers(1, 120),
    st.just(0.0) | st.floats(0, 0.999), st.sampled_from(["epoch", "step"]), st.booleans(),
)  # fmt: skip
@settings(max_examples=1000)
def test_random_recipes(
    recipe, warmup_recipe, group, kind, dtype, length, frequency, total_steps, share_done, interval, restored,
):  # fmt: skip
    def fresh():
        rates = [torch.tensor(rate, dtype=dtype) if dtype else rate for rate in (0.5, 0.02)]
        optimizer = make_optimizer(*rates, kind=kind)
        return optimizer, recipe(optimizer), warmup_recipe and warmup_recipe(optimizer)

    frequency, done = min(frequency, length), int(share_done * total_steps)
    times = {"interval": interval, "length": length, "frequency": frequency}
    try:
        optimizer, scheduler, warmup = run = fresh()
        for count in range(1, done + 1):
            train(scheduler, count, warmup=warmup, **times)
        if restored:
            optimizer, scheduler, warmup = fresh()
            for new, old in zip((optimizer, scheduler, warmup), run, strict=True):
                old and new.load_state_dict(copy.deepcopy(old.state_dict()))
    except Exception:
        assume(False)  # torch itself does not
    config = {"scheduler": scheduler, "interval": interval, "frequency": frequency}
    handed_in = scheduler if interval == "epoch" and frequency == 1 else config
    before, schedule, refusal = snapshot(scheduler, warmup), None, None
    with mock.patch.object(_torch, "from_table", wraps=_torch.from_table) as from_table:
        try:
            schedule = from_torch(
                handed_in, total_steps=total_steps, param_group=group, steps_per_epoch=length,
                warmup=warmup,
            )  # fmt: skip
        except ValueError as error:
            refusal = str(error)
    assert snapshot(scheduler, warmup) == before
    theirs = [rate_of(optimizer, group)] * (done + 1)
    for count in range(done + 1, total_steps):
        try:
            train(scheduler, count, warmup=warmup, **times)
        except Exception:
            assert f"at step {count}" in refusal
            return
        theirs.append(rate_of(optimizer, group))
    assert from_table.call_args.args[0].tolist() == theirs
    assert_rates(schedule, theirs)


STEPS = 156  # of an epoch of ImageNet, at 8,192 images each
LANDMARKS = {
    "large minibatch ImageNet": (
        lambda o: lr.ChainedScheduler([
            lr.LinearLR(o, 0.1 / 3.2, total_iters=5 * STEPS),
            lr.MultiStepLR(o, [30 * STEPS, 60 * STEPS, 80 * STEPS]),
        ]),
        90 * STEPS, 1, [5 * STEPS, 30 * STEPS, 60 * STEPS, 80 * STEPS],
    ),
    "torchvision ImageNet, by epochs": (
        lambda o: lr.SequentialLR(o, [lr.LinearLR(o, 0.01, total_iters=3), lr.StepLR(o, 30)], [3]),
        90 * STEPS, STEPS, [STEPS, 2 * STEPS, 3 * STEPS, 33 * STEPS, 63 * STEPS],
    ),
    "a cosine by epochs": (
        lambda o: lr.CosineAnnealingLR(o, 30), 30 * STEPS, STEPS, list(range(STEPS, 30 * STEPS, STEPS)),
    ),
    "Hugging Face's linear schedule": (
        lambda o: lr.LambdaLR(o, lambda c: c / 500 if c < 500 else max(0.0, (9000 - c) / 8500)),
        9100, 1, [500, 9000],
    ),
    "a polynomial of power 1": (lambda o: lr.PolynomialLR(o, 9000), 9100, 1, [9000]),
    "a linear onecycle": (
        lambda o: lr.OneCycleLR(o, 0.1, total_steps=9000, anneal_strategy="linear"),
        9000, 1, [2699, 8999],
    ),
    "a triangular cycle": (lambda o: lr.CyclicLR(o, 0.1, 0.2, 500), 2000, 1, [500, 1000, 1500, 1999]),
    "a staircase": (lambda o: lr.StepLR(o, 300, 0.5), 1000, 1, [300, 600, 900]),
}  # fmt: skip


@pytest.mark.parametrize("name", LANDMARKS)
def test_stages_are_where_the_recipe_has_them(name):
    recipe, total_steps, length, boundaries = LANDMARKS[name]
    scheduler = recipe(make_optimizer(0.5))
    schedule = from_torch(scheduler, total_steps=total_steps, steps_per_epoch=length)
    assert schedule.boundaries.tolist() == boundaries
    assert_rates(schedule, trained(scheduler, range(total_steps), interval="epoch", length=length))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_with_a_state_are_as_they_were(name):
    scheduler = lr.LambdaLR(make_optimizer(0.5, 0.1), FUNCTIONS[name]())
    trained(scheduler, range(3))
    schedule = from_torch(scheduler, total_steps=12, param_group=1)
    now = rate_of(scheduler.optimizer, 1)
    assert_rates(schedule, [now] * 3 + trained(scheduler, range(3, 12), group=1))


def test_a_curve_takes_a_tolerance():
    scheduler = lr.OneCycleLR(make_optimizer(0.5), 0.5, total_steps=2000)
    with pytest.raises(ValueError, match=r"curve from step 0 to step 1999.*tolerance=1e-3"):
        from_torch(scheduler, total_steps=2000)
    schedule = from_torch(scheduler, total_steps=2000, tolerance=1e-3)
    assert_rates(schedule, trained(scheduler, range(2000)), tolerance=1e-3)
    assert schedule.rates.size < 40


def test_a_scheduler_that_is_made_in_the_midst_of_a_training():
    optimizer = make_optimizer(0.5)
    optimizer.param_groups[0]["initial_lr"] = 0.5
    scheduler = lr.StepLR(optimizer, 30, last_epoch=44)
    schedule, now = from_torch(scheduler, total_steps=90), rate_of(optimizer)
    assert_rates(schedule, [now] * 45 + trained(scheduler, range(45, 90)))


class NoTensors(TorchDispatchMode):
    def __torch_dispatch__(self, operation, *_):
        raise AssertionError(operation)


class Freed:
    """What gives something back when it is no longer needed."""

    number = 0

    def __del__(self):
        Freed.number += 1

    def rate(self, epoch):
        return 0.5


class FreedOptimizer(Freed, torch.optim.SGD):
    pass


def test_a_model_is_neither_copied_nor_touched():
    model = torch.nn.Linear(3, 2)
    optimizer = FreedOptimizer(model.parameters(), 0.5, momentum=0.9)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()

    class Rate:
        def __init__(self):
            self.model, self.method, self.counts = model, model.forward, {0}
            self.table = torch.ones(9)

        def __call__(self, epoch):
            assert self.model is model
            assert self.method.__self__ is model
            self.counts.add(epoch)
            return 1 / len(self.counts)

    class Stepping(lr.LambdaLR):
        def step(self, *_, **__):
            super().step(self.last_epoch + 1)
            self.optimizer.step()
            for parameter in self.optimizer.param_groups[0]["params"]:
                parameter.detach()

    with pytest.warns(UserWarning, match="The epoch parameter"):
        first = Stepping(optimizer, Rate())
    parts = [first, lr.MultiplicativeLR(optimizer, Freed().rate)]
    with NoTensors():
        schedule = from_torch(lr.ChainedScheduler(parts), total_steps=9)
    assert schedule(2) == np.float32(0.5 / 3 * 0.5)
    assert first.lr_lambdas[0].counts == {0}
    assert Freed.number == 0


class Plateau(lr.ReduceLROnPlateau):
    pass


OPTIMIZER = make_optimizer(0.5)
STEPPED = lr.StepLR(OPTIMIZER, 3)
train(STEPPED, 1)
FRESH = lr.StepLR(OPTIMIZER, 3)
ELSEWHERE = lr.StepLR(make_optimizer(0.5), 3)


@pytest.mark.parametrize(
    ("scheduler", "options", "error", "words"),
    [
        (lr.ReduceLROnPlateau(OPTIMIZER), {}, ValueError, "got ReduceLROnPlateau, .*optax.contrib"),
        (Plateau(OPTIMIZER), {}, ValueError, "without a metric, got Plateau, whose step is .*'metrics'"),
        ({"scheduler": STEPPED, "monitor": "loss"}, {}, ValueError, "'monitor': 'loss'}; .*optax.contrib"),
        ({"scheduler": STEPPED, "reduce_on_plateau": True}, {}, ValueError, "_on_plateau': True}; "),
        ({"lr_scheduler": STEPPED}, {}, ValueError, "have 'scheduler'.* got {'lr_scheduler': .*; write the"),
        ({"scheduler": STEPPED, "every": 3}, {}, ValueError, "only 'interval', .* got .*'every': 3}; write"),
        ({"scheduler": STEPPED, "interval": "batch"}, {}, ValueError, "one of epoch, step, got 'batch'"),
        ({"scheduler": STEPPED, "frequency": 0}, {}, ValueError, r"'frequency'\] must be positive"),
        (
            {"scheduler": STEPPED, "interval": "step", "frequency": 5}, {"steps_per_epoch": 4},
            ValueError, "at most steps_per_epoch, got 5 with steps_per_epoch=4",
        ),
        (0.1, {}, TypeError, r"scheduler must be a PyTorch scheduler, got 0\.1 .*from_function"),
        (OPTIMIZER, {}, TypeError, r"scheduler must be a PyTorch scheduler, got SGD \( Param.*"),
        (STEPPED, {"warmup": 0.1}, TypeError, r"warmup must be a PyTorch scheduler, got 0\.1"),
        (STEPPED, {"warmup": ELSEWHERE}, ValueError, "warmup must have scheduler's optimizer, "),
        (STEPPED, {"warmup": FRESH}, ValueError, "last_epoch=0, and 1 in scheduler; leave it out"),
        (STEPPED, {"warmup": STEPPED, "total_steps": 1}, ValueError, "got 1 for a scheduler with"),
        (STEPPED, {"total_steps": 0}, ValueError, "total_steps must be positive, got 0"),
        (STEPPED, {"total_steps": 1}, ValueError, "got 1 for a scheduler with last_epoch=1"),
        (STEPPED, {"steps_per_epoch": 50, "total_steps": 50}, ValueError, "got 50 for a scheduler"),
        (
            lr.OneCycleLR(make_optimizer(0.5), 0.5, total_steps=20), {}, ValueError,
            r"total_steps must be .*, got 90, and at step 21 ValueError\(.*; write at most 21\.",
        ),
        (STEPPED, {"param_group": 1}, ValueError, "be one of 1 groups, got 1; write 0"),
        (STEPPED, {"param_group": -1}, ValueError, "param_group must not be negative, got -1"),
        (STEPPED, {"steps_per_epoch": "7"}, TypeError, "steps_per_epoch must be an integer, got '7'"),
    ],
)  # fmt: skip
def test_what_is_refused(scheduler, options, error, words):
    with pytest.raises(error, match=words) as refusal:
        from_torch(scheduler, **{"total_steps": 90} | options)
    assert "\n" not in str(refusal.value)
