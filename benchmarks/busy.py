"""How long training and scoring take on an idle machine, and beside processes that burn every core.

    python benchmarks/busy.py

Each line is a process of its own, as threads are set up when torch is loaded: first with threads that wait
actively, as OpenMP does by itself, then as `mulde` sets them, then with one thread. Ratios are to the first
line.
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import time

from rich.console import Console
from rich.table import Table

WAYS = {
    "as OpenMP does by itself": {"GOMP_SPINCOUNT": "300000"},  # its own where nothing is said
    "as mulde does": {},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
TASK = """
import time
import mulde.detector
import numpy as np
from mulde.detector import MULDE
rows = np.random.default_rng(0).normal(size=(60_000, 2)).astype(np.float32)
MULDE(max_steps=2, device="cpu", random_state=0, held_out=0.0).fit(rows[:4096])
started = time.perf_counter()
detector = MULDE(max_steps=40, device="cpu", random_state=0).fit(rows)
trained = time.perf_counter()
detector.anomaly_score(rows[:2000])
print(trained - started, time.perf_counter() - trained)
"""


def burn() -> None:
    while True:
        sum(range(10_000))


def measure(extra: dict[str, str], repeats: int) -> tuple[float, float]:
    """Return the least seconds of training and of scoring."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_", "KMP_"))}
    times = []
    for _ in range(repeats):
        result = subprocess.run(
            [sys.executable, "-c", TASK],
            env={**inherited, **extra},
            capture_output=True,
            text=True,
            check=True,
        )
        training, scoring = map(float, result.stdout.split())
        times.append((training, scoring))
    return min(t for t, _ in times), min(s for _, s in times)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    table = Table(box=None, pad_edge=False)
    for title in ("machine", "threads wait", "training", "ratio", "scoring", "ratio"):
        table.add_column(title)
    for machine in ("idle", "busy"):
        burners = [
            multiprocessing.get_context("spawn").Process(target=burn, daemon=True)
            for _ in range(os.cpu_count() or 1)
        ]
        if machine == "busy":
            for burner in burners:
                burner.start()
            time.sleep(0.5)
        first: tuple[float, float] | None = None
        for way, extra in WAYS.items():
            training, scoring = measure(extra, arguments.repeats)
            first = first or (training, scoring)
            table.add_row(
                machine,
                way,
                f"{training:.2f} s",
                f"{training / first[0]:.2f}",
                f"{scoring:.3f} s",
                f"{scoring / first[1]:.2f}",
            )
        if machine == "busy":
            for burner in burners:
                burner.kill()
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
