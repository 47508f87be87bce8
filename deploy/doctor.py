"""`diten doctor`: what is wrong with this machine, its disk, its broker, its cloud.

Each check ends in a finding: what was found, how bad that is, what it costs, what to do.
Nothing is changed, and what is tried at a broker is heard by nobody but the doctor.

Exit codes: 0 nothing is wrong, 1 something is (a warning is not), 2 usage.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deploy.api import checked_api
from deploy.doctor_finding import Finding

if TYPE_CHECKING:
    from twin_runtime.adapters.config import BusConfig

PORT_MAX = 65_535
BUS_VARIABLE = "DITEN_BUS_PASSWORD"  # not an option: other users of a machine see those
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_STYLES = {"ok": "green", "warning": "yellow", "wrong": "red"}


@click.command(short_help="Find what is wrong with this machine, a broker, a cloud.")
@click.option("--data-dir", "folders", type=click.Path(path_type=Path, readable=False),
              multiple=True,
              help="A process's data directory: its disk is measured.")  # fmt: skip
@click.option("--bus", default="", metavar="HOST:PORT",
              help=f"A broker to try; {BUS_VARIABLE} has diten-doctor's password.")  # fmt: skip
@click.option("--ca-file", type=_FILE, default=None, help="Try it over TLS: who signed its name.")
@click.option("--certificate-file", type=_FILE, default=None,
              help="What proves our name to it, if it asks for that.")  # fmt: skip
@click.option("--key-file", type=_FILE, default=None, help="The key of that certificate.")
@click.option("--mosquitto", type=_FILE, default=None, help="A Mosquitto configuration to read.")
@click.option("--api", default=None, metavar="URL", callback=checked_api,
              help="An edge's or the cloud's HTTP.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(
    *,
    folders: tuple[Path, ...],
    bus: str,
    mosquitto: Path | None,
    api: str | None,
    as_json: bool,
    **tls: Path | None,
) -> None:
    """Check this machine, and what else is named: a data directory, a broker, an API."""
    from deploy import doctor_api, doctor_broker, doctor_machine, doctor_mosquitto
    from deploy.doctor_ports import check_ports
    from deploy.doctor_versions import check_versions

    findings = [*check_versions(), *doctor_machine.check_machine(), *check_ports()]
    for folder in folders:
        findings += doctor_machine.check_disk(folder)
    if mosquitto is not None:
        findings += doctor_mosquitto.check_configuration(mosquitto.read_text(encoding="utf-8"))
    if bus:
        findings += asyncio.run(doctor_broker.check_broker(_broker(bus, tls)))
    if api:
        findings += doctor_api.check_api(api)
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings]))
    else:
        _print(findings)
    sys.exit(any(finding.verdict == "wrong" for finding in findings))


def _broker(bus: str, tls: Mapping[str, Path | None]) -> "BusConfig":
    from pydantic import ValidationError

    from twin_runtime.adapters.config import BusConfig

    host, _, port = bus.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) <= PORT_MAX:
        raise click.BadParameter(f"{bus!r}: write HOST:PORT", param_hint="--bus")
    try:
        return BusConfig(host=host, port=int(port), password=os.environ.get(BUS_VARIABLE), **tls)
    except ValidationError as error:
        raise click.UsageError(error.errors()[0]["msg"]) from None


def _print(findings: Sequence[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from deploy.tables import print_table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("VERDICT", no_wrap=True)
    table.add_column("ABOUT", no_wrap=True)
    table.add_column("FOUND", overflow="fold")
    for finding in findings:
        verdict = Text(finding.verdict, style=_STYLES[finding.verdict])
        table.add_row(verdict, Text(finding.about), Text(finding.found))
        for what, said in (("costs", finding.costs), ("do", finding.do)):
            if said:
                table.add_row("", Text(what, style="dim"), Text(said))
    print_table(table, Console())
