"""The examples, as a user starts them."""

import importlib
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.parametrize(
    ("program", "options", "words"),
    [
        ("train_digits.py", ["--output", "nowhere/at/all.png"], "no folder 'nowhere/at'"),
        ("train_digits.py", ["--steps", "many"], "'many'"),
        ("train_digits.py", ["--rates", "0.1"], "1 rates for 3 boundaries"),
        ("train_digits.py", ["--warmup", "--warmup-steps", "3"], "not allowed with argument"),
        ("train_detector.py", ["--steps", "0"], "--steps"),
        ("train_detector.py", ["--steps", "100"], "boundaries[0] = 2000 on step 0"),
        ("sweep_digits.py", ["--steps", "-1"], "--steps must be positive, got -1"),
        ("sweep_digits.py", ["--output", "nowhere/at/all.png"], "no folder 'nowhere/at'"),
        ("search_digits.py", ["--batches", "0"], "--batches must be at least 1, got 0"),
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


def test_the_overlap_of_boxes():
    """By hand: (top, left, height, width)."""
    detector = importlib.import_module("train_detector")
    box = np.array([0.0, 0.0, 10.0, 10.0])
    others = np.array([[0, 0, 10, 10], [0, 5, 10, 10], [20, 20, 5, 5], [2, 2, 5, 4]], float)
    np.testing.assert_allclose(detector.overlap(box, others), [1, 50 / 150, 0, 20 / 100])


def test_the_average_precision_of_perfect_and_of_no_detections(monkeypatch):
    detector = importlib.import_module("train_detector")
    boxes = np.tile([[2.0, 2, 8, 8], [2, 30, 9, 9]], (10, 1, 1))
    labels = np.stack([np.arange(10), np.arange(10)[::-1]], axis=1)
    truth = detector.Scenes(np.zeros((10, 48, 48)), boxes, labels, np.ones((10, 2), bool))
    for shift, expected in ((0.0, 1.0), (9.0, 0.0)):
        found = (np.full((10, 2), 0.9), labels, boxes + np.array([shift, 0, 0, 0]))
        monkeypatch.setattr(detector, "detect", lambda *_, found=found: found)
        assert detector.average_precision({}, truth) == expected


@pytest.mark.not_under("JAX_NUMPY_DTYPE_PROMOTION", reason="Adam raises a float to an int")
@pytest.mark.parametrize("framework", ["jax", "flax_nnx", "flax_linen", "equinox", "haiku"])
def test_live(framework, capsys):
    """Train 60 steps, halve the schedule, save, restore, train 140 more."""
    path = EXAMPLES / f"live_{framework}.py"
    assert 20 <= sum(map(bool, path.read_text().splitlines())) <= 41
    if framework == "flax_nnx" and not hasattr(nnx, "data"):
        # The optimizer of flax 0.10, which the oldest JAX needs, is called otherwise.
        return
    runpy.run_path(str(path), run_name="__main__")
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("step 60 rate 0.1 loss 0.0")
    assert last.startswith("step 200 rate 0.002 loss 0.0")
    assert float(last.split()[-1]) < float(first.split()[-1])


def test_without_optuna_a_search_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(SystemExit, match=r"pip install 'optax-stepping\[search\]'"):
        runpy.run_path(str(EXAMPLES / "search_digits.py"))
