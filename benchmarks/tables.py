"""A question and its table: what every benchmark returns."""

import statistics
import timeit
from collections.abc import Callable
from typing import NamedTuple


class Table(NamedTuple):
    title: str
    header: list[str]
    rows: list[list[str]]
    notes: str = ""

    def markdown(self) -> str:
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"## {self.title}\n\n{table}\n" + (f"\n{self.notes}\n" if self.notes else "")


class Timing(NamedTuple):
    """Microseconds: the median of repeated measurements, and their spread."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:,.4g} ({self.low:,.4g} to {self.high:,.4g})"


def measure(functions: dict[str, Callable], seconds: float = 0.05, rounds: int = 9) -> dict:
    """Times functions in turns, so that whatever else the machine does hits all alike."""
    numbers = {}
    for name, function in functions.items():
        function()
        once = timeit.timeit(function, number=1)
        numbers[name] = max(1, round(seconds / max(once, 1e-7)))
        timeit.timeit(function, number=numbers[name])
    samples = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            elapsed = timeit.timeit(function, number=numbers[name])
            samples[name].append(elapsed / numbers[name] * 1e6)
    return {
        name: Timing(statistics.median(found), min(found), max(found))
        for name, found in samples.items()
    }


def ratio(ours: float, other: float) -> str:
    return f"{ours / other:.3g}"
