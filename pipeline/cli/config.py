"""`mulde config`: every setting, its default, what it may be and what it means."""

from __future__ import annotations

import difflib
import textwrap

import click

from mulde.data.errors import InputError
from mulde.pipeline.cli.console import print_json, stdout
from mulde.pipeline.cli.options import EXIT_DONE, json_option
from mulde.pipeline.config.dotted import in_yaml
from mulde.pipeline.config.reference import Setting, groups, meaning_of_group, reference


@click.command("config")
@click.argument("names", nargs=-1, metavar="[NAME ...]")
@json_option
def config(names: tuple[str, ...], as_json: bool) -> int:
    """List settings: default, range and meaning of all, or of those below NAME, such as detector.

    Each can be given as key=value to a command, or in a YAML file.
    """
    chosen = _choose(names)
    if as_json:
        names = ("name", "default", "allowed", "meaning")
        print_json([{name: getattr(setting, name) for name in names} for setting in chosen])
        return EXIT_DONE
    width = min(stdout.width, 110)
    group = None
    for setting in chosen:
        above = setting.name.rpartition(".")[0]
        if above != group and above:
            click.echo(f"\n# {above}: {meaning_of_group(above)}")
        group = above
        click.echo(f"{setting.name}={in_yaml(setting.default)}    # {setting.allowed}")
        click.echo(textwrap.indent(textwrap.fill(setting.meaning, width - 4), "    "))
    return EXIT_DONE


def _choose(names: tuple[str, ...]) -> list[Setting]:
    chosen = list(reference().values())
    if not names:
        return chosen
    for name in names:
        if name not in reference() and name not in groups():
            known = [*groups(), *reference()]
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"groups are {', '.join(groups())}"
            raise InputError(f"no setting and no group of settings is called {name}: {hint}")
    return [s for s in chosen if any(s.name == name or s.name.startswith(f"{name}.") for name in names)]
