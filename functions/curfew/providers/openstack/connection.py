"""Connects to an OpenStack cloud: its entry of a clouds.yaml, the API version, and the allow-list of requests."""

from collections.abc import Mapping
from typing import Any

from keystoneauth1.exceptions import ClientException
from keystoneauth1.session import Session
from openstack.config import OpenStackConfig
from openstack.connection import Connection
from openstack.exceptions import SDKException

from ...core.errors import RefusedError
from .allowed_calls import guarded

# 2.79, of the Train release (2019), has all that Curfew needs: the lock in the body (2.9), tags in filters (2.26), the
# flavour (2.47), tags at create (2.52), an error for an unknown parameter (2.75). Below 2.26, tag filters are ignored.
MICROVERSION = "2.79"


def connected(
    cloud: str, region: str, *, acts: bool, entry: Mapping[str, Any] | None = None
) -> Connection:
    """Return a connection to a cloud by its ``entry`` of a clouds.yaml, or else by the entry that the SDK finds.

    It sends nothing before its first use, and only allowed requests. Time-outs are short, since an invocation has a
    deadline. Raises RefusedError if the cloud has no entry.
    """

    def session(**more: Any) -> Session:
        return Session(session=guarded(acts=acts), **more)

    session_class: Any = session
    from_secret = entry is not None
    wanted: dict[str, Any] = {**entry} if entry is not None else {"cloud": cloud}
    try:
        configured = OpenStackConfig(
            session_constructor=session_class,
            app_name="curfew",
            load_yaml_config=not from_secret,
            load_envvars=not from_secret,
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
        # The SDK's own message could contain a value of the secret.
        why = error if entry is None else f"its entry is not complete ({type(error).__name__})"
        raise RefusedError(f'the cloud "{cloud}" in the region {region}: {why}') from None
