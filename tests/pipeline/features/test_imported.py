"""Runs on imported features: no video is there, and none is asked for."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mulde.data.errors import InputError
from mulde.pipeline.config.load import load_config
from mulde.pipeline.open_job import open_job

RunCli = Callable[..., Any]

N_FRAMES = 40
QUICK = [
    "detector.max_steps=100",
    "detector.widths=[32,32]",
    "extract.streams=[pose]",
    "evaluate.n_resamples=0",
]
RUN = ["--normal-features", "ped2/training", "--test-features", "ped2/testing", *QUICK]


def walks(n_videos: int, abnormal: range, seed: int) -> NDArray[np.object_]:
    """Make poses in AI-VAD's form: (n_objects, 34) float64 a frame, every seventh frame empty, some NaN."""
    rng = np.random.default_rng(seed)
    frames = np.empty(n_videos * N_FRAMES, dtype=object)
    for index in range(len(frames)):
        poses = np.repeat(np.linspace(-1, 1, 17), 2) + rng.normal(scale=0.05, size=(rng.integers(1, 4), 34))
        if index % N_FRAMES in abnormal:
            poses[0] += rng.normal(scale=0.8, size=34)
        if index % 11 == 0:
            poses[-1] = np.nan  # a person without a visible pose
        frames[index] = np.array([]) if index % 7 == 0 else poses
    return frames


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files as AI-VAD keeps them: poses and running sums of clip lengths; and labels by video name."""
    folder = tmp_path_factory.mktemp("ai-vad")
    np.save(folder / "train_pose.npy", walks(3, range(0), 0), allow_pickle=True)
    np.save(folder / "test_pose.npy", walks(2, range(20, 40), 1), allow_pickle=True)
    np.save(folder / "train_clip_lengths.npy", np.array([N_FRAMES, 2 * N_FRAMES, 3 * N_FRAMES]))
    np.save(folder / "test_clip_lengths.npy", np.array([N_FRAMES, 2 * N_FRAMES]))
    (folder / "names.txt").write_text("Test001\nTest002\n")
    (folder / "labels.csv").write_text("video,start,end\nTest001,20,40\nTest002,20,40\n")
    return folder


def import_both(cli: RunCli, sources: Path, *, stream: str = "pose", options: tuple[str, ...] = ()) -> None:
    for split, source, more in (
        ("training", "train", ()),
        ("testing", "test", ("--videos", sources / "names.txt")),
    ):
        lengths = sources / f"{source}_clip_lengths.npy"
        arguments = ["--stream", stream, "--as", f"ped2/{split}", "--clip-lengths", lengths, "--fps", "10"]
        result = cli(
            "cache", "import", sources / f"{source}_pose.npy", *arguments, *more, "--allow-pickle", *options
        )
        assert result.code == 0, result.err
        assert f"{stream} of ped2/{split}: {3 if source == 'train' else 2} videos" in result.out


def test_poses_in_the_form_of_ai_vad(cli: RunCli, sources: Path) -> None:
    refused = cli("cache", "import", sources / "test_pose.npy", "--stream", "pose", "--as", "ped2/testing")
    assert refused.code == 2
    assert "--allow-pickle" in refused.err
    import_both(cli, sources)
    listed = cli("cache", "list").out
    assert "ped2/testing, imported from" in listed
    planned = cli("plan", *RUN)
    assert "the features were imported" in planned.out
    result = cli("run", *RUN, "--labels", sources / "labels.csv")
    assert result.code == 0, result.err
    assert "extract: nothing to do, the features were imported" in result.err
    run = Path("runs/ped2-pose")
    scores = (run / "scores" / "Test001.csv").read_text().splitlines()
    assert scores[0] == "frame,time,score,alarm"
    assert len(scores) == N_FRAMES + 1
    assert scores[2].startswith("1,0.100000,")  # 10 frames per second
    metrics = json.loads((run / "metrics.json").read_text())
    assert "micro_auc" in json.dumps(metrics)
    assert (run / "report" / "index.html").exists()
    again = cli("run", *RUN, "--labels", sources / "labels.csv")
    for stage in ("train", "score", "evaluate", "report"):
        assert f"{stage}: up to date" in again.err


def test_several_streams_of_the_same_objects_are_added(cli: RunCli, sources: Path, tmp_path: Path) -> None:
    import_both(cli, sources)
    import_both(cli, sources, stream="twin", options=("--whiten", "4"))
    both = [*RUN, "extract.streams=[pose,twin]"]
    assert cli("run", *both).code == 0
    other = tmp_path / "other.npy"
    np.save(other, np.zeros((2 * N_FRAMES, 34)))  # a row a frame
    arguments = [
        "--stream",
        "twin",
        "--as",
        "ped2/testing",
        "--lengths",
        f"{N_FRAMES},{N_FRAMES}",
        "--replace",
    ]
    assert cli("cache", "import", other, *arguments, "--videos", sources / "names.txt").code == 0
    result = cli("score", *both)
    assert result.code == 2
    assert "pose and twin of Test001 are not of the same objects" in result.err
    assert cli("cache", "import", other, *arguments).code == 0  # named 01 and 02
    result = cli("score", *both)
    assert "imported with different videos" in result.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--normal-features", "ped2/training"], "Give --normal-features and --test-features"),
        (["--normal-features", "ped2/trainin", "--test-features", "x"],
         "imported as ped2/trainin .*there is ped2/training"),
        ([*RUN, "extract.streams=[nose]"], "ped2/training was imported with pose, not with nose: set "),
        ([*RUN, "--normal", "folder"], "take the place of --normal"),
        ([*RUN, "score.are_windows=true"], "pose of ped2/testing was imported without boxes: leave it out"),
        (["extract.streams=[nose]"], "extract.streams = 'nose' is not allowed: did you mean pose"),
    ],
)  # fmt: skip
def test_mistakes_are_named(cli: RunCli, sources: Path, arguments: list[str], message: str) -> None:
    import_both(cli, sources)
    result = cli("plan", *arguments)
    assert result.code == 2
    assert re.search(message, result.err)


def test_one_object_a_frame_is_still_an_object(cli: RunCli, sources: Path, tmp_path: Path) -> None:
    import_both(cli, sources)
    single = np.empty(N_FRAMES, dtype=object)
    for index in range(N_FRAMES):
        single[index] = np.zeros((1, 34)) if index == 20 else np.array([])
    for form, expected in (("objects", 1), ("frames", N_FRAMES)):
        source = tmp_path / f"{form}.npy"
        np.save(source, single if form == "objects" else np.zeros((N_FRAMES, 34)), allow_pickle=True)
        arguments = ["--stream", "pose", "--as", f"one/{form}", "--allow-pickle"]
        assert cli("cache", "import", source, *arguments).code == 0
        chosen = [*RUN, "--test-features", f"one/{form}", "score.smoothing_sigma_seconds=0", "--out", form]
        result = cli("run", *chosen)
        assert result.code == 0, result.err
        scores = np.loadtxt(Path(form) / "scores" / f"{form}.csv", delimiter=",", skiprows=1, usecols=2)
        assert (scores > 0).sum() == expected  # frames without an object have the lowest score


def test_other_dimensions_are_refused(cli: RunCli, sources: Path, tmp_path: Path) -> None:
    import_both(cli, sources)
    np.save(tmp_path / "narrow.npy", np.zeros((4, 33)))
    arguments = ["--stream", "pose", "--as", "ped2/testing", "--replace"]
    assert cli("cache", "import", tmp_path / "narrow.npy", *arguments).code == 0
    assert "pose has 34 features in ped2/training, but 33 in ped2/testing" in cli("plan", *RUN).err


def test_new_footage_needs_imported_features_as_well(cli: RunCli, sources: Path, tmp_path: Path) -> None:
    import_both(cli, sources)
    assert cli("train", *RUN).code == 0
    (tmp_path / "a.mp4").write_bytes(b"")
    result = cli("score", "--model", "runs/ped2-pose", tmp_path / "a.mp4")
    assert result.code == 2
    assert "made from imported features" in result.err


def test_configuration_in_yaml(tmp_path: Path) -> None:
    file = tmp_path / "pose.yaml"
    file.write_text("data: {normal_features: a, test_features: b}\nextract: {streams: [anything]}\n")
    config = load_config(file)
    assert config.extract.are_imported
    file.write_text(config.to_yaml())
    again = load_config(file)
    assert (again.data, again.extract) == (config.data, config.extract)
    with pytest.raises(InputError, match="'anything' is not allowed"):
        load_config(overrides=["extract.streams=[anything]", "extract.are_imported=true"])


def test_imported_boxes_are_windows_where_somebody_says_so(cli: RunCli, tmp_path: Path) -> None:
    boxes = np.tile([0, 0, 4, 4], (N_FRAMES, 1))
    frame = {"frame": np.arange(N_FRAMES), "n_frames": N_FRAMES, "box": boxes}
    for name, more in (("plain", {}), ("lattice", {"are_windows": True})):
        np.savez(tmp_path / f"{name}.npz", features=np.zeros((N_FRAMES, 3)), **frame, **more)
        assert cli("cache", "import", tmp_path / f"{name}.npz", "--stream", "pose", "--as", name).code == 0

    def are_windows(split: str, *said: str) -> bool:
        names = [f"data.normal_features={split}", f"data.test_features={split}", "extract.streams=[pose]"]
        job = open_job(load_config(overrides=[*names, *said]))
        assert job.config.score.n_averaged == (10 if job.config.score.are_windows else 1)
        return job.config.score.are_windows

    assert not are_windows("plain")
    assert are_windows("plain", "score.are_windows=true")
    assert are_windows("lattice")
    assert not are_windows("lattice", "score.are_windows=false")
