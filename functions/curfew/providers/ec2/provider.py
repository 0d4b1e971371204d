"""EC2 as a provider: the only module that makes its calls and reads its errors.

It has two clients: the SDK may retry calls of ``read``, never those of ``act``, since after an error Curfew describes
the instances first. In report mode there is only ``read``. The credential broker issues scoped credentials for each
call of ``act``; without a broker, ``act`` uses its own credentials.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from itertools import batched
from typing import TYPE_CHECKING, Any

from ...aws.errors import PAGE_CODES, SDK_ERRORS, code_of, refused_launch, translated
from ...concurrency import TaskRunner, run_sequentially
from ...core.errors import AmbiguousError, ListingError, ProviderError, RefusedError, RequestError
from ...core.instance import Attributes, Instance, State
from ...core.policy import Selector, mismatch
from ...core.target import Target
from .. import own_tags
from ..base import Capabilities, LaunchCall, Listing
from .filters import FILTER_VALUES, filters, literal
from .instances import instance_of, previous_states
from .launch_request import image_of, request_of
from .scoped_credentials import (
    Arns,
    CredentialBroker,
    ScopedCall,
    for_instances,
    for_launch,
    for_spot_requests,
)
from .spot import ENDED_SPOT_REQUESTS, released

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client
    from mypy_boto3_ec2.type_defs import (
        DescribeInstancesResultTypeDef,
        FilterTypeDef,
        InstanceTypeDef,
        TagTypeDef,
    )
    from mypy_boto3_ssm.client import SSMClient

PAGE_SIZE = 500  # instances; a page of 1,000 needs twice the memory and saves one call
SMALLEST_PAGE, LARGEST_PAGE = 5, 1_000
LABELLED = 20  # instances in one CreateTags call, as many as a session policy can name


class Ec2Provider:
    """One account and region of EC2.

    ``act`` returns the client for changing calls, ``ssm`` the one for parameters. ``enabled`` returns the regions that
    the account may use, read in another region; ``run_tasks`` runs independent reads.
    """

    capabilities = Capabilities(
        ids_per_call=1_000,
        idempotent_launch=True,
        shelves=False,
        scoped_credentials=True,
        ends_for_sure=True,
        attributes=True,
    )

    def __init__(
        self,
        *,
        target: Target,
        read: "EC2Client",
        act: "Callable[[], EC2Client] | None" = None,
        broker: CredentialBroker | None = None,
        ssm: "Callable[[], SSMClient] | None" = None,
        enabled: Callable[[], frozenset[str]] | None = None,
        run_tasks: TaskRunner = run_sequentially,
    ) -> None:
        self.target = target
        self._read = read
        self._act_client = act
        self._broker = broker
        self._arns = broker.arns if broker else Arns(partition="aws", target=target)
        self._ssm = ssm
        self._enabled = enabled
        self._run_tasks = run_tasks

    def find(self, selector: Selector, *, narrow: bool) -> Iterator[Instance]:
        """Yield the instances, page by page; a page may be empty and have a token."""
        pages = self._pages(filters(selector, narrow=narrow))
        complete = 0
        try:
            for page in pages:
                yield from page
                del page  # so that only one page is in memory
                complete += 1
        except SDK_ERRORS as error:
            raise ListingError(
                f"{self.target}: page {complete + 1} of the listing failed: {translated(error)}"
            ) from error

    def page(self, selector: Selector, *, limit: int, after: str = "") -> Listing:
        """Make one DescribeInstances call and leave out the instances that its filters cannot exclude.

        Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html
        """
        wanted = filters(selector, narrow=True)
        size = min(max(limit, SMALLEST_PAGE), LARGEST_PAGE)
        more: Any = {"NextToken": after} if after else {}
        try:
            answer = self._read.describe_instances(Filters=wanted, MaxResults=size, **more)
            instances = [instance_of(raw, self.target) for raw in _listed(answer)]
        except SDK_ERRORS as error:
            if after and code_of(error) in PAGE_CODES:
                raise RequestError(
                    "the page token is not valid: begin at the first page"
                ) from error
            raise translated(error) from error
        return Listing(
            instances=tuple(i for i in instances if mismatch(i, selector) is None),
            after=answer.get("NextToken", ""),
        )

    def describe(self, ids: Sequence[str]) -> Mapping[str, Instance]:
        """Describe by filter, since a request that names a missing id fails."""
        found: dict[str, Instance] = {}
        try:
            for batch in batched(ids, FILTER_VALUES, strict=False):
                for page in self._pages([{"Name": "instance-id", "Values": list(batch)}]):
                    found.update((instance.id, instance) for instance in page)
        except SDK_ERRORS as error:
            raise translated(error) from error
        return found

    def protections(self, ids: Sequence[str]) -> Mapping[str, Attributes]:
        """Make two calls for each instance, concurrently: EC2 has no batch call for attributes."""
        found: dict[str, Attributes] = {}

        def read(id_: str) -> None:
            try:
                found[id_] = Attributes(
                    termination_protected=self._attribute(id_, "disableApiTermination"),
                    stop_protected=self._attribute(id_, "disableApiStop"),
                )
            except SDK_ERRORS as error:
                problem = translated(error)
                if isinstance(problem, RefusedError):
                    raise problem from error

        self._run_tasks([partial(read, id_) for id_ in ids])
        return {id_: found[id_] for id_ in ids if id_ in found}

    def release(
        self, instances: Sequence[Instance], *, by: str
    ) -> Mapping[str, ProviderError | None]:
        """Cancel persistent Spot requests."""
        return released(instances, read=self._read, cancel=partial(self._cancel, by=by))

    def terminate(self, ids: Sequence[str], *, by: str) -> Mapping[str, State]:
        """Make one TerminateInstances call.

        Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_TerminateInstances.html
        """
        return self._change(
            for_instances(self._arns, "ec2:TerminateInstances", ids, by=by),
            lambda: previous_states(
                self._act.terminate_instances(InstanceIds=list(ids)).get("TerminatingInstances", [])
            ),
        )

    def stop(self, ids: Sequence[str], *, by: str) -> Mapping[str, State]:
        """Make one StopInstances call.

        Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StopInstances.html
        """
        return self._change(
            for_instances(self._arns, "ec2:StopInstances", ids, by=by),
            lambda: previous_states(
                self._act.stop_instances(InstanceIds=list(ids)).get("StoppingInstances", [])
            ),
        )

    def shelve(self, ids: Sequence[str], *, by: str) -> Mapping[str, State]:
        """Raise RefusedError: EC2 cannot shelve, and no plan for EC2 has this action."""
        raise RefusedError("EC2 cannot shelve an instance: no call was made; use the action stop")

    def usable(self) -> bool:
        """Ask in another region: a disabled one refuses every call with an error of credentials."""
        return self._enabled is None or self.target.region in self._enabled()

    def image(self, name: str) -> str:
        """Return an id unchanged; after ``resolve:ssm:``, the parameter's value."""
        return image_of(name, self._ssm)

    def launch(self, launch: LaunchCall, *, by: str) -> tuple[Instance, ...]:
        """Make one RunInstances call. If the answer has no instances or is unreadable, all may have been launched."""
        request = request_of(launch)
        try:
            with self._scoped_credentials(for_launch(self._arns, launch, by=by)):
                answer = self._act.run_instances(**request)
            instances = tuple(instance_of(raw, self.target) for raw in answer["Instances"])
        except SDK_ERRORS as error:
            raise refused_launch(error) from error
        if not instances:
            raise AmbiguousError("the answer of RunInstances has no instance")
        return instances

    def launched(self, token: str) -> tuple[Instance, ...]:
        """Find the instances by a filter on the client token, and check the token of each."""
        wanted: list[FilterTypeDef] = [{"Name": "client-token", "Values": [literal(token)]}]
        try:
            found = {
                raw["InstanceId"]: instance_of(raw, self.target)
                for page in self._raw_pages(wanted)
                for raw in _listed(page)
                if raw.get("ClientToken") == token
            }
        except SDK_ERRORS as error:
            raise translated(error) from error
        return tuple(found.values())

    def label(self, ids: Sequence[str], tags: Mapping[str, str], *, by: str) -> None:
        """Make CreateTags calls, which replace the values of existing keys.

        Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateTags.html
        """
        own_tags.check(tags)
        written: list[TagTypeDef] = [{"Key": k, "Value": v} for k, v in sorted(tags.items())]
        if not written:
            return
        for batch in batched(ids, LABELLED, strict=False):
            self._change(
                for_instances(self._arns, "ec2:CreateTags", batch, by=by),
                partial(self._act.create_tags, Resources=list(batch), Tags=written),
            )

    @property
    def _act(self) -> "EC2Client":
        if self._act_client is None:
            raise RefusedError(
                "no call was made: report mode has no client that can change anything"
            )
        return self._act_client()

    def _pages(self, wanted: "list[FilterTypeDef]") -> Iterator[list[Instance]]:
        return map(self._take_instances, self._raw_pages(wanted))

    def _raw_pages(
        self, wanted: "list[FilterTypeDef]"
    ) -> "Iterable[DescribeInstancesResultTypeDef]":
        return self._read.get_paginator("describe_instances").paginate(
            Filters=wanted, PaginationConfig={"PageSize": PAGE_SIZE}
        )

    def _take_instances(self, page: "DescribeInstancesResultTypeDef") -> list[Instance]:
        """Return the instances of a page and empty it: the paginator keeps a page until it has the next."""
        instances = [instance_of(raw, self.target) for raw in _listed(page)]
        page["Reservations"].clear()
        return instances

    def _scoped_credentials(self, call: ScopedCall) -> AbstractContextManager[None]:
        return self._broker.scoped_credentials(call) if self._broker else nullcontext()

    def _cancel(self, request_ids: list[str], *, by: str) -> frozenset[str]:
        with self._scoped_credentials(for_spot_requests(self._arns, request_ids, by=by)):
            answer = self._act.cancel_spot_instance_requests(SpotInstanceRequestIds=request_ids)
        return frozenset(
            request["SpotInstanceRequestId"]
            for request in answer.get("CancelledSpotInstanceRequests", [])
            if request.get("State") in {*ENDED_SPOT_REQUESTS, "completed"}
        )

    def _attribute(self, id_: str, name: Any) -> bool:
        answer: Any = self._read.describe_instance_attribute(InstanceId=id_, Attribute=name)
        # The answer spells the attribute with a capital. A missing value raises KeyError: the protection is unknown.
        return bool(answer[name[0].upper() + name[1:]]["Value"])

    def _change[T](self, scoped_call: ScopedCall, call: Callable[[], T]) -> T:
        try:
            with self._scoped_credentials(scoped_call):
                return call()
        except SDK_ERRORS as error:
            raise translated(error, acting=True) from error


def _listed(answer: "DescribeInstancesResultTypeDef") -> "list[InstanceTypeDef]":
    return [raw for reservation in answer["Reservations"] for raw in reservation["Instances"]]
