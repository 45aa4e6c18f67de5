"""Find what in the folder of a run is damaged or was left by a killed process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mulde.data.cache.care import Damage, Removal
from mulde.data.cache.entries import verify_apart
from mulde.data.errors import InputError
from mulde.data.foreign.apart import read_apart
from mulde.data.sealed import ChangedError, check
from mulde.pipeline.marks.excerpts import ABOUT
from mulde.pipeline.models.held_out import check_held_out
from mulde.pipeline.models.model import MANIFEST, read_manifest, read_scenes
from mulde.pipeline.runs.folder import RunFolder
from mulde.pipeline.runs.scores import check_objects, has_checksum

_KINDS = frozenset({".json", ".yaml", ".html", ".h5", ".safetensors", ".csv"})


def find_run_damage(run: RunFolder) -> Damage:
    """Read every file of a run in full; return what is damaged, and what killed processes have left.

    Raises:
        InputError: the folder is none of a run.
    """
    require_run(run)
    items, left, n_checked, n_unsealed = list(_left_over(run)), [], 0, 0
    for path in sorted(run.folder.rglob("*")):
        if path.name.startswith(".") or path.suffix not in _KINDS or not path.is_file():
            continue
        n_checked += 1
        try:
            n_unsealed += not _is_sealed(run, path)
        except (OSError, ValueError) as error:
            if path.name == run.config.name and path != run.model_config:
                left.append(f"{error}: a command with its options, in place of the run, writes it anew")
            else:
                items.append(Removal(path, str(error), path.stat().st_size, None))
    return Damage(tuple(items), tuple(left), n_checked, n_unsealed)


def require_run(run: RunFolder) -> None:
    """Raise InputError where a folder is none of a run."""
    if not (run.config.exists() or run.state.exists() or run.scores.exists()):
        raise InputError(f"{run.folder} is no run: name the folder that an earlier command gave as --out")


def _is_sealed(run: RunFolder, path: Path) -> bool:
    """Read a file in full; return whether it has a checksum, which is right then.

    Raises:
        ValueError: it is damaged.
    """
    if path.name == MANIFEST:
        return _is_sealed_model(path.parent)
    if path.name in (run.held_out.name, run.marked.name):
        check_held_out(path)
        return True
    if path.suffix == ".safetensors" and (path.parent / MANIFEST).exists():
        return True  # by the manifest, which is looked at beside it
    above = RunFolder(path.parent)
    if above.was_changed(path.name):
        raise ChangedError(f"{path} was changed after it was written")
    if above.knows(path.name):
        return True
    if path.suffix == ".csv":
        return has_checksum(path)
    if path.suffix == ".h5":  # apart: one of a stranger's run can be made to hang or crash HDF5
        is_excerpt = (path.parent / ABOUT).exists()
        problem = verify_apart(path) if is_excerpt else read_apart(check_objects, path)
        if problem is not None:
            raise InputError(str(problem))
    return check(path)


def _is_sealed_model(folder: Path) -> bool:
    if not (folder / "config.yaml").exists():
        from mulde.detector.store import read_model  # only here, for it imports torch

        read_model(folder)  # the detector of a stream
        return True
    read_manifest(folder)
    read_scenes(folder)
    return True


def _left_over(run: RunFolder) -> Iterator[Removal]:
    for path in run.left_over():
        yield Removal(path, f"{path} was left by a process that was killed", path.stat().st_size, None, False)
