"""A stand-in for the Imaging Data Commons."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fake_bucket import BUCKET, Bucket


@pytest.fixture(scope="session")
def s3_server() -> Iterator[Bucket]:
    """One server for all tests: it takes a second to load."""
    boto3, server_module = pytest.importorskip("boto3"), pytest.importorskip("moto.server")
    pytest.importorskip("idc_index_data")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=url, aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1"
    )
    client.create_bucket(Bucket=BUCKET)
    bucket = Bucket(url, client)
    server._server.app = bucket.middleware(server._server.app)
    yield bucket
    server.stop()


@pytest.fixture
def bucket(s3_server: Bucket) -> Iterator[Bucket]:
    """An empty, well-behaved bucket."""
    yield s3_server
    s3_server.refuse, s3_server.delay_s = None, lambda: 0.0
    listing = s3_server.client.list_objects_v2(Bucket=BUCKET)
    for each in listing.get("Contents", []):
        s3_server.remove(each["Key"])
    s3_server.gets.clear()
