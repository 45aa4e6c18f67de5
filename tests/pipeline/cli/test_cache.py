"""The cache commands: what they say, what they ask, and their exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from mulde.pipeline.runs.folder import RunFolder

RunCli = Callable[..., Any]


@pytest.fixture
def cache(cli: RunCli, tmp_path: Path) -> Path:
    """A cache with an imported stream of one video, called [a]."""
    folder = tmp_path / "cache"
    np.save(tmp_path / "[a].npy", np.zeros((4, 3)))
    result = cli(
        "cache", "import", tmp_path / "[a].npy", "--stream", "pose", "--as", "x/y", "--cache", folder
    )
    assert result.code == 0, result.err
    assert "1 video, 4 frames, 4 rows of 3 features, 25 frames/s (assumed, see --fps)" in result.out
    return folder


@pytest.mark.parametrize("command", ["list", "verify", "repair", "prune"])
def test_no_cache(cli: RunCli, command: str) -> None:
    result = cli("cache", command, "--cache", "nowhere")
    assert result.code == 2
    assert "there is no cache at nowhere: give --cache DIR" in result.err


def test_list_and_verify(cli: RunCli, cache: Path) -> None:
    assert "[a].npy" in cli("cache", "list", "--cache", cache).out
    result = cli("cache", "verify", "--cache", cache)
    assert (result.code, result.out) == (0, "1 file, 0 damaged\n")


def test_importing_twice_says_so(cli: RunCli, cache: Path, tmp_path: Path) -> None:
    again = cli("cache", "import", tmp_path / "[a].npy", "--stream", "pose", "--as", "x/y", "--cache", cache)
    assert again.code == 0
    assert "up to date" in again.out


def test_export_and_import(cli: RunCli, cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "pose.h5"
    result = cli("cache", "export", "--stream", "pose", out, "--cache", cache)
    assert result.code == 0
    assert result.out.startswith("1 video, ")
    assert cli("cache", "import", out, "--stream", "pose", "--as", "again", "--cache", cache).code == 0
    result = cli("cache", "export", "--stream", "pose", out, "--cache", cache)
    assert result.code == 2
    assert "2 kinds of pose" in result.err


def test_repair_leaves_imported_features(cli: RunCli, cache: Path) -> None:
    (path,) = cache.rglob("*.h5")
    path.write_bytes(b"damaged")
    result = cli("cache", "repair", "--cache", cache)
    assert result.code == 2
    assert "imported as x/y: import that again with --replace" in result.err
    assert "1 file checked, 0 files (0.0 MB) deleted; 1 left alone" in result.out


def test_repair_deletes_damaged_files(cli: RunCli, cache: Path) -> None:
    home = cache / "velocity" / "0123"
    home.mkdir(parents=True)
    (home / "stream.json").write_text('{"stream": "velocity"}')
    (home / "a.h5").write_bytes(b"damaged")
    result = cli("cache", "repair", "--dry-run", "--cache", cache)
    assert "velocity/0123/a.h5: " in result.out
    assert "would be deleted" in result.out
    assert (home / "a.h5").exists()
    assert cli("cache", "repair", "--cache", cache).code == 0
    assert not home.exists()


def test_repair_of_a_run_that_another_process_works_in(cli: RunCli, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    assert (cli("cache", "repair", run.folder).code, run.folder.exists()) == (2, False)
    run.scores.mkdir(parents=True)
    damaged, left_over = run.folder / "metrics.json", run.scores / ".a.csv.0123.tmp"
    damaged.write_text('{"checksum": "0123456789abcdef0123456789abcdef"}')
    left_over.write_text("half")
    with run.held(tidy=False):
        result = cli("cache", "repair", run.folder)
        assert (result.code, "another mulde works in" in result.err, result.out) == (2, True, "")
        assert "2 files (" in cli("cache", "repair", "--dry-run", run.folder).out
    result = cli("cache", "repair", run.folder)
    assert (result.code, "2 files (" in result.out) == (0, True)
    assert not damaged.exists() and not left_over.exists()


def test_prune_lists_and_asks(cli: RunCli, cache: Path) -> None:
    result = cli("cache", "prune", "--cache", cache)
    assert (result.code, result.out) == (0, "0 files (0.0 MB) would be deleted\n")
    (path,) = cache.rglob("*.h5")
    chosen = ("--stream", "pose", "--cache", cache)
    result = cli("cache", "prune", "--dry-run", *chosen)
    assert result.code == 0
    assert "[a].h5: made 20" in result.out
    result = cli("cache", "prune", *chosen)
    assert result.code == 2
    assert "nothing was deleted: 1 file would go, give --yes" in result.err
    assert path.exists()
    result = cli("cache", "prune", "--yes", *chosen)
    assert result.code == 0
    assert "1 file (" in result.out
    assert not path.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--lengths", "a"), "must be whole numbers with commas"),
        (("--fps", "0"), "fps is 0.0"),
        (("--whiten", "0"), "--whiten 0: at least 1 component"),
        (("--lengths", "1,2"), "--lengths add up to 3"),
        (("--lengths", "4", "--clip-lengths", "a.txt"), "give --clip-lengths or --lengths, not both"),
        (("--cache", "../a.npy"), "choose another --cache DIR"),
        (("--videos", "nothere.txt"), "nothere.txt is not there"),
        (("--clip-lengths", "nothere.txt"), "nothere.txt is not there"),
    ],
)
def test_mistakes_are_named(cli: RunCli, tmp_path: Path, options: tuple[str, ...], message: str) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4, 3)))
    result = cli("cache", "import", tmp_path / "a.npy", "--stream", "pose", "--as", "x", *options)
    assert result.code == 2
    assert message in result.err


def test_the_way_out_is_an_option_of_the_command(cli: RunCli, tmp_path: Path) -> None:
    def refused(*arguments: object) -> str:
        result = cli("cache", *arguments)
        assert result.code == 2
        return " ".join(result.err.split())

    (tmp_path / "folder").mkdir()
    for name in ("a", "b", "folder/a"):
        np.save(tmp_path / f"{name}.npy", np.zeros((4, 3 + len(name))))
    np.savez(tmp_path / "rows.npz", features=np.zeros((4, 3)), frame=np.arange(4))
    np.save(tmp_path / "objects.npy", np.array([np.zeros((1, 3)), None], dtype=object))
    (tmp_path / "lengths.txt").write_text("1 2 3")
    of_pose = ("--stream", "pose", "--as", "x")
    assert "give --lengths or --clip-lengths" in refused("import", tmp_path / "rows.npz", *of_pose)
    assert "add --allow-pickle" in refused("import", tmp_path / "objects.npy", *of_pose)
    boxes = ("--boxes", tmp_path / "b.npy")
    assert "--boxes is for one file" in refused("import", tmp_path / "folder", *of_pose, *boxes)
    lengths = ("--clip-lengths", tmp_path / "lengths.txt")
    assert "such as --lengths 1,2,3" in refused("import", tmp_path / "rows.npz", *of_pose, *lengths)
    assert cli("cache", "import", tmp_path / "a.npy", *of_pose).code == 0
    assert "add --replace, or choose another name for --as" in refused("import", tmp_path / "b.npy", *of_pose)
    assert cli("cache", "import", tmp_path / "b.npy", "--stream", "pose", "--as", "y").code == 0
    assert "--key " in refused("export", "--stream", "pose", "out.h5")
    assert cli("cache", "export", "--stream", "pose", "--key", _first_key(), "out.h5").code == 0
    assert "--lengths is not for out.h5" in refused("import", "out.h5", *of_pose, "--lengths", "4")


def _first_key() -> str:
    return min(folder.name for folder in Path(".cache/mulde/pose").iterdir())


@pytest.mark.parametrize("damage", ["missing", "{", "[]"])
def test_a_description_that_cannot_be_read_is_told_and_written_again(cli, scene: Path, damage: str) -> None:
    fast = ["extract.flow.preset=ultrafast", "extract.streams=[stillness]"]
    assert cli("extract", "--dataset", scene, *fast).code == 0
    description = next(Path(".cache/mulde/stillness").glob("*/stream.json"))
    content = description.read_text()
    if damage == "missing":
        description.unlink()
    else:
        description.write_text(damage)
    for command in ("verify", "repair"):
        result = cli("cache", command)
        assert result.code == 2
        assert f"{description} is missing or damaged" in result.err
    assert cli("cache", "list").code == 0
    assert cli("extract", "--dataset", scene, *fast).code == 0
    assert description.read_text() == content
    assert cli("cache", "verify").code == 0


def test_what_was_exported_and_imported_has_the_same_scores(cli: RunCli, scene: Path) -> None:
    settings = ["extract.rate=5", "extract.streams=[direction]", "detector.kind=knn"]
    options = ["--labels", scene / "labels.csv", "--cache", "c"]
    videos = ["--normal", scene / "normal", "--test", scene / "test"]
    assert cli("run", *videos, *options, "--out", "own", *settings).code == 0
    keys = sorted(path.name for path in Path("c/direction").iterdir())
    for key in keys:
        split = json.loads(Path(f"c/direction/{key}/stream.json").read_text())["folder"].rsplit("/", 1)[-1]
        out = f"{split}.h5"
        assert cli("cache", "export", "--stream", "direction", "--key", key, out, "--cache", "c").code == 0
        taken = cli("cache", "import", out, "--stream", "going", "--as", split, "--cache", "c")
        assert "; one unit, boxes that are windows, as the files say: c/going/" in taken.out, taken.err
    splits = ["--normal-features", "normal", "--test-features", "test"]
    alike = "extract.streams=[going]", settings[-1]
    result = cli("run", *splits, *options, "--out", "other", *alike)
    assert result.code == 0, result.err
    files = sorted(Path("own/scores").rglob("*.h5"))
    assert files
    for path in files:
        with h5py.File(path) as own, h5py.File(Path("other/scores") / path.name) as other:
            assert 0 < len(own["looked_at"]) < len(own["frame_score"])
            for name in ("looked_at", "frame_score"):
                np.testing.assert_array_equal(own[name][()], other[name][()])
