"""What is read at once: a text, or that of a file."""

import os
import re
from pathlib import Path
from typing import Any

MAX_BYTES = 1_000_000


def read_text(name: str, config: Any, marks: str, remedy: str) -> tuple[str, Path | None]:
    """The text that is handed in, as ``marks`` in it tell, or that of the file; and its path."""
    is_text = isinstance(config, str) and re.search(marks, config)
    path = None if is_text else Path(os.path.expanduser(config))
    if path and not os.path.isfile(path):  # pathlib fails on a name that is too long
        raise ValueError(f"{name}: there is no file {str(path)!r:.999}; write a path or the text.")
    if (size := path.stat().st_size if path else len(config)) > MAX_BYTES:
        raise ValueError(f"{name}: {size} characters, at most {MAX_BYTES} are read; {remedy}.")
    try:
        return path.read_text(encoding="utf-8") if path else str(config), path
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: {str(path)!r} is not a text file: {error}.") from None
