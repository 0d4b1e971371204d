"""Enqueueing a job, and what the function of a job returns.

An HTTP answer has to come within 30 seconds. What takes longer is enqueued, and the SweepFunction does it with the same
functions. Without a queue, everything is done at once.
"""

from dataclasses import dataclass

from ..app import App
from ..core.errors import QueueError
from ..core.report import Report
from ..schemas.messages import Job

# So many instances are ended and verified in about ten seconds; more are left to a job.
MOST_AT_ONCE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """The result of a job: the ``report`` of its sweep, or without a sweep a ``message`` for the log.

    The queue delivers the message of a failed sweep again, unless the job is ``final``: a second run would find nothing
    to do.
    """

    message: str = ""
    report: Report | None = None
    final: bool = False


def enqueued(app: App, job: Job) -> bool:
    """Enqueue the job and return True. Return False without a usable queue: the caller does the job then."""
    if app.enqueue is None:
        return False
    try:
        app.enqueue(job)
    except QueueError:
        return False
    return True
