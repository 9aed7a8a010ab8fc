"""Corners of the package that no other behaviour leads to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import same

from optax_stepping import get_state, join, manual_stepping, scale_by_stepping
from optax_stepping.interop import from_detectron2

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


def test_a_base_that_is_no_path(tmp_path):
    (tmp_path / "a.yaml").write_text("_BASE_: [1, 2]\nSOLVER: {BASE_LR: 0.1}\n")
    with pytest.raises(TypeError, match=r"_BASE_ must be a path, got 1 of type int"):
        from_detectron2(str(tmp_path / "a.yaml"))


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
