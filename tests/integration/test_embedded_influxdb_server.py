"""The embedded InfluxDB: it keeps its secrets to itself, and comes back as it was."""

from __future__ import annotations

import stat

import psutil

from tapeline.embedded._process import find
from tapeline.embedded._state import load
from tests.servers import throwaway_stack


def test_a_killed_influxdb_comes_back_with_its_token_and_listens_on_loopback_only(influxdb_program: None) -> None:
    with throwaway_stack(["influxdb"]) as stack:
        before = stack.addresses.influxdb
        secrets = [stack.folder.home("influxdb") / name for name in ("password", "token")]
        assert {stat.S_IMODE(secret.stat().st_mode) for secret in secrets} == {0o600}
        [recorded] = load(stack.folder.path / "state.json").processes.values()
        process = find(recorded)
        assert process is not None
        listening = [found for found in process.net_connections("inet") if found.status == psutil.CONN_LISTEN]
        assert {str(found.laddr[0]) for found in listening} == {"127.0.0.1"}
        stack.kill("influxdb")
        stack.start("influxdb")  # it waits until a request with the token works
        assert stack.addresses.influxdb == before
