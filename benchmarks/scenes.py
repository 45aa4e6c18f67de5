"""Print how well rendered scenes are scored at several rates and sizes, also by the model of another.

    python benchmarks/scenes.py [--kinds 5:320x240,30:1280x720] [--seeds 0,1,2] [--folder DIR] [key=value ...]

A kind is frames a second and the size of the picture. Each scene is rendered, learnt and scored with default
settings but for those given, and without a threshold; then its test clips are scored by the model of the same
scene in the first kind. The numbers are micro AUC in %, smoothed, and what the other model's differs by.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from mulde.data.rendered.render import render_scene

KINDS = "10:320x240,5:320x240,25:320x240,30:320x240,10:640x480,10:1280x720,30:1280x720"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--kinds",
        default=KINDS,
        help="frames a second:width x height, ...; the model of the first scores the others too",
    )
    parser.add_argument("--seeds", default="0,1,2", help="of scenes")
    parser.add_argument("--folder", type=Path, help="where to work, kept")
    parser.add_argument("settings", nargs="*", metavar="key=value")
    arguments = parser.parse_args()
    table = Table(
        "seed", "frames/s", "size", "own model", "first kind's", "difference", box=None, pad_edge=False
    )
    lowest = 100.0
    with _folder(arguments.folder) as folder:
        for seed in map(int, arguments.seeds.split(",")):
            first = None
            for kind in arguments.kinds.split(","):
                rate, size = kind.split(":")
                scene = folder / f"{seed}-{rate}-{size}"
                if not (scene / "labels.csv").exists():
                    width, height = map(int, size.split("x"))
                    render_scene(scene, size=(width, height), fps=float(rate), seed=seed)
                own = 100 * _own(scene, arguments.settings)
                lowest = min(lowest, own)
                row = [str(seed), rate, size, f"{own:.2f}"]
                if first is not None:
                    other = 100 * _by_another(scene, first)
                    row += [f"{other:.2f}", f"{other - own:+.2f}"]
                first = first or scene / "run"
                table.add_row(*row)
                print(*row, file=sys.stderr, flush=True)
    Console().print(table)
    print(f"lowest of own models: {lowest:.2f}")


def _own(scene: Path, settings: Sequence[str]) -> float:
    videos = ["--normal", str(scene / "normal"), "--test", str(scene / "test")]
    where = [
        "--labels",
        str(scene / "labels.csv"),
        "--out",
        str(scene / "run"),
        "--cache",
        str(scene / "cache"),
    ]
    _mulde("run", *videos, *where, "--quiet", "train.folds=0", *settings)
    metrics: dict[str, float] = json.loads((scene / "run" / "metrics.json").read_text())
    return metrics["micro_auc"]


def _by_another(scene: Path, model: Path) -> float:
    out = scene / "by-another"
    shutil.rmtree(out, ignore_errors=True)
    _mulde("score", "--model", str(model), str(scene / "test"), "--out", str(out), "--quiet")
    said = _mulde(
        "evaluate", "--scores", str(out / "scores"), "--labels", str(scene / "labels.csv"), "--json"
    )
    auc: float = json.loads(said)["micro_auc"]
    return auc


def _mulde(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "mulde", *words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"mulde {' '.join(words)} failed:\n{done.stderr[-2000:]}")
    return done.stdout


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    with TemporaryDirectory(prefix="mulde-scenes-") as folder:
        yield Path(folder)


if __name__ == "__main__":
    main()
