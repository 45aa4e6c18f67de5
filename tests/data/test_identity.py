from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from mulde.data.errors import VideoError
from mulde.data.identity import SourceIdentity, identify, is_unchanged
from mulde.data.video import Video


@pytest.fixture
def file(tmp_path) -> Video:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"0123456789")
    return Video("a", path, tmp_path)


@pytest.fixture
def folder(tmp_path) -> Video:
    path = tmp_path / "clip"
    path.mkdir()
    for name in ("1.png", "2.png", "10.png"):
        (path / name).write_bytes(name.encode())
    return Video("clip", path, tmp_path)


def touch(path: Path) -> None:
    """Move the time of the last change on by a second."""
    later = path.stat().st_mtime_ns + 10**9
    os.utime(path, ns=(later, later))


def test_file(file):
    identity = identify(file, with_digest=False)
    assert (identity.size_bytes, identity.n_files, identity.digest) == (10, 1, "")
    assert identity.mtime_ns == file.path.stat().st_mtime_ns


def test_folder(folder):
    identity = identify(folder, with_digest=True)
    assert (identity.size_bytes, identity.n_files) == (16, 3)
    assert len(identity.digest) == 32


@pytest.mark.parametrize("which", ["file", "folder"])
def test_copied_source_is_the_same_by_digest(request, which):
    video = request.getfixturevalue(which)
    known = identify(video, with_digest=True)
    touch(video.path)
    assert not known.matches(identify(video, with_digest=False))
    assert known.matches(identify(video, with_digest=True))
    assert is_unchanged(video, known)


def test_same_stat_is_enough(file):
    known = SourceIdentity(10, file.path.stat().st_mtime_ns, 1, digest="something else")
    assert is_unchanged(file, known)


def test_without_digest_a_new_time_is_another_source(file):
    known = identify(file, with_digest=False)
    touch(file.path)
    assert not is_unchanged(file, known)


def test_changed_content_of_the_same_size(file):
    known = identify(file, with_digest=True)
    file.path.write_bytes(b"9876543210")
    touch(file.path)
    assert not is_unchanged(file, known)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: (path / "1.png").write_bytes(b"other content"),
        lambda path: (path / "1.png").rename(path / "3.png"),
        lambda path: (path / "1.png").unlink(),
        lambda path: (path / "11.png").write_bytes(b""),
        lambda path: [(path / "1.png").write_bytes(b"2.png"), (path / "2.png").write_bytes(b"1.png")],
    ],
    ids=["content", "rename", "removed", "added", "swapped"],
)
def test_changed_folder(folder, change):
    known = identify(folder, with_digest=True)
    change(folder.path)
    touch(folder.path)
    assert not is_unchanged(folder, known)


def test_junk_beside_the_images_changes_nothing(folder):
    known = identify(folder, with_digest=True)
    (folder.path / "Thumbs.db").write_bytes(b"junk")
    (folder.path / "._1.png").write_bytes(b"junk")
    touch(folder.path)
    assert is_unchanged(folder, known)


def test_goes_through_attributes(file):
    identity = identify(file, with_digest=True)
    attributes = {k: np.int64(v) if isinstance(v, int) else v for k, v in identity.to_dict().items()}
    assert SourceIdentity.from_dict(attributes) == identity


def test_missing(tmp_path):
    with pytest.raises(VideoError, match=r"gone\.mp4 cannot be read"):
        identify(Video("gone", tmp_path / "gone.mp4", tmp_path), with_digest=False)
