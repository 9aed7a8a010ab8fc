"""What it means to have the rate of another framework at every step."""

import numpy as np

from optax_stepping import SteppingSchedule


def assert_agrees(schedule: SteppingSchedule, counts, theirs) -> None:
    """Held stages: the float32 nearest to theirs, give or take one ulp. Ramps: 1e-6."""
    counts, theirs = np.asarray(counts), np.asarray(theirs, np.float64)
    ours = np.asarray(schedule(counts))
    stages = np.searchsorted(np.asarray(schedule.boundaries), counts, side="right")
    ramps = np.append(np.asarray(schedule.ramps), False)[stages]
    nearest = theirs.astype(np.float32)
    off = np.abs(ours[~ramps] - nearest[~ramps]) > np.spacing(np.abs(nearest[~ramps]))
    assert not off.any(), (counts[~ramps][off][:5], ours[~ramps][off][:5], theirs[~ramps][off][:5])
    far = np.abs(ours[ramps] - theirs[ramps]) > 1e-6 * np.abs(theirs[ramps])
    assert not far.any(), (counts[ramps][far][:5], ours[ramps][far][:5], theirs[ramps][far][:5])


def assert_within(schedule: SteppingSchedule, counts, theirs, tolerance: float) -> None:
    """Curves: within the tolerance of the largest rate at every count."""
    theirs = np.asarray(theirs, np.float64)
    ours = np.asarray(schedule(np.asarray(counts)), np.float64)
    far = np.abs(ours - theirs) > tolerance * np.abs(theirs).max()
    assert not far.any(), (np.asarray(counts)[far][:5], ours[far][:5], theirs[far][:5])
