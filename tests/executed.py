"""A run is green only if every test that was collected was executed: a distribution over processes may drop some.

pytest-xdist's ``loadfile``, ``loadscope`` and ``loadgroup`` execute one of several tests with the same id, and say
nothing of the others.
"""

from collections.abc import Sequence

import pytest


class Executed:
    """Compares how many tests were collected and how many were set up."""

    collected = 0
    executed = 0

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Without xdist, and in each of its processes."""
        self.collected = len(session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """All processes of xdist collect the same."""
        self.collected = len(ids)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Each test is set up once, also one that is skipped."""
        self.executed += report.when == "setup"

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Fail a run that would be green. It is the last of pytest's own states: nothing was interrupted."""
        in_process_of_xdist = hasattr(session.config, "workerinput")
        complete = session.config.option.collectonly or self.collected == self.executed
        if exitstatus == pytest.ExitCode.OK and not complete and not in_process_of_xdist:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say which number is missing."""
        if self.collected != self.executed and not terminalreporter.config.option.collectonly:
            terminalreporter.write_line(
                f"{self.collected} tests were collected, and {self.executed} executed", red=True
            )


def pytest_configure(config: pytest.Config) -> None:
    """As a plugin: `-p tests.executed`, or `pytest_plugins`."""
    config.pluginmanager.register(Executed())
