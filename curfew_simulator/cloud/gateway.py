"""Process one call: authentication, authorization, throttling, faults, its effect, and its record in the history."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from . import autoscaling, protocols, ssm, sts
from .call import ApiCall
from .dynamodb.operations import OPERATIONS as DYNAMODB
from .ec2.operations import OPERATIONS as EC2
from .faults import Fault, FaultKind
from .history import CallRecord
from .protocols import ApiError, CutError, Message, Request, Response
from .world import World

GARBLED = {
    # EC2: invalid times where clients read times. The other services: a body that is cut in half.
    "ec2": protocols.Xml(
        "<reservationSet><item><instancesSet><item><launchTime>never</launchTime></item></instancesSet></item>"
        "</reservationSet><instancesSet><item><launchTime>never</launchTime><currentState>?</currentState></item>"
        "</instancesSet><spotInstanceRequestSet><item><createTime>never</createTime></item></spotInstanceRequestSet>"
    ),
}
IDS = ("InstanceId", "SpotInstanceRequestId", "ResourceId", "TableName", "RoleArn")


def answer(world: World, request: Request) -> Response:
    """Return a world's response to a request. Raise CutError for a cut connection, and any exception of a hook."""
    with world.lock:
        asked_at = world.clock.now()
        try:
            message = protocols.read(request)
        except ApiError as error:
            return protocols.refused("ec2", error, _request_id(world))
        call = _arrived(world, message)
        try:
            response = protocols.answered(
                message, _outcome(world, message, call), _request_id(world)
            )
        except ApiError as error:
            call.code = error.code
            response = protocols.refused(message.service, error, _request_id(world))
        except CutError:
            call.code = "(cut)"
            raise
        finally:
            world.history.current = 0
        if FaultKind.GARBLED in call.faults:
            response = _garbled(message, response)
        if edit := world.faults.edit(message.operation, call.nth):
            response = replace(response, body=edit(response.body))
        took = (world.clock.now() - asked_at).total_seconds()
        return replace(response, took=took)


def _arrived(world: World, message: Message) -> CallRecord:
    call = CallRecord(
        number=len(world.history.calls) + 1,
        nth=world.history.arrived(message.operation),
        service=message.service,
        operation=message.operation,
        ids=_ids(message.arguments),
        account="",
        region=message.region,
        caller="",
        access_key=message.access_key,
        at=world.clock.now(),
        arguments=message.arguments,
    )
    world.history.calls.append(call)
    return call


def _outcome(world: World, message: Message, call: CallRecord) -> Mapping[str, Any]:
    world.hooks.arrives(call)
    principal = world.identities.of(message)
    call.account, call.caller = principal.account, principal.arn
    faults = world.faults.of(message, call.nth)
    call.faults = tuple(faults)
    _fail(message, faults, FaultKind.THROTTLED, FaultKind.ERROR)
    if FaultKind.CUT in faults:
        raise CutError
    if message.service == "ec2" and world.throttle:
        world.throttle.admit(message, principal.account, world.clock.now())
    asked = ApiCall(
        operation=message.operation,
        arguments=message.arguments,
        principal=principal,
        faults=faults,
    )
    effects = len(world.history.effects)
    world.history.current = call.number
    try:
        answer = _dispatched(world, message, asked)
    finally:
        call.effect = len(world.history.effects) > effects
    world.hooks.leaves(call)
    if slow := faults.get(FaultKind.SLOW):
        world.history.current = 0
        world.clock.sleep(slow.seconds)
    _fail(message, faults, FaultKind.ERROR_AFTER)
    if FaultKind.CUT_AFTER in faults:
        raise CutError
    return answer


def _dispatched(world: World, message: Message, call: ApiCall) -> Mapping[str, Any]:
    operation = message.operation
    here = (call.principal.account, message.region)
    if {message.region, here} & world.opted_out:
        # In a region that is not enabled, AWS rejects the account's credentials.
        said = "AWS was not able to validate the provided access credentials"
        raise ApiError("AuthFailure", said, 401)
    match message.service:
        case "ec2" if do := EC2.get(operation):
            return do(world.region(*here), call)
        case "autoscaling" if manage := autoscaling.OPERATIONS.get(operation):
            return manage(world.region(*here), call)
        case "dynamodb" if store := DYNAMODB.get(operation):
            return store(world.tables(*here), call)
        case "sts" if identify := sts.OPERATIONS.get(operation):
            return identify(world.identities, call)
        case "ssm" if read := ssm.OPERATIONS.get(operation):
            return read(world.parameters(*here), call)
    if message.service in protocols.JSON:
        raise ApiError("UnknownOperationException", f"not modelled: {operation}")
    raise ApiError("InvalidAction", f"The action {operation} is not valid for this web service.")


def _request_id(world: World) -> str:
    bits = f"{world.rng.of('requests').getrandbits(128):032x}"
    return f"{bits[:8]}-{bits[8:12]}-{bits[12:16]}-{bits[16:20]}-{bits[20:]}"


def _fail(message: Message, faults: Mapping[FaultKind, Fault], *kinds: FaultKind) -> None:
    for kind in kinds:
        if kind in faults:
            raise faults[kind].error(message.service)


def _garbled(message: Message, response: Response) -> Response:
    if message.service in GARBLED and response.status == 200:
        return protocols.answered(message, GARBLED[message.service], "garbled")
    headers = {name: value for name, value in response.headers.items() if name != "x-amz-crc32"}
    return Response(
        status=response.status, headers=headers, body=response.body[: len(response.body) // 2]
    )


def _ids(arguments: Mapping[str, Any]) -> tuple[str, ...]:
    found: list[str] = []
    for name in IDS:
        value = arguments.get(name, ())
        found.extend([value] if isinstance(value, str) else value)
    for filter_ in arguments.get("Filter", ()):
        if isinstance(filter_, dict) and filter_.get("Name") == "instance-id":
            found.extend(filter_.get("Value", ()))
    return tuple(found)
