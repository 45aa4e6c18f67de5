"""`mulde doctor`: it says what works, what does not, and what to do, whatever is broken."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mulde.data.decode import readers
from mulde.data.decode.video_files import has_decord
from mulde.data.video import Frame
from mulde.extractors.streams.flow import DenseFlow, FlowField
from mulde.pipeline.cli import doctor
from mulde.pipeline.cli.trials import Trial, WrongResultError, trials

Frames = list[Frame]


def trial(subject: str) -> Trial:
    return next(trial for trial in trials(["cpu"]) if trial.subject == subject)


def test_all_is_well(cli) -> None:
    result = cli("doctor", "--json")
    findings = {finding["subject"]: finding for finding in json.loads(result.out)}
    assert result.code == 0
    assert all(finding["is_good"] for finding in findings.values())
    tried = {
        "cache": "ok: wrote features and read them back",
        "optical flow": "ok: saw a picture move",
        "decoder pyav": "ok: read 12 frames of a video, their pictures and times",
        "detector on cpu": "ok: learnt and scored",
    }
    assert {subject: findings[subject]["value"] for subject in tried} == tried
    if findings["torchvision"]["value"][0].isdecimal():
        assert findings["networks torchvision"]["value"].startswith("ok: made a vector of 1024 numbers")


def raise_(error: Exception) -> Callable[..., Any]:
    def run(*arguments: object, **options: object) -> None:
        raise error

    return run


def test_what_failed_is_told_with_the_way_out(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = [
        Trial("nothing", lambda: "did it", ""),
        Trial("[red]a", raise_(WrongResultError("two is three")), "count again"),
        Trial("b", raise_(OSError("no such library\nand more")), "install it"),
        Trial("c", raise_(RuntimeError()), "pip install c"),
    ]
    monkeypatch.setattr(doctor, "trials", lambda devices: broken)
    result = cli("doctor")
    assert result.code == 2
    lines = [" ".join(line.split()) for line in result.out.splitlines()[-4:]]
    assert lines == [
        "nothing ok: did it",
        "[red]a FAILED: two is three: count again",
        "b FAILED: OSError: no such library: install it",
        "c FAILED: RuntimeError: pip install c",
    ]


def test_a_torch_that_does_not_load_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_torch_devices", raise_(OSError("libcudart.so.12: cannot open")))
    monkeypatch.setattr(doctor, "trials", lambda devices: [Trial("rest", lambda: "done", "")])
    findings = {finding.subject: finding for finding in doctor.examine()}
    assert not findings["torch"].is_good
    assert "libcudart.so.12: cannot open: pip install --upgrade torch" in findings["torch"].value
    assert findings["rest"].value == "ok: done"


def test_gpus_are_tried_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_torch_devices", lambda: ({"cuda:0": "A", "cuda:1": "B"}, 4))
    seen: list[list[str]] = []
    monkeypatch.setattr(doctor, "trials", lambda devices: seen.append(devices) or [])
    findings = {finding.subject: finding.value for finding in doctor.examine()}
    assert (findings["cuda:1"], seen) == ("B", [["cpu", "cuda:0", "cuda:1"]])
    assert {"detector on cpu", "detector on cuda:1"} <= {t.subject for t in trials(["cpu", "cuda:1"])}


@pytest.mark.parametrize("version", ["4.12", None])
def test_what_is_required_and_missing(version: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "version_of", lambda package: version)
    monkeypatch.setattr(doctor, "trials", lambda devices: [])
    (finding,) = [finding for finding in doctor.examine() if finding.subject == "opencv-python"]
    assert (finding.value, finding.is_good) == (version or "missing: pip install mulde", version is not None)


def changed(frames: Frames, change: Callable[[np.ndarray], np.ndarray]) -> Frames:
    return [
        Frame.of_rgb(frame.index, frame.seconds, np.ascontiguousarray(change(frame.rgb))) for frame in frames
    ]


def swapped(frames: Frames) -> Frames:
    frames[5], frames[6] = (
        replace(frames[5], picture=frames[6].picture),
        replace(frames[6], picture=frames[5].picture),
    )
    return frames


BROKEN: dict[str, tuple[Callable[[Frames], Frames], str]] = {
    "no frame": (lambda frames: [], "a video of 12 frames gives 0"),
    "a frame is lost": (lambda frames: frames[:5] + frames[6:], "a video of 12 frames gives 11"),
    "a frame too many": (lambda frames: [*frames, frames[-1]], "a video of 12 frames gives 13"),
    "a copy": (lambda frames: [*frames[:5], frames[4], *frames[6:]], "frame 5 is another picture"),
    "in another order": (swapped, "frame 5 is another picture"),
    "black": (lambda frames: changed(frames, np.zeros_like), "frame 0 is another picture"),
    "mirrored": (lambda frames: changed(frames, np.fliplr), "frame 0 is another picture"),
    "upside down": (lambda frames: changed(frames, np.flipud), "frame 0 is another picture"),
    "BGR": (lambda frames: changed(frames, lambda rgb: rgb[..., ::-1]), "frame 0 is another picture"),
    "turned": (lambda frames: changed(frames, np.rot90), r"frame 0 has shape \(160, 128, 3\)"),
    "too slow": (
        lambda frames: [replace(frame, seconds=2 * frame.seconds) for frame in frames],
        r"frame 1 is at 0\.200 s, not at 0\.100 s",
    ),
}  # fmt: skip


@pytest.mark.parametrize("decoder", ["pyav", "decord"])
@pytest.mark.parametrize("name", BROKEN)
def test_a_decoder_that_is_wrong(name: str, decoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that works but for one thing; what it reads is real."""
    if decoder == "decord" and not has_decord():
        pytest.skip("decord2 is not installed")
    break_, said = BROKEN[name]
    open_frames = readers.open_frames

    @contextmanager
    def broken(*arguments: Any, **options: Any) -> Iterator[Frames]:
        with open_frames(*arguments, **options) as frames:
            yield break_(list(frames))

    monkeypatch.setattr(readers, "open_frames", broken)
    with pytest.raises(WrongResultError, match=said):
        trial(f"decoder {decoder}").run()


def test_a_decoder_that_cannot_be_called_is_told(cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """As PyAV 19 was, whose `open` lacks an option that others have."""
    error = TypeError("open() got an unexpected keyword argument 'metadata_errors'")
    monkeypatch.setattr(readers, "open_frames", raise_(error))
    monkeypatch.setattr(doctor, "trials", lambda devices: [trial("decoder pyav")])
    result = cli("doctor")
    assert result.code == 2
    assert f"FAILED: TypeError: {error}: pip install --upgrade av" in result.out


def test_decord_is_tried_where_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mulde.data.decode.video_files.has_decord", lambda: False)
    assert "decoder decord" not in {trial.subject for trial in trials(["cpu"])}


def test_scores_that_are_no_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mulde.detector.MULDE.anomaly_score", lambda self, rows: np.full(len(rows), np.nan))
    with pytest.raises(WrongResultError, match="not finite"):
        trial("detector on cpu").run()


def test_flow_that_sees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = np.zeros((1, 1), np.float32)
    monkeypatch.setattr(
        DenseFlow,
        "start",
        lambda self: lambda frame, mask, position: FlowField(frame.seconds, None, nothing, frame.size),
    )
    with pytest.raises(WrongResultError, match="seems to have moved by nan"):
        trial("optical flow").run()
