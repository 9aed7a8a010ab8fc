"""YAML configs, with the files that they are based on."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optax_stepping._arguments import bad_kind, bad_value, shown
from optax_stepping._extras import import_extra
from optax_stepping.interop._files import read_text

MAX_BASES = 10
REMEDY = "cut out its SOLVER"


def read_yaml(config: str | os.PathLike[str], bases: int = 0) -> dict[str, Any]:
    """The mapping of a file (or a text), over those that its ``_BASE_`` names."""
    is_text = isinstance(config, str) and ("\n" in config or ": " in config)
    path = None if is_text else Path(os.path.expanduser(config))
    where = f"cfg: {'the text' if path is None else repr(str(path))}"
    found = _load(read_text("cfg", str(config) if path is None else path, REMEDY), where)
    base, below = found.pop("_BASE_", []), {}
    for name in base if isinstance(base, list) else [base]:
        if not isinstance(name, str):
            raise bad_kind(f"{where}: _BASE_", "be a path", shown(name), "write a file's name")
        if path is None:
            write = "hand in the path of the file, which it is relative to"
            raise bad_value(where, "not have a _BASE_", repr(name), write)
        if bases >= MAX_BASES:
            raise ValueError(f"{where}: more than {MAX_BASES} files are based on each other.")
        below = _merged(below, read_yaml(path.parent / os.path.expanduser(name), bases + 1))
    return _merged(below, found)


def _load(text: str, where: str) -> dict[str, Any]:
    yaml = import_extra("yaml", extra="detectron2")
    # Detectron2's own files compute anchors by tags that run code. Here, these stay text.
    loader = type("Loader", (yaml.SafeLoader,), {})
    loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda _, tag, node: f"!!{tag}")
    try:
        found = yaml.load(text, Loader=loader)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{where} is not YAML that can be read safely: {reason}.") from None
    except RecursionError:
        raise ValueError(f"{where} is nested too deeply; {REMEDY}.") from None
    if not isinstance(found, dict):
        raise bad_value(where, "hold a mapping", f"{found!r:.80}", "write SOLVER: ...")
    return found


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if both else value
    return merged
