"""Text files that are handed in by path: of a size that is read at once."""

from pathlib import Path

MAX_BYTES = 1_000_000


def read_text(name: str, path: Path, remedy: str) -> str:
    if not path.is_file():
        raise ValueError(f"{name}: there is no file {str(path)!r}; write the path or the text.")
    check_size(name, path.stat().st_size, remedy)
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name}: {str(path)!r} is no text file: {error}.") from None


def check_size(name: str, size: int, remedy: str) -> None:
    if size > MAX_BYTES:
        raise ValueError(
            f"{name}: {size} characters are too many, at most {MAX_BYTES} are read; {remedy}."
        )
