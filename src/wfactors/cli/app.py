"""The commands, their options and their help; each imports what it does when it is called."""

# ruff: noqa: PLC0415 - help and shell completion must not wait for the engine

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wfactors.cli.lint import lint
from wfactors.cli.options import (
    Globals,
    Id,
    Json,
    JsonArguments,
    Partitions,
    PayloadsOption,
    StoreUrl,
    Timeout,
    arguments_of,
    attributes_of,
    globals_of,
    json_of,
    seconds_of,
)

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
    epilog="Exit codes: 0 done, 1 the workflow failed or a difference was found, 2 wrong usage, 3 not found, "
    "4 conflict (open, closed, in use), 5 store unavailable, 6 refused by the workflow, 74 standard output "
    "cannot be written, 124 time is up, 130 interrupted.",
)

_RUNNING = "Run"
_ASKING = "Talk to workflows"
_LOOKING = "Look"
_KEEPING = "Keep in order"
# So that -1 is an argument; a mistyped option is found by not being JSON.
_WITH_JSON = {"ignore_unknown_options": True}
_QUERY_SECONDS = "10s"


def _print_version(value: bool) -> None:  # noqa: FBT001  Called by typer.
    if value:
        from wfactors.__about__ import __version__

        typer.echo(f"wfactors {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    *,
    store: StoreUrl = None,
    payloads: PayloadsOption = None,
    as_json: Json = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Durable workflows for Python on Trio: run them, talk to them, look at them.

    [bold]wfactors demo[/bold] shows it all in twenty seconds.
    """
    del version
    context.obj = Globals(store, as_json, payloads)


# --- Run -------------------------------------------------------------------------------------------------------------


@app.command(rich_help_panel=_RUNNING)
def demo(
    context: typer.Context,
    folder: Annotated[
        Path | None, typer.Argument(help="Take these files instead of made ones; they are only read.", exists=True)
    ] = None,
    *,
    store: StoreUrl = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Where the results go.")] = None,
    files: Annotated[int | None, typer.Option("--files", "-n", min=1, help="Take at most so many files.")] = None,
    seed: Annotated[int, typer.Option(help="Which files are made, and which one fails at first.")] = 7,
    kill: Annotated[bool, typer.Option("--kill/--no-kill", help="Kill the worker (kill -9) half-way.")] = True,
    ask: Annotated[bool, typer.Option("--ask", help="Let you approve, instead of doing it for you.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the files that were made, and the results.")] = False,
    fast: Annotated[
        bool, typer.Option("--fast", help="Leave out most of the pauses, which are there to watch.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Watch a real pipeline survive kill -9: hash, compress and index files, one child workflow each.

    A worker process does the work on a SQLite store; it is killed half-way and started again. Interrupted itself, the
    demo goes on where it was when it is started again with the same --store.
    """
    from wfactors.cli.demo.command import DemoOptions, demo_command

    options = DemoOptions(folder, output, files, seed, kill=kill, ask=ask, keep=keep, fast=fast)
    demo_command(globals_of(context, store, json=as_json), options)


@app.command("run", rich_help_panel=_RUNNING)
def run_node(
    context: typer.Context,
    module: Annotated[
        str,
        typer.Argument(
            metavar="MODULE[:ATTRIBUTE]",
            help="shop.workflows, shop.py, or shop:registered for a list (or what returns one). Looked for in the "
            "current folder too.",
        ),
    ],
    *,
    store: StoreUrl = None,
    queue: Annotated[list[str] | None, typer.Option("--queue", "-q", help="A queue to serve; may be repeated.")] = None,
    grace: Annotated[str, typer.Option(help="What running activities get when it is asked to stop.")] = "30s",
    code_version: Annotated[str, typer.Option(help="Of your code; shown beside the node.")] = "",
    activities: Annotated[int | None, typer.Option(min=0, help="Activities at once; 0 for none.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="How many of them may be plain functions.")] = None,
    partitions: Partitions = 1,
    lease: Annotated[str | None, typer.Option(help="How long a silent node counts as alive; 10s by default.")] = None,
    retention: Annotated[str | None, typer.Option(help="Remove closed workflows after this.")] = None,
    telemetry: Annotated[
        str | None,
        typer.Option(metavar="MODULE:ATTRIBUTE", help="A wf.Telemetry to report to, or a function that returns one."),
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error; written to standard error.")] = "info",
    exit_with_stdin: Annotated[bool, typer.Option(hidden=True)] = False,
    as_json: Json = False,
) -> None:
    """Run a node: the workflows and activities of a module, until SIGTERM or Ctrl-C.

    The first signal stops it in order within --grace; the second one at once. Nothing is lost either way.
    """
    from wfactors.cli.node import NodeOptions, node_command

    options = NodeOptions(
        module=module,
        queues=tuple(queue or ["default"]),
        grace=seconds_of(grace, "--grace") or 0.0,
        code_version=code_version,
        activities=activities,
        threads=threads,
        partitions=partitions,
        lease=seconds_of(lease, "--lease"),
        retention=seconds_of(retention, "--retention"),
        telemetry=telemetry,
        log_level=log_level,
        exit_with_stdin=exit_with_stdin,
    )
    node_command(globals_of(context, store, json=as_json), options)


# --- Talk to workflows -----------------------------------------------------------------------------------------------


@app.command(rich_help_panel=_ASKING, context_settings=_WITH_JSON)
def start(
    context: typer.Context,
    workflow: Annotated[str, typer.Argument(metavar="WORKFLOW", help="Its name: that of the function, as a rule.")],
    arguments: JsonArguments = None,
    *,
    store: StoreUrl = None,
    id: Annotated[str | None, typer.Option("--id", "-i", help="What to call it; made up if left out.")] = None,
    queue: Annotated[str | None, typer.Option("--queue", "-q", help="Where it runs; default: default.")] = None,
    delay: Annotated[str | None, typer.Option(help="Wait this long before it starts: 30s, 5m, 2d.")] = None,
    attribute: Annotated[
        list[str] | None,
        typer.Option("--attribute", "--attributes", "-a", metavar="NAME=VALUE", help="To find it by; may be repeated."),
    ] = None,
    on_conflict: Annotated[
        str, typer.Option(help="If the id is open: fail, use_existing, terminate_existing.")
    ] = "fail",
    reuse: Annotated[
        str, typer.Option(metavar="POLICY", help="If the id was used: allow, if_failed, reject.")
    ] = "allow",
    partitions: Partitions = 1,
    wait: Annotated[bool, typer.Option("--wait", "-w", help="Wait for the result, as wfactors result does.")] = False,
    timeout: Timeout = None,
    as_json: Json = False,
) -> None:
    """Start a workflow."""
    from wfactors.cli.requests import StartOptions, start_command

    options = StartOptions(
        workflow=workflow,
        arguments=arguments_of(arguments),
        id=id,
        queue=queue,
        delay=seconds_of(delay, "--delay"),
        attributes=attributes_of(attribute),
        on_conflict=on_conflict,
        reuse=reuse,
        partitions=partitions,
        is_waiting=wait,
        timeout=seconds_of(timeout, "--timeout"),
    )
    start_command(globals_of(context, store, json=as_json), options)


@app.command(rich_help_panel=_ASKING, context_settings=_WITH_JSON)
def signal(
    context: typer.Context,
    id: Id,
    name: Annotated[str, typer.Argument(help="Of the signal.")],
    value: Annotated[str, typer.Argument(metavar="JSON", help="What it carries.", show_default=False)] = "null",
    *,
    store: StoreUrl = None,
    as_json: Json = False,
) -> None:
    """Send a signal; it is durable when the command returns."""
    from wfactors.cli.requests import signal_command

    signal_command(globals_of(context, store, json=as_json), id, name, json_of(value, "the value"))


@app.command(rich_help_panel=_ASKING, context_settings=_WITH_JSON)
def query(
    context: typer.Context,
    id: Id,
    name: Annotated[str, typer.Argument(help="Of the query.")],
    arguments: JsonArguments = None,
    *,
    store: StoreUrl = None,
    timeout: Timeout = _QUERY_SECONDS,
    as_json: Json = False,
) -> None:
    """Ask a workflow, open or closed; a running node answers."""
    from wfactors.cli.requests import query_command

    values = arguments_of(arguments)
    seconds = seconds_of(timeout, "--timeout")
    query_command(globals_of(context, store, json=as_json), id, name, values, seconds)


@app.command(rich_help_panel=_ASKING, context_settings=_WITH_JSON)
def update(
    context: typer.Context,
    id: Id,
    name: Annotated[str, typer.Argument(help="Of the update.")],
    arguments: JsonArguments = None,
    *,
    store: StoreUrl = None,
    timeout: Timeout = _QUERY_SECONDS,
    as_json: Json = False,
) -> None:
    """Run an update of a workflow and wait for its result."""
    from wfactors.cli.requests import update_command

    values = arguments_of(arguments)
    seconds = seconds_of(timeout, "--timeout")
    update_command(globals_of(context, store, json=as_json), id, name, values, seconds)


@app.command(rich_help_panel=_ASKING)
def result(
    context: typer.Context, id: Id, *, store: StoreUrl = None, timeout: Timeout = None, as_json: Json = False
) -> None:
    """Wait for the result and print it as JSON; exit code 1 if there is none because the workflow failed."""
    from wfactors.cli.requests import result_command

    result_command(globals_of(context, store, json=as_json), id, seconds_of(timeout, "--timeout"))


_Reason = Annotated[str, typer.Option("--reason", "-r", help="Written into the history.")]


@app.command(rich_help_panel=_ASKING)
def cancel(
    context: typer.Context, id: Id, *, store: StoreUrl = None, reason: _Reason = "", as_json: Json = False
) -> None:
    """Ask a workflow to stop; it may clean up first."""
    from wfactors.cli.requests import cancel_command

    cancel_command(globals_of(context, store, json=as_json), id, reason)


@app.command(rich_help_panel=_ASKING)
def terminate(
    context: typer.Context, id: Id, *, store: StoreUrl = None, reason: _Reason = "", as_json: Json = False
) -> None:
    """End a workflow at once; none of its code runs."""
    from wfactors.cli.requests import terminate_command

    terminate_command(globals_of(context, store, json=as_json), id, reason)


@app.command(rich_help_panel=_ASKING)
def resume(context: typer.Context, id: Id, *, store: StoreUrl = None, as_json: Json = False) -> None:
    """Let a parked workflow try again, with the code that the nodes have now."""
    from wfactors.cli.requests import resume_command

    resume_command(globals_of(context, store, json=as_json), id)


# --- Look ------------------------------------------------------------------------------------------------------------


@app.command("list", rich_help_panel=_LOOKING)
def list_workflows(
    context: typer.Context,
    *,
    store: StoreUrl = None,
    status: Annotated[
        list[str] | None,
        typer.Option(help="open, parked, completed, failed, cancelled, terminated or continued; may be repeated."),
    ] = None,
    workflow: Annotated[str | None, typer.Option("--workflow", "-w", help="Its name.")] = None,
    queue: Annotated[str | None, typer.Option("--queue", "-q", help="Its queue.")] = None,
    attribute: Annotated[
        list[str] | None, typer.Option("--attribute", "-a", metavar="NAME=VALUE", help="One it has; may be repeated.")
    ] = None,
    roots: Annotated[bool, typer.Option("--roots", help="Leave out children.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many, the newest.")] = 50,
    as_json: Json = False,
) -> None:
    """List workflows, the newest first."""
    from wfactors.cli.listing import ListOptions, list_command

    options = ListOptions(tuple(status or ()), workflow, queue, attributes_of(attribute), limit, roots)
    list_command(globals_of(context, store, json=as_json), options)


@app.command(rich_help_panel=_LOOKING)
def show(
    context: typer.Context,
    id: Id,
    *,
    store: StoreUrl = None,
    run: Annotated[int | None, typer.Option(min=1, help="Another run than the latest.")] = None,
    events: Annotated[bool, typer.Option("--events", "-e", help="Show each event of the history.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many lines of history.")] = 40,
    as_json: Json = False,
) -> None:
    """Show one workflow: where it stands, what it waits for, its history over time, its children."""
    from wfactors.cli.show import ShowOptions, show_command

    options = ShowOptions(run=run, is_with_events=events, limit=limit)
    show_command(globals_of(context, store, json=as_json), id, options)


@app.command(rich_help_panel=_LOOKING)
def export(
    context: typer.Context,
    id: Id,
    *,
    store: StoreUrl = None,
    run: Annotated[int | None, typer.Option(min=1, help="Another run than the latest.")] = None,
    as_json: Json = False,
) -> None:
    """Write a history to standard output, in the form in which stores keep it: for wfactors replay, and for tests."""
    from wfactors.cli.histories import export_command

    export_command(globals_of(context, store, json=as_json), id, run)


@app.command(rich_help_panel=_LOOKING)
def replay(
    context: typer.Context,
    module: Annotated[str, typer.Argument(metavar="MODULE[:ATTRIBUTE]", help="The code to replay with.")],
    histories: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="HISTORY", help="Files that wfactors export wrote, or folders of them; - for standard input."
        ),
    ] = None,
    *,
    store: StoreUrl = None,
    id: Annotated[list[str] | None, typer.Option("--id", "-i", help="Of the store, only these.")] = None,
    closed: Annotated[bool, typer.Option("--closed", help="Of the store, those that have ended too.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Compare arguments and results too.")] = False,
    as_json: Json = False,
) -> None:
    """Check that the code still makes the decisions that histories hold: before a deployment, or in CI.

    Without files, the open workflows of the store are replayed; nothing is changed there. Exit code 1 at a difference.
    """
    from wfactors.cli.histories import ReplayOptions, replay_command

    options = ReplayOptions(module, tuple(histories or ()), tuple(id or ()), is_with_closed=closed, is_strict=strict)
    replay_command(globals_of(context, store, json=as_json), options)


app.command(rich_help_panel=_LOOKING)(lint)


# --- Keep in order ---------------------------------------------------------------------------------------------------


@app.command(rich_help_panel=_KEEPING)
def remove(
    context: typer.Context,
    id: Annotated[str | None, typer.Argument(metavar="ID", help="Of a closed workflow.")] = None,
    *,
    store: StoreUrl = None,
    older_than: Annotated[
        str | None, typer.Option(metavar="TIME", help="All that closed longer ago than this: 30d.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Remove closed workflows with all that belongs to them."""
    from wfactors.cli.requests import remove_command

    seconds = seconds_of(older_than, "--older-than")
    if (id is None) == (seconds is None):
        raise typer.BadParameter("name one workflow, or give --older-than")
    remove_command(globals_of(context, store, json=as_json), id, seconds)


@app.command(rich_help_panel=_KEEPING)
def migrate(context: typer.Context, *, store: StoreUrl = None, as_json: Json = False) -> None:
    """Bring the schema of a store up to date, or make an empty one."""
    from wfactors.cli.operations import migrate_command

    migrate_command(globals_of(context, store, json=as_json))


@app.command(rich_help_panel=_KEEPING)
def doctor(context: typer.Context, *, store: StoreUrl = None, as_json: Json = False) -> None:
    """Look for what could go wrong: versions, durability in force, clocks, nodes, queues, what nobody serves."""
    from wfactors.cli.operations import doctor_command

    doctor_command(globals_of(context, store, json=as_json))
