"""Which OpenStack it runs on: the cloud that OS_CLOUD names, or else a control plane that is brought up for it.

One that ran already is left running; one that was brought up here is taken down again.
"""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

import openstack
from openstack.connection import Connection

ROOT = Path(__file__).parents[3]
IMAGE, FLAVOUR = "tiny", "t1.tiny"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """A cloud to try things on.

    ``reader`` and ``administrator`` are there on a control plane of our own alone; it is ``fresh`` if it was never used
    before.
    """

    name: str
    region: str
    image: str
    flavour: str
    reader: str = ""
    administrator: str = ""
    fresh: bool = False

    def connect(self, name: str = "") -> Connection:
        """A connection for looking, and for what a person would do by hand."""
        return openstack.connect(cloud=name or self.name, region_name=self.region)


@contextmanager
def lab() -> Iterator[Lab]:
    """The cloud for as long as it is wanted. Ends the program where there is none."""
    scripts = Path(os.environ.get("OPENSTACK") or ROOT.parent / "shared" / "openstack")
    if os.environ.get("OS_CLOUD"):
        yield _given(os.environ["OS_CLOUD"])
    elif (scripts / "up.sh").exists():
        with _control_plane(scripts) as fresh:
            yield _ours(fresh=fresh)
    else:
        raise SystemExit(
            "there is no OpenStack to run on: set OS_CLOUD to a cloud of your clouds.yaml, or OPENSTACK to a folder "
            "with an up.sh and a down.sh that start and stop one"
        )


@contextmanager
def _control_plane(scripts: Path) -> Iterator[bool]:
    file = Path(os.environ.get("OS_DATA") or "/tmp/openstack") / "conf" / "clouds.yaml"  # noqa: S108  up.sh's own
    running = file.exists() and _answers(file)
    if not running:
        print(
            "no control plane runs here: one is brought up (about 3 minutes the first time)",
            flush=True,
        )
    # What it prints has passwords.
    subprocess.run([scripts / "up.sh"], check=True, stdout=subprocess.DEVNULL)
    os.environ["OS_CLIENT_CONFIG_FILE"] = str(file)
    try:
        yield not running
    finally:
        if not running:
            subprocess.run([scripts / "down.sh"], check=True)


def _answers(file: Path) -> bool:
    url = urlsplit(yaml.safe_load(file.read_text())["clouds"]["demo"]["auth"]["auth_url"])
    with socket.socket() as probe:
        return probe.connect_ex((url.hostname or "", url.port or 0)) == 0


def _ours(*, fresh: bool) -> Lab:
    """The project of an ordinary member, with an image and a flavour, which only an administrator may make."""
    ours = Lab(
        name="demo",
        region="RegionOne",
        image=IMAGE,
        flavour=FLAVOUR,
        reader="viewer",
        administrator="admin",
        fresh=fresh,
    )
    cloud: Any = ours.connect("admin")
    if cloud.image.find_image(IMAGE) is None:
        cloud.create_image(
            IMAGE,
            data=b"\0" * 1024,
            disk_format="raw",
            container_format="bare",
            visibility="public",
            wait=True,
        )
    if cloud.compute.find_flavor(FLAVOUR) is None:
        cloud.compute.create_flavor(name=FLAVOUR, vcpus=1, ram=64, disk=1)
    return ours


def _given(name: str) -> Lab:
    """The user's own cloud: the image and the flavour that are named, or else the smallest there are."""
    cloud: Any = openstack.connect(cloud=name)
    image = (
        os.environ.get("IMAGE")
        or min(
            (i for i in cloud.image.images() if i.status == "active"), key=lambda i: i.size or 0
        ).name
    )
    flavour = (
        os.environ.get("FLAVOUR")
        or min(cloud.compute.flavors(), key=lambda f: (f.ram, f.vcpus)).name
    )
    return Lab(name=name, region=cloud.config.region_name, image=image, flavour=flavour)
