"""A tiny model whose answer is a text of the test's: each token follows from its position alone.

gpt2, one layer of zeros, one-hot position embeddings: a token's row of the output matrix has a 1
at each position after which the token comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import gguf
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
USER_DEFINED = ["<tool_call>", "</tool_call>", "<think>", "</think>"]
CHATML = (
    "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
    "{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
_FEED_FORWARD = 32


def _letters() -> list[str]:
    """Give the letter that gpt2's vocabulary writes for each byte."""
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = [byte for byte in range(256) if byte not in plain]
    return [chr(byte if byte in plain else 0x100 + hidden.index(byte)) for byte in range(256)]


def write(path: Path, answer: bytes, prompt_tokens: int, *, context: int = 1024) -> Path:
    """Write a model that answers a prompt of so many tokens with *answer*, byte by byte."""
    tokens = [*_letters(), *CONTROL, *USER_DEFINED]
    end = 256 + CONTROL.index("<|im_end|>")
    output = np.zeros((len(tokens), context), np.float16)
    output[end, :] = 0.5
    for at, token in enumerate([*answer, end], prompt_tokens - 1):
        output[end, at], output[token, at] = 0, 1
    file = gguf.GGUFWriter(str(path), "gpt2")
    file.add_name("scripted")
    file.add_file_type(1)
    file.add_block_count(1)
    file.add_context_length(context)
    file.add_embedding_length(context)
    file.add_feed_forward_length(_FEED_FORWARD)
    file.add_head_count(context // 64)
    file.add_layer_norm_eps(1e-5)
    file.add_tokenizer_model("gpt2")
    file.add_tokenizer_pre("gpt-2")
    file.add_token_list(tokens)
    file.add_token_types([1] * 256 + [3] * len(CONTROL) + [4] * len(USER_DEFINED))
    file.add_token_merges(["a b"])
    file.add_eos_token_id(end)
    file.add_add_bos_token(False)
    file.add_chat_template(CHATML)
    _add_tensors(file, output, context)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return path


def _add_tensors(file: gguf.GGUFWriter, output: np.ndarray, n: int) -> None:
    zeros: dict[str, tuple[int, ...]] = {
        "attn_norm.bias": (n,), "attn_qkv.weight": (3 * n, n), "attn_qkv.bias": (3 * n,),
        "attn_output.weight": (n, n), "attn_output.bias": (n,), "ffn_norm.bias": (n,),
        "ffn_up.weight": (_FEED_FORWARD, n), "ffn_up.bias": (_FEED_FORWARD,),
        "ffn_down.weight": (n, _FEED_FORWARD), "ffn_down.bias": (n,),
    }  # fmt: skip
    file.add_tensor("token_embd.weight", np.zeros_like(output))
    file.add_tensor("position_embd.weight", np.eye(n, dtype=np.float32))
    file.add_tensor("output_norm.weight", np.ones(n, np.float32))
    file.add_tensor("output_norm.bias", np.zeros(n, np.float32))
    file.add_tensor("output.weight", output)
    for name in ("attn_norm.weight", "ffn_norm.weight"):
        file.add_tensor(f"blk.0.{name}", np.ones(n, np.float32))
    for name, shape in zeros.items():
        kind = np.float16 if len(shape) > 1 else np.float32
        file.add_tensor(f"blk.0.{name}", np.zeros(shape, kind))
