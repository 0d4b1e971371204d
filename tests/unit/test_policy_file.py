"""Read ``curfew.yaml``. An error names the file, the line, the key and the value."""

from collections.abc import Callable
from pathlib import Path

import pytest

from curfew.config.policy_file import PolicyFile, load
from curfew.config.settings import SHIPPED_POLICIES
from curfew.core.errors import ConfigError, RequestError

WHOLE = """\
timezone: UTC
protect: { tags: [curfew:keep], min_age: 15m }
limits:
  per_sweep: 20
policies:
  nightly:
    select:
      states: [running]
      tags: { env: [dev, sandbox] }
    action: terminate
    older_than: 3d
    limits:
      percent: 5
  leases: { select: { lease: expired }, action: "terminate" }
fleets:
  pair:
    image: ami-08111162
    instance_types: [t2.micro]
    count: { default: 2, max: 20 }
    tags: { env: dev }
"""
NOT_A_DURATION = "is not a duration: write a whole number and a unit, as in 90m, 8h, 3d or 2w"
EVERYTHING = (
    "would select every instance: add tags, with_tags, without_tags, instance_types or lease"
)
NOT_AN_IMAGE = (
    "is not an image: write an id as in ami-08111162, or resolve:ssm: and a parameter's name"
)
STATES = "not 'pending', 'running', 'stopping' or 'stopped'"

type Write = Callable[[str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a policy file."""

    def written(content: str | bytes) -> Path:
        path = tmp_path / "curfew.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


def instead(old: str, new: str) -> str:
    """Return the whole file with one text replaced."""
    assert WHOLE.count(old) == 1
    return WHOLE.replace(old, new)


def faults(path: Path) -> list[str]:
    """Return the errors of a file without its path: ``<line>: <key> <problem>``."""
    with pytest.raises(ConfigError) as refused:
        load(path)
    lines = str(refused.value).splitlines()
    assert all(line.startswith(f"{path}:") for line in lines)
    return [line.removeprefix(f"{path}:") for line in lines]


# Valid files


def test_the_shipped_file_is_valid() -> None:
    policies = load(SHIPPED_POLICIES)

    assert set(policies.content.policies) == {"nightly", "ownerless", "leases"}
    assert policies.timezone.key == "Europe/Zurich"
    assert policies.fleet("t2-pair").image == "ami-08111162"
    for name in policies.content.policies:
        assert "curfew:keep" in policies.policy(name).protection.tags


def test_the_whole_example_is_valid(write: Write) -> None:
    policies = load(write(WHOLE))

    assert isinstance(policies, PolicyFile)
    assert policies.policy("nightly").limits.percent == 5


def test_a_byte_order_mark_does_no_harm(write: Write) -> None:
    assert load(write(b"\xef\xbb\xbf" + WHOLE.encode())).policy("nightly").name == "nightly"


def test_the_version_changes_with_every_byte(write: Write) -> None:
    one, again = load(write(WHOLE)), load(write(WHOLE))
    other = load(write(WHOLE + "# a remark\n"))

    assert one.version == again.version
    assert one.version != other.version
    assert one.policy("nightly").version == one.version


def test_an_unknown_policy_is_refused_with_those_that_there_are(write: Write) -> None:
    path = write(WHOLE)

    with pytest.raises(RequestError) as refused:
        load(path).policy("nigthly")

    assert str(refused.value) == f'there is no policy "nigthly" in {path}; it has: nightly, leases'


def test_an_unknown_fleet_is_refused_with_those_that_there_are(write: Write) -> None:
    path = write(WHOLE)

    with pytest.raises(RequestError) as refused:
        load(path).fleet("trio")

    assert str(refused.value) == f'there is no fleet "trio" in {path}; it has: pair'


def test_unknown_fleet_error_says_if_there_are_none(write: Write) -> None:
    path = write(WHOLE.partition("fleets:")[0])

    with pytest.raises(RequestError, match=r"it has: none$"):
        load(path).fleet("trio")


# Unknown and missing keys


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("timezone: UTC", "timezne: UTC", '1: timezne is an unknown key; did you mean "timezone"?'),
        ("{ tags: [curfew", "{ tag: [curfew", '2: protect.tag %; did you mean "tags"?'),
        ("min_age:", "min-age:", '2: protect.min-age %; did you mean "min_age"?'),
        ("per_sweep: 20", "per_swep: 20", '4: limits.per_swep %; did you mean "per_sweep"?'),
        (
            "tags: { env: [dev, sandbox] }",
            "tags: { env: { lik: d* } }",
            '9: policies.nightly.select.tags.env.lik %; did you mean "like"?',
        ),
        (
            "older_than:",
            "older_then:",
            '11: policies.nightly.older_then %; did you mean "older_than"?',
        ),
        ("percent:", "percnt:", '13: policies.nightly.limits.percnt %; did you mean "percent"?'),
        ("fleets:", "fleet:", '15: fleet %; did you mean "fleets"?'),
        ("max: 20", "maxi: 20", '19: fleets.pair.count.maxi %; did you mean "max"?'),
        ("timezone: UTC", "xyzzy: 1", "1: xyzzy %"),
        ("    older_than: 3d", "    force: true", "11: policies.nightly.force %"),
    ],
)
def test_an_unknown_key_is_refused_with_what_it_may_have_meant(
    write: Write, old: str, new: str, said: str
) -> None:
    assert faults(write(instead(old, new))) == [said.replace("%", "is an unknown key")]


def test_an_unknown_condition_never_widens_a_selection(write: Write) -> None:
    text = instead(
        "      tags: { env: [dev, sandbox] }\n",
        "      tags: { env: dev }\n      without_tag: owner\n",
    )

    assert faults(write(text)) == [
        '10: policies.nightly.select.without_tag is an unknown key; did you mean "without_tags"?'
    ]


def test_a_key_in_the_wrong_place_is_not_said_to_mean_itself(write: Write) -> None:
    (said,) = faults(write(instead("percent: 5", "per_day: 5")))

    assert said.startswith("13: policies.nightly.limits.per_day is an unknown key")
    assert 'did you mean "per_day"' not in said


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("    action: terminate\n", "6: policies.nightly.action is missing"),
        (
            "      states: [running]\n",
            "7: policies.nightly.select needs states, for example states: [running]",
        ),
        ("    image: ami-08111162\n", "16: fleets.pair.image is missing"),
        ("    instance_types: [t2.micro]\n", "16: fleets.pair.instance_types is missing"),
    ],
)
def test_a_missing_key_is_said_at_the_line_of_what_lacks_it(
    write: Write, gone: str, said: str
) -> None:
    assert faults(write(instead(gone, ""))) == [said]


def test_every_fault_is_said_a_line_each(write: Write) -> None:
    text = instead("action: terminate", "acton: terminate").replace(
        "per_sweep: 20", "per_sweep: -1"
    )

    assert faults(write(text)) == [
        "4: limits.per_sweep is -1, less than 0",
        "6: policies.nightly.action is missing",
        '10: policies.nightly.acton is an unknown key; did you mean "action"?',
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("timezone: UTC", "timezone: UTC\ntimezone: UTC", "2: the key timezone is a duplicate"),
        (
            "  per_sweep: 20",
            "  per_sweep: 20\n  per_sweep: 5",
            "5: the key per_sweep is a duplicate",
        ),
        ("{ env: [dev, sandbox] }", "{ env: dev, env: prod }", "9: the key env is a duplicate"),
        ("fleets:", "  nightly: {}\nfleets:", "15: the key nightly is a duplicate"),
        ("{ default: 2, max: 20 }", '{ max: 20, "max": 2 }', "19: the key max is a duplicate"),
    ],
)
def test_repeated_key_is_refused(write: Write, old: str, new: str, said: str) -> None:
    assert faults(write(instead(old, new))) == [said]


# Empty selections


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("      tags: { env: [dev, sandbox] }\n", "", f"7: policies.nightly.select {EVERYTHING}"),
        ("tags: { env: [dev, sandbox] }", "tags: {}", f"7: policies.nightly.select {EVERYTHING}"),
        (
            "tags: { env: [dev, sandbox] }",
            "regions: [eu-central-1]",
            f"7: policies.nightly.select {EVERYTHING}",
        ),
        (
            "tags: { env: [dev, sandbox] }",
            "with_tags: []",
            "9: policies.nightly.select.with_tags is empty",
        ),
        (
            "tags: { env: [dev, sandbox] }",
            "without_tags: []",
            "9: policies.nightly.select.without_tags is empty",
        ),
        (
            "tags: { env: [dev, sandbox] }",
            "instance_types: []",
            "9: policies.nightly.select.instance_types is empty",
        ),
        ("[dev, sandbox]", "[]", "9: policies.nightly.select.tags.env.values is empty"),
        ("[dev, sandbox]", "{ like: [] }", "9: policies.nightly.select.tags.env.like is empty"),
        (
            "[dev, sandbox]",
            "{}",
            (
                "9: policies.nightly.select.tags.env needs a value, a list of values, "
                "or like: with a pattern"
            ),
        ),
        ("states: [running]", "states: []", "8: policies.nightly.select.states is empty"),
        (
            "      tags:",
            "      regions: []\n      tags:",
            "9: policies.nightly.select.regions is empty",
        ),
        (
            "tags: { env: [dev, sandbox] }",
            'without_tags: ""',
            (
                '9: policies.nightly.select.without_tags.0 is "": '
                "string should have at least 1 character"
            ),
        ),
        ("[curfew:keep]", "[]", "2: protect.tags is empty"),
    ],
)
def test_an_empty_selection_is_an_error_and_never_everything(
    write: Write, old: str, new: str, said: str
) -> None:
    assert faults(write(instead(old, new))) == [said]


def test_a_selector_without_a_value_is_refused(write: Write) -> None:
    text = "policies:\n  nightly:\n    select:\n    action: terminate\n"

    assert faults(write(text)) == [
        "3: policies.nightly.select is None, not a mapping of keys to values"
    ]


def test_a_file_without_a_policy_is_refused(write: Write) -> None:
    assert faults(write("timezone: UTC\npolicies: {}\n")) == ["2: policies is empty"]
    assert faults(write("timezone: UTC\n")) == ["1: policies is missing"]


# Numbers


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("per_sweep: 20", "per_sweep: -1", "4: limits.per_sweep is -1, less than 0"),
        ("per_sweep: 20", "per_day: -50", "4: limits.per_day is -50, less than 0"),
        ("per_sweep: 20", "percent: -1", "4: limits.percent is -1, less than 0"),
        ("per_sweep: 20", "percent: 101", "4: limits.percent is 101, more than 100"),
        (
            "percent: 5",
            "percent: 1000",
            "13: policies.nightly.limits.percent is 1000, more than 100",
        ),
        ("percent: 5", "per_sweep: -3", "13: policies.nightly.limits.per_sweep is -3, less than 0"),
        ("default: 2,", "default: 0,", "19: fleets.pair.count.default is 0, less than 1"),
        ("max: 20", "max: 101", "19: fleets.pair.count.max is 101, more than 100"),
        (
            "default: 2,",
            "default: 21,",
            "19: fleets.pair.count default is 21, more than max, which is 20",
        ),
    ],
)
def test_a_number_out_of_range_is_refused(write: Write, old: str, new: str, said: str) -> None:
    assert faults(write(instead(old, new))) == [said]


@pytest.mark.parametrize("limit", ["per_sweep", "percent", "per_day"])
@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("true", "True"),
        ("no", "False"),
        ('"20"', '"20"'),
        ("2.5", "2.5"),
        ("20.0", "20.0"),
        ("10%", '"10%"'),
        ("1e1", '"1e1"'),
        (".inf", "inf"),
        (".nan", "nan"),
        ("", "None"),
        ("[20]", "[20]"),
        ("\N{ARABIC-INDIC DIGIT TWO}", '"\N{ARABIC-INDIC DIGIT TWO}"'),
    ],
)
def test_a_limit_is_a_whole_number_and_nothing_that_resembles_one(
    write: Write, limit: str, written: str, shown: str
) -> None:
    (said,) = faults(write(instead("per_sweep: 20", f"{limit}: {written}")))

    assert said == f"4: limits.{limit} is {shown}: input should be a valid integer"


def test_zero_is_a_limit(write: Write) -> None:
    policies = load(write(instead("per_sweep: 20", "{ per_sweep: 0, percent: 0, per_day: 0 }")))

    assert policies.policy("nightly").limits.per_sweep == 0
    assert policies.policy("nightly").limits.per_day == 0


# Durations and zones


@pytest.mark.parametrize(
    "written",
    [
        "0m",
        "00m",
        "03d",
        "3 fortnights",
        "1e3m",
        "\N{ARABIC-INDIC DIGIT THREE}d",
        "\N{FULLWIDTH DIGIT THREE}d",
        "3",
        "d",
        "3D",
        "3 d",
        "-3d",
        "+3d",
        "1.5d",
        "1_000m",
        "3d12h",
        " 3d",
        "3s",
        "3y",
        "P3D",
        "3:00",
        "1000000m",
        "",
    ],
)
@pytest.mark.parametrize(
    ("line", "key", "old"),
    [(2, "protect.min_age", "15m"), (11, "policies.nightly.older_than", "3d")],
)
def test_a_malformed_duration_is_refused(
    write: Write, written: str, line: int, key: str, old: str
) -> None:
    assert faults(write(instead(f" {old}", f' "{written}"'))) == [
        f'{line}: {key} "{written}" {NOT_A_DURATION}'
    ]


def test_a_newline_after_a_duration_is_not_overlooked(write: Write) -> None:
    with pytest.raises(ConfigError, match=r":11: policies\.nightly\.older_than"):
        load(write(instead("older_than: 3d", 'older_than: "3d\\n"')))


@pytest.mark.parametrize(("written", "shown"), [("15", "15"), ("true", "True"), ("0", "0")])
def test_a_bare_number_is_no_duration(write: Write, written: str, shown: str) -> None:
    assert faults(write(instead("min_age: 15m", f"min_age: {written}"))) == [
        f"2: protect.min_age {shown} {NOT_A_DURATION}"
    ]


@pytest.mark.parametrize(
    "written",
    [
        "Mars/Olympus",
        "Europe/Zürich",
        "europe/zurich",
        "+01:00",
        "../../etc/passwd",
        "/etc/localtime",
        "America",
        "",
        " UTC",
    ],
)
def test_a_time_zone_that_there_is_not_is_refused(write: Write, written: str) -> None:
    assert faults(write(instead("timezone: UTC", f'timezone: "{written}"'))) == [
        f'1: timezone "{written}" is not a time zone: write a name such as Europe/Zurich or UTC'
    ]


@pytest.mark.parametrize(
    "written",
    ["narnia", "eu-central", "EU-CENTRAL-1", "eu-central-1a", "eu central-1", "*", "eu-*"],
)
def test_a_malformed_region_is_refused(write: Write, written: str) -> None:
    text = instead("      tags:", f'      regions: ["{written}"]\n      tags:')

    key = "policies.nightly.select.regions.0"
    assert faults(write(text)) == [
        f'9: {key} "{written}" is not a region: one looks like eu-central-1'
    ]


@pytest.mark.parametrize(
    "written", ["ubuntu", "ami-0811116", "ami-0811116Z", "resolve:ssm:", "resolve:x", ""]
)
def test_a_malformed_image_is_refused(write: Write, written: str) -> None:
    assert faults(write(instead("ami-08111162", f'"{written}"'))) == [
        f'17: fleets.pair.image "{written}" {NOT_AN_IMAGE}'
    ]


# Words


@pytest.mark.parametrize("written", ["delete", "Terminate", "TERMINATE", "hibernate"])
def test_an_unknown_action_is_refused(write: Write, written: str) -> None:
    assert faults(write(instead("action: terminate", f"action: {written}"))) == [
        f"10: policies.nightly.action is \"{written}\", not 'terminate', 'stop' or 'shelve'"
    ]


@pytest.mark.parametrize("written", ["runing", "RUNNING", "terminated", "shutting-down", "unknown"])
def test_an_unknown_state_is_refused(write: Write, written: str) -> None:
    assert faults(write(instead("[running]", f"[{written}]"))) == [
        f'8: policies.nightly.select.states.0 is "{written}", {STATES}'
    ]


@pytest.mark.parametrize("states", ["[running, stopped]", "[stopped]", "pending"])
def test_only_what_runs_can_be_stopped(write: Write, states: str) -> None:
    text = instead("action: terminate", "action: stop").replace("[running]", states)

    assert faults(write(text)) == [
        "6: policies.nightly action stop needs states: [running]: nothing else can be stopped"
    ]


# Words that YAML converts


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("no", "False"),
        ("on", "True"),
        ("yes", "True"),
        ("off", "False"),
        ("3", "3"),
        ("1.0", "1.0"),
        ("0x10", "16"),
        ("~", "None"),
        ("2026-01-01", "2026-01-01"),
    ],
)
def test_a_tag_value_that_yaml_takes_for_something_else_is_refused(
    write: Write, written: str, shown: str
) -> None:
    one = faults(write(instead("[dev, sandbox]", written)))
    listed = faults(write(instead("[dev, sandbox]", f"[dev, {written}]")))
    fleet = faults(write(instead("{ env: dev }", f"{{ env: {written} }}")))
    tag = "policies.nightly.select.tags.env"

    assert one == [f"9: {tag} is {shown}, not a text: put it in quotes"]
    assert listed == [f"9: {tag}.values.1 is {shown}, not a text: put it in quotes"]
    assert fleet == [f"20: fleets.pair.tags.env is {shown}, not a text: put it in quotes"]


@pytest.mark.parametrize("written", ["no", "3", "~"])
def test_a_tag_key_that_yaml_takes_for_something_else_is_refused(
    write: Write, written: str
) -> None:
    (said,) = faults(write(instead("env: [dev, sandbox]", f"{written}: dev")))

    assert said.startswith("9: policies.nightly.select.tags.")
    assert said.endswith("not a text: put it in quotes")


@pytest.mark.parametrize("written", ["no", "3", "[no]"])
def test_a_protect_tag_that_yaml_takes_for_something_else_is_refused(
    write: Write, written: str
) -> None:
    (said,) = faults(write(instead("[curfew:keep]", written)))

    assert said.startswith("2: protect.tags")


def test_a_long_value_is_shown_short(write: Write) -> None:
    (said,) = faults(write(instead("[dev, sandbox]", "x" * 257)))

    assert said.endswith("…: string should have at most 256 characters")
    assert len(said) < 200


# Files without a valid document


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "1: the file is None, not a mapping of keys to values"),
        ("# nothing\n", "1: the file is None, not a mapping of keys to values"),
        ("- policies\n", "1: the file is ['policies'], not a mapping of keys to values"),
        ("nightly\n", '1: the file is "nightly", not a mapping of keys to values'),
        ("a: 1\npolicies: [\n", "3: expected the node content, but found '<stream end>'"),
        ("a: 1\n\tb: 2\n", "2: found character '\\t' that cannot start any token"),
        ("a: &x 1\nb: *y\n", "2: found undefined alias 'y'"),
        ("a: 1\n---\na: 2\n", "2: but found another document"),
        ("? [a, b]\n: c\n", "1: a key is a text"),
        (
            "a: 1\nb: !!python/object/apply:os.system [x]\n",
            (
                "2: could not determine a constructor for the tag "
                "'tag:yaml.org,2002:python/object/apply:os.system'"
            ),
        ),
    ],
)
def test_a_file_that_is_no_policy_file_is_refused(write: Write, content: str, said: str) -> None:
    assert faults(write(content)) == [said]


def test_a_missing_file_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.yaml"

    with pytest.raises(ConfigError) as refused:
        load(path)

    assert str(refused.value) == f"{path}: cannot be read: No such file or directory"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        load(tmp_path)

    assert str(refused.value) == f"{tmp_path}: cannot be read: Is a directory"


@pytest.mark.parametrize(
    "content", [WHOLE.replace("sandbox", "b\xe4ckerei").encode("latin-1"), b"\xff\xfe\x00"]
)
def test_a_file_in_another_encoding_is_refused_by_its_name(write: Write, content: bytes) -> None:
    path = write(content)

    with pytest.raises(ConfigError) as refused:
        load(path)

    assert str(refused.value).startswith(f"{path}:")


def test_a_file_in_another_encoding_is_refused_with_the_line(write: Write) -> None:
    content = WHOLE.replace("sandbox", "b\xe4ckerei").encode("latin-1")

    (said,) = faults(write(content))

    assert said.startswith("9: ")


@pytest.mark.parametrize(
    "written",
    ["2026-99-99", "0x_", "9" * 5_000, "!!int x", "!!bool x", "!!timestamp x", "[" * 2_000],
    ids=lambda written: written[:12],
)
def test_a_value_that_yaml_itself_cannot_read_is_refused(write: Write, written: str) -> None:
    path = write(instead("[dev, sandbox]", written))

    with pytest.raises(ConfigError) as refused:
        load(path)

    assert str(refused.value).startswith(f"{path}:")


# Curfew can terminate what it launches


LEASES = '  leases: { select: { lease: expired }, action: "terminate" }\n'


@pytest.mark.parametrize("instead_of_it", ["", LEASES.replace("terminate", "stop")])
def test_fleets_without_a_policy_that_ends_leases_are_refused(
    write: Write, instead_of_it: str
) -> None:
    (said,) = faults(write(WHOLE.replace(LEASES, instead_of_it)))

    assert "needs states: [running]" in said or "ends their leases" in said


@pytest.mark.parametrize(
    "limits", ["per_sweep: 19", "per_sweep: 20\n  per_day: 19", "per_day: 19", "per_sweep: 1"]
)
def test_fleet_larger_than_a_limit_is_refused(write: Write, limits: str) -> None:
    (said,) = faults(write(instead("per_sweep: 20", limits)))

    assert "fleets.pair may have 20 instances" in said
    assert "a fleet of that size would never end" in said


@pytest.mark.parametrize(
    "limits", ["per_sweep: 20", "per_sweep: 20\n  per_day: 20", "per_sweep: 0"]
)
def test_fleet_within_the_limits_is_allowed_and_zero_is_deliberate(
    write: Write, limits: str
) -> None:
    assert load(write(instead("per_sweep: 20", limits))).fleet("pair").count.max == 20


def test_a_template_that_protects_what_it_launches_is_refused(write: Write) -> None:
    text = instead("tags: [curfew:keep]", "tags: [precious]").replace(
        "{ env: dev }", "{ Precious: x }"
    )

    (said,) = faults(write(text))

    assert "fleets.pair launches with the tag Precious" in said


def test_user_data_is_a_file_beside_the_policy_file(write: Write, tmp_path: Path) -> None:
    path = write(
        instead("    tags: { env: dev }", "    user_data: boot.sh\n    tags: { env: dev }")
    )
    (tmp_path / "boot.sh").write_text("#!/bin/sh\n")

    assert load(path).user_data("pair") == "#!/bin/sh\n"
    assert load(write(WHOLE)).user_data("pair") == ""


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing.sh", b"", "cannot be read"),
        ("boot.sh", b"x" * (16 * 1024 + 1), "has more than 16384 bytes"),
        ("boot.sh", b"\xff", "cannot be read as a text"),
        ("../boot.sh", b"", "name a file beside the policy file"),
        ("/etc/passwd", b"", "name a file beside the policy file"),
    ],
)
def test_user_data_that_cannot_be_is_refused_at_its_line(
    write: Write, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    path = write(
        instead("    tags: { env: dev }", f"    user_data: {name}\n    tags: {{ env: dev }}")
    )
    (tmp_path / "boot.sh").write_bytes(content)

    (fault,) = faults(path)

    assert fault.startswith("20: fleets.pair.user_data")
    assert said in fault
