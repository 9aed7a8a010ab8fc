"""Keras, fvcore, MMEngine, Optax, protocol buffers."""

import jax.numpy as jnp
import keras
import numpy as np
import optax
import pytest
import torch
from agreement import assert_agrees
from fvcore.common.param_scheduler import (
    CompositeParamScheduler,
    ConstantParamScheduler,
    CosineParamScheduler,
    LinearParamScheduler,
    MultiStepParamScheduler,
)
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.optim import scheduler as mm

from optax_stepping.interop import (
    from_fvcore,
    from_keras,
    from_mmengine,
    from_optax,
    from_optax_exponential_decay,
    from_tf_object_detection,
)

pytestmark = pytest.mark.filterwarnings("ignore")
INCREASING = st.lists(st.integers(1, 200), min_size=1, max_size=5, unique=True).map(sorted)
EPOCH = 7330


@given(INCREASING, st.data())
@settings(deadline=None, max_examples=25)
def test_keras(boundaries, data):
    rates = st.floats(2.0**-20, 10, width=32)
    values = data.draw(st.lists(rates, min_size=len(boundaries) + 1, max_size=len(boundaries) + 1))
    theirs = keras.optimizers.schedules.PiecewiseConstantDecay(boundaries, values)
    counts = sorted({0, 1, *(b + d for b in boundaries for d in (-1, 0, 1, 2)), 10**6})
    values_there = [float(theirs(count)) for count in counts]
    for handed_in in (theirs, theirs.get_config()):
        assert_agrees(from_keras(handed_in), counts, values_there)


@given(st.floats(2.0**-13, 1.0, width=32), st.integers(1, 80), st.floats(0.5, 1.0, width=32))
@settings(deadline=None, max_examples=25)
def test_keras_exponential_decay(rate, steps, decay):
    theirs = keras.optimizers.schedules.ExponentialDecay(rate, steps, decay, staircase=True)
    counts = sorted({0, 1, *(k * steps + d for k in range(1, 8) for d in (-1, 0, 1)), 300})
    rates = [float(theirs(count)) for count in counts]
    for handed_in in (theirs, theirs.get_config()):
        # Keras takes the power in float32.
        np.testing.assert_allclose(
            from_keras(handed_in, counts[-1] + 1)(np.array(counts)), rates, rtol=2e-6
        )


def test_keras_refusals():
    schedules = keras.optimizers.schedules
    with pytest.raises(ValueError, match=r"CosineDecay .*optax\.cosine_decay_schedule"):
        from_keras(schedules.CosineDecay(0.1, 100))
    with pytest.raises(ValueError, match=r"optax\.exponential_decay\(0\.1, 100, 0\.9\)") as refusal:
        from_keras(schedules.ExponentialDecay(0.1, 100, 0.9).get_config())
    advice = eval(str(refusal.value).partition("use ")[2].removesuffix("."), {"optax": optax})
    smooth = schedules.ExponentialDecay(0.1, 100, 0.9)
    for count in (0, 1, 50, 777):
        np.testing.assert_allclose(advice(count), float(smooth(count)), rtol=2e-6)
    with pytest.raises(TypeError, match="must be a PiecewiseConstantDecay"):
        from_keras(0.1)


class WarmupParamScheduler(CompositeParamScheduler):
    """As Detectron2 defines it."""

    def __init__(self, scheduler, factor, length, method="linear", rescale_interval=False):
        end = scheduler(0.0) if rescale_interval else scheduler(length)
        start = factor * scheduler(0.0)
        linear = LinearParamScheduler(start, end)
        warmup = {"linear": linear, "constant": ConstantParamScheduler(start)}[method]
        scaling = ["rescaled", "rescaled" if rescale_interval else "fixed"]
        super().__init__([warmup, scheduler], [length, 1 - length], scaling)


def multi_step(total):
    return MultiStepParamScheduler(
        [1.0, 0.1, 0.01], num_updates=total, milestones=[total // 2, total * 3 // 4]
    )


FVCORE = {
    "multi-step": lambda total: multi_step(total),
    "evenly split": lambda total: MultiStepParamScheduler([1.0, 0.5, 0.25], num_updates=total),
    "scale-invariant": lambda total: MultiStepParamScheduler([1.0, 0.5, 0.1], milestones=[3, 6, 9]),
    "constant": lambda total: ConstantParamScheduler(0.5),
    "linear": lambda total: LinearParamScheduler(0.9, 0.1),
    "warmup": lambda total: WarmupParamScheduler(multi_step(total), 0.001, 20 / total),
    "constant warmup": lambda total: WarmupParamScheduler(
        multi_step(total), 0.1, 20 / total, "constant"
    ),
    "warmup, rescaled": lambda total: WarmupParamScheduler(
        multi_step(total), 0.1, 0.1, rescale_interval=True
    ),
    "warmup before a line": lambda total: WarmupParamScheduler(
        LinearParamScheduler(1.0, 0.0), 0.1, 0.2, rescale_interval=True
    ),
    "composite": lambda total: CompositeParamScheduler(
        [LinearParamScheduler(0.1, 0.7), ConstantParamScheduler(0.7), multi_step(total)],
        [0.2, 0.3, 0.5],
        ["rescaled", "rescaled", "rescaled"],
    ),
    "composite of composites": lambda total: CompositeParamScheduler(
        [
            WarmupParamScheduler(multi_step(total), 0.1, 0.1, rescale_interval=True),
            ConstantParamScheduler(0.2),
        ],
        [0.6, 0.4],
        ["rescaled", "fixed"],
    ),
}


@pytest.mark.parametrize("total", [97, 1000, 4321])
@pytest.mark.parametrize("name", FVCORE)
def test_fvcore(name, total):
    scheduler = FVCORE[name](total)
    theirs = [0.02 * scheduler(count / total) for count in range(total)]
    schedule = from_fvcore(scheduler, 0.02, num_updates=total)
    assert_agrees_near_zero(schedule, range(total), theirs)
    assert schedule(2**31 - 1) == schedule(total)


def test_a_warmup_that_ends_in_rounding_noise_is_one_stage():
    schedule = from_fvcore(FVCORE["warmup before a line"](1000), 0.02, num_updates=1000)
    assert schedule.boundaries.tolist() == [200, 1000]


def assert_agrees_near_zero(schedule, counts, theirs):
    """A line that ends at 0 does so in float64 noise there."""
    theirs = np.asarray(theirs)
    assert_agrees(schedule, np.asarray(counts)[theirs > 1e-9], theirs[theirs > 1e-9])
    assert np.abs(schedule(np.asarray(counts)[theirs <= 1e-9])).max(initial=0) <= 1e-9


def test_fvcore_refusals():
    with pytest.raises(ValueError, match=r"part 1: CosineParamScheduler .*optax\.cosine_decay"):
        from_fvcore(
            CompositeParamScheduler(
                [ConstantParamScheduler(1.0), CosineParamScheduler(1.0, 0.0)],
                [0.5, 0.5],
                ["fixed", "fixed"],
            ),
            0.1,
            num_updates=100,
        )
    with pytest.raises(TypeError, match=r"scheduler must be a ParamScheduler of fvcore, got 0\.1"):
        from_fvcore(0.1, 0.1, num_updates=100)
    with pytest.raises(ValueError, match="num_updates must be positive, got 0"):
        from_fvcore(ConstantParamScheduler(1.0), 0.1, num_updates=0)
    with pytest.raises(TypeError, match="base_lr must be a real number, got 'a'"):
        from_fvcore(ConstantParamScheduler(1.0), "a", num_updates=10)


def mmengine_rates(base, configs, steps_per_epoch, total_steps):
    """MMEngine's own schedulers, stepped as its hook does."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=base)
    by_iteration, by_epoch = [], []
    for config in configs:
        settings_ = dict(config)
        kind = getattr(mm, settings_.pop("type"))
        per_epoch = settings_.get("by_epoch", True)
        if settings_.pop("convert_to_iter_based", False):
            scheduler = kind.build_iter_from_epoch(
                optimizer=optimizer, epoch_length=steps_per_epoch, **{"by_epoch": True} | settings_
            )
            per_epoch = False
        else:
            scheduler = kind(optimizer, **settings_)
        (by_epoch if per_epoch else by_iteration).append(scheduler)
    rates = []
    for count in range(total_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        for scheduler in by_iteration:
            scheduler.step()
        if (count + 1) % steps_per_epoch == 0:
            for scheduler in by_epoch:
                scheduler.step()
    return rates


def coco(times):
    epochs = 12 * times
    warmup = {"type": "LinearLR", "start_factor": 0.001, "by_epoch": False, "begin": 0, "end": 500}
    drops = {
        "type": "MultiStepLR", "begin": 0, "end": epochs, "by_epoch": True,
        "milestones": [epochs - 4, epochs - 1], "gamma": 0.1,
    }  # fmt: skip
    return [warmup, drops], EPOCH, epochs * EPOCH


MMENGINE = {
    "detection 1x": coco(1),
    "detection 2x": coco(2),
    "detection 3x": coco(3),
    "constant warmup": ([{"type": "ConstantLR", "factor": 0.1, "by_epoch": False, "end": 400}, {"type": "MultiStepLR", "by_epoch": False, "milestones": [900, 1200]}], 100, 1500),
    "epoch warmup": ([{"type": "LinearLR", "start_factor": 0.1, "end": 5}, {"type": "StepLR", "step_size": 7, "begin": 5}], 10, 400),
    "converted": ([{"type": "LinearLR", "start_factor": 0.1, "end": 5, "convert_to_iter_based": True}, {"type": "MultiStepLR", "milestones": [8, 11], "end": 12, "convert_to_iter_based": True}], 10, 200),
    "begin later": ([{"type": "LinearLR", "start_factor": 0.5, "end_factor": 0.25, "by_epoch": False, "begin": 20, "end": 41}, {"type": "MultiStepLR", "by_epoch": False, "milestones": [5, 9, 9], "begin": 50, "end": 70}], 10, 100),
    "end before a milestone": ([{"type": "MultiStepLR", "milestones": [3, 6, 9], "end": 7}], 5, 80),
    "StepLR with an end": ([{"type": "StepLR", "step_size": 3, "gamma": 0.5, "end": 20, "by_epoch": False}], 5, 50),
    "one step each": ([{"type": "ConstantLR", "by_epoch": False, "begin": 3, "end": 4}, {"type": "LinearLR", "by_epoch": False, "begin": 6, "end": 8}], 5, 20),
    "step for ever": ([{"type": "StepLR", "step_size": 2, "by_epoch": False}], 5, 100),
}  # fmt: skip


@pytest.mark.parametrize("recipe", MMENGINE)
def test_mmengine_recipes(recipe):
    configs, steps_per_epoch, total_steps = MMENGINE[recipe]
    theirs = mmengine_rates(0.02, configs, steps_per_epoch, total_steps)
    schedule = from_mmengine(0.02, configs, steps_per_epoch=steps_per_epoch)
    assert_agrees(schedule, range(total_steps), theirs)


@pytest.mark.parametrize("form", ["class", "scoped", "to_dict"])
def test_mmengine_types_of_every_form(form):
    configs, steps_per_epoch, total_steps = MMENGINE["constant warmup"]
    theirs = mmengine_rates(0.02, configs, steps_per_epoch, total_steps)
    if form == "class":
        configs = [config | {"type": getattr(mm, config["type"])} for config in configs]
    if form == "scoped":
        configs = [config | {"type": f"mmengine.{config['type']}"} for config in configs]
    if form == "to_dict":
        configs = Config({"param_scheduler": configs}).to_dict()["param_scheduler"]
    for handed_in in (configs, Config({"param_scheduler": configs}).param_scheduler):
        schedule = from_mmengine(0.02, handed_in, steps_per_epoch=steps_per_epoch)
        assert_agrees(schedule, range(total_steps), theirs)


@given(
    warmup=st.integers(3, 30), factor=st.floats(0.01, 1.0), gamma=st.floats(0.1, 1.2),
    milestones=INCREASING, steps_per_epoch=st.integers(1, 7), by_epoch=st.booleans(),
    kind=st.sampled_from(["LinearLR", "ConstantLR"]),
)  # fmt: skip
@settings(deadline=None, max_examples=150)
def test_random_mmengine(warmup, factor, gamma, milestones, steps_per_epoch, by_epoch, kind):
    name = "start_factor" if kind == "LinearLR" else "factor"
    configs = [
        {"type": kind, name: factor, "by_epoch": False, "end": warmup},
        {"type": "MultiStepLR", "gamma": gamma, "by_epoch": by_epoch,
         "milestones": [warmup + milestone for milestone in milestones]},
    ]  # fmt: skip
    theirs = mmengine_rates(0.3, configs, steps_per_epoch, 300)
    schedule = from_mmengine(0.3, configs, steps_per_epoch=steps_per_epoch)
    assert_agrees(schedule, range(300), theirs)


@given(st.dictionaries(st.integers(0, 200), st.floats(0.0625, 2.0), max_size=6), st.floats(1e-4, 1))
@example({5: 0.0, 9: 2.0}, 0.5)
@settings(deadline=None, max_examples=60)
def test_optax(scales, init_value):
    counts = np.arange(220)
    constant = optax.piecewise_constant_schedule(init_value, scales)
    assert_agrees(
        from_optax(init_value, scales), counts, constant(jnp.asarray(counts)) + 0 * counts
    )
    scales.pop(0, None)
    linear = optax.piecewise_interpolate_schedule("linear", init_value, scales)
    theirs = [float(linear(jnp.int32(count))) for count in counts[::7]]
    ours = from_optax(init_value, scales, interpolate=True)
    np.testing.assert_allclose(ours(counts[::7]), theirs, rtol=1e-6)


@given(
    init_value=st.floats(2.0**-13, 1.0, width=32), steps=st.integers(1, 60),
    decay=st.floats(0.5, 1.5, width=32),
    begin=st.integers(0, 50), end_value=st.none() | st.floats(1e-3, 1.0) | st.floats(-1.0, -1e-3),
    sign=st.sampled_from([1, -1]),
)  # fmt: skip
@example(init_value=0.5, steps=9, decay=1.0, begin=0, end_value=0.125, sign=1)
@example(init_value=0.5, steps=9, decay=0.5, begin=0, end_value=None, sign=-1)
@example(init_value=0.5, steps=9, decay=0.5, begin=0, end_value=-0.2, sign=-1)
@settings(deadline=None, max_examples=40)
def test_optax_exponential_decay(init_value, steps, decay, begin, end_value, sign):
    init_value *= sign
    # One count at a time: over an array, XLA multiplies by a rounded reciprocal of the steps, and
    # Optax may switch a step late.
    counts = sorted({0, *(begin + k * steps + d for k in range(4) for d in (-1, 0, 1))} - {-1})
    schedule = optax.exponential_decay(
        init_value, steps, decay, begin, staircase=True, end_value=end_value
    )
    theirs = [float(schedule(jnp.int32(count))) for count in counts]
    ours = from_optax_exponential_decay(
        init_value, steps, decay, begin, end_value=end_value, total_steps=counts[-1] + 1
    )
    np.testing.assert_allclose(ours(np.array(counts)), theirs, rtol=2e-6)


def learning_rate_message():
    """The messages of protos/optimizer.proto that matter, for the real text format parser."""
    field = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="optimizer.proto", package="p", syntax="proto2")
    messages = {
        "Entry": [("step", 1, "uint32", None), ("learning_rate", 2, "float", "0.002")],
        "Manual": [
            ("initial_learning_rate", 1, "float", "0.002"),
            ("schedule", 2, "Entry", None),
            ("warmup", 3, "bool", "false"),
        ],
        "LearningRate": [("manual_step_learning_rate", 3, "Manual", None)],
    }
    kinds = {"uint32": field.TYPE_UINT32, "float": field.TYPE_FLOAT, "bool": field.TYPE_BOOL}
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field_name, number, kind, default in fields:
            label = field.LABEL_REPEATED if field_name == "schedule" else field.LABEL_OPTIONAL
            added = message.field.add(name=field_name, number=number, label=label)
            added.type = kinds.get(kind, field.TYPE_MESSAGE)
            if kind in messages:
                added.type_name = f".p.{kind}"
            if default is not None:
                added.default_value = default
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("p.LearningRate"))


LearningRate = learning_rate_message()
SPACES = st.sampled_from([" ", "\n", "  # a comment }\n", "\t"])
NUMBERS = st.sampled_from(["0.1", ".0003", "3e-4", "1E-2", "0.5f", "1", "2."])


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_the_text_format_as_protocol_buffers_read_it(data):
    def draw(*choices):
        return data.draw(st.sampled_from(choices))

    def block(name, inside):
        opening, closing = draw("{}", "<>")
        return f"{name}{draw('', ':', ' : ')}{opening}{data.draw(SPACES)}{inside}{closing}"

    def scalar(name, value):
        return f"{name}{draw(':', ' : ', ':  ')}{value}{draw(' ', ';', ',', data.draw(SPACES))} "

    step, inside = 0, ""
    if draw(True, False):
        inside += scalar("initial_learning_rate", data.draw(NUMBERS))
    for _ in range(data.draw(st.integers(1, 4))):
        step += data.draw(st.integers(1, 10**6))
        entry = scalar("step", draw(str(step), hex(step)))
        if draw(True, False):
            entry += scalar("learning_rate", data.draw(NUMBERS))
        inside += block("schedule", entry) + draw(" ", ",", ";")
    if draw(True, False):
        inside += scalar("warmup", draw("true", "false", "1", "0", "t", "f", "True", "False"))
    text = block("manual_step_learning_rate", inside)
    theirs = text_format.Parse(text, LearningRate()).manual_step_learning_rate
    ours = from_tf_object_detection(f"learning_rate {{ {text} }}")
    assert np.asarray(ours.boundaries).tolist() == [entry.step for entry in theirs.schedule]
    rates = [theirs.initial_learning_rate, *(entry.learning_rate for entry in theirs.schedule)]
    np.testing.assert_array_equal(ours.rates, np.float32(rates))
    assert bool(ours.ramps[0]) == theirs.warmup
