"""The documentation names what exists, and describes everything that exists."""

import re
from pathlib import Path

import pytest

from curfew.config.policy_file import load
from curfew.core.report import Result, Status
from curfew.schemas.policy_file import KEYS
from tests.template.reading import Template

ROOT = Path(__file__).parents[2]
SOURCES = [*(ROOT / "functions" / "curfew").rglob("*.py")]
RULE = re.compile(r'rule="([a-z-]+)"')
WORD = re.compile(r"`([^`\n]+)`")


def read(name: str) -> str:
    return (ROOT / name).read_text()


def rules() -> set[str]:
    found = {rule for source in SOURCES for rule in RULE.findall(source.read_text())}
    return found | {"older-than", "selected"}


def test_every_rule_is_explained() -> None:
    assert rules() <= set(WORD.findall(read("docs/policies.md")))


def test_every_key_of_the_policy_file_is_explained() -> None:
    words = set(re.findall(r"[a-z_]+", " ".join(WORD.findall(read("docs/policies.md")))))
    assert words >= KEYS


@pytest.mark.parametrize("words", [Result, Status], ids=["results", "statuses"])
def test_every_result_and_status_is_in_the_glossary(words: type[Result] | type[Status]) -> None:
    assert {str(word) for word in words} <= set(WORD.findall(read("docs/glossary.md")))


@pytest.mark.parametrize("what", ["Parameters", "Outputs", "alarms"])
def test_every_parameter_output_and_alarm_of_the_stack_is_explained(what: str) -> None:
    template = Template.read(ROOT / "template.yaml")
    alarms = template.of_type("AWS::CloudWatch::Alarm")
    names = set(alarms if what == "alarms" else template.body[what])
    assert names
    assert names <= set(WORD.findall(read("docs/operations.md")))


def test_every_make_target_of_the_readme_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)\b", read("README.md")))
    assert named
    assert named <= targets


def test_first_policy_file_of_the_readme_is_valid(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", read("README.md"), re.DOTALL)
    file = tmp_path / "curfew.yaml"
    file.write_text(example, "utf-8")
    policies = load(file)
    assert {one.policy for one in policies.schedules()} == set(policies.content.policies)


def test_python_example_of_the_simulator_runs() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", read("docs/simulator.md"), re.DOTALL)
    exec(compile(example, "docs/simulator.md", "exec"), {})  # noqa: S102  the example is Curfew's own


@pytest.mark.parametrize("page", ["README.md", "docs/simulator.md"])
def test_page_shows_version_of_policy_file(page: str) -> None:
    version = load(ROOT / "functions" / "curfew.yaml").version
    assert set(re.findall(r"\(version ([0-9a-f]+)\)", read(page))) == {version}


def test_every_link_between_the_documents_leads_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for link in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def anchors(page: Path) -> set[str]:
    """Return the anchors that the headings of a page have on the hosting service."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_to_a_heading_has_its_heading() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for link, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", page.read_text()):
            target = page.parent / link if link else page
            assert anchor in anchors(target), f"{page.name} links to {link}#{anchor}"


def test_nothing_names_this_workplace_or_a_registry() -> None:
    forbidden = re.compile(
        "py" + r"pi\.org|python" + r"hosted|npm" + r"js\.org|/wo" + r"rk/|/ro" + "ot/"
    )
    kept = ("*.md", "*.py", "*.txt", "*.toml", "*.yaml", "*.json", "Makefile")
    tops = [
        ROOT / name
        for name in ("functions", "docs", "tests", "demo", "requirements", "events", "benchmarks")
    ]
    files = [file for top in tops for kind in kept for file in top.rglob(kind)]
    files += [file for kind in kept for file in ROOT.glob(kind)]
    for file in files:
        assert not forbidden.search(file.read_text()), file
