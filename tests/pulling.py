"""What the tests of the pull share: a small model, its table, and qwenpick as a process."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import shapes

from qwenpick.catalog.model import Architecture
from qwenpick.catalog.table import PACKAGED

REPO = "unsloth/Qwen3.5-0.8B-GGUF"
FILE = "Qwen3.5-0.8B-Q4_K_M.gguf"
TINY = Architecture(
    hidden=256, layers=4, full_attention_layers=1, heads=4, kv_heads=1, head_dim=64, ffn=256,
    vocab=640, context=4096, linear_key_heads=2, linear_value_heads=4, linear_key_dim=64,
    linear_value_dim=64, linear_conv_kernel=4,
)  # fmt: skip


def model_file(
    path: Path,
    size: int = 1 << 21,
    seed: int = 0,
    *,
    arch: Architecture = TINY,
    quant: str = "Q4_K_M",
) -> Path:
    """Write a GGUF of the family, filled up to *size* with bytes that repeat nowhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shapes.write(path, arch, quant)
    with path.open("ab") as file:
        file.write(random.Random(seed).randbytes(max(size - path.stat().st_size, 0)))  # noqa: S311
    return path


def table(path: Path, *, size: int, sha256: str | None) -> Path:
    """Write a table in which the 0.8B's Q4_K_M is a file of our own, of our tiny shape."""
    document = json.loads(PACKAGED.read_text(encoding="utf-8"))
    arch = document["sizes"]["0.8b"]["arch"]
    arch |= {name: getattr(TINY, name) for name in TINY.__struct_fields__ if name in arch}
    file = document["sizes"]["0.8b"]["files"]["Q4_K_M"]
    file |= {"bytes": size, "exact": True}
    file.pop("sha256", None)
    if sha256:
        file["sha256"] = sha256
    document["sizes"]["0.8b"]["revision"] = "c" * 40
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def command(*arguments: str) -> list[str]:
    """Give the command line of qwenpick in this environment."""
    return [str(Path(sys.executable).with_name("qwenpick")), *arguments]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run qwenpick as a process of its own."""
    return subprocess.run(
        command(*arguments),
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
