"""How a service may be configured."""

from typing import Any

import pytest

from sluicegate.access.errors import BadCredentials
from sluicegate.access.forward import ForwardOptions

# Options.


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"url": "verify"}, "must be an http:// or https:// address", id="no-url"),
        pytest.param({"url": "ftp://h/verify"}, "must be an http://", id="scheme"),
        pytest.param({"url": "http:///verify"}, "must be an http://", id="no-host"),
        pytest.param({"url": "http://h:99999/"}, "no address", id="port"),
        pytest.param({"url": "http://[h/"}, "no address", id="bracket"),
        pytest.param({"url": "http://h/a b"}, "must be an http://", id="space"),
        pytest.param({"url": "http://me:secret@h/"}, "belong in request_fields", id="user"),
        pytest.param({"url": "http://h/#f"}, "fragment", id="fragment"),
        pytest.param({"timeout_seconds": 0}, "timeout_seconds", id="no-time"),
        pytest.param({"timeout_seconds": float("nan")}, "timeout_seconds", id="nan"),
        pytest.param({"cache_seconds": -1}, "cache_seconds", id="negative"),
        pytest.param({"cache_seconds": float("inf")}, "cache_seconds", id="for-ever"),
        pytest.param({"max_connections": 0}, "max_connections", id="no-connections"),
        pytest.param({"forward_fields": ("a b",)}, "forward_fields", id="no-name"),
        pytest.param({"forward_fields": ("X-Forwarded-For",)}, "never passed on", id="forwarded-for"),
        pytest.param({"forward_fields": ("Forwarded",)}, "never passed on", id="forwarded"),
        pytest.param({"forward_fields": ("Host",)}, "never passed on", id="host"),
        pytest.param({"forward_fields": ("Transfer-Encoding",)}, "never passed on", id="framing"),
        pytest.param({"forward_fields": ("a", "A")}, "twice", id="twice"),
        pytest.param({"request_fields": {"a b": "secret"}}, "request_fields", id="fixed-no-name"),
        pytest.param({"request_fields": {"a": "secret\r\nb: c"}}, "value of 'a'", id="fixed-value"),
        pytest.param({"request_fields": {"a": "secret\ud800"}}, "value of 'a'", id="fixed-surrogate"),
        pytest.param({"request_fields": {"A": "secret", "a": "2"}}, "twice", id="fixed-twice"),
        pytest.param({"request_fields": {"Content-Length": "5"}}, "cannot be configured", id="fixed-framing"),
        pytest.param({"request_fields": {"X-Forwarded-Uri": "/"}}, "cannot be configured", id="fixed-ours"),
        pytest.param(
            {"request_fields": {"Cookie": "secret"}}, "leave it out of one", id="fixed-and-forwarded"
        ),
        pytest.param({"key_field": "a b"}, "key_field", id="key"),
        pytest.param({"subject_field": ""}, "subject_field", id="subject"),
        pytest.param({"claim_fields": {"a": "x:"}}, "claim_fields", id="claim"),
    ],
)
def test_options_that_cannot_be_used_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadCredentials, match=message) as raised:
        ForwardOptions(**{"url": "http://127.0.0.1/verify", **options})
    assert "secret" not in str(raised.value)


def test_secret_stays_out_of_what_a_log_shows() -> None:
    options = ForwardOptions(url="http://127.0.0.1/verify?a=1", request_fields={"x-gateway": "secret"})
    assert "secret" not in repr(options)
    assert options.address == "http://127.0.0.1/verify"
