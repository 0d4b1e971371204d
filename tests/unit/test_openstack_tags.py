"""Keys and values as Nova's short texts, and back, without loss and without tags that were not written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curfew.core.errors import RequestError
from curfew.providers.openstack.tags import LONGEST_TAG, tags_of, text_of, written

KEYS = st.text(min_size=1, max_size=128).filter(lambda key: not key.startswith("Name"))
VALUES = st.text(max_size=255)


@given(st.dictionaries(KEYS, VALUES, max_size=20))
def test_what_was_written_is_read(tags: dict[str, str]) -> None:
    texts, metadata = written(tags)
    assert tags_of(texts, metadata) == (tags, ())


@given(KEYS, VALUES)
def test_a_text_is_one_that_nova_takes(key: str, value: str) -> None:
    text = text_of(key, value)
    if text is not None:
        assert 1 <= len(text) <= LONGEST_TAG
        assert not set("/,") & set(text)


@given(st.text(min_size=1, max_size=60))
def test_two_tags_are_never_one_text(text: str) -> None:
    """A text that a user writes is one tag, and the text of that tag is this text or none."""
    if set("/,") & set(text):
        return
    ((key, value),) = tags_of([text], {})[0].items()
    assert text_of(key, value) in {text, text.removesuffix("="), None} or "%" in text


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("env=dev", {"env": "dev"}),
        ("curfew:keep", {"curfew:keep": ""}),
        ("a=b=c", {"a": "b=c"}),
        ("env=", {"env": ""}),
        ("path=%2Fsrv%2C1", {"path": "/srv,1"}),
        ("full=100%25", {"full": "100%"}),
        ("env=d%65v", {"env": "d%65v"}),
        ("a%3Db=c", {"a=b": "c"}),
        ("=x", {"": "x"}),
    ],
)
def test_plain_tag_text_is_read_unchanged(text: str, tags: dict[str, str]) -> None:
    assert tags_of([text], {}) == (tags, ())


def test_several_values_of_a_key_are_reported() -> None:
    tags, twice = tags_of(["env=prod", "env=dev", "owner=kim"], {})
    assert set(tags) == {"env", "owner"}
    assert twice == ("env",)


def test_metadata_is_read_for_what_did_not_fit_and_for_curfews_own_keys() -> None:
    arn = "arn:aws:sts::123456789012:assumed-role/Platform/kim@example.org"
    metadata = {"curfew:owner": arn, "Curfew:Keep": "", "notes": "x" * 80, "env": "dev"}
    assert tags_of(["team=a"], metadata)[0] == {
        "team": "a",
        "curfew:owner": arn,
        "Curfew:Keep": "",
        "notes": "x" * 80,
    }


def test_a_tag_wins_over_the_metadata_of_its_key() -> None:
    assert tags_of(["curfew:lease=new"], {"curfew:lease": "old"})[0] == {"curfew:lease": "new"}


def test_what_fits_nowhere_is_refused_by_its_name() -> None:
    with pytest.raises(RequestError, match="the tag notes has 256 characters"):
        written({"notes": "x" * 256})
    assert written({"curfew:owner": "x" * 256}) == ([], {"curfew:owner": "x" * 255})


def test_more_tags_than_a_server_may_have_are_refused() -> None:
    assert len(written({f"k{n}": "" for n in range(50)})[0]) == 50
    with pytest.raises(RequestError, match="51 tags"):
        written({f"k{n}": "" for n in range(51)})
