import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mulde.detector.store import FORMAT_VERSION, MANIFEST_NAME, StoredModel, read_model, write_model

MODEL = StoredModel(
    kind="Test",
    params={"widths": [4, 4], "seed": None},
    n_features=3,
    description={"stream": "velocity", "key": "3f2a"},
    provenance={"rows": 100},
    tensors={
        "matrix": np.arange(6, dtype=np.float32).reshape(2, 3).T,  # not contiguous
        "number": np.array(1 / 3),
        "empty": np.zeros((0, 2), dtype=np.int64),
        "mask": np.array([True, False]),
    },
)


def tensor_path(folder: Path) -> Path:
    (path,) = folder.glob("*.safetensors")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_model(tmp_path / "run" / "model", MODEL)
    return tmp_path / "run" / "model"


def test_what_is_written_is_read(folder: Path) -> None:
    read = read_model(folder)
    assert replace(read, tensors={}) == replace(MODEL, tensors={})
    assert read.tensors.keys() == MODEL.tensors.keys()
    for name, array in MODEL.tensors.items():
        assert read.tensors[name].dtype == array.dtype
        np.testing.assert_array_equal(read.tensors[name], array)


def test_no_tensors_are_fine(tmp_path: Path) -> None:
    write_model(tmp_path, replace(MODEL, tensors={}))
    assert read_model(tmp_path).tensors == {}


def test_a_second_model_replaces_the_first(folder: Path) -> None:
    second = replace(MODEL, n_features=7, tensors={"other": np.ones(2)})
    write_model(folder, second)
    assert read_model(folder).n_features == 7
    assert len(list(folder.iterdir())) == 2


def test_a_writer_killed_before_the_manifest_leaves_the_old_model(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(self: Path, target: Path) -> Path:
        if target.name == MANIFEST_NAME:
            raise KeyboardInterrupt
        return rename(self, target)

    rename = Path.replace
    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        write_model(folder, replace(MODEL, n_features=7, tensors={"other": np.ones(2)}))
    assert read_model(folder).n_features == 3


def edit_manifest(folder: Path, **changes: object) -> None:
    path = folder / MANIFEST_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip_a_bit(path: Path) -> None:
    payload = bytearray(path.read_bytes())
    payload[-1] ^= 1
    path.write_bytes(payload)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (
            lambda folder: (folder / MANIFEST_NAME).unlink(),
            r"no detector is stored at .*manifest.json is missing",
        ),
        (lambda folder: truncate(folder / MANIFEST_NAME), r"manifest.json is damaged"),
        (lambda folder: (folder / MANIFEST_NAME).write_bytes(b"\xff\xfe"), r"manifest.json is damaged"),
        (lambda folder: (folder / MANIFEST_NAME).write_text("[]"), r"manifest.json was changed"),
        (lambda folder: (folder / MANIFEST_NAME).write_text("{}"), r"manifest.json was changed"),
        (lambda folder: edit_manifest(folder, n_features=4), r"manifest.json was changed"),
        (lambda folder: edit_manifest(folder, tensors_sha256="../../x"), r"manifest.json was changed"),
        (
            lambda folder: edit_manifest(folder, format_version=FORMAT_VERSION + 1, mulde_version="9.1"),
            r"manifest.json has format version 2, written by mulde 9.1, .*upgrade mulde",
        ),
        (lambda folder: tensor_path(folder).unlink(), r"safetensors, named by manifest.json, is missing"),
        (lambda folder: truncate(tensor_path(folder)), r"safetensors is truncated or was changed"),
        (lambda folder: flip_a_bit(tensor_path(folder)), r"safetensors is truncated or was changed"),
        (lambda folder: tensor_path(folder).write_bytes(b""), r"safetensors is truncated or was changed"),
    ],
)
def test_a_damaged_model_is_one_clear_error(folder: Path, harm: object, message: str) -> None:
    harm(folder)  # type: ignore[operator]
    with pytest.raises(ValueError, match=message):
        read_model(folder)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no detector is stored at .*nowhere"):
        read_model(tmp_path / "nowhere")


@pytest.mark.parametrize("expect", [None, {}, {"stream": "velocity"}, {"stream": "velocity", "key": "3f2a"}])
def test_expected_features_pass(folder: Path, expect: dict[str, str] | None) -> None:
    assert read_model(folder, expect).n_features == 3


@pytest.mark.parametrize(
    ("expect", "message"),
    [
        (
            {"stream": "pose", "key": "77"},
            "was fitted on stream 'velocity', key '3f2a', but was given stream 'pose', key '77'",
        ),
        ({"fps": 25}, "was fitted on fps None, but was given fps 25"),
    ],
)
def test_other_features_are_refused(folder: Path, expect: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_model(folder, expect)


def test_a_description_that_is_no_json_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_model(tmp_path / "model", replace(MODEL, description={"stream": object()}))
    assert not (tmp_path / "model").exists()
