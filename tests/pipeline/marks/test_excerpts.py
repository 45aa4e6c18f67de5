"""The features of marked events: written, read as a video's, refused where they do not fit."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from mulde.data.cache.store import read_frame_seconds, read_rows
from mulde.data.errors import InputError
from mulde.data.features import FeatureRows
from mulde.pipeline.marks.excerpts import (
    ABOUT,
    Excerpt,
    ExcerptRows,
    copy_excerpt,
    open_excerpt,
    read_event,
    write_excerpt,
)
from mulde.pipeline.marks.record import ToldEvent

TOLD = ToldEvent("live:20261128T130405-3", "live", "", "gate", 10.0, 14.0, None, 1.5, "", "s", 60.0)
DIGESTS = {"velocity": "a1", "place": "b2"}
NO_ROWS = FeatureRows(np.zeros((0, 2), np.float32), np.zeros(0, np.int64), np.zeros((0, 4), np.float32))
TWO_ROWS = FeatureRows(
    np.array([[1, 2], [3, np.nan]], np.float32),
    np.array([0, 2]),
    np.arange(8, dtype=np.float32).reshape(2, 4),
)


def excerpt(rows: FeatureRows) -> Excerpt:
    return Excerpt(TOLD, ExcerptRows({"velocity": rows, "place": rows}, np.array([0, 0.1, 0.2]), 25.0))


@pytest.mark.parametrize("rows", [NO_ROWS, TWO_ROWS])
def test_it_reads_back_as_a_video(rows: FeatureRows, tmp_path: Path) -> None:
    write_excerpt(tmp_path, excerpt(TWO_ROWS), DIGESTS)
    folder = write_excerpt(tmp_path, excerpt(rows), DIGESTS)  # in place of that
    assert read_event(folder) == TOLD
    cached = open_excerpt(folder, DIGESTS)
    assert (cached.is_complete, cached.video.scene, cached.report.n_frames) == (True, "gate", 3)
    for entry in cached.entries.values():
        again = read_rows(entry.path)
        for name in ("features", "frame", "box_xyxy"):
            np.testing.assert_array_equal(getattr(again, name), getattr(rows, name))
        np.testing.assert_array_equal(read_frame_seconds(entry.path), [0, 0.1, 0.2])


def test_content_tells_excerpts_apart(tmp_path: Path) -> None:
    digests = set()
    for rows in (NO_ROWS, TWO_ROWS, TWO_ROWS):
        cached = open_excerpt(write_excerpt(tmp_path, excerpt(rows), DIGESTS), DIGESTS)
        digests.add(cached.entries["place"].identity.digest)
    assert len(digests) == 2


def test_a_copy_holds_what_was_opened_and_nothing_else(tmp_path: Path) -> None:
    folder = write_excerpt(tmp_path / "of", excerpt(TWO_ROWS), DIGESTS)
    (folder / "private.txt").write_text("mine")
    copy_excerpt(open_excerpt(folder, DIGESTS), tmp_path / "to" / folder.name)
    copied = tmp_path / "to" / folder.name
    assert sorted(path.name for path in copied.iterdir()) == sorted([ABOUT, "place.h5", "velocity.h5"])
    assert read_event(copied) == TOLD
    (folder / "place.h5").rename(tmp_path / "elsewhere.h5")
    (folder / "place.h5").symlink_to(tmp_path / "elsewhere.h5")
    with pytest.raises(InputError, match=r"place\.h5 is a link"):
        copy_excerpt(open_excerpt(folder, DIGESTS), copied)


def test_nothing_is_written_where_a_link_leads(tmp_path: Path) -> None:
    cached = open_excerpt(write_excerpt(tmp_path / "of", excerpt(TWO_ROWS), DIGESTS), DIGESTS)
    victim, outside, to = tmp_path / "victim", tmp_path / "outside", tmp_path / "to"
    victim.write_text("mine")
    outside.mkdir()
    for above, write in (
        (to, lambda: copy_excerpt(cached, to / TOLD.folder_name)),
        (to, lambda: write_excerpt(to, excerpt(TWO_ROWS), DIGESTS)),
    ):
        folder = above / TOLD.folder_name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "velocity.h5").unlink(missing_ok=True)
        (folder / "velocity.h5").symlink_to(victim)
        write()
        assert victim.read_text() == "mine"
        assert open_excerpt(folder, DIGESTS).is_complete
        shutil.rmtree(folder)
        folder.symlink_to(outside)
        write()
        assert list(outside.iterdir()) == []
        assert open_excerpt(folder, DIGESTS).is_complete


def test_what_cannot_be_used(tmp_path: Path) -> None:
    folder = write_excerpt(tmp_path, excerpt(TWO_ROWS), DIGESTS)
    with pytest.raises(InputError, match="made with other settings"):
        open_excerpt(folder, {**DIGESTS, "place": "c3"})
    with pytest.raises(InputError, match="made with other settings"):
        open_excerpt(folder, {**DIGESTS, "pose": "d4"})
    (folder / "place.h5").write_bytes(b"")
    with pytest.raises(InputError, match="cannot be read"):
        open_excerpt(folder, DIGESTS)
    (folder / ABOUT).unlink()
    with pytest.raises(InputError, match="missing or damaged"):
        open_excerpt(folder, DIGESTS)


def test_rows_are_of_the_frames_that_were_looked_at() -> None:
    with pytest.raises(ValueError, match="outside the 2 looked at"):
        ExcerptRows({"place": TWO_ROWS}, np.array([0, 0.1]), 25.0)
