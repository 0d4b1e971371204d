"""AWS's prices in dollars, in us-east-1, without free tiers: inputs that a reader may replace.

List prices as of 2026-11-25; check them before you rely on them. Sources:
https://aws.amazon.com/lambda/pricing/ (x86, first tier),
https://aws.amazon.com/sqs/pricing/ (standard queue), https://aws.amazon.com/dynamodb/pricing/on-demand/
"""

from dataclasses import dataclass

AS_OF = "2026-11-25"
LAMBDA_GB_SECOND = 0.0000166667
LAMBDA_REQUEST = 0.20 / 1e6
SQS_REQUEST = 0.40 / 1e6
DYNAMODB_WRITE = 0.625 / 1e6  # a unit of 1 KB; a transaction costs two for each item
DYNAMODB_READ = 0.125 / 1e6  # a unit of 4 KB, read consistently
NIGHTS = 30.4  # per month
# Lambda polls a queue that triggers a function all the time, with five pollers that wait for up to 20 seconds.
# Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
IDLE_POLLS = 5 * 3 * 60 * 24 * 30.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """Dollars per month, by service."""

    functions: float
    queue: float
    ledger: float

    @property
    def total(self) -> float:
        """Return the sum of all services."""
        return self.functions + self.queue + self.ledger


def month(
    *, gb_seconds: float, invocations: float, messages: float, reads: float, writes: float
) -> Bill:
    """Return the bill of a month of such nights. Messages are sent in batches of ten, received and deleted singly."""
    return Bill(
        functions=NIGHTS * (gb_seconds * LAMBDA_GB_SECOND + invocations * LAMBDA_REQUEST),
        queue=(NIGHTS * messages * 2.1 + IDLE_POLLS) * SQS_REQUEST,
        ledger=NIGHTS * (reads * DYNAMODB_READ + writes * DYNAMODB_WRITE),
    )
