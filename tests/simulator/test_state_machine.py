"""The happenings of the worlds as the rules of a state machine, for Hypothesis to find and shrink."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from curfew_simulator.checkers.checks import judged
from curfew_simulator.simulation import nemesis, scenarios
from curfew_simulator.simulation.clients import listening
from curfew_simulator.simulation.generator import Story
from curfew_simulator.simulation.triggers import TRIGGERS

SEEDS = st.integers(0, 10**6)


class Worlds(RuleBasedStateMachine):
    """One world, in which Hypothesis says what happens; the seed draws to which instance."""

    story: Story | None = None

    @initialize(seed=SEEDS, faults=st.sampled_from(["calm", "rough", "harsh"]))
    def begin(self, seed: int, faults: str) -> None:
        self.story = Story(seed, faults)

    @rule(which=st.sampled_from(list(TRIGGERS)))
    def trigger(self, which: Any) -> None:
        self._with(lambda story: story.trigger(which))

    @rule(deed=st.sampled_from(list(nemesis.DEEDS)))
    def deed(self, deed: Any) -> None:
        self._with(lambda story: deed(story.stage, story.dice))

    @rule(plot=st.sampled_from(list(scenarios.PLOTS)))
    def plot(self, plot: Any) -> None:
        self._with(lambda story: plot(story.triggers, story.stage, story.dice))

    def teardown(self) -> None:
        if self.story:
            self._with(lambda story: story.calm_down())
            assert [str(v) for v in judged(self.story.history())] == []

    def _with(self, do: Any) -> None:
        assert self.story
        with listening(self.story.stage.heard):
            do(self.story)


class TestWorlds(Worlds.TestCase):  # type: ignore[misc,valid-type]
    settings = settings(
        max_examples=15,
        stateful_step_count=6,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
