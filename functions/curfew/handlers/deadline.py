"""When an invocation begins nothing more."""

from datetime import datetime, timedelta

from aws_lambda_powertools.utilities.typing import LambdaContext

# For the report after the last batch.
MARGIN = timedelta(seconds=10)


def deadline_of(now: datetime, context: LambdaContext) -> datetime:
    """Return the end of the invocation's time, less the margin in which the results are recorded."""
    return now + timedelta(milliseconds=context.get_remaining_time_in_millis()) - MARGIN
