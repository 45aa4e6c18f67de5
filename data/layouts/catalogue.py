"""Open data sets, whatever their layout on disk.

To add a layout: write `layout_<name>.py` with a `LAYOUT`, give it a line in `LAYOUTS`, and rows in the tests.
"""

from __future__ import annotations

from pathlib import Path

from mulde.data.errors import InputError
from mulde.data.layouts import avenue as layout_avenue
from mulde.data.layouts import folder as layout_folder
from mulde.data.layouts import nwpu_campus as layout_nwpu_campus
from mulde.data.layouts import repack as layout_repack
from mulde.data.layouts import shanghaitech as layout_shanghaitech
from mulde.data.layouts import ubnormal as layout_ubnormal
from mulde.data.layouts import ucf_crime as layout_ucf_crime
from mulde.data.layouts import ucsd as layout_ucsd
from mulde.data.layouts import xd_violence as layout_xd_violence
from mulde.data.layouts.dataset import Dataset, Layout
from mulde.data.layouts.find_videos import check_folder, find_videos
from mulde.data.layouts.folder import open_folders

__all__ = ["LAYOUTS", "Dataset", "Layout", "find_videos", "open_dataset", "open_folders", "recognise_layout"]

LAYOUTS: dict[str, Layout] = {
    "ucsd_ped": layout_ucsd.LAYOUT,
    "repack": layout_repack.LAYOUT,
    "avenue": layout_avenue.LAYOUT,
    "shanghaitech": layout_shanghaitech.LAYOUT,
    "ubnormal": layout_ubnormal.LAYOUT,
    "ucf_crime": layout_ucf_crime.LAYOUT,
    "xd_violence": layout_xd_violence.LAYOUT,
    "nwpu_campus": layout_nwpu_campus.LAYOUT,
    "folder": layout_folder.LAYOUT,
}
GENERAL = "folder"
"""The layout that is tried last: it also fits some of the others."""


def open_dataset(root: Path, layout: str = "auto") -> Dataset:
    """Find the videos, their split and their labels below `root`.

    Args:
        root: the data set's folder.
        layout: A name in `LAYOUTS`, or "auto" for the one that recognises the folder.

    Raises:
        InputError: the layout is unknown, none or several fit the folder, or it cannot be used as it is.
    """
    root = Path(root)
    check_folder(root)
    name = recognise_layout(root) if layout == "auto" else layout
    if name not in LAYOUTS:
        raise InputError(f"unknown layout {layout!r}: it is auto, {', '.join(sorted(LAYOUTS))}")
    return LAYOUTS[name].read(root)


def recognise_layout(root: Path) -> str:
    """Return the name of the layout of a folder.

    Raises:
        InputError: none recognises it, and the text says what was looked for; or several do.
    """
    found = [name for name, layout in LAYOUTS.items() if name != GENERAL and layout.recognise(root)]
    if len(found) > 1:
        raise InputError(
            f"{root} fits the layouts {' and '.join(found)}: give the folder of one data set, or `layout`"
        )
    if found:
        return found[0]
    if LAYOUTS[GENERAL].recognise(root):
        return GENERAL
    looked_for = "; ".join(f"{name}: {layout.looks_for}" for name, layout in LAYOUTS.items())
    raise InputError(f"{root} has no known layout. Looked for {looked_for}")
