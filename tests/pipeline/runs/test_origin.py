"""Whose run it is: what somebody else's names is not run and not written to."""

from __future__ import annotations

import importlib.util
import json
import py_compile
import shutil
import sys
from pathlib import Path

import pytest

import mulde
from mulde.data.errors import InputError
from mulde.pipeline.config.load import load_config
from mulde.pipeline.config.sections import Config
from mulde.pipeline.features.plugins import load_plugins
from mulde.pipeline.runs.origin import load_run_config, write_signed
from tests.pipeline.conftest import RunCli

PLUGIN = """
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
import numpy as np
from mulde.extractors.base import RgbFrame, Extractor

(Path(__file__).parent / "ran").touch()

@dataclass(frozen=True)
class Brightness(Extractor):
    name: ClassVar[str] = "brightness"
    code_version: ClassVar[int] = 1

    @property
    def preparation(self):
        return RgbFrame()

    @property
    def n_features(self):
        return 1

    def describe(self, around, centre, objects):
        return np.full((len(objects.box_xyxy), 1), around[centre].mean() / 255, np.float32)
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "plugins" / "brightness.py"
    path.parent.mkdir()
    path.write_text(PLUGIN)
    return path


def run_of(folder: Path, config: Config) -> Path:
    """Write the signed configuration of a run; return its file."""
    folder.mkdir(parents=True)
    write_signed(folder / "config.yaml", config)
    return folder / "config.yaml"


def configured(*overrides: str) -> Config:
    return load_config(overrides=overrides)


def with_plugin(plugin: Path, *more: str) -> Config:
    return configured(f"extract.plugins=[{plugin}]", "extract.streams=[brightness]", *more)


def as_somebody_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MULDE_KEY", str(tmp_path / "another" / "key"))


def test_nothing_named_needs_no_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = run_of(tmp_path / "run", configured())
    as_somebody_else(monkeypatch, tmp_path)
    assert load_run_config(file).extract.plugins == ()


def test_own_run_goes_on_working_wherever_it_moves(tmp_path: Path, plugin: Path) -> None:
    file = run_of(tmp_path / "run", with_plugin(plugin, f"cache={tmp_path / 'kept'}"))
    shutil.move(tmp_path / "run", tmp_path / "moved")
    config = load_run_config(tmp_path / "moved" / file.name)
    assert config.extract.plugins == (plugin,)
    assert config.cache == tmp_path / "kept"


@pytest.mark.parametrize(
    "change",
    [
        *("another user", "no key", "changed setting", "changed plug-in", "no signature", "junk signature"),
        "no Unicode",
    ],
)
def test_run_of_others_is_not_run(
    tmp_path: Path, plugin: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    file = run_of(tmp_path / "run", with_plugin(plugin))
    origin = tmp_path / "run" / "config.origin.json"
    if change == "another user":
        as_somebody_else(monkeypatch, tmp_path)
        run_of(tmp_path / "theirs", configured())
    elif change == "no key":
        as_somebody_else(monkeypatch, tmp_path)
    elif change == "changed setting":
        file.write_text(file.read_text().replace("seed: 0", "seed: 1"))
    elif change == "changed plug-in":
        plugin.write_text(PLUGIN + "\n# changed\n")
    elif change == "no signature":
        origin.unlink()
    elif change == "no Unicode":
        origin.write_text(json.dumps({"plugins": {}, "signature": "\ud800"}))
    else:
        origin.write_text(json.dumps({"plugins": [], "signature": 3}))
    with pytest.raises(InputError, match=rf"not made here by you.*{plugin}.*--trust"):
        load_run_config(file)
    assert load_run_config(file, trust=True).extract.plugins == (plugin,)
    assert load_run_config(file, overrides=["extract.plugins=[]", "extract.streams=[place]"])


def test_weights_that_are_a_file_are_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = tmp_path / "theirs.pt"
    weights.touch()
    file = run_of(tmp_path / "run", configured(f"extract.boxes.yolo.weights={weights}"))
    assert load_run_config(file).extract.boxes.yolo.weights == str(weights)
    as_somebody_else(monkeypatch, tmp_path)
    with pytest.raises(InputError, match=rf"code that it names was changed since: {weights}"):
        load_run_config(file)
    assert load_run_config(file, overrides=["extract.boxes.yolo.weights=yolo11n"]).cache


def test_only_the_code_that_was_signed_is_run(tmp_path: Path, plugin: Path) -> None:
    """Python itself would believe what somebody compiled from other code and laid beside."""
    config = load_run_config(run_of(tmp_path / "run", with_plugin(plugin)))
    evil = tmp_path / "evil.py"
    evil.write_text(f"import pathlib; pathlib.Path({str(tmp_path / 'evil')!r}).touch()\n" + PLUGIN)
    py_compile.compile(
        str(evil),
        cfile=importlib.util.cache_from_source(str(plugin)),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
    assert set(load_plugins(config.extract.plugins)) == {"brightness"}
    assert (plugin.parent / "ran").exists()
    assert not (tmp_path / "evil").exists()


def test_clusters_of_others_are_not_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = run_of(tmp_path / "run", configured("executor=ray", "ray.address=ray://203.0.113.7:10001"))
    assert load_run_config(file).executor == "ray"
    as_somebody_else(monkeypatch, tmp_path)
    config = load_run_config(file)
    assert (config.executor, config.ray) == ("local", Config().ray)
    own = load_run_config(file, options={"executor": "ray"}, overrides=["ray.address=ray://mine:1"])
    assert (own.executor, own.ray.address) == ("ray", "ray://mine:1")
    assert load_run_config(file, trust=True).ray.address == "ray://203.0.113.7:10001"


def test_places_of_others_are_not_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    theirs = tmp_path / "theirs"
    file = run_of(tmp_path / "run", configured(f"cache={theirs}", f"out={tmp_path / 'elsewhere'}"))
    as_somebody_else(monkeypatch, tmp_path)
    config = load_run_config(file)
    assert config.cache == Path(".cache/mulde")
    assert config.extract.weights_folder == Path(".cache/mulde/weights")
    assert config.out == tmp_path / "run"
    chosen = load_run_config(file, options={"cache": Path("mine")})
    assert (chosen.cache, chosen.extract.weights_folder) == (Path("mine"), Path("mine/weights"))
    assert load_run_config(file, trust=True).cache == theirs


@pytest.mark.parametrize("content", [b"", b"short"])
def test_a_key_that_is_none_signs_nothing(
    tmp_path: Path, plugin: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    (tmp_path / "key").write_bytes(content)
    monkeypatch.setenv("MULDE_KEY", str(tmp_path / "key"))
    file = run_of(tmp_path / "run", with_plugin(plugin))
    assert not (tmp_path / "run" / "config.origin.json").exists()
    with pytest.raises(InputError, match="--trust"):
        load_run_config(file)


@pytest.mark.skipif(sys.platform == "win32", reason="rights are others there")
def test_the_key_is_for_this_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    as_somebody_else(monkeypatch, tmp_path)
    run_of(tmp_path / "run", configured())
    key = tmp_path / "another" / "key"
    assert key.stat().st_mode & 0o077 == 0
    assert len(key.read_bytes()) == 32
    run_of(tmp_path / "run2", configured())
    assert [path.name for path in key.parent.iterdir()] == ["key"]


def test_no_home_and_no_key_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MULDE_KEY", str(tmp_path / "file" / "key"))
    file = run_of(tmp_path / "run", configured())
    assert load_run_config(file).seed == 0


def test_score_with_a_run_of_others(
    cli: RunCli, scene: Path, tmp_path: Path, plugin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    run, clip, ran = tmp_path / "run", next((scene / "normal").iterdir()), plugin.parent / "ran"
    options = ["--cache", tmp_path / "cache", "--quiet", "workers=1", "detector.max_steps=5"]
    chosen = [f"extract.plugins=[{plugin}]", "extract.streams=[brightness]"]
    for stage in ("extract", "train"):
        assert cli(stage, "--normal", clip, "--out", run, *options, *chosen).code == 0
    assert cli("score", "--model", run, clip, "--quiet").code == 0  # one's own
    as_somebody_else(monkeypatch, tmp_path)
    shutil.rmtree(run / "new")
    mulde.pipeline.features.plugins._load_code.cache_clear()
    ran.unlink()
    for command in (
        ("score", "--model", run, clip),
        ("plan", run),
        ("report", run / "config.yaml"),
    ):
        refused = cli(*command, "--quiet")
        assert refused.code == 2
        assert str(plugin) in refused.err
        assert "--trust" in refused.err
    with pytest.raises(InputError, match="--trust"):
        mulde.load(run).score(clip)
    assert not ran.exists()
    trusted = cli("score", "--model", run, clip, "--trust", "--quiet")
    assert trusted.code == 0
    assert f"names {plugin}, which is run" in trusted.err
    assert ran.exists()


@pytest.mark.parametrize("link", ["new", "new/scores", "new/run.log"])
def test_links_out_of_a_run_are_not_written_through(
    cli: RunCli, tmp_path: Path, scene: Path, link: str
) -> None:
    run, precious = tmp_path / "run", tmp_path / "precious"
    (run / "model").mkdir(parents=True)
    write_signed(run / "model" / "config.yaml", configured())
    precious.mkdir()
    (run / link).parent.mkdir(exist_ok=True)
    (run / link).symlink_to(precious / "log" if link.endswith("log") else precious)
    refused = cli("score", "--model", run, next((scene / "test").iterdir()))
    assert refused.code == 2
    assert f"{Path(link).name} is a link out of the run" in refused.err
    assert list(precious.iterdir()) == []
