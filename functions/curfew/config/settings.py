"""The settings of one deployment. Only this module reads environment variables."""

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
    """The settings of a deployment. Each is optional.

    ``region``: the deployment's AWS region; by default the SDK's.
    ``table``: the ledger's DynamoDB table; by default the ledger is in memory and ends with the process.
    ``queue``: URL of the queue for jobs; by default they run at once.
    ``targets``: URL of the queue for the targets of a sweep; by default they are swept in the same process.
    ``roles``: name prefix of the IAM roles Curfew assumes (``<prefix>-read``, ``-act``, ``-launch``); by default Curfew
    uses the caller's own credentials, which is for the command line. ``external_id``: what these roles require.
    ``clouds``: the secret with the clouds.yaml of the OpenStack clouds; by default the SDK searches for the file.
    ``administrators``: the callers that may do what any owner may.
    ``rate_percent``: the share of EC2's call rate that Curfew uses.
    ``local``: whether this is a run under `sam local`.
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
        """Return the settings from the ``CURFEW_`` variables and the SDK's ``AWS_REGION``.

        Raises ConfigError for an invalid value, and under ``sam local`` without an endpoint: a local run would call
        the real cloud.
        """
        env = os.environ if environ is None else environ
        if env.get("AWS_SAM_LOCAL") == "true" and not env.get("AWS_ENDPOINT_URL"):
            raise ConfigError(
                "AWS_ENDPOINT_URL is not set: a local run must not call the real cloud; "
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
        """Return the same settings with this region."""
        return replace(self, region=region)


def _names(words: str) -> frozenset[str]:
    return frozenset(filter(None, map(str.strip, words.split(","))))


def _roles(prefix: str) -> str:
    if prefix and not re.fullmatch(r"[\w+=,.@-]{1,50}", prefix, re.ASCII):
        raise ConfigError(
            f'CURFEW_ROLES is "{prefix}": it must be the name prefix of the IAM roles, without -act'
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
