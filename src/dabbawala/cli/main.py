"""The `dabba` command: one module per command group, imported only when it is used, so that `dabba --help` is quick."""

from __future__ import annotations

import gc
import sys

import click

from dabbawala.apimachinery import status
from dabbawala.cli.answer import NO, UNKNOWN, YES
from dabbawala.cli.lazy import Lazy

COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("cluster", "Start the cluster, or resume it."),
    "down": ("cluster", "Stop the cluster and keep its state."),
    "status": ("cluster", "What runs, and where."),
    "kubeconfig": ("cluster", "Print, or merge, the kubeconfig."),
    "logs": ("cluster", "Logs of the cluster's own parts."),
    "image": ("image", "Local images: build, list, rm."),
    "rollout": ("rollout", "Progressive delivery."),
    "guard": ("guard", "What may not go to production, and why."),
    "readiness": ("readiness", "Whether a service may go to production."),
    "controller": ("controller", "Run a capability against any cluster."),
    "control-plane": ("cluster", ""),
    "monitoring": ("cluster", ""),
    "demo": ("demo", "Release two services under live traffic, and report."),
}


@click.group(
    cls=Lazy, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(package_name="dabbawala", prog_name="dabba")
def dabba() -> None:
    """A production platform for Kubernetes: a cluster in a second, and releases that cannot hurt anyone.

    Exit status: 0 yes, 1 no, 2 could not tell.
    """


def main() -> None:
    """Run the command; an error meant for a person is one line on standard error, never a traceback."""
    try:
        status_asked: int | None = dabba(standalone_mode=False)
        sys.exit(status_asked or YES)  # what a command ends with by click's Exit is handed back, not raised
    except click.Abort:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except click.ClickException as wrong:
        wrong.show()
        sys.exit(UNKNOWN if isinstance(wrong, click.UsageError) else wrong.exit_code)
    except status.StatusError as refused:
        click.echo(f"Error: {refused.message}", err=True)
        sys.exit(UNKNOWN if refused.code >= 500 else NO)
    except OSError as error:
        click.echo(f"Error: {_said(error)}", err=True)
        sys.exit(UNKNOWN)
    finally:
        gc.freeze()  # an interpreter that ends looks through everything it has, three times; there is no need


def _said(error: OSError) -> str:
    """What the machine refused, and for which file."""
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


if __name__ == "__main__":
    main()
