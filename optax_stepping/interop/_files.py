"""What is read at once: texts, files and trainings of a bounded size."""

from pathlib import Path

MAX_BYTES = 1_000_000
MAX_STEPS = 10_000_000


def read_text(name: str, config: str | Path, remedy: str) -> str:
    """The text that is handed in, or that of the file at a path."""
    if isinstance(config, Path) and not config.is_file():
        raise ValueError(f"{name}: there is no file {str(config)!r}; write the path or the text.")
    size = config.stat().st_size if isinstance(config, Path) else len(config)
    if size > MAX_BYTES:
        raise ValueError(f"{name}: {size} characters, at most {MAX_BYTES} are read; {remedy}.")
    try:
        return config.read_text(encoding="utf-8") if isinstance(config, Path) else config
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: {str(config)!r} is not a text file: {error}.") from None
