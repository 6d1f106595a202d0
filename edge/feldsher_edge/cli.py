"""The command line of a gateway: for technicians, who may see it for the first time."""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated

import typer
from rich.table import Table

from feldsher_edge import (
    cli_devices,
    cli_install,
    cli_network,
    cli_page,
    cli_return,
    cli_setup,
    daemon,
    owner,
    provision,
    service,
    status,
)
from feldsher_edge.cli_common import DEFAULT, ConfigFile, Json, Out
from feldsher_edge.config import ConfigError

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

app.add_typer(cli_network.app, name="network")
app.command()(cli_setup.setup)
for _command in (cli_devices.devices, cli_devices.pair, cli_devices.forget, cli_devices.rename):
    app.command()(_command)
app.command("test")(cli_devices.probe)
app.command("return")(cli_return.give_back)
app.command("page-pin")(cli_page.page_pin)
app.command()(cli_install.install)


@app.callback()
def about() -> None:
    """Take cardiograms and vital signs beside the patient and send them to the health record: a feldsher gateway.

    A new gateway is set up by `feldsher-edge setup CLAIM`, with the line that `feldsher-cloud gateway add` printed:
    it asks for what it needs, finds the devices, and tests them. Every command understands --json.
    """


@app.command()
def run(config: ConfigFile = DEFAULT) -> None:
    """Run the gateway until it is stopped (Ctrl-C, or systemctl stop).

    It also ends, to be started again, when an update was installed; and with code 64 when it was wiped.
    """
    Out().load(config)
    service.become(config)


@app.command()
def check(config: ConfigFile = DEFAULT, json: Json = False) -> None:
    """Say whether this program can work with the gateway's configuration and identity; an update is tested with it."""
    out = Out(json=json)
    settings = out.load(config)
    try:
        identity = provision.load_identity(settings.state)
        name = daemon.gateway_name(settings, identity)
        until = None if identity is None else identity.shown().not_valid_after_utc
    except (ConfigError, provision.ProvisionError) as error:
        out.fail(str(error))
    told = "not renewed by this program" if until is None else f"good until {until}"
    words = f"{name}: configuration and identity are in order; certificate {told}."
    out.result({"gateway": name, "certificate_until": until}, words)


@app.command()
def claim(
    text: Annotated[str, typer.Argument(metavar="CLAIM", help="The line that `feldsher-cloud gateway add` printed.")],
    config: ConfigFile = DEFAULT,
    force: Annotated[bool, typer.Option(help="Replace an identity that exists; the old one is kept aside.")] = False,
    json: Json = False,
) -> None:
    """Give this gateway its identity, with the claim from the cloud.

    Makes its key here, where it stays, and has the cloud sign its certificate.
    """
    out = Out(json=json)
    settings = out.load(config)
    try:
        identity = provision.claim_identity(text, settings.state, force=force)
        owner.hand_over(settings.state)
    except (provision.ProvisionError, OSError) as error:
        out.fail(str(error))
    place = identity.place
    out.result(
        {"gateway": place.gateway, "broker": f"{place.mqtt_host}:{place.mqtt_port}"},
        f"This gateway is {place.gateway}; its broker is {place.mqtt_host}:{place.mqtt_port}.",
        "Start it: feldsher-edge run, or systemctl restart feldsher-edge",
    )


@app.command("status")
def show_status(config: ConfigFile = DEFAULT, json: Json = False) -> None:
    """Show how the running gateway is: connection, what waits, devices.

    Shows no patient and no measured value.
    """
    out = Out(json=json)
    try:
        report = status.ask(out.load(config).state)
    except status.StatusError as error:
        out.fail(str(error), code=3)
    if json:
        out.result(report)
    else:
        out.console.print(table(report))


@app.command()
def warm() -> None:
    """Compile the interpreter ahead, so that the service starts at once.

    The compiled kernels are kept in NUMBA_CACHE_DIR.
    """
    done = subprocess.run([sys.executable, "-m", "feldsher_edge.interpreter_child", "--warm"], check=False)
    raise typer.Exit(done.returncode)


def table(report: status.Report) -> Table:
    """Return a status as the technician sees it."""
    made = Table(show_header=False, box=None, pad_edge=False)
    link = report.connection
    rows = [
        ("gateway", f"{report.gateway}, {report.software}, start {report.starts}"),
        ("clock", report.clock),
        ("broker", f"{link.broker}, {'connected' if link.connected else f'NOT connected: {link.last_error}'}"),
        ("last receipt", _ago(link.last_receipt_age_s)),
        ("waiting", f"{sum(report.outbox)} messages, {report.outbox_bytes} bytes, oldest {_ago(report.oldest_age_s)}"),
        ("dead letters", str(report.dead_letters)),
        ("interpreter", report.interpreter),
        ("certificate", _certificate(report.certificate)),
    ]
    rows += [(d.device, f"{d.kind}, {d.state or 'not seen yet'}, seen {_ago(d.age_s)}") for d in report.devices]
    rows += [(f"order for {o.device}", o.state) for o in report.orders]
    rows += [("late", task) for task in report.late_tasks]
    if report.dropped or report.thinned:
        lost = f"{report.dropped} messages dropped, {report.thinned} readings thinned out for want of room; on record"
        rows.append(("LOST", lost))
    if link.taken_over:
        rows.append(("CONFLICT", f"{link.taken_over} times another program came with this identity: a copied disk?"))
    for name, text in rows:
        made.add_row(name, text)
    return made


def _certificate(line: status.CertificateLine) -> str:
    if line.until is None:
        return "from the configuration file, not renewed by this program"
    return f"good until {line.until}" + (f"; NOT renewed: {line.refused}" if line.refused else "")


def _ago(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    for size, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit} ago"
    return f"{seconds:.1f} s ago"


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
