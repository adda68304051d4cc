"""How long a new configuration takes to be seen; the gateway is told of it by a whole file and a signal."""

import os
import signal
from pathlib import Path

import pytest

from bench.measure import WrongAnswer
from bench.origins import as_store
from bench.reloads import ReloadedGateway, Reloads, Run
from bench.two_objects import TwoObjects
from sluicegate.gateway.config import parse_config

STORE = as_store("http://127.0.0.1:9", 1)


def test_configurations_that_answered_nobody_are_not_timed() -> None:
    reloads = Reloads({1: 10.0, 2: 11.0, 3: 12.0})

    assert reloads.seconds_until_seen({1: 10.25, 3: 12.5}) == [0.25, 0.5]


def test_new_configuration_is_in_the_file_when_the_signal_comes(tmp_path: Path) -> None:
    file, found = tmp_path / "sluicegate.toml", []

    def read(*_: object) -> None:
        (route,) = parse_config(file.read_text(), {}).routes
        found.append(dict(route.headers))

    before = signal.signal(signal.SIGHUP, read)
    try:
        gateway = ReloadedGateway("", os.getpid(), file, STORE)
        gateway.reload(1)
        gateway.reload(2)
    finally:
        signal.signal(signal.SIGHUP, before)

    assert found == [{"x-generation": "1"}, {"x-generation": "2"}]


def test_own_process_holds_something() -> None:
    held = ReloadedGateway("", os.getpid(), Path(), STORE).held()

    assert min(held.resident, held.files, held.threads) > 0


def test_reloads_that_nobody_has_seen_are_no_result() -> None:
    run = Run(ReloadedGateway("", os.getpid(), Path(), STORE), TwoObjects(STORE, "", ""), 1, 1)
    run.reloads.asked[1] = 0.0

    with pytest.raises(WrongAnswer, match="none of 1 new configurations"):
        run.row()


def test_row_tells_what_went_wrong_apart() -> None:
    run = Run(ReloadedGateway("", os.getpid(), Path(), STORE), TwoObjects(STORE, "", ""), 1, 1)
    run.reloads.asked.update({1: 1.0, 2: 2.0})
    run.transfers.exact = 8
    run.transfers.broken.update(["the content was cut", "other bytes"])
    run.requests.sent, run.requests.refused = 7, 1
    run.requests.failures.update(["answered by 'HTTP/1.1 500 Internal Server Error' and 0 bytes"])
    run.requests.seconds += [0.25, 0.5, 1.0]
    run.requests.seen[2] = 2.5

    assert run.row() == (2, 1, 0.5, 10, 2, 7, 1, 1, 500.0, 1000.0)
