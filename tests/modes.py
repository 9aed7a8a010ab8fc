"""A plugin that leaves out, under one of JAX's strict modes, the tests that the mode itself forbids:
JAX_DEBUG_NANS=1 python -m pytest -p modes. Every other test has to pass."""

import os

# By environment variable: the reason, and parts of names of tests.
EXCLUDED = {
    "JAX_NUMPY_DTYPE_PROMOTION": {
        "Optax raises a float to the power of an int, adds an int to a float": [
            "_live.scale_by_stepping", "README.md-block0", "test_what_the_quickstart", "inject_hyperparams",
            "test_a_donated_state_leaves", "test_a_restored_run_continues", "adam", "lamb",
            "test_a_vmapped_state_is_edited", "test_an_edit_takes_effect", "test_any_hyperparameter",
            "test_restored_", "test_the_current_rate_is_visible", "test_bfloat16_needs_no_float32",
            "test_the_rates_of_the_stateless_one", "test_the_wrong_place_says",
            "test_under_multi_transform", "scale_by_schedule", "test_live[", "test_lookahead",
            "chain-", "multi_transform-", "MultiSteps-", "apply_if_finite-", "weight decay-",
            "inject several-", "join_schedules first-", "acprop-", "adabelief-", "adan-",
            "ademamix-", "adopt-", "amsgrad-", "galore-", "test_direct[muon", "test_injected[muon",
            "noisy_sgd-", "prodigy-", "sophia-", "yogi-", "adafactor-bfloat16", "lbfgs-bfloat16",
            "madgrad-bfloat16", "momo-bfloat16", "test_concrete_inside", "exact[lines]",
            "exact[one cycle]", "-cosine cycle]",
        ],
        "the test mixes dtypes for brevity": [
            "test_ours_and_a_closure", "test_8192_stages", "rates * jnp.nan",
        ],
    },
    "JAX_NUMPY_RANK_PROMOTION": {
        "the examples add a bias to a batch": ["test_live[jax]", "test_warmup_alone"],
    },
    "JAX_DEBUG_NANS": {
        "about NaN": ["nan", "NaN", "test_in_a_train_step"],
        "Adam divides 0 by 0 on purpose": ["test_bfloat16_needs_no_float32_hyperparameters"],
        "counts the equations of the mode, too": ["test_programs_do_not_grow"],
    },
    "JAX_DEBUG_INFS": {"about infinity": ["inf"]},
    "JAX_ENABLE_CHECKS": {"checkify fails an assertion of JAX there": ["test_check.py", "_runtime_check.check"]},
    "JAX_ENABLE_X64": {
        "shows float32, or was saved in it": [
            "test_saved.py",
            "_manual_stepping.manual_stepping", "interop._detectron2", "interop._mmengine",
            "interop._torch", "test_repr", "test_half_precision_leaves", "test_eval_shape",
            "test_built_inside_of_transformations", "float32", "complex64", "int32 and int32",
            "1e39", "1e38", "1e-50", "1e-45", "1e-46", "test_two_processes_agree", "[0.5]",
            "[1j, 2]", "warmup_steps=w))(0.5)", "interpolate=i))(1)", "interpolate=[i]))(1)",
            "S.boundaries.astype(float)", "jnp.zeros(3)", "rates=np.ones(4)",
            "test_leaves_are_strongly_typed", "test_a_scheduler_that_looks_like",
            "test_shapes_and_dtypes", "test_what_does_not_fit", "test_a_vmapped_state_is_edited",
            "of one precision",
        ],
    },
    "JAX_DISABLE_JIT": {
        "about compiled programs": [
            "test_program_size.py", "test_bits.py", "test_sharding.py", "costs_nothing", "keeps_the_program", "keeps_one_program",
        ],
        "about what is traced": [
            "traced", "jax.jit(lambda", "must be known", "known boundaries", "test_repr", "_runtime_check.check",
            "test_check.py::test_in_a_train_step", "known values only",
        ],
        "Adam's moments have other bits in NumPy, where a checkpoint is NumPy": [
            "through_pickle-bfloat16-chained", "through_flax-bfloat16-chained",
        ],
    },
    "JAX_CHECK_TRACER_LEAKS": {
        "collects garbage after every operation: hours, op by op": [
            "learning_rate[muon", "test_optimizers.py",
        ],
    },
}  # fmt: skip


def pytest_collection_modifyitems(config, items):
    excluded = [
        part
        for variable, reasons in EXCLUDED.items()
        if variable in os.environ
        for parts in reasons.values()
        for part in parts
    ]
    left_out = [item for item in items if any(part in item.nodeid for part in excluded)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
