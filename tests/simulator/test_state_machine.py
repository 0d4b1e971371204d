"""The happenings of the worlds as the rules of a state machine, for Hypothesis to find and shrink."""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from curfew_simulator.checkers.checks import judged
from curfew_simulator.simulation import nemesis, scenarios
from curfew_simulator.simulation.clients import listening
from curfew_simulator.simulation.generator import Generator
from curfew_simulator.simulation.triggers import TRIGGERS

SEEDS = st.integers(0, 10**6)


class Worlds(RuleBasedStateMachine):
    """One world, in which Hypothesis says what happens; the seed draws to which instance."""

    generator: Generator | None = None

    @initialize(seed=SEEDS, faults=st.sampled_from(["calm", "rough", "harsh"]))
    def begin(self, seed: int, faults: str) -> None:
        self.generator = Generator(seed, faults)

    @rule(which=st.sampled_from(list(TRIGGERS)))
    def trigger(self, which: Any) -> None:
        self._with(lambda generator: generator.trigger(which))

    @rule(disturbance=st.sampled_from(list(nemesis.DISTURBANCES)))
    def disturbance(self, disturbance: Any) -> None:
        self._with(lambda generator: disturbance(generator.harness, generator.rng))

    @rule(scenario=st.sampled_from(list(scenarios.SCENARIOS)))
    def scenario(self, scenario: Any) -> None:
        self._with(lambda generator: scenario(generator.triggers, generator.harness, generator.rng))

    def teardown(self) -> None:
        if self.generator:
            self._with(lambda generator: generator.calm_down())
            assert [str(v) for v in judged(self.generator.history())] == []

    def _with(self, do: Any) -> None:
        assert self.generator
        with listening(self.generator.harness.heard):
            do(self.generator)


class TestWorlds(Worlds.TestCase):  # type: ignore[misc,valid-type]
    settings = settings(
        max_examples=15,
        stateful_step_count=6,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
