"""A model, as facts: its shape, its files, how its makers sample it, how it scores.

Facts are the same for the catalogue's sizes and for any GGUF whose header was read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=0, le=1 << 31)]
Some = Annotated[int, Meta(ge=1, le=1 << 31)]
"""A count that something is divided by."""
Bytes = Annotated[int, Meta(ge=1, le=1 << 50)]
Whole = Annotated[int, Meta(ge=0, le=1 << 50)]
Positive = Annotated[float, Meta(gt=0, le=1e18)]
Sha256 = Annotated[str, Meta(pattern=r"\A[0-9a-fA-F]{64}\Z")]
Contexts = Annotated[tuple[Some, ...], Meta(min_length=1)]
Layers = Annotated[int, Meta(ge=1, le=10_000)]

WIDTHS = {
    "q2": "UD-Q2_K_XL", "q3": "Q3_K_M", "q4": "Q4_K_M", "q5": "Q5_K_M",
    "q6": "Q6_K", "q8": "Q8_0", "bf16": "BF16",
}  # fmt: skip
"""The quantisation that a width alone means, as `--q4` does."""


class Architecture(Struct, frozen=True, kw_only=True):
    """The shape of a text model, counted as config.json and a GGUF header count it.

    A hybrid (Qwen3.5) has `full_attention_layers` with a KV cache, and the rest of
    `layers` with a recurrent state; in any other model every layer has a KV cache.
    """

    hidden: Some
    layers: Layers
    full_attention_layers: Count
    heads: Some
    kv_heads: Some
    head_dim: Some
    ffn: Some
    vocab: Some
    context: Some
    tied_embeddings: bool = True
    linear_key_heads: Count = 0
    linear_value_heads: Count = 0
    linear_key_dim: Count = 0
    linear_value_dim: Count = 0
    linear_conv_kernel: Count = 0
    mtp_layers: Count = 0
    """Layers of the multi-token-prediction block that the *file* carries."""
    text_params: Whole = 0
    """Parameters of the text model, 0 where they were not counted."""

    @property
    def shape(self) -> tuple[int, ...]:
        """All that the engine's buffers depend on; two files of one shape are of one model."""
        return (
            self.hidden, self.layers, self.full_attention_layers, self.heads, self.kv_heads,
            self.head_dim, self.ffn, self.vocab, self.linear_key_heads, self.linear_value_heads,
            self.linear_key_dim, self.linear_value_dim,
        )  # fmt: skip

    @property
    def linear_layers(self) -> int:
        """Layers that keep a recurrent state in place of a KV cache."""
        return self.layers - self.full_attention_layers


class ComputeBuffer(Struct, frozen=True, array_like=True):
    """Bytes of llama.cpp's compute buffer: [constant, for each token of the context]."""

    constant: Whole
    per_token: Whole

    def at(self, context: int) -> int:
        """Size it for a context of that many tokens, a multiple of 256."""
        return self.constant + self.per_token * context


_KV_TYPES = {"f16", "q8_0", "q4_0"}
Buffers = Mapping[str, Annotated[Mapping[Some, ComputeBuffer], Meta(min_length=2)]]
"""By KV type and batch size."""


class ComputeTable(Struct, frozen=True, kw_only=True):
    """A model's compute buffers, as the engine reports them.

    Made by benchmarks/compute_table.py for the catalogue, by engine/dry_load.py for any file.
    """

    host: Buffers
    """Where the processor does all the work."""
    card: Buffers | None = None
    """On a card that holds the whole model; None where it was not asked."""
    formula: bool = False
    """Whether it is an estimate (pick/compute.py), not the engine's own."""

    def __post_init__(self) -> None:
        """Refuse one that lacks a KV type."""
        for place in (self.host, self.card):
            if place is not None and not place.keys() >= _KV_TYPES:
                raise ValueError(f"compute needs {', '.join(sorted(_KV_TYPES))}")


class WeightsFile(Struct, frozen=True, kw_only=True):
    """One GGUF file of a size: a quantisation, its bytes, its proof."""

    quant: str
    name: str
    bytes: int
    bytes_exact: bool
    sha256: str | None = None


class Projector(Struct, frozen=True, kw_only=True):
    """The vision projector of a size."""

    name: str
    bytes: int
    shape: tuple[int, int, int] | None = None
    """Width, width of the feed-forward part, layers; None where the table does not say."""
    encoding: int | None = None
    """Bytes of the buffer for encoding an image, for each of its tokens."""
    sha256: str | None = None


class Sampling(Struct, frozen=True, kw_only=True):
    """Sampling values, as a model's makers give them; `bounds.py` has what they may be."""

    temperature: float
    top_p: float
    top_k: int
    min_p: float
    presence_penalty: float


class Model(Struct, frozen=True, kw_only=True):
    """One size of the catalogue."""

    size: str
    name: str
    repo: str
    revision: str
    modelscope_repo: str | None
    modelscope_revision: str | None
    architecture: Architecture
    compute: ComputeTable | None = None
    """None where a table of the user's own does not say: a formula stands in."""
    files: tuple[WeightsFile, ...]
    projector: Projector | None
    sampling: Mapping[str, Sampling]
    """By mode: thinking, thinking_coding, no_thinking, no_thinking_vision, ..."""
    thinking_default: bool
    scores: Mapping[str, float]
    """Benchmark to score: BF16, thinking; names ending in NT are without thinking."""

    def file(self, quant: str) -> WeightsFile | None:
        """Find the file of a quantisation, in any case of letters."""
        wanted = quant.casefold()
        return next((file for file in self.files if file.quant.casefold() == wanted), None)


class ReferenceRate(Struct, frozen=True, kw_only=True):
    """A rate that somebody measured, in tokens per second."""

    machine: str
    size: str
    quant: str
    low: float
    high: float


class Calibration(Struct, frozen=True, kw_only=True):
    """What a kind of device reaches: see pick/speed.py."""

    efficiency: Positive
    """Share of the bandwidth on its data sheet that reading weights reaches."""
    seconds_per_layer: Annotated[float, Meta(ge=0, le=1)]
    bandwidth: Positive | None = None
    """Bytes per second where a machine's own are unknown; of processors only."""


class UseProfile(Struct, frozen=True, kw_only=True):
    """What a use is like: its turn, its patience, its contexts, the sizes that the guide names."""

    benchmark: str
    patience: Positive
    """Seconds after which an answer is worth half."""
    prompt: Count
    """Tokens of a turn's new text, its thought and its answer."""
    answer: Some
    thought: Count = 0
    thinks: bool = False
    """Whether it thinks whatever a thought takes; its score is that with thinking then."""
    contexts: Contexts
    """Tokens, in the order in which they give way."""
    last_contexts: tuple[Some, ...] = ()
    """Shorter ones, where nothing else fits."""
    shared_contexts: tuple[Some, ...] = ()
    """The contexts of each user where there are several; `contexts` where it is empty."""
    sizes: tuple[tuple[str, ...], ...] = ()
    """The guide's sizes, in turn, which come first where they answer within the patience."""


class PickRules(Struct, frozen=True, kw_only=True):
    """What a pick goes by, whatever the use."""

    free: Annotated[tuple[Annotated[float, Meta(ge=0, lt=1)], ...], Meta(min_length=1)]
    """Shares of the budget that are left free, tried in turn."""
    longest_thought: Positive
    """Seconds that a thought may take where thinking is switched on."""
    thinkers: tuple[str, ...]
    """Sizes that think well."""
    shared_card: Annotated[float, Meta(ge=0, le=100)]
    """How much longer a token takes for each further user, as a share: on a card,"""
    shared_cpu: Annotated[float, Meta(ge=0, le=100)]
    """and on a processor."""
    tie: Annotated[float, Meta(ge=0, le=100)]
    """Points of value that are no difference."""
    doubt: Annotated[float, Meta(ge=1, le=10)]
    """How much longer an answer may take than an estimate without a bandwidth says: the guide's
    size is taken only where it answers within the patience all the same."""
    files: Annotated[tuple[str, ...], Meta(min_length=1)]
    """Quantisations that are picked; the others only where they are named, or nothing else
    fits."""


class ReadRates(Struct, frozen=True, kw_only=True):
    """Floating-point operations that reading a prompt reaches."""

    card: Mapping[str, Positive]
    """For each byte of bandwidth, by vendor; `pascal` is NVIDIA's of 2016."""
    integrated: Positive
    """A second, on a GPU that shares the processor's memory and has no bandwidth of its own."""
    thread: Mapping[str, Positive]
    """A second on a processor's thread, by the best instruction set, `other` without one."""


class UnknownBandwidth(Struct, frozen=True, kw_only=True):
    """Bytes per second that are taken where nobody gave a bandwidth: careful guesses."""

    integrated: Positive
    card: Positive
    i8mm: Positive
    dotprod: Positive
    arm: Positive


class Catalog(Struct, frozen=True, kw_only=True):
    """The table: the sizes, what quantising costs, what a pick goes by, what others measured."""

    models: tuple[Model, ...]
    uses: Mapping[str, UseProfile]
    vision_benchmark: str
    """Stands in for the use's own where images are asked for."""
    rules: PickRules
    divergence: tuple[tuple[float, float], ...]
    """Bits per weight and mean KL divergence from BF16, by bits."""
    speeds: Mapping[str, Calibration]
    """Kind of device (cpu, cuda, metal) to what it reaches."""
    read: ReadRates
    unknown_bandwidth: UnknownBandwidth
    decode_rates: tuple[ReferenceRate, ...]
    prompt_rates: tuple[ReferenceRate, ...]

    def model(self, size: str) -> Model | None:
        """Find a size, in any case of letters."""
        wanted = size.casefold()
        return next((model for model in self.models if model.size == wanted), None)
