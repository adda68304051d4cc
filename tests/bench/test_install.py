"""What would be run to install programs that are missing."""

import pytest

from bench.install import MANAGERS, report

COMMANDS = {
    "apt-get": [
        ["sudo", "apt-get", "update"],
        ["sudo", "apt-get", "install", "-y", "--no-install-recommends", "nginx-core", "wrk"],
    ],
    "dnf": [["sudo", "dnf", "install", "-y", "nginx", "wrk"]],
    "apk": [["sudo", "apk", "add", "nginx", "wrk"]],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_name_the_packages_of_the_system(name: str) -> None:
    (manager,) = (one for one in MANAGERS if one.name == name)
    assert manager.commands(["nginx", "wrk"], ["sudo"]) == COMMANDS[name]


def test_brew_needs_no_administrator() -> None:
    (brew,) = (one for one in MANAGERS if one.name == "brew")
    assert not brew.as_root
    assert brew.commands(["wrk"]) == [["brew", "install", "wrk"]]


def test_report_says_where_a_program_is_and_which_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(["python", "no-such-program"]) == ["no-such-program"]
    python, missing = capsys.readouterr().out.splitlines()
    assert python.startswith("python: /")
    assert missing == "no-such-program: not installed"
