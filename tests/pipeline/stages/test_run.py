"""What is said before stages run."""

from __future__ import annotations

from pathlib import Path

import pytest

from mulde.data.errors import InputError
from mulde.pipeline.config.load import load_config
from mulde.pipeline.open_job import open_job
from mulde.pipeline.runs.origin import write_signed
from mulde.pipeline.stages.run import run_stages


@pytest.mark.parametrize(("preset", "is_told"), [("camera", True), ("motion", False)])
def test_who_goes_on_with_another_preset_is_told(
    preset: str, is_told: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "normal").mkdir()
    (tmp_path / "normal" / "a.mp4").write_text("no video")
    given = {"data.normal": [tmp_path / "normal"], "out": tmp_path / "run", "cache": tmp_path / "cache"}
    job = open_job(load_config(options=given), needs_test=False)
    job.run.require_writable()
    write_signed(job.run.config, load_config(options={**given, "preset": preset}))
    with pytest.raises(InputError):  # there is nothing to learn from
        run_stages(job, ["extract"])
    assert ("was made with the preset camera, and is made again with motion" in caplog.text) == is_told
