"""Makes SDK sessions with a trimmed model of EC2 and a fast parser of timestamps.

``allowed_calls`` decides what a client may do. Sessions are botocore's: Curfew does not use boto3, whose import takes a
tenth of a cold start.
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
    """Return a session whose clients prefer Curfew's models to the SDK's, and sign with ``credentials`` if given.

    The models are read once for all sessions. Raises botocore's ProfileNotFound if the profile does not exist.
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
    """Return the time that an answer contains: fast for AWS's usual form, by the SDK's parser for any other.

    The usual form is ``2026-11-25T06:00:00Z``, with or without a fraction. Raises only ValueError.
    """
    # The SDK may read other forms differently than fromisoformat.
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
    """Provides given credentials to the SDK."""

    METHOD = CANONICAL_NAME = "curfew"

    def __init__(self, credentials: Credentials) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> Credentials:
        """Return the given credentials."""
        return self._credentials


@cache
def _loader() -> Loader:
    return _Models(extra_search_paths=[str(MODELS)])


class _Models(Loader):
    """Loads models without looking into each of the SDK's four hundred folders.

    Curfew's models count as built-in, since they are the SDK's own without unused parts. For models that a user adds,
    the SDK would use an `endpoints.json` only and ignore its newer endpoint rules.
    """

    def is_builtin_path(self, path: str) -> bool:
        """Return whether the file ships with the SDK or with Curfew."""
        return Path(path).is_relative_to(MODELS) or super().is_builtin_path(path)

    def list_available_services(self, type_name: str) -> list[str]:
        """Return every service that has a folder; a missing file of the type shows when it is loaded."""
        places = [place for place in self.search_paths if Path(place).is_dir()]
        return sorted({entry.name for place in places for entry in os.scandir(place)})
