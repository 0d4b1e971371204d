"""EC2's answers as XML: an instance with what a real one has, so that it weighs what a real one weighs (about 5 KB).

The elements are those of the API reference, without indentation, as EC2 sends them today.
Source: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Instance.html
"""

import re
from collections.abc import Sequence
from datetime import datetime
from xml.sax.saxutils import escape

from .fleet import CODES, Machine

SPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"
REQUEST = "8f7724cf-496f-496e-8fe3-example00000"
_INSTANCE = """
<item>
  <instanceId>{id}</instanceId> <imageId>ami-0{h16}</imageId>
  <instanceState> <code>{code}</code> <name>{state}</name> </instanceState>
  <privateDnsName>{private_name}</privateDnsName> <dnsName>{public_name}</dnsName> <reason/>
  <keyName>key-of-{owner}</keyName> <amiLaunchIndex>0</amiLaunchIndex> <productCodes/>
  <instanceType>{type}</instanceType> <launchTime>{at}</launchTime>
  <placement>
    <availabilityZone>{zone}</availabilityZone> <availabilityZoneId>az-{h4}</availabilityZoneId>
    <groupName/> <tenancy>default</tenancy>
  </placement>
  <monitoring> <state>disabled</state> </monitoring>
  <subnetId>subnet-0{h16}</subnetId> <vpcId>vpc-0{h16}</vpcId>
  <privateIpAddress>{private}</privateIpAddress> <ipAddress>{public}</ipAddress>
  <sourceDestCheck>true</sourceDestCheck>
  <groupSet>
    <item> <groupId>sg-0{h16}</groupId> <groupName>workers-of-{owner}</groupName> </item>
    <item> <groupId>sg-1{h16}</groupId> <groupName>egress-baseline</groupName> </item>
  </groupSet>
  <architecture>x86_64</architecture> <rootDeviceType>ebs</rootDeviceType> <rootDeviceName>/dev/xvda</rootDeviceName>
  <blockDeviceMapping>
    <item> <deviceName>/dev/xvda</deviceName>
      <ebs> <volumeId>vol-0{h16}</volumeId> <status>attached</status> <attachTime>{at}</attachTime>
        <deleteOnTermination>true</deleteOnTermination> </ebs> </item>
    <item> <deviceName>/dev/sdf</deviceName>
      <ebs> <volumeId>vol-1{h16}</volumeId> <status>attached</status> <attachTime>{at}</attachTime>
        <deleteOnTermination>false</deleteOnTermination> </ebs> </item>
  </blockDeviceMapping>
  <virtualizationType>hvm</virtualizationType> <clientToken>{h16}-{h4}-launch</clientToken>
  <tagSet>{tags}</tagSet>
  <hypervisor>xen</hypervisor>
  <networkInterfaceSet> <item>
    <networkInterfaceId>eni-0{h16}</networkInterfaceId> <subnetId>subnet-0{h16}</subnetId> <vpcId>vpc-0{h16}</vpcId>
    <description/> <ownerId>{account}</ownerId> <status>in-use</status> <macAddress>0e:{mac}</macAddress>
    <privateIpAddress>{private}</privateIpAddress> <privateDnsName>{private_name}</privateDnsName>
    <sourceDestCheck>true</sourceDestCheck>
    <groupSet>
      <item> <groupId>sg-0{h16}</groupId> <groupName>workers-of-{owner}</groupName> </item>
      <item> <groupId>sg-1{h16}</groupId> <groupName>egress-baseline</groupName> </item>
    </groupSet>
    <attachment>
      <attachmentId>eni-attach-0{h16}</attachmentId> <deviceIndex>0</deviceIndex> <status>attached</status>
      <attachTime>{at}</attachTime> <deleteOnTermination>true</deleteOnTermination>
      <networkCardIndex>0</networkCardIndex>
    </attachment>
    <association> <publicIp>{public}</publicIp> <publicDnsName>{public_name}</publicDnsName>
      <ipOwnerId>amazon</ipOwnerId> </association>
    <privateIpAddressesSet> <item>
      <privateIpAddress>{private}</privateIpAddress> <privateDnsName>{private_name}</privateDnsName>
      <primary>true</primary>
      <association> <publicIp>{public}</publicIp> <publicDnsName>{public_name}</publicDnsName>
        <ipOwnerId>amazon</ipOwnerId> </association>
    </item> </privateIpAddressesSet>
    <ipv6AddressesSet/> <interfaceType>interface</interfaceType>
    <operator> <managed>false</managed> </operator>
  </item> </networkInterfaceSet>
  <iamInstanceProfile> <arn>arn:aws:iam::{account}:instance-profile/workers-of-{owner}</arn>
    <id>AIPA{h16}</id> </iamInstanceProfile>
  <ebsOptimized>true</ebsOptimized> <enaSupport>true</enaSupport>
  <cpuOptions> <coreCount>1</coreCount> <threadsPerCore>2</threadsPerCore> </cpuOptions>
  <capacityReservationSpecification> <capacityReservationPreference>open</capacityReservationPreference>
  </capacityReservationSpecification>
  <hibernationOptions> <configured>false</configured> </hibernationOptions>
  <enclaveOptions> <enabled>false</enabled> </enclaveOptions>
  <metadataOptions>
    <state>applied</state> <httpTokens>required</httpTokens> <httpPutResponseHopLimit>2</httpPutResponseHopLimit>
    <httpEndpoint>enabled</httpEndpoint> <httpProtocolIpv6>disabled</httpProtocolIpv6>
    <instanceMetadataTags>disabled</instanceMetadataTags>
  </metadataOptions>
  <platformDetails>Linux/UNIX</platformDetails> <usageOperation>RunInstances</usageOperation>
  <usageOperationUpdateTime>{at}</usageOperationUpdateTime>
  <privateDnsNameOptions> <hostnameType>ip-name</hostnameType>
    <enableResourceNameDnsARecord>false</enableResourceNameDnsARecord>
    <enableResourceNameDnsAAAARecord>false</enableResourceNameDnsAAAARecord> </privateDnsNameOptions>
  <maintenanceOptions> <autoRecovery>default</autoRecovery> </maintenanceOptions>
  <currentInstanceBootMode>legacy-bios</currentInstanceBootMode>
  <operator> <managed>false</managed> </operator>
</item>"""
_COMPACT = re.sub(r">\s+<", "><", _INSTANCE.strip())


def instance(machine: Machine, state: str) -> str:
    """One instance in the state in which it is."""
    d = machine.digest
    a, b, c = (int(d[at : at + 2], 16) for at in (0, 2, 4))
    tags = "".join(
        f"<item><key>{escape(k)}</key><value>{escape(v)}</value></item>"
        for k, v in machine.tags.items()
    )
    return _COMPACT.format(
        id=machine.id, code=CODES[state], state=state, type=machine.type, zone=machine.zone,
        account=machine.account, at=_instant(machine.launched), tags=tags,
        owner=machine.tags["Project"], h4=d[8:12], h16=d[16:32],
        private=f"10.{a}.{b}.{c}", private_name=f"ip-10-{a}-{b}-{c}.{machine.region}.compute.internal",
        public=f"203.0.{b}.{c}",
        public_name=f"ec2-203-0-{b}-{c}.{machine.region}.compute.amazonaws.com",
        mac=":".join(d[at : at + 2] for at in range(0, 10, 2)),
    )  # fmt: skip


def page(machines: Sequence[tuple[Machine, str]], token: str) -> bytes:
    """One page of DescribeInstances; each instance came from a request of its own."""
    items = "".join(
        f"<item><reservationId>r-0{m.digest[32:48]}</reservationId><ownerId>{m.account}</ownerId><groupSet/>"
        f"<instancesSet>{instance(m, state)}</instancesSet></item>"
        for m, state in machines
    )
    more = f"<nextToken>{token}</nextToken>" if token else ""
    return answer("DescribeInstances", f"<reservationSet>{items}</reservationSet>{more}")


def changes(machines: Sequence[tuple[Machine, str]]) -> str:
    """What TerminateInstances says of each: the state before, and the one after."""
    return "".join(
        f"<item><instanceId>{m.id}</instanceId>{_state('currentState', 'shutting-down')}"
        f"{_state('previousState', before)}</item>"
        for m, before in machines
    )


def answer(action: str, content: str) -> bytes:
    """An answer of EC2's query API."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<{action}Response xmlns="{SPACE}">'
        f"<requestId>{REQUEST}</requestId>{content}</{action}Response>"
    ).encode()


def error(code: str, message: str) -> bytes:
    """An error of EC2's query API."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error><Code>{code}</Code>'
        f"<Message>{escape(message)}</Message></Error></Errors><RequestID>{REQUEST}</RequestID></Response>"
    ).encode()


def _state(element: str, state: str) -> str:
    return f"<{element}><code>{CODES[state]}</code><name>{state}</name></{element}>"


def _instant(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.000Z")
