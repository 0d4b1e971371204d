"""The SDK sessions that Curfew creates, and Curfew's parser of times against the SDK's."""

import subprocess
import sys
from datetime import datetime, timedelta, timezone
from itertools import product
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import DataNotFoundError, ProfileNotFound, UnknownServiceError
from botocore.utils import parse_timestamp
from hypothesis import example, given
from hypothesis import strategies as st

from curfew.aws import session as sdk
from curfew.aws.allowed_calls import CLIENT_SCOPES
from tests.builders import HERE
from tools.trim import SERVICES

CALLED = sorted({scope.service for scope in CLIENT_SCOPES})
FORMS = (
    "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.000Z", "%Y-%m-%dT%H:%M:%S.%fZ", "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%d %H:%M:%S%z", "%Y%m%dT%H%M%SZ", "%a, %d %b %Y %H:%M:%S GMT",
    "%a, %d %b %Y %H:%M:%S %z", "%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%HZ",
)  # fmt: skip
ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def read(parse: Any, text: Any) -> Any:
    """Return the parsed time and its offset, or "none" if the text is invalid."""
    try:
        at = parse(text)
    except (ValueError, RuntimeError, OverflowError):
        return "none"
    return at, at.utcoffset()


class TestInstant:
    @given(
        st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=ZONES),  # noqa: DTZ001
        st.sampled_from(FORMS),
    )
    def test_every_form_of_a_time_is_the_instant_that_the_sdk_reads(
        self, at: datetime, form: str
    ) -> None:
        text = at.strftime(form)
        assert read(sdk.instant, text) == read(parse_timestamp, text)

    @given(st.one_of(st.integers(-(2**40), 2**40), st.floats(allow_nan=True)))
    @example(1_772_600_767)
    @example(1.772600767e9)
    @example(1e30)
    def test_numbers_are_what_they_are_to_the_sdk(self, number: float) -> None:
        assert read(sdk.instant, number) == read(parse_timestamp, number)
        assert read(sdk.instant, str(number)) == read(parse_timestamp, str(number))

    @pytest.mark.parametrize(
        "text",
        [
            "2026-03-04", "2026-03-04T05:06:07", "2026-03-04T05:06:07z", "2026-W10-3T05:06:07Z", "2026-063T05:06:07Z",
            "2026-03-04T24:00:00Z", "2026-03-04T05:06:60Z", "2026-13-04T05:06:07Z", "2026-02-30T05:06:07Z",
            "2026-03-04T05:06:07,5Z", "2026-03-04T05:06:07.123456789Z", "2026-03-04T050607Z", "2026-03-04T05Z",
            "0000-03-04T05:06:07Z", "2026-03-04T000Z", "2026-03-04T", "2026-03-04TZ", "2026-03-04T-Z",
            "", "Z", "never", "2026",
            "20260304", "1772600767", "2026-03-04T05:06:07+00:00Z", "\uff12026-03-04T05:06:07Z",
        ],
    )  # fmt: skip
    def test_what_is_nearly_a_time_is_what_it_is_to_the_sdk(self, text: str) -> None:
        assert read(sdk.instant, text) == read(parse_timestamp, text)

    @given(st.from_regex(r"[0-9]{4}-[0-9W]{2}-[0-9]{2}T[0-9:.,+]{0,12}Z", fullmatch=True))
    def test_what_looks_like_aws_form_is_what_it_is_to_the_sdk(self, text: str) -> None:
        assert read(sdk.instant, text) == read(parse_timestamp, text)

    @pytest.mark.parametrize("text", ["never", "1e30", "9" * 30, ""])
    def test_invalid_time_is_rejected(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"timestamp|offset"):
            sdk.instant(text)


class TestSession:
    def test_ec2_model_is_the_trimmed_one_and_precedes_the_users(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        theirs = tmp_path / "ec2" / "2016-11-15"
        theirs.mkdir(parents=True)
        (theirs / "service-2.json").write_text("{}")
        monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))

        loader: Any = sdk.session(HERE.region).get_component("data_loader")

        _, place = loader.load_data_with_path("ec2/2016-11-15/service-2")
        assert place == str(sdk.MODELS / "ec2/2016-11-15/service-2")
        assert loader.search_paths[0] == str(sdk.MODELS)

    @pytest.mark.parametrize(
        "service", sorted({scope.service for scope in CLIENT_SCOPES} | {"sso"})
    )
    def test_it_makes_clients_of_every_service(self, service: str) -> None:
        client = sdk.session(HERE.region).create_client(service)
        # Organizations has one endpoint for all regions.
        assert client.meta.region_name in {HERE.region, "aws-global"}

    def test_unknown_service_is_refused(self) -> None:
        session: Any = sdk.session(HERE.region)
        with pytest.raises(UnknownServiceError):
            session.create_client("ec3")
        with pytest.raises(DataNotFoundError):
            session.get_component("data_loader").load_service_model("ec2", "nothing-1")

    @pytest.mark.parametrize("service", CALLED)
    def test_every_region_has_the_endpoint_that_the_sdk_gives_it(self, service: str) -> None:
        """The test covers all partitions of the SDK, and a region that does not exist yet."""
        theirs, ours = botocore.session.Session(), sdk.session()
        partitions = theirs.get_component("endpoint_resolver").get_available_partitions()
        regions = [
            region
            for partition in partitions
            for region in theirs.get_available_regions("ec2", partition, allow_non_regional=True)
        ]
        assert len(regions) > 30
        for region in [*regions, "eu-central-9"]:
            made = [one.create_client(service, region_name=region).meta for one in (theirs, ours)]
            assert made[0].endpoint_url == made[1].endpoint_url
            assert made[0].region_name == made[1].region_name
            assert made[0].partition == made[1].partition

    @pytest.mark.parametrize("variant", ["use_fips_endpoint", "use_dualstack_endpoint"])
    def test_variants_of_endpoints_are_the_sdks_too(self, variant: str) -> None:
        sessions = botocore.session.Session(), sdk.session()
        for service, region in product(CALLED, ("us-east-1", "eu-central-1", "us-gov-west-1")):
            more: dict[str, Any] = {variant: True}
            config = Config(**more)
            made = [
                one.create_client(service, region_name=region, config=config).meta.endpoint_url
                for one in sessions
            ]
            assert made[0] == made[1]

    def test_session_endpoints_count_as_the_sdks_own(self) -> None:
        """Otherwise the SDK uses only these endpoints, and ignores its newer rules."""
        assert sdk.session().get_component("endpoint_resolver").uses_builtin_data

    def test_no_endpoints_of_services_are_missing_that_are_called(self) -> None:
        assert set(CALLED) <= set(SERVICES)

    def test_its_clients_read_time_by_the_parser_above(self) -> None:
        factory: Any = sdk.session(HERE.region).get_component("response_parser_factory")
        assert factory.create_parser("ec2")._timestamp_parser is sdk.instant
        assert factory.create_parser("json")._timestamp_parser is sdk.instant

    def test_missing_profile_is_reported(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_PROFILE", "nobody")
        with pytest.raises(ProfileNotFound):
            sdk.session(HERE.region)


def test_the_clients_are_made_without_boto3() -> None:
    program = (
        "import sys\n"
        "from curfew.aws import allowed_calls\n"
        "from curfew.aws.clients import Aws\n"
        "from curfew.config.settings import Settings\n"
        "aws = Aws(Settings(region='eu-central-1'))\n"
        "for scope in allowed_calls.CLIENT_SCOPES: aws.restricted_client(scope)\n"
        "print(*sys.modules)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = {name.partition(".")[0] for name in ran.stdout.split()}
    assert "botocore" in loaded
    assert not loaded & {"boto3", "s3transfer"}
