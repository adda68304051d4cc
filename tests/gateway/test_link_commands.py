"""The commands that make and check links, keys and passwords, as operators use them."""

import os
import re
from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner, Result

from sluicegate.access.api_keys import ApiKeys
from sluicegate.access.basic import BasicUsers
from sluicegate.access.link_claims import LinkClaims
from sluicegate.access.links import SignedLinks
from sluicegate.access.revoked import RevokedLinks
from sluicegate.gateway.commands import sluicegate
from sluicegate.gateway.durations import seconds_of

SECRET = "0123456789-0123456789-0123456789-0123456789"
CONFIG = f"""
[stores.s]
url = "memory://"
[auth.links]
type = "signed"
keys = {{ k1 = "{SECRET}" }}
revoked_file = "revoked.txt"
[[routes]]
path = "/{{key:path}}"
object = "s:{{key}}"
auth = "links"
"""

links = SignedLinks({"k1": SECRET})


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "sluicegate.toml"
    path.write_text(CONFIG)
    return str(path)


def run(*arguments: str, text: str | None = None) -> Result:
    result = CliRunner().invoke(sluicegate, arguments, input=text)
    assert "Traceback" not in result.output
    assert SECRET not in result.output
    return result


def claims_of(link: str) -> LinkClaims:
    path, _, token = link.strip().partition("?link=")
    found = links.check(token, "GET", path)
    assert not hasattr(found, "reason"), found
    return found.claims  # type: ignore[union-attr]


def test_a_link_is_made_and_verified(config: str) -> None:
    made = run("sign", config, "/a%20b.jpg", "--url", "https://files.example/", "--filename", "a.jpg")
    link = made.stdout.strip()
    assert link.startswith("https://files.example/a%20b.jpg?link=")
    verified = run("verify", config, link)
    assert (verified.exit_code, "filename: a.jpg" in verified.stdout) == (0, True)


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        pytest.param("/film%2F1.ts", "/film/1.ts", id="encoded-slash"),
        pytest.param("/tasks/007", "/tasks/7", id="number"),
        pytest.param("/tasks/abc", "/tasks/abc", id="no-value-of-the-route"),
    ],
)
def test_a_link_is_for_the_path_as_its_route_spells_it(path: str, plain: str, tmp_path: Path) -> None:
    file = tmp_path / "numbers.toml"
    file.write_text(f'{CONFIG}[[routes]]\npath = "/tasks/{{id:int}}"\nobject = "s:{{id}}"\nauth = "links"\n')
    link = run("sign", str(file), path).stdout.strip()
    assert link.startswith(f"{plain}?link=")
    assert run("verify", str(file), link.replace(plain, path)).exit_code == 0


@pytest.mark.parametrize("path", ["/a/%2e%2e/b", "/%zz", "/a%00"])
def test_what_is_no_path_is_not_signed(path: str, config: str) -> None:
    result = run("sign", config, path)
    assert (result.exit_code, "cannot be signed" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "option", "words"),
    [
        (("--expires", "999999999999y"), "--expires", "expected 1 to 100y"),
        (("--expires", "0"), "--expires", "expected 1 to 100y"),
        (("--expires", "soon"), "--expires", "90s, 15m"),
        (("--not-before", "-1"), "--not-before", "90s, 15m"),
        (("--not-before", ""), "--not-before", "90s, 15m"),
        (("--url", "foo"), "--url", "http:// or https:// and a host"),
        (("--url", "https://x/?q"), "--url", "without '?' and '#'"),
        (("--url", "https://x/#"), "--url", "without '?' and '#'"),
        (("--url", "https://x y"), "--url", "http:// or https:// and a host"),
        (("--url", "https://[x"), "--url", "http:// or https:// and a host"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_what_no_link_can_be_made_with_is_a_mistake_of_its_option(
    arguments: tuple[str, str], option: str, words: str, config: str
) -> None:
    made = run("sign", config, "/a.jpg", *arguments)
    assert (made.exit_code, made.stdout) == (2, "")
    assert f"Invalid value for '{option}': found {arguments[1]!r}; expected" in made.stderr
    assert words in made.stderr


def test_a_link_may_begin_with_a_path(config: str) -> None:
    made = run("sign", config, "/a.jpg", "--url", "https://files.example:8443/media/")
    assert made.stdout.startswith("https://files.example:8443/media/a.jpg?link=")


def test_a_link_that_was_changed_is_told_with_its_reason(config: str) -> None:
    link = run("sign", config, "/a.jpg").stdout.strip()
    for changed in (
        link.replace("/a.jpg", "/b.jpg"),
        link[:-1] + ("A" if link[-1] != "A" else "B"),
        "/a.jpg",
    ):
        result = run("verify", config, changed)
        assert (result.exit_code, result.stderr.startswith("not valid: ")) == (1, True)


def test_everything_that_a_link_may_say_can_be_said(config: str) -> None:
    arguments = ("--prefix", "--network", "10.0.0.0/8", "--uses", "3", "--subject", "bob", "--expires", "7d")
    made = run("sign", config, "/film/", *arguments)
    token = made.stdout.strip().partition("?link=")[2]
    found = links.check(token, "GET", "/film/1.ts")
    claims = found.claims  # type: ignore[union-attr]
    assert (claims.prefix, claims.network, claims.uses, claims.subject) == ("/film/", "10.0.0.0/8", 3, "bob")
    assert f"id: {claims.id}" in made.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(("/a/..",), "cannot be signed", id="dot-segment"),
        pytest.param(("a",), "path", id="no-slash"),
        pytest.param(("/a", "--prefix"), "must begin and end with '/'", id="open-prefix"),
        pytest.param(("/a", "--network", "home"), "network", id="no-network"),
        pytest.param(("/a", "--expires", "soon"), "soon", id="no-duration"),
        pytest.param(("/a", "--auth", "other"), "other", id="unknown-auth"),
        pytest.param(("/a", "--filename", "a/b"), "filename", id="filename-with-slash"),
    ],
)
def test_what_cannot_be_signed_is_told(config: str, arguments: tuple[str, ...], said: str) -> None:
    result = run("sign", config, *arguments)
    assert result.exit_code != 0
    assert said in result.stderr


def test_a_link_is_revoked_in_the_file(config: str, tmp_path: Path) -> None:
    assert run("revoke", config, "abc").exit_code == 0
    assert RevokedLinks(tmp_path / "revoked.txt")("abc")
    assert run("revoke", config, "a b").exit_code == 1


def test_a_new_key_fits_its_hash() -> None:
    key, stored = re.findall(r": +(\S+)", run("new-key").stdout)
    ApiKeys({"acme": [stored]}, "api")
    assert len(key) >= 40


def test_a_password_is_hashed_from_the_input() -> None:
    stored = run("hash-password", text="correct horse\n").stdout.strip()
    BasicUsers({"alice": stored}, "files")
    assert stored.startswith("$argon2id$")


def test_a_first_configuration_is_sound_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "sluicegate.toml"
    assert run("init", str(path)).exit_code == 0
    assert run("check", str(path)).exit_code == 0
    assert path.stat().st_mode & 0o777 == 0o600
    link = run("sign", str(path), "/files/a.jpg").stdout
    assert link.startswith("/files/a.jpg?link=")
    before = path.read_text()
    assert (run("init", str(path)).exit_code, path.read_text()) == (1, before)
    assert (run("init", str(path), "--force").exit_code, path.read_text() == before) == (0, False)


def test_first_configuration_that_is_there_already_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "sluicegate.toml"
    path.write_text("mine")
    path.chmod(0o644)
    assert run("init", str(path)).exit_code == 1
    assert [one.name for one in tmp_path.iterdir()] == ["sluicegate.toml"]
    assert run("init", str(path), "--force").exit_code == 0
    assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "objects").is_dir()


def test_first_configuration_into_a_pipe_changes_nothing_of_it(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path, 0o644)
    path.chmod(0o644)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert run("init", str(path), "--force").exit_code == 0
        assert os.read(reader, 65536).startswith(b"# Configuration of the Sluicegate gateway.")
    finally:
        os.close(reader)
    assert (path.stat().st_mode & 0o777, [one.name for one in tmp_path.iterdir()]) == (0o644, ["pipe"])


def test_every_line_that_may_be_switched_on_is_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "sluicegate.toml"
    run("init", str(path))
    text = path.read_text()
    # What is commented out is "# key = ..." or "# [table]"; words to the reader begin otherwise.
    switched = re.sub(r"^# (?=\[|[a-z_]+ = )", "", text, flags=re.MULTILINE)
    switched = switched.replace("sha256:...", "sha256:" + "0" * 64).replace(
        "/etc/letsencrypt/live/example.com/", ""
    )
    pair = trustme.CA().issue_cert("localhost")
    (tmp_path / "fullchain.pem").write_bytes(pair.cert_chain_pems[0].bytes())
    (tmp_path / "privkey.pem").write_bytes(pair.private_key_pem.bytes())
    path.write_text(re.sub(r"\$\{\w+\}", "x", switched))
    result = run("check", str(path))
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("15m", 900),
        ("12h", 43_200),
        ("7d", 604_800),
        ("2w", 1_209_600),
        ("1y", 31_536_000),
        ("5", 5),
    ],
)
def test_durations_are_read_as_they_are_written(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds
