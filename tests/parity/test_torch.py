"""torch.optim.lr_scheduler, stepped for real through whole recipes."""

import math

import numpy as np
import pytest
import torch
from agreement import assert_agrees
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import same
from torch.optim import lr_scheduler as torch_lr

from optax_stepping import describe
from optax_stepping.interop import from_torch

pytestmark = pytest.mark.filterwarnings("ignore")
EPOCH = 7330  # iterations of an epoch of COCO at 16 images each


def make_optimizer(*rates):
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": rate} for rate in rates]
    return torch.optim.SGD(groups, lr=1.0)


def stepped(make, total_steps, *, rates=(0.1,), param_group=0):
    """The rates of a fresh scheduler over a whole training."""
    scheduler = make(make_optimizer(*rates))
    found = []
    for _ in range(total_steps):
        found.append(
            scheduler.optimizer.param_groups[param_group]["lr"]
            if hasattr(scheduler, "optimizer")
            else scheduler._schedulers[0].optimizer.param_groups[param_group]["lr"]
        )
        scheduler.step()
    return found


def coco(times):
    def make(optimizer):
        warmup = torch_lr.LinearLR(optimizer, 0.001, total_iters=500)
        drops = torch_lr.MultiStepLR(
            optimizer, [(12 * times - 4) * EPOCH, (12 * times - 1) * EPOCH]
        )
        return torch_lr.ChainedScheduler([warmup, drops])

    return make, 12 * times * EPOCH


RECIPES = {
    "detection 1x": coco(1),
    "detection 2x": coco(2),
    "detection 3x": coco(3),
    "torchvision ImageNet, epochs": (lambda o: torch_lr.StepLR(o, 30, 0.1), 120),
    "torchvision ImageNet with warmup, epochs": (
        lambda o: torch_lr.SequentialLR(
            o,
            [torch_lr.LinearLR(o, 0.01, total_iters=5), torch_lr.StepLR(o, 30, 0.1)],
            milestones=[5],
        ),
        100,
    ),
    "torchvision ImageNet with constant warmup, epochs": (
        lambda o: torch_lr.SequentialLR(
            o,
            [torch_lr.ConstantLR(o, 0.01, total_iters=5), torch_lr.StepLR(o, 30, 0.1)],
            milestones=[5],
        ),
        100,
    ),
    "torchvision detection": (
        lambda o: torch_lr.ChainedScheduler(
            [
                torch_lr.LinearLR(o, 0.001, total_iters=1000),
                torch_lr.MultiStepLR(o, [16 * EPOCH, 22 * EPOCH], gamma=0.1),
            ]
        ),
        26 * EPOCH,
    ),
    "CIFAR ResNet-110": (
        lambda o: torch_lr.ChainedScheduler(
            [torch_lr.ConstantLR(o, 0.1, total_iters=400), torch_lr.MultiStepLR(o, [32000, 48000])]
        ),
        64000,
    ),
    "large minibatch ImageNet": (
        lambda o: torch_lr.ChainedScheduler(
            [
                torch_lr.LinearLR(o, 0.1 / 3.2, total_iters=5 * 156),
                torch_lr.MultiStepLR(o, [30 * 156, 60 * 156, 80 * 156]),
            ]
        ),
        90 * 156,
    ),
    "language model": (
        lambda o: torch_lr.ChainedScheduler(
            [
                torch_lr.LinearLR(o, 1e-3, total_iters=2000),
                torch_lr.MultiStepLR(o, [80_000, 90_000], gamma=0.316),
            ]
        ),
        100_000,
    ),
    "repeated milestones": (lambda o: torch_lr.MultiStepLR(o, [3, 7, 7, 7, 9], gamma=0.5), 20),
    "growing": (lambda o: torch_lr.MultiStepLR(o, [3, 7], gamma=2.0), 20),
    "milestone at 0": (lambda o: torch_lr.MultiStepLR(o, [0, 7], gamma=0.5), 20),
    "StepLR for ever": (lambda o: torch_lr.StepLR(o, 3, 0.1), 150),
    "sequence of three": (
        lambda o: torch_lr.SequentialLR(
            o,
            [
                torch_lr.ConstantLR(o, 0.5, total_iters=4),
                torch_lr.LinearLR(o, 1.0, 0.25, total_iters=10),
                torch_lr.MultiStepLR(o, [3, 5], 0.1),
            ],
            milestones=[7, 20],
        ),
        40,
    ),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_recipes(recipe):
    make, total_steps = RECIPES[recipe]
    theirs = stepped(make, total_steps)
    schedule = from_torch(make(make_optimizer(0.1)))
    assert_agrees(schedule, range(total_steps), theirs)
    short = from_torch(make(make_optimizer(0.1)), total_steps)
    assert_agrees(short, range(total_steps), theirs)
    assert "never reached" not in describe(short, total_steps)


@pytest.mark.parametrize(
    "recipe",
    [
        "torchvision ImageNet with warmup, epochs",
        "repeated milestones",
        "sequence of three",
        "StepLR for ever",
    ],
)
@pytest.mark.parametrize("done", [1, 3, 7, 12])
def test_half_run_schedulers(recipe, done):
    make, _ = RECIPES[recipe]
    scheduler = make(make_optimizer(0.1))
    for _ in range(done):
        scheduler.step()
    assert same(from_torch(scheduler), from_torch(make(make_optimizer(0.1))))


def test_half_run_chains():
    make, _ = RECIPES["large minibatch ImageNet"]
    scheduler = make(make_optimizer(0.1))
    for _ in range(5000):
        scheduler.step()
    assert same(from_torch(scheduler), from_torch(make(make_optimizer(0.1))))


def test_parameter_groups():
    def make(optimizer):
        return torch_lr.MultiStepLR(optimizer, [3, 7])

    for group in (0, 1):
        theirs = stepped(make, 12, rates=(0.1, 0.7), param_group=group)
        schedule = from_torch(make(make_optimizer(0.1, 0.7)), param_group=group)
        assert_agrees(schedule, range(12), theirs)
    with pytest.raises(ValueError, match=r"= 2: the optimizer has 2 groups; write 0 \.\. 1\."):
        from_torch(make(make_optimizer(0.1, 0.7)), param_group=2)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda o: torch_lr.CosineAnnealingLR(o, 10),
            "CosineAnnealingLR .*optax.cosine_decay_schedule",
        ),
        (lambda o: torch_lr.ReduceLROnPlateau(o), "ReduceLROnPlateau .*reduce_on_plateau"),
        (lambda o: torch_lr.ExponentialLR(o, 0.999), "more than 10000 stages.* total_steps"),
        (
            lambda o: torch_lr.SequentialLR(
                o, [torch_lr.StepLR(o, 3), torch_lr.StepLR(o, 4), torch_lr.StepLR(o, 5)], [5, 3]
            ),
            r"milestones must be in ascending order, got \[5, 3\]",
        ),
        (
            lambda o: torch_lr.SequentialLR(
                o,
                [
                    torch_lr.StepLR(o, 3),
                    torch_lr.SequentialLR(o, [torch_lr.StepLR(o, 3), torch_lr.StepLR(o, 4)], [4]),
                ],
                [9],
            ),
            "part 1 is a SequentialLR: torch starts a sequence inside",
        ),
        (
            lambda o: torch_lr.SequentialLR(
                o,
                [
                    torch_lr.SequentialLR(o, [torch_lr.StepLR(o, 3), torch_lr.StepLR(o, 4)], [4]),
                    torch_lr.StepLR(o, 3),
                ],
                [9],
            ),
            "part 0 is a SequentialLR: torch starts a sequence inside",
        ),
        (
            lambda o: torch_lr.SequentialLR(
                o,
                [torch_lr.StepLR(o, 3), torch_lr.ChainedScheduler([torch_lr.StepLR(o, 3)])],
                [9],
            ),
            "part 1 is a ChainedScheduler: torch starts a sequence inside .* a chain",
        ),
        (
            lambda o: torch_lr.ChainedScheduler(
                [
                    torch_lr.SequentialLR(o, [torch_lr.StepLR(o, 3), torch_lr.StepLR(o, 4)], [9]),
                    torch_lr.MultiStepLR(o, [5]),
                ]
            ),
            "part 0 is a SequentialLR, which sets the rate anew at step 9",
        ),
        (
            lambda o: torch_lr.ChainedScheduler(
                [
                    torch_lr.ChainedScheduler(
                        [
                            torch_lr.SequentialLR(
                                o, [torch_lr.StepLR(o, 3), torch_lr.StepLR(o, 4)], [1]
                            )
                        ]
                    ),
                    torch_lr.LinearLR(o, 0.1, total_iters=10),
                ]
            ),
            "part 0 is a SequentialLR, which sets the rate anew at step 1",
        ),
        (
            lambda o: torch_lr.ConstantLR(o, 0.5, total_iters=0),
            "total_iters must be positive, got 0",
        ),
        (lambda o: torch_lr.LambdaLR(o, lambda epoch: 1.0), "LambdaLR .*manual_stepping"),
        (
            lambda o: torch_lr.ChainedScheduler(
                [
                    torch_lr.LinearLR(o, 0.1, total_iters=10),
                    torch_lr.LinearLR(o, 0.5, total_iters=9),
                ]
            ),
            "two ramps overlap from step 0 to 9",
        ),
        (
            lambda o: torch_lr.ChainedScheduler(
                [torch_lr.StepLR(o, 3), torch_lr.CosineAnnealingLR(o, 10)]
            ),
            "part 1: CosineAnnealingLR",
        ),
    ],
)
def test_what_cannot_be_expressed(make, words):
    with pytest.raises(ValueError, match=words):
        from_torch(make(make_optimizer(0.1)))


def test_a_rate_changed_by_hand_is_noticed():
    scheduler = torch_lr.MultiStepLR(make_optimizer(0.1), [5])
    scheduler.step()
    scheduler.optimizer.param_groups[0]["lr"] = 0.03
    scheduler.step()
    with pytest.raises(ValueError, match=r"after 2 steps the rate is 0\.03"):
        from_torch(scheduler)
    with pytest.raises(TypeError, match="scheduler must be"):
        from_torch(0.1)


def test_a_rate_changed_by_hand_before_the_first_step_is_noticed():
    scheduler = torch_lr.MultiStepLR(make_optimizer(0.1), [5])
    scheduler.optimizer.param_groups[0]["lr"] = 0.03
    with pytest.raises(ValueError, match=r"after 0 steps the rate is 0\.03, .*changed by hand"):
        from_torch(scheduler)


def test_two_schedulers_on_one_optimizer_are_said():
    optimizer = make_optimizer(0.1)
    drops = torch_lr.MultiStepLR(optimizer, [5])
    torch_lr.LinearLR(optimizer, 0.1, total_iters=4)
    with pytest.raises(ValueError, match=r"another scheduler works on the same optimizer"):
        from_torch(drops)


QUIRKS = {
    "sequence from 0": lambda o: torch_lr.SequentialLR(
        o, [torch_lr.ConstantLR(o), torch_lr.StepLR(o, 30)], [0]
    ),
    "sequence from before 0": lambda o: torch_lr.SequentialLR(
        o, [torch_lr.ConstantLR(o), torch_lr.StepLR(o, 30)], [-1]
    ),
    "sequence with equal milestones": lambda o: torch_lr.SequentialLR(
        o, [torch_lr.ConstantLR(o), torch_lr.StepLR(o, 30), torch_lr.StepLR(o, 4)], [5, 5]
    ),
    "milestones of floats": lambda o: torch_lr.MultiStepLR(o, [150 * 0.5, 112.5]),
    "milestone before 0": lambda o: torch_lr.MultiStepLR(o, [-3, -1, 7]),
    "chain of chains": lambda o: torch_lr.ChainedScheduler(
        [
            torch_lr.ChainedScheduler(
                [torch_lr.LinearLR(o, 0.1, total_iters=7), torch_lr.StepLR(o, 9)]
            ),
            torch_lr.MultiStepLR(o, [4, 50]),
        ]
    ),
    "sequence that starts with a chain": lambda o: torch_lr.SequentialLR(
        o,
        [
            torch_lr.ChainedScheduler(
                [torch_lr.LinearLR(o, 0.1, total_iters=7), torch_lr.StepLR(o, 9)]
            ),
            torch_lr.StepLR(o, 8, 0.5),
        ],
        [20],
    ),
    "chain with a sequence before its drops": lambda o: torch_lr.ChainedScheduler(
        [
            torch_lr.SequentialLR(o, [torch_lr.ConstantLR(o, 0.5, 3), torch_lr.StepLR(o, 30)], [5]),
            torch_lr.MultiStepLR(o, [6, 40]),
        ]
    ),
    "sequence of a sequence from 0": lambda o: torch_lr.SequentialLR(
        o,
        [
            torch_lr.SequentialLR(o, [torch_lr.ConstantLR(o), torch_lr.StepLR(o, 4)], [0]),
            torch_lr.StepLR(o, 8, 0.5),
        ],
        [20],
    ),
    "chain of one": lambda o: torch_lr.ChainedScheduler([torch_lr.StepLR(o, 9)]),
    "a rate for every step": lambda o: torch_lr.ExponentialLR(o, 0.9),
    "vanishing products": lambda o: torch_lr.ChainedScheduler(
        [torch_lr.StepLR(o, 3), torch_lr.MultiStepLR(o, [10, 20, 30], 1e-4)]
    ),
    "vanishing products with a ramp": lambda o: torch_lr.ChainedScheduler(
        [torch_lr.StepLR(o, 2), torch_lr.LinearLR(o, 1e-3, total_iters=140)]
    ),
}


@pytest.mark.parametrize("quirk", QUIRKS)
def test_quirks(quirk):
    make = QUIRKS[quirk]
    theirs = stepped(make, 160)
    for total_steps in (None, 160):
        assert_agrees_until_tiny(from_torch(make(make_optimizer(0.1)), total_steps), theirs)


def assert_agrees_until_tiny(schedule, theirs):
    """Rates below the smallest normal number of float32 are 0 or close to it."""
    theirs = np.asarray(theirs)
    normal = np.abs(theirs) >= np.finfo(np.float32).tiny
    assert_agrees(schedule, np.flatnonzero(normal), theirs[normal])
    assert (np.abs(schedule(np.flatnonzero(~normal))) <= np.finfo(np.float32).tiny).all()


@pytest.mark.filterwarnings("error")
def test_milestones_that_torch_never_reaches_are_said():
    scheduler = torch_lr.MultiStepLR(make_optimizer(0.1), [150 * 0.5, 112.5])
    with pytest.warns(UserWarning, match=r"never reaches the milestones \[112\.5\]"):
        schedule = from_torch(scheduler)
    assert np.asarray(schedule.boundaries).tolist() == [75]


PER_EPOCH = {
    "drops": lambda o: torch_lr.MultiStepLR(o, [3, 7]),
    "a later ramp by epochs": lambda o: torch_lr.SequentialLR(
        o, [torch_lr.ConstantLR(o, 0.5, 9), torch_lr.LinearLR(o, 0.5, 1.0, 5)], [3]
    ),
    "a ramp by epochs": lambda o: torch_lr.SequentialLR(
        o, [torch_lr.LinearLR(o, 0.01, total_iters=5), torch_lr.StepLR(o, 3)], [5]
    ),
    "every epoch": lambda o: torch_lr.ExponentialLR(o, 0.9),
}


@pytest.mark.parametrize("recipe", PER_EPOCH)
@pytest.mark.parametrize("done", [0, 4])
def test_stepped_once_an_epoch(recipe, done):
    make, steps = PER_EPOCH[recipe], 13
    theirs = np.repeat(stepped(make, 12), steps)
    scheduler = make(make_optimizer(0.1))
    for _ in range(done):
        scheduler.step()
    for total_steps in (None, len(theirs)):
        schedule = from_torch(scheduler, total_steps, steps_per_epoch=steps)
        assert_agrees(schedule, range(len(theirs)), theirs)


@pytest.mark.parametrize("warmup_steps", [5, 12])
@pytest.mark.parametrize("done", [0, 3, 30])
def test_the_two_schedulers_of_torchvisions_detection_reference(warmup_steps, done):
    """A warmup by steps in the first epoch, drops by epochs."""
    steps, epochs, theirs = 13, 9, []

    def make():
        optimizer = make_optimizer(0.02)
        drops = torch_lr.MultiStepLR(optimizer, [4, 7])
        return drops, torch_lr.LinearLR(optimizer, 0.001, total_iters=warmup_steps)

    drops, warmup = make()
    for step in range(steps * epochs):
        if step == done:
            schedule = from_torch(drops, steps_per_epoch=steps, warmup=warmup)
        theirs.append(drops.optimizer.param_groups[0]["lr"])
        warmup.step()
        if (step + 1) % steps == 0:
            drops.step()
    assert_agrees(schedule, range(len(theirs)), theirs)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"steps_per_epoch": 0}, ValueError, "steps_per_epoch must be positive, got 0"),
        ({"steps_per_epoch": "7"}, TypeError, "steps_per_epoch must be an integer, got '7'"),
        ({"total_steps": -1}, ValueError, "total_steps must be positive, got -1"),
        ({"param_group": 0.5}, TypeError, "param_group must be an integer, got 0.5"),
        ({"warmup": 0.1}, TypeError, "warmup must be a torch learning rate scheduler, got 0.1"),
    ],
)
def test_bad_options(options, error, message):
    with pytest.raises(error, match=message):
        from_torch(torch_lr.StepLR(make_optimizer(0.1), 3), **options)


@given(
    milestones=st.lists(st.integers(1, 60), max_size=6),
    gamma=st.floats(0.1, 1.5),
    warmup=st.integers(1, 12),
    factor=st.floats(0.01, 1.0),
    base=st.floats(1e-4, 10),
    linear=st.booleans(),
    order=st.booleans(),
)
@settings(deadline=None, max_examples=150)
def test_random_chains(milestones, gamma, warmup, factor, base, linear, order):
    milestones = [warmup + milestone for milestone in milestones]

    def make(optimizer):
        kind = torch_lr.LinearLR if linear else torch_lr.ConstantLR
        parts = [kind(optimizer, factor, total_iters=warmup)]
        parts.insert(int(order), torch_lr.MultiStepLR(optimizer, milestones, gamma))
        return torch_lr.ChainedScheduler(parts)

    schedule = from_torch(make(make_optimizer(base)))
    assert_agrees(schedule, range(90), stepped(make, 90, rates=(base,)))


@given(
    lengths=st.lists(st.integers(2, 20), min_size=1, max_size=3),
    period=st.integers(1, 9),
    gamma=st.floats(0.1, 1.2),
    factor=st.floats(0.05, 1.0),
)
@settings(deadline=None, max_examples=100)
def test_random_sequences(lengths, period, gamma, factor):
    def make(optimizer):
        parts = [torch_lr.ConstantLR(optimizer, factor, total_iters=3)]
        parts += [torch_lr.StepLR(optimizer, period, gamma) for _ in lengths]
        starts = [sum(lengths[: i + 1]) for i in range(len(lengths))]
        return torch_lr.SequentialLR(optimizer, parts, starts)

    if math.isclose(gamma, 1.0):
        return
    schedule = from_torch(make(make_optimizer(0.3)), 90)
    assert_agrees(schedule, range(90), stepped(make, 90, rates=(0.3,)))


def test_a_ramp_across_a_milestone():
    def make(optimizer):
        return torch_lr.ChainedScheduler(
            [
                torch_lr.LinearLR(optimizer, 0.1, total_iters=10),
                torch_lr.MultiStepLR(optimizer, [5]),
            ]
        )

    schedule = from_torch(make(make_optimizer(0.1)))
    np.testing.assert_allclose(schedule(np.arange(20)), stepped(make, 20), rtol=1e-6)


def test_a_training_that_ends_in_a_ramp():
    """What is left of the ramp is kept, as it was."""

    def make(optimizer):
        return torch_lr.LinearLR(optimizer, 0.1, total_iters=100)

    schedule = from_torch(make(make_optimizer(0.1)), 40)
    assert_agrees(schedule, range(40), stepped(make, 40))
    assert schedule.boundaries.tolist() == [100]

    def make_later(optimizer):
        parts = [torch_lr.ConstantLR(optimizer, 0.5, 9), torch_lr.LinearLR(optimizer, 0.5, 1.0, 99)]
        return torch_lr.SequentialLR(optimizer, parts, [9])

    schedule = from_torch(make_later(make_optimizer(0.1)), 40)
    assert_agrees(schedule, range(40), stepped(make_later, 40))
