"""The learning rate in a pipeline.config of the TensorFlow Object Detection API.

These files are protocol buffers in text format, often broken in places: unquoted placeholders,
missing values. So all but the learning rate is read just closely enough to find that.
"""

import os
import re
from typing import Any, NamedTuple

from optax_stepping._arguments import bad_kind, shown
from optax_stepping.interop._files import read_text

MAX_DEPTH = 100

# Between them, commas, brackets and comments are skipped.
_SKIP = r"(?:[\s,;\[\]]|\#.*+)*+"
_ATOM = r"""(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[^\s{}<>\[\]:;,"'\#]+|["'])"""
# The name is empty before the brace of a message in a list.
_ITEM = re.compile(
    rf"\#.*|(?P<close>[}}>])"
    rf"|(?P<name>{_ATOM}|(?=[{{<])){_SKIP}(?:(?::{_SKIP})?(?P<open>[{{<])|:{_SKIP}(?P<value>{_ATOM})|)"
)


class Field(NamedTuple):
    """A field: its line, the name of the message around it, its own, its text or its fields."""

    line: int
    parent: str
    name: str
    value: Any


def read_config(config: str | os.PathLike[str]) -> tuple[Field, int | None]:
    """The one learning rate of a text or a file, and the length of training, if it says so."""
    if not isinstance(config, str | os.PathLike):
        must = "be the text or the path of a pipeline.config"
        raise bad_kind("config", must, shown(config), "write a str or a pathlib.Path")
    text, _ = read_text("config", config, r"[{<\n]", "cut out its train_config")
    fields = _fields(text)
    messages = [field for field in fields if isinstance(field.value, list)]
    rates = [message for message in messages if message.name.endswith("_learning_rate")]
    found = [message for message in rates if message.parent in ("learning_rate", "")]
    if len(found) > 1:
        both = " and ".join(f"{rate.name} in line {rate.line}" for rate in found[:2])
        raise ValueError(f"config: there are {len(found)} learning rates, {both}; keep one.")
    solver = [field for field in fields if not field.parent and isinstance(field.value, str)]
    caffe = [field for field in solver if field.name in ("base_lr", "lr_policy")]
    if caffe and not found:
        here = f"config: line {caffe[0].line}: {caffe[0].name}"
        what = "of Caffe's solver.prototxt, not of a pipeline.config"
        raise ValueError(f"{here} is {what}; write {_caffe_call(solver)}.")
    if not found:
        raise ValueError(
            "config: there is no learning rate in it; a pipeline.config has one in train_config "
            "{ optimizer { ... { learning_rate { manual_step_learning_rate { ... } } } } }."
        )
    lengths = [f.value for f in fields if (f.parent, f.name) == ("train_config", "num_steps")]
    is_number = lengths and re.fullmatch(r"\d{1,99}", str(lengths[-1]))
    # 0 is the API's word for a training without end.
    return found[0], int(lengths[-1]) or None if is_number else None


# Of Caffe, by the names of sgd_solver.cpp.
_POLICIES = {
    "fixed": "{base_lr}",
    "step": "{base_lr} * {gamma} ** (c // {stepsize})",
    "exp": "{base_lr} * {gamma} ** c",
    "inv": "{base_lr} * (1 + {gamma} * c) ** -{power}",
    "multistep": "{base_lr} * {gamma} ** sum(c >= step for step in [{stepvalue}])",
    "poly": "{base_lr} * (1 - c / {max_iter}) ** {power}",
    "sigmoid": "{base_lr} / (1 + math.exp(-{gamma} * (c - {stepsize})))",
}


def _caffe_call(solver: list[Field]) -> str:
    """The call that has the rates of a solver, as far as its fields say so."""
    values = {field.name: field.value for field in solver}
    values["stepvalue"] = ", ".join(f.value for f in solver if f.name == "stepvalue")
    try:
        rate = _POLICIES[values["lr_policy"].strip("\"'")].format(**values)
        call = f"lambda c: {rate}, total_steps={values['max_iter']}"
    except KeyError:
        call = "function, total_steps=..."
    return f"optax_stepping.from_function({call}, tolerance=1e-3)"


def _fields(text: str) -> list[Field]:
    """All fields of the text and of its messages, in its order."""
    fields, around = [], [Field(1, "", "", [])]
    line, position, closed = 1, 0, ""
    for item in _ITEM.finditer(text):
        line, position = line + text.count("\n", position, item.start()), item.start()
        if item["close"]:
            closed = around.pop().name
            if not around:
                raise ValueError(f"config: line {line} closes a brace that was never opened.")
        elif item["name"] is not None:
            value = [] if item["open"] else item["value"] or ""
            # The messages of a list have one name for all.
            field = Field(line, around[-1].name, item["name"] or closed, value)
            fields.append(field)
            around[-1].value.append(field)
            if item["open"]:
                around.append(field)
            if len(around) > MAX_DEPTH + 1:
                raise ValueError(f"config: line {line} is nested deeper than {MAX_DEPTH} levels.")
    last = around.pop()
    if around:
        raise ValueError(f"config: the message {last.name!r} of line {last.line} is never closed.")
    return fields
