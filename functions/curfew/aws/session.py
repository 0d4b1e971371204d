"""The SDK as Curfew wants it: sessions that have a small model of EC2, and read plain timestamps fast.

What a client may do is not decided here, but in ``calls``.

Sessions are botocore's: what boto3 adds, nobody here uses, and its import costs a tenth of the start.
"""

import os
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from botocore.credentials import CredentialProvider, CredentialResolver, Credentials
from botocore.loaders import Loader
from botocore.session import Session
from botocore.utils import parse_timestamp

MODELS = Path(__file__).parent / "models"


def session(region: str = "", credentials: Credentials | None = None) -> Session:
    """A session whose clients use the models that ship before the SDK's own, and sign with the credentials, if given.

    All sessions read the models once. Raises botocore's ProfileNotFound for a profile that there is not.
    Source: https://docs.aws.amazon.com/botocore/latest/reference/loaders.html
    """
    made = Session()
    made.get_scoped_config()
    if region:
        made.set_config_variable("region", region)
    made.register_component("data_loader", _loader())
    if credentials is not None:
        made.register_component("credential_provider", CredentialResolver([_Given(credentials)]))
    made.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=instant)
    return made


def instant(text: Any) -> datetime:
    """A time as an answer has it: at once in the form that AWS writes, as the SDK reads it in any other.

    The form is ``2026-11-25T06:00:00Z``, with a fraction or without. Raises ValueError, and nothing else, for a text
    that is no time.
    """
    # Other forms that fromisoformat takes may mean something else to the SDK.
    if isinstance(text, str) and text[-1:] == "Z" and text[4:17:3] == "--T::":
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            pass
    try:
        return parse_timestamp(text)
    except (RuntimeError, OverflowError) as error:
        raise ValueError(f'Invalid timestamp "{text}": {error}') from error


class _Given(CredentialProvider):
    """Credentials that somebody has, in the place where the SDK looks for some."""

    METHOD = CANONICAL_NAME = "curfew"

    def __init__(self, credentials: Credentials) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> Credentials:
        """Those, and no search for others."""
        return self._credentials


@cache
def _loader() -> Loader:
    return _Models(extra_search_paths=[str(MODELS)])


class _Models(Loader):
    """The SDK looks into all of its four hundred folders to see whether a service is one: here their names will do.

    What ships here is the SDK's own, less what is not used, and not what somebody put in its place: told otherwise, the
    SDK would follow an `endpoints.json` alone and none of its newer rules.
    """

    def is_builtin_path(self, path: str) -> bool:
        """Whether the SDK, or Curfew, brought the file along."""
        return Path(path).is_relative_to(MODELS) or super().is_builtin_path(path)

    def list_available_services(self, type_name: str) -> list[str]:
        """Every service that has a folder; whether the file of this type is in it, is seen when it is loaded."""
        places = [place for place in self.search_paths if Path(place).is_dir()]
        return sorted({entry.name for place in places for entry in os.scandir(place)})
