"""Connecting to an endpoint, as far as it can be done without asking for an object."""

from __future__ import annotations

import asyncio
import errno
import ssl
import time
from datetime import UTC, datetime
from typing import Any, Final
from urllib.request import getproxies, proxy_bypass

import aiohttp

from sluicegate import SourceError
from sluicegate.http.validators import parse_date

from .credentials import judge_failure
from .endpoints import Endpoint
from .findings import Finding, Findings, note, warning
from .limits import within_limit
from .transport import Connection, judge_authorities, judge_clock, judge_connection, judge_refusal

HEAD_BYTES: Final = 64 * 1024
"""The longest field of the head of an answer that is read."""


async def examine_endpoint(endpoint: Endpoint, *, signed: bool, seconds: float) -> tuple[Findings, bool]:
    """Connect, and compare clocks; says as well whether anything is to be had from there."""
    found, reached = await examine_connection(endpoint, seconds)
    if not reached:
        return found, False
    clock = await within_limit(f"{endpoint}", examine_clock(endpoint, signed=signed), seconds)
    return (*found, *((judge_failure(clock),) if isinstance(clock, SourceError) else clock)), True


def proxied(endpoint: Endpoint) -> Finding | None:
    """A note where a proxy of the environment stands between, which store clients use."""
    scheme = "https" if endpoint.tls else "http"
    proxies = getproxies()
    if not (proxies.get(scheme) or proxies.get("all")) or proxy_bypass(endpoint.host):
        return None
    return note(
        f"the environment names a proxy for {endpoint}: the connection itself was not looked at",
        "put the host into no_proxy to have it looked at, and to reach it without the proxy",
    )


async def examine_connection(endpoint: Endpoint, seconds: float) -> tuple[Findings, bool]:
    """Resolve and connect, and agree on TLS; says as well whether there was a connection.

    Each of the two may take `seconds`.
    """
    try:
        context = await asyncio.to_thread(_context, endpoint)
    except OSError as exc:
        return (judge_authorities(endpoint, exc),), False
    try:
        made = await _connect(endpoint, context, seconds)
    except (OSError, UnicodeError) as exc:
        return (judge_refusal(endpoint, exc),), False
    return judge_connection(endpoint, made, datetime.now(UTC)), True


async def _connect(endpoint: Endpoint, context: ssl.SSLContext | None, seconds: float) -> Connection:
    began = time.perf_counter()
    async with asyncio.timeout(seconds):
        _, writer = await asyncio.open_connection(endpoint.host, endpoint.port)
    taken = time.perf_counter() - began
    try:
        address = writer.get_extra_info("peername")[0]
        if context is None:
            return Connection(address, taken)
        await _agree(writer, context, endpoint.host, seconds)
        secured: ssl.SSLObject = writer.get_extra_info("ssl_object")
        return Connection(address, taken, secured.version(), _end_of(secured.getpeercert()))
    finally:
        # Nothing was asked, so nothing is waited for.
        writer.transport.abort()


async def _agree(writer: asyncio.StreamWriter, context: ssl.SSLContext, host: str, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await writer.start_tls(context, server_hostname=host)
    except TimeoutError as exc:
        # Told from a connection that is not made in time: somebody is there, and speaks no TLS.
        raise ssl.SSLError(errno.ETIMEDOUT, "no answer in time") from exc


def _context(endpoint: Endpoint) -> ssl.SSLContext | None:
    if not endpoint.tls:
        return None
    verify = endpoint.tls_verify
    context = ssl.create_default_context(cafile=verify if isinstance(verify, str) else None)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _end_of(certificate: Any) -> datetime | None:
    # Of a certificate that was not checked, nothing is told.
    if not certificate:
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)


async def examine_clock(endpoint: Endpoint, *, signed: bool) -> Findings:
    """Compare clocks by the `Date` of the answer to a plain request, whatever its status is."""
    context = await asyncio.to_thread(_context, endpoint)
    try:
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=True if context is None else context),
                cookie_jar=aiohttp.DummyCookieJar(),
                max_field_size=HEAD_BYTES,
            ) as session,
            session.head(endpoint.url, allow_redirects=False) as response,
        ):
            theirs, ours = parse_date(response.headers.get("Date", "")), datetime.now(UTC)
    except aiohttp.ClientError as exc:
        return (
            warning(
                f"{endpoint} does not answer HTTP as it should: {type(exc).__name__}",
                "check that host and port are those of the service, and not of something else",
            ),
        )
    return (judge_clock(theirs, ours, signed=signed),)
