"""Render EC2's responses with the simulator's code, plus the elements that it omits.

An instance has the size of a real one, 5 KB. The simulator renders a template of an instance in each state once, with
names in braces for the values that differ; to fill in the values of one instance takes microseconds.
Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Instance.html
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from xml.sax.saxutils import escape

from curfew_simulator.cloud import protocols
from curfew_simulator.cloud.ec2 import machine as simulated
from curfew_simulator.cloud.ec2 import render
from curfew_simulator.cloud.ec2.machine import State, Volume
from curfew_simulator.cloud.protocols import Message, Xml, instant
from curfew_simulator.cloud.world import World

from .fleet import Machine

REQUEST = "8f7724cf-496f-496e-8fe3-example00000"
_LAUNCHED = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)  # becomes {at}

_GROUPS = [
    {"groupId": "sg-0{h16}", "groupName": "workers-of-{owner}"},
    {"groupId": "sg-1{h16}", "groupName": "egress-baseline"},
]
_PUBLIC = {"publicIp": "{public}", "publicDnsName": "{public_name}", "ipOwnerId": "amazon"}
_INTERFACE = {
    "networkInterfaceId": "eni-0{h16}",
    "subnetId": "subnet-0{h16}",
    "vpcId": "vpc-0{h16}",
    "description": "",
    "ownerId": "{account}",
    "status": "in-use",
    "macAddress": "0e:{mac}",
    "privateIpAddress": "{private}",
    "privateDnsName": "{private_name}",
    "sourceDestCheck": True,
    "groupSet": _GROUPS,
    "attachment": {
        "attachmentId": "eni-attach-0{h16}",
        "deviceIndex": 0,
        "status": "attached",
        "attachTime": _LAUNCHED,
        "deleteOnTermination": True,
        "networkCardIndex": 0,
    },
    "association": _PUBLIC,
    "privateIpAddressesSet": [
        {
            "privateIpAddress": "{private}",
            "privateDnsName": "{private_name}",
            "primary": True,
            "association": _PUBLIC,
        }
    ],
    "ipv6AddressesSet": [],
    "interfaceType": "interface",
    "operator": {"managed": False},
}
# The elements of an instance that EC2 returns and the simulator does not, in this order.
_MORE: dict[str, Any] = {
    "privateDnsName": "{private_name}",
    "dnsName": "{public_name}",
    "keyName": "key-of-{owner}",
    "productCodes": [],
    "vpcId": "vpc-0{h16}",
    "privateIpAddress": "{private}",
    "ipAddress": "{public}",
    "sourceDestCheck": True,
    "groupSet": _GROUPS,
    "networkInterfaceSet": [_INTERFACE],
    "iamInstanceProfile": {
        "arn": "arn:aws:iam::{account}:instance-profile/workers-of-{owner}",
        "id": "AIPA{h16}",
    },
    "ebsOptimized": True,
    "enaSupport": True,
    "cpuOptions": {"coreCount": 1, "threadsPerCore": 2},
    "capacityReservationSpecification": {"capacityReservationPreference": "open"},
    "hibernationOptions": {"configured": False},
    "enclaveOptions": {"enabled": False},
    "platformDetails": "Linux/UNIX",
    "usageOperation": "RunInstances",
    "usageOperationUpdateTime": _LAUNCHED,
    "privateDnsNameOptions": {
        "hostnameType": "ip-name",
        "enableResourceNameDnsARecord": False,
        "enableResourceNameDnsAAAARecord": False,
    },
    "maintenanceOptions": {"autoRecovery": "default"},
    "currentInstanceBootMode": "legacy-bios",
    "tagSet": Xml("{tags}"),
}


def _written(state: State) -> str:
    """Return the template of an instance in a state, with names in braces."""
    blueprint = simulated.Machine(
        id="{id}",
        zone="{zone}",
        state=state,
        type="{type}",
        image="ami-0{h16}",
        started_at=_LAUNCHED,
        client_token="{h16}-{h4}-launch",  # noqa: S106  the token of a launch
        subnet="subnet-0{h16}",
        volumes=(
            Volume(id="vol-0{h16}"),
            Volume(id="vol-1{h16}", device="/dev/sdf", delete_on_termination=False),
        ),
        http_tokens="required",
        hop_limit=2,
    )
    text = protocols.xml(render.instance(blueprint) | _MORE, "item")
    return text.replace(instant(_LAUNCHED), "{at}")


_INSTANCES = {state.value: _written(state) for state in State}
_TAG = protocols.xml(render.tag_set({"{key}": "{value}"}), "item")
_RESERVATION = protocols.xml(
    render.reservation(World().region("{account}"), "r-0{id}", [Xml("{instance}")]), "item"
)


def instance(machine: Machine, state: str) -> str:
    """Return one instance as XML, in its present state."""
    d = machine.digest
    a, b, c = (int(d[at : at + 2], 16) for at in (0, 2, 4))
    tags = "".join(
        _TAG.format(key=escape(key), value=escape(value)) for key, value in machine.tags.items()
    )
    return _INSTANCES[state].format(
        id=machine.id, type=machine.type, zone=machine.zone, account=machine.account,
        at=instant(machine.launched), tags=tags,
        owner=machine.tags["Project"], h4=d[8:12], h16=d[16:32],
        private=f"10.{a}.{b}.{c}", private_name=f"ip-10-{a}-{b}-{c}.{machine.region}.compute.internal",
        public=f"203.0.{b}.{c}",
        public_name=f"ec2-203-0-{b}-{c}.{machine.region}.compute.amazonaws.com",
        mac=":".join(d[at : at + 2] for at in range(0, 10, 2)),
    )  # fmt: skip


def page(machines: Sequence[tuple[Machine, str]], token: str) -> bytes:
    """Return one page of DescribeInstances. Each instance has its own reservation."""
    items = [
        Xml(_RESERVATION.format(account=m.account, id=m.digest[32:48], instance=instance(m, state)))
        for m, state in machines
    ]  # fmt: skip
    return answer("DescribeInstances", {"reservationSet": items, "nextToken": token or None})


def change(machine: Machine, before: str) -> Mapping[str, Any]:
    """Return an instance's state before and after TerminateInstances."""
    ended = simulated.Machine(id=machine.id, zone=machine.zone, state=State.SHUTTING_DOWN)
    return render.change(ended, State(before))


def answer(action: str, content: Mapping[str, Any], *, service: str = "ec2") -> bytes:
    """Return the response of EC2 or STS to a successful call."""
    message = Message(
        access_key="", token="", region="", service=service, operation=action, arguments={}
    )
    return protocols.answered(message, content, REQUEST).body


def error(code: str, message: str) -> bytes:
    """Return an error response of EC2."""
    return protocols.refused("ec2", protocols.ApiError(code, message), REQUEST).body
