"""Take features that were made elsewhere into the cache, and find them there by the name of their split."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from uuid import uuid4

import numpy as np

from mulde.data.atomic import make_folder
from mulde.data.cache.entries import DESCRIPTION, IMPORTED, StreamFolder, list_streams
from mulde.data.cache.keys import STAGING, import_claim
from mulde.data.cache.storage import Place, require_folder
from mulde.data.cache.store import FeatureCache, StreamKey, write_description, write_rows
from mulde.data.decode.readers import FRAMES_PER_SECOND
from mulde.data.errors import InputError
from mulde.data.exchange.sources import ForeignSource, ForeignVideo, read_foreign
from mulde.data.exchange.traits import UNKNOWN, FeatureTraits, read_traits
from mulde.data.identity import SourceIdentity, identify_file
from mulde.data.times import mean_rate
from mulde.data.video import DecodeReport

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class ImportRequest:
    """What to import, and as what."""

    source: ForeignSource
    stream: str
    """What the features are, such as "pose"; runs name it among their streams."""
    split: str
    """Whose features they are, such as "ped2/training"; runs name it to learn from it or to score it."""
    fps: float | None = None
    """Rate of the videos; where not given, what the times of frames or the files say, or 25."""
    n_whitened: int | None = None
    """Principal components that a detector keeps; where not given, what the files say, or all features."""
    has_one_unit: bool | None = None
    """Whether all features are components of one quantity, so that a detector must not scale them apart;
    where not given, what the files say, or not."""
    replace: bool = False
    """Whether other features that were imported under these names give way."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.stream):
            raise InputError(f"{self.stream!r} is no name of a stream: use letters, digits, -, _ and .")
        if not all(_NAME.fullmatch(part) for part in self.split.split("/")):
            raise InputError(
                f"{self.split!r} is no name of a split: use letters, digits, -, _ and ., with / between parts"
            )
        if self.fps is not None and not (np.isfinite(self.fps) and self.fps > 0):
            raise InputError(f"fps is {self.fps}, but must be above 0")
        if self.n_whitened is not None and self.n_whitened < 1:
            raise InputError(f"`n_whitened` {self.n_whitened}: at least 1 component must be kept")


@dataclass(frozen=True)
class ImportedSplit:
    """One stream of one split, as it is in the cache."""

    key: StreamKey
    split: str
    home: Path
    """The folder of its entries."""
    entries: dict[str, Path]
    """By video name."""
    origin: str
    """The file or folder that it came from."""
    imported_at: str
    n_features: int
    traits: FeatureTraits
    is_of_objects: bool
    """Whether rows are about objects, of which a frame can have several or none, and not about frames."""

    @property
    def stream(self) -> str:
        """Its name in `extract.streams`."""
        return self.key.stream


class ImportContent:
    """What has been written so far of one import: counts, and a digest of all values."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self.n_videos = self.n_frames = self.n_rows = self.n_features = 0
        self.has_boxes = self.has_spans = self.is_of_objects = self.is_fps_assumed = False
        self.fps = 0.0
        self.looked_at_per_second: float | None = None
        self.traits = UNKNOWN
        self.identities: dict[Path, SourceIdentity] = {}

    @property
    def digest(self) -> str:
        """Hash of names, frame counts, times and all rows: the same wherever the features lay before."""
        return self._hash.hexdigest()

    def add(self, video: ForeignVideo, seconds: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> None:
        rows = video.rows
        kind = (rows.n_features, rows.box_xyxy is not None, rows.start is not None)
        if self.n_videos and kind != (self.n_features, self.has_boxes, self.has_spans):
            raise InputError(
                f"{video.source}: video {video.name} has {_kind(*kind)}, those before it "
                f"{_kind(self.n_features, self.has_boxes, self.has_spans)}: all must be alike"
            )
        if self.n_videos and video.looked_at_per_second != self.looked_at_per_second:
            raise InputError(
                f"{video.source}: of video {video.name} {_looks(video.looked_at_per_second)} were looked at, "
                f"of those before it {_looks(self.looked_at_per_second)}: all must be alike"
            )
        if self.n_videos and video.traits != self.traits:
            raise InputError(
                f"{video.source}: of video {video.name} it says {_says(video.traits)}, of those before it "
                f"{_says(self.traits)}: all must be alike"
            )
        self.looked_at_per_second, self.traits = video.looked_at_per_second, video.traits
        self.n_features, self.has_boxes, self.has_spans = kind
        self.n_videos, self.n_frames = self.n_videos + 1, self.n_frames + video.n_frames
        self.n_rows += len(rows)
        self.is_of_objects |= video.is_of_objects
        self._hash.update(f"{video.name}\0{video.n_frames}\0{len(rows)}\0".encode())
        for values in (seconds, rows.features, rows.frame, rows.box_xyxy, rows.start, rows.stop):
            if values is not None:
                self._hash.update(np.ascontiguousarray(values).data)

    def identity(self, path: Path) -> SourceIdentity:
        """Describe a source file; once, however many videos it holds."""
        if path not in self.identities:
            self.identities[path] = identify_file(path)
        return self.identities[path]


@dataclass(frozen=True)
class ImportResult:
    """What an import did."""

    folder: Path
    """Where the features are now."""
    content: ImportContent
    was_there: bool
    """Whether the very same features were there already."""
    taken: FeatureTraits
    """What the files say that nobody said otherwise."""


def import_features(request: ImportRequest, cache: Place) -> ImportResult:
    """Check features, and put all of them into the cache or none.

    They are written to a folder beside, which takes its place in the cache as a whole.

    Raises:
        InputError: something cannot be used, or others are there under these names.
    """
    cache = require_folder(cache, "importing needs")
    store = FeatureCache(cache)
    store.require_writable()
    with (
        store.claim_name(*import_claim(request.stream, request.split), wait=False) as is_ours,
        _staging(cache) as staging,
    ):
        if not is_ours:
            raise InputError(f"another process imports {request.stream} of {request.split} just now")
        content = ImportContent()
        for video in read_foreign(request.source):
            _write(request, staging, video, content)
        key = _key(request, content)
        write_description(staging / DESCRIPTION, key, _notes(request, content))
        was_there = _put_in_place(request, cache, staging, key)
        return ImportResult(cache / key.stream / key.key, content, was_there, _taken(request, content))


def _put_in_place(request: ImportRequest, cache: Path, staging: Path, key: StreamKey) -> bool:
    """Move what was staged to its place, unless it is there; return whether it was there."""
    before = [found for found in list_imported(cache, request.split) if found.stream == request.stream]
    places = [found.home for found in before]
    place = cache / key.stream / key.key
    if place in places and not request.replace:
        return True
    if before and not request.replace:
        raise InputError(
            f"{request.stream} of {request.split} was already imported from {before[0].origin}, with other "
            "features or settings: add `replace`, or choose another name for `split`"
        )
    if place.exists():  # the same features, perhaps damaged since
        shutil.rmtree(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    staging.rename(place)
    for other in places:
        if other != place:
            shutil.rmtree(other)
    return False


def list_imported(cache: Place, split: str | None = None) -> list[ImportedSplit]:
    """Return the imported streams of a split, or of all; of one imported twice, only the later.

    Raises:
        InputError: a description is damaged.
    """
    found: dict[tuple[str, str], ImportedSplit] = {}
    for folder in list_streams(require_folder(cache, "imported features need")):
        imported_as = folder.description.get("imported_as")
        if imported_as is None or split not in (None, imported_as):
            continue
        imported = _imported(folder)
        name = (imported.split, imported.stream)
        if name not in found or found[name].imported_at < imported.imported_at:
            found[name] = imported
    return list(found.values())


def _imported(folder: StreamFolder) -> ImportedSplit:
    said = folder.description
    kinds: dict[str, type | tuple[type, ...]] = {
        **dict.fromkeys(("imported_as", "content", "from", "imported_at"), str),
        "n_features": int,
        "n_whitened": (int, type(None)),
    }
    for name, kind in kinds.items():
        if name in said and not isinstance(said[name], kind):
            raise InputError(
                f"{folder.home / DESCRIPTION} is damaged ({name} is {said[name]!r}): "
                "import these features again"
            )
    try:
        settings = {name: said[name] for name in _SETTINGS}
        settings |= {name: said[name] for name in _SETTINGS_PERHAPS if name in said}
        return ImportedSplit(
            key=StreamKey(folder.stream, settings),
            split=said["imported_as"],
            home=folder.home,
            entries={
                path.relative_to(folder.home).as_posix().removesuffix(".h5"): path for path in folder.entries
            },
            origin=said["from"],
            imported_at=said["imported_at"],
            n_features=said["n_features"],
            traits=read_traits(said, str(folder.home / DESCRIPTION)),
            is_of_objects=said["is_of_objects"],
        )
    except KeyError as error:
        raise InputError(f"{folder.home / DESCRIPTION} lacks {error}: import these features again") from None


_SETTINGS = ("imported_as", "content", "n_features", "is_of_objects", "n_whitened", "has_one_unit")
_SETTINGS_PERHAPS = ("rate", "noise_floor", "are_windows")


def _looks(per_second: float | None) -> str:
    return "all frames" if per_second is None else f"{per_second:g} frames a second"


def _says(traits: FeatureTraits) -> str:
    return traits.text or "nothing of the kind"


def _taken(request: ImportRequest, content: ImportContent) -> FeatureTraits:
    """Return what files say, without what the request says itself."""
    return replace(
        content.traits,
        has_one_unit=content.traits.has_one_unit if request.has_one_unit is None else UNKNOWN.has_one_unit,
        n_whitened=content.traits.n_whitened if request.n_whitened is None else UNKNOWN.n_whitened,
    )


def _kind(n_features: int, has_boxes: bool, has_spans: bool) -> str:
    with_boxes = "with boxes" if has_boxes else "without boxes"
    return f"{n_features} features per row {with_boxes}{' and clips' if has_spans else ''}"


def _write(request: ImportRequest, staging: Path, video: ForeignVideo, content: ImportContent) -> None:
    known = request.fps or mean_rate(video.seconds) or video.fps
    content.is_fps_assumed |= known is None
    content.fps = known or FRAMES_PER_SECOND
    seconds = video.seconds
    if seconds is None or request.fps is not None:
        seconds = np.arange(video.n_frames) / content.fps
    content.add(video, seconds)
    report = DecodeReport(IMPORTED, video.n_frames, None, content.fps, width=0, height=0)
    with write_rows(
        staging / f"{video.name}.h5", video.name, content.n_features,
        has_boxes=content.has_boxes, has_spans=content.has_spans, source=str(video.source.resolve()),
    ) as writer:  # fmt: skip
        writer.append(video.rows)
        writer.commit(content.identity(video.source), report, seconds)


def _key(request: ImportRequest, content: ImportContent) -> StreamKey:
    taken = _taken(request, content)
    return StreamKey(
        request.stream,
        {
            "imported_as": request.split,
            "content": content.digest,
            "n_features": content.n_features,
            "is_of_objects": content.is_of_objects,
            "n_whitened": request.n_whitened or taken.n_whitened,
            "has_one_unit": bool(request.has_one_unit) or taken.has_one_unit,
            **({} if content.looked_at_per_second is None else {"rate": content.looked_at_per_second}),
            **{name: value for name, value in taken.told().items() if name in _SETTINGS_PERHAPS},
        },
    )


def _notes(request: ImportRequest, content: ImportContent) -> dict[str, str | int]:
    return {
        "from": str(request.source.path.resolve()),
        "imported_at": datetime.now(timezone.utc).isoformat(),
        "n_videos": content.n_videos,
        "n_frames": content.n_frames,
        "n_rows": content.n_rows,
    }


@contextmanager
def _staging(cache: Path) -> Iterator[Path]:
    folder = cache / f"{STAGING}{uuid4().hex[:12]}"
    make_folder(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # it is not there any more where the import went well
