"""Fuzz the parsers for hours, by coverage: inputs that reach new lines of mulde are kept, and changed again.

    python tests/fuzz/hours.py --hours 8 [--only entry --only events] [--out fuzz]

Each kind of file of `tests/helpers/fuzz_kinds.py` gets its share of the time, in slices, in a process of its
own with a limit of time and memory for an input. FOLDER/<kind>/corpus grows from one call to the next;
FOLDER/<kind>/found has what ended in anything but a result or an InputError, with the traceback beside it.
Needs atheris: pip install 'mulde[fuzz]'.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
HELPERS = HERE.parents[1] / "helpers"
SLICE_SECONDS = 45.0
"""So long a kind is tried before it is the turn of the next."""
INPUT_SECONDS = 20
"""What takes longer is taken for a hang, and tried again by itself."""
AGAIN_SECONDS = 120.0
MEMORY_MB = 6000
OFTEN = {"entry": 3.0, "run_scores-h5": 3.0, "features-h5": 2.0, "features-h5s": 2.0, "matrix-h5": 2.0}
"""Kinds whose share is larger than that of others."""
_MOST_BYTES = 2**17
_STATS = "stats.json"


def main() -> int:
    """Run; return 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--hours", type=float, default=1.0, help="of wall time, over all kinds")
    parser.add_argument("--only", action="append", metavar="KIND", help="may be given again")
    parser.add_argument("--out", type=Path, default=Path("fuzz"), metavar="FOLDER")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--again", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    sys.path.insert(0, str(HELPERS))
    if given.again:
        return try_again(given.again[0], Path(given.again[1]))
    if given.child:
        fuzz_here(given.child[0], Path(given.child[1]), float(given.child[2]))
        return 0  # it does not come back
    import fuzz_kinds

    kinds = given.only or list(fuzz_kinds.KINDS)
    unknown = set(kinds) - set(fuzz_kinds.KINDS)
    if unknown:
        parser.error(f"no such kinds: {sorted(unknown)}; there are {', '.join(fuzz_kinds.KINDS)}")
    return fuzz(kinds, given.hours, given.out)


def fuzz(kinds: list[str], hours: float, out: Path) -> int:
    """Let each kind have its turn until the time is over; print what each has come to."""
    until = time.monotonic() + 3600 * hours
    shares = {kind: OFTEN.get(kind, 1.0) for kind in kinds}
    slice_seconds = min(SLICE_SECONDS, 3600 * hours / sum(shares.values()))
    spent = dict.fromkeys(kinds, 0.0)
    while (left := until - time.monotonic()) > 1:
        kind = min(kinds, key=lambda each: spent[each] / shares[each])
        started = time.monotonic()
        run_slice(kind, out / kind, min(slice_seconds, left))
        spent[kind] += time.monotonic() - started
        write_table(kinds, out)
    sys.stdout.write((out / "table.txt").read_text())
    return any((out / kind / "found").glob("*.txt") for kind in kinds)


def run_slice(kind: str, folder: Path, seconds: float) -> None:
    """Fuzz one kind in a process of its own; what that died of is tried again."""
    for name in ("corpus", "found", "ended"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 1:
        command = [sys.executable, str(HERE), "--child", kind, str(folder), f"{left:.0f}"]
        with (folder / "log.txt").open("ab") as log:
            child = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
            try:
                child.wait(left + 4 * INPUT_SECONDS + 60)
            except subprocess.TimeoutExpired:
                log.write(b"ended from outside\n")
            finally:
                end(child)
        if child.returncode == 0:
            break
        for path in (folder / "ended").iterdir():
            judge(kind, folder, path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    add(folder, {"cpu_seconds": used, "wall_seconds": time.monotonic() - until + seconds})


def end(child: subprocess.Popen[bytes]) -> None:
    """End a process and what it has started."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def judge(kind: str, folder: Path, path: Path) -> None:
    """Try an input again that ended a process, as mulde reads it: it is found where that ends badly, too."""
    content = path.read_bytes()
    command = [sys.executable, str(HERE), "--again", kind, str(path)]
    child = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        told = child.communicate(timeout=AGAIN_SECONDS)[0].decode(errors="replace")
    except subprocess.TimeoutExpired:
        told = f"no end after {AGAIN_SECONDS:.0f} s"
    finally:
        end(child)
    if child.returncode == 0:
        add(folder, {"contained": 1})
    else:
        what = path.name.partition("-")[0]
        keep(
            folder,
            f"{what}-{sha256(content).hexdigest()[:12]}",
            content,
            told[-4000:] or str(child.returncode),
        )
    path.unlink()


def keep(folder: Path, name: str, content: bytes, told: str) -> None:
    """Keep an input that something is wrong with, and what that is; the smallest of each name."""
    path = folder / "found" / name
    if not path.exists() or len(content) < path.stat().st_size:
        path.write_bytes(content)
        path.with_name(f"{name}.txt").write_text(told, errors="replace")


def add(folder: Path, numbers: dict[str, float]) -> None:
    """Add to the numbers of a kind."""
    path = folder / _STATS
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**known, **{name: known.get(name, 0) + n for name, n in numbers.items()}}))


def write_table(kinds: list[str], out: Path) -> None:
    """Write what each kind has come to."""
    lines = [f"{'kind':20} {'inputs':>9} {'CPU s':>7} {'corpus':>6} {'contained':>9} {'found':>5}"]
    for kind in kinds:
        folder = out / kind
        if (folder / _STATS).exists():
            known = json.loads((folder / _STATS).read_text())
            n_found = len(list((folder / "found").glob("*.txt")))
            lines.append(
                f"{kind:20} {known.get('inputs', 0):9.0f} {known.get('cpu_seconds', 0):7.0f} "
                f"{len(list((folder / 'corpus').iterdir())):6} {known.get('contained', 0):9.0f} {n_found:5}"
            )
    (out / "table.txt").write_text("\n".join(lines) + "\n")


def try_again(kind: str, path: Path) -> int:
    """Read one input, as users' commands do; return 1 and print the traceback where that is a defect."""
    import fuzz_kinds
    import fuzz_readers

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / kind
        place.mkdir()
        file = fuzz_kinds.KINDS[kind].file
        for name, its in fuzz_kinds.KINDS[kind].files(file, path.read_bytes()).items():
            (place / name).write_bytes(its)
        defect = fuzz_readers.read(place / file)
    sys.stdout.write(defect)
    return bool(defect)


def fuzz_here(kind: str, folder: Path, seconds: float) -> None:
    """Fuzz in this process; libFuzzer ends it."""
    import atheris

    with atheris.instrument_imports(
        include=["mulde", "yaml", "zipfile", "csv", "json", "h11", "starlette", "uvicorn", "urllib"],
        exclude=["mulde.data.foreign.apart"],
    ):
        import fuzz_kinds
        import fuzz_readers

    from mulde.data.errors import InputError
    from mulde.data.foreign import apart

    apart._Reader.running = staticmethod(_Here)  # type: ignore[method-assign, assignment]
    described = fuzz_kinds.KINDS[kind]
    limit = MEMORY_MB * 2**20 + _in_use()
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    work = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    n_inputs = 0

    def try_one(content: bytes) -> None:
        nonlocal n_inputs
        n_inputs += 1
        place = work / str(n_inputs)
        place.mkdir()
        try:
            for name, its in described.files(described.file, content).items():
                (place / name).write_bytes(its)
            fuzz_readers.try_reader(kind, place / described.file)
        except InputError:
            pass
        except Exception as error:
            keep(folder, _name_of(error), content, traceback.format_exc())
        finally:
            shutil.rmtree(place, ignore_errors=True)
            if n_inputs % 100 == 0:
                add(folder, {"inputs": 100})

    corpus = folder / "corpus"
    for content in described.whole():
        (corpus / sha256(content).hexdigest()[:16]).write_bytes(content)
    flags = [
        *(f"-max_total_time={seconds:.0f}", f"-timeout={INPUT_SECONDS}", f"-rss_limit_mb={MEMORY_MB}"),
        *(f"-max_len={_MOST_BYTES}", f"-artifact_prefix={folder / 'ended'}/", "-print_final_stats=1"),
        *(f"-dict={_dictionary(fuzz_kinds.TOKENS, work)}", "-len_control=0", str(corpus)),
    ]
    atheris.Setup([sys.argv[0], *flags], try_one, custom_mutator=_mutator(described, atheris))
    atheris.Fuzz()


class _Here:
    """In place of the process that reads files of strangers: so coverage tells what reading them does."""

    def ask(self, request: Any, seconds: float, most_bytes: int) -> Any:
        """Return the answer, which is encoded and decoded as always."""
        import io

        from mulde.data.foreign import apart

        function, path, _ = request
        stream = io.BytesIO()
        apart.write_answer(stream, apart._answer(function, path))
        stream.seek(0)
        return apart.read_answer(stream, most_bytes)

    def end(self) -> int:
        """Do nothing."""
        return 0


def _mutator(kind: Any, atheris: Any) -> Callable[[bytes, int, int], bytes]:
    """Return what changes an input: libFuzzer, or the changes of the kind, which know its structure."""
    from hypothesis import given, settings
    from hypothesis import strategies as st

    drawn: list[bytes] = []

    def change(content: bytes, choice: random.Random) -> bytes:
        how = choice.choice(kind.changes)

        @settings(database=None)
        @given(st.data())
        def draw(data: st.DataObject) -> None:
            drawn.append(data.draw(how(content)))

        drawn.clear()
        draw.hypothesis.fuzz_one_input(choice.randbytes(2048))  # type: ignore[attr-defined]
        return drawn[0] if drawn else content

    def mutate(content: bytes, max_size: int, seed: int) -> bytes:
        choice = random.Random(seed)
        if choice.random() < 0.5:
            try:
                return change(content, choice)[:max_size]
            except Exception:  # it has no such structure any more
                pass
        return bytes(atheris.Mutate(content, max_size))

    return mutate


def _dictionary(tokens: list[bytes], work: Path) -> Path:
    path = work / "dictionary"
    lines = ("".join(f"\\x{byte:02x}" for byte in token) for token in tokens if len(token) <= 60)
    path.write_text("".join(f'"{line}"\n' for line in lines))
    return path


def _name_of(error: Exception) -> str:
    """Return what tells a defect from others: the error, and the lines of mulde that it came through."""
    frames = [
        f"{Path(frame.filename).stem}:{frame.name}"
        for frame in traceback.extract_tb(error.__traceback__)
        if "/mulde/" in frame.filename
    ]
    return f"{type(error).__name__}-{sha256('|'.join(frames).encode()).hexdigest()[:12]}"


def _in_use() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    sys.exit(main())
