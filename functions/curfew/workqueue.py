"""Work that is put off: a message that names an entry of the ledger, for the SweepFunction to carry on.

The queue is not trusted with a decision. Whoever can send a message can have done what the ledger says is to be done,
and nothing else.
"""

from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from .core.errors import QueueError
from .requests import WorkRequest

if TYPE_CHECKING:
    from mypy_boto3_sqs.client import SQSClient


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
