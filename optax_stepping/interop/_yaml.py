"""YAML configs, with the files that they are based on."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optax_stepping._extras import import_extra
from optax_stepping.interop._files import check_size, read_text

MAX_DEPTH = 100
MAX_BASES = 10
REMEDY = "cut out its SOLVER"


def read_yaml(config: str | os.PathLike[str], bases: int = 0) -> dict[str, Any]:
    """The mapping of a file (or a text), over those that its ``_BASE_`` names."""
    is_text = isinstance(config, str) and ("\n" in config or ": " in config)
    path = None if is_text else Path(os.path.expanduser(config))
    found = _load(str(config) if path is None else read_text("cfg", path, REMEDY), path)
    base = found.pop("_BASE_", None)
    if base is None:
        return found
    if bases >= MAX_BASES:
        raise ValueError(
            f"cfg: {str(path)!r}: more than {MAX_BASES} files are based on each other."
        )
    if path is None:
        raise ValueError(
            f"cfg: _BASE_ = {base!r} is relative to the file of the config; hand in its path "
            f"instead of its text."
        )
    if not isinstance(base, str):
        raise TypeError(f"cfg: {str(path)!r}: _BASE_ must be a path, got {base!r}.")
    return _merged(read_yaml(path.parent / os.path.expanduser(base), bases + 1), found)


def _load(text: str, path: Path | None) -> dict[str, Any]:
    yaml = import_extra("yaml", extra="detectron2")
    check_size("cfg", len(text), REMEDY)
    where = "the text" if path is None else repr(str(path))
    try:
        # The events first: building deeply nested values would exceed Python's recursion limit.
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                line = event.start_mark.line + 1
                raise ValueError(
                    f"cfg: {where}, line {line} is nested deeper than {MAX_DEPTH} levels."
                )
        found = yaml.load(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"cfg: {where} is no YAML that is read safely: {reason}.") from None
    if not isinstance(found, dict):
        raise ValueError(
            f"cfg: {where} must hold a mapping such as SOLVER: ..., got {found!r:.80}."
        )
    return found


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if both else value
    return merged
