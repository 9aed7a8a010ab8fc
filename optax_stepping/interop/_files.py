"""What is read at once: texts, and YAML with its base files."""

import os
import re
from pathlib import Path
from typing import Any

from optax_stepping._arguments import bad_kind, bad_value, shown
from optax_stepping._extras import import_extra

MAX_BYTES = 1_000_000
MAX_BASES = 10


def read_text(name: str, config: Any, marks: str, remedy: str) -> tuple[str, Path | None]:
    """The text that is handed in, as ``marks`` in it tell, or that of the file; and its path."""
    is_text = isinstance(config, str) and re.search(marks, config)
    path = None if is_text else Path(os.path.expanduser(config))
    if path and not os.path.isfile(path):  # pathlib fails on a name that is too long
        raise ValueError(f"{name}: there is no file {str(path)!r:.999}; write a path or the text.")
    size = path.stat().st_size if path else len(str(config))
    if size > MAX_BYTES:
        raise ValueError(f"{name}: {size} characters, at most {MAX_BYTES} are read; {remedy}.")
    try:
        return path.read_text(encoding="utf-8") if path else str(config), path
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: {str(path)!r} is not a text file: {error}.") from None


def read_yaml(config: str | os.PathLike[str], bases: int = 0) -> dict[str, Any]:
    """The mapping of a file (or a text), over those that its ``_BASE_`` names."""
    text, path = read_text("cfg", config, "\n|: ", "cut out its SOLVER")
    where = f"cfg: {'the text' if path is None else repr(str(path))}"
    yaml = import_extra("yaml", extra="detectron2")
    # Detectron2's own files compute anchors by tags that run code. Here, these stay text.
    loader = type("Loader", (yaml.SafeLoader,), {})
    loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda _, tag, node: f"!!{tag}")
    try:
        found = yaml.load(text, Loader=loader)
    except RecursionError:
        raise ValueError(f"{where} is nested too deeply; cut out its SOLVER.") from None
    except Exception as error:  # of Python, too, where a date or a number is none
        reason = " ".join(str(error).split())
        raise ValueError(f"{where} is not YAML that can be read safely: {reason}.") from None
    if not isinstance(found, dict):
        raise bad_value(where, "hold a mapping", f"{found!r:.80}", "write SOLVER: ...")
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


def _merged(base: Any, changes: Any) -> Any:
    if not isinstance(base, dict) or not isinstance(changes, dict):
        return changes
    return {**base, **{key: _merged(base.get(key), value) for key, value in changes.items()}}
