"""OpenStack, put together: one provider for each cloud and region of ``targets.clouds``, made when it is wanted.

Where a secret is named, it has the clouds.yaml, and nothing else is read; otherwise the SDK looks for one where it
always does. The SDK is an extra on a terminal and a layer on Lambda, so that it may be missing is nobody's fault.
Source: https://docs.openstack.org/openstacksdk/latest/user/config/configuration.html
"""

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import yaml

from ...core.errors import ConfigError, RefusedError
from ...core.target import Mode, Target
from ...schemas.fields import ACCOUNT
from ...schemas.targets import Cloud
from ..base import Provider

MISSING = (
    "targets.clouds needs the OpenStack SDK, which is not installed: run pip install '.[openstack]' "
    "in a checkout of Curfew; on Lambda, deploy with OpenStack=true"
)


class Clouds:
    """The clouds of one deployment. ``secret`` gives the text of a clouds.yaml; without one, the SDK finds its own."""

    def __init__(
        self, configured: Mapping[str, Cloud], secret: Callable[[], str] | None = None
    ) -> None:
        self._configured = configured
        self._secret = cache(secret) if secret else None
        self._made = cache(self._provider)

    def has(self, account: str) -> bool:
        """Whether what stands in the place of an account is a cloud. Raises RefusedError for one that is not known."""
        if account in self._configured:
            return True
        if account and not re.fullmatch(ACCOUNT, account, re.ASCII):
            raise RefusedError(
                f'the cloud "{account}" is not among targets.clouds: nothing is done there'
            )
        return False

    def provider(self, region: str, cloud: str, *, mode: Mode) -> Provider:
        """The provider of a region of a cloud. Raises ProviderError, and ConfigError where the SDK is missing."""
        regions = self._configured[cloud].regions
        if region not in regions:
            raise RefusedError(
                f'the cloud {cloud} has no region "{region}" in targets.clouds, which has {", ".join(regions)}'
            )
        return self._made(region, cloud, mode)

    def _provider(self, region: str, cloud: str, mode: Mode) -> Provider:
        try:
            from .provider import OpenstackProvider, connected
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in {
                "openstack",
                "keystoneauth1",
                "requests",
            }:
                raise
            raise ConfigError(MISSING) from None
        acts = mode is Mode.ACT
        return OpenstackProvider(
            target=Target(provider="openstack", account=cloud, region=region),
            cloud=connected(cloud, region, acts=acts, entry=self._entry(cloud)),
            acts=acts,
            administrator_may=self._configured[cloud].act_as_administrator,
        )

    def _entry(self, cloud: str) -> Mapping[str, Any] | None:
        """What the secret says of a cloud. What is in it is never repeated, in no error either."""
        if self._secret is None:
            return None
        try:
            clouds: Any = yaml.safe_load(self._secret())["clouds"]
            entry: Mapping[str, Any] = dict(clouds[cloud])
        except (yaml.YAMLError, LookupError, TypeError, ValueError):
            raise RefusedError(
                f'the secret of CURFEW_CLOUDS_SECRET has no "{cloud}" under clouds: it must be a clouds.yaml'
            ) from None
        return entry
