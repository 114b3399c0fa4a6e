"""What the pages say of variables and files is what the sources read."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
NO_VARIABLES = {
    "COMMAND_CLASS", "CUDA", "FILE", "GET", "GGML_NO_BACKTRACE", "HEAD", "O_NONBLOCK", "PCI_BUS_ID",
    "PIL", "TRUE", "VULKAN", "YES",
}  # fmt: skip
"""Other words in capitals in modules that read the environment, and what is set for children."""
READ_BY_LIBRARIES = {
    "ALL_PROXY", "GOMP_SPINCOUNT", "HF_HUB_DISABLE_IMPLICIT_TOKEN", "HF_HUB_DISABLE_TELEMETRY",
    "HF_HUB_DISABLE_XET", "HF_HUB_ETAG_TIMEOUT", "HOME", "HTTP_PROXY", "HTTPS_PROXY",
    "HF_TOKEN", "HF_TOKEN_PATH", "HUGGING_FACE_HUB_TOKEN", "NO_PROXY", "PATH", "SSL_CERT_DIR",
    "SSL_CERT_FILE", "TRANSFORMERS_OFFLINE",
}  # fmt: skip


@cache
def sources() -> dict[Path, str]:
    return {path: path.read_text(encoding="utf-8") for path in (ROOT / "qwenpick").rglob("*.py")}


def strings(source: str) -> set[str]:
    nodes = ast.walk(ast.parse(source))
    constants = {node.value for node in nodes if isinstance(node, ast.Constant)}
    return {value for value in constants if isinstance(value, str)}


def test_every_variable_that_is_read_stands_in_the_page_and_the_other_way_round() -> None:
    read = {
        text
        for source in sources().values()
        if "environ" in source
        for text in strings(source)
        if re.fullmatch(r"_?[A-Z]+(_[A-Z0-9]+)*", text) and len(text) > 2
    } | {"container"}
    page = (DOCS / "environment.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`\$?(_?[A-Z]+(?:_[A-Z0-9]+)*|container)[`/]", page))
    assert read - NO_VARIABLES - named == set()
    assert named - read - READ_BY_LIBRARIES == set()


def test_every_file_in_the_home_stands_in_the_page() -> None:
    page = (DOCS / "environment.md").read_text(encoding="utf-8")
    names = {
        name
        for source in sources().values()
        for name in re.findall(r"(?<!Path\.)\bhome\(\) / \"([^\"]+)\"", source)
    }
    assert "measurements.json" in names
    assert {name for name in names if f"`{name}" not in page} == set()


def messages(source: str) -> set[str]:
    """Give all texts of a module, with `...` for what an f-string fills in."""
    tree = ast.parse(source)
    filled = {
        "".join(part.value if isinstance(part, ast.Constant) else "..." for part in node.values)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
    }
    return filled | strings(source)


def test_every_message_of_the_troubleshooting_page_is_one_of_ours() -> None:
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^### `(.+)`$", page, re.MULTILINE)
    assert len(quoted) > 30
    ours = {text for source in sources().values() for text in messages(source)}
    unknown = [
        message
        for message in quoted
        if not any(
            re.search(".*".join(map(re.escape, message.split("..."))), text, re.DOTALL)
            for text in ours
        )
    ]
    assert unknown == []


def test_every_link_between_the_pages_leads_somewhere() -> None:
    pages = [*DOCS.rglob("*.md"), *ROOT.glob("*.md")]
    links = [
        (page, link)
        for page in pages
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    ]
    assert len(links) > 30
    assert [(page.name, link) for page, link in links if not (page.parent / link).exists()] == []


def test_every_file_that_a_page_names_exists() -> None:
    pages = [*DOCS.rglob("*.md"), *ROOT.glob("*.md")]
    named = {
        (page.name, name)
        for page in pages
        for name in re.findall(
            r"(?<![\w/.<-])((?:\w+/)+\w+\.py)\b", page.read_text(encoding="utf-8")
        )
    }
    assert len(named) > 20
    roots = (ROOT, ROOT / "qwenpick", DOCS)
    unknown = {one for one in named if not any((root / one[1]).exists() for root in roots)}
    assert unknown == {("architecture.md", "cli/commands/cmd_NAME.py")}  # of a recipe
