"""Writes GGUF files of Qwen3.5's architecture with random weights: tiny ones, and the real shapes.

    python benchmarks/shapes.py tiny out.gguf
    python benchmarks/shapes.py 0.8b Q4_K_M out.gguf

Speed and memory do not depend on a weight's value, so the four sizes of the catalogue can be
measured without a download. A file of a real size has the catalogue's exact bytes: the header is
as large as the real one's, and the mixture of types adds up to the rest (`mixture.py`). It is
written in seconds, by repeating a pool of random blocks.

The tensors and keys are those that llama.cpp reads (src/models/qwen35.cpp).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import blocks
import gguf
import mixture
import numpy as np
import vocabulary
from msgspec.structs import replace

from qwenpick.catalog import table
from qwenpick.catalog.model import Architecture
from qwenpick.pull.gguf import model_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mixture import Planned

TINY = Architecture(
    hidden=128, layers=4, full_attention_layers=1, heads=4, kv_heads=2, head_dim=64, ffn=256,
    vocab=1024, context=32768, tied_embeddings=True, linear_key_heads=2, linear_value_heads=4,
    linear_key_dim=32, linear_value_dim=32, linear_conv_kernel=4,
)  # fmt: skip
FILE_TYPES = {name: number for number, name in model_file.FILE_TYPES.items()}
REAL_HEADER = 10_961_696
"""Bytes of the real files' header: their BF16 and Q8_0 files less their tensors (0.8B)."""


def write(
    path: Path, arch: Architecture, quant: str = "F16", *, size: int | None = None, seed: int = 0
) -> Path:
    """Write a model of *arch* to *path*.

    Args:
        path: The file to write.
        arch: Its shape; `mtp_layers` adds the block that predicts further tokens.
        quant: F32, F16, BF16, Q8_0, Q4_K_M, or any name where *size* is given.
        size: The file's exact bytes: the mixture of types is chosen to fill them.
        seed: Of the random weights.

    Raises:
        ValueError: *size* is less than the smallest mixture takes.
    """
    tensors = mixture.plan(arch, quant, budget=size - REAL_HEADER if size else None)
    start = _write_header(path, arch, quant, tensors, padding=0)
    if size:
        total = sum(_padded(tensor.bytes) for tensor in tensors)
        gap = size - total - start
        start = _write_header(path, arch, quant, tensors, padding=gap)
    source = np.random.default_rng(seed)
    with path.open("ab") as file:
        for tensor in tensors:
            file.write(bytes(_padded(file.tell()) - file.tell()))
            _repeat(file, blocks.weights(tensor, source), tensor.bytes)
        file.write(bytes(_padded(file.tell()) - file.tell()))
    return path


def write_header(path: Path, size: str, quant: str = "Q4_K_M") -> Path:
    """Write one of the catalogue's sizes as a sparse file: its header, and a hole for the rest."""
    model = table.load().model(size)
    if model is None:
        raise ValueError(f"{size!r} is no size of the catalogue")
    tensors = mixture.plan(model.architecture, quant)
    start = _write_header(path, model.architecture, quant, tensors, padding=0)
    with path.open("r+b") as file:
        file.truncate(start + sum(_padded(tensor.bytes) for tensor in tensors))
    return path


def write_size(
    path: Path,
    size: str,
    quant: str = "Q4_K_M",
    *,
    file_bytes: int | None = None,
    mtp: bool = False,
) -> Path:
    """Write one of the catalogue's sizes; with the catalogue's bytes, or *file_bytes*."""
    model = table.load().model(size)
    if model is None:
        raise ValueError(f"{size!r} is no size of the catalogue")
    listed = model.file(quant)
    arch = replace(model.architecture, mtp_layers=1 if mtp else 0)
    if mtp and file_bytes is None:
        return write(path, arch, quant)
    exact = listed.bytes if listed and listed.bytes_exact else None
    return write(path, arch, quant, size=file_bytes or exact)


def _repeat(file: BinaryIO, pool: bytes, size: int) -> None:
    """Write *size* bytes of *pool*, as often as it takes."""
    file.writelines(pool for _ in range(size // len(pool)))
    file.write(pool[: size % len(pool)])


def _padded(size: int) -> int:
    return -(-size // gguf.GGUF_DEFAULT_ALIGNMENT) * gguf.GGUF_DEFAULT_ALIGNMENT


def _write_header(
    path: Path, arch: Architecture, quant: str, tensors: Sequence[Planned], *, padding: int
) -> int:
    """Write all that comes before the first weight, and say how many bytes it has."""
    writer = gguf.GGUFWriter(path, "qwen35")
    _describe(writer, arch, quant)
    _add_vocabulary(writer, arch.vocab)
    key = "shapes.padding"
    text = padding - 8 - len(key) - 4 - 8  # a key's length, itself, its type, its text's length
    if text >= 0:
        writer.add_string(key, "." * text)
    for tensor in tensors:
        kind = gguf.GGMLQuantizationType[tensor.type]
        shape = tuple(reversed(tensor.shape))
        writer.add_tensor_info(tensor.name, shape, np.dtype("f4"), tensor.bytes, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(bytes(_padded(size) - size))
    return _padded(size)


def _describe(writer: gguf.GGUFWriter, arch: Architecture, quant: str) -> None:
    writer.add_name("Random weights")
    writer.add_file_type(FILE_TYPES.get(quant, gguf.LlamaFileType.GUESSED))
    writer.add_block_count(arch.layers + arch.mtp_layers)
    writer.add_context_length(arch.context)
    writer.add_embedding_length(arch.hidden)
    writer.add_feed_forward_length(arch.ffn)
    writer.add_head_count(arch.heads)
    writer.add_head_count_kv(arch.kv_heads)
    writer.add_key_length(arch.head_dim)
    writer.add_value_length(arch.head_dim)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(1e7)
    rotated = arch.head_dim // 4
    writer.add_rope_dimension_count(rotated)
    third = rotated // 2 // 3
    writer.add_rope_dimension_sections([rotated // 2 - 2 * third, third, third, 0])
    writer.add_ssm_conv_kernel(arch.linear_conv_kernel)
    writer.add_ssm_inner_size(arch.linear_value_heads * arch.linear_value_dim)
    writer.add_ssm_state_size(arch.linear_key_dim)
    writer.add_ssm_time_step_rank(arch.linear_value_heads)
    writer.add_ssm_group_count(arch.linear_key_heads)
    writer.add_uint32("qwen35.full_attention_interval", arch.layers // arch.full_attention_layers)
    if arch.mtp_layers:
        writer.add_uint32("qwen35.nextn_predict_layers", arch.mtp_layers)


def _add_vocabulary(writer: gguf.GGUFWriter, size: int) -> None:
    words = vocabulary.make(size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen35")
    writer.add_token_list(words.tokens)
    writer.add_token_types(words.types)
    writer.add_token_merges(words.merges)
    writer.add_eos_token_id(words.end_of_turn)
    writer.add_pad_token_id(words.end_of_text)
    writer.add_add_bos_token(False)
    writer.add_chat_template(vocabulary.TEMPLATE)


def main(arguments: list[str]) -> None:
    """Write the file that the command line asks for."""
    size, *quant, name = arguments
    path = Path(name)
    if size == "tiny":
        write(path, TINY, *quant)
    else:
        write_size(path, size, *quant)
    print(f"{path}  {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1:])
