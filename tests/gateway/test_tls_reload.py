"""TLS on the gateway's own address, and certificates that are replaced while it serves."""

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import trustme

from sluicegate.gateway.app import Gateway
from sluicegate.gateway.config import TlsConfig, parse_config
from sluicegate.gateway.installation import CannotChange, Installation, ServerSettings
from sluicegate.gateway.live import LiveGateway
from sluicegate.gateway.tls import BadCertificate, TlsContext

from .config_texts import ROUTE
from .in_thread import Threaded, empty, in_thread

REQUEST = b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\n"


class Files:
    """A certificate and its key in two files, as another program writes them."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.config = TlsConfig(certificate=str(folder / "cert.pem"), key=str(folder / "key.pem"))
        self.shown = self.replace()

    def replace(self, *, certificate: bool = True, key: bool = True) -> bytes:
        """Write a new pair, or half of one; returns what clients are shown if it is used."""
        pair = self.authority.issue_cert("localhost", "127.0.0.1")
        chain = b"".join(blob.bytes() for blob in pair.cert_chain_pems)
        for wanted, path, content in (
            (certificate, self.config.certificate, chain),
            (key, self.config.key, pair.private_key_pem.bytes()),
        ):
            if wanted:
                self.write(path, content)
        return ssl.PEM_cert_to_DER_cert(pair.cert_chain_pems[0].bytes().decode())

    @staticmethod
    def write(path: str, content: bytes) -> None:
        # In the way of programs that renew certificates: another file under the same name.
        Path(f"{path}.new").write_bytes(content)
        os.replace(f"{path}.new", path)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def tls(files: Files) -> TlsContext:
    return TlsContext(files.config)


@pytest.fixture
def server(tls: TlsContext) -> Iterator[Threaded]:
    with in_thread(empty, tls=tls) as running:
        yield running


def connect(
    server: Threaded, files: Files, name: str | None = "localhost", **versions: object
) -> ssl.SSLSocket:
    """A handshake with a server whose authority is trusted."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = name is not None
    context.set_alpn_protocols(["h2", "http/1.1"])
    files.authority.configure_trust(context)
    for key, version in versions.items():
        setattr(context, key, version)
    plain = server.connect()
    try:
        return context.wrap_socket(plain, server_hostname=name)
    except BaseException:
        plain.close()
        raise


def shown(server: Threaded, files: Files, name: str | None = "localhost") -> bytes | None:
    with connect(server, files, name) as client:
        return client.getpeercert(binary_form=True)


def asks(client: socket.socket) -> bool:
    client.sendall(REQUEST)
    received = b""
    while not received.endswith(b"\r\n\r\n/a") and (more := client.recv(65536)):
        received += more
    return received.startswith(ANSWER)


@pytest.mark.parametrize("name", ["localhost", None], ids=["with-a-name", "without-a-name"])
def test_new_handshakes_get_the_new_certificate_and_connections_go_on(
    name: str | None, files: Files, tls: TlsContext, server: Threaded
) -> None:
    with connect(server, files) as client:
        assert asks(client)
        assert client.getpeercert(binary_form=True) == files.shown
        renewed = files.replace()
        tls.reload()
        assert shown(server, files, name) == renewed != files.shown
        assert asks(client)


@pytest.mark.parametrize("half", ["certificate", "key"])
def test_half_a_pair_keeps_the_old_one_until_it_is_whole(
    half: str,
    files: Files,
    tls: TlsContext,
    server: Threaded,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    files.replace(certificate=half == "certificate", key=half == "key")
    with pytest.raises(BadCertificate, match="key values mismatch"):
        tls.reload()
    tls.renew()
    tls.renew()
    assert shown(server, files) == files.shown
    renewed = files.replace()
    tls.renew()
    assert shown(server, files) == renewed
    said = [record.message for record in caplog.records if record.name.endswith(".tls")]
    assert [line.partition(":")[0] for line in said] == [
        f"cannot use certificate {files.config.certificate!r} with key {files.config.key!r}",
        f"certificate {files.config.certificate!r} was loaded again",
    ]


def test_files_are_loaded_again_when_they_have_changed(
    files: Files, tls: TlsContext, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    renewed: bytes | None = None
    with in_thread(empty, tls=tls) as server:
        tls.renew()
        assert caplog.text.count("was loaded again") == 0
        renewed = files.replace()
        tls.renew()
        assert shown(server, files) == renewed
    assert caplog.text.count("was loaded again") == 1


def encrypted(files: Files) -> bytes:
    from cryptography.hazmat.primitives import serialization as to  # noqa: PLC0415

    key = to.load_pem_private_key(Path(files.config.key).read_bytes(), None)
    return key.private_bytes(to.Encoding.PEM, to.PrivateFormat.PKCS8, to.BestAvailableEncryption(b"secret"))


@pytest.mark.parametrize("what", ["no-certificate", "no-key", "empty", "no-pem", "with-a-password"])
def test_pair_that_cannot_be_used_is_a_line_that_names_the_file(what: str, files: Files) -> None:
    named = files.config.key
    match what:
        case "no-certificate":
            named = files.config.certificate
            os.remove(named)
        case "no-key":
            os.remove(named)
        case "with-a-password":
            files.write(named, encrypted(files))
        case _:
            files.write(named, b"" if what == "empty" else b"-----BEGIN PRIVATE KEY-----\nxyzzy\n")
    with pytest.raises(BadCertificate) as caught:
        TlsContext(files.config)
    assert repr(named) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "xyzzy" not in str(caught.value)


def test_protocol_is_http_1_1_over_tls_1_2_or_later(files: Files, server: Threaded) -> None:
    with connect(server, files) as client:
        assert (client.selected_alpn_protocol(), client.version()) == ("http/1.1", "TLSv1.3")
    with connect(server, files, maximum_version=ssl.TLSVersion.TLSv1_2) as client:
        assert (client.selected_alpn_protocol(), client.version()) == ("http/1.1", "TLSv1.2")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"), pytest.raises((ssl.SSLError, ConnectionError)):
        connect(server, files, maximum_version=ssl.TLSVersion.TLSv1_1)


def test_client_that_speaks_no_tls_is_ended_and_harms_nobody(files: Files, server: Threaded) -> None:
    with server.connect() as client:
        client.sendall(REQUEST)
        received = b""
        with suppress(ConnectionResetError):
            received = client.recv(65536)
    assert ANSWER not in received
    with connect(server, files) as client:
        assert asks(client)


CONFIG = parse_config('[stores.s]\nurl = "memory://"\n' + ROUTE, {})


async def test_certificate_is_part_of_what_a_reload_replaces_or_leaves(files: Files, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Files(tmp_path / "other")
    wanted = ServerSettings(drain_timeout=1.0, tls=files.config)
    installation = Installation(LiveGateway(Gateway(CONFIG)), wanted)
    assert installation.tls is not None
    with in_thread(empty, tls=installation.tls) as server:
        os.rename(other.config.key, f"{other.config.key}.away")
        broken = ServerSettings(drain_timeout=2.0, tls=other.config)
        with pytest.raises(BadCertificate, match=r"other/key\.pem"):
            await installation.prepare_with(CONFIG, broken)
        with pytest.raises(CannotChange, match=r"\[tls\]"):
            await installation.prepare_with(CONFIG, ServerSettings(drain_timeout=2.0))
        assert installation.gateway.generations == 0
        os.rename(f"{other.config.key}.away", other.config.key)
        await installation.prepare_with(CONFIG, broken)
        assert await asyncio.to_thread(shown, server, files) == files.shown
        installation.commit()
        assert await asyncio.to_thread(shown, server, other) == other.shown
    assert installation.uvicorn.timeout_graceful_shutdown == 2.0
    await installation.gateway._close()
