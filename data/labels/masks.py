"""Pixel masks of what is abnormal, made into labels of frames and regions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mulde.data.decode.image_folders import load_image
from mulde.data.errors import InputError
from mulde.data.foreign.arrays import read_npy
from mulde.data.labels.matlab import read_cells
from mulde.data.labels.regions import NO_TRACK, Regions

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class ObjectTrack:
    """One abnormal object, and the frames in which it is abnormal."""

    value: int
    """Its pixels' value in the object maps."""
    start: int
    """First frame, 0-based."""
    end: int
    """The frame after the last."""


def frames_of_masks(masks: Iterable[NDArray[np.generic]]) -> NDArray[np.uint8]:
    """Give (n_frames,) uint8: 1 where a frame's mask has any pixel that is not 0."""
    return np.array([bool(mask.any()) for mask in masks], dtype=np.uint8)


def regions_of_masks(masks: Iterable[NDArray[np.generic]]) -> Regions:
    """Give a region for each connected component of each frame's mask; masks without tracks have no tracks.

    Args:
        masks: (H, W) a frame, in order, of any type; what is not 0 is abnormal. Pixels that touch at a corner
            are connected.
    """
    return Regions.from_rows(
        (frame, *box, NO_TRACK)
        for frame, mask in enumerate(masks)
        for box in components(np.asarray(mask, dtype=bool))
    )


def regions_of_object_maps(
    load_map: Callable[[int], NDArray[np.uint8] | None], tracks: Sequence[ObjectTrack]
) -> Regions:
    """Give a region for each tracked object in each of its frames; the k-th track has number k.

    An object that is hidden in part is in several pieces: the one with the largest box stands for it, as in
    UBnormal's own script. Where it is hidden wholly there is no region.

    Args:
        load_map: gives the (H, W) map of a frame, whose pixels tell the object, or None where there is none.
        tracks: the abnormal objects.
    """
    by_frame: dict[int, list[int]] = {}
    for number, track in enumerate(tracks):
        for frame in range(track.start, track.end):
            by_frame.setdefault(frame, []).append(number)
    rows = []
    for frame, numbers in sorted(by_frame.items()):
        objects = load_map(frame)
        if objects is None:
            continue
        for number in numbers:
            boxes = components(np.equal(objects, tracks[number].value))
            if boxes:
                rows.append((frame, *max(boxes, key=_area), number))
    return Regions.from_rows(rows)


def components(mask: NDArray[np.bool_]) -> list[Box]:
    """Give the boxes (x1, y1, x2, y2), half-open, of the 8-connected components of an (H, W) mask."""
    from scipy.ndimage import find_objects, label

    if not mask.any():
        return []
    labelled, _ = label(mask, structure=np.ones((3, 3)))
    return [(columns.start, rows.start, columns.stop, rows.stop) for rows, columns in find_objects(labelled)]


def load_mask_images(files: Sequence[Path]) -> Iterable[NDArray[np.uint8]]:
    """Yield (H, W) masks from images, one a frame."""
    return (load_image(file)[:, :, 0] for file in files)


def load_mask_array(path: Path) -> NDArray[np.generic]:
    """Read (n_frames, H, W) masks from an .npy file; memory-mapped, as it can be large.

    Raises:
        InputError: it is not that.
    """
    masks = read_npy(path, mapped=True)
    if masks.ndim != 3:
        raise InputError(f"{path} must hold masks of shape (frames, height, width)")
    return masks


def load_mask_cells(path: Path) -> list[NDArray[np.generic]]:
    """Read `volLabel` of CUHK Avenue's k_label.mat: a cell a frame, each an (H, W) mask.

    Raises:
        InputError: it is not that.
    """
    masks = read_cells(path, "volLabel")
    for index, mask in enumerate(masks):
        if mask.ndim != 2:
            raise InputError(f"{path}: mask {index} of volLabel has shape {mask.shape}, not (height, width)")
    return masks


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])
