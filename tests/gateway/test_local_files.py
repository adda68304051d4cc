"""Files that a configuration names are opened before anything is served: what is wrong is told at its key."""

from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sluicegate.gateway.commands import sluicegate

AUTHORITY = trustme.CA()
PAIR, OTHER = AUTHORITY.issue_cert("localhost"), AUTHORITY.issue_cert("localhost")
STORE = '[stores.s]\nurl = "memory://"\n'
ROUTE = '[[routes]]\npath = "/{key:path}"\nobject = "s:{key}"\n'
TLS = '[tls]\ncertificate = "cert.pem"\nkey = "key.pem"\n'
JWT = '[auth.j]\ntype = "jwt"\nissuer = "https://i"\naudience = "a"\nalgorithms = ["RS256"]\n'
PUBLIC = '[defaults]\nauth = "public"\n'
FORWARD = '[auth.f]\ntype = "forward"\nurl = "https://own"\ntls_verify = "junk"\n'
UPSTREAM = '[[routes]]\npath = "/u"\nupstream = "https://up"\ntls_verify = "junk"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "cert.pem").write_bytes(PAIR.cert_chain_pems[0].bytes())
    (tmp_path / "key.pem").write_bytes(PAIR.private_key_pem.bytes())
    (tmp_path / "ca.pem").write_bytes(AUTHORITY.cert_pem.bytes())
    (tmp_path / "other.pem").write_bytes(OTHER.private_key_pem.bytes())
    (tmp_path / "account.json").write_text("{}")
    (tmp_path / "junk").write_text("very-secret")
    return tmp_path


@pytest.mark.parametrize("command", ["check", "doctor"])
@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            STORE + ROUTE + TLS.replace("key.pem", "other.pem"),
            ":7: tls.certificate: cannot use certificate ",
            id="pair-that-does-not-match",
        ),
        pytest.param(
            STORE + ROUTE + TLS.replace("cert.pem", "junk"),
            ":7: tls.certificate: cannot use certificate ",
            id="certificate-that-is-none",
        ),
        pytest.param(
            STORE + PUBLIC + JWT + 'key_file = "junk"\n' + ROUTE, ":10: auth.j.key_file: ", id="keys"
        ),
        pytest.param(
            STORE + PUBLIC + JWT + 'tls_verify = "junk"\n' + ROUTE,
            ":10: auth.j.tls_verify: no CA certificates in ",
            id="authorities-of-an-issuer",
        ),
        pytest.param(
            STORE + PUBLIC + FORWARD + ROUTE,
            ":8: auth.f.tls_verify: no CA certificates in ",
            id="authorities-of-a-service",
        ),
        pytest.param(
            '[stores.s]\nurl = "s3://b"\ntls_verify = "junk"\n' + ROUTE,
            ":3: stores.s.tls_verify: no CA certificates in ",
            id="authorities-of-a-store",
        ),
        pytest.param(
            STORE + ROUTE + UPSTREAM,
            ":9: routes[1].tls_verify: no CA certificates in ",
            id="authorities-of-an-upstream",
        ),
        pytest.param(
            '[stores.s]\nurl = "gs://b"\nservice_account_file = "junk"\n' + ROUTE,
            ":3: stores.s.service_account_file: ",
            id="account",
        ),
    ],
)
def test_file_that_cannot_be_used_is_a_mistake(command: str, text: str, said: str, folder: Path) -> None:
    config = folder / "sluicegate.toml"
    config.write_text(text)
    done = CliRunner().invoke(sluicegate, [command, str(config)])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{config}{said}")
    assert "very-secret" not in done.stderr


def test_files_that_can_be_used_are_none(folder: Path) -> None:
    config = folder / "sluicegate.toml"
    google = '[stores.g]\nurl = "gs://b"\nservice_account_file = "account.json"\ntls_verify = "ca.pem"\n'
    issuer = JWT + 'key_file = "public.pem"\ntls_verify = "ca.pem"\n'
    public = generate_private_key(SECP256R1()).public_key()
    (folder / "public.pem").write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    config.write_text(STORE + google + PUBLIC + issuer + ROUTE + TLS)
    done = CliRunner().invoke(sluicegate, ["check", str(config)])
    assert (done.exit_code, done.stderr) == (0, "")
