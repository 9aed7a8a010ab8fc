"""python survivors.py MODULE SESSION: the score, and the changes without an explanation."""

import sys
import tomllib
from pathlib import Path

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome

EXPLAINED = tomllib.loads((Path(__file__).parent / "survivors.toml").read_text())


def lines_of(diff: str) -> str:
    """The lines as they became; of lines that are gone, those that they were."""
    lines = diff.splitlines()[3:]
    became = [line[1:].strip() for line in lines if line.startswith("+") and line[1:].strip()]
    return " ".join(became or [line.strip() for line in lines if line.startswith("-")])


def main(module: str, session: str) -> None:
    """Prints both, and fails if one is not explained or could not be run."""
    explained = {line for lines in EXPLAINED.get(module, {}).values() for line in lines}
    with use_db(session, WorkDB.Mode.open) as database:
        results = [result for _, result in database.results]
    ran = [result for result in results if result.worker_outcome == WorkerOutcome.NORMAL]
    survived = sorted(
        lines_of(result.diff) for result in ran if result.test_outcome == TestOutcome.SURVIVED
    )
    unexplained = [line for line in survived if line not in explained]
    print(f"{module}: {len(ran)} changes, {len(survived)} survived, {len(unexplained)} unexplained")
    print(*unexplained, sep="\n")
    failed = [
        r for r in results if r.worker_outcome not in (WorkerOutcome.NORMAL, WorkerOutcome.SKIPPED)
    ]
    if failed:
        print(f"{len(failed)} could not be run, the first: {failed[0].output}")
    sys.exit(bool(unexplained or failed))


if __name__ == "__main__":
    main(*sys.argv[1:])
