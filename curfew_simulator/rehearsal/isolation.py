"""Nothing of this machine's AWS configuration is there while a rehearsal lasts; there are no sockets in it anyway."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

HIDDEN = ("AWS_", "BOTO_", "CURFEW_", "POWERTOOLS_")
INSTEAD = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "POWERTOOLS_METRICS_DISABLED": "true",
}


@contextmanager
def isolated_environment() -> Iterator[None]:
    """Hide every variable that the SDK, Powertools or Curfew would read, and the SDK's files."""
    environ = os.environ  # noqa: TID251  not read, but hidden from libraries that would
    kept = {name: environ.pop(name) for name in list(environ) if name.startswith(HIDDEN)}
    environ.update(INSTEAD)
    try:
        yield
    finally:
        for name in INSTEAD:
            environ.pop(name, None)
        environ.update(kept)
