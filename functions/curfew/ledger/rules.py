"""What the ledgers in memory and in DynamoDB decide and say alike."""

from collections.abc import Callable, Sequence
from datetime import datetime

from ..core.errors import ConflictError, LedgerError, ReusedKeyError
from ..core.lease import Member, Step
from ..core.report import Report
from .records import Page, Verdict


def over(step: Step, members: Sequence[Member], *, nobody: datetime | None) -> datetime | None:
    """When a fleet ended, if it has: its launch is finished and each of its instances has ended.

    Without any instance, only a launch that failed has ended, at ``nobody``: after any other, one may be missing.
    """
    ends = [member.ended_at for member in members]
    if not step.finished or None in ends:
        return None
    if not ends:
        return nobody if step is Step.FAILED else None
    return max(end for end in ends if end is not None)


def cut[T](items: Sequence[T], limit: int, place: Callable[[T], str]) -> Page[T]:
    """A page out of up to one item more than it holds, which shows whether another page follows."""
    shown = tuple(items[:limit])
    return Page(items=shown, after=place(shown[-1]) if len(items) > limit else "")


def taken(name: str) -> ConflictError:
    """The name is held."""
    return ConflictError(
        f'the name "{name}" is taken by a fleet that has not ended: choose another name'
    )


def passed_on(name: str) -> ConflictError:
    """The key's own fleet has ended, and another has its name."""
    return ConflictError(
        f'the fleet "{name}" that this idempotency key stands for has ended, and another fleet has its '
        "name now: use a new key"
    )


def reused() -> ReusedKeyError:
    """One key, two requests."""
    return ReusedKeyError(
        "the idempotency key came before with another request: use a new key, or repeat the same request"
    )


def written_already(operation: str) -> LedgerError:
    """A frozen order is never written anew."""
    return LedgerError(f"the launch {operation} is written down already, under another key")


def no_order(operation: str) -> LedgerError:
    """A launch without an order is not known."""
    return LedgerError(f"the ledger knows no launch {operation}")


def no_attempt(operation: str, number: int) -> LedgerError:
    """Only what was written down before its call can be settled."""
    return LedgerError(f"the ledger knows no attempt {number} of the launch {operation}")


def born_elsewhere(operation: str) -> LedgerError:
    """No instance comes of two launches."""
    return LedgerError(f"an instance of the launch {operation} was recorded for another launch")


def verdicts(report: Report) -> list[Verdict]:
    """The verdicts of a plan that was only made."""
    if report.plan is None:
        return []
    actions = [Verdict(judged=action) for action in report.plan.actions]
    return actions + [Verdict(judged=kept) for kept in report.plan.kept]


def outcomes(report: Report) -> list[Verdict]:
    """The verdicts of which something became."""
    return [Verdict(judged=outcome.action, outcome=outcome) for outcome in report.outcomes]
