"""The real httpbin on loopback: an HTTP upstream with ranges, ETags, redirects, compression and slow bodies.

httpbin serves 100 KiB at most, whatever size is asked for.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from .process import answers, free_port, running

# A thread for each connection, HTTP/1.1: a slow answer must not hold up the others.
_PROGRAM = """
import sys
from werkzeug.serving import WSGIRequestHandler, run_simple
from httpbin import app
WSGIRequestHandler.protocol_version = "HTTP/1.1"
run_simple("127.0.0.1", int(sys.argv[1]), app, threaded=True)
"""


@contextmanager
def httpbin() -> Iterator[str]:
    """Run httpbin; yields its base URL, without a slash at the end."""
    port = free_port()
    with running([sys.executable, "-c", _PROGRAM, str(port)], ready=answers(port, "/status/204")):
        yield f"http://127.0.0.1:{port}"
