"""What Curfew promises in a rehearsal: each promise with the checkers that hold it."""

from dataclasses import dataclass

from ..checkers import audit, launches, refusals, termination
from ..checkers.rule import Check, Finding
from ..history.history import History

PROMISES: dict[str, tuple[Check, ...]] = {
    "no protected instance is ended or stopped": (
        termination.no_protected_machine_is_named,
        termination.no_machine_protected_by_attribute_is_named,
        launches.no_lease_is_cut_short,
    ),
    "no instance is ended or stopped that the policy does not mean": (
        termination.every_named_machine_was_selected,
        launches.only_what_has_run_out_is_ended_as_such,
    ),
    "every order has its intent in the audit before it": (
        audit.the_intent_is_written_before_the_call,
    ),
    "the audit is an unbroken chain, and no outcome is without its intent": (
        audit.the_chain_is_whole,
        audit.no_outcome_is_without_its_intent,
    ),
    "no sweep goes beyond its limits": (
        refusals.no_sweep_ends_more_than_it_may,
        refusals.no_sweep_ends_more_than_its_share,
    ),
    "no day goes beyond its limit": (refusals.no_day_ends_more_than_it_may,),
    "no call is made but those that Curfew is known for": (
        termination.only_calls_that_are_known_are_made,
    ),
    "nothing is changed but instances and their Spot requests": (
        termination.only_instances_and_their_spot_requests_end,
    ),
    "a batch is of one zone and has at most twenty": (
        termination.a_batch_is_small_and_of_one_zone,
    ),
    "no Spot request is left that would launch its instance again": (
        termination.no_spot_request_is_left_to_launch_again,
    ),
    "each verified instance has really ended or stopped": (audit.success_is_seen,),
    "every candidate is accounted for": (audit.every_candidate_is_accounted_for,),
    "nothing unexpected is raised": (audit.nothing_unexpected_is_raised,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A broken promise; ``instance`` is one that ended and had to be kept."""

    promise: str
    detail: str
    instance: str = ""

    def __str__(self) -> str:
        return f"{self.promise}: {self.detail}"


def judged(history: History) -> list[Violation]:
    """Every broken promise in a rehearsal that is over."""
    return [
        Violation(promise=words, detail=str(found), instance=found.instance)
        for words, checks in PROMISES.items()
        for check in checks
        for found in map(Finding.of, check(history))
    ]
