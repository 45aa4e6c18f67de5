"""Several cameras in one process: a file that names them, and a thread for each.

A thread decodes its footage, describes and scores it; OpenCV, PyAV and torch let go of Python's lock while
they work, so that cores are busy, and a camera that is lost waits alone. Networks take turns. What is seen
waits in a queue of bounded length; where whoever takes it is slow, cameras drop frames, as one alone does.
"""

from __future__ import annotations

import logging
import queue
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from annotated_types import Gt, MinLen
from pydantic import Field, ValidationError, field_validator, model_validator

from mulde.data.errors import InputError
from mulde.data.foreign.text import read_text
from mulde.pipeline.config.load import parse_yaml
from mulde.pipeline.config.words import in_users_words, respelled
from mulde.pipeline.models.model import RunModel
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.origin import load_config_of_model
from mulde.pipeline.section import Section
from mulde.pipeline.watch.sources import Lost, Source, open_source
from mulde.pipeline.watch.watcher import Seen, Watcher

_log = logging.getLogger(__name__)
_NAME = re.compile(r"[\w-][\w.-]*")
_MOST_WAITING = 256
_POLL_SECONDS, _LAST_SECONDS = 0.5, 15.0
T = TypeVar("T")


class CameraEntry(Section):
    """One camera of the file."""

    name: str
    """What records call it, and its folder is called."""
    source: str
    """As `mulde watch` takes it."""
    model: Path | None = None
    """The run whose model watches; that of the file if not given."""
    camera: str = ""
    """Which of the cameras of the run, if it has several."""
    follow: Annotated[float, Gt(0)] | None = None
    """The source grows: end when nothing has come for so many seconds."""
    settings: tuple[str, ...] = ()
    """Further settings, key=value."""

    @field_validator("source", mode="before")
    @classmethod
    def _may_be_a_number(cls, source: Any) -> Any:
        return str(source) if isinstance(source, int) and not isinstance(source, bool) else source

    @field_validator("name")
    @classmethod
    def _names_a_folder(cls, name: str) -> str:
        if not _NAME.fullmatch(name):
            raise ValueError("a name is of letters, digits, '_', '-' and '.', and does not begin with '.'")
        return name


class CamerasFile(Section):
    """What a file of cameras holds."""

    cameras: Annotated[tuple[CameraEntry, ...], MinLen(1)]
    model: Path | None = None
    """The run of cameras that name none."""
    settings: tuple[str, ...] = Field(default=())
    """Of all cameras, key=value; what a camera gives itself goes before it."""

    @model_validator(mode="after")
    def _names_tell_cameras_apart(self) -> CamerasFile:
        names = [entry.name.casefold() for entry in self.cameras]
        for entry in self.cameras:
            if names.count(entry.name.casefold()) > 1:
                raise ValueError(f"two cameras are called {entry.name}")
        return self


@dataclass(frozen=True)
class OpenCamera:
    """A camera, ready to be watched."""

    name: str
    run: RunFolder
    watcher: Watcher
    source: Source


def read_cameras(path: Path) -> CamerasFile:
    """Read a file of cameras.

    Raises:
        InputError: it is none; the text says where, and what is allowed.
    """
    try:
        content = parse_yaml(read_text(path))
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{path} is no YAML: {error}") from None
    if not isinstance(content, Mapping):
        raise InputError(f"{path} must hold `cameras`, a list with the name and the source of each")
    try:
        return CamerasFile.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{path}: {_in_words(error, content)}") from None


def open_cameras(
    path: Path, *, model: Path | None = None, settings: Sequence[str] = (), trust: bool = False
) -> list[OpenCamera]:
    """Read a file of cameras, and load what they need; models are loaded once.

    A camera that does not answer is no error: it is tried again.

    Args:
        model: the run of cameras that name none, in place of that of the file.
        settings: of all cameras, key=value, in place of what the file says.
        trust: whether code that a run from elsewhere names may run.

    Raises:
        InputError: the file, a model, a setting or a source cannot be used; the text names the camera.
    """
    known = read_cameras(path)
    turn, loaded, cameras = threading.Lock(), dict[tuple[str, ...], RunModel](), list[OpenCamera]()
    for entry in known.cameras:
        run = entry.model or model or known.model
        if run is None:
            raise InputError(f"{path}: camera {entry.name} has no model: give model, or --model RUN for all")
        try:
            camera = _open(
                entry, RunFolder(run), (*known.settings, *entry.settings, *settings), loaded, trust
            )
        except InputError as error:
            raise InputError(f"{path}: camera {entry.name}: {error}") from None
        camera.watcher.turn = turn
        cameras.append(camera)
    return cameras


@in_users_words()
def _open(
    entry: CameraEntry,
    run: RunFolder,
    settings: Sequence[str],
    loaded: dict[tuple[str, ...], RunModel],
    trust: bool,
) -> OpenCamera:
    if not run.model_config.exists():
        raise InputError(f"{run.folder} is no run with a trained model")
    source = open_source(entry.source, follow_seconds=entry.follow)
    source.is_patient, source.shows = True, entry.name
    config = load_config_of_model(run, overrides=settings, trust=trust)
    key = str(run.model.resolve()), config.device, config.extract.model_dump_json()
    with respelled(camera="camera"):
        watcher = Watcher(run, config, camera=entry.camera, model=loaded.get(key))
    loaded[key] = watcher.model
    return OpenCamera(entry.name, run, watcher, source)


def watch_all(cameras: Sequence[OpenCamera]) -> Generator[tuple[str, Seen], None, None]:
    """Watch cameras side by side, and yield what is seen with the name of the camera, until all have ended.

    One that fails is given up, which is a `Lost`; the others go on.
    """
    feeds = {camera.name: _watching(camera) for camera in cameras}
    return side_by_side(feeds, [camera.source for camera in cameras])


def _watching(camera: OpenCamera) -> Callable[[], Generator[Seen, None, None]]:
    return lambda: given_up_alone(camera.name, camera.watcher.watch(camera.source))


def given_up_alone(name: str, seen: Iterator[Seen]) -> Generator[Seen, None, None]:
    """Yield what is seen; an error ends it as a source that is given up, and nobody else."""
    try:
        yield from seen
    except InputError as error:
        yield Lost(str(error), None)
    except Exception as error:
        _log.exception("camera %s is given up", name)
        yield Lost(f"unexpected error: {error}", None)


def side_by_side(
    feeds: Mapping[str, Callable[[], Generator[T, None, None]]], sources: Sequence[Source]
) -> Generator[tuple[str, T], None, None]:
    """Yield what feeds give, each in a thread of its own, with their names, until all have ended.

    What a feed raises is raised here; then, or when nobody asks any more, the others are ended.

    Args:
        sources: of all feeds, which end when these are over.
    """
    waiting: queue.Queue[tuple[str, T] | BaseException | None] = queue.Queue(_MOST_WAITING)
    stop = threading.Event()

    def put(item: tuple[str, T] | BaseException | None) -> None:
        while not stop.is_set():
            try:
                waiting.put(item, timeout=_POLL_SECONDS)
            except queue.Full:
                continue
            return

    def work(name: str, feed: Callable[[], Generator[T, None, None]]) -> None:
        try:
            with closing(feed()) as items:
                for item in items:
                    put((name, item))
                    if stop.is_set():
                        return
        except BaseException as error:  # passed on, whatever it is
            put(error)
            return
        put(None)

    threads = [
        threading.Thread(target=work, args=each, name=f"camera {each[0]}", daemon=True)
        for each in feeds.items()
    ]
    for thread in threads:
        thread.start()
    try:
        n_left = len(threads)
        while n_left:
            try:
                item = waiting.get(timeout=_POLL_SECONDS)  # so that signals are heard
            except queue.Empty:
                continue
            if isinstance(item, BaseException):
                raise item
            if item is None:
                n_left -= 1
                continue
            yield item
    finally:
        stop.set()
        for source in sources:
            source.is_over.set()
        deadline = time.monotonic() + _LAST_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))


def _in_words(error: ValidationError, content: Mapping[str, Any]) -> str:
    """Return where the first mistake of a file is, and what is allowed there."""
    first = error.errors()[0]
    where = _place(first["loc"], content)
    if first["type"] == "extra_forbidden":
        section = CameraEntry if len(first["loc"]) > 1 else CamerasFile
        return f"{where} is no key: known are {', '.join(section.model_fields)}"
    if first["type"] == "value_error":
        return f"{where}: {first['ctx']['error']}" if where else str(first["ctx"]["error"])
    if first["type"] == "missing":
        return f"{where} is missing"
    return f"{where} is not allowed: {first['msg'][0].lower()}{first['msg'][1:]}"


def _place(parts: Sequence[int | str], content: Mapping[str, Any]) -> str:
    """Return the place of a value as people find it: "source of camera door", "name of the 2. camera"."""
    if len(parts) < 2 or parts[0] != "cameras":
        return ".".join(map(str, parts))
    entry = content["cameras"][parts[1]]
    name = entry.get("name") if isinstance(entry, Mapping) else None
    camera = f"camera {name}" if isinstance(name, str) else f"the {int(parts[1]) + 1}. camera"
    below = ".".join(str(part) for part in parts[2:])
    return f"{below} of {camera}" if below else camera
