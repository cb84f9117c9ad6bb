"""Several workers under one supervisor: shared partitions, a worker killed, all of them ended."""

import json
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import psutil
from prometheus_client.parser import text_string_to_metric_families

from tapeline.demo.services import free_port
from tests.cluster import Cluster, Service, wait_for
from tests.processing import FAST, GROUP, Start, check_against_model, everything_committed, stream

TRADES = "md.trades"


def start_workers(cluster: Cluster, start: Start, port: int = 0, store: str = "memory") -> Service:
    """Two workers, which serve their metrics at `port` and the one after it, and their supervisor at the next."""
    config = cluster.config(processors={**FAST, "store": store}, observability={"log_format": "json", "metrics_port": port})
    return start("process", "--workers", "2", "-c", config)


def free_ports(number: int) -> int:
    """The first of some ports in a row that nobody uses."""
    while True:
        first = free_port()
        try:
            with ExitStack() as stack:
                for port in range(first + 1, first + number):
                    stack.enter_context(socket.create_server(("127.0.0.1", port)))
        except (OSError, OverflowError):
            continue
        return first


def workers_of(supervisor: Service) -> dict[int, psutil.Process]:
    """Its running child processes, by worker number."""
    found = dict[int, psutil.Process]()
    for child in psutil.Process(supervisor.process.pid).children():
        with suppress(psutil.NoSuchProcess):  # it has just ended
            if "--worker" in (command := child.cmdline()):
                found[int(command[-1])] = child
    return found


def lives(process: psutil.Process) -> bool:
    """Whether it still runs; nobody may take note of the end of an orphan in a container."""
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def figures(port: int, name: str, label: str) -> dict[str, float]:
    """A metric by one of its labels; empty while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
    except (urllib.error.URLError, OSError):
        return {}
    return {
        sample.labels.get(label, ""): sample.value for family in families for sample in family.samples if sample.name == name
    }


def partitions_of(port: int) -> set[int]:
    """Those of the trades that a worker says are its own."""
    return {int(partition) for partition in figures(port, "tapeline_consumer_lag", "partition")}


def are_shared(port: int, cluster: Cluster) -> bool:
    """Whether each partition of the trades is one worker's, and each worker has one."""
    first, second = partitions_of(port), partitions_of(port + 1)
    both = sorted([*first, *second])
    return bool(first and second) and both == list(range(cluster.settings.topics.partitions))


def lines(service: Service) -> Iterator[dict[str, object]]:
    return (json.loads(line) for line in service.text().splitlines() if line.startswith("{"))


def processing(service: Service) -> int:
    """How often a worker has begun to process."""
    return sum(line["event"] == "processing" for line in lines(service))


def test_workers_share_the_partitions_and_one_that_is_killed_takes_up_what_it_left(cluster: Cluster, start: Start) -> None:
    records, port = stream(11, 4_000), free_ports(3)
    supervisor = start_workers(cluster, start, port, "rocksdict")
    cluster.publish(TRADES, records[:1_500])
    wait_for(lambda: are_shared(port, cluster), "the workers to share the partitions", timeout=60, every=0.5)
    before = workers_of(supervisor)
    cluster.publish(TRADES, records[1_500:2_500])
    before[0].kill()
    cluster.publish(TRADES, records[2_500:])
    wait_for(
        lambda: 0 in (now := workers_of(supervisor)) and now[0] != before[0],
        "the killed worker to be started again",
        timeout=60,
    )
    wait_for(lambda: everything_committed(cluster), "all offsets to be committed", timeout=90, every=0.5)
    check_against_model(cluster, records)
    wait_for(lambda: partitions_of(port), "the worker started again to have partitions", timeout=60, every=0.5)
    assert workers_of(supervisor)[1] == before[1]
    assert figures(port + 2, "tapeline_worker_restarts_total", "worker") == {"0": 1}
    assert figures(port + 2, "tapeline_workers_running", "") == {"": 2}
    folders = {folder.name for folder in (cluster.folder / "state").glob(f"*/{GROUP}/*")}
    assert folders == {"worker-0", "worker-1"}
    mine = {line.get("worker") for line in lines(supervisor) if line["service"] == "processors"}
    assert mine == {0, 1}, "a line of a worker without its number"


def test_supervisor_told_to_stop_ends_its_workers_in_order(cluster: Cluster, start: Start) -> None:
    supervisor = start_workers(cluster, start)
    wait_for(lambda: processing(supervisor) == 2, "both workers to begin", timeout=60)
    workers = list(workers_of(supervisor).values())
    assert len(workers) == 2
    assert supervisor.terminate() == 0
    assert not any(map(lives, workers))
    assert [line["event"] for line in lines(supervisor)].count("stopping") == 3
    assert "Traceback" not in supervisor.text()


def test_worker_that_does_not_stop_is_killed_when_its_time_is_over(cluster: Cluster, start: Start) -> None:
    supervisor = start_workers(cluster, start)
    wait_for(lambda: processing(supervisor) == 2, "both workers to begin", timeout=60)
    workers = list(workers_of(supervisor).values())
    workers[0].suspend()
    assert supervisor.terminate(timeout=20) == 0
    assert not any(map(lives, workers))


def test_supervisor_that_is_killed_takes_its_workers_with_it(cluster: Cluster, start: Start) -> None:
    supervisor = start_workers(cluster, start)
    wait_for(lambda: processing(supervisor) == 2, "both workers to begin", timeout=60)
    workers = list(workers_of(supervisor).values())
    assert len(workers) == 2
    supervisor.kill()
    wait_for(lambda: not any(map(lives, workers)), "its workers to end", timeout=20)


def test_supervisor_starts_a_worker_again_that_was_told_to_stop(cluster: Cluster, start: Start) -> None:
    supervisor = start_workers(cluster, start)
    wait_for(lambda: processing(supervisor) == 2, "both workers to begin", timeout=60)
    workers_of(supervisor)[1].send_signal(signal.SIGTERM)
    wait_for(lambda: processing(supervisor) == 3, "the worker to begin again", timeout=60)
    assert len(workers_of(supervisor)) == 2


def test_second_worker_on_a_folder_is_refused_by_its_name_until_the_first_is_gone(cluster: Cluster, start: Start) -> None:
    config = cluster.config(processors=FAST)
    first = start("process", "-c", config)
    wait_for(lambda: processing(first) == 1, "the first worker to begin", timeout=60)
    second = start("process", "-c", config)
    assert second.process.wait(40) == 1
    (folder,) = (cluster.folder / "state").glob(f"*/{GROUP}/worker-0")
    assert f"the folder {folder} is in use by another worker" in second.text()
    assert first.process.poll() is None
    first.kill()
    second.start()
    wait_for(lambda: processing(second) == 1, "the second worker to begin", timeout=60)


def test_what_no_further_attempt_mends_ends_all_workers(cluster: Cluster, start: Start) -> None:
    (cluster.folder / "state").touch()
    supervisor = start_workers(cluster, start)
    assert supervisor.process.wait(40) == 2
    assert f"processors.state_dir: the folder {cluster.folder / 'state'}" in supervisor.text()
    assert "cannot run with these settings" in supervisor.text()


def test_supervisor_without_a_broker_ends_at_once_and_starts_nothing(cluster: Cluster, start: Start) -> None:
    config = cluster.config(kafka={"bootstrap": "127.0.0.1:1"})
    supervisor = start("process", "--workers", "2", "-c", config)
    assert supervisor.process.wait(15) == 3
    assert supervisor.text().count("Kafka broker at 127.0.0.1:1 is not reachable") == 1
