"""OpenStack as a provider, by openstacksdk. Imported only when needed, since the SDK is optional.

Nova has no batch calls, no client tokens and no reliable filters: each call is for one server, a launch's servers are
found by a tag, and the result of every filter is checked.
Source: https://docs.openstack.org/api-ref/compute/
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from keystoneauth1.exceptions import ClientException
from openstack.connection import Connection
from openstack.exceptions import HttpException, NotFoundException, SDKException
from requests.exceptions import RequestException

from ...core.errors import (
    AmbiguousError,
    ListingError,
    ProtectedError,
    ProviderError,
    RefusedError,
    RequestError,
)
from ...core.instance import Attributes, Instance, State
from ...core.policy import Selector, mismatch
from ...core.target import Target
from .. import own_tags
from ..base import Capabilities, LaunchCall, Listing
from .errors import refused_launch, translated
from .filters import query
from .launch_request import request_of, token_text
from .servers import instance_of
from .tags import text_of

PAGE_SIZE = 1_000
OPEN = Attributes(termination_protected=False, stop_protected=False)
ERRORS = (SDKException, ClientException, RequestException, ValueError, LookupError, TypeError)


class OpenstackProvider:
    """One project of one cloud, in one region.

    ``acts`` is false in report mode. An administrator's token acts only if the configuration allows it, since locks and
    policies do not bind it.
    """

    capabilities = Capabilities(
        ids_per_call=1,
        idempotent_launch=False,
        shelves=True,
        scoped_credentials=False,
        ends_for_sure=False,
        attributes=False,
    )

    def __init__(
        self,
        *,
        target: Target,
        cloud: Connection,
        acts: bool = False,
        administrator_may: bool = False,
    ) -> None:
        self.target = target
        self._cloud = cloud
        self._acts = acts
        self._administrator_may = administrator_may
        self._seen: dict[str, Instance] = {}
        self._ordered: set[str] = set()  # ids of servers that this process deletes

    def find(self, selector: Selector, *, narrow: bool) -> Iterator[Instance]:
        """Yield the servers; the SDK follows the link of each page to the next.

        The query has no limit, so Nova's own applies: with a limit and without a link, the SDK would ask for the
        servers after the last one, and could list servers twice if the order has changed.
        """
        seen = 0
        try:
            for server in self._compute.servers(details=True, **query(selector, narrow=narrow)):
                seen += 1
                instance = instance_of(server, self.target)
                if instance.state in selector.states:
                    yield instance
        except ERRORS as error:
            raise ListingError(
                f"{self.target}: the listing failed after {seen} servers: {translated(error)}"
            ) from error

    def page(self, selector: Selector, *, limit: int, after: str = "") -> Listing:
        """Return one page of Nova's; ``after`` is the last server of the previous page."""
        size = min(max(limit, 1), PAGE_SIZE)
        more = {"marker": after} if after else {}
        try:
            servers = list(
                self._compute.servers(
                    details=True,
                    paginated=False,
                    limit=size,
                    **query(selector, narrow=True),
                    **more,
                )
            )
            instances = [instance_of(server, self.target) for server in servers]
        except HttpException as error:
            if after and error.status_code == 400:
                raise RequestError(
                    "the page token is not valid: begin at the first page"
                ) from error
            raise translated(error) from error
        except ERRORS as error:
            raise translated(error) from error
        return Listing(
            instances=tuple(i for i in instances if mismatch(i, selector) is None),
            after=instances[-1].id if len(instances) == size else "",
        )

    def describe(self, ids: Sequence[str]) -> Mapping[str, Instance]:
        """Describe each server by its id, which shows soft-deleted ones, too.

        A server that this process deletes counts as terminated if it is not found. Any other may still exist: Nova does
        not find servers of other projects either.
        """
        found: dict[str, Instance] = {}
        for id_ in ids:
            try:
                found[id_] = instance_of(self._compute.get_server(id_), self.target)
            except NotFoundException:
                if id_ in self._ordered:
                    found[id_] = replace(self._seen[id_], state=State.TERMINATED)
            except ERRORS as error:
                raise translated(error) from error
        return found

    def protections(self, ids: Sequence[str]) -> Mapping[str, Attributes]:
        """Return no protection: the only one is the lock, which every description shows."""
        return dict.fromkeys(ids, OPEN)

    def release(
        self, instances: Sequence[Instance], *, by: str
    ) -> Mapping[str, ProviderError | None]:
        """Cancel nothing: only Heat recreates servers, and the plan keeps servers of a Heat stack."""
        return {}

    def terminate(self, ids: Sequence[str], *, by: str) -> Mapping[str, State]:
        """Delete each server, asynchronously; a cloud that reclaims deleted servers later soft-deletes it."""
        return self._each(ids, self._delete)

    def stop(self, ids: Sequence[str], *, by: str) -> Mapping[str, State]:
        """Stop each server; it still occupies its host and its quota."""
        return self._each(ids, self._compute.stop_server)

    def shelve(self, ids: Sequence[str], *, by: str) -> Mapping[str, State]:
        """Shelve each server: Nova keeps an image of it and frees its host."""
        return self._each(ids, self._compute.shelve_server)

    def usable(self) -> bool:
        """Return True: a region that the catalogue does not have fails with an error that names it."""
        return True

    def image(self, name: str) -> str:
        """Return the id of an image by its name or id."""
        try:
            found = self._cloud.image.find_image(name, ignore_missing=True)
        except ERRORS as error:
            raise translated(error) from error
        if found is None:
            raise RefusedError(f'image "{name}": {self.target} does not have it')
        return str(found.id)

    def launch(self, launch: LaunchCall, *, by: str) -> tuple[Instance, ...]:
        """Create up to ``count`` servers, or return those that already have the token's tag.

        Nova creates all records before it answers; its quota may reduce their number. A server that finds no host is
        one of them, in ERROR.
        """
        self._may_act()
        if servers := self.launched(launch.token):
            return servers
        try:
            flavor = self._compute.find_flavor(launch.instance_type, ignore_missing=False)
            networks = [self._network(name) for name in launch.networks]
            self._compute.create_server(**request_of(launch, str(flavor.id), networks))
        except ERRORS as error:
            raise refused_launch(error) from error
        try:
            servers = self.launched(launch.token)
        except ProviderError as error:
            raise AmbiguousError(f"launched, but the servers cannot be listed: {error}") from error
        if not servers:
            raise AmbiguousError("launched, but no server with the launch's tag is listed yet")
        return servers

    def launched(self, token: str) -> tuple[Instance, ...]:
        """Find the servers by a filter on the token's tag, and check the tags of each."""
        text = token_text(token)
        try:
            return tuple(
                instance_of(server, self.target)
                for server in self._compute.servers(details=True, tags=text)
                if text in (server.tags or ())
            )
        except ERRORS as error:
            raise translated(error) from error

    def label(self, ids: Sequence[str], tags: Mapping[str, str], *, by: str) -> None:
        """Add the new tag of each key, then remove the old one."""
        self._may_act()
        own_tags.check(tags)
        for id_ in ids:
            for key, value in sorted(tags.items()):
                self._relabel(id_, key, text_of(key, value))

    @property
    def _compute(self) -> Any:
        return self._cloud.compute

    def _relabel(self, id_: str, key: str, text: str | None) -> None:
        if text is None:
            raise RefusedError(f"the tag {key} is too long for OpenStack")
        try:
            server = self._compute.get_server(id_)
            old = [t for t in server.tags or () if t.partition("=")[0] == key and t != text]
            self._compute.add_tag_to_server(server, text)
            for one in old:
                self._compute.remove_tag_from_server(server, one)
        except ERRORS as error:
            raise translated(error, acting=True) from error

    def _each(self, ids: Sequence[str], call: Callable[[str], object]) -> dict[str, State]:
        """Describe each server and make the call for it. Raises ProtectedError for a locked one, without a call."""
        self._may_act()
        before: dict[str, State] = {}
        for id_ in ids:
            try:
                server = self._seen[id_] = instance_of(self._compute.get_server(id_), self.target)
                if server.locked:
                    raise ProtectedError(f"{id_} is locked", code="locked")
                before[id_] = server.state
                call(id_)
            except ERRORS as error:
                raise translated(error, acting=True) from error
        return before

    def _delete(self, id_: str) -> None:
        # Before the call, since the server ends even if the answer is lost.
        self._ordered.add(id_)
        self._compute.delete_server(id_, ignore_missing=False)

    def _network(self, name: str) -> str:
        return str(self._cloud.network.find_network(name, ignore_missing=False).id)

    def _may_act(self) -> None:
        """Raise RefusedError in report mode, and for an administrator that the configuration does not allow."""
        if not self._acts:
            raise RefusedError("no call was made: report mode cannot change anything")
        if self._administrator_may:
            return
        session: Any = self._cloud.session
        try:
            roles = session.auth.get_access(session).role_names
        except ERRORS as error:
            raise translated(error) from error
        if "admin" in roles:
            raise RefusedError(
                f"the credentials of {self.target} have the role admin, which locks and policies do not bind: use "
                "those of a member, or set `act_as_administrator: true` for this cloud"
            )
