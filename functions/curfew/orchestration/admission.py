"""*trigger*: whether one is obeyed, and in which mode."""

from datetime import datetime, timedelta

from ..core.errors import RequestError, StaleTriggerError
from ..core.policy import format_duration
from ..core.target import Mode
from ..schemas.messages import LaunchRequest, SweepRequest

# One that comes later than this is not obeyed: people have started to work by then.
MAX_LATENESS = timedelta(hours=1)


def effective_mode(stack: Mode, asked: Mode | None) -> Mode:
    """The mode of a sweep: the stack's, or a weaker one that was asked for. Raises RequestError for a stronger."""
    if asked is Mode.ACT and stack is Mode.REPORT:
        raise RequestError(
            'the event asks for mode "act", but this stack runs in report mode; deploy it with Mode=act'
        )
    return asked or stack


def reject_stale(request: SweepRequest | LaunchRequest, now: datetime) -> None:
    """Raise StaleTriggerError if the request was meant for a time that is gone, or has not come."""
    at = request.scheduled_at
    if at is not None and abs(now - at) > MAX_LATENESS:
        raise StaleTriggerError(
            f"the trigger was scheduled for {at.isoformat()}, which is more than "
            f"{format_duration(MAX_LATENESS)} from now ({now.isoformat(timespec='seconds')}): "
            "a stale trigger is not obeyed; "
            f"to have it done now, send the request without its schedule"
        )
