"""What the connections of a `FaultyOrigin` share: its objects, its rules, and what it answers to whom."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sluicegate.testing import faults as broken
from sluicegate.testing.held import HeldObject, held_object
from sluicegate.testing.origin_requests import OriginRequest
from sluicegate.testing.replies import Reply, faulty_status, object_reply, put_refusal, refusal, text_reply
from sluicegate.testing.rules import Faults, Rule, RuleBook
from sluicegate.testing.s3_texts import list_text, location_text
from sluicegate.testing.seen import Ledger

Maker = Callable[[str], HeldObject | None]


@dataclass
class Site:
    """Objects and rules, behind a lock: tests change them while requests are answered."""

    ledger: Ledger = field(default_factory=Ledger)
    ignoring: bool = False
    maker: Maker | None = None
    _objects: dict[str, HeldObject] = field(default_factory=dict)
    _rules: RuleBook = field(default_factory=RuleBook)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def hold(self, path: str, held: HeldObject) -> None:
        """Hold an object, in the place of what was there."""
        with self._lock:
            self._objects[path] = held

    def drop(self, path: str) -> None:
        """Hold no object there any more."""
        with self._lock:
            self._objects.pop(path, None)

    def find(self, path: str) -> HeldObject | None:
        """The object there, be it held or made on demand."""
        with self._lock:
            held = self._objects.get(path)
        if held is None and self.maker is not None:
            return self.maker(path)
        return held

    def add_rule(self, rule: Rule) -> None:
        """One more rule."""
        with self._lock:
            self._rules.add(rule)

    def forget_rules(self, path: str | None) -> None:
        """No rules for that path, or none at all."""
        with self._lock:
            self._rules.forget(path)

    def faults(self, request: OriginRequest) -> Faults:
        """What this request meets."""
        with self._lock:
            return self._rules.faults(request)

    def reply(self, request: OriginRequest, content: bytes, faults: Faults, number: int) -> Reply:
        """What is answered; a PUT has its effect."""
        if (status := faults.get(broken.Status)) is not None:
            return faulty_status(request, status)
        match request.method:
            case "GET" | "HEAD":
                return self._get(request, faults, number)
            case "PUT":
                return self._put(request, content)
            case "DELETE":
                self.drop(request.path)
                return Reply(204, ())
        return refusal(request, 501)

    def _get(self, request: OriginRequest, faults: Faults, number: int) -> Reply:
        if "location" in request.query:
            return text_reply(request, 200, location_text())
        if "list-type" in request.query:
            return text_reply(request, 200, self._list(request))
        held = self.find(request.path)
        if held is None and request.method == "HEAD" and not request.key and self._has_bucket(request.bucket):
            return Reply(200, (("content-length", "0"),))
        return object_reply(request, held, faults, number, datetime.now(UTC))

    def _list(self, request: OriginRequest) -> bytes:
        with self._lock:
            inside = {
                path.removeprefix(f"{request.bucket}/"): held.metadata
                for path, held in self._objects.items()
                if path.startswith(f"{request.bucket}/")
            }
        return list_text(request.bucket, inside, request.query)

    def _has_bucket(self, bucket: str) -> bool:
        with self._lock:
            return any(path.startswith(f"{bucket}/") for path in self._objects)

    def _put(self, request: OriginRequest, content: bytes) -> Reply:
        if "uploadId" in request.query or "x-amz-copy-source" in request.fields:
            return refusal(request, 501)
        # S3 makes a bucket so, and every bucket is there as soon as it is named.
        if not request.key.strip("/") and "authorization" in request.fields:
            return Reply(200, (("content-length", "0"), ("location", f"/{request.bucket}")))
        with self._lock:
            refused = put_refusal(request, self._objects.get(request.path))
            if refused is not None:
                return refused
            media_type = request.fields.get("content-type", "")
            held = held_object(
                request.path, content, last_modified=datetime.now(UTC), content_type=media_type
            )
            self._objects[request.path] = held
        return Reply(200, (("content-length", "0"), ("etag", str(held.metadata.etag))))
