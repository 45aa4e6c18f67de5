"""A flipped bit in any kind of file is found by verify, is mended, and changes no number in silence."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from small_run import Place

from mulde.pipeline.cli.main import main

KINDS = {
    "stream.json": "cache/boxes/*/stream.json",
    "boxes": "cache/boxes/*/*.h5",
    "features": "cache/velocity/*/*.h5",
    "scene in the cache": "cache/scene/*/all.h5",
    "configuration": "run/config.yaml",
    "state": "run/state.json",
    "metrics": "run/metrics.json",
    "configuration of the model": "run/model/config.yaml",
    "manifest": "run/model/manifest.json",
    "manifest of a detector": "run/model/velocity/manifest.json",
    "tensors": "run/model/velocity/tensors-*.safetensors",
    "scene": "run/model/scene-0.safetensors",
    "frame scores": "run/scores/*.csv",
    "object scores": "run/scores/*.h5",
    "report": "run/report/index.html",
}
N_FLIPS = int(os.environ.get("MULDE_FLIPS", "1"))
"""Of each kind."""
Mulde = Callable[..., tuple[int, str]]


@pytest.fixture
def mulde(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Mulde:
    """Give a function that runs a command in this process; it returns exit code and what came to stderr."""

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["mulde", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        assert isinstance(stop.value.code, int)
        return stop.value.code, capfd.readouterr().err

    return run


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A finished run."""
    place = Place(tmp_path_factory.mktemp("whole"), data)
    subprocess.run(place.command, capture_output=True, check=True)
    return place


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bits(whole: Place, kind: str, tmp_path: Path, mulde: Mulde) -> None:
    expected = whole.numbers()
    choice = random.Random(kind)
    for flip in range(N_FLIPS):
        place = Place(tmp_path / str(flip), whole.data)
        shutil.copytree(whole.run, place.run)
        shutil.copytree(whole.cache, place.cache)
        path = sorted(place.root.glob(KINDS[kind]))[0]
        content = bytearray(path.read_bytes())
        position = choice.randrange(8 * len(content))
        content[position // 8] ^= 1 << position % 8
        path.write_bytes(content)

        where = [str(place.run)] if "run" in KINDS[kind].split("/")[0] else ["--cache", str(place.cache)]
        code, told = mulde("cache", "verify", *where)
        assert code == 2, f"bit {position} of {path} was not found"
        assert path.parent.name in told

        repaired = Place(tmp_path / f"{flip}-repaired", whole.data)
        shutil.copytree(place.root, repaired.root)
        where = [text.replace(str(place.root), str(repaired.root)) for text in where]
        mulde("cache", "repair", *where)
        code, told = mulde(*repaired.arguments)
        assert (code, repaired.numbers() == expected) == (0, True), told

        shutil.rmtree(repaired.root)
        if "cache" in KINDS[kind]:
            shutil.rmtree(place.run)  # so that features are read
        code, told = mulde(*place.arguments)  # without repair
        assert (code, place.numbers() == expected) == (0, True), told
        for where in (["--cache", str(place.cache)], [str(place.run)]):
            assert mulde("cache", "verify", *where)[0] == 0
        shutil.rmtree(place.root)
    sys.stdout.write(f"{kind}: {N_FLIPS} of {N_FLIPS} found; the same numbers after repair, and without it\n")
