"""Print how long executors take to extract, train, hold out and score, and whether files are the same.

    python benchmarks/executors.py FOLDER [--test FOLDER] [--ray-nodes 2] [key=value ...]

The videos of the folder are learnt from, and scored if there are no others, by each executor with a cache
and a run of its own: local with one worker, local with two, and Ray on a cluster of so many nodes of a core
each on this machine, of which one is killed if --kill is given. The time of Ray holds the start of its
workers; the cluster itself is there before.
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
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

_MADE = re.compile(rb'"created": "[^"]*"|checksum: [0-9a-f]{32}|signed: [0-9a-f]{64}|"mtime_ns": \d+')


_COMMANDS = {
    "extract": ["extract"],
    "train": ["train", "train.folds=0"],
    "hold out": ["train"],  # training is up to date
    "score": ["score"],
}


def run(normal: Path, test: Path, cache: Path, options: Sequence[str]) -> list[float]:
    """Run each of the commands, and return the seconds that each took."""
    where = ["--normal", str(normal), "--test", str(test), "--cache", str(cache)]
    where += ["--out", str(cache / "run"), "--quiet", "--device", "cpu", *options]
    seconds = []
    for command in _COMMANDS.values():
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "mulde", *command, *where], check=True, stdout=subprocess.DEVNULL
        )
        seconds.append(time.perf_counter() - started)
    return seconds


def made(cache: Path) -> dict[str, bytes]:
    """Return features, tensors and scores but for when they were made, and what follows from that."""
    files = [path for kind in ("*.h5", "*.safetensors", "*.csv") for path in cache.rglob(kind)]
    return {str(path.relative_to(cache)): _MADE.sub(b"", path.read_bytes()) for path in files}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("videos", type=Path, help="a folder of normal ones")
    parser.add_argument("--test", type=Path, help="a folder of those to score")
    parser.add_argument("--ray-nodes", type=int, default=2)
    parser.add_argument("--kill", action="store_true", help="a node, when half of the videos are done")
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_intermixed_args()
    normal, test = arguments.videos, arguments.test or arguments.videos
    columns = (f"{name}, s" for name in _COMMANDS)
    table = Table("executor", *columns, "same files", box=None, pad_edge=False)
    with tempfile.TemporaryDirectory(prefix="mulde-executors-") as folder:
        root, known = Path(folder), dict[str, bytes]()
        for workers in (1, 2):
            cache = root / f"local-{workers}"
            seconds = run(normal, test, cache, ["--workers", str(workers), *arguments.overrides])
            known = known or made(cache)
            same = str(made(cache) == known)
            table.add_row(f"local, {workers}", *(f"{each:.1f}" for each in seconds), same)
        from ray.cluster_utils import Cluster

        # as the processes of local have it, else others are served first
        os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - it is spelt so
        store = 100 * 2**20
        head = {"num_cpus": 1, "object_store_memory": store, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(arguments.ray_nodes - 1):
            cluster.add_node(num_cpus=1, object_store_memory=store)
        os.environ["RAY_ADDRESS"] = cluster.address
        cache = root / "ray"
        if arguments.kill:
            threading.Thread(target=_kill_a_node, args=[cluster, cache, _n_features(known) // 2]).start()
        seconds = run(normal, test, cache, ["--executor", "ray", *arguments.overrides])
        killed = ", one killed" if arguments.kill else ""
        table.add_row(
            f"ray, {arguments.ray_nodes} nodes{killed}",
            *(f"{each:.1f}" for each in seconds),
            str(made(cache) == known),
        )
        cluster.shutdown()
    Console().print(table)


def _n_features(files: Iterable[str]) -> int:
    return sum(name.endswith(".h5") and not name.startswith("run") for name in files)


def _kill_a_node(cluster: object, cache: Path, n_files: int) -> None:
    while len(list(cache.rglob("*.h5"))) < n_files:
        time.sleep(0.1)
    cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
