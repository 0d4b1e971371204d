"""Makes the OpenStack providers: one for each cloud and region of ``targets.clouds``, when it is first needed.

If a secret is configured, only its clouds.yaml is used; otherwise the SDK searches for one. The SDK is optional: an
extra on the command line, a layer on Lambda.
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
    """The clouds of one deployment. ``secret`` returns the text of a clouds.yaml; without it, the SDK finds its own."""

    def __init__(
        self, configured: Mapping[str, Cloud], secret: Callable[[], str] | None = None
    ) -> None:
        self._configured = configured
        self._secret = cache(secret) if secret else None
        self._made = cache(self._provider)

    def has(self, account: str) -> bool:
        """Return whether ``account`` names a cloud. Raises RefusedError if it names one that is not configured."""
        if account in self._configured:
            return True
        if account and not re.fullmatch(ACCOUNT, account, re.ASCII):
            raise RefusedError(
                f'cloud "{account}": it is not among targets.clouds, so no call was made'
            )
        return False

    def provider(self, region: str, cloud: str, *, mode: Mode) -> Provider:
        """Return the provider of a cloud's region. Raises ProviderError, and ConfigError if the SDK is missing."""
        regions = self._configured[cloud].regions
        if region not in regions:
            raise RefusedError(
                f'the cloud {cloud} has no region "{region}" in targets.clouds, which has {", ".join(regions)}'
            )
        return self._made(region, cloud, mode)

    def _provider(self, region: str, cloud: str, mode: Mode) -> Provider:
        try:
            from .connection import connected
            from .provider import OpenstackProvider
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
        """Return the secret's entry for a cloud. No error message contains a value of it."""
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
