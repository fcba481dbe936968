"""`dabba image`: local images, made from Dockerfiles without Docker."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from dabbawala import assembly


@click.group()
def image() -> None:
    """Local images: build, list, rm."""


@image.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-t", "--tag", required=True, metavar="NAME:TAG", help="Name and tag of the image.")
@click.option("--build-arg", "arguments", multiple=True, metavar="NAME=VALUE", help="Value of an ARG.")
def build(directory: Path, tag: str, arguments: tuple[str, ...]) -> None:
    """Read DIRECTORY/Dockerfile and register the program it describes."""
    pairs = dict(argument.partition("=")[::2] for argument in arguments)
    if wrong := [argument for argument in arguments if "=" not in argument]:
        raise click.BadParameter(f"{wrong[0]!r} has no value; write {wrong[0]}=VALUE", param_hint="--build-arg")
    try:
        built = assembly.build_image(directory, tag, pairs)
    except assembly.BadDockerfile as error:
        raise click.ClickException(str(error)) from error
    for note in built.notes:
        click.echo(f"note: {note}")
    click.echo(f"{built.name} {built.id[:12]}")


@image.command("list")
def list_images() -> None:
    """Images in the local store."""
    table = Table(box=None)
    for heading in ("IMAGE", "ID", "CREATED", "COMMAND"):
        table.add_column(heading)
    for found in assembly.images().list():
        table.add_row(found.name, found.id[:12], found.created, " ".join((*found.entrypoint, *found.cmd)))
    Console().print(table)


@image.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME:TAG...")
def rm(names: tuple[str, ...]) -> None:
    """Remove images from the local store; running pods keep what they have."""
    missing = [name for name in names if not assembly.images().remove(name)]
    if missing:
        raise click.ClickException(f"no image {', '.join(missing)}; `dabba image list` shows what there is")
