"""The interface of a cloud, for *find* and *act*.

A provider decides nothing. It translates the cloud's descriptions into ``core.instance`` and the cloud's errors into
``core.errors``, and makes each call when asked. Only ``sweep.zone_worker``, ``fleets.launcher`` and
``fleets.lifecycle`` may ask for a call that changes anything.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..core.errors import ProviderError
from ..core.instance import Attributes, Instance, State
from ..core.policy import Selector
from ..core.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a cloud can do, where clouds differ. Curfew takes more care where a cloud lacks a capability.

    ``ids_per_call``: how many instances one call may name. ``idempotent_launch``: a launch call may be repeated after a
    lost answer; otherwise Curfew looks for its instances first. ``shelves``: the cloud has the action shelve.
    ``scoped_credentials``: credentials are scoped to each batch; otherwise they always have all their rights.
    ``ends_for_sure``: an instance that is ending will end; otherwise its end is verified only when it is over.
    ``attributes``: the cloud has protections that a listing does not contain.
    """

    ids_per_call: int
    idempotent_launch: bool
    shelves: bool
    scoped_credentials: bool
    ends_for_sure: bool
    attributes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchCall:
    """One call for up to ``count`` instances of one pool, with all details resolved.

    On a cloud with client tokens, the same ``token`` never launches twice. ``networks`` and ``hints`` are for clouds
    that attach several networks and accept scheduler hints.
    """

    image: str
    instance_type: str
    count: int
    tags: Mapping[str, str]
    token: str
    subnet: str = ""
    security_groups: tuple[str, ...] = ()
    key: str = ""
    profile: str = ""
    user_data: str = field(default="", repr=False)
    spot: bool = False
    networks: tuple[str, ...] = ()
    hints: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One page of a listing; ``after`` requests the next page and is empty on the last."""

    instances: tuple[Instance, ...]
    after: str = ""


class Provider(Protocol):
    """One cloud, account and region.

    Each call that changes something has ``by``, the id of the sweep or of the launch.
    """

    @property
    def target(self) -> Target:
        """The account and region that this provider reads and changes."""

    @property
    def capabilities(self) -> Capabilities:
        """What this cloud can do."""

    def find(self, selector: Selector, *, narrow: bool) -> Iterator[Instance]:
        """Yield the instances in the selector's states, page by page.

        With ``narrow``, the cloud may leave out instances that the selector's tags and types exclude; otherwise all
        are listed, so that the population can be counted. Raises ListingError if a page fails.
        """

    def page(self, selector: Selector, *, limit: int, after: str = "") -> Listing:
        """Return one page of about ``limit`` selected instances; an empty page need not be the last.

        Raises RequestError for an invalid ``after``, and ProviderError.
        """

    def describe(self, ids: Sequence[str]) -> Mapping[str, Instance]:
        """Return the current descriptions. A missing instance may still exist. Raises ProviderError."""

    def protections(self, ids: Sequence[str]) -> Mapping[str, Attributes]:
        """Return the protections that a listing does not contain; unreadable ones are missing. Raises RefusedError."""

    def release(
        self, instances: Sequence[Instance], *, by: str
    ) -> Mapping[str, ProviderError | None]:
        """Cancel what would relaunch the instances after they are terminated.

        Return each instance that has something to cancel, with the error if it could not be cancelled: such an
        instance must not be terminated. An instance that is missing has nothing to cancel.
        """

    def terminate(self, ids: Sequence[str], *, by: str) -> Mapping[str, State]:
        """Terminate the instances and return the previous state of each. Raises ProviderError."""

    def stop(self, ids: Sequence[str], *, by: str) -> Mapping[str, State]:
        """Stop the instances and return the previous state of each. Raises ProviderError."""

    def shelve(self, ids: Sequence[str], *, by: str) -> Mapping[str, State]:
        """Shelve the instances, on a cloud that ``shelves``, and return the previous states. Raises ProviderError."""

    def image(self, name: str) -> str:
        """Return the id of an image: ``name`` itself, or after ``resolve:ssm:`` the value of that parameter.

        Raises ProviderError.
        """

    def launch(self, launch: LaunchCall, *, by: str) -> tuple[Instance, ...]:
        """Launch as many instances as the pool has capacity for, at least one, with their tags.

        Raises CapacityError if the pool has no capacity, MismatchError if the token belongs to another call,
        AmbiguousError if it is unknown whether an instance was launched, another ProviderError if none was.
        """

    def launched(self, token: str) -> tuple[Instance, ...]:
        """Return the instances launched with a token, in any state; new ones may be missing. Raises ProviderError."""

    def usable(self) -> bool:
        """Return whether the account may use this region, to explain a refused call. Raises ProviderError."""

    def label(self, ids: Sequence[str], tags: Mapping[str, str], *, by: str) -> None:
        """Write Curfew's own tags to instances, for people to read. Raises ProviderError."""


class Unreachable:
    """A target that cannot be reached: every call raises the error that says why."""

    def __init__(self, target: Target, error: ProviderError) -> None:
        self.target = target
        self._error = error

    def __getattr__(self, name: str) -> Any:
        raise self._error
