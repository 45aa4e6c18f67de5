"""Open data sets, whatever their layout on disk.

To add a layout: write `layout_<name>.py` with a `LAYOUT`, give it a line in `LAYOUTS`, and rows in the tests.
"""

from __future__ import annotations

from pathlib import Path

from mulde.data import layout_folder, layout_ucsd
from mulde.data.dataset import Dataset, Layout
from mulde.data.errors import InputError
from mulde.data.find_videos import check_folder, find_videos
from mulde.data.layout_folder import open_folders

__all__ = ["LAYOUTS", "Dataset", "Layout", "find_videos", "open_dataset", "open_folders", "recognise_layout"]

LAYOUTS: dict[str, Layout] = {
    # in the order in which "auto" tries them: the special before the general
    "ucsd_ped": layout_ucsd.LAYOUT,
    "folder": layout_folder.LAYOUT,
}


def open_dataset(root: Path, layout: str = "auto") -> Dataset:
    """Find the videos, their split and their labels below `root`.

    Args:
        root: The data set's folder.
        layout: A name in `LAYOUTS`, or "auto" for the first that recognises the folder.

    Raises:
        InputError: The layout is unknown, nothing recognises the folder, or it cannot be used as it is.
    """
    root = Path(root)
    check_folder(root)
    name = recognise_layout(root) if layout == "auto" else layout
    if name not in LAYOUTS:
        raise InputError(f"unknown layout {layout!r}: it is auto, {', '.join(sorted(LAYOUTS))}")
    return LAYOUTS[name].read(root)


def recognise_layout(root: Path) -> str:
    """Give the name of the layout of a folder.

    Raises:
        InputError: None recognises it; the text says what was looked for.
    """
    for name, layout in LAYOUTS.items():
        if layout.recognise(root):
            return name
    looked_for = "; ".join(f"{name}: {layout.looks_for}" for name, layout in LAYOUTS.items())
    raise InputError(f"{root} has no known layout. Looked for {looked_for}")
