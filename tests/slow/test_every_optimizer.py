"""Every optimizer trains to the bits that it has with a closure."""

import pytest
import test_optimizers
from test_optimizers import DTYPES, TAKING_SCHEDULES, assert_trained_as_with_a_closure, op_by_op

pytestmark = [*test_optimizers.pytestmark, op_by_op]


@DTYPES
@pytest.mark.parametrize("name", sorted(TAKING_SCHEDULES))
def test_trainings(name, dtype):
    assert_trained_as_with_a_closure(name, dtype)
