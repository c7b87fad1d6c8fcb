"""The rules of docs/architecture.md, read from the source."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
APPS = ("agentmail", "audit", "policies", "approvals", "gateway", "config")
MAY_IMPORT = {
    "agentmail": {"agentmail"},
    "audit": {"audit"},
    "policies": {"policies", "audit"},
    "approvals": {"approvals", "agentmail", "policies", "audit"},
    "gateway": {"gateway", "approvals", "agentmail", "policies", "audit"},
    "config": set(APPS),
}
SANDBOX = "agentmail.sandbox"
# Templates and modules that may mark text as safe HTML, each because its output is built from escaped parts.
SAFE_MARKUP_ALLOWED = {
    "agentmail/mail_html.py",
    "approvals/templatetags/",
}


def sources(folder: str) -> list[Path]:
    return sorted(path for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts)


def product_sources() -> list[Path]:
    return [path for app in APPS for path in sources(app)]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(path: Path) -> Iterator[tuple[str, ast.stmt]]:
    """Every module that a file imports, absolute, with the statement; `from a import b` counts as a.b."""
    package = module_of(path) if path.name == "__init__.py" else module_of(path).rpartition(".")[0]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base] if base else parents)
            for alias in node.names:
                yield f"{base}.{alias.name}", node


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(package + ".")


def is_sandbox(path: Path) -> bool:
    return is_in(module_of(path), SANDBOX)


def templates() -> list[Path]:
    folders = [ROOT / "templates", *(ROOT / app / "templates" for app in APPS)]
    return sorted(
        path for folder in folders if folder.is_dir() for path in folder.rglob("*") if path.is_file()
    )


def test_apps_import_only_what_the_map_allows() -> None:
    wrong = [
        f"{relative(path)}:{node.lineno} imports {module}"
        for app in APPS
        for path in sources(app)
        for module, node in imported(path)
        if (top := module.partition(".")[0]) in APPS and top not in MAY_IMPORT[app]
    ]
    assert wrong == []


def test_the_sandbox_imports_nothing_of_the_product_and_no_django() -> None:
    wrong = [
        f"{relative(path)}:{node.lineno} imports {module}"
        for path in sources("agentmail/sandbox")
        for module, node in imported(path)
        if module.partition(".")[0] in (*APPS, "django") and not is_in(module, SANDBOX)
    ]
    assert wrong == []


def test_only_its_command_imports_the_sandbox() -> None:
    importers = {
        relative(path)
        for path in product_sources()
        if not is_sandbox(path)
        for module, _ in imported(path)
        if is_in(module, SANDBOX)
    }
    assert importers <= {"agentmail/management/commands/sandbox.py"}


def test_an_import_inside_a_function_states_its_reason() -> None:
    wrong = []
    for path in product_sources():
        lines = path.read_text(encoding="utf-8").splitlines()
        for function in ast.walk(tree(path)):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for node in ast.walk(function):
                is_import = isinstance(node, ast.Import | ast.ImportFrom)
                if is_import and not re.search(
                    r"# noqa: [A-Z0-9, ]*\bPLC0415\b[A-Z0-9, ]* - \w+", lines[node.lineno - 1]
                ):
                    wrong.append(f"{relative(path)}:{node.lineno}")
    assert wrong == []


def writes_state(node: ast.AST) -> bool:
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return any(
            isinstance(target, ast.Attribute)
            and target.attr == "state"
            and not (isinstance(target.value, ast.Name) and target.value.id == "self")
            for target in targets
        )
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr in ("update", "filter_update"):
            return any(keyword.arg == "state" for keyword in node.keywords)
        if node.func.attr == "bulk_update":
            fields = [*node.args[1:2], *(k.value for k in node.keywords if k.arg == "fields")]
            return any(
                isinstance(item, ast.Constant) and item.value == "state"
                for field in fields
                for item in ast.walk(field)
            )
    return False


def test_only_the_transitions_write_a_state_of_the_desk() -> None:
    writers = [
        f"{relative(path)}:{node.lineno}"
        for path in sources("approvals")
        if "transitions" not in path.parts and "migrations" not in path.parts
        for node in ast.walk(tree(path))
        if writes_state(node) and not is_about_another_state(path, node)
    ]
    assert writers == []


def is_about_another_state(path: Path, node: ast.AST) -> bool:
    """Whether the statement names the state of an event or a follow-up, which have no machine."""
    named = ast.get_source_segment(path.read_text(encoding="utf-8"), node) or ""
    return bool(
        re.search(r"\b(?:EventState|FollowUpState|ProviderEvent\.objects|FollowUp\.objects)\b", named)
    )


@pytest.mark.parametrize("name", ["send_message", "send_draft"])
@pytest.mark.row("001-21")
def test_a_send_has_one_call_site(name: str) -> None:
    calls = [
        relative(path)
        for path in product_sources()
        if not is_sandbox(path) and relative(path) != "agentmail/client.py"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and (
            (isinstance(node.func, ast.Attribute) and node.func.attr == name)
            or (isinstance(node.func, ast.Name) and node.func.id == name)
        )
    ]
    assert calls == ["approvals/dispatch.py"]


def test_tasks_take_ids_and_stay_leaves() -> None:
    importers = [
        f"{relative(path)}:{node.lineno}"
        for path in product_sources()
        for module, node in imported(path)
        if is_in(module, "approvals.tasks") and node.col_offset == 0
    ]
    assert importers == []


def test_the_locks_name_no_index() -> None:
    locks = sorted((ROOT / "requirements").glob("*.txt"))
    assert [lock.name for lock in locks if "://" in lock.read_text()] == []
    assert {lock.name for lock in locks} >= {"runtime.txt", "test.txt", "browser.txt"}


def markup(path: Path) -> str:
    """The text of a template without its tags: `{% include ... with style="line" %}` is no attribute."""
    return re.sub(r"\{%.*?%\}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)


INLINE = {
    "a script in the page": re.compile(r"<script(?![^>]*\bsrc=)[^>]*>", re.IGNORECASE),
    "a style element": re.compile(r"<style\b", re.IGNORECASE),
    "a style attribute": re.compile(r"\sstyle\s*=", re.IGNORECASE),
    "a handler attribute": re.compile(r"\son[a-z]+\s*=", re.IGNORECASE),
    "hx-on": re.compile(r"\bhx-on\b", re.IGNORECASE),
    "a script address": re.compile(r"javascript:", re.IGNORECASE),
    "a trigger filter, which fails open": re.compile(r"hx-trigger=\"[^\"]*\["),
}


@pytest.mark.parametrize("what", INLINE)
def test_no_template_holds_what_the_policy_forbids(what: str) -> None:
    assert [relative(path) for path in templates() if INLINE[what].search(markup(path))] == []


def test_no_template_switches_escaping_off() -> None:
    escapes_off = re.compile(r"\|\s*safe\b|\|\s*safeseq\b|\{%\s*autoescape\s+off")
    assert [
        relative(path) for path in templates() if escapes_off.search(path.read_text(encoding="utf-8"))
    ] == []


def test_markup_is_called_safe_only_where_it_is_built() -> None:
    users = {
        relative(path)
        for path in product_sources()
        for node in ast.walk(tree(path))
        if (isinstance(node, ast.Name) and node.id in ("mark_safe", "SafeString"))
        or (isinstance(node, ast.Attribute) and node.attr in ("mark_safe", "SafeString"))
    }
    assert [
        user for user in users if not any(user.startswith(allowed) for allowed in SAFE_MARKUP_ALLOWED)
    ] == []


def test_environment_variables_are_read_in_one_place() -> None:
    readers = {
        relative(path)
        for path in product_sources()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    }
    # The starting points name the settings; the demo makes an environment; a failpoint must work anywhere.
    allowed = {
        "config/celery.py",
        "config/wsgi.py",
        "config/management/commands/demo.py",
        "agentmail/failpoints.py",
    }
    assert readers - allowed == set()


def test_no_file_names_the_machine_it_was_written_on() -> None:
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True)
    # Written so that this line does not match itself.
    personal = re.compile(r"/(?:home|Users)/[a-z]|[/]root/|[/]work/")
    wrong = [
        name
        for name in tracked.stdout.split("\0")
        if name and (ROOT / name).is_file()
        if personal.search((ROOT / name).read_text(encoding="utf-8", errors="ignore"))
    ]
    assert wrong == []


# Everything a gate can reach, beside the standard library and our own modules: no client of a model is among them.
REACHED_BY_GATES = {"django", "idna", "nh3", "psycopg", "requests", "urllib3"}


def file_of(module: str) -> Path | None:
    """The file of one of our modules, or of the module that a name imported from it belongs to."""
    path = ROOT.joinpath(*module.split("."))
    if (path / "__init__.py").is_file():
        return path / "__init__.py"
    return path.with_suffix(".py") if path.with_suffix(".py").is_file() else None


@pytest.mark.row("000-40", "003-08")
def test_no_gate_can_reach_a_client_of_a_model() -> None:
    waiting = [*sources("approvals/gates"), *sources("policies")]
    seen: set[Path] = set()
    reached: dict[str, str] = {}
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for module, _ in imported(path):
            top = module.partition(".")[0]
            if top in APPS:
                found = file_of(module) or file_of(module.rpartition(".")[0])
                waiting += [found] if found is not None else []
            elif top not in sys.stdlib_module_names:
                reached.setdefault(top, relative(path))

    assert {top: path for top, path in reached.items() if top not in REACHED_BY_GATES} == {}
