"""Protocol buffers."""

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from hypothesis import given, settings
from hypothesis import strategies as st

from optax_stepping.interop import from_tf_object_detection

pytestmark = pytest.mark.filterwarnings("ignore")


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
