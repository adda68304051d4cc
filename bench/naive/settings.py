"""Where the naive applications find their store and their upstream: the usual environment variables."""

import os
from typing import Any


def s3_settings() -> dict[str, Any]:
    """Return the arguments with which botocore and aiobotocore make an S3 client."""
    return {
        "endpoint_url": os.environ["AWS_ENDPOINT_URL"],
        "aws_access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
        "region_name": os.environ["AWS_DEFAULT_REGION"],
    }


def upstream_url() -> str:
    """Return the base URL of the HTTP upstream."""
    return os.environ["UPSTREAM_URL"]
