"""Networks of ultralytics (AGPL-3.0): loaded once a process, kept from the network and the home folder."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from mulde.data.errors import InputError, require_package
from mulde.extractors.base import PERSON
from mulde.extractors.boxes.detected import BoxDetector, Detections
from mulde.extractors.networks.machine import Machine, cut, mixed_precision, run_batches
from mulde.extractors.networks.weights import Weights
from mulde.extractors.settings import InferencePrecision, YoloSettings

_NO_NAME = re.compile(r"(class)?\d+")
_RUNTIMES = {
    ".onnx": ("onnxruntime", "onnxruntime"),
    ".tflite": ("ai_edge_litert", "ai-edge-litert"),
    ".engine": ("tensorrt", "tensorrt"),
}
"""By suffix of exported weights: the module that runs them, and the package that has it."""


@dataclass(frozen=True)
class YoloDetector(BoxDetector):
    """Objects found by a YOLO network.

    Where its class "person" has another number than COCO's 0, the two change places.
    """

    name: ClassVar[str] = "yolo"
    code_version: ClassVar[int] = 2

    weights: Weights
    options: YoloSettings
    machine: Machine = field(default_factory=Machine, compare=False)

    @property
    def batch_size(self) -> int:
        """Frames at a time."""
        return self.options.batch_size if is_native(self.weights) else 1

    def settings(self) -> dict[str, Any]:
        """Return the options, and the content of the weights."""
        return {
            "code_version": self.code_version,
            "weights": self.weights.digest,
            "image_size_px": self.options.image_size_px,
            "confidence": self.options.confidence,
            "nms_iou": self.options.nms_iou,
            "classes": list(self.options.classes),
            "precision": self.options.precision,
        }

    def check(self) -> None:
        """Raise InputError if ultralytics, or the file, is not there, or takes no other precision."""
        size = ("image_size_px", self.options.image_size_px)
        check_yolo(self.weights, "detect", self.options.precision, "boxes.yolo", size)

    def detect(self, images_rgb: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Return what is in each image, the surest first.

        On a processor images go one by one, which costs nothing and gives the same bits whatever the batch.
        """
        on_processor = self.machine.torch_device().type == "cpu"
        model = load_yolo(self.weights, self.machine, "detect")
        classes = self._class_ids(model.names)
        results = predict(
            model,
            self.weights.name,
            images_rgb,
            self.machine,
            1 if on_processor else self.batch_size,
            self.options.precision,
            imgsz=self.options.image_size_px,
            conf=self.options.confidence,
            iou=self.options.nms_iou,
            classes=classes,
        )
        person = person_class(model.names)
        return [self._detections(result.boxes, person, len(model.names)) for result in results]

    def _class_ids(self, names: dict[int, str]) -> list[int] | None:
        unknown = set(self.options.classes) - set(names.values())
        if unknown:
            raise InputError(
                f"`boxes.yolo.classes` has {', '.join(sorted(unknown))}, but the classes that "
                f"{self.weights.name} knows are {', '.join(names.values())}"
            )
        return [index for index, name in names.items() if name in self.options.classes] or None

    def _detections(self, boxes: Any, person: int | None, n_classes: int) -> Detections:
        data = boxes.data.float().cpu().numpy()  # (n, 6): x1, y1, x2, y2, confidence, class
        class_id = data[:, 5].astype(np.int64)
        if person != PERSON:
            first = n_classes if person is None else person  # the number that class 0 gets
            class_id = np.where(class_id == person, PERSON, np.where(class_id == PERSON, first, class_id))
        return Detections(
            np.ascontiguousarray(data[:, :4], np.float32), data[:, 4].astype(np.float32), class_id
        )


def person_class(names: Mapping[int, str]) -> int | None:
    """Return the number of the class "person"; None if there is none. Classes without names are COCO's."""
    if all(_NO_NAME.fullmatch(name) for name in names.values()):
        return PERSON
    return next((index for index, name in names.items() if name.casefold() == "person"), None)


def is_native(weights: Weights) -> bool:
    """Whether the weights are in ultralytics' own format; exported ones take a fixed batch, mostly of one."""
    return weights.path is not None and _is_native(weights.path)


def _is_native(path: Path) -> bool:
    return path.suffix == ".pt"


def check_yolo(
    weights: Weights, task: str, precision: InferencePrecision, setting: str, size: tuple[str, int]
) -> None:
    """Raise InputError if ultralytics, the weights, or what runs their format is not there.

    Also if it is an exported format, whose precision is its own, and another one is asked for; and if it is
    an ONNX file that is not of ultralytics, for another task, or of another size.

    Args:
        setting: the group that the options are, such as "pose", for messages.
        size: name and value of the setting of the longer side in pixels.
    """
    import_ultralytics(weights.folder)
    path = weights.require()
    if precision != "float32" and not _is_native(path):
        raise InputError(
            f"`{setting}.precision`={precision} does nothing for {path}: export it in that precision, and "
            "leave the setting out"
        )
    if path.suffix in _RUNTIMES:
        module, package = _RUNTIMES[path.suffix]
        if find_spec(module) is None:
            raise InputError(f"{path} needs {package}, which is not installed: pip install {package}")
    if path.suffix == ".onnx":
        _check_onnx(path, task, setting, size)


def _check_onnx(path: Path, task: str, setting: str, size: tuple[str, int]) -> None:
    onnxruntime = require_package("onnxruntime", "onnx")
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # whatever a file that is no network leads to
        raise InputError(f"{path} cannot be loaded as an ONNX network: give another file") from error
    found = session.get_modelmeta().custom_metadata_map.get("task")
    if found is None:
        raise InputError(
            f"{path} is no export of ultralytics, and others cannot be read: export one with `yolo export`"
        )
    if found != task:
        raise InputError(f"{path} is a network for {found}, but one for {task} is needed")
    longer = max((side for side in session.get_inputs()[0].shape[2:] if isinstance(side, int)), default=None)
    name, wanted = size
    if longer not in (None, wanted):
        raise InputError(f"{path} takes images of {longer} px alone: set `{setting}.{name}`={longer}")


def import_ultralytics(folder: Path) -> Any:
    """Import ultralytics such that it reports nothing, fetches nothing, and writes only below `folder`.

    Checkpoints are pickles: only classes of ultralytics and torch are let in, unless the user has set
    ULTRALYTICS_SAFE_LOAD to something else.

    Raises:
        InputError: it is not installed.
    """
    os.environ["YOLO_OFFLINE"] = "true"
    os.environ["YOLO_AUTOINSTALL"] = "false"
    os.environ["YOLO_CONFIG_DIR"] = str(folder.resolve())
    os.environ.setdefault("YOLO_VERBOSE", "false")
    os.environ.setdefault("ULTRALYTICS_SAFE_LOAD", "true")
    folder.mkdir(parents=True, exist_ok=True)
    ultralytics = require_package("ultralytics", "yolo")
    if ultralytics.settings["sync"]:
        ultralytics.settings.update(sync=False)
    return ultralytics


def load_yolo(weights: Weights, machine: Machine, task: str) -> Any:
    """Return an `ultralytics.YOLO` on the machine's device; the same one for the same file.

    Raises:
        InputError: the file is not there, or holds no network for the task.
    """
    path = weights.require()
    stat = path.stat()
    return _load(str(path), stat.st_size, stat.st_mtime_ns, machine, task)


@lru_cache(maxsize=8)
def _load(path: str, size_bytes: int, mtime_ns: int, machine: Machine, task: str) -> Any:
    ultralytics = import_ultralytics(machine.weights_folder)
    try:
        model = ultralytics.YOLO(path, task=task)
        found, _ = model.task, model.names
    except Exception as error:  # whatever a file that is no network leads to
        text = " ".join(str(error).split())
        raise InputError(f"{path} cannot be loaded as a YOLO network ({text}): give another file") from error
    if found != task:
        raise InputError(f"{path} is a network for {found}, but one for {task} is needed")
    if _is_native(Path(path)):
        import torch

        model.fuse()  # now, for layers that are fused later would be laid out as before
        model.model.to(memory_format=torch.channels_last)  # the same bits in two thirds of the time
    return model


def predict(
    model: Any,
    name: str,
    images_rgb: Sequence[NDArray[np.uint8]],
    machine: Machine,
    batch_size: int,
    precision: InferencePrecision,
    **options: Any,
) -> list[Any]:
    """Run a network on images of one size; return ultralytics' results in pixels of the images.

    One call a batch: an abandoned generator would lock the next call, and sizes that are mixed would be
    letterboxed otherwise.

    Args:
        model: what `load_yolo` gives.
        name: of its weights, for messages.
        options: further ones of ultralytics.

    Raises:
        NoRoomError: an image does not fit into the GPU's memory.
    """
    device = machine.torch_device()
    # ultralytics takes arrays as OpenCV reads them: blue first
    images = [cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR) for image in images_rgb]

    def run(batch: Sequence[NDArray[np.uint8]]) -> list[Any]:
        with _threads_kept(), mixed_precision(device, precision):
            return list(model.predict(list(batch), device=device, verbose=False, save=False, **options))

    results = run_batches(run, cut(images, batch_size), name)
    return [result for of_batch in results for result in of_batch]


@contextlib.contextmanager
def _threads_kept() -> Iterator[None]:
    """Undo what ultralytics does to the number of torch's threads when it sets up a device."""
    import torch

    n_threads = torch.get_num_threads()
    yield
    if torch.get_num_threads() != n_threads:
        torch.set_num_threads(n_threads)
