"""``curfew rehearse``: the command that the command line loads by its name."""

from typing import TYPE_CHECKING

from curfew.cli.output import Exit, err
from curfew.config.policy_file import PolicyFile

from . import report
from .isolation import isolated_environment

if TYPE_CHECKING:
    from .runner import Rehearsal


def rehearse(
    policies: PolicyFile, *, seed: int, faults: str, nights: int, instances: int, as_json: bool
) -> Exit:
    """Rehearse a policy file, print the report, and return the exit code: 1 if a promise was broken."""
    with isolated_environment():
        # Not before: the SDK and Powertools look at the environment as soon as they are there.
        from .outcome import Outcome  # noqa: PLC0415
        from .runner import Rehearsal  # noqa: PLC0415

        rehearsal = Rehearsal(
            policies, seed=seed, faults=faults, nights=nights, instances=instances
        )
        _run(rehearsal, nights)
        outcome = Outcome.of(rehearsal)
    (report.as_json if as_json else report.as_text)(outcome)
    return Exit.FAILED if outcome.violations else Exit.OK


def _run(rehearsal: "Rehearsal", nights: int) -> None:
    with err.status("the evening before") as status:
        rehearsal.run(lambda number: status.update(f"night {number} of {nights}"))
