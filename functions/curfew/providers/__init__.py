"""*find* and the hands of *act*: what Curfew needs from a cloud, named after the need.

A provider judges nothing. It translates the cloud's words into ``core.model`` and the cloud's errors into
``core.errors``, and makes each call when asked. Only ``execute`` and ``fleet`` may ask for one that changes anything.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..core.errors import ProviderError
from ..core.model import Attributes, Instance, State, Target
from ..core.policy import Selector


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """A launch, resolved to the last detail. The same ``token`` never launches twice on a cloud that honours it."""

    image: str
    instance_type: str
    count: int
    tags: Mapping[str, str]
    token: str
    zone: str = ""


class Provider(Protocol):
    """One cloud, account and region."""

    @property
    def target(self) -> Target:
        """Where this provider looks and acts."""

    def find(self, selector: Selector, *, narrow: bool) -> Iterator[Instance]:
        """Stream what is there, page by page, in the states of the selector.

        ``narrow`` lets the cloud leave out what the tags and types of the selector exclude; otherwise everything in
        those states comes, so that the population can be counted. Raises ListingError when a page fails.
        """

    def describe(self, ids: Sequence[str]) -> Mapping[str, Instance]:
        """Look again, now. What is not seen is missing from the answer, which proves nothing. Raises ProviderError."""

    def protections(self, ids: Sequence[str]) -> Mapping[str, Attributes]:
        """Read the protections that no listing carries. What cannot be read is missing. Raises RefusedError."""

    def release(self, instances: Sequence[Instance]) -> Mapping[str, ProviderError | None]:
        """Undo what would launch the instances anew once they are terminated.

        The answer has each instance that something was undone for, with the error if it could not be: that one must
        not be terminated. An instance that is not in it needs nothing.
        """

    def terminate(self, ids: Sequence[str]) -> Mapping[str, State]:
        """Order the end of the instances; the answer has the state that each was in before. Raises ProviderError."""

    def stop(self, ids: Sequence[str]) -> Mapping[str, State]:
        """Order a shutdown; the answer has the state that each was in before. Raises ProviderError."""

    def launch(self, launch: Launch) -> tuple[Instance, ...]:
        """Launch instances that carry their tags from birth. Raises ProviderError."""
