"""The command line: one file a verb. Importing it loads neither torch nor numpy."""

from __future__ import annotations

import sys

import typer

from gossamer.cli import bench, check, compress, doctor, export, fit, measure, predict, report, train, zoo
from gossamer.cli._common import run
from gossamer.cli._verb import GroupedCommand

__all__ = ["app", "main"]

app = typer.Typer(
    name="gossamer",
    help="From your pictures and a device budget to a deployed lightweight network, every number measured on the file that ships.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("fit", cls=GroupedCommand)(fit.fit_verb)
app.command("check", cls=GroupedCommand)(check.check_verb)
app.command("doctor")(doctor.doctor_verb)
app.command("zoo")(zoo.zoo_verb)
app.command("train", cls=GroupedCommand)(train.train_verb)
app.command("compress", cls=GroupedCommand)(compress.compress_verb)
app.command("export", cls=GroupedCommand)(export.export_verb)
app.command("measure")(measure.measure_verb)
app.command("bench", cls=GroupedCommand)(bench.bench_verb)
app.command("predict")(predict.predict_verb)
app.command("report")(report.report_verb)


@app.callback(invoke_without_command=True)
def _root(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        from gossamer import __version__

        sys.stdout.write(f"gossamer {__version__}\n")
        raise typer.Exit


def main() -> None:
    """Run the command line; the exit codes are DESIGN's."""
    sys.exit(run(app, sys.argv[1:]))
