"""Examining a store: its endpoint, its credentials, what it lists, and an object of it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from sluicegate import Listed, SluicegateError, Source, SourceError, open_store, some_objects
from sluicegate.errors import Denied, NotFound

from ..config import StoreConfig
from ..origins import store_options
from . import aws
from .answers import judge_checksums, judge_missing
from .connection import examine_endpoint, proxied
from .credentials import is_of_all_requests, judge_failure, judge_found, judge_given
from .endpoints import Endpoint, store_endpoint
from .findings import Finding, Findings, note, ok, problem
from .limits import ATTEMPTS, CHECK_SECONDS, TRANSFERS, within_limit
from .objects import examine_object
from .probing import Answer, Subject

LARGEST: Final = 1024**3
"""The largest object that is chosen: what is larger tells no more, and may be in a slower class."""

_LOCAL: Final = ("file://", "memory://")
_NAME_ONE: Final = "name one with --object STORE:KEY"


async def examine_store(
    store: StoreConfig, keys: Sequence[str], read_ahead: int, seconds: float = CHECK_SECONDS
) -> Findings:
    """All that can be found of a store; `keys` are those to test with, by default one that it lists.

    Each check may take `seconds`.
    """
    if store.url == "memory://":
        return (note("each process has a store of its own, which is empty when it starts: nothing to ask"),)
    endpoint = store_endpoint(store, os.environ)
    found, reached = await _reached(endpoint, store, seconds)
    credentials, usable = await _credentials(store, seconds)
    found += credentials
    return found + await _contents(store, keys, read_ahead, seconds) if reached and usable else found


async def _reached(endpoint: Endpoint | None, store: StoreConfig, seconds: float) -> tuple[Findings, bool]:
    """What is found on the way to the store; says as well whether it can be asked for anything."""
    if endpoint is None:
        return (), True
    if (told := proxied(endpoint)) is not None:
        return (told,), True
    return await examine_endpoint(endpoint, signed=is_signed(store), seconds=seconds)


def is_signed(store: StoreConfig) -> bool:
    """Whether requests carry a date that the store checks."""
    return store.url.startswith(("s3://", "az://")) and not store.anonymous and store.sas_token is None


def is_identified(store: StoreConfig) -> bool:
    """Whether requests carry credentials of any kind."""
    return not store.anonymous and not store.url.startswith(_LOCAL)


async def _credentials(store: StoreConfig, seconds: float) -> tuple[Findings, bool]:
    """What the credentials say of themselves; says as well whether there is anything to sign with."""
    now = datetime.now(UTC)
    if (given := judge_given(store, now)) is not None:
        return (given,), True
    if not store.url.startswith("s3://") or not aws.IS_INSTALLED:
        return (), True
    try:
        chain = await within_limit("the credentials", aws.found_credentials(store), seconds)
    except aws.CannotTell as exc:
        return (problem(f"no credentials can be had: {exc}", "check the profile, or log in again"),), False
    return (judge_failure(chain) if isinstance(chain, SourceError) else judge_found(chain, now),), True


async def _contents(store: StoreConfig, keys: Sequence[str], read_ahead: int, seconds: float) -> Findings:
    options = replace(store_options(store), attempts=ATTEMPTS)
    try:
        listed = await within_limit("the listing", some_objects(store.url, options), seconds)
        told = judge_listing(listed, identified=is_identified(store))
        if isinstance(listed, SourceError) and is_of_all_requests(listed):
            return (told,)
        async with open_store(store.url, options, client=store.client, transfers=TRANSFERS) as source:
            missing = await _missing(source, seconds)
            chosen = keys or _chosen(() if isinstance(listed, SourceError) else listed)
            return (told, missing, *await _objects(store, source, chosen, read_ahead, seconds))
    except SluicegateError as exc:
        return (problem(f"the store cannot be opened: {exc}", "mend that setting of the store"),)


def judge_listing(listed: tuple[Listed, ...] | SourceError, *, identified: bool) -> Finding:
    """What a listing says of the store, and of the credentials if requests are `identified` by some."""
    accepted = "the credentials are accepted, and listing is allowed" if identified else "listing works"
    match listed:
        case SourceError() as error if is_of_all_requests(error):
            return judge_failure(error, identified=identified)
        case Denied() | NotFound() as error:
            return note(
                f"listing is not allowed ({error}): reading may be",
                f"allow it (s3:ListBucket), and missing keys are 404; to test with an object, {_NAME_ONE}",
            )
        case SourceError() as error:
            return note(
                f"listing fails ({error}): reading may not", f"for an object to test with, {_NAME_ONE}"
            )
        case ():
            return ok(f"{accepted}: there is no object")
        case _:
            return ok(f"{accepted}: {len(listed)} object{'' if len(listed) == 1 else 's'} looked at")


async def _missing(source: Source, seconds: float) -> Finding:
    # A name that nobody can have made.
    subject = Subject(source, f"sluicegate-doctor-{secrets.token_hex(16)}")
    answer: Answer = await within_limit("a missing key", subject.first_byte(), seconds)
    if isinstance(answer, SourceError) and is_of_all_requests(answer):
        return judge_failure(answer)
    return judge_missing(answer)


def _chosen(listed: Sequence[Listed]) -> tuple[str, ...]:
    """The largest object that is not too large."""
    usable = [one for one in listed if 0 < one.size <= LARGEST]
    return (max(usable, key=lambda one: one.size).key,) if usable else ()


async def _objects(
    store: StoreConfig, source: Source, keys: Sequence[str], read_ahead: int, seconds: float
) -> Findings:
    if not keys:
        return (note("there is no object to test with", _NAME_ONE),)
    is_local = store.url.startswith(_LOCAL)
    found: list[Finding] = []
    for key in keys:
        found.append(note(f"tested with the object {key!r}"))
        found += await examine_object(Subject(source, key), None if is_local else read_ahead, seconds)
        found += await _checksums(store, key, seconds)
    return tuple(found)


async def _checksums(store: StoreConfig, key: str, seconds: float) -> Findings:
    if not store.url.startswith("s3://"):
        return ()
    if not aws.IS_INSTALLED:
        return (note("checksums were not looked at", "pip install 'sluicegate[botocore]' to have it done"),)
    bucket, _, prefix = store.url.removeprefix("s3://").partition("/")
    whole = f"{prefix.strip('/')}/{key}" if prefix.strip("/") else key
    try:
        kinds = await within_limit("checksums", aws.announced_checksums(store, bucket, whole), seconds)
    except aws.CannotTell as exc:
        return (note(f"the store does not say which checksums it keeps ({exc})"),)
    if isinstance(kinds, SourceError):
        return (note(f"the store does not say which checksums it keeps ({kinds})"),)
    return (judge_checksums(kinds),)
