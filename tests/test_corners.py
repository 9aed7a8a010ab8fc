"""Corners of the package that no other behaviour leads to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import same

from optax_stepping import get_state, join, manual_stepping, scale_by_stepping
from optax_stepping.__main__ import main
from optax_stepping.interop import from_detectron2, from_mmengine

S = manual_stepping([10, 20], [0.1, 0.01, 0.001])


def test_boundaries_of_join_may_be_an_array():
    assert same(join([S, S], np.array([7])), join([S, S], [7]))
    assert same(join([S, S], jnp.array([7])), join([S, S], [7]))


def test_a_factor_of_zero():
    assert not (S * 0).rates.any()


@jax.tree_util.register_pytree_with_keys_class
class Pair:
    """A node whose keys are of a kind of their own."""

    def __init__(self, first, second):
        self.leaves = (first, second)

    def tree_flatten_with_keys(self):
        return (("first", self.leaves[0]), ("second", self.leaves[1])), None

    @classmethod
    def tree_unflatten(cls, _, leaves):
        return cls(*leaves)


def test_states_below_keys_of_any_kind():
    pair = Pair(scale_by_stepping(S).init(None), scale_by_stepping(S / 2).init(None))
    assert get_state(pair, "second").rate == np.float32(0.05)


def test_a_rate_of_zero_has_no_floor():
    config = {"policy": "step", "step": [3]}
    with pytest.raises(ValueError, match=r"base_lr must be positive, .* got 0"):
        from_mmengine(0.0, config, steps_per_epoch=10)


def test_a_ramp_of_one_step():
    """Steps 0 to end - 1 are those of the ramp: of one, only its start is left."""
    warmup = {"type": "LinearLR", "start_factor": 0.5, "by_epoch": False, "begin": 0, "end": 1}
    assert from_mmengine(0.1, [warmup], steps_per_epoch=10)(0) == np.float32(0.05)


def test_a_base_that_is_no_path(tmp_path):
    (tmp_path / "a.yaml").write_text("_BASE_: [1, 2]\nSOLVER: {BASE_LR: 0.1}\n")
    with pytest.raises(TypeError, match=r"_BASE_ must be a path, got \[1, 2\]"):
        from_detectron2(str(tmp_path / "a.yaml"))


CONFIG = "train_config { optimizer { sgd { learning_rate { exponential_decay_learning_rate {"
CONFIG += " initial_learning_rate: 0.1 decay_steps: 10 decay_factor: 0.9 } } } } %s }"


@pytest.mark.parametrize("length", ["num_steps: 100", "batch_size: 3 num_steps: 100"])
def test_a_decay_is_shown_as_far_as_the_training_goes(length, tmp_path, capsys):
    path = tmp_path / "pipeline.config"
    path.write_text(f"model {{ a: 1 }} {CONFIG % length}")
    main(["show", "--pipeline-config", str(path)])
    assert len(capsys.readouterr().out.splitlines()) == 11


def test_a_config_without_a_length(tmp_path, capsys):
    path = tmp_path / "pipeline.config"
    path.write_text(
        "train_config { learning_rate { constant_learning_rate { learning_rate: 1 } } }"
    )
    main(["show", "--pipeline-config", str(path)])
    assert capsys.readouterr().out.split()[-1] == "1.0"


def test_a_warmup_of_one_step():
    schedule = manual_stepping([5], [0.1, 0.01], warmup_steps=1, warmup_init_value=0.02)
    assert [schedule(0), schedule(1)] == [np.float32(0.02), np.float32(0.1)]


def test_the_largest_rates():
    largest = float(jnp.finfo(jnp.result_type(float)).max)
    assert manual_stepping([5], [-largest, largest])(7) == largest
    assert (manual_stepping([], [1.0]) * largest)(7) == largest


@pytest.mark.parametrize("dtype", [">i2", ">i4", ">i8", ">f2", ">f4", ">f8"])
def test_bytes_in_the_other_order(dtype):
    """Which a program that is compiled already would read wrongly."""
    counts = np.array([5, 15, 25])
    assert S(counts).tolist() == S(counts.astype(dtype)).tolist()
    if "i" in dtype:
        moved = S.replace(boundaries=np.array([10, 20], dtype))
        assert moved(counts).tolist() == S(counts).tolist()
