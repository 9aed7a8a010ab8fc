"""The examples, as a user starts them."""

import importlib
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from flax import nnx

EXAMPLES = Path(__file__).parents[1] / "examples"
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
    options = ["--boundaries", "400,700", "--rates", "0.1,0.05,0.01", "--warmup-steps", "200"]
    process = subprocess.run(
        [*command, *options, "--output", str(png)], capture_output=True, text=True, check=True
    )
    assert png.read_bytes().startswith(PNG)
    assert "0.001 -> 0.1" in process.stdout
    rows = [line.split("│")[1:-1] for line in process.stdout.splitlines() if line.startswith("│")]
    assert [row[1].strip() for row in rows] == ["200", "400", "700", "1000"]
    assert float(rows[-1][-1].strip().rstrip("%")) >= 97


@pytest.mark.parametrize(
    ("program", "options", "words"),
    [
        ("train_digits.py", ["--output", "nowhere/at/all.png"], "no folder 'nowhere/at'"),
        ("train_digits.py", ["--output", "a.pdf"], "a.pdf does not end in .png"),
        ("train_digits.py", ["--steps", "many"], "'many'"),
        ("train_digits.py", ["--rates", "0.1"], "1 rates for 3 boundaries"),
        ("train_digits.py", ["--warmup", "--warmup-steps", "3"], "not allowed with argument"),
        ("sweep_digits.py", ["--steps", "-1"], "-1 is not positive"),
        ("sweep_digits.py", ["--output", "nowhere/at/all.png"], "no folder 'nowhere/at'"),
    ],
)
def test_bad_options_are_refused_before_training(program, options, words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [program, *options])
    with pytest.raises(SystemExit) as stop:
        importlib.import_module(program.removesuffix(".py")).main()
    printed = capsys.readouterr()
    assert stop.value.code == 2
    assert words in printed.err
    assert printed.out == ""


@pytest.mark.parametrize("framework", ["jax", "flax_nnx", "flax_linen", "equinox", "haiku"])
def test_live(framework, capsys):
    """Train 60 steps, halve the schedule, save, restore, train 140 more."""
    path = EXAMPLES / f"live_{framework}.py"
    assert 20 <= sum(map(bool, path.read_text().splitlines())) <= 40
    if framework == "flax_nnx" and not hasattr(nnx, "data"):
        # The optimizer of flax 0.10, which the oldest JAX needs, is called otherwise.
        return
    runpy.run_path(str(path), run_name="__main__")
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("step 60 rate 0.1 loss 0.0")
    assert last.startswith("step 200 rate 0.002 loss 0.0")
    assert float(last.split()[-1]) < float(first.split()[-1])


def test_warmup_alone(tmp_path, monkeypatch, capsys):
    arguments = ["--warmup", "--steps", "20", "--output", str(tmp_path / "a.png")]
    monkeypatch.setattr(sys, "argv", ["train_digits.py", *arguments])
    importlib.import_module("train_digits").main()
    assert "0.1 -> 0.05" in capsys.readouterr().out
