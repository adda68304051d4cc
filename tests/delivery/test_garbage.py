"""Transfers that end early leave nothing that only the garbage collector can free: chunks are large."""

import asyncio
import gc
import types
from contextlib import suppress
from typing import Any

import pytest

from sluicegate import ObjectResponse, PartedSource
from sluicegate.testing import ScriptedSource

SCOPE: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "headers": []}


async def left(state: str, how: str) -> None:
    """A download that its client leaves, or that is cancelled, in one of its states."""
    scripted = ScriptedSource({"key": bytes(5_000_000)}, chunk_size=500_000)
    if state == "before-the-head":
        scripted.stall("key")
    if state == "inside-a-read":
        scripted.stall_after("key", 1_000_000)
    leave, blocked = asyncio.Event(), asyncio.Event()

    async def receive() -> dict[str, Any]:
        await leave.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if state == "inside-a-send" and message["type"] == "http.response.body":
            blocked.set()
            await asyncio.Event().wait()

    async def call() -> None:
        with suppress(asyncio.CancelledError):
            await ObjectResponse(PartedSource(scripted), "key")(SCOPE, receive, send)

    transfer = asyncio.ensure_future(call())
    await (blocked.wait() if state == "inside-a-send" else asyncio.sleep(0))
    if how == "cancelled":
        transfer.cancel()
    else:
        leave.set()
    await asyncio.wait((transfer,))
    assert scripted.open_bodies == 0


@pytest.mark.parametrize("how", ["disconnected", "cancelled"])
@pytest.mark.parametrize("state", ["before-the-head", "inside-a-read", "inside-a-send"])
async def test_transfer_that_ends_early_leaves_no_frames_behind(state: str, how: str) -> None:
    await left(state, how)
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        await left(state, how)
        gc.collect()
        frames = [one for one in gc.garbage if isinstance(one, types.FrameType)]
        assert [
            frame.f_code.co_qualname for frame in frames if "sluicegate" in frame.f_code.co_filename
        ] == []
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
