"""The log: one line for each transfer, everything in one form, no line that a client made, no secret."""

import dataclasses
import json
import logging
import logging.handlers
import os
import pickle
import pty
import queue
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from sluicegate import Outcome
from sluicegate.gateway.answers import own_record
from sluicegate.gateway.config.values import LogStyle
from sluicegate.gateway.log import configure_log
from sluicegate.gateway.transfer_log import fields_of, level_of, transfer_logger
from sluicegate.http.ranges import Span
from sluicegate.observe import TransferEvent

from .records import record
from .test_cli_serve import SLUICEGATE, end, serving, wait_for_log
from .test_relay_upstream import ok, raw_upstream

RECORD = record(
    key="a b.jpg",
    status=206,
    span_asked="bytes=10-19",
    span_served=Span(10, 20),
    bytes_promised=10,
    bytes_sent=10,
    first_byte_seconds=0.0123456789,
    origin_bytes=0,
)
FIELDS = {
    "request_id": "id-1",
    "method": "GET",
    "route": "/files/{key:path}",
    "store": "images",
    "key": "a b.jpg",
    "status": 206,
    "span_asked": "bytes=10-19",
    "bytes_promised": 10,
    "bytes_sent": 10,
    "first_byte_seconds": 0.012346,
    "duration_seconds": 0.5,
    "requests": 1,
    "parts": 1,
    "resumes": 0,
    "retries": 0,
    "parkings": 0,
    "parked_seconds": 0.0,
    "outcome": "complete",
    "origin_bytes": 0,
    "span_start": 10,
    "span_stop": 20,
}
HIDDEN = "secret-7f3a"
FORGED = 'x\r\n{"event": "forged"}\n2026 INFO sluicegate: forged\x1b[2J\x85\u2028end'


@pytest.fixture
def restored() -> Iterator[None]:
    """What the tests have set up of logging is set up again."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def test_line_says_all_that_is_known() -> None:
    assert fields_of(RECORD) == FIELDS


def test_line_names_who_asked_where_that_is_known() -> None:
    changed = dataclasses.replace(RECORD, client="192.0.2.1", subject="ada", origin_bytes=10)
    known = {"client": "192.0.2.1", "subject": "ada", "origin_bytes": 10}
    assert fields_of(changed) == {**FIELDS, **known}


def test_line_leaves_traces_to_traces() -> None:
    changed = dataclasses.replace(RECORD, parent="00-1-2-01", events=(TransferEvent(0.1, "resume"),))
    assert fields_of(changed) == FIELDS


@pytest.mark.parametrize(
    ("outcome", "error", "level"),
    [
        pytest.param(Outcome.COMPLETE, None, "INFO", id="complete"),
        pytest.param(Outcome.COMPLETE, "NotFound: no such key", "INFO", id="missing"),
        pytest.param(Outcome.COMPLETE, "MethodNotAllowed: PUT", "INFO", id="method"),
        pytest.param(Outcome.COMPLETE, "Denied: 403", "WARNING", id="denied"),
        pytest.param(Outcome.COMPLETE, "Unavailable: refused", "WARNING", id="unavailable"),
        pytest.param(Outcome.CLIENT_GONE, None, "INFO", id="gone"),
        pytest.param(Outcome.DRAINED, None, "INFO", id="drained"),
        pytest.param(Outcome.CLIENT_TOO_SLOW, "ClientTooSlow: slow", "WARNING", id="too-slow"),
        pytest.param(Outcome.ORIGIN_FAILED, "BrokenBody: reset", "ERROR", id="cut"),
        pytest.param(Outcome.VERSION_CHANGED, "VersionChanged: new", "ERROR", id="changed"),
        pytest.param(Outcome.FAILED, "RuntimeError", "ERROR", id="bug"),
    ],
)
def test_level_of_a_transfer(outcome: Outcome, error: str | None, level: str) -> None:
    changed = dataclasses.replace(RECORD, outcome=outcome, error=error)
    assert logging.getLevelName(level_of(changed)) == level


def test_every_outcome_has_a_level() -> None:
    assert {level_of(dataclasses.replace(RECORD, outcome=outcome)) for outcome in Outcome}


@pytest.mark.usefixtures("restored")
def test_json_line_of_a_transfer(capsys: pytest.CaptureFixture[str]) -> None:
    configure_log("json")
    transfer_logger()(RECORD)
    line = json.loads(capsys.readouterr().err)
    assert line.pop("timestamp").endswith("Z")
    assert line == {"level": "info", "logger": "sluicegate.transfer", "event": "transfer", **FIELDS}


@pytest.mark.usefixtures("restored")
def test_lines_of_both_styles_leave_out_what_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    refused = own_record(400, 0.5, "Protocol: what was sent is not HTTP/1.1", "192.0.2.1")
    known = {"request_id", "status", "bytes_promised", "duration_seconds", "outcome", "error", "client"}
    configure_log("json")
    transfer_logger()(refused)
    line = json.loads(capsys.readouterr().err)
    configure_log("text")
    transfer_logger()(refused)
    text = capsys.readouterr().err
    facts = fields_of(refused)
    assert {name: line[name] for name in facts} == facts
    assert line.keys() - facts.keys() == {"timestamp", "level", "logger", "event"}
    assert known <= facts.keys()
    assert not {"method", "key", "route"} & facts.keys()
    assert text.endswith(" ".join(f"{name}={value!r}" for name, value in facts.items()) + "\n")


@pytest.mark.usefixtures("restored")
def test_text_line_of_a_transfer(capsys: pytest.CaptureFixture[str]) -> None:
    configure_log("text")
    transfer_logger()(RECORD)
    _, _, line = capsys.readouterr().err.partition(" ")
    expected = " ".join(f"{name}={value!r}" for name, value in FIELDS.items())
    assert line == f"INFO sluicegate.transfer: transfer {expected}\n"


class Kept(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def line() -> logging.LogRecord:
    """A transfer's, as handlers get it."""
    logger, kept = logging.getLogger("sluicegate.transfer"), Kept()
    before = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(kept)
    try:
        transfer_logger()(RECORD)
    finally:
        logger.removeHandler(kept)
        logger.setLevel(before)
    (record,) = kept.records
    return record


def test_line_has_all_that_formatters_look_for(line: logging.LogRecord) -> None:
    fields = ("name", "levelname", "levelno", "module", "funcName", "lineno", "process", "threadName")
    usual = logging.LogRecord("x", 20, "x", 0, "x", None, None)
    assert usual.__dict__.keys() <= line.__dict__.keys()
    written = logging.Formatter(" ".join(f"%({name})s" for name in fields)).format(line)
    expected = f"sluicegate.transfer INFO 20 transfer_log write 0 {os.getpid()} MainThread"
    assert written == expected
    assert abs(line.created - usual.created) < 60
    assert abs(line.relativeCreated - usual.relativeCreated) < 60_000


def test_line_goes_through_queues_sockets_and_filters(line: logging.LogRecord) -> None:
    facts = str(FIELDS)
    assert line.getMessage() == facts
    assert logging.makeLogRecord(line.__dict__).getMessage() == facts
    sent = logging.handlers.SocketHandler("127.0.0.1", 9).makePickle(line)
    assert pickle.loads(sent[4:])["msg"] == facts
    assert logging.handlers.QueueHandler(queue.SimpleQueue()).prepare(line).getMessage() == facts
    line.msg = "hidden"
    assert line.getMessage() == "hidden"


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("style", ["json", "text"])
def test_no_value_makes_a_line_of_its_own(style: LogStyle, capsys: pytest.CaptureFixture[str]) -> None:
    configure_log(style)
    transfer_logger()(dataclasses.replace(RECORD, key=FORGED, span_asked=FORGED, error=FORGED))
    logging.getLogger("uvicorn.error").warning("somebody said %s", FORGED)
    written = capsys.readouterr().err
    assert len(written.splitlines()) == 2
    assert written.endswith("\n")
    assert all(char.isprintable() for char in written.replace("\n", ""))


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("style", ["json", "text"])
def test_exceptions_of_others_are_logged_without_variables(
    style: LogStyle, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_log(style)
    try:
        _fail(HIDDEN)
    except ValueError:
        logging.getLogger("somebody").exception("a bug")
    written = capsys.readouterr().err
    assert "ValueError" in written
    assert HIDDEN not in written
    ours = [line for line in written.splitlines() if not line.startswith("    ")]
    assert len(ours) == 1


def _fail(hidden: str) -> None:
    raise ValueError(FORGED + "!" * len(hidden))


def test_secrets_are_in_no_line(tmp_path: Path) -> None:
    config = tmp_path / "sluicegate.toml"
    with raw_upstream() as upstream:
        upstream.answers["/short?token=secret-7f3a"] = ok(b"hello", "Content-Length: 10")
        upstream.answers["/broken?token=secret-7f3a"] = b"garbage secret-7f3a"
        upstream.answers["/denied?token=secret-7f3a"] = ok(
            b"secret-7f3a", "WWW-Authenticate: secret-7f3a", "Content-Length: 11", status="403 secret-7f3a"
        )
        config.write_text(
            '[[routes]]\npath = "/{key:path}"\n'
            f'upstream = "{upstream.url}/{{key}}?token=secret-7f3a"\n'
            'request_headers = { Authorization = "Bearer secret-7f3a" }\n'
            '[stores.s]\nurl = "s3://b"\nendpoint_url = "http://127.0.0.1:9"\n'
            'access_key_id = "secret-7f3a"\nsecret_access_key = "secret-7f3a"\nregion = "us-east-1"\n'
            '[[routes]]\npath = "/s3/{key:path}"\nobject = "s:{key}"\n'
        )
        with serving(config) as server:
            for path in ("short", "broken", "denied", "missing", "s3/a", "%2e%2e/a"):
                subprocess.run(
                    [
                        *("curl", "-s", "--noproxy", "*", "-o", str(tmp_path / "out"), "--path-as-is"),
                        *("-H", "Authorization: Bearer secret-7f3a", "-H", "Cookie: secret-7f3a"),
                        *("-H", "Referer: http://secret-7f3a/"),
                        f"{server.url}/{path}?secret-7f3a",
                    ],
                    check=False,
                )
            wait_for_log(server, '"event": "transfer"', 5)
            written = server.log.read_text()
            assert end(server, 15)[1] == 0
    assert "7f3a" not in written


def test_key_of_a_client_is_one_escaped_value(tmp_path: Path) -> None:
    config = tmp_path / "sluicegate.toml"
    config.write_text('[stores.s]\nurl = "memory://"\n[[routes]]\npath = "/{key:path}"\nobject = "s:{key}"\n')
    name = 'a"} {"event": "forged"\u2028\u202e'
    with serving(config) as server:
        command = ["curl", "-s", "--noproxy", "*", f"{server.url}/{quote(name)}"]
        subprocess.run(command, check=False, capture_output=True)
        wait_for_log(server, '"event": "transfer"', 1)
        lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert [line["key"] for line in lines if line["event"] == "transfer"] == [name]


@pytest.mark.parametrize(
    ("style", "terminal", "is_json"),
    [
        pytest.param("auto", False, True, id="auto-in-a-file"),
        pytest.param("auto", True, False, id="auto-on-a-terminal"),
        pytest.param("json", True, True, id="json"),
        pytest.param("text", False, False, id="text"),
    ],
)
def test_form_follows_the_setting_and_the_terminal(
    style: str, terminal: bool, is_json: bool, tmp_path: Path
) -> None:
    config = tmp_path / "sluicegate.toml"
    config.write_text(
        f'[gateway]\nlog = "{style}"\n[stores.s]\nurl = "memory://"\n'
        '[[routes]]\npath = "/{key:path}"\nobject = "s:{key}"\n'
    )
    first = _on_a_terminal(config) if terminal else _in_a_file(config)
    assert first.startswith("{") is is_json
    assert f"{config} at http://127.0.0.1:" in first


def _in_a_file(config: Path) -> str:
    with serving(config) as server:
        return server.log.read_text().splitlines()[0]


def _on_a_terminal(config: Path) -> str:
    reading, writing = pty.openpty()
    command = [SLUICEGATE, "serve", str(config), "--port", "0", "--admin", "off"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=writing, stderr=writing)
    os.close(writing)
    try:
        with os.fdopen(reading, "rb", buffering=0) as terminal:
            written = b""
            while b"\n" not in written:
                written += terminal.read(4096)
    finally:
        process.terminate()
        process.wait(10)
    return written.decode().splitlines()[0]
