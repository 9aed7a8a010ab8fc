"""The learning rate in a pipeline.config of the TensorFlow Object Detection API.

These files are protocol buffers in text format, but the ones in the wild are often broken
in places: unquoted placeholders, missing values, fields of other versions. So this reads
only the learning rate by the letter and the rest just closely enough to find it, in one pass
without recursion.
"""

import os
import re
from pathlib import Path
from typing import NamedTuple

from optax_stepping.interop._files import check_size, read_text

MAX_DEPTH = 100
REMEDY = "cut out its train_config"

_TOKEN = re.compile(
    r"""
    (?P<skip>\s+|\#[^\n]*)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<extension>\[[A-Za-z_][\w./]*\](?=\s*[:{<]))
    |(?P<mark>[{}<>\[\]:;,])
    |(?P<atom>[^\s{}<>\[\]:;,"'\#]+|["'])
    """,
    re.VERBOSE,
)


class Field(NamedTuple):
    """A field of a message: its line, its name, its text or its own fields."""

    line: int
    name: str
    value: "str | list[Field]"


def read_config(config: str | os.PathLike[str]) -> str:
    """The text of ``config``, which is that text already, or the path of a file."""
    if not isinstance(config, str | os.PathLike):
        raise TypeError(
            f"config must be the text or the path of a pipeline.config, got {config!r} of "
            f"type {type(config).__name__}; write a str or a pathlib.Path."
        )
    if not (isinstance(config, str) and re.search(r"[{<\n]", config)):
        return read_text("config", Path(config), REMEDY)
    check_size("config", len(config), REMEDY)
    return config


def find_learning_rate(text: str) -> Field:
    """The one message ``*_learning_rate`` that stands in a ``learning_rate`` (or alone)."""
    found = [
        field
        for parents, field in _messages(text)
        if field.name.endswith("_learning_rate") and parents[-1:] in (["learning_rate"], [])
    ]
    if not found:
        raise ValueError(
            "config: there is no learning rate in it; a pipeline.config has one in train_config "
            "{ optimizer { ... { learning_rate { manual_step_learning_rate { ... } } } } }."
        )
    if len(found) > 1:
        raise ValueError(
            f"config: there are {len(found)} learning rates, {found[0].name} in line "
            f"{found[0].line} and {found[1].name} in line {found[1].line}; keep one."
        )
    return found[0]


def read_num_steps(config: str | os.PathLike[str]) -> int | None:
    """The length of training in a config, if it says so."""
    for _, message in _messages(read_config(config)):
        if message.name == "train_config":
            for field in message.value:
                if isinstance(field, Field) and field.name == "num_steps":
                    text = str(field.value)
                    return int(text) if text.isdecimal() and int(text) > 0 else None
    return None


def _messages(text: str):
    """Every message of the text with the names of its parents, innermost last."""
    stack: list[Field] = [Field(1, "", [])]
    outer_lists: list[bool] = []
    name, awaits_value, in_list = None, False, False
    for kind, token, line in _tokens(text):
        fields = stack[-1].value
        assert isinstance(fields, list)
        if kind == "mark" and token in "{<":
            message = Field(line, name or "", [])
            fields.append(message)
            stack.append(message)
            outer_lists.append(in_list)
            if len(outer_lists) > MAX_DEPTH:
                raise ValueError(f"config: line {line} is nested deeper than {MAX_DEPTH} levels.")
            name, awaits_value, in_list = None, False, False
        elif kind == "mark" and token in "}>":
            if len(stack) == 1:
                raise ValueError(f"config: line {line} closes a brace that was never opened.")
            message = stack.pop()
            yield [parent.name for parent in stack[1:]], message
            in_list = outer_lists.pop()
            name, awaits_value = (message.name, True) if in_list else (None, False)
        elif token == ":":
            awaits_value = name is not None
        elif token in "[]" and kind == "mark":
            in_list = token == "["
            awaits_value = awaits_value and in_list
            name = name if in_list else None
        elif kind == "mark":
            name = name if in_list else None
        elif awaits_value and name is not None:
            fields.append(Field(line, name, token))
            awaits_value = in_list
            name = name if in_list else None
        else:
            if name is not None:
                # Two names in a row: the first has neither a colon nor a value.
                fields.append(Field(line, name, ""))
            name = token
    if len(stack) > 1:
        raise ValueError(
            f"config: the message {stack[-1].name!r} of line {stack[-1].line} is never closed."
        )


def _tokens(text: str):
    line = 1
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind != "skip":
            yield kind, match[0], line
        line += match[0].count("\n")
