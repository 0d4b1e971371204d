"""Enqueueing a job, and what the function of a job returns.

An HTTP answer has to come within 30 seconds. What takes longer is enqueued, and the SweepFunction does it with the same
functions. Without a queue, everything is done at once.
"""

from dataclasses import dataclass

from ..app import App
from ..core.errors import QueueError
from ..core.report import Report
from ..schemas.messages import Job

# A terminate call for each of so many instances, with its verification, takes about ten seconds.
MOST_AT_ONCE = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class JobResult:
    """What a job did: the report of its sweep, or else a message.

    A failed sweep fails its message, which the queue then delivers again; not if the job is ``final``, because a
    repetition would find nothing to do.
    """

    message: str = ""
    report: Report | None = None
    final: bool = False


def enqueued(app: App, job: Job) -> bool:
    """Enqueue the job and return True; False without a queue, or if it does not answer. The caller does it then."""
    if app.enqueue is None:
        return False
    try:
        app.enqueue(job)
    except QueueError:
        return False
    return True
