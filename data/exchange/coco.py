"""Read the boxes of COCO's JSON, as it is used for videos.

`images` have an `id`, and say their video and frame: `video_id` (with `videos`, of `id` and `name`) and
`frame_id`, as in YouTube-VIS and CocoVid; where they do not, `file_name` does, such as Test001/012.jpg.
`annotations` have `image_id` and `bbox` (x, y, width, height), and perhaps `score`, `category_id` and
`track_id` or `instance_id`. An image without annotations has no boxes.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from mulde.data.boxes import NO_BOXES, VideoBoxes
from mulde.data.errors import InputError
from mulde.data.exchange.box_table import BYTES_A_CHARACTER, BoxTable
from mulde.data.foreign.limits import check_unpacked
from mulde.data.foreign.text import parse_json, read_text

_TRACK = ("track_id", "instance_id")


def read_coco(path: Path, first_frame: int) -> dict[str, VideoBoxes]:
    """Read boxes by the names of their videos; those of which only images are listed have none.

    Args:
        first_frame: the number that the file gives a video's first frame.

    Raises:
        InputError: the file cannot be read, or lacks something.
    """
    try:
        content = parse_json(read_text(path))
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is no JSON ({error})") from None
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        raise InputError(
            f"{path} lacks `images` or `annotations`: expected COCO's JSON with both, since only images say "
            "of which video and frame an annotation is"
        )
    videos = {
        _member(each, "id", path): _member(each, "name", path) for each in _list(content, "videos", path)
    }
    classes = {
        _member(each, "id", path): _member(each, "name", path) for each in _list(content, "categories", path)
    }
    places = {
        _member(image, "id", path): _place_of(image, videos, path) for image in _list(content, "images", path)
    }
    annotations = _list(content, "annotations", path)
    numbered: dict[str, int] = {}  # of videos: an array of their names would be as wide as the longest
    which, frames, corners, scores, tracks, kinds = [], [], [], [], [], []
    for number, each in enumerate(annotations):
        image = _member(each, "image_id", path)
        if image not in places:
            raise InputError(
                f"{path}: annotation {number} is of image {image!r}, which is not among `images`"
            )
        video, frame = places[image]
        which.append(numbered.setdefault(video, len(numbered)))
        frames.append(frame)
        corners.append(_corners(each, f"{path}: annotation {number}"))
        scores.append(_number(each.get("score"), f"{path}: annotation {number}", "score"))
        track = next((each[key] for key in _TRACK if key in each), None)
        tracks.append(_number(track, f"{path}: annotation {number}", "track"))
        kind = _member(each, "category_id", path) if "category_id" in each else ""
        kinds.append(str(classes.get(kind, kind)))
    x1, y1, x2, y2 = np.array(corners, np.float64).reshape(-1, 4).T
    numbers = {
        "frame": np.array(frames, np.float64), "x1": x1, "y1": y1, "x2": x2, "y2": y2,
        "score": np.array(scores, np.float64), "track": np.array(tracks, np.float64),
    }  # fmt: skip
    widest = max(map(len, kinds), default=0)
    n_bytes = BYTES_A_CHARACTER * widest * len(kinds)
    check_unpacked(f"{path}: names of categories", n_bytes, path.stat().st_size)
    kind = np.array(kinds, np.str_).reshape(-1)
    table = BoxTable(numbers, kind, first_frame, lambda row: f"{path}: annotation {row}")
    table.check()
    found = table.by_video([*numbered], np.array(which, np.int64))
    return {**{video: NO_BOXES for video, _ in places.values()}, **found}


def _list(content: dict[str, Any], name: str, path: Path) -> list[Any]:
    found = content.get(name, [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise InputError(f"{path}: `{name}` is no list of objects, as COCO has it")
    return found


def _member(record: dict[str, Any], name: str, path: Path) -> Any:
    value = record.get(name)
    if not isinstance(value, int | str) or value == "":
        raise InputError(f"{path}: {name} is {value!r} in {str(record)[:80]}: expected a number or a name")
    return value


def _place_of(image: dict[str, Any], videos: dict[Any, Any], path: Path) -> tuple[str, float]:
    """Return the name of the video and the number of the frame that an image is."""
    file = PurePosixPath(str(image.get("file_name", "")).replace("\\", "/"))
    video = str(file.parent)
    if "video_id" in image:
        video = _member(image, "video_id", path)
        video = str(videos.get(video, video))
    digits = re.search(r"\d{1,15}$", file.stem)
    frame = _number(image.get("frame_id", int(digits[0]) if digits else None), str(path), "frame_id")
    if video in ("", ".") or np.isnan(frame):
        raise InputError(
            f"{path}: image {image.get('id')!r} does not say of which video and frame it is: expected "
            "`video_id` and `frame_id`, or a file_name such as Test001/012.jpg"
        )
    return video, frame


def _corners(annotation: dict[str, Any], where: str) -> tuple[float, float, float, float]:
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        raise InputError(f"{where}: bbox is {str(box)[:80]}: expected [x, y, width, height]")
    x, y, width, height = (_number(each, where, "bbox") for each in box)
    return x, y, x + width, y + height


def _number(value: Any, where: str, name: str) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e300:
        raise InputError(f"{where}: {name} is {str(value)[:80]!r}, no number")
    return float(value)
