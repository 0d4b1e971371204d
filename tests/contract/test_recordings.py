"""A recording of a control plane contains no secret and no address."""

import json
import re
from pathlib import Path

import pytest

from tests.contract.openstack import RECORDINGS

ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b")
# A Fernet token begins with its version in base64.
TOKEN = re.compile(r"gAAAA[\w-]{20,}")
FILES = sorted(RECORDINGS.glob("*.json"))


def test_there_are_recordings() -> None:
    assert len(FILES) > 30


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_recording_contains_no_secret(path: Path) -> None:
    text = path.read_text()
    assert set(ADDRESS.findall(text)) <= {"127.0.0.1"}
    assert not TOKEN.search(text)
    for one in json.loads(text)["interactions"]:
        assert one["request"]["headers"] == {}
        assert one["response"]["headers"].get("X-Subject-Token", ["token"]) == ["token"]
        if one["request"]["uri"].endswith("/auth/tokens"):
            assert one["request"]["body"] == "{}"
