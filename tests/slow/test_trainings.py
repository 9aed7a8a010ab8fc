"""The examples that train, as a user starts them."""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np

EXAMPLES = Path(__file__).parents[2] / "examples"
PNG = b"\x89PNG\r\n"


def test_sweep_digits(tmp_path):
    png = tmp_path / "sweep.png"
    command = [sys.executable, EXAMPLES / "sweep_digits.py", "--steps", "150"]
    process = subprocess.run(
        [*command, "--output", str(png)], capture_output=True, text=True, check=True
    )
    assert png.read_bytes().startswith(PNG)
    rows = [line.split("│")[1:-1] for line in process.stdout.splitlines() if line.startswith("│")]
    losses = [float(row[3]) for row in rows]
    assert len(rows) == 10
    assert losses == sorted(losses)
    assert float(rows[0][-1].strip().rstrip("%")) >= 95


def test_train_digits(tmp_path):
    """Trains for real, as a user would start it; long enough to pass the warmup."""
    png = tmp_path / "train.png"
    command = [sys.executable, EXAMPLES / "train_digits.py", "--steps", "1000"]
    options = ["--boundaries", *["400", "700"], "--rates", *["0.1", "0.05", "0.01"]]
    options += ["--warmup-steps", "200"]
    process = subprocess.run(
        [*command, *options, "--output", str(png)], capture_output=True, text=True, check=True
    )
    assert png.read_bytes().startswith(PNG)
    assert "0.001 -> 0.1" in process.stdout
    rows = [line.split("│")[1:-1] for line in process.stdout.splitlines() if line.startswith("│")]
    assert [row[1].strip() for row in rows] == ["200", "400", "700", "1000"]
    assert float(rows[-1][-1].strip().rstrip("%")) >= 97


def test_warmup_alone(tmp_path, monkeypatch, capsys):
    arguments = ["--warmup", "--steps", "20", "--output", str(tmp_path / "a.png")]
    monkeypatch.setattr(sys, "argv", ["train_digits.py", *arguments])
    importlib.import_module("train_digits").main()
    assert "0.1 -> 0.05" in capsys.readouterr().out


def test_a_search_goes_the_same_way_with_the_same_seed(tmp_path, capsys):
    """Two runs of 64 random proposals and 64 that learn from them."""
    search = importlib.import_module("search_digits")
    first, again = (
        [
            (*result.params.values(), result.loss)
            for result in search.run(20, 2, 1, tmp_path / "a.png")
        ]
        for _ in range(2)
    )
    assert len(first) == 128
    assert first == again
    losses = np.array([loss for *_, loss in first])
    assert np.median(losses[64:]) < np.median(losses[:64])
    assert "the best ten of 128 schedules, 20 steps" in capsys.readouterr().out
    assert (tmp_path / "a.png").exists()
