from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mulde.data.decode.image_folders import load_image
from mulde.data.decode.image_stacks import open_stack
from mulde.data.errors import InputError, VideoError
from mulde.data.foreign.limits import check_picture, check_unpacked


@pytest.mark.parametrize(
    ("n_bytes", "stored", "is_right"),
    [
        (0, 0, True),
        (10**9, 0, True),
        (10**9 + 1, 0, False),
        (10**9 + 1, 10**7, False),
        (10**9 + 1, 10**7 + 1, True),
        (8 * 2**30, 8 * 2**20, False),
        (10**12, 10**10, True),
    ],
)
def test_what_is_unpacked(n_bytes: int, stored: int, is_right: bool) -> None:
    if is_right:
        check_unpacked("a", n_bytes, stored)
        return
    with pytest.raises(InputError, match=r"^a would take .* set MULDE_UNPACK_GB=[2-9] in the environment"):
        check_unpacked("a", n_bytes, stored)


def test_limits_can_be_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MULDE_UNPACK_GB", "9")
    check_unpacked("a", 8 * 2**30, 0)
    with pytest.raises(InputError, match="169 megapixels, but at most 100"):
        check_picture("a", 13_000, 13_000)
    monkeypatch.setenv("MULDE_MEGAPIXELS", "169")
    check_picture("a", 13_000, 13_000)


@pytest.mark.parametrize("text", ["many", "0", "-1", "nan", "inf"])
def test_limits_that_are_none(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("MULDE_UNPACK_GB", text)
    with pytest.raises(InputError, match=f"MULDE_UNPACK_GB is '{text}', but must be a number above 0"):
        check_unpacked("a", 1, 1)


def test_pictures_are_refused_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = [Image.fromarray(np.zeros((100, 100), np.uint8))] * 2
    pages[0].save(tmp_path / "a.png")
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert load_image(tmp_path / "a.png").shape == (100, 100, 3)
    monkeypatch.setenv("MULDE_MEGAPIXELS", "0.009")
    with pytest.raises(VideoError, match=r"a\.png claims 100x100 pixels"):
        load_image(tmp_path / "a.png")
    with pytest.raises(VideoError, match=r"a\.tif, page 0 claims 100x100 pixels"):
        open_stack(tmp_path / "a.tif", 10)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("megapixels", [1, 8, 20])
def test_only_our_limit_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, megapixels: int) -> None:
    """Pillow has one of 89 megapixels: it warns of more, and says of twice as many that there is no image."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2**20)
    Image.new("1", (1000 * megapixels, 1000)).save(tmp_path / "a.png")
    monkeypatch.setenv("MULDE_MEGAPIXELS", str(megapixels))
    assert load_image(tmp_path / "a.png").shape == (1000, 1000 * megapixels, 3)
    monkeypatch.setenv("MULDE_MEGAPIXELS", "0.5")
    with pytest.raises(VideoError, match=r"megapixels, but at most 0\.5 are read: .* set MULDE_MEG"):
        load_image(tmp_path / "a.png")
