"""The Object Detection API, by the formulas of object_detection/utils/learning_schedules.py and the real protocol buffers."""

import math

import numpy as np
from agreement import assert_agrees, assert_within
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from hypothesis import given, settings
from hypothesis import strategies as st

from optax_stepping.interop import from_tf_object_detection

RATES = st.floats(2.0**-20, 1.0, width=32)


def object_detection_manual(step, boundaries, rates, warmup):
    """With a warmup, an entry for every step before the first boundary, then the search."""
    if warmup and boundaries:
        slope = (rates[1] - rates[0]) / boundaries[0]
        expanded = [rates[0] + slope * early for early in range(boundaries[0])]
        boundaries, rates = [*range(boundaries[0]), *boundaries], [*expanded, *rates[1:]]
    else:
        boundaries = [0, *boundaries]
    return rates[max(i if step >= b else 0 for i, b in enumerate(boundaries))]


@given(
    st.lists(st.integers(1, 300), min_size=1, max_size=5, unique=True).map(sorted),
    st.lists(RATES, min_size=6, max_size=6),
    st.booleans(),
)
@settings(deadline=None, max_examples=60)
def test_manual_steps(boundaries, rates, warmup):
    rates = rates[: len(boundaries) + 1]
    entries = "".join(
        f"schedule {{ step: {step} learning_rate: {rate!r} }}"
        for step, rate in zip(boundaries, rates[1:], strict=True)
    )
    config = (
        f"manual_step_learning_rate {{ initial_learning_rate: {rates[0]!r} {entries} "
        f"warmup: {str(warmup).lower()} }}"
    )
    counts = range(boundaries[-1] + 3)
    theirs = [object_detection_manual(count, boundaries, rates, warmup) for count in counts]
    assert_agrees(from_tf_object_detection(config), counts, theirs)
    for total_steps in (1, boundaries[0], boundaries[-1], boundaries[-1] + 2):
        short = from_tf_object_detection(config, total_steps=total_steps)
        assert_agrees(short, range(total_steps), theirs[:total_steps])


def in_a_training(length, kind, **fields):
    """A config of ``length`` steps, if that is not None."""
    texts = " ".join(f"{name}: {str(value).lower()}" for name, value in fields.items())
    rate = f"optimizer {{ learning_rate {{ {kind}_learning_rate {{ {texts} }} }} }}"
    return f"train_config {{ {'' if length is None else f'num_steps: {length}'} {rate} }}"


def object_detection_exponential(step, base, steps, factor, burnin_rate, burnin, floor, staircase):
    power = (step - burnin) / steps
    rate = base * factor ** (math.floor(power) if staircase else power)
    return max((burnin_rate or base) if step < burnin else rate, floor)


@given(
    base=RATES, steps=st.integers(2, 90), factor=st.floats(0.5, 1.0, width=32),
    burnin_rate=st.just(0.0) | RATES, burnin=st.integers(0, 120), floor=st.just(0.0) | RATES,
    staircase=st.booleans(),
)  # fmt: skip
@settings(deadline=None, max_examples=100)
def test_exponential_decay(base, steps, factor, burnin_rate, burnin, floor, staircase):
    fields = {
        "initial_learning_rate": base, "decay_steps": steps, "decay_factor": factor,
        "burnin_learning_rate": burnin_rate, "burnin_steps": burnin, "min_learning_rate": floor,
        "staircase": staircase,
    }  # fmt: skip
    arguments = (base, steps, factor, burnin_rate, burnin, floor, staircase)
    counts = np.arange(600)
    theirs = np.array([object_detection_exponential(count, *arguments) for count in counts])
    whole = in_a_training(600, "exponential_decay", **fields)
    if not staircase:
        assert_within(from_tf_object_detection(whole, tolerance=1e-3), counts, theirs, 1e-3)
        return
    endless = in_a_training(None, "exponential_decay", **fields)
    normal = theirs >= np.finfo(np.float32).tiny
    for config in (whole, endless) if factor < 0.9 or floor else (whole,):
        assert_agrees(from_tf_object_detection(config), counts[normal], theirs[normal])


def object_detection_cosine(step, base, start, total, warmup, hold):
    if step > total:
        return 0.0
    if step < warmup:
        return (base - start) / warmup * step + start
    if hold > 0 and step <= warmup + hold:
        return base
    return 0.5 * base * (1 + math.cos(math.pi * (step - warmup - hold) / (total - warmup - hold)))


@given(
    st.floats(2.0**-10, 1.0), st.floats(0.0, 1.0), st.sampled_from([100, 201, 500]),
    st.integers(0, 60), st.integers(0, 150), st.sampled_from([None, 90, 600]),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_cosine_decay(base, start, total, warmup, hold, num_steps):
    fields = {
        "learning_rate_base": base, "total_steps": total, "warmup_learning_rate": start * base,
        "warmup_steps": warmup, "hold_base_rate_steps": hold,
    }  # fmt: skip
    config = in_a_training(num_steps, "cosine_decay", **fields)
    arguments = (base, start * base, total, warmup, hold)
    for length in (None, 250):
        counts = range(length or num_steps or total)
        theirs = [object_detection_cosine(count, *arguments) for count in counts]
        schedule = from_tf_object_detection(config, total_steps=length, tolerance=1e-3)
        assert_within(schedule, counts, theirs, 1e-3)
        assert schedule(10**6) == schedule(counts[-1])


def test_defaults():
    """Those of protos/optimizer.proto."""
    schedule = from_tf_object_detection("exponential_decay_learning_rate { }")
    counts = [0, 3_999_999, 4_000_000, 7_999_999, 8_000_000, 2_000_000_000]
    assert_agrees(schedule, counts, [0.002 * 0.95 ** (count // 4_000_000) for count in counts])
    cosine = "cosine_decay_learning_rate { }"
    schedule = from_tf_object_detection(cosine, total_steps=200_000, tolerance=1e-3)
    theirs = [
        object_detection_cosine(c, 0.002, 0.0002, 4_000_000, 10_000, 0) for c in range(20_000)
    ]
    assert_within(schedule, range(20_000), theirs, 1e-3)


# The messages of protos/optimizer.proto that matter, for the real parser of the text format.
PROTO = """
name: "optimizer.proto" package: "p" syntax: "proto2"
message_type { name: "Entry"
  field { name: "step" number: 1 label: LABEL_OPTIONAL type: TYPE_UINT32 }
  field { name: "learning_rate" number: 2 label: LABEL_OPTIONAL type: TYPE_FLOAT default_value: "0.002" } }
message_type { name: "Manual"
  field { name: "initial_learning_rate" number: 1 label: LABEL_OPTIONAL type: TYPE_FLOAT default_value: "0.002" }
  field { name: "schedule" number: 2 label: LABEL_REPEATED type: TYPE_MESSAGE type_name: ".p.Entry" }
  field { name: "warmup" number: 3 label: LABEL_OPTIONAL type: TYPE_BOOL default_value: "false" } }
message_type { name: "LearningRate"
  field { name: "manual_step_learning_rate" number: 3 label: LABEL_OPTIONAL type: TYPE_MESSAGE type_name: ".p.Manual" } }
"""
POOL = descriptor_pool.DescriptorPool()
POOL.Add(text_format.Parse(PROTO, descriptor_pb2.FileDescriptorProto()))
LearningRate = message_factory.GetMessageClass(POOL.FindMessageTypeByName("p.LearningRate"))
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
