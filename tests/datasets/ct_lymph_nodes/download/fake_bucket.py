"""A stand-in for the Imaging Data Commons: an S3 server of this process that can be told to behave badly."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from fake_series import FakeSeries

BUCKET = "idc-open-data"


@dataclass
class Bucket:
    """The bucket, what was asked of it, and how ill it behaves."""

    url: str
    client: Any
    gets: Counter[str] = field(default_factory=Counter)
    refuse: Callable[[str, str], bool] | None = None
    delay_s: Callable[[], float] = lambda: 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, fakes: Iterable[FakeSeries]) -> None:
        """Upload series to where the catalogue says they are."""
        for fake in fakes:
            for path in fake.paths():
                self.put_file(f"{fake.series.crdc_series_uuid}/{path.name}", path.read_bytes())

    def put_file(self, key: str, content: bytes) -> None:
        """Upload one file."""
        self.client.put_object(Bucket=BUCKET, Key=key, Body=content, ACL="public-read")

    def got(self) -> set[str]:
        """Give the names of the files that were got."""
        return {key.rpartition("/")[2] for key in self.gets}

    def remove(self, key: str) -> None:
        """Delete one file."""
        self.client.delete_object(Bucket=BUCKET, Key=key)

    def middleware(self, application: Any) -> Any:
        """Count the files that are got, and refuse or delay as told; around the server's own application."""

        def answer(environ: Any, start_response: Any) -> Any:
            method, key = environ["REQUEST_METHOD"], environ["PATH_INFO"].removeprefix(f"/{BUCKET}").lstrip("/")
            if self.refuse and self.refuse(method, key):
                start_response("503 Slow Down", [("Content-Length", "0")])
                return []
            if method == "GET" and key:
                with self._lock:
                    self.gets[key] += 1
                time.sleep(self.delay_s())
            return application(environ, start_response)

        return answer
