"""What cannot be expressed in stages, and what to use instead."""

NOT_IN_STAGES = {
    "CosineAnnealingLR": "optax.cosine_decay_schedule",
    "CosineAnnealingWarmRestarts": "optax.sgdr_schedule",
    "ExponentialLR": "optax.exponential_decay",
    "PolyLR": "optax.polynomial_schedule",
    "OneCycleLR": "optax.cosine_onecycle_schedule",
    "ReduceOnPlateauLR": "optax.contrib.reduce_on_plateau",
    "WarmupCosineLR": "optax.warmup_cosine_decay_schedule",
}


def not_in_stages(place: str, kind: str, instead: str | None = None) -> ValueError:
    """The refusal of a kind of schedule, with the expression that has its rates, if known."""
    known = instead or NOT_IN_STAGES.get(kind)
    advice = f"use {known}" if known else "write the stages with manual_stepping"
    return ValueError(f"{place}: {kind} cannot be expressed in stages; {advice}.")
