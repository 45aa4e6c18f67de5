"""A server of S3 on this machine: moto's, in a process of its own."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from cached_files import as_made

from mulde.data.cache.entries import list_streams
from mulde.data.cache.storage import Place


class Server:
    """A process that serves buckets until it is stopped; what they hold is gone then."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while True:
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    return
            assert time.monotonic() < deadline and self._process.poll() is None
            time.sleep(0.05)

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_DEFAULT_REGION": "us-east-1",
            "NO_PROXY": "127.0.0.1",
        }

    def make_bucket(self, name: str) -> None:
        """Make a bucket that remembers what was put over."""
        self._client.create_bucket(Bucket=name)
        self._client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})

    def count_versions(self, bucket: str) -> Counter[str]:
        """Return how often each object was put."""
        return Counter(each["Key"] for each in self._client.list_object_versions(Bucket=bucket)["Versions"])

    @cached_property
    def _client(self) -> Any:
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id="a",
            aws_secret_access_key="b",
            region_name="us-east-1",
        )

    def stop(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()


@contextmanager
def served() -> Iterator[Server]:
    """Start a server on a free port, and stop it; skip where something of it is not installed."""
    for package in ("moto", "flask", "flask_cors", "s3fs"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: make test-store")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(port)
    try:
        yield server
    finally:
        server.stop()


def features(cache: Place) -> dict[str, bytes]:
    """Return all files of a cache but for when they were made, and what follows from it."""
    return {
        f"{stream.stream}/{stream.key}/{path.relative_to(stream.home)}": as_made(
            stream.storage.fetch(path).read_bytes()
        )
        for stream in list_streams(cache)
        for path in stream.entries
    }


def subprocess_environment(server: Server, copies: Path) -> dict[str, str]:
    """Return the environment of a command that uses a server."""
    return {**os.environ, **server.environment, "MULDE_COPIES": str(copies)}
