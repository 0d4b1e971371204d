"""The settings of one deployment: the only module that reads the environment."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from ..core.errors import ConfigError
from ..core.target import Mode

RATE_PERCENT = 25
SHIPPED_POLICIES = Path(__file__).parents[2] / "curfew.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What differs between deployments.

    ``table`` is the ledger's; without one there is only a memory that ends with the process. Without a region, the
    SDK's own configuration says which. ``queue`` is the address of the one that carries on what an HTTP request
    leaves for later; without one, it is done at once. ``targets`` is the address of the one from which the targets of
    a sweep are worked off; without one, they are swept in place. ``roles`` is what the names of the roles begin with
    that lend the right to act, and ``external_id`` what they ask for; without, the caller's own credentials act, which
    is for a terminal. ``clouds`` is the secret that has the clouds.yaml of the OpenStack clouds; without one, the
    SDK's own search finds it. ``rate_percent`` is the share of EC2's call rate that is used. ``local`` is a run under
    `sam local`.
    """

    region: str = ""
    mode: Mode = Mode.REPORT
    table: str = ""
    policies: Path = SHIPPED_POLICIES
    queue: str = ""
    targets: str = ""
    roles: str = ""
    external_id: str = ""
    clouds: str = ""
    administrators: frozenset[str] = frozenset()
    rate_percent: int = RATE_PERCENT
    local: bool = False

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Self:
        """Read the variables that begin with ``CURFEW_``, and the SDK's own ``AWS_REGION``.

        Raises ConfigError for a value that cannot be, and under ``sam local`` without an endpoint: the functions of
        a local run would reach for the real cloud.
        """
        env = os.environ if environ is None else environ
        if env.get("AWS_SAM_LOCAL") == "true" and not env.get("AWS_ENDPOINT_URL"):
            raise ConfigError(
                "AWS_ENDPOINT_URL is not set: a local run refuses to reach the real cloud; "
                "start `make local` and give sam its env_vars file, demo/env.json"
            )
        return cls(
            region=env.get("AWS_REGION", ""),
            mode=_mode(env.get("CURFEW_MODE", "")),
            table=env.get("CURFEW_TABLE", ""),
            policies=Path(env.get("CURFEW_POLICIES") or SHIPPED_POLICIES),
            queue=env.get("CURFEW_QUEUE", ""),
            targets=env.get("CURFEW_TARGETS", ""),
            roles=_roles(env.get("CURFEW_ROLES", "")),
            external_id=env.get("CURFEW_EXTERNAL_ID", ""),
            clouds=env.get("CURFEW_CLOUDS_SECRET", ""),
            administrators=_names(env.get("CURFEW_ADMINISTRATORS", "")),
            rate_percent=_percent(env.get("CURFEW_RATE_PERCENT", "")),
            local=env.get("AWS_SAM_LOCAL") == "true",
        )

    def in_region(self, region: str) -> Self:
        """The same settings with their region known."""
        return replace(self, region=region)


def _names(words: str) -> frozenset[str]:
    return frozenset(filter(None, map(str.strip, words.split(","))))


def _roles(prefix: str) -> str:
    if prefix and not re.fullmatch(r"[\w+=,.@-]{1,50}", prefix, re.ASCII):
        raise ConfigError(
            f'CURFEW_ROLES is "{prefix}": it must be what the names of the roles begin with, before -act'
        )
    return prefix


def _percent(word: str) -> int:
    if not word:
        return RATE_PERCENT
    if not (word.isascii() and word.isdecimal() and 1 <= int(word) <= 100):
        raise ConfigError(
            f'CURFEW_RATE_PERCENT is "{word}": it must be a whole number from 1 to 100'
        )
    return int(word)


def _mode(word: str) -> Mode:
    if not word:
        return Mode.REPORT
    if word not in Mode:
        raise ConfigError(f'CURFEW_MODE is "{word}": it must be report or act')
    return Mode(word)
