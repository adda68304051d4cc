"""`sluicegate demo`: the gateway on a folder of samples and a small upstream, all in one process."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from string import Template
from typing import Final
from urllib.parse import quote

from .config import load_config
from .demo_upstream import upstream
from .listening import Listeners
from .server import serve

TEN_MEGABYTES: Final = 10_000_000

_CONFIG = Template("""\
[stores.images]
url = "file://$folder"

[[routes]]
path = "/tasks/{task_id:int}/image"
object = "images:test/{task_id}/image.jpg"
media_type = "image/jpeg"
summary = "Download Image"

[[routes]]
path = "/tasks/{task_id:int}/bytes/{size:int}"
upstream = "$upstream/stream-bytes/{size}"
summary = "Download bytes"

[[routes]]
path = "/breaking/{size:int}"
upstream = "$upstream/breaking/{size}"
summary = "Download bytes from a service that breaks"

[[routes]]
path = "/files/{key:path}"
object = "images:{key}"
disposition = "attachment"
summary = "Download any file"

[gateway]
title = "Sluicegate demo"
""")

_WELCOME = Template("""\
Sluicegate demo: $url
The interactive documentation is at $url/docs

Try, in another terminal:
  curl -o image.jpg $url/tasks/1/image                       # an object, streamed
  curl -i -H 'Range: bytes=0-99' $url/files/ten-megabytes.bin -o part.bin
  curl -I $url/files/hello.txt                               # HEAD
  curl -i $url/files/hello.txt -r 0-4,7-11                   # two ranges in one answer
  curl -i $url/tasks/1/bytes/100000 -o bytes.bin             # another service's answer, relayed
  curl -o broken.bin $url/breaking/100000000                 # its upstream breaks on the way, again and again
  curl -i $url/tasks/abc/image                               # a clear error

The configuration is $config
The objects are in   $folder
Stop with Ctrl-C; both are removed then.
""")


def demonstrate(bound: socket.socket, url: str, say: Callable[[str], None]) -> None:
    """Serve the demo on a socket until a signal comes. `say` prints what to try."""
    with _folder() as place, upstream() as upstream_url:
        folder = place / "objects"
        make_samples(folder)
        config = place / "sluicegate.toml"
        config.write_text(_CONFIG.substitute(folder=quote(str(folder)), upstream=upstream_url))
        say(_WELCOME.substitute(url=url, config=config, folder=folder))
        serve(load_config(config, os.environ), Listeners(bound))


def make_samples(folder: Path) -> None:
    """Make the sample objects: a photograph-sized JPEG, a text, 10 MB of noise."""
    image = folder / "test" / "1" / "image.jpg"
    image.parent.mkdir(parents=True)
    with resources.as_file(resources.files(__package__) / "demo.jpg") as sample:
        shutil.copyfile(sample, image)
    (folder / "hello.txt").write_text("Hello, world. These words are an object.\n")
    # The same bytes every time, so that downloads can be compared.
    (folder / "ten-megabytes.bin").write_bytes(random.Random(0).randbytes(TEN_MEGABYTES))  # noqa: S311


@contextmanager
def _folder() -> Iterator[Path]:
    # A signal waits until the folder has an owner: in between, nobody would remove it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    try:
        made = tempfile.TemporaryDirectory(prefix="sluicegate-demo-")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    with made as name:
        yield Path(name)
