"""Sends jobs and targets to SQS: a job names an entry of the ledger, a target message one target of a sweep.

A message contains no decision. A sender that is not Curfew can only trigger what the ledger already says is to be
done, or a sweep of a configured target by a policy of the file.
"""

from collections.abc import Sequence
from itertools import batched
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from ..core.errors import QueueError
from ..schemas.messages import Job, TargetRequest

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef


AT_ONCE = 10  # messages in one call
TRIES = 3


class Queue:
    """One SQS queue, by its URL."""

    def __init__(self, client: "SQSClient", url: str) -> None:
        self._client = client
        self._url = url

    def send(self, job: Job) -> None:
        """Enqueue a job. Raises QueueError if the job was not enqueued, or if that is unknown."""
        try:
            self._client.send_message(
                QueueUrl=self._url, MessageBody=job.model_dump_json(exclude_none=True)
            )
        except (ClientError, BotoCoreError) as error:
            raise QueueError(f"the queue {self._url} cannot be used: {error}") from error

    def send_each(self, messages: Sequence[TargetRequest]) -> list[TargetRequest]:
        """Send every message and return those that could not be sent. Refused messages are retried.

        Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
        """
        left = list(messages)
        for _ in range(TRIES):
            left = [
                one for batch in batched(left, AT_ONCE, strict=False) for one in self._unsent(batch)
            ]
            if not left:
                break
        return left

    def _unsent(self, batch: Sequence[TargetRequest]) -> list[TargetRequest]:
        entries: list[SendMessageBatchRequestEntryTypeDef] = [
            {"Id": str(number), "MessageBody": one.model_dump_json(exclude_none=True)}
            for number, one in enumerate(batch)
        ]
        try:
            answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
        except (ClientError, BotoCoreError):
            return list(batch)
        sent = {int(entry["Id"]) for entry in answer.get("Successful", [])}
        return [one for number, one in enumerate(batch) if number not in sent]
