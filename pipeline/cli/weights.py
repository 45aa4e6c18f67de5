"""The commands `mulde weights ...`: what can be fetched, under which licence, and where it is kept."""

from __future__ import annotations

import logging
from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from mulde.data.cache.storage import DEFAULT_PLACE, Place, require_folder
from mulde.extractors.networks.catalogue import CATALOGUE
from mulde.extractors.networks.weights import WEIGHTS_FOLDER, fetch, find_weights
from mulde.pipeline.cli.console import set_up_logging, stdout
from mulde.pipeline.cli.options import EXIT_DONE, to_place
from mulde.pipeline.config.words import in_users_words, respelled

_CACHE = click.option(
    "--cache",
    type=to_place,
    metavar="DIR",
    default=DEFAULT_PLACE,
    show_default=True,
    help="Folder of the feature cache; weights are kept in its weights/.",
)
_FOLDER = click.option(
    "--folder",
    type=click.Path(path_type=Path),
    help="Keep weights here instead: what extract.weights_folder says.",
)


def _in_cache(cache: Place) -> Path:
    with respelled(cache="--cache DIR, or --folder DIR"):
        return require_folder(cache, "weights need") / WEIGHTS_FOLDER


@click.group()
def weights() -> None:
    """Pretrained weights: list them, or fetch them for use offline later."""


@weights.command("list")
@_CACHE
@_FOLDER
def list_weights(cache: Place, folder: Path | None) -> int:
    """Show the weights that can be named in a configuration, and where those that are here are kept."""
    table = Table("name", "for", "D", "licence", "MB", "trained on", "kept in", box=None, pad_edge=False)
    for record in CATALOGUE.values():
        path = find_weights(record.name, folder or _in_cache(cache)).path
        table.add_row(
            record.name,
            record.task,
            str(record.n_features or ""),
            record.licence,
            f"{record.size_mb:.0f}" if record.size_mb else "",
            record.trained_on,
            escape(str(path.parent)) if path else "",
        )
    stdout.print(table)
    return EXIT_DONE


@weights.command("fetch")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--offline", is_flag=True, help="Fetch nothing; fail at once if something is missing.")
@_CACHE
@_FOLDER
def fetch_weights(names: tuple[str, ...], offline: bool, cache: Place, folder: Path | None) -> int:
    """Download weights by name; each one's licence is shown first."""
    set_up_logging(logging.INFO)
    with in_users_words():
        paths = fetch(names, folder or _in_cache(cache), offline=offline)
    for path in paths:
        stdout.print(str(path), markup=False)
    return EXIT_DONE
