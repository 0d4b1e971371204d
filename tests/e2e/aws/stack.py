"""A stack, as SAM builds, deploys and deletes it: the template that ships, unchanged."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.aws.cloud import ROOT, Cloud

SAM = ROOT / ".tools" / "bin" / "sam"
# Beside the template, only the policy file of the run is another one: its schedule has to be due during the run.
SHIPPED = ("template.yaml", "spoke.yaml", "samconfig.toml", "functions", "layers")


@dataclass(frozen=True, slots=True)
class Stack:
    """One deployment."""

    cloud: Cloud
    tree: Path
    name: str

    def build(self, policies: str) -> None:
        """`sam build`, of a copy of what ships with a policy file of its own."""
        shutil.rmtree(self.tree, ignore_errors=True)
        self.tree.mkdir(parents=True)
        for name in SHIPPED:
            source = ROOT / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(source, self.tree / name, ignore=ignored)
            else:
                shutil.copy2(source, self.tree / name)
        (self.tree / "functions" / "curfew.yaml").write_text(policies)
        self._sam("build")

    def deploy(self, **parameters: str) -> None:
        """`sam deploy`, with the parameters of an operator."""
        given = [f"{name}={value}" for name, value in parameters.items()]
        self._sam(
            "deploy", "--stack-name", self.name, "--no-confirm-changeset", "--no-progressbar",
            "--parameter-overrides", *given,
        )  # fmt: skip
        self._mend()

    def _mend(self) -> None:
        """The emulator takes a number from a template for a text, and stumbles over it; said again, it is one."""
        client = self.cloud.client("lambda")
        for mapping in client.list_event_source_mappings()["EventSourceMappings"]:
            scaling = mapping.get("ScalingConfig", {})
            if scaling:
                client.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig=scaling)

    def delete(self) -> None:
        """
        What `sam delete` asks of CloudFormation.

        Not by `sam delete` itself: before it deletes, it reads the address of the nested template, and refuses
        an address of S3 that is not AWS's own, as every emulator's is.
        """
        client = self.cloud.client("cloudformation")
        client.delete_stack(StackName=self.name)
        client.get_waiter("stack_delete_complete").wait(
            StackName=self.name, WaiterConfig={"Delay": 2, "MaxAttempts": 60}
        )

    def physical(self, logical: str) -> str:
        """The name that a resource of the stack has been given."""
        answer = self.cloud.client("cloudformation").describe_stack_resource(
            StackName=self.name, LogicalResourceId=logical
        )
        name: str = answer["StackResourceDetail"]["PhysicalResourceId"]
        return name

    @property
    def outputs(self) -> dict[str, str]:
        """The outputs of the stack."""
        answer = self.cloud.client("cloudformation").describe_stacks(StackName=self.name)
        return {one["OutputKey"]: one["OutputValue"] for one in answer["Stacks"][0]["Outputs"]}

    def _sam(self, *words: str) -> None:
        done = subprocess.run(
            [SAM, *words],
            cwd=self.tree,
            env=self.cloud.environment | {"PATH": f"{SAM.parent}:{self.cloud.environment['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(
                f"sam {words[0]} failed:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
            )
