"""The command `mulde datasets`: which layout a folder has, what is in it, and what does not add up."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.markup import escape
from rich.table import Table

from mulde.data.spelling import counted
from mulde.pipeline.cli.console import Bars, print_json, set_up_logging, stdout
from mulde.pipeline.cli.options import EXIT_DONE, json_option
from mulde.pipeline.config.words import respelled
from mulde.pipeline.progress import Tracked

if TYPE_CHECKING:
    from mulde.data.layouts.examine import DatasetFacts, SplitFacts
    from mulde.data.layouts.published import Published


@click.command("datasets")
@click.argument("root", required=False, type=click.Path(path_type=Path))
@click.option(
    "--layout", default="auto", metavar="NAME", help="Layout of ROOT, if it is not recognised. [auto]"
)
@click.option(
    "--count-frames",
    is_flag=True,
    help="Decode every video and read all labels of regions, to be exact; headers may lie.",
)
@json_option
def datasets(root: Path | None, layout: str, count_frames: bool, as_json: bool) -> int:
    """Show which layout ROOT has, its splits, frames and labels, and what does not add up.

    Without ROOT: list the layouts. Frames of videos are what their files claim, unless they are counted.
    """
    from mulde.data.layouts.examine import examine_dataset, layouts_in_words

    set_up_logging(logging.ERROR)  # what would be logged is among the notes
    if root is None:
        layouts = layouts_in_words()
        if as_json:
            print_json(layouts)
        else:
            stdout.print(_layout_table(layouts))
        return EXIT_DONE
    with respelled(layout="--layout NAME"), Tracked(Bars(), "examine", 0, "videos") as tracked:
        facts = examine_dataset(
            root,
            layout,
            count_frames=count_frames,
            progress=lambda done, total: tracked.update(done, total=total),
        )
    if as_json:
        print_json(facts.to_dict())
    else:
        _show(facts)
    return EXIT_DONE


def _layout_table(layouts: dict[str, str]) -> Table:
    table = Table("layout", "looks for", box=None, pad_edge=False)
    for name, looks_for in layouts.items():
        table.add_row(name, escape(looks_for))
    return table


def _show(facts: DatasetFacts) -> None:
    dataset = facts.dataset
    stdout.print(f"{dataset.name}, layout {facts.layout}, {facts.root}", markup=False)
    if dataset.protocol:
        stdout.print(dataset.protocol, markup=False)
    stdout.print(_count_table(facts))
    if dataset.scenes:
        scenes = ", ".join(dataset.scenes[:10]) + (" …" if len(dataset.scenes) > 10 else "")
        stdout.print(f"{counted(len(dataset.scenes), 'scene')}: {scenes}", markup=False)
    if facts.labels.events:
        events = ", ".join(f"{name} {count}" for name, count in facts.labels.events.items())
        n_events = sum(facts.labels.events.values())
        have = "has" if n_events == 1 else "have"
        stdout.print(f"{counted(n_events, 'labelled event')} {have} a name: {events}", markup=False)
    if not (facts.normal.is_exact and facts.test.is_exact):
        stdout.print("frames marked ~ are what files claim; --count-frames decodes every video")
    if not facts.notes:
        stdout.print("everything adds up")
        return
    stdout.print(f"what does not add up ({len(facts.notes)}):")
    for note in facts.notes:
        stdout.print(f"- {note}", markup=False)


def _count_table(facts: DatasetFacts) -> Table:
    published, labels = facts.dataset.published, facts.labels
    titles = ("normal", "test") if published is None else ("normal", "published", "test", "published")
    table = Table("", *titles, box=None, pad_edge=False)

    def add(title: str, normal: str, test: str, fields: tuple[str, str] = ("", "")) -> None:
        if published is None:
            table.add_row(title, normal, test)
        else:
            table.add_row(
                title, normal, _published(published, fields[0]), test, _published(published, fields[1])
            )

    add(
        "videos",
        f"{len(facts.normal.videos):,}",
        f"{len(facts.test.videos):,}",
        ("normal_videos", "test_videos"),
    )
    add("frames", _frames(facts.normal), _frames(facts.test), ("normal_frames", "test_frames"))
    add("frames per second", _list(facts.normal.rates), _list(facts.test.rates))
    add("width×height", _list(facts.normal.sizes), _list(facts.test.sizes))
    add("labelled videos", "", f"{labels.n_videos:,}")
    add("labelled frames", "", f"{labels.n_frames:,}")
    add("abnormal frames", "", f"{labels.n_abnormal_frames:,}", ("", "abnormal_frames"))
    add("videos with labelled regions", "", f"{labels.n_videos_with_regions:,}")
    return table


def _published(published: Published, field: str) -> str:
    if not field:
        return ""
    count = getattr(published, field)
    if count is None:
        return "–"
    return f"about {count:,}" if field in published.roughly else f"{count:,}"


def _frames(split: SplitFacts) -> str:
    return f"{split.n_frames:,}" if split.is_exact else f"~{split.n_frames:,}"


def _list(counts: dict[str, int]) -> str:
    texts = list(counts)
    return "not known" if not texts else ", ".join(texts[:3]) + (" …" if len(texts) > 3 else "")
