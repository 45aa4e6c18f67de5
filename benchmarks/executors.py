"""Print how long executors take for the same videos, and whether they make the same files.

    python benchmarks/executors.py FOLDER [--ray-nodes 2] [key=value ...]

Each is a `mulde extract` of its own with a cache of its own: local with one worker, local with two, and Ray
on a cluster of so many nodes of a core each on this machine, of which one is killed if --kill is given. The
time of Ray holds the start of its workers; the cluster itself is there before.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

_MADE = re.compile(rb'"created": "[^"]*"|checksum: [0-9a-f]{32}|"mtime_ns": \d+')


def extract(videos: Path, cache: Path, options: Sequence[str]) -> float:
    """Extract, and return the seconds it took."""
    command = ["extract", "--normal", str(videos), "--cache", str(cache), "--out", str(cache / "run")]
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "mulde", *command, "--quiet", "--device", "cpu", *options], check=True
    )
    return time.perf_counter() - started


def features(cache: Path) -> dict[str, bytes]:
    """Return all files but for when they were made, and the checksum that follows from it."""
    return {str(path.relative_to(cache)): _MADE.sub(b"", path.read_bytes()) for path in cache.rglob("*.h5")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("videos", type=Path)
    parser.add_argument("--ray-nodes", type=int, default=2)
    parser.add_argument("--kill", action="store_true", help="a node, when half of the videos are done")
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    table = Table("executor", "seconds", "same files", box=None, pad_edge=False)
    with tempfile.TemporaryDirectory(prefix="mulde-executors-") as folder:
        root, known = Path(folder), dict[str, bytes]()
        for workers in (1, 2):
            cache = root / f"local-{workers}"
            seconds = extract(arguments.videos, cache, ["--workers", str(workers), *arguments.overrides])
            known = known or features(cache)
            table.add_row(f"local, {workers}", f"{seconds:.1f}", str(features(cache) == known))
        from ray.cluster_utils import Cluster

        store = 100 * 2**20
        head = {"num_cpus": 1, "object_store_memory": store, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(arguments.ray_nodes - 1):
            cluster.add_node(num_cpus=1, object_store_memory=store)
        os.environ["RAY_ADDRESS"] = cluster.address
        cache = root / "ray"
        if arguments.kill:
            threading.Thread(target=_kill_a_node, args=[cluster, cache, len(known) // 2]).start()
        seconds = extract(arguments.videos, cache, ["--executor", "ray", *arguments.overrides])
        killed = ", one killed" if arguments.kill else ""
        table.add_row(
            f"ray, {arguments.ray_nodes} nodes{killed}", f"{seconds:.1f}", str(features(cache) == known)
        )
        cluster.shutdown()
    Console().print(table)


def _kill_a_node(cluster: object, cache: Path, n_files: int) -> None:
    while len(list(cache.rglob("*.h5"))) < n_files:
        time.sleep(0.1)
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
