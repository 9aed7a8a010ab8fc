"""The examples that train, as a user starts them."""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np

EXAMPLES = Path(__file__).parents[2] / "examples"


def output_of(program, options, png):
    """What it prints, and the cells of its table; it draws a picture."""
    command = [sys.executable, str(EXAMPLES / program), *options.split(), "--output", str(png)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert png.read_bytes().startswith(b"\x89PNG\r\n")
    rows = [line.split("│")[1:-1] for line in printed.splitlines() if line.startswith("│")]
    return printed, [[cell.strip().rstrip("%") for cell in row] for row in rows]


def test_sweep_digits(tmp_path):
    _, rows = output_of("sweep_digits.py", "--steps 150", tmp_path / "sweep.png")
    losses = [float(row[3]) for row in rows]
    assert len(rows) == 10
    assert losses == sorted(losses)
    assert float(rows[0][-1]) >= 95


def test_train_digits(tmp_path):
    """Long enough to pass the warmup."""
    options = "--steps 1000 --boundaries 400 700 --rates 0.1 0.05 0.01 --warmup-steps 200"
    printed, rows = output_of("train_digits.py", options, tmp_path / "train.png")
    assert "0.001 -> 0.1" in printed
    assert [row[1] for row in rows] == ["200", "400", "700", "1000"]
    assert float(rows[-1][-1]) >= 97


def test_warmup_alone(tmp_path):
    printed, _ = output_of("train_digits.py", "--warmup --steps 20", tmp_path / "a.png")
    assert "0.1 -> 0.05" in printed


def test_a_search_goes_the_same_way_with_the_same_seed(tmp_path, capsys):
    """Two runs of 64 random proposals and 64 that learn from them."""
    search = importlib.import_module("search_digits")
    runs = [search.run(20, 2, 1, tmp_path / "a.png") for _ in range(2)]
    first, again = ([(*result.params.values(), result.loss) for result in run] for run in runs)
    assert len(first) == 128
    assert first == again
    losses = np.array([loss for *_, loss in first])
    assert np.median(losses[64:]) < np.median(losses[:64])
    assert "the best ten of 128 schedules, 20 steps" in capsys.readouterr().out
    assert (tmp_path / "a.png").exists()
