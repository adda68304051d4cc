"""Configurations to start from, and an environment for them."""

EXAMPLE = """\
[stores.images]
url = "s3://images"
endpoint_url = "${AWS_ENDPOINT_URL}"
region = "us-east-1"
access_key_id = "${AWS_ACCESS_KEY_ID}"
secret_access_key = "${AWS_SECRET_ACCESS_KEY}"
tls_verify = true
client = "obstore"

[[routes]]
path = "/tasks/{task_id:int}/image"
object = "images:test/{task_id}/image.jpg"
media_type = "image/jpeg"
summary = "Download Image"

[[routes]]
path = "/tasks/{task_id:int}/bytes/{size:int}"
upstream = "http://httpbin.org/stream-bytes/{size}"
summary = "Download bytes"

[[routes]]
path = "/files/{key:path}"
object = "images:{key}"
disposition = "attachment"
"""

ENVIRON = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9000",
    "AWS_ACCESS_KEY_ID": "id",
    "AWS_SECRET_ACCESS_KEY": "very-secret",
    "EMPTY": "",
    "NOT_UTF8": "a\udcff",
}

ROUTE = '[[routes]]\npath = "/{key:path}"\nobject = "s:{key}"\n'


def store(*lines: str) -> str:
    """Return a file of one store, its keys from line 2 on, and a route to it."""
    return "\n".join(["[stores.s]", *lines, ROUTE])


def s3(*lines: str) -> str:
    """Return a file of one S3 store, its keys from line 3 on."""
    return store('url = "s3://bucket"', *lines)


def route(*lines: str) -> str:
    """Return a file of a store `s` and one route, its keys from line 4 on."""
    return "\n".join(["[stores.s]", 'url = "memory://"', "[[routes]]", *lines])
