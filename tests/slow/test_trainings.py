"""The examples that train, as a user starts them."""

import subprocess
import sys
from pathlib import Path

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
