"""Files of events: none takes the place of another."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from mulde.pipeline.watch.names import name_of_event

WHEN = datetime(2026, 11, 28, 13, 4, 5)


def test_the_next_free_name(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    names: list[str] = []
    for _ in range(3):
        names.append(name_of_event(tmp_path, "clips", WHEN, 16, ".mp4", names[2:]))
        if len(names) < 3:
            (tmp_path / names[-1]).touch()
    names.append(name_of_event(tmp_path, "clips", WHEN, 16, ".mp4", names))
    assert names == [f"clips/20261128T130405-16{n}.mp4" for n in ("", "-2", "-3", "-4")]
