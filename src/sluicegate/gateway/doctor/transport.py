"""What to make of a connection: names, sockets, certificates, clocks. Pure."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from .endpoints import Endpoint
from .findings import Finding, Findings, note, ok, problem, warning

SKEW_WARNING: Final = timedelta(seconds=60)
"""Beyond this a clock is not kept by anybody; signed links and cache ages go wrong by as much."""

SKEW_PROBLEM: Final = timedelta(minutes=15)
"""What S3 allows between a signature's date and its own clock; behind it every request fails."""

RENEW_BEFORE: Final = timedelta(days=14)
"""Certificates of 90 days are renewed 30 days before their end: whose end is as near was forgotten."""

_MODERN: Final = frozenset({"TLSv1.2", "TLSv1.3"})


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection that was made: to which address, in how many seconds, and its TLS if it has some.

    `expires` is the end of the certificate, `None` where it was not checked.
    """

    address: str
    seconds: float
    tls_version: str | None = None
    expires: datetime | None = None


def judge_connection(endpoint: Endpoint, made: Connection, now: datetime) -> Findings:
    """What a connection that was made says."""
    reached = ok(f"connects to {endpoint} ({made.address}) in {made.seconds * 1000:.1f} ms")
    if not endpoint.tls:
        return (reached, _judge_plain(endpoint))
    return (reached, _judge_version(made.tls_version), _judge_certificate(made.expires, now))


def _judge_plain(endpoint: Endpoint) -> Finding:
    what = "the connection is not encrypted"
    if endpoint.host in ("localhost", "127.0.0.1", "::1"):
        return note(what)
    return note(what, "use https:// unless the network between is yours alone")


def _judge_version(version: str | None) -> Finding:
    if version in _MODERN:
        return ok(f"TLS version {version}")
    return warning(f"TLS version {version or 'unknown'}", "let the service speak TLS 1.2 or 1.3")


def _judge_certificate(expires: datetime | None, now: datetime) -> Finding:
    if expires is None:
        return warning(
            "the certificate is not checked (tls_verify = false): anybody on the way can read and change all",
            "set tls_verify to the file of the authority that signed it",
        )
    what = f"the certificate is valid until {expires:%Y-%m-%d %H:%M} UTC"
    if expires - now < RENEW_BEFORE:
        return warning(f"{what}, in {_days(expires - now)}", "renew it, and find out why nothing else did")
    return ok(what)


def judge_authorities(endpoint: Endpoint, error: OSError) -> Finding:
    """Why certificates cannot be checked at all."""
    reason = error.strerror or type(error).__name__
    return problem(
        f"CA certificates cannot be read from {endpoint.tls_verify!r}: {reason}",
        "set tls_verify to a file of certificates (PEM), and see that this user may read it",
    )


def judge_refusal(endpoint: Endpoint, error: OSError | UnicodeError) -> Finding:
    """Why no connection was made, and what that asks for."""
    if isinstance(error, UnicodeError):
        return problem(f"{endpoint.host!r} is no name of a host", "correct it in the configuration")
    if isinstance(error, ssl.SSLCertVerificationError):
        return _judge_distrust(endpoint, error)
    if isinstance(error, ssl.SSLError):
        return problem(
            f"{endpoint} has no TLS that can be agreed on: {_library_reason(error)}",
            f"check that port {endpoint.port} speaks TLS: a service without it is http://",
        )
    if isinstance(error, socket.gaierror):
        return problem(
            f"the name {endpoint.host!r} does not resolve: {error.strerror}",
            "check its spelling in the configuration, and the DNS of this machine",
        )
    what = f"cannot connect to {endpoint.host} port {endpoint.port}: {_reason(error)}"
    if isinstance(error, TimeoutError) or error.errno in (errno.ETIMEDOUT, errno.EHOSTUNREACH):
        return problem(
            what, "check firewalls, security groups and routes between here and there, and the address"
        )
    return problem(what, "check that the service runs, and that host and port are the right ones")


def _library_reason(error: ssl.SSLError) -> str:
    # Errors that do not come from OpenSSL have none.
    return getattr(error, "reason", None) or error.strerror or type(error).__name__


def _reason(error: OSError) -> str:
    # asyncio puts words of its own into the place of the system's.
    if error.errno is not None:
        return os.strerror(error.errno)
    return str(error) or "no answer in time"


def _judge_distrust(endpoint: Endpoint, error: ssl.SSLCertVerificationError) -> Finding:
    reason = error.verify_message
    if "expired" in reason:
        advice = "renew the certificate of the service; until then nothing is read from it"
    elif "not yet valid" in reason:
        advice = "set the clock of this machine, or wait: the certificate begins later"
    elif "mismatch" in reason or "not valid for" in reason:
        advice = "use a name that the certificate is for, or issue one for this name"
    else:
        advice = "set tls_verify to the file (PEM) of the authority that signed it, if that is one of yours"
    return problem(f"the certificate of {endpoint} is not accepted: {reason}", advice)


def judge_clock(theirs: datetime | None, ours: datetime, *, signed: bool) -> Finding:
    """How far this machine's clock is from the service's; where requests are `signed`, by S3's limit."""
    if theirs is None:
        return note("the service tells no time (no Date field), so the clocks cannot be compared")
    # A Date has whole seconds: what it cuts off is no skew.
    skew = ours - theirs - timedelta(seconds=0.5)
    distance, direction = abs(skew), "ahead of" if skew > timedelta(0) else "behind"
    if distance <= SKEW_WARNING:
        return ok(f"the clocks agree within {max(1, round(distance.total_seconds()))} s")
    what = f"this machine's clock is {_duration(distance)} {direction} the service's"
    advice = "set the clock of whichever is wrong, and keep it by NTP (timedatectl set-ntp true)"
    if signed and distance > SKEW_PROBLEM:
        return problem(f"{what}: signatures are refused beyond 15 min", advice)
    return warning(what, advice)


def _duration(distance: timedelta) -> str:
    seconds = distance.total_seconds()
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _days(left: timedelta) -> str:
    return f"{left.days} days" if left.days != 1 else "1 day"
