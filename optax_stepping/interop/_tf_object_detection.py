"""Schedules of the TensorFlow Object Detection API."""

import os
from typing import Any

from optax_stepping._manual_stepping import manual_stepping
from optax_stepping._schedule import SteppingSchedule
from optax_stepping.interop._pipeline_config import Field, find_learning_rate, read_config
from optax_stepping.interop._refusals import not_in_stages


def from_tf_object_detection(config: str | os.PathLike[str]) -> SteppingSchedule:
    """The learning rate of a ``pipeline.config`` of the TensorFlow Object Detection API.

    Reads ``manual_step_learning_rate`` and ``constant_learning_rate`` of any optimizer, with
    the defaults of the API's ``protos/optimizer.proto``: rates 0.002, no warmup. A first
    entry ``step: 0``, as in old files, replaces the initial rate.

    Args:
      config: the text of the file, or its path. At most a million characters.

    Returns:
      The schedule, in steps of the optimizer.

    Raises:
      ValueError: another kind of learning rate (the message names the Optax schedule to
        use), none, several, or a malformed one; a file that is too large or too deeply
        nested.
      TypeError: ``config`` is neither a ``str`` nor a path.

    Example:
      >>> from optax_stepping import interop
      >>> interop.from_tf_object_detection('''
      ...     learning_rate { manual_step_learning_rate {
      ...       initial_learning_rate: .0003
      ...       schedule { step: 900000 learning_rate: .00003 }
      ...     } }''')
      SteppingSchedule(boundaries=[900000], rates=[0.0003, 3e-05], ramps=[False])
    """
    message = find_learning_rate(read_config(config))
    if message.name == "constant_learning_rate":
        return manual_stepping([], [_read_message(message, learning_rate=0.002)["learning_rate"]])
    if message.name != "manual_step_learning_rate":
        raise not_in_stages(f"config: line {message.line}", message.name)
    fields = _read_message(message, initial_learning_rate=0.002, schedule=[], warmup=False)
    entries = [_read_message(entry, step=0, learning_rate=0.002) for entry in fields["schedule"]]
    if not entries:
        raise ValueError(
            f"config: line {message.line}: manual_step_learning_rate has no schedule, which the "
            f"API refuses; write constant_learning_rate for a constant."
        )
    boundaries = [entry["step"] for entry in entries]
    rates = [fields["initial_learning_rate"], *(entry["learning_rate"] for entry in entries)]
    if boundaries[0] == 0:
        boundaries, rates = boundaries[1:], rates[1:]
    return manual_stepping(boundaries, rates, fields["warmup"])


def _read_message(message: Field, **defaults: Any) -> dict[str, Any]:
    """The fields of a message by name, of the types of their defaults; a field with a list
    as default may be repeated, of others the last counts, as in protocol buffers.
    """
    fields = dict(defaults) | {k: [] for k, v in defaults.items() if v == []}
    for field in message.value:
        assert isinstance(field, Field)
        here = f"config: line {field.line}: {field.name or 'a field without a name'}"
        if field.name not in defaults:
            raise ValueError(
                f"{here} is not known in {message.name}; known are {', '.join(defaults)}."
            )
        if isinstance(field.value, list) != isinstance(defaults[field.name], list):
            raise ValueError(f"{here} has a value of the wrong kind.")
        if isinstance(field.value, list):
            fields[field.name].append(field)
        else:
            fields[field.name] = _read_scalar(here, field.value, type(defaults[field.name]))
    return fields


def _read_scalar(here: str, text: str, kind: type) -> Any:
    if kind is bool:
        values = {"true": True, "t": True, "True": True, "1": True}
        values |= {"false": False, "f": False, "False": False, "0": False}
        if text in values:
            return values[text]
    try:
        if kind is int:
            return int(text, 0)
        if kind is float and "_" not in text:
            return float(text.removesuffix("f").removesuffix("F"))
    except ValueError:
        pass
    kinds = {
        bool: "true or false",
        int: "an integer such as 90000",
        float: "a number such as .0003",
    }
    raise ValueError(f"{here} is {text!r}; write {kinds[kind]}.")
