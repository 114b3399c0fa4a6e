"""What a GGUF file's header means: the model's shape, its quantisation, and whether it is sound.

`read_model` refuses whatever llama.cpp would end the process on, and each check names its place
there; what it refuses itself in good order, such as a wrong shape, is left to it.
"""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from qwenpick.catalog.model import Architecture
from qwenpick.errors import RunError
from qwenpick.pull.gguf.format import Header, LongArray, Tensor, broken
from qwenpick.pull.gguf.header import read_header, read_strings
from qwenpick.pull.names import first_part, is_split

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S",
    29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0",
    38: "MXFP4_MOE", 39: "NVFP4", 40: "Q1_0", 41: "Q2_0",
}  # fmt: skip
"""general.file_type to the quantisation's name (llama.h, enum llama_ftype)."""

_MAX_PARTS = 1000
_MAX_LAYERS, _MAX_EXPERTS = 512, 1024  # LLAMA_MAX_LAYERS, LLAMA_MAX_EXPERTS
_ROPE_SCALINGS = ("", "none", "linear", "yarn", "longrope")
_NOT_WEIGHTS = frozenset({"I8", "I16", "I64", "F64", "Q8_1", "Q8_K"})
"""Types that hold intermediate results: no matrix is multiplied with them (ggml-cpu.c)."""
_ELEMENTWISE = r"norm\.weight$|\.bias$|ssm_a$|ssm_conv1d"


class ModelFile(Struct, frozen=True, kw_only=True):
    """A text model's file that is safe to hand to the engine."""

    header: Header
    architecture: Architecture
    quant: str

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What the engine loads of it."""
        return _loaded(self.header, self.architecture.layers)


def read_model(path: Path) -> ModelFile:
    """Read the text model at *path*, and check all that the engine would stumble over.

    Raises:
        UsageError: There is no such file, or it is of another kind.
        RunError: It is broken, or is no text model.
    """
    header = _joined(read_header(path))
    shape = architecture(header)
    for fault in _faults(header, shape):
        raise broken(path, fault)
    return ModelFile(header=header, architecture=shape, quant=quantisation(header))


def _joined(header: Header) -> Header:
    """Give a split model's header with the tensors of all its parts, which lie beside it.

    Raises:
        RunError: A part is missing or of another model, or it is not the first.
    """
    path, count = header.path, header.count("split.count", 0)
    if count <= 1:
        return header
    if count > _MAX_PARTS or not is_split(path.name):
        raise broken(path, f"it is one of {count} parts, and not named NAME-00001-of-0000N.gguf")
    if header.count("split.no", 0):  # llama_model_loader: the first one is to be named
        raise broken(path, f"it is a part of a model; name the first one, {first_part(path.name)}")
    stem = first_part(path.name)[: -len("-00001-of-00001.gguf")]
    parts = [path.with_name(f"{stem}-{no:05}-of-{count:05}.gguf") for no in range(2, count + 1)]
    if missing := next((part.name for part in parts if not part.is_file()), None):
        raise broken(path, f"its part {missing} is missing")
    headers = [header, *map(read_header, parts)]
    for number, part in enumerate(headers):
        if (part.count("split.no", 0), part.count("split.count", 0)) != (number, count):
            raise broken(part.path, f"it is not part {number + 1} of {count}")
    tensors = tuple(tensor for part in headers for tensor in part.tensors)
    if len({tensor.name for tensor in tensors}) != header.count("split.tensors.count"):
        raise broken(path, "its parts do not have all tensors, or one twice")
    return replace(header, tensors=tensors, file_bytes=sum(part.file_bytes for part in headers))


def quantisation(header: Header) -> str:
    """Name the quantisation, from general.file_type, else from the type of most bytes."""
    file_type = header.metadata.get("general.file_type")
    if isinstance(file_type, int) and file_type in FILE_TYPES:
        return FILE_TYPES[file_type]
    weight: dict[str, int] = {}
    for tensor in header.tensors:
        weight[tensor.type] = weight.get(tensor.type, 0) + tensor.bytes
    return max(weight, key=weight.__getitem__, default="unknown")


def architecture(header: Header) -> Architecture:
    """Read a text model's shape: a hybrid of Qwen3.5's kind, or any with attention throughout.

    Raises:
        RunError: The file is no text model, or a key that its shape needs is missing.
    """
    name = header.text("general.architecture")
    if not name or f"{name}.block_count" not in header.metadata or name == "clip":
        raise RunError(
            f"{header.path.name} is not a text model (its architecture is {name or 'missing'}).",
            hint="A vision projector (mmproj) goes with a model, it is none itself.",
        )

    def count(key: str, default: int | None = None) -> int:
        return _largest(header, f"{name}.{key}", default)

    mtp_layers = count("nextn_predict_layers", 0)
    layers = count("block_count") - mtp_layers
    heads = count("attention.head_count")
    if not 0 < layers <= _MAX_LAYERS - mtp_layers or not heads:
        raise broken(header.path, f"it has {layers:,} layers and {heads:,} heads")
    hidden = count("embedding_length")
    head_dim = count("attention.key_length", hidden // heads)
    hybrid = f"{name}.ssm.state_size" in header.metadata
    state = count("ssm.state_size", 0)
    return Architecture(
        hidden=hidden,
        layers=layers,
        full_attention_layers=sum(not r for r in recurrent(header, layers)) if hybrid else layers,
        heads=heads,
        kv_heads=count("attention.head_count_kv", heads),
        head_dim=max(head_dim, count("attention.value_length", head_dim)),
        ffn=count("feed_forward_length", 0),
        vocab=_vocabulary(header),
        context=count("context_length"),
        tied_embeddings=all(tensor.name != "output.weight" for tensor in header.tensors),
        linear_key_heads=count("ssm.group_count", 0),
        linear_value_heads=count("ssm.time_step_rank", 0),
        linear_key_dim=state,
        linear_value_dim=state,
        linear_conv_kernel=count("ssm.conv_kernel", 0),
        mtp_layers=mtp_layers,
        text_params=sum(prod(tensor.shape) for tensor in _loaded(header, layers)),
    )


def recurrent(header: Header, layers: int) -> tuple[bool, ...]:
    """Say of each layer whether it keeps a recurrent state (src/models/qwen35.cpp)."""
    name = header.text("general.architecture")
    listed = header.metadata.get(f"{name}.attention.recurrent_layers")
    if isinstance(listed, tuple) and len(listed) >= layers:
        return tuple(bool(flag) for flag in listed[:layers])
    interval = header.count(f"{name}.full_attention_interval", 4)
    if not interval:
        raise broken(header.path, "its full_attention_interval is 0")
    return tuple((layer + 1) % interval != 0 for layer in range(layers))


def _largest(header: Header, key: str, default: int | None) -> int:
    """Read a whole number; of one for each layer, the largest."""
    value = header.metadata.get(key)
    if isinstance(value, tuple) and value and all(type(item) is int for item in value):
        return max(item for item in value if isinstance(item, int))
    return header.count(key, default)


def _vocabulary(header: Header) -> int:
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    if isinstance(tokens, LongArray):
        return tokens.count
    return len(tokens) if isinstance(tokens, tuple) else 0


def _loaded(header: Header, layers: int) -> tuple[Tensor, ...]:
    """Leave out the MTP block: qwen35.cpp skips it, unless load_mtp says otherwise."""
    blocks = ((re.match(r"blk\.(\d+)\.", tensor.name), tensor) for tensor in header.tensors)
    return tuple(tensor for block, tensor in blocks if not block or int(block[1]) < layers)


def _faults(header: Header, shape: Architecture) -> Iterator[str]:
    """Name what the engine would end the process on, worst first."""
    yield from _shape_faults(header, shape)
    yield from _number_faults(header, shape)
    yield from _vocabulary_faults(header)
    if shape.linear_layers:
        yield from _hybrid_faults(header, shape)
    for tensor in header.tensors:
        if tensor.type in _NOT_WEIGHTS:
            yield f"{tensor.name} is of the type {tensor.type}"
        # ggml-cpu: element-wise operations take a right-hand side of F32 only
        if tensor.type != "F32" and re.search(_ELEMENTWISE, tensor.name):
            yield f"{tensor.name} is of the type {tensor.type}"


def _shape_faults(header: Header, shape: Architecture) -> Iterator[str]:
    name = header.text("general.architecture")
    if not (shape.hidden and shape.head_dim and shape.context and shape.kv_heads):
        yield "its shape has a zero"
    elif shape.heads % shape.kv_heads:  # ggml_can_mul_mat
        yield f"{shape.heads} heads cannot share {shape.kv_heads} KV heads"
    rotated = header.count(f"{name}.rope.dimension_count", shape.head_dim)
    if rotated > shape.head_dim or rotated % 2:  # ggml_compute_forward_rope
        yield f"it rotates {rotated} of {shape.head_dim} dimensions"
    experts = header.count(f"{name}.expert_count", 0)
    used = _largest(header, f"{name}.expert_used_count", 0)
    groups = header.count(f"{name}.expert_group_count", 0)
    if experts > _MAX_EXPERTS or used > experts or bool(used) != bool(experts) or groups > experts:
        yield f"it uses {used} of {experts} experts"  # llama_model_base::load_hparams


def _number_faults(header: Header, shape: Architecture) -> Iterator[str]:
    name = header.text("general.architecture")
    for key in ("layer_norm_rms_epsilon", "layer_norm_epsilon"):
        epsilon = header.metadata.get(f"{name}.attention.{key}", 0.0)
        if not isinstance(epsilon, float) or not 0 <= epsilon < 1:  # ops.cpp: eps >= 0
            yield f"{key} is {epsilon!r}"
    scaling = header.text(f"{name}.rope.scaling.type")
    if scaling not in _ROPE_SCALINGS:  # llama_model_base::load_hparams
        yield f"its rope scaling is {scaling!r}"
    sections = header.metadata.get(f"{name}.rope.dimension_sections")
    if sections is not None:  # ggml_compute_forward_rope: at least one above zero, all divided by
        whole = isinstance(sections, tuple) and all(
            isinstance(part, int) and 0 <= part <= shape.head_dim for part in sections
        )
        if not whole or not isinstance(sections, tuple) or not any(sections[:3]):
            yield f"its rope sections are {sections}"
    if header.metadata.get(f"{name}.attention.causal") is False:  # llama_context::decode
        yield "it is an embedding model, it does not write"


def _vocabulary_faults(header: Header) -> Iterator[str]:
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    words: list[bytes] = []
    if isinstance(tokens, LongArray):
        words = read_strings(header, tokens) if tokens.strings else []
    elif isinstance(tokens, tuple):
        words = [str(word).encode() for word in tokens]
    if not words:
        yield "it has no vocabulary"
    # llama_vocab::impl::load reads up to the first zero byte, and gives empty tokens a name each
    known = [word for word in (word.partition(b"\0")[0] for word in words) if word]
    if len(set(known)) != len(known):
        yield "a token stands in its vocabulary twice"
    starts = header.metadata.get("tokenizer.ggml.add_bos_token") is True
    if starts and header.count("tokenizer.ggml.bos_token_id", 1) >= len(words):
        yield "its first token is not in its vocabulary"  # llama-vocab.cpp, append_bos


def _hybrid_faults(header: Header, shape: Architecture) -> Iterator[str]:
    name = header.text("general.architecture")
    keys, values = shape.linear_key_heads, shape.linear_value_heads
    if not (keys and values and shape.linear_key_dim and shape.linear_conv_kernel > 1):
        yield "its linear layers have a zero in their shape"
    elif values % keys:  # build_delta_net: H_v % H_k == 0
        yield f"{values} value heads cannot share {keys} key heads"
    # llama_hparams::n_embd_s sizes the state by it, the graph by heads and their dimension
    if header.count(f"{name}.ssm.inner_size", 0) != values * shape.linear_value_dim:
        yield "its ssm.inner_size is not that of its heads"
    key = header.count(f"{name}.attention.key_length", shape.head_dim)
    if key != header.count(f"{name}.attention.value_length", key):  # qwen35.cpp asserts it
        yield "its keys and values differ in length"
    if f"{name}.rope.dimension_sections" not in header.metadata:
        yield "its rope sections are missing"
    there = {tensor.name for tensor in header.tensors}
    for layer, keeps_state in enumerate(recurrent(header, shape.layers)):
        for part in ("attn_qkv", "attn_gate") if keeps_state else ():
            # qwen35.cpp takes them as optional and then reads through the null pointer
            if f"blk.{layer}.{part}.weight" not in there:
                yield f"blk.{layer}.{part}.weight is missing"
