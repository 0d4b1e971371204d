"""One process of a Lambda function: its context, and a crash that Curfew cannot catch."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

# The time-outs of the functions, in seconds, as the template has them.
SECONDS = {
    "schedule": 900, "tick": 900, "sweep": 900, "message": 900, "target": 900, "http": 90, "launch": 300,
}  # fmt: skip


class KilledError(BaseException):
    """The process has crashed: out of memory, out of time, or its host was lost. Curfew must not catch it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What Lambda hands over beside the event."""

    aws_request_id: str
    left: Callable[[], timedelta]
    function_name: str = "curfew"
    memory_limit_in_mb: int = 512
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:123456789012:function:curfew"

    def get_remaining_time_in_millis(self) -> int:
        """Until the function is cut off."""
        return int(self.left() / timedelta(milliseconds=1))
