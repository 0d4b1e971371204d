"""For which window a tick was, worked out again from the file and the clock."""

from datetime import datetime, time, timedelta

from ..history.history import instant
from ..history.invocation import Invocation


def latest(invocation: Invocation, at: datetime) -> datetime:
    """The last window of the world's one schedule that had begun by then."""
    (schedule,) = invocation.policies.content.schedules.values()
    if every := schedule.every:
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight + (at - midnight) // every * every
    zone = invocation.policies.timezone
    today, of_day = at.astimezone(zone).date(), time.fromisoformat(str(schedule.at))
    night = datetime.combine(today, of_day, zone)
    if night > at:
        night = datetime.combine(today - timedelta(days=1), of_day, zone)
    return night.astimezone(at.tzinfo)


def window_of(invocation: Invocation) -> datetime | None:
    """The time that an invocation was for; none if it was for none, or if a window began in the middle of it."""
    if invocation.kind != "tick":
        scheduled_at = invocation.about.get("scheduled_at")
        return (
            instant(scheduled_at) if scheduled_at and "template" not in invocation.about else None
        )
    first = latest(invocation, invocation.begun_at + invocation.skew)
    last = latest(invocation, invocation.ended_at or invocation.cut_off)
    return first if first == last else None
