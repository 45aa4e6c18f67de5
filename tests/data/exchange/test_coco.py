"""COCO's JSON of videos: which video and frame an image is, and what is said of its boxes."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from mulde.data.errors import InputError
from mulde.data.exchange.boxes import read_boxes

VIDEOS = [{"id": 1, "name": "cam/a"}, {"id": 2, "name": "b"}]
IMAGES = [{"id": 10, "video_id": 1, "frame_id": 0}, {"id": 11, "video_id": 1, "frame_id": 4},
          {"id": 12, "video_id": 2, "frame_id": 3}]  # fmt: skip
CATEGORIES = [{"id": 7, "name": "person"}]


def written(folder: Path, **content: Any) -> Path:
    path = folder / "boxes.json"
    path.write_text(json.dumps(content))
    return path


def test_images_alone_are_videos_without_boxes(tmp_path: Path) -> None:
    assert read_boxes(written(tmp_path, images=[], annotations=[])) == {}
    found = read_boxes(written(tmp_path, videos=VIDEOS, images=IMAGES, annotations=[]))
    assert {name: len(boxes) for name, boxes in found.items()} == {"cam/a": 0, "b": 0}


def test_annotations_are_boxes(tmp_path: Path) -> None:
    annotations = [
        {"image_id": 11, "bbox": [5, 6, 10, 20.5], "score": 0.5, "category_id": 7, "track_id": 3},
        {"image_id": 10, "bbox": [0, 0, 1, 2], "category_id": 8, "instance_id": 4},
        {"image_id": 10, "bbox": [0, 0, 3, 2]},
    ]
    found = read_boxes(
        written(tmp_path, videos=VIDEOS, images=IMAGES, categories=CATEGORIES, annotations=annotations)
    )
    a = found["cam/a"]
    assert_array_equal(a.frame, [0, 0, 4])
    assert_array_equal(a.box_xyxy, np.float32([[0, 0, 1, 2], [0, 0, 3, 2], [5, 6, 15, 26.5]]))
    assert_array_equal(a.score, np.float32([np.nan, np.nan, 0.5]))
    assert_array_equal(a.class_name, ["8", "", "person"])
    assert_array_equal(a.track, [4, -1, 3])
    assert len(found["b"]) == 0


@pytest.mark.parametrize(
    ("image", "first_frame", "place"),
    [
        ({"file_name": "Test001/012.jpg"}, 0, ("Test001", 12)),
        ({"file_name": "Test001/012.jpg"}, 1, ("Test001", 11)),
        ({"file_name": "cam\\x\\frame_7.png"}, 0, ("cam/x", 7)),
        ({"file_name": "x/012.jpg", "frame_id": 3}, 0, ("x", 3)),
        ({"file_name": "x/012.jpg", "video_id": 2}, 0, ("b", 12)),
        ({"file_name": "x/012.jpg", "video_id": "alone"}, 0, ("alone", 12)),
    ],
)
def test_an_image_says_its_video_and_frame(
    tmp_path: Path, image: dict[str, Any], first_frame: int, place: tuple[str, int]
) -> None:
    path = written(
        tmp_path,
        videos=VIDEOS,
        images=[{"id": 1, **image}],
        annotations=[{"image_id": 1, "bbox": [0, 0, 1, 1]}],
    )
    ((name, boxes),) = read_boxes(path, first_frame).items()
    assert (name, boxes.frame[0]) == place


BOX = {"image_id": 10, "bbox": [0, 0, 1, 1]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"images": IMAGES}, "lacks `images` or `annotations`"),
        ({"images": {}, "annotations": []}, "`images` is no list of objects"),
        ({"images": [{"file_name": "a/1.jpg"}], "annotations": []}, "id is None"),
        ({"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": []}, "does not say of which video"),
        ({"images": [{"id": 1, "file_name": "a/b.jpg"}], "annotations": []}, "does not say of which video"),
        ({"images": IMAGES, "annotations": [{**BOX, "image_id": 9}]}, "annotation 0 is of image 9"),
        ({"images": IMAGES, "annotations": [BOX, {**BOX, "bbox": [1, 2, 3]}]}, "annotation 1: bbox is"),
        ({"images": IMAGES, "annotations": [{**BOX, "bbox": [1, 2, "3", 4]}]}, "bbox is '3', no number"),
        ({"images": IMAGES, "annotations": [{**BOX, "bbox": [1, 2, -3, 4]}]}, "the smaller one"),
        ({"images": IMAGES, "annotations": [{**BOX, "bbox": [1, 2, None, 4]}]}, "the box must be finite"),
        ({"images": IMAGES, "annotations": [{**BOX, "track_id": 0.5}]}, "the track must be a whole number"),
        ({"images": IMAGES, "annotations": [{**BOX, "category_id": []}]}, "category_id is"),
    ],
)
def test_what_is_no_box_is_named(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    path = written(tmp_path, **content)
    with pytest.raises(InputError) as caught:
        read_boxes(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(("text", "message"), [("{", "is no JSON"), ("[]", "lacks `images`")])
def test_other_json_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "boxes.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_boxes(path)


def test_long_names_take_no_memory_for_each_box(tmp_path: Path) -> None:
    """An array of text is as wide as its longest: a megabyte of JSON would take gigabytes."""
    images = [{"id": 1, "video_id": 1, "frame_id": 0}, {"id": 2, "video_id": 2, "frame_id": 0}]
    annotations = [{"image_id": 1, "bbox": [0, 0, 1, 1]} for _ in range(2000)]
    annotations.append({"image_id": 2, "bbox": [0, 0, 1, 1]})
    videos = [{"id": 1, "name": "a"}, {"id": 2, "name": "b" * 200_000}]
    path = written(tmp_path, videos=videos, images=images, annotations=annotations)
    tracemalloc.start()
    found = read_boxes(path)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert {len(boxes) for boxes in found.values()} == {2000, 1}
    assert peak_bytes < 50e6
    categories = [{"id": 1, "name": "c" * 200_000}]
    annotations[0]["category_id"] = 1
    path = written(tmp_path, videos=videos, images=images, annotations=annotations, categories=categories)
    with pytest.raises(InputError, match=r"boxes\.json: names of categories would take 3\.2 GB of memory"):
        read_boxes(path)
