"""One server of InfluxDB for a sink: requests with a time limit, and failures named by what to do about them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import orjson
from influxdb_client import BucketRetentionRules, InfluxDBClient
from influxdb_client.rest import ApiException
from influxdb_client.service.write_service import WriteService
from isal import igzip
from urllib3.exceptions import HTTPError

from sinks.store import StoreUnavailable, StoreUnfit

NAME = "InfluxDB"

_RECORD_AT_FAULT = (400, 413, 422)  # a line that cannot be read, is too long, has a field of another type, or is too old
_PROGRAM_AT_FAULT = (401, 403, 404)  # token, rights, bucket or organisation
_LEVEL = 1  # of ISA-L, which takes a fifth of zlib's time and comes out smaller than zlib's own level 1
_LONGEST_ERROR = 500
_DAY = 86_400


class PointsRefused(Exception):
    """InfluxDB refuses a point or more of what it was given; others of them may be stored."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to write and as whom; `timeout` in seconds for one request."""

    url: str
    org: str
    token: str
    timeout: float = 10.0
    compress: bool = True


class Session:
    """Requests to one server. Each raises StoreUnavailable, StoreUnfit."""

    def __init__(self, target: Target) -> None:
        self._target = target
        milliseconds = round(target.timeout * 1000)
        self._client = InfluxDBClient(target.url, target.token, org=target.org, timeout=milliseconds, retries=False)
        self._writes = WriteService(self._client.api_client)  # below the client's writer: takes a body compressed by ourselves
        self._queries = self._client.query_api()
        self._buckets = self._client.buckets_api()

    def write(self, bucket: str, lines: list[str]) -> None:
        """Write lines with times in nanoseconds. Raises PointsRefused as well."""
        body = "\n".join(lines).encode()
        more: dict[str, Any] = {}
        if self._target.compress:
            body, more = igzip.compress(body, _LEVEL, mtime=0), {"content_encoding": "gzip"}
        with self._named_failures(bucket, writes_points=True):
            self._writes.post_write(org=self._target.org, bucket=bucket, body=body, precision="ns", **more)

    def query(self, flux: str, values: dict[str, Any]) -> list[dict[str, Any]]:
        """The rows that a query answers; `values` are what its names stand for."""
        with self._named_failures("query"):
            return [record.values for table in self._queries.query(flux, params=values) for record in table.records]

    def series(self, bucket: str) -> set[str]:
        """All series of a bucket, as lines begin."""
        with self._named_failures(bucket):
            answer, _, _ = self._client.api_client.call_api(
                "/query",
                "GET",
                query_params=[("db", bucket), ("q", "SHOW SERIES")],
                header_params={"Accept": "application/json"},
                response_type="object",
            )
        if errors := [result["error"] for result in answer["results"] if "error" in result]:
            raise StoreUnfit(f"{NAME} at {self._target.url}: the series of {bucket} cannot be counted: {errors[0]}")
        found = [series for result in answer["results"] for series in result.get("series", ())]
        return {str(key) for each in found for (key,) in each["values"]}

    def retention(self, bucket: str) -> int | None:
        """Seconds for which a bucket keeps points, 0 for ever; None when there is no such bucket."""
        with self._named_failures(bucket):
            found = self._buckets.find_bucket_by_name(bucket)
        return None if found is None else sum(int(rule.every_seconds) for rule in found.retention_rules)

    def set_retention(self, bucket: str, seconds: int) -> bool:
        """Make a bucket, or change how long it keeps points; False when it is so already."""
        if (before := self.retention(bucket)) == seconds:
            return False
        rules = BucketRetentionRules(type="expire", every_seconds=seconds, shard_group_duration_seconds=shard_seconds(seconds))
        with self._named_failures(bucket):
            if before is None:
                self._buckets.create_bucket(bucket_name=bucket, retention_rules=rules)
            else:
                found = self._buckets.find_bucket_by_name(bucket)
                found.retention_rules = [rules]
                self._buckets.update_bucket(bucket=found)
        return True

    def close(self) -> None:
        """Disconnect."""
        self._client.close()

    @contextmanager
    def _named_failures(self, subject: str, *, writes_points: bool = False) -> Iterator[None]:
        try:
            yield
        except ApiException as error:
            if writes_points and error.status in _RECORD_AT_FAULT:
                raise PointsRefused(f"{NAME} {error.status}: {_message(error)}") from error
            raise self._named(error, subject) from error
        except HTTPError as error:
            raise StoreUnavailable(NAME, self._target.url, _without_address(error)) from error

    def _named(self, error: ApiException, subject: str) -> Exception:
        text = f"{error.status}: {_message(error)}"
        if error.status in _PROGRAM_AT_FAULT or error.status in _RECORD_AT_FAULT:
            hint = "; `tapeline sink init` makes the buckets" if error.status == 404 else ""
            return StoreUnfit(f"{NAME} at {self._target.url}: {subject}: {text}{hint}")
        wait = None if error.headers is None else error.headers.get("Retry-After")
        return StoreUnavailable(NAME, self._target.url, f"{subject}: {text}", retry_after=retry_after(wait, time.time()))


def shard_seconds(retention: int) -> int:
    """Time that one file group of a bucket holds: InfluxDB's own choice, which it makes for new buckets alone.

    https://docs.influxdata.com/influxdb/v2/reference/internals/shards/ ("Shard group duration")
    """
    if 0 < retention < 2 * _DAY:
        return 3600
    return _DAY if 0 < retention < 183 * _DAY else 7 * _DAY


def retry_after(header: str | None, now: float) -> float | None:
    """Seconds to wait by the header Retry-After: a number of seconds, or a date. `now` in seconds since the epoch."""
    if header is None:
        return None
    if re.fullmatch(r"\d{1,9}", header.strip()):
        return float(header)
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now)
    except (TypeError, ValueError):
        return None


def _message(error: ApiException) -> str:
    body = error.body or ""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = body
    said = found.get("message", found) if isinstance(found, dict) else found
    return " ".join(str(said or error.reason).split())[:_LONGEST_ERROR]


def _without_address(error: HTTPError) -> str:
    """What went wrong, without urllib3's repetition of who asked whom."""
    reason = getattr(error, "reason", None) or error
    return str(reason).rpartition("): ")[2] or type(error).__name__
