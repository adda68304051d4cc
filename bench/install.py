"""Brings what the benchmarks need and pip cannot install, by the package manager of the system."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.servers.process import ServerMissing, executable

PROGRAMS = ("curl", "nginx", "wrk")
LOCKED = ("caddy", "juicefs", "rclone")
"""Peers and stores that come with the locked environment."""


@dataclass(frozen=True, slots=True)
class Manager:
    """A package manager: its commands before the names of packages, and names unlike the program's."""

    name: str
    install: tuple[str, ...]
    before: tuple[str, ...] = ()
    packages: Mapping[str, str] | None = None
    as_root: bool = True

    def commands(self, programs: Sequence[str], prefix: Sequence[str] = ()) -> list[list[str]]:
        """Return the commands that install programs, each behind `prefix`."""
        packages = [(self.packages or {}).get(program, program) for program in programs]
        both = [list(self.before), [*self.install, *packages]]
        return [[*prefix, *command] for command in both if command]


MANAGERS = (
    Manager(
        "apt-get",
        install=("apt-get", "install", "-y", "--no-install-recommends"),
        before=("apt-get", "update"),
        packages={"nginx": "nginx-core"},
    ),
    Manager("dnf", install=("dnf", "install", "-y")),
    Manager("apk", install=("apk", "add")),
    Manager("brew", install=("brew", "install"), as_root=False),
)


def main() -> int:
    """Install what is missing, or say how; 0 if everything is there in the end."""
    missing = report(PROGRAMS)
    report(LOCKED)
    if not missing:
        return 0
    manager = next((one for one in MANAGERS if shutil.which(one.name)), None)
    if manager is None:
        print(f"no package manager that is known here; install by hand: {', '.join(missing)}")
        return 1
    prefix = _prefix(manager)
    if prefix is None:
        print("run this, as it needs an administrator:")
        for command in manager.commands(missing, ["sudo"]):
            print(f"  {shlex.join(command)}")
        return 1
    return _install(manager.commands(missing, prefix), missing)


def report(programs: Sequence[str]) -> list[str]:
    """Say of each program where it is; return those that are nowhere."""
    missing = []
    for program in programs:
        try:
            print(f"{program}: {executable(program, program)}")
        except ServerMissing:
            print(f"{program}: not installed")
            missing.append(program)
    return missing


def _prefix(manager: Manager) -> list[str] | None:
    """What must stand before the manager's commands; `None` if this user may not run them unasked."""
    if not manager.as_root or os.geteuid() == 0:
        return []
    can = shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False)
    return ["sudo", "-n"] if can and can.returncode == 0 else None


def _install(commands: Sequence[Sequence[str]], missing: Sequence[str]) -> int:
    for command in commands:
        print(f"$ {shlex.join(command)}", flush=True)
        if subprocess.run(command, check=False).returncode != 0:
            print(f"it failed; install by hand: {', '.join(missing)}")
            return 1
    return 1 if report(missing) else 0
