"""Configuration: precedence, unknown keys, values that are not allowed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from mulde.data.errors import InputError
from mulde.detector import AGGREGATIONS, DETECTORS, PAPER
from mulde.pipeline.config.dotted import in_yaml
from mulde.pipeline.config.load import load_config, write_config
from mulde.pipeline.config.reference import reference
from mulde.pipeline.config.sections import Config, DetectorConfig


def test_nothing_given_gives_the_defaults() -> None:
    assert load_config() == Config()


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("seed: 1\ndetector: {beta: 0.5, widths: [8]}\nworkers: 3\n")
    config = load_config(file, options={"seed": 2, "workers": 4}, overrides=["seed=3", "detector.beta=0.2"])
    assert (config.seed, config.workers, config.detector.beta, config.detector.widths) == (3, 4, 0.2, (8,))


def test_empty_file_is_fine(tmp_path: Path) -> None:
    file = tmp_path / "empty.yaml"
    file.write_text("")
    assert load_config(file) == Config()


def test_resolved_configuration_reads_back(tmp_path: Path) -> None:
    config = load_config(
        overrides=["extract.streams=[hog]", "extract.flow.seconds_around=0.5", "data.normal=a/b"]
    )
    file = tmp_path / "config.yaml"
    file.write_text(config.to_yaml())
    assert load_config(file).model_dump(exclude={"detector"}) == config.model_dump(exclude={"detector"})
    assert load_config(file).detector.resolved() == config.detector.resolved()
    assert "smoothing_sigma_seconds" in yaml.safe_load(config.to_yaml())["score"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("detector.betta=1", r"unknown configuration key detector\.betta: did you mean detector\.beta\?"),
        ("beta=1", r"unknown configuration key beta: did you mean detector\.beta\?"),
        ("qqqqqq=1", r"unknown configuration key qqqqqq"),
        ("detector=1", r"detector is a group of settings"),
        ("detektor.beta=1", r"unknown configuration key detektor: did you mean detector\.beta\?"),
        ("extract.boxs.yolo.weights=a", r"extract\.boxs: did you mean extract\.boxes\.yolo\.weights\?"),
        ("detector.beta=-1", r"detector\.beta = -1 is not allowed: it must be a number ≥ 0$"),
        ("detector.beta=null", r"detector\.beta = null is not allowed: it must be a number ≥ 0$"),
        ("seed=1.5", r"seed = 1\.5 is not allowed: it must be a whole number in \[0, 4294967296\)$"),
        ("workers=0", r"workers = 0 is not allowed: it must be null or a whole number ≥ 1$"),
        ("offline=maybe", r"offline = 'maybe' is not allowed: it must be true or false$"),
        (
            "extract.boxes.finder=yol",
            r"= 'yol' is not allowed: it must be one of windows, gradient, yolo,",
        ),
        (
            "extract.boxes.windows.scales=[a]",
            r"= \['a'\] is .*: it must be a list, each a number > 0$",
        ),
        ("detector.beta=[", r"the value of detector\.beta is no YAML"),
        ("extract.streams=[sound]", r"extract\.streams = 'sound' is not allowed.*velocity"),
        ("extract.streams=[]", r"extract\.streams"),
        ("extract.streams=[hog,hog]", r"a stream is named twice"),
        ("detector.widths=[]", r"detector\.widths"),
        ("detector.sigma_low=2", r"sigma_low 2.0 is above sigma_high"),
        ("preset=[motion]", r"unknown preset"),
        ("out=2024-99-99", r"the value of out is no YAML"),
        ("extract.flow.seconds_around=abc", r"extract\.flow\.seconds_around = 'abc' is not allowed"),
        ("extract.boxes.windows.overlap=2", r"extract\.boxes\.windows\.overlap = 2 is not allowed"),
        ("extract.hog.cell_px=7", r"64x32 px does not divide into cells of 7 px"),
        ("preset=nope", r"unknown preset 'nope': known are motion"),
        ("device=gpu", r"device = 'gpu' is not allowed: it must be auto, cpu, cuda or cuda:N$"),
        ("executor=cloud", r"executor = 'cloud' is not allowed: it must be one of local, ray"),
        ("seed.a=1", r"seed"),
        ("hello", r"'hello' is neither key=value nor"),
        (".".join("a" * 5000) + "=1", r"names a group of settings more than \d+ deep"),
    ],
)
def test_mistakes_are_named(override: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_config(overrides=[override])


@pytest.mark.parametrize("name", reference())
@pytest.mark.parametrize("value", ["[[1]]", "{a: {b: 1}}", "-1.5", "'#'", "2020-01-01", ".nan"])
def test_what_is_not_allowed_is_said_in_our_words(name: str, value: str) -> None:
    try:
        load_config(overrides=[f"{name}={value}"])
    except InputError as error:
        assert not re.search(r"[Ii]nput should|valid |unable|pattern|instance|validation error", str(error))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [1]\nb: *a", r"is no YAML: aliases \(\*a\) are not read"),
        ("a: " + "[" * 20_000, "is no YAML: it is nested more than 50 deep"),
        ("a: [", "is no YAML"),
        ("- 1", "must hold key: value"),
        ("detektor: {}", "unknown configuration key"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "my.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        load_config(file)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothere\.yaml is not there"):
        load_config(tmp_path / "nothere.yaml")


@pytest.mark.parametrize("kind", DETECTORS)
def test_detector_settings_are_those_of_the_detector(kind: str) -> None:
    settings = load_config(overrides=[f"detector.kind={kind}"]).detector.settings()
    known = DETECTORS[kind]().get_params()
    assert settings == {name: known[name] for name in settings}


def test_weights_in_files_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.pt").touch()
    given = [
        "extract.boxes.yolo.weights=my.pt",
        "extract.clip.weights=my.pt",
        "extract.pose.weights=yolo11s-pose",
    ]
    extract = load_config(overrides=given).anchored().extract
    here = str(tmp_path / "my.pt")
    assert (extract.boxes.yolo.weights, extract.clip.weights) == (here, here)
    assert (extract.pose.weights, extract.appearance.weights) == ("yolo11s-pose", "default")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("extract.velocity.per_height=no", "no"),
        ('extract.velocity.per_height="no"', "no"),
        ("score.causal=no", False),
        ("score.causal=yes", True),
        ("score.causal=On", True),
        ("score.causal=false", False),
        ("score.causal=TRUE", True),
        ("train.folds=0", 0),
    ],
)
def test_words_that_older_yaml_takes_for_true_and_false(override: str, expected: object) -> None:
    value: object = load_config(overrides=[override])
    for part in override.partition("=")[0].split("."):
        value = getattr(value, part)
    assert value == expected and type(value) is type(expected)


@pytest.mark.parametrize(
    ("overrides", "n"),
    [
        ([], 10),
        (["score.n_overlapping=3"], 3),
        (["extract.boxes.finder=gradient"], 1),
        (["extract.boxes.finder=yolo", "score.are_windows=false"], 1),
        (["preset=object"], 1),
        (["preset=object", "score.n_overlapping=2"], 2),
        (["data.normal_features=tracks", "extract.streams=[tracks]"], 1),
        (["data.normal_features=tracks", "extract.streams=[tracks]", "score.are_windows=true"], 10),
    ],
)
def test_scores_are_averaged_where_boxes_are_windows(overrides: list[str], n: int) -> None:
    assert load_config(overrides=overrides).score.n_averaged == n


def test_boxes_are_not_said_to_be_what_they_are_not(tmp_path: Path) -> None:
    run, own = tmp_path / "run.yaml", tmp_path / "own.yaml"
    write_config(run, load_config(overrides=["extract.boxes.finder=gradient"]))
    assert load_config(run, overrides=["extract.boxes.finder=windows"]).score.are_windows
    own.write_text("score: {are_windows: true}\npreset: object\n")
    for file, overrides, told in (
        (None, ["score.are_windows=false"], "finder=windows, so that they are windows: leave it out"),
        (run, ["score.are_windows=true"], "finder=gradient, so that they are no windows"),
        (own, [], "finder=yolo, so that they are no windows"),
    ):
        with pytest.raises(InputError, match=f"is not allowed: boxes are of extract.boxes.{told}"):
            load_config(file, overrides=overrides)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], False),
        (["extract.scene.with_looks=true"], False),
        (["extract.streams=[texture]"], True),
        (["extract.boxes.windows.least_novelty=2"], True),
        (["preset=camera", "extract.scene.with_looks=false"], True),
    ],
)
def test_looks_are_learnt_for_what_asks_for_them(overrides: list[str], expected: bool) -> None:
    assert load_config(overrides=overrides).extract.scene.with_looks is expected


def test_paper_is_a_preset() -> None:
    settings = load_config(overrides=["detector.preset=paper", "detector.beta=0.3"]).detector.settings()
    assert {name: settings[name] for name in PAPER} == {**PAPER, "beta": 0.3}


def test_null_is_a_value_where_it_means_no_bound() -> None:
    assert load_config(overrides=["detector.max_steps=null"]).detector.settings()["max_steps"] is None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["detector.kind=knn", "detector.beta=1"], "beta is no setting of detector.kind=knn, which has k"),
        (["detector.k=3"], "k is no setting of detector.kind=mulde"),
        (["detector.kind=gmm", "detector.preset=paper"], "trains no network: leave preset out"),
        (["detector.kind=lof"], "detector.kind = 'lof' is not allowed"),
        (["detector.kind=gmm", "detector.covariance_floor=0"], "covariance_floor of gmm is 0.0, but must be"),
    ],
)
def test_settings_of_other_kinds_are_refused(overrides: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_config(overrides=overrides)


@pytest.mark.parametrize(("before", "now"), [
    ("mulde", "knn"), ("knn", "mulde"), ("gmm", "mahalanobis"), ("mulde", "single_scale"), ("msma", "mulde"),
])  # fmt: skip
def test_a_run_is_given_another_density(before: str, now: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    write_config(file, load_config(overrides=[f"detector.kind={before}", "detector.outlier_limit=7"]))
    again = load_config(file, overrides=[f"detector.kind={now}"]).detector
    assert (
        again.resolved()
        == load_config(
            overrides=[f"detector.kind={now}", *_shared(again, load_config(file).detector)]
        ).detector.resolved()
    )
    assert again.settings()["outlier_limit"] == 7
    with pytest.raises(InputError, match="beta is no setting of"):
        load_config(file, overrides=["detector.kind=knn", "detector.beta=1"])


def _shared(now: DetectorConfig, before: DetectorConfig) -> list[str]:
    """Return what both kinds have, as the run has it."""
    values = before.settings()
    shared = {name: values[name] for name in now.settings() if name in values}
    return [f"detector.{name}={in_yaml(value)}" for name, value in shared.items()]


def test_a_preset_that_a_file_leaves_nothing_to_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(load_config().to_yaml())
    with pytest.raises(InputError, match=r"detector\.preset=paper would not change detector\.aggregation"):
        load_config(file, overrides=["detector.preset=paper"])


def test_aggregations_are_those_of_the_detector() -> None:
    for name in AGGREGATIONS:
        assert load_config(overrides=[f"detector.aggregation={name}"]).detector.aggregation == name


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], 100.0),
        (["detector.preset=paper"], None),
        (["detector.outlier_limit=null"], None),
        (["detector.kind=mahalanobis", "detector.outlier_limit=10"], 10.0),
    ],
)
def test_limit_of_outliers(overrides: list[str], expected: float | None) -> None:
    assert load_config(overrides=overrides).detector.settings()["outlier_limit"] == expected


@pytest.mark.parametrize("text", ["!!timestamp 12", "!!int '0x'", "9" * 6000, "!!binary é", "[" * 500, "*a"])
def test_values_that_yaml_stumbles_over(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="the value of seed is no YAML"):
        load_config(overrides=[f"seed={text}"])
    (tmp_path / "a.yaml").write_text(f"seed: {text}", encoding="utf-8")
    with pytest.raises(InputError, match=r"configuration .*a\.yaml is no YAML"):
        load_config(tmp_path / "a.yaml")
