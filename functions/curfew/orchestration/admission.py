"""*trigger*: decides whether Curfew obeys a trigger, and in which mode."""

from datetime import datetime, timedelta

from ..app import App
from ..core.errors import ConflictError, RequestError, StaleTriggerError
from ..core.policy import format_duration
from ..core.target import Mode
from ..schemas.messages import LaunchRequest, SweepRequest

# A later trigger is rejected: by then people work on the machines that the night was to end.
MAX_LATENESS = timedelta(hours=1)


def effective_mode(stack: Mode, asked: Mode | None) -> Mode:
    """Return the requested mode, by default the stack's. Raises RequestError if the stack may not act."""
    if asked is Mode.ACT and stack is Mode.REPORT:
        raise RequestError(
            'the event asks for mode "act", but this stack runs in report mode; deploy it with Mode=act'
        )
    return asked or stack


def require_act_mode(app: App) -> None:
    """Raise ConflictError in report mode: such a stack launches, changes and terminates nothing."""
    if app.settings.mode is not Mode.ACT:
        raise ConflictError("this stack runs in report mode: deploy it with Mode=act to let it act")


def reject_stale(request: SweepRequest | LaunchRequest, now: datetime) -> None:
    """Raise StaleTriggerError if the request's time is long past, or in the future."""
    at = request.scheduled_at
    if at is not None and abs(now - at) > MAX_LATENESS:
        raise StaleTriggerError(
            f"the trigger was scheduled for {at.isoformat()}, which is more than "
            f"{format_duration(MAX_LATENESS)} from now ({now.isoformat(timespec='seconds')}): "
            "a stale trigger is not obeyed; "
            f"to have it done now, send the request without its schedule"
        )
