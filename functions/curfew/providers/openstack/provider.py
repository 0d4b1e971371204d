"""OpenStack as a provider, through openstacksdk: the only module that imports it, and is itself imported when wanted.

Nova has no batches, no client token and no filters that can be trusted: each order is one server's, a launch is known
by a tag of its own, and whatever a filter let through is looked at again.
Source: https://docs.openstack.org/api-ref/compute/
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from keystoneauth1.exceptions import ClientException
from keystoneauth1.session import Session
from openstack.config import OpenStackConfig
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
from ..base import Capabilities, Launch, Listing
from .allowed_calls import guarded
from .errors import refused_launch, translated
from .filters import query
from .launch_request import request_of, token_text
from .servers import instance_of
from .tags import text_of

# 2.79, of the Train release in 2019, has all that is wanted: tags in filters (2.26) and at create (2.52), the lock in
# the body (2.9), the flavour (2.47), and no silence about a parameter that it does not know (2.75). Below 2.26 a
# filter by tag is ignored, and everything is listed.
MICROVERSION = "2.79"
PAGE_SIZE = 1_000
OPEN = Attributes(termination_protected=False, stop_protected=False)
ERRORS = (SDKException, ClientException, RequestException, ValueError, LookupError, TypeError)


def connected(
    cloud: str, region: str, *, acts: bool, entry: Mapping[str, Any] | None = None
) -> Connection:
    """A connection to a cloud: its ``entry`` of a clouds.yaml, or else the one that the SDK finds under its name.

    Nothing is sent before it is used, and what is sent passes the guard. Time-outs are short, and an answer is waited
    for once: an invocation has a deadline. Raises RefusedError if there is no such cloud.
    """

    def session(**more: Any) -> Session:
        return Session(session=guarded(acts=acts), **more)

    like_a_class: Any = session
    alone = entry is not None
    wanted: dict[str, Any] = {**entry} if entry is not None else {"cloud": cloud}
    try:
        configured = OpenStackConfig(
            session_constructor=like_a_class,
            app_name="curfew",
            load_yaml_config=not alone,
            load_envvars=not alone,
        )
        return Connection(
            config=configured.get_one(
                **wanted
                | {
                    "region_name": region,
                    "compute_default_microversion": MICROVERSION,
                    "api_timeout": 30,
                }
            )
        )
    except (SDKException, ClientException) as error:
        # Without the SDK's own words where they could repeat what a secret has.
        why = error if entry is None else f"its entry is not complete ({type(error).__name__})"
        raise RefusedError(f'the cloud "{cloud}" in the region {region}: {why}') from None


class OpenstackProvider:
    """One project of one cloud, in one region.

    ``acts`` is false in report mode. An administrator's token acts only where the configuration says so: a lock and a
    policy hold nothing back from it.
    """

    capabilities = Capabilities(
        order=1,
        idempotent_launch=False,
        shelves=True,
        lends=False,
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
        self._ordered: set[str] = set()  # whose end was ordered here

    def find(self, selector: Selector, *, narrow: bool) -> Iterator[Instance]:
        """Stream the servers; the SDK follows the link of each page to the next.

        No limit is named: where one is, and no link, the SDK asks for what comes after the last server, and where the
        order has changed meanwhile, servers come twice. Nova's own limit cuts the pages.
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
        """One page of Nova's; ``after`` is the last server of the one before."""
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
                raise RequestError("no page goes on after this token: begin anew") from error
            raise translated(error) from error
        except ERRORS as error:
            raise translated(error) from error
        return Listing(
            instances=tuple(i for i in instances if mismatch(i, selector) is None),
            after=instances[-1].id if len(instances) == size else "",
        )

    def describe(self, ids: Sequence[str]) -> Mapping[str, Instance]:
        """Look at each by its id, which shows a softly deleted one too.

        Of a server whose end was ordered here, not to be found is to have ended. Of any other it proves nothing: a
        server of another project is not found either.
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
        """There are none beside the lock, which every description shows."""
        return dict.fromkeys(ids, OPEN)

    def release(
        self, instances: Sequence[Instance], *, by: str
    ) -> Mapping[str, ProviderError | None]:
        """Nothing launches a server anew; who belongs to a Heat stack is kept before."""
        return {}

    def terminate(self, ids: Sequence[str], *, by: str) -> Mapping[str, State]:
        """DELETE each server. It is asynchronous, and where the cloud reclaims later, a soft end."""
        return self._each(ids, self._delete)

    def stop(self, ids: Sequence[str], *, by: str) -> Mapping[str, State]:
        """Stop each server; it keeps its host and its quota."""
        return self._each(ids, self._compute.stop_server)

    def shelve(self, ids: Sequence[str], *, by: str) -> Mapping[str, State]:
        """Shelve each server: an image of it is kept, and its host is free."""
        return self._each(ids, self._compute.shelve_server)

    def usable(self) -> bool:
        """A region that the catalogue does not have fails by itself, with its name."""
        return True

    def image(self, name: str) -> str:
        """The id of an image by its name or id."""
        try:
            found = self._cloud.image.find_image(name, ignore_missing=True)
        except ERRORS as error:
            raise translated(error) from error
        if found is None:
            raise RefusedError(f'there is no image "{name}" in {self.target}')
        return str(found.id)

    def launch(self, launch: Launch, *, by: str) -> tuple[Instance, ...]:
        """Create up to ``count`` servers, unless some carry the token already: then it is those.

        Nova makes all records before it answers, and its quota may clamp their number. A server that found no host
        is one of them, in ERROR.
        """
        self._may_act()
        if born := self.launched(launch.token):
            return born
        try:
            flavor = self._compute.find_flavor(launch.instance_type, ignore_missing=False)
            networks = [self._network(name) for name in launch.networks]
            self._compute.create_server(**request_of(launch, str(flavor.id), networks))
        except ERRORS as error:
            raise refused_launch(error) from error
        try:
            born = self.launched(launch.token)
        except ProviderError as error:
            raise AmbiguousError(f"launched, and not to be seen yet: {error}") from error
        if not born:
            raise AmbiguousError("launched, and no server with the launch's tag is to be seen yet")
        return born

    def launched(self, token: str) -> tuple[Instance, ...]:
        """Looked for by the tag of the token, which each server must carry: a filter is only a filter."""
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
        """Write the new text beside the others, and then take away the old one of the same key."""
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
            raise RefusedError(f"the tag {key} does not fit into one of OpenStack's")
        try:
            server = self._compute.get_server(id_)
            old = [t for t in server.tags or () if t.partition("=")[0] == key and t != text]
            self._compute.add_tag_to_server(server, text)
            for one in old:
                self._compute.remove_tag_from_server(server, one)
        except ERRORS as error:
            raise translated(error, acting=True) from error

    def _each(self, ids: Sequence[str], order: Callable[[str], object]) -> dict[str, State]:
        """Look at each and order it; who is locked is not asked for, whatever the cloud would say to it."""
        self._may_act()
        before: dict[str, State] = {}
        for id_ in ids:
            try:
                server = self._seen[id_] = instance_of(self._compute.get_server(id_), self.target)
                if server.locked:
                    raise ProtectedError(f"{id_} is locked", code="locked")
                before[id_] = server.state
                order(id_)
            except ERRORS as error:
                raise translated(error, acting=True) from error
        return before

    def _delete(self, id_: str) -> None:
        # Before the call: an answer that is lost is followed by an end all the same.
        self._ordered.add(id_)
        self._compute.delete_server(id_, ignore_missing=False)

    def _network(self, name: str) -> str:
        return str(self._cloud.network.find_network(name, ignore_missing=False).id)

    def _may_act(self) -> None:
        """Raise RefusedError in report mode, and for an administrator who was not asked to act."""
        if not self._acts:
            raise RefusedError("report mode has no hands that could change anything: nothing was")
        if self._administrator_may:
            return
        session: Any = self._cloud.session
        try:
            roles = session.auth.get_access(session).role_names
        except ERRORS as error:
            raise translated(error) from error
        if "admin" in roles:
            raise RefusedError(
                f"the credentials of {self.target} have the role admin, which no lock and no policy holds back: use "
                "those of a member, or say `act_as_administrator: true` for this cloud"
            )
