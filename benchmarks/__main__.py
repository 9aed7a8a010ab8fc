"""Runs every benchmark and writes RESULTS.md and cost.png: python -m benchmarks."""

import contextlib
import datetime
import importlib.metadata
import os
import platform
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jax
from tqdm import tqdm

from benchmarks import arrays, chart, compiled, conversion, eager, imports, on_gpu, stacks, sweep

HERE = Path(__file__).parent
PACKAGES = ["jax", "optax", "numpy", "keras", "torch", "libtpu", "jax-cuda12-plugin"]


def versions() -> str:
    found = []
    for package in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{package} {importlib.metadata.version(package)}")
    return ", ".join(found)


def main() -> None:
    questions = [compiled, eager, arrays, stacks, sweep, conversion, imports, on_gpu]
    tables = [table for question in tqdm(questions) for table in question.tables()]
    device = jax.devices()[0]
    head = (
        "# What a schedule costs\n\n"
        "Written by `python -m benchmarks`. Ratios are between measurements of the same run.\n\n"
        f"- date: {datetime.datetime.now(datetime.UTC).date()}\n"
        f"- machine: {platform.machine()} {platform.system()}, {os.cpu_count()} cores; default "
        f"device: {device.device_kind}\n"
        f"- Python {platform.python_version()}, {versions()}\n"
    )
    parts = [head, *(table.markdown() for table in tables)]
    (HERE / "RESULTS.md").write_text("\n".join(parts))
    chart.draw(HERE / "cost.png")


if __name__ == "__main__":
    main()
