"""*find* and the hands of *act*: what Curfew needs from a cloud, named after the need.

A provider judges nothing. It translates the cloud's words into ``core.model`` and the cloud's errors into
``core.errors``, and makes each call when asked. Only ``execute``, ``launching`` and ``fleet`` may ask
for one that changes anything.
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
    """What a cloud can do, where clouds differ. Whoever plans or acts is the more careful for what one cannot.

    ``order`` is how many instances one order may name. Without ``idempotent_launch``, a call whose answer is lost is
    not made again before somebody has looked for what it brought, later. Where nothing ``ends_for_sure`` that is
    ending, an end is verified only once it is over. ``lends``: the right to act is borrowed for each batch; otherwise
    what the credentials may, they may all the time. ``attributes``: there are protections that no listing carries.
    """

    order: int
    idempotent_launch: bool
    shelves: bool
    lends: bool
    ends_for_sure: bool
    attributes: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """One call for up to ``count`` instances of one pool, resolved to the last detail.

    The same ``token`` never launches twice on a cloud that honours it. ``networks`` and ``hints`` are for a cloud that
    attaches several networks, and takes hints where to put what it launches.
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
    """One page of a listing; ``after`` asks for the next one, and is empty on the last."""

    instances: tuple[Instance, ...]
    after: str = ""


class Provider(Protocol):
    """One cloud, account and region.

    Whatever changes something says on whose behalf: ``by`` is the id of the sweep, or of the launch.
    """

    @property
    def target(self) -> Target:
        """Where this provider looks and acts."""

    @property
    def capabilities(self) -> Capabilities:
        """What this cloud can do."""

    def find(self, selector: Selector, *, narrow: bool) -> Iterator[Instance]:
        """Stream what is there, page by page, in the states of the selector.

        ``narrow`` lets the cloud leave out what the tags and types of the selector exclude; otherwise everything in
        those states comes, so that the population can be counted. Raises ListingError when a page fails.
        """

    def page(self, selector: Selector, *, limit: int, after: str = "") -> Listing:
        """One page of what the selector means, of about ``limit`` instances; a page may be empty and not the last.

        Raises RequestError for an ``after`` that no page gave, ProviderError.
        """

    def describe(self, ids: Sequence[str]) -> Mapping[str, Instance]:
        """Look again, now. What is not seen is missing from the answer, which proves nothing. Raises ProviderError."""

    def protections(self, ids: Sequence[str]) -> Mapping[str, Attributes]:
        """Read the protections that no listing carries. What cannot be read is missing. Raises RefusedError."""

    def release(
        self, instances: Sequence[Instance], *, by: str
    ) -> Mapping[str, ProviderError | None]:
        """Undo what would launch the instances anew once they are terminated.

        The answer has each instance that something was undone for, with the error if it could not be: that one must
        not be terminated. An instance that is not in it needs nothing.
        """

    def terminate(self, ids: Sequence[str], *, by: str) -> Mapping[str, State]:
        """Order the end of the instances; the answer has the state that each was in before. Raises ProviderError."""

    def stop(self, ids: Sequence[str], *, by: str) -> Mapping[str, State]:
        """Order a shutdown; the answer has the state that each was in before. Raises ProviderError."""

    def shelve(self, ids: Sequence[str], *, by: str) -> Mapping[str, State]:
        """Order a shutdown that gives the host back, on a cloud that ``shelves``; as ``stop``. Raises ProviderError."""

    def image(self, name: str) -> str:
        """The id of an image: ``name`` itself, or what the parameter holds that it names after ``resolve:ssm:``.

        Raises ProviderError.
        """

    def launch(self, launch: Launch, *, by: str) -> tuple[Instance, ...]:
        """Launch as many instances as there is capacity for, one at least, that carry their tags from birth.

        Raises CapacityError if the pool has none left, MismatchError if the token is known with another call,
        AmbiguousError if nobody knows whether something was launched, another ProviderError if nothing was.
        """

    def launched(self, token: str) -> tuple[Instance, ...]:
        """What was launched with a token, in whatever state, as far as it is to be seen yet. Raises ProviderError."""

    def usable(self) -> bool:
        """Whether the account may use this region at all: for whoever was refused there, and wants to know why.

        Raises ProviderError.
        """

    def label(self, ids: Sequence[str], tags: Mapping[str, str], *, by: str) -> None:
        """Write tags of Curfew's own onto instances, for people to read. Raises ProviderError."""


class Unreachable:
    """A target that cannot be reached: whoever asks it for anything is told why."""

    def __init__(self, target: Target, error: ProviderError) -> None:
        self.target = target
        self._error = error

    def __getattr__(self, name: str) -> Any:
        raise self._error
