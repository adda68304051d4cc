"""The contract, held by the three S3 clients on three families of S3 servers."""

from typing import ClassVar

import pytest

from sluicegate.sources.opening import Client
from sluicegate.testing import SourceContract, Subject

pytestmark = pytest.mark.asyncio(loop_scope="class")


class S3Contract(SourceContract):
    """The contract with `client` on a bucket of the server whose fixture is `server` + "_server"."""

    client: ClassVar[Client]
    server: ClassVar[str]

    @pytest.fixture
    def subject(self, s3_subject: Subject) -> Subject:
        return s3_subject


class JuicefsContract(S3Contract):
    server = "juicefs"
    cannot_hold: ClassVar = {
        "trailing-slash": "JuiceFS has the object 'a/b' as a file, which cannot be the folder 'a/b/' too"
    }
    departures: ClassVar = {
        f"test_awkward_key[{name}]": "MinIO's layer drops empty segments: it serves 'a/b' for 'a//b'"
        for name in ("empty-segment", "empty-segments", "leading-slash")
    }


class TestJuicefsObstore(JuicefsContract):
    client = "obstore"


class TestJuicefsAiobotocore(JuicefsContract):
    client = "aiobotocore"


class TestJuicefsBotocore(JuicefsContract):
    client = "botocore"


class SeaweedfsContract(S3Contract):
    server = "seaweedfs"
    cannot_hold: ClassVar = {
        "trailing-slash": "SeaweedFS has the object 'a/b' as a file, which cannot be the folder 'a/b/' too"
    }
    departures: ClassVar = {
        "test_awkward_key[backslash]": "SeaweedFS takes a backslash for a slash",
        **{
            f"test_awkward_key[{name}]": "SeaweedFS drops empty segments: it serves 'a/b' for 'a//b'"
            for name in ("empty-segment", "empty-segments", "leading-slash")
        },
    }


class TestSeaweedfsObstore(SeaweedfsContract):
    client = "obstore"


class TestSeaweedfsAiobotocore(SeaweedfsContract):
    client = "aiobotocore"


class TestSeaweedfsBotocore(SeaweedfsContract):
    client = "botocore"


class MotoContract(S3Contract):
    """Moto holds every key of S3, `a//b` too, and so shows that the clients do not touch them."""

    server = "moto"


class TestMotoObstore(MotoContract):
    client = "obstore"


class TestMotoAiobotocore(MotoContract):
    client = "aiobotocore"


class TestMotoBotocore(MotoContract):
    client = "botocore"
