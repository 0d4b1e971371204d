"""The use case: launch a fleet from a template of the policy file. Who launches chooses a name and a number."""

import hashlib

from .core.errors import RequestError
from .core.model import Instance
from .providers import Launch, Provider
from .schemas import FleetEntry

FLEET_TAG = "curfew:fleet"


def launch(
    provider: Provider, template: FleetEntry, *, fleet: str, request: str, count: int | None = None
) -> tuple[Instance, ...]:
    """Launch ``count`` instances, or as many as the template has by default, under one fleet tag.

    The same ``request`` never launches twice where the cloud honours its token. Raises RequestError for a count that
    the template does not allow, ProviderError if the cloud refuses.
    """
    wanted = template.count.default if count is None else count
    if not 1 <= wanted <= template.count.max:
        raise RequestError(
            f"count is {wanted}: this fleet may have 1 to {template.count.max} instances"
        )
    token = hashlib.sha256(f"{provider.target}|{fleet}|{request}".encode()).hexdigest()
    return provider.launch(
        Launch(
            image=template.image,
            instance_type=template.instance_types[0],
            count=wanted,
            tags={**template.tags, FLEET_TAG: fleet},
            token=token,
        )
    )
