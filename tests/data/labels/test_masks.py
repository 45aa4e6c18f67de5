from __future__ import annotations

import numpy as np
import pytest
from miniature_layouts import as_cells, save_mat_73
from PIL import Image
from scipy.io import savemat

from mulde.data.errors import InputError
from mulde.data.labels.masks import (
    ObjectTrack,
    components,
    frames_of_masks,
    load_mask_array,
    load_mask_cells,
    load_mask_images,
    regions_of_masks,
    regions_of_object_maps,
)
from mulde.data.labels.matlab import read_cells, read_variables
from mulde.data.labels.regions import NO_TRACK, Regions


def drawn(*rows: str) -> np.ndarray:
    """Give a mask: "." is 0, a digit is itself."""
    return np.array([[0 if c == "." else int(c) for c in row] for row in rows], dtype=np.uint8)


class TestComponents:
    @pytest.mark.parametrize(
        ("mask", "boxes"),
        [
            (drawn("...", "..."), []),
            (drawn("1..", "..."), [(0, 0, 1, 1)]),
            (drawn("..1", ".11"), [(1, 0, 3, 2)]),
            (drawn("1..", ".1.", "..1"), [(0, 0, 3, 3)]),  # corners touch
            (drawn("1.1", "1.1"), [(0, 0, 1, 2), (2, 0, 3, 2)]),
        ],
    )
    def test_boxes(self, mask, boxes):
        assert components(mask != 0) == boxes

    def test_against_a_flood_fill(self):
        random = np.random.default_rng(0)
        for _ in range(20):
            mask = random.random((9, 12)) < 0.3
            assert sorted(components(mask)) == sorted(flood_fill_boxes(mask))


def flood_fill_boxes(mask):
    left = {(int(y), int(x)) for y, x in np.argwhere(mask)}
    boxes = []
    while left:
        stack, piece = [left.pop()], []
        while stack:
            y, x = stack.pop()
            piece.append((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            stack += near
        ys, xs = zip(*piece, strict=True)
        boxes.append((min(xs), min(ys), max(xs) + 1, max(ys) + 1))
    return boxes


class TestMasks:
    def test_no_frames(self):
        assert len(frames_of_masks([])) == len(regions_of_masks([])) == 0

    def test_any_pixel_makes_a_frame_abnormal(self):
        masks = [drawn("..", ".."), drawn("..", ".2"), drawn("1.", ".1")]
        assert frames_of_masks(masks).tolist() == [0, 1, 1]
        regions = regions_of_masks(masks)
        assert regions.frame.tolist() == [1, 2]
        assert regions.box_xyxy.tolist() == [[1, 1, 2, 2], [0, 0, 2, 2]]
        assert regions.track.tolist() == [NO_TRACK, NO_TRACK]


class TestObjectMaps:
    def test_no_tracks(self):
        assert len(regions_of_object_maps(lambda frame: drawn("1"), [])) == 0

    def test_tracks_by_pixel_value(self):
        maps = {4: drawn("11.2", "...."), 5: drawn("...2", "1..2"), 6: drawn("....", "....")}
        tracks = [ObjectTrack(1, 4, 7), ObjectTrack(2, 5, 6)]
        regions = regions_of_object_maps(maps.get, tracks)
        assert regions.frame.tolist() == [4, 5, 5]  # in frame 6 both are hidden
        assert regions.track.tolist() == [0, 0, 1]
        assert regions.box_xyxy.tolist() == [[0, 0, 2, 1], [0, 1, 1, 2], [3, 0, 4, 2]]

    def test_the_largest_piece_stands_for_an_object(self):
        regions = regions_of_object_maps(lambda frame: drawn("1.11", "..11"), [ObjectTrack(1, 0, 1)])
        assert regions.box_xyxy.tolist() == [[2, 0, 4, 2]]

    def test_frames_without_a_map(self):
        assert len(regions_of_object_maps(lambda frame: None, [ObjectTrack(1, 0, 3)])) == 0


class TestMaskFiles:
    def test_images(self, tmp_path):
        files = []
        for k, mask in enumerate([drawn("..", ".."), drawn("..", ".1")]):
            files.append(tmp_path / f"{k}.bmp")
            Image.fromarray(255 * mask).save(files[-1])
        assert frames_of_masks(load_mask_images(files)).tolist() == [0, 1]

    def test_array(self, tmp_path):
        np.save(tmp_path / "a.npy", np.zeros((3, 2, 2)))
        assert load_mask_array(tmp_path / "a.npy").shape == (3, 2, 2)

    @pytest.mark.parametrize("content", [np.zeros((2, 2)), b"junk", b""])
    def test_bad_array(self, tmp_path, content):
        path = tmp_path / "a.npy"
        np.save(path, content) if isinstance(content, np.ndarray) else path.write_bytes(content)
        with pytest.raises(InputError, match=r"a\.npy"):
            load_mask_array(path)

    @pytest.mark.parametrize("version", ["5", "7.3"])
    def test_cells_of_both_versions(self, tmp_path, version):
        masks = [drawn("...", "..."), drawn("..1", "...")]  # not square: rows and columns must not swap
        path = tmp_path / "1_label.mat"
        if version == "5":
            savemat(path, {"volLabel": as_cells(masks)}, do_compression=True)
        else:
            save_mat_73(path, "volLabel", masks)
        read = load_mask_cells(path)
        assert [mask.shape for mask in read] == [(2, 3), (2, 3)]
        assert frames_of_masks(read).tolist() == [0, 1]
        assert regions_of_masks(read).box_xyxy.tolist() == [[2, 0, 3, 1]]

    def test_bad_cells(self, tmp_path):
        savemat(tmp_path / "a.mat", {"other": np.zeros(3), "volLabel": np.zeros((2, 2))})
        with pytest.raises(InputError, match="has no variable gt, but other, volLabel"):
            read_cells(tmp_path / "a.mat", "gt")
        with pytest.raises(InputError, match="volLabel is no cell array"):
            read_cells(tmp_path / "a.mat", "volLabel")
        (tmp_path / "b.mat").write_bytes(b"MATLAB 7.3 MAT-file" + b"\0" * 600)
        (tmp_path / "c.mat").write_bytes(b"junk")
        for name, told in (("b", "cannot be read"), ("c", "cannot be read"), ("missing", "is not there")):
            with pytest.raises(InputError, match=rf"{name}\.mat {told}"):
                read_variables(tmp_path / f"{name}.mat")


class TestRegions:
    def test_empty(self):
        regions = Regions.from_rows([])
        assert (len(regions), regions.box_xyxy.shape) == (0, (0, 4))

    @pytest.mark.parametrize(
        ("frame", "box", "track", "message"),
        [
            ([0], [[0, 0, 1, 1]], [], "do not match"),
            ([0], [[0, 0, 1]], [0], "do not match"),
            ([1, 0], [[0, 0, 1, 1]] * 2, [0, 0], "in order"),
            ([-1], [[0, 0, 1, 1]], [0], "in order"),
            ([0], [[1, 0, 1, 1]], [0], "x1 < x2"),
        ],
    )
    def test_checks_itself(self, frame, box, track, message):
        with pytest.raises(ValueError, match=message):
            Regions(np.array(frame), np.array(box, dtype=np.float32), np.array(track, dtype=np.int64))
