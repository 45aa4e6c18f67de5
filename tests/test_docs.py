"""What the documentation shows is run, as a reader would run it, and what it names is there."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from mulde.data.cache.entries import read_rows
from mulde.data.rendered.render import render_scene
from mulde.pipeline.cli.main import cli, main
from mulde.pipeline.config.reference import groups, reference

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(page for page in (ROOT / "README.md", ROOT / "SECURITY.md", *DOCS.glob("*.md")))

QUICK = ["detector.max_steps=20"]
"""What a test adds to each command that trains networks: fewer steps, and so not the same numbers."""
TRAINING = ("run", "train", "ablate")


def blocks_of(text: str, *languages: str) -> list[tuple[str, str]]:
    """Return language and content of each fenced block in one of the languages."""
    return re.findall(rf"^```({'|'.join(languages)})\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def commands_of(block: str) -> list[list[str]]:
    """Return the words of each line that holds a command; a line may go on after a backslash."""
    lines = block.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def test_blocks_and_commands_are_found() -> None:
    assert blocks_of("", "bash") == []
    assert commands_of("# nothing\n\n") == []
    text = "a\n```bash\nx 'b c'  # d\ny \\\n  z\n```\n```sh\nno\n```\n```python\n1\n```\n"
    found = blocks_of(text, "bash", "python")
    assert [language for language, _ in found] == ["bash", "python"]
    assert commands_of(found[0][1]) == [["x", "b c"], ["y", "z"]]


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reader's folder, in which commands work: what the tutorial takes from the demo, and labels."""
    monkeypatch.chdir(tmp_path)
    scene = Path("mulde-demo/scene")
    render_scene(scene, size=(160, 120), n_normal=2, n_test=2, seconds=4.0, fps=10, seed=1)
    shutil.copy(scene / "labels.csv", "labels.csv")
    tutorial = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    demo, *copies = commands_of(blocks_of(tutorial, "sh")[0][1])
    assert demo == ["mulde", "demo"] and copies
    for command, *options, source, target in copies:
        assert (command, options) in (("cp", []), ("cp", ["-r"]))
        shutil.copytree(source, target) if options else shutil.copy(source, target)
    return tmp_path


def run_command(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a line of a block, which has to be a command of mulde and to succeed."""
    assert words[0] == "mulde", f"{shlex.join(words)}: only commands of mulde are run; mark the block `sh`"
    extra = QUICK if words[1] in TRAINING and "detector.kind=knn" not in words else []
    monkeypatch.setattr(sys, "argv", [*words, *extra])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0, shlex.join(words)


def run_page(page: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run all blocks of a page in order; those that begin with `# NAME.py` are saved under that name."""
    names: dict[str, object] = {}
    found = blocks_of(page.read_text(encoding="utf-8"), "bash", "python")
    for language, block in found:
        file = re.match(r"# (\w+\.py)\n", block)
        if language == "bash":
            for words in commands_of(block):
                run_command(words, monkeypatch)
        elif file:
            Path(file[1]).write_text(block, encoding="utf-8")
        else:
            exec(compile(block, str(page), "exec"), names)
    return len(found)


HOW_TOS = {
    "README.md": 1, "docs/index.md": 1, "docs/camera.md": 3, "docs/labels.md": 2, "docs/benchmark.md": 4,
    "docs/features.md": 4, "docs/extractors.md": 2, "docs/networks.md": 1, "docs/settings.md": 1,
    "docs/tutorial.md": 8,
}  # fmt: skip
"""Pages in the order in which they are tried, and how many blocks each has; most is soon in the cache."""


@pytest.mark.slow
def test_commands_of_the_tutorial_and_the_how_tos_run(
    reader: Path,
    miniatures: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(miniatures["ucsd_ped"], "UCSDped2")
    assert {page: run_page(ROOT / page, monkeypatch) for page in HOW_TOS} == HOW_TOS
    made = ["report/index.html", "events.csv", "rendered/01_cyclist.mp4", "clips", "scene", "new/events.csv"]
    assert [name for name in made if not (reader / "runs/gate" / name).exists()] == []
    assert (reader / "camera7.png").stat().st_size > 1000
    assert "hold_out: up to date" in capsys.readouterr().err
    colours = read_rows(next(Path(".cache/mulde/colour").rglob("*.h5"))).features  # of docs/extractors.md
    assert len(colours) > 0 and colours.shape[1] == 3
    assert (colours >= 0).all() and (colours <= 1).all()


@pytest.mark.slow
def test_examples_of_the_python_page_run(reader: Path, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = blocks_of((DOCS / "python.md").read_text(encoding="utf-8"), "python")
    assert len(blocks) == 4
    names: dict[str, object] = {}
    for _, block in blocks:
        quick = block.replace('"max_steps": 300', '"max_steps": 30')
        exec(compile(quick, "python.md", "exec"), names)
    assert Path("camera7.png").stat().st_size > 1000
    assert Path("out/scores/camera7.csv").exists()
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "micro_auc" in printed.out
    assert len(printed.out.splitlines()) == 3


def named_commands(text: str) -> Iterator[list[str]]:
    """Yield the words of every command of mulde in backticks or blocks, as far as they look like some."""
    quoted = re.findall(r"`(mulde [^`\n]+)`", text)
    for _, block in blocks_of(text, "bash", "sh"):
        quoted += [
            line[line.index("mulde ") :]
            for line in block.replace("\\\n", " ").splitlines()
            if "mulde " in line
        ]
    for line in quoted:
        yield [word for word in line.split("#")[0].split()[1:] if word not in ("…", "...")]


def unknown_in(words: list[str]) -> list[str]:
    """Return what is no command, or no option of it."""
    command: click.Command = cli
    unknown = []
    for word in words:
        if isinstance(command, click.Group) and word in command.commands:
            command = command.commands[word]
        elif isinstance(command, click.Group) and not word.startswith("-") and word.islower():
            return [word]
        elif word.startswith("--"):
            options = [option for p in command.params for option in p.opts] + ["--help"]
            unknown += [] if word.partition("=")[0] in options else [word]
    return unknown


def test_unknown_commands_and_options_are_told() -> None:
    assert unknown_in([]) == []
    assert unknown_in(["run", "--normal", "a", "--tests", "b", "c.mp4"]) == ["--tests"]
    assert unknown_in(["cache", "lst", "--cache", "a"]) == ["lst"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_and_settings_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert [bad for words in named_commands(text) for bad in unknown_in(words)] == []
    tops = "|".join(sorted({name.partition(".")[0] for name in groups()}))
    known = {*groups(), *reference()}
    named = re.findall(rf"(?<![\w./])((?:{tops})(?:\.[a-z]\w*)+)(?![\w/(])", text)
    others = (".csv", ".json", ".yaml", ".html", ".md", ".py", ".npy", ".mat", ".tsv")
    own = ("extract.plugin_settings.", "detector.onnx")
    assert [n for n in named if n not in known and not n.endswith(others) and not n.startswith(own)] == []


def headings_of(text: str) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub and MyST make them."""
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), flags=re.MULTILINE
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_links_of_the_pages_at_the_top_lead_somewhere(name: str) -> None:
    """Those between pages of docs/ are checked where the site is built."""
    links = re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", (ROOT / name).read_text(encoding="utf-8"))
    assert links or name in ("SECURITY.md", "CHANGELOG.md")
    assert [path for path, _ in links if not (ROOT / path).exists()] == []
    anchors = [(path, anchor) for path, anchor in links if anchor]
    assert [(p, a) for p, a in anchors if a not in headings_of((ROOT / p).read_text(encoding="utf-8"))] == []


def test_pages_that_code_and_configurations_name_are_there() -> None:
    folders = ("face", "data", "detector", "extractors", "pipeline", "configs", "benchmarks")
    files = [
        file for folder in folders for file in (ROOT / folder).rglob("*") if file.suffix in (".py", ".yaml")
    ]
    named = {
        page for file in files for page in re.findall(r"docs/\w+\.\w+", file.read_text(encoding="utf-8"))
    }
    assert "docs/extractors.md" in named
    assert [page for page in sorted(named) if not (ROOT / page).exists()] == []
