"""YAML configs, with the files that they are based on."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optax_stepping._extras import import_extra

MAX_BYTES = 1_000_000
MAX_DEPTH = 100
MAX_BASES = 10


def read_yaml(config: str | os.PathLike[str], bases: int = 0) -> dict[str, Any]:
    """The mapping of a file (or a text), over those that its ``_BASE_`` names."""
    is_text = isinstance(config, str) and ("\n" in config or ": " in config)
    path = None if is_text else Path(os.path.expanduser(config))
    found = _load(str(config) if path is None else _read(path), path)
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


def _read(path: Path) -> str:
    if not path.is_file():
        raise ValueError(f"cfg: there is no file {str(path)!r}; write the path or the text of one.")
    _check_size(path.stat().st_size)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"cfg: {str(path)!r} is no text file: {error}.") from None


def _load(text: str, path: Path | None) -> dict[str, Any]:
    yaml = import_extra("yaml", extra="detectron2")
    _check_size(len(text))
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


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise ValueError(
            f"cfg: {size} characters are too many for a config, at most {MAX_BYTES} are read; cut "
            f"out its SOLVER."
        )
