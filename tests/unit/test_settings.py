"""The settings, from an environment that is an argument."""

from pathlib import Path

import pytest

from curfew.config.settings import SHIPPED_POLICIES, Settings
from curfew.core.errors import ConfigError
from curfew.core.target import Mode


def test_empty_environment_means_report_mode_without_a_ledger() -> None:
    settings = Settings.from_env({})

    assert settings == Settings(region="", mode=Mode.REPORT, table="", policies=SHIPPED_POLICIES)


def test_the_shipped_policies_are_there() -> None:
    assert SHIPPED_POLICIES.name == "curfew.yaml"
    assert SHIPPED_POLICIES.is_file()


def test_every_setting_is_read() -> None:
    settings = Settings.from_env(
        {
            "AWS_REGION": "eu-west-1",
            "CURFEW_MODE": "act",
            "CURFEW_TABLE": "ledger",
            "CURFEW_POLICIES": "/opt/curfew.yaml",
            "CURFEW_RATE_PERCENT": "5",
        }
    )

    assert settings == Settings(
        region="eu-west-1",
        mode=Mode.ACT,
        table="ledger",
        policies=Path("/opt/curfew.yaml"),
        rate_percent=5,
    )


def test_a_quarter_of_the_rate_is_the_default() -> None:
    assert Settings.from_env({"CURFEW_RATE_PERCENT": ""}).rate_percent == 25


@pytest.mark.parametrize("word", ["0", "101", "-1", "2.5", "25%", "all", "٢"])
def test_any_other_share_of_the_rate_is_refused_by_its_name(word: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Settings.from_env({"CURFEW_RATE_PERCENT": word})

    assert str(refused.value) == (
        f'CURFEW_RATE_PERCENT is "{word}": it must be a whole number from 1 to 100'
    )


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CURFEW_MODE", "act")

    assert Settings.from_env().mode is Mode.ACT


@pytest.mark.parametrize("word", ["", "report"])
def test_report_mode_is_the_default(word: str) -> None:
    assert Settings.from_env({"CURFEW_MODE": word}).mode is Mode.REPORT


@pytest.mark.parametrize("word", ["ACT", "Act", "act ", " act", "true", "1", "yes", "acts", "none"])
def test_any_other_mode_is_refused_by_its_name(word: str) -> None:
    with pytest.raises(ConfigError, match="CURFEW_MODE") as refused:
        Settings.from_env({"CURFEW_MODE": word})

    assert str(refused.value) == f'CURFEW_MODE is "{word}": it must be report or act'


def test_an_empty_path_means_the_shipped_policies() -> None:
    assert Settings.from_env({"CURFEW_POLICIES": ""}).policies == SHIPPED_POLICIES


@pytest.mark.parametrize("endpoint", [{}, {"AWS_ENDPOINT_URL": ""}])
def test_a_local_run_without_an_endpoint_is_refused(endpoint: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="AWS_ENDPOINT_URL is not set"):
        Settings.from_env({"AWS_SAM_LOCAL": "true", **endpoint})


def test_a_local_run_with_an_endpoint_is_allowed() -> None:
    env = {"AWS_SAM_LOCAL": "true", "AWS_ENDPOINT_URL": "http://127.0.0.1:4577"}

    assert Settings.from_env(env) == Settings(local=True)


def test_administrators_are_separated_by_commas() -> None:
    env = {"CURFEW_ADMINISTRATORS": " arn:aws:iam::123456789012:role/Admin , kim,,"}

    assert Settings.from_env(env).administrators == {
        "arn:aws:iam::123456789012:role/Admin",
        "kim",
    }
    assert Settings.from_env({"CURFEW_ADMINISTRATORS": ""}).administrators == frozenset()


def test_the_queue_is_read() -> None:
    assert Settings.from_env({"CURFEW_QUEUE": "https://sqs/work"}).queue == "https://sqs/work"


def test_the_region_can_be_found_out_later() -> None:
    settings = Settings(table="ledger").in_region("eu-central-1")

    assert settings == Settings(table="ledger", region="eu-central-1")
