"""Rules about names from outside: clocks, chance, files, sockets, threads, other event loops."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from wfactors.testing.lint.resolve import External
from wfactors.testing.lint.rules.base import Context, Hit
from wfactors.testing.lint.rules.pages_world import WORLD
from wfactors.testing.lint.rules.tables import ARGUMENTS_MIN, find
from wfactors.testing.lint.vocabulary import PUBLIC

__all__ = ["check_name", "check_time_zone"]

_BY_CODE = {rule.code: rule for rule in WORLD}

# What to say after the name.
_ADVICE = {
    "WF101": "reads the clock of the machine: use wf.now() or wf.current_time()",
    "WF102": "is different in every replay: use wf.random, or an activity for secrets",
    "WF103": "is different in every replay: use wf.uuid4()",
    "WF104": "depends on the machine: pass it as an argument, or ask in wf.side_effect() or an activity",
    "WF105": "reads or changes the file system: do it in an activity",
    "WF106": "uses the network: do it in an activity",
    "WF107": "is about processes: do it in an activity",
    "WF108": "is about threads: use wf.open_nursery(), wf.Lock and so on; work for a thread is an activity",
    "WF110": "blocks every workflow of the node: use wf.sleep(), wf.signals() or an activity",
    "WF118": "is repeated in every replay: use wf.logger",
    "WF122": "has no place inside a workflow",
}
_EQUIVALENTS = {
    "asyncio.sleep": "wf.sleep()",
    "asyncio.gather": "wf.gather()",
    "asyncio.wait": "wf.gather() or wf.race()",
    "asyncio.as_completed": "wf.open_nursery()",
    "asyncio.create_task": "wf.open_nursery()",
    "asyncio.ensure_future": "wf.open_nursery()",
    "asyncio.TaskGroup": "wf.open_nursery()",
    "asyncio.wait_for": "wf.fail_after()",
    "asyncio.timeout": "wf.fail_after()",
    "asyncio.timeout_at": "wf.fail_at()",
    "asyncio.shield": "wf.CancelScope(shield=True)",
    "asyncio.Event": "wf.Event",
    "asyncio.Lock": "wf.Lock",
    "asyncio.Condition": "wf.Condition",
    "asyncio.Semaphore": "wf.Semaphore",
    "asyncio.BoundedSemaphore": "wf.Semaphore",
    "asyncio.Queue": "wf.open_memory_channel()",
    "asyncio.CancelledError": "wf.Cancelled",
    "asyncio.TimeoutError": "wf.TooSlowError",
    "asyncio.to_thread": "an activity (a plain def runs in a thread)",
    "anyio.create_task_group": "wf.open_nursery()",
    "anyio.create_memory_object_stream": "wf.open_memory_channel()",
    "anyio.get_cancelled_exc_class": "wf.Cancelled",
    "anyio.to_thread": "an activity (a plain def runs in a thread)",
    "trio.to_thread": "an activity (a plain def runs in a thread)",
    "trio.lowlevel.checkpoint": "wf.checkpoint()",
}
# Names of other libraries that do nothing: types and exceptions. What wfactors has its own of is not among them.
_HARMLESS_ENDS = ("Error", "Warning", "Exception", "Stats", "Statistics", "TaskStatus", "Typed", "Type")


def check_name(node: ast.AST, context: Context) -> Iterator[Hit]:
    """Names of what has no place in a workflow."""
    if isinstance(node, ast.Call):
        if context.resolver.name(node.func) != "builtins.getattr":
            return
    elif not (isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load)):
        return
    found = context.resolver.value(node)
    if not isinstance(found, External) or _is_part(node, context) or _is_made_here(node, found.name, context):
        return
    name = found.name
    code = find(name)
    if code is None and isinstance(context.parent(node), ast.withitem):
        # with lock: is a use of it.
        code = find(f"{name}.__enter__")
    if code is None:
        code, name = _shared_generator(node, name, context)
    if code is None:
        return
    rule = _BY_CODE[code]
    if (context.is_reader and not rule.in_queries) or not _is_use(node, name, context):
        return
    advice = _ADVICE.get(code) or _foreign_advice(name)
    if advice:
        around = context.parent(node)
        is_called = isinstance(around, ast.Call) and around.func is node
        words = name.removeprefix("builtins.") + ("()" if is_called else "")
        # The whole call: a comment at its end is about it.
        yield Hit(rule, around if is_called and around is not None else node, f"{words} {advice}")


def check_time_zone(node: ast.AST, context: Context) -> Iterator[Hit]:
    """``when.astimezone()`` without an argument, whatever ``when`` is."""
    assert isinstance(node, ast.Call)
    if context.is_reader or node.args or node.keywords:
        return
    if isinstance(node.func, ast.Attribute) and node.func.attr == "astimezone":
        message = "astimezone() without an argument takes the time zone of the machine: name one"
        yield Hit(_BY_CODE["WF104"], node.func, message)


# --- Helpers ---------------------------------------------------------------------------------------------------------


def _is_part(node: ast.AST, context: Context) -> bool:
    """Whether it is the beginning of a longer name that is a finding itself."""
    around = context.parent(node)
    if not isinstance(around, ast.Attribute):
        return False
    name = context.resolver.name(around)
    return find(name) is not None or name in _EQUIVALENTS


def _is_made_here(node: ast.AST, name: str, context: Context) -> bool:
    """Whether it belongs to something that the workflow itself has made, which is a finding already."""
    base = node
    while isinstance(base, ast.Attribute | ast.Call):
        base = base.func if isinstance(base, ast.Call) else base.value
    if "()" not in name or not isinstance(base, ast.Name):
        return False
    binding = context.resolver.binding(base)
    return binding is not None and binding.value is not None and binding.scope is not context.module.scope


def _is_use(node: ast.AST, name: str, context: Context) -> bool:
    around = context.parent(node)
    call = around if isinstance(around, ast.Call) and around.func is node else None
    last = name.rpartition(".")[2]
    if call is not None:
        return len(call.args) + len(call.keywords) < ARGUMENTS_MIN.get(name, 1_000_000)
    # A module or a class that is only named does nothing yet; its exceptions are caught.
    if isinstance(around, ast.withitem):
        return True
    if any(isinstance(it, ast.ExceptHandler) for it in (around, *_outer(around, context))):
        return name in _EQUIVALENTS or (name.startswith("trio.") and last in PUBLIC)
    return "." in name and not last[:1].isupper() and name not in _MODULES


def _outer(node: ast.AST | None, context: Context) -> list[ast.AST]:
    """For a tuple after except, the handler."""
    around = context.parent(node) if isinstance(node, ast.Tuple) else None
    return [] if around is None else [around]


_MODULES = {"trio.abc", "trio.lowlevel", "trio.socket", "trio.testing", "asyncio.exceptions", "redis.asyncio"}


def _shared_generator(node: ast.AST, name: str, context: Context) -> tuple[str | None, str]:
    """A seeded ``random.Random`` is fine where it is made in the workflow, not where it is shared by all."""
    if not name.startswith("random.Random().") or not isinstance(node, ast.Attribute):
        return None, name
    base = node.value
    is_shared = isinstance(base, ast.Name) and context.module.scopes[base].owner(base.id) is context.module.scope
    return ("WF102", name) if is_shared else (None, name)


def _foreign_advice(name: str) -> str:
    """What to use instead of a name of trio, asyncio or anyio; "" if there is nothing to say against it."""
    library, _, rest = name.partition(".")
    equivalent = _EQUIVALENTS.get(name) or _EQUIVALENTS.get(".".join(name.split(".")[:2]))
    if equivalent is None and library in {"trio", "anyio"}:
        first = rest.partition(".")[0].removesuffix("()")
        equivalent = f"wf.{first}" if first in PUBLIC else None
    if equivalent is not None:
        return f"is not for workflows, which have an event loop of their own: use {equivalent}"
    if rest.endswith(_HARMLESS_ENDS) or rest.startswith("abc."):
        return ""
    return f"belongs to {library}, which workflows cannot use: look for it in wfactors, or do it in an activity"
