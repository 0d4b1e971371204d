"""Work that is put off: a message that names an entry of the ledger, or one target of a sweep.

The queue is not trusted with a decision. Whoever can send a message can have done what the ledger says is to be done,
or have a configured target swept by a policy of the file, and nothing else.
"""

from collections.abc import Sequence
from itertools import batched
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from ..core.errors import QueueError
from ..schemas.messages import TargetRequest, WorkRequest

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef


AT_ONCE = 10  # as many as one call takes
TRIES = 3


class Queue:
    """One SQS queue, by its address."""

    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url

    def send(self, work: WorkRequest) -> None:
        """Put work off. Raises QueueError if nobody knows whether it will be carried on."""
        try:
            self._client.send_message(
                QueueUrl=self._url, MessageBody=work.model_dump_json(exclude_none=True)
            )
        except (ClientError, BotoCoreError) as error:
            raise QueueError(f"the queue {self._url} cannot be used: {error}") from error

    def send_each(self, messages: Sequence[TargetRequest]) -> list[TargetRequest]:
        """Send every message, and return those that could not be sent; what one call refuses is tried again.

        Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
        """
        left = list(messages)
        for _ in range(TRIES):
            left = [
                one for some in batched(left, AT_ONCE, strict=False) for one in self._unsent(some)
            ]
            if not left:
                break
        return left

    def _unsent(self, some: Sequence[TargetRequest]) -> list[TargetRequest]:
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {"Id": str(number), "MessageBody": one.model_dump_json(exclude_none=True)}
            for number, one in enumerate(some)
        ]
        try:
            answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
        except (ClientError, BotoCoreError):
            return list(some)
        sent = {int(entry["Id"]) for entry in answer.get("Successful", [])}
        return [one for number, one in enumerate(some) if number not in sent]
