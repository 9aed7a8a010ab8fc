"""The learning rate in a pipeline.config of the TensorFlow Object Detection API.

These files are protocol buffers in text format, often broken in places: unquoted placeholders,
missing values. So all but the learning rate is read just closely enough to find that.
"""

import os
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from optax_stepping._arguments import bad_kind, shown
from optax_stepping.interop._files import read_text

MAX_DEPTH = 100

# Between them, commas, brackets and comments are skipped.
_SKIP = r"(?:[\s,;\[\]]|\#.*+)*+"
_ATOM = r"""(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[^\s{}<>\[\]:;,"'\#]+|["'])"""
_ITEM = re.compile(
    rf"\#.*|(?P<close>[}}>])|(?P<open>[{{<])"
    rf"|(?P<name>{_ATOM}){_SKIP}(?:(?::{_SKIP})?(?P<opens>[{{<])|:{_SKIP}(?P<value>{_ATOM})|)"
)


class Field(NamedTuple):
    """A field of a message: its line, its name, its text or the list of its own fields."""

    line: int
    name: str
    value: Any


def read_config(config: str | os.PathLike[str]) -> tuple[Field, int | None]:
    """The one learning rate of a text or a file, and the length of training, if it says so."""
    if not isinstance(config, str | os.PathLike):
        must = "be the text or the path of a pipeline.config"
        raise bad_kind("config", must, shown(config), "write a str or a pathlib.Path")
    text, _ = read_text("config", config, r"[{<\n]", "cut out its train_config")
    *messages, (_, top) = _messages(text)
    found = [
        message
        for parent, message in messages
        if message.name.endswith("_learning_rate") and parent in ("learning_rate", "")
    ]
    if len(found) > 1:
        raise ValueError(
            f"config: there are {len(found)} learning rates, {found[0].name} in line "
            f"{found[0].line} and {found[1].name} in line {found[1].line}; keep one."
        )
    caffe = [field for field in top.value if field.name in ("base_lr", "lr_policy")]
    if caffe and not found:
        raise ValueError(
            f"config: line {caffe[0].line}: {caffe[0].name} is of Caffe's solver.prototxt, not of "
            f"a pipeline.config; write {_caffe_call(top)}."
        )
    if not found:
        raise ValueError(
            "config: there is no learning rate in it; a pipeline.config has one in train_config "
            "{ optimizer { ... { learning_rate { manual_step_learning_rate { ... } } } } }."
        )
    trainings = [message.value for _, message in messages if message.name == "train_config"]
    steps = [field.value for fields in trainings for field in fields if field.name == "num_steps"]
    # 0 is the API's word for a training without end.
    return found[0], int(steps[-1]) or None if steps and str(steps[-1]).isdecimal() else None


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


def _caffe_call(solver: Field) -> str:
    """The call that has the rates of a solver, as far as its fields say so."""
    fields: dict[str, str] = {}
    for _, name, value in solver.value:
        fields[name] = f"{fields[name]}, {value}" if name in fields else str(value)
    try:
        rate = _POLICIES[fields.get("lr_policy", "").strip("\"'")].format(**fields)
        call = f"lambda c: {rate}, total_steps={fields['max_iter']}"
    except KeyError:
        call = "function, total_steps=..."
    return f"optax_stepping.from_function({call}, tolerance=1e-3)"


def _messages(text: str) -> Iterator[tuple[str, Field]]:
    """Every message of the text, with the name of the one around it; at last the whole."""
    stack: list[Field] = [Field(1, "", [])]
    line, last, closed = 1, 0, ""
    for item in _ITEM.finditer(text):
        line, last = line + text.count("\n", last, item.start()), item.start()
        if item["close"]:
            if len(stack) == 1:
                raise ValueError(f"config: line {line} closes a brace that was never opened.")
            message = stack.pop()
            closed = message.name
            yield stack[-1].name, message
        elif item["open"] or item["opens"]:
            # The messages of a list have one name for all.
            message = Field(line, item["name"] or closed, [])
            stack[-1].value.append(message)
            stack.append(message)
            if len(stack) > MAX_DEPTH + 1:
                raise ValueError(f"config: line {line} is nested deeper than {MAX_DEPTH} levels.")
        elif item["name"]:
            stack[-1].value.append(Field(line, item["name"], item["value"] or ""))
    if len(stack) > 1:
        raise ValueError(
            f"config: the message {stack[-1].name!r} of line {stack[-1].line} is never closed."
        )
    yield "", stack[0]
