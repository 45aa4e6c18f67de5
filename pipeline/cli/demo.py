"""The demo: a rendered surveillance scene in the `folder` layout."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

from mulde.data.atomic import write_text
from mulde.data.errors import InputError
from mulde.data.rendered.render import render_scene
from mulde.pipeline.cli.console import Bars
from mulde.pipeline.progress import Tracked

_log = logging.getLogger(__name__)


def render_demo(out: Path, seed: int) -> Path:
    """Render the scene below `out`, unless it is there for this seed; return the data set's root.

    Raises:
        InputError: the folder cannot be written.
    """
    root, stamp = out / "scene", out / "scene.json"
    wanted = json.dumps({"seed": seed})
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        _log.info("scene: up to date, %s", root)
        return root
    started = time.monotonic()
    try:
        root.mkdir(parents=True, exist_ok=True)
        stamp.unlink(missing_ok=True)
        with Tracked(Bars(), "render", 0, "clips") as tracked:
            render_scene(root, seed=seed, progress=lambda done, total: tracked.update(done, total=total))
        write_text(stamp, wanted)
    except OSError as error:
        raise InputError(
            f"{out} cannot be written ({error.strerror}): choose another with --out DIR"
        ) from None
    _log.info("scene: rendered in %.1f s, %s", time.monotonic() - started, root)
    return root
