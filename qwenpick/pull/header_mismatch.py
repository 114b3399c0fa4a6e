"""Whether a file's header agrees with what was asked for: family, size, quantisation.

Refuses no good file. The quantisation is compared where both the name and the header's own
general.file_type are of llama.cpp's list: a mixture of another maker's (UD-*, *_XL) has a base
type there and is not decided, nor is a header without one. Of a file whose sha256 the table has,
only another family or another size counts: its bytes are the ones that the table means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwenpick.pull.gguf.model_file import FILE_TYPES

if TYPE_CHECKING:
    from qwenpick.pull.gguf.format import Header
    from qwenpick.pull.plan import Asked

_FAMILY = "qwen35"
_PLAIN = frozenset({"F32", "F16", "BF16"})
"""Not quantised: makers' names mix them up, and no answer is worse for it."""


def find_mismatch(header: Header, asked: Asked) -> str:
    """Say what a header has against a file, as the end of a sentence; empty where it agrees."""
    if asked.model and (said := _other_model(header, asked)):
        return said
    inside = declared(header)
    if asked.pinned or not asked.quant or not inside:
        return ""
    wanted = asked.quant.upper()
    if wanted == inside or wanted not in FILE_TYPES.values() or {wanted, inside} <= _PLAIN:
        return ""
    return f"its header says {inside}, not {wanted}."


def declared(header: Header) -> str | None:
    """Give the quantisation that a header says of itself, None where it says none we know."""
    file_type = header.metadata.get("general.file_type")
    return FILE_TYPES.get(file_type) if isinstance(file_type, int) else None


def _other_model(header: Header, asked: Asked) -> str:
    family = header.text("general.architecture")
    if family != _FAMILY:
        return f"a model of the family {family or 'unknown'}, not {asked.model}."
    shape = _shape(header)
    shapes = {name: (known.hidden, known.layers) for name, known in asked.shapes.items()}
    if shape == shapes[asked.model]:
        return ""
    if other := next((name for name, known in shapes.items() if known == shape), None):
        return f"its header has the shape of {other}, not of {asked.model}."
    if asked.pinned:
        return ""
    wanted = shapes[asked.model]
    return (
        f"its header is of a model {shape[0]} wide with {shape[1]} layers; "
        f"{asked.model} is {wanted[0]} wide with {wanted[1]}."
    )


def _shape(header: Header) -> tuple[object, object]:
    """Give how wide a model is and how many layers it has: no two sizes have both alike."""
    width = header.metadata.get(f"{_FAMILY}.embedding_length")
    layers = header.metadata.get(f"{_FAMILY}.block_count")
    further = header.metadata.get(f"{_FAMILY}.nextn_predict_layers", 0)
    if isinstance(layers, int) and isinstance(further, int):
        layers -= further
    return width, layers
