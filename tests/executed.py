"""Fail a run of pytest that does not execute every collected test: a distribution over processes may drop some.

pytest-xdist's ``loadfile``, ``loadscope`` and ``loadgroup`` execute only one of several tests with the same id, and
do not report the others.
"""

from collections.abc import Sequence

import pytest


class Executed:
    """A plugin that compares the number of collected tests to the number of executed ones."""

    collected = 0
    executed = 0

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Count the collected tests, without xdist and in each of its processes."""
        self.collected = len(session.items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Count the collected tests. All processes of xdist collect the same."""
        self.collected = len(ids)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count the executed tests by their setup. Each test has one, skipped tests included."""
        self.executed += report.when == "setup"

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Fail a run that would succeed although it did not execute every test."""
        in_process_of_xdist = hasattr(session.config, "workerinput")
        complete = session.config.option.collectonly or self.collected == self.executed
        if exitstatus == pytest.ExitCode.OK and not complete and not in_process_of_xdist:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print both numbers if they differ."""
        if self.collected != self.executed and not terminalreporter.config.option.collectonly:
            terminalreporter.write_line(
                f"{self.collected} tests were collected, and {self.executed} executed", red=True
            )


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin, by `-p tests.executed` or `pytest_plugins`."""
    config.pluginmanager.register(Executed())
