"""The recipe: what enters the keys, what cannot be mixed, what must be there first."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mulde.data.errors import InputError
from mulde.data.video import Video
from mulde.extractors.boxes.motion import MotionWindows
from mulde.extractors.networks.weights import WeightsMissingError
from mulde.extractors.scene import SceneModel
from mulde.extractors.streams.velocity import Velocity
from mulde.pipeline.config.load import load_config
from mulde.pipeline.config.sections import ExtractConfig
from mulde.pipeline.features.inventory import Recipes
from mulde.pipeline.features.recipe import (
    BOXES,
    build_recipe,
    caution,
    require_all,
    stream_digests,
    weights_of,
)
from mulde.pipeline.features.scenes import Scenes

SCENE = SceneModel((64, 48), np.full((1, 48, 64), 128, np.uint8), 20.0, 0.0, (20.0, 20.0), aspect=0.5)
PLUGIN = """
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge

from mulde.extractors.base import Extractor, Objects, RgbFrame
from mulde.extractors.networks.weights import WeightsMissingError
from mulde.extractors.scene import SceneModel


@dataclass(frozen=True)
class Redness(Extractor):
    name: ClassVar[str] = "redness"
    code_version: ClassVar[int] = 1

    scene: SceneModel = field(compare=False)
    power: Annotated[int, Ge(1)] = 1

    @property
    def preparation(self) -> RgbFrame:
        return RgbFrame()

    @property
    def n_features(self) -> int:
        return 1

    def describe(self, around: Sequence[Any], centre: int, objects: Objects) -> Any:
        red = around[centre][..., 0]
        boxes = objects.box_xyxy.astype(int)
        rows = [red[y1:y2, x1:x2].mean() for x1, y1, x2, y2 in boxes]
        return np.array(rows, np.float32).reshape(-1, 1) ** self.power
"""


def stream_digest(config: ExtractConfig, stream: str) -> str:
    return stream_digests(config.model_copy(update={"streams": (stream,)}))[stream]


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A file with an extractor of one's own."""
    path = tmp_path / "redness.py"
    path.write_text(PLUGIN)
    return path


def extract_config(*overrides: str) -> ExtractConfig:
    return load_config(overrides=list(overrides)).extract


def keys(config: ExtractConfig) -> dict[str, str]:
    return {name: key.key for name, key in build_recipe(config, SCENE).keys(Path("videos")).items()}


def changed(*overrides: str) -> set[str]:
    """The streams whose keys change with settings."""
    streams = "extract.streams=[velocity,hog]"
    before, after = keys(extract_config(streams)), keys(extract_config(streams, *overrides))
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize(
    ("override", "streams"),
    [
        ("workers=3", set()),
        ("extract.threads=2", set()),
        ("extract.pose.confidence=0.5", set()),
        ("extract.boxes.gradient.threshold=5", set()),
        ("extract.hog.n_bins=8", {"hog"}),
        ("extract.velocity.per_height=persons", {"velocity"}),
        ("extract.boxes.windows.threshold=5", {BOXES, "velocity", "hog"}),
        ("extract.boxes.whole_frame_if_empty=true", {BOXES, "velocity", "hog"}),
    ],
)
def test_only_what_a_setting_decides_is_made_again(override: str, streams: set[str]) -> None:
    assert changed(override) == streams


def test_no_weights_are_wanted_by_default() -> None:
    assert require_all(ExtractConfig(), offline=True) == []


def test_weights_count_by_content(tmp_path: Path) -> None:
    first, twin, other = tmp_path / "first.pt", tmp_path / "twin.pt", tmp_path / "other.pt"
    first.write_bytes(b"one")
    shutil.copy(first, twin)
    other.write_bytes(b"two")
    configs = [
        extract_config("extract.boxes.finder=yolo", f"extract.boxes.yolo.weights={path}")
        for path in (first, twin, other)
    ]
    assert keys(configs[0]) == keys(configs[1])
    assert not set(keys(configs[0]).values()) & set(keys(configs[2]).values())
    digests = [stream_digest(config, "velocity") for config in configs]
    assert digests[0] == digests[1] != digests[2]


def test_preset_object_wants_three_networks_and_says_how_to_get_them(tmp_path: Path) -> None:
    config = load_config(options={"preset": "object", "cache": tmp_path}).extract
    assert config.weights_folder == tmp_path / "weights"
    names = [weights.name for weights in weights_of(config)]
    assert names[:2] == ["yolo11s", "yolo11s-pose"]
    with pytest.raises(WeightsMissingError) as caught:
        require_all(config, offline=True)
    assert (caught.value.names, caught.value.folder) == (tuple(names), tmp_path / "weights")


def test_frames_and_objects_are_not_mixed() -> None:
    with pytest.raises(
        InputError, match=r"mixes clip, of whole frames, with velocity, of objects: make two runs"
    ):
        build_recipe(extract_config("extract.streams=[velocity,clip]"), SCENE)


def test_whole_frames_have_no_boxes(tmp_path: Path) -> None:
    recipe = build_recipe(extract_config("extract.streams=[clip]"), SCENE)
    assert recipe.finder is None


def test_motion_boxes_are_joined_with_a_detector_only() -> None:
    with pytest.raises(
        InputError,
        match="join=gradient adds motion boxes to those of a detector or a file, but finder is windows",
    ):
        extract_config("extract.boxes.join=gradient")


def test_the_preset_for_hours_looks_for_what_was_never_seen() -> None:
    config = load_config(overrides=["preset=camera"])
    finder = build_recipe(config.extract, SCENE).finder
    assert isinstance(finder, MotionWindows)
    assert finder.unseen is not None
    assert finder.unseen.least_novelty == config.extract.boxes.windows.least_novelty == 3
    assert config.score.fusion == "max"
    with pytest.raises(InputError, match=r"windows\.least_novelty=null"):
        load_config(overrides=["preset=camera", "extract.boxes.finder=gradient"])


def test_plugin_is_an_extractor_like_others(plugin: Path) -> None:
    config = extract_config(
        f"extract.plugins=[{plugin}]", "extract.streams=[velocity,redness]",
        "extract.plugin_settings.redness.power=2",
    )  # fmt: skip
    redness = build_recipe(config, SCENE).extractors[1]
    assert (redness.name, redness.n_features) == ("redness", 1)
    assert redness.settings() == {"code_version": 1, "power": 2}


@pytest.mark.parametrize(
    ("stream", "overrides", "is_other"),
    [
        ("velocity", ["extract.flow.preset=fast"], True),
        ("velocity", ["extract.rate=5"], True),
        ("velocity", ["extract.boxes.windows.overlap=0.25"], True),
        ("velocity", ["extract.boxes.yolo.confidence=0.1"], False),  # there is no detector
        ("velocity", ["extract.place.weight=5"], False),
        ("hog", ["extract.flow.preset=fast"], False),
        ("hog", ["extract.hog.n_bins=7"], True),
    ],
)
def test_a_detector_is_for_what_decides_its_stream_alone(
    stream: str, overrides: list[str], is_other: bool
) -> None:
    before, after = (stream_digest(extract_config(*given), stream) for given in ([], overrides))
    assert (before != after) == is_other


def test_a_detector_is_not_for_features_of_other_code(monkeypatch: pytest.MonkeyPatch) -> None:
    before = stream_digest(extract_config(), "velocity")
    monkeypatch.setattr(Velocity, "code_version", Velocity.code_version + 1)
    assert stream_digest(extract_config(), "velocity") != before


def test_plugin_s_code_and_settings_count(plugin: Path) -> None:
    overrides = [f"extract.plugins=[{plugin}]", "extract.streams=[velocity,redness]"]
    before, digest = keys(extract_config(*overrides)), stream_digest(extract_config(*overrides), "redness")
    powered = extract_config(*overrides, "extract.plugin_settings.redness.power=2")
    assert keys(powered)["redness"] != before["redness"]
    assert stream_digest(powered, "redness") != digest
    plugin.write_text(PLUGIN + "\n# changed\n")
    after = keys(extract_config(*overrides))
    assert after["redness"] != before["redness"]
    assert after["velocity"] == before["velocity"]
    assert stream_digest(extract_config(*overrides), "redness") != digest


def test_a_mistyped_path_is_noticed_before_anything_is_fetched() -> None:
    """The other weights are missing too, and with a network would be fetched first."""
    config = load_config(
        options={"preset": "object"}, overrides=["extract.boxes.yolo.weights=nowhere/my.pt"]
    ).extract
    with pytest.raises(InputError, match=r"there is no file of weights at nowhere/my\.pt"):
        require_all(config, offline=True)


@pytest.mark.parametrize(
    ("code", "overrides", "message"),
    [
        ("", [], "has no extractor: it must define a class"),
        ("x = 1 / 0", [], "cannot be loaded: ZeroDivisionError: division by zero"),
        ("def", [], "cannot be loaded: SyntaxError"),
        (
            PLUGIN.replace('"redness"', '"velocity"'),
            [],
            "a plugin is named velocity, as something of mulde's own is",
        ),
        (
            PLUGIN.replace('"redness"', '"boxes"'),
            [],
            "a plugin is named boxes, as something of mulde's own is",
        ),
        (
            PLUGIN,
            ["extract.streams=[greenness]"],
            "there is no stream greenness: known are velocity, .*redness",
        ),
        (PLUGIN, ["extract.plugin_settings.redness.pwer=1"], r"redness\.pwer is unknown: .* has power"),
        (PLUGIN, ["extract.plugin_settings.redness.power=0"], r"redness\.power = 0 is not allowed"),
        (PLUGIN, ["extract.plugin_settings.redness.power=a"], r"redness\.power = 'a' is not allowed"),
        (PLUGIN, ["extract.plugin_settings.other.power=1"], "there is no stream other"),
    ],
)
def test_mistakes_in_plugins_are_named(plugin: Path, code: str, overrides: list[str], message: str) -> None:
    plugin.write_text(code)
    config = extract_config(f"extract.plugins=[{plugin}]", "extract.streams=[redness]", *overrides)
    with pytest.raises(InputError, match=message):
        build_recipe(config, SCENE)


def test_missing_plugin_is_named() -> None:
    with pytest.raises(InputError, match=r"plugin nothere\.py cannot be read"):
        build_recipe(extract_config("extract.plugins=[nothere.py]"), SCENE)


@pytest.mark.parametrize(
    ("absent", "message"),
    [
        (["ultralytics"], r"ultralytics is not installed: pip install 'mulde\[yolo\]'"),
        (
            ["ultralytics", "open_clip"],
            r"ultralytics and open_clip are not installed: pip install 'mulde\[yolo,encoders\]'",
        ),
        ([], "weights are missing"),
    ],
)
def test_missing_packages_are_named_before_missing_weights(
    absent: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ultralytics", "open_clip"):
        if name not in absent:
            pytest.importorskip(name)
    for name in absent:
        monkeypatch.setitem(sys.modules, name, None)
    config = load_config(options={"preset": "object", "cache": tmp_path}).extract
    with pytest.raises(InputError, match=message):
        require_all(config, offline=True)


def test_keys_of_many_videos_need_one_recipe_a_scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built = []

    def count(config: ExtractConfig, scene: SceneModel, **more: Any) -> Any:
        built.append(scene)
        return build_recipe(config, scene, **more)

    monkeypatch.setattr("mulde.pipeline.features.inventory.build_recipe", count)
    scenes = Scenes(
        {
            name: SceneModel(
                (64, 48), np.full((1, 48, 64), grey, np.uint8), 20.0, 0.0, (20.0, 20.0), aspect=0.5
            )
            for name, grey in (("cam1", 50), ("cam2", 90))
        }
    )
    recipes = Recipes(load_config().extract, scenes)
    for name in ("cam1", "cam2"):
        for number in range(7):
            video = Video(f"{name}/{number}", tmp_path / f"{number}.mp4", tmp_path, name)
            expected = build_recipe(load_config().extract, scenes.models[name]).keys(tmp_path)
            assert recipes.keys(video) == expected
    assert len(built) == 2


@pytest.mark.parametrize(
    ("overrides", "networks"),
    [
        ([], None),
        (["preset=frame"], None),
        (["preset=frame", "extract.clip.weights=random"], "hiera/hiera_large_16x224"),
        (["extract.clip.weights=random"], None),  # no stream of this run
        (["preset=object", "extract.appearance.encoder=torchvision/resnet50",
          "extract.appearance.weights=random"], "torchvision/resnet50"),
        (["extract.streams=[clip,frame]", "extract.clip.encoder=torchvision/s3d",
          "extract.clip.weights=random", "extract.frame.encoder=torchvision/resnet50",
          "extract.frame.weights=random"],
         "torchvision/s3d, torchvision/resnet50"),
        (["data.normal_features=a", "data.test_features=b", "extract.streams=[clip]",
          "extract.clip.weights=random"], None),
    ],
)  # fmt: skip
def test_random_weights_are_cautioned_of(overrides: list[str], networks: str | None) -> None:
    said = f"features of networks with random weights ({networks}): numbers mean nothing"
    assert caution(load_config(overrides=overrides).extract) == (said if networks else "")
