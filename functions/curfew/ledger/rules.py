"""The decisions and errors that the ledgers in memory and in DynamoDB share."""

from collections.abc import Callable, Sequence
from datetime import datetime

from ..core.errors import ConflictError, LedgerError, ReusedKeyError
from ..core.lease import Member, Phase
from ..core.report import Report
from .records import Page, Verdict


def over(phase: Phase, members: Sequence[Member], *, empty: datetime | None) -> datetime | None:
    """Return when a fleet ended, or None: its launch must be finished and each instance must have ended.

    A fleet without instances has ended, at ``empty``, only if its launch failed: otherwise an instance may be missing.
    """
    ends = [member.ended_at for member in members]
    if not phase.finished or None in ends:
        return None
    if not ends:
        return empty if phase is Phase.FAILED else None
    return max(end for end in ends if end is not None)


def cut[T](items: Sequence[T], limit: int, place: Callable[[T], str]) -> Page[T]:
    """Return a page of ``limit`` items; one further item shows that another page follows."""
    shown = tuple(items[:limit])
    return Page(items=shown, after=place(shown[-1]) if len(items) > limit else "")


def taken(name: str) -> ConflictError:
    """Return the error for a name that another fleet has."""
    return ConflictError(
        f'the name "{name}" is taken by a fleet that has not ended: choose another name'
    )


def passed_on(name: str) -> ConflictError:
    """Return the error for a key whose fleet has ended while another fleet has its name."""
    return ConflictError(
        f'the fleet "{name}" of this idempotency key has ended, and another fleet has its name now: use a new key'
    )


def reused() -> ReusedKeyError:
    """Return the error for a key that belongs to another request."""
    return ReusedKeyError(
        "the idempotency key belongs to another request: use a new key, or repeat the same request"
    )


def written_already(launch_id: str) -> LedgerError:
    """Return the error for a launch that is already recorded under another key."""
    return LedgerError(f"launch {launch_id}: it is already recorded, under another key")


def no_launch_spec(launch_id: str) -> LedgerError:
    """Return the error for a launch that is not recorded."""
    return LedgerError(f"launch {launch_id}: the ledger does not have it")


def no_attempt(launch_id: str, number: int) -> LedgerError:
    """Return the error for an attempt that was not recorded before its call."""
    return LedgerError(f"attempt {number} of launch {launch_id}: the ledger does not have it")


def launched_elsewhere(launch_id: str) -> LedgerError:
    """Return the error for an instance that is recorded for two launches."""
    return LedgerError(f"launch {launch_id}: an instance of it is recorded for another launch")


def verdicts(report: Report) -> list[Verdict]:
    """Return the verdicts of a plan, without outcomes."""
    if report.plan is None:
        return []
    actions = [Verdict(judged=action) for action in report.plan.actions]
    return actions + [Verdict(judged=kept) for kept in report.plan.kept]


def outcomes(report: Report) -> list[Verdict]:
    """Return the verdicts that have an outcome."""
    return [Verdict(judged=outcome.action, outcome=outcome) for outcome in report.outcomes]
