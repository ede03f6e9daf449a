"""Which jobs and trials choose among settings: they leave their test subsets sealed, unless the user says otherwise.

The best of several settings by their test results looks better than it is, and a test subset that was looked at once for each setting is
none any more. Runs that differ in their seeds and splits alone choose nothing.
"""

from collections.abc import Sequence

KEY, SEAL = "evaluation.test", "evaluation.test=false"


def may_be_sealed(overrides: Sequence[str]) -> bool:
    """Tells whether a job trains, and nobody has said whether it opens its test subset."""
    given = {_key(item): item for item in overrides}
    return KEY not in given and given.get("task", "task=train") == "task=train"


def choose(jobs: Sequence[Sequence[str]]) -> bool:
    """Tells whether jobs differ in anything but the seed and the split."""
    telling = [frozenset(item for item in job if _key(item).partition(".")[0] not in ("seed", "split")) for job in jobs]
    return len(set(telling)) > 1


def sealed(jobs: Sequence[list[str]]) -> list[list[str]]:
    """Returns the overrides of jobs, with the seal if they choose."""
    return [[*job, SEAL] if may_be_sealed(job) else job for job in jobs] if choose(jobs) else list(jobs)


def sealed_as(jobs: Sequence[list[str]], begun: Sequence[Sequence[str]]) -> list[list[str]]:
    """Returns the overrides of jobs, with the seal on those that were begun with it.

    Args:
        jobs: as they are typed.
        begun: the overrides that the same jobs were begun with.
    """
    return [[*job, SEAL] if SEAL in before and SEAL not in job else job for job, before in zip(jobs, begun, strict=True)]


def _key(override: str) -> str:
    return override.partition("=")[0].lstrip("+~").partition("@")[0]
