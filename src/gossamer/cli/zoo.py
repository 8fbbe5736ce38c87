"""gossamer zoo: the catalogue, published figures beside ours; one network with its stages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gossamer.cli._common import DebugOption, JsonOption, print_json, print_lines, say

if TYPE_CHECKING:
    from gossamer.nn.network import Network
    from gossamer.zoo.rows import Row

__all__ = ["zoo_verb"]


def zoo_verb(
    name: Annotated[str | None, typer.Argument(help="One network, with its stages; all without it.")] = None,
    within: Annotated[
        str | None,
        typer.Option(
            "--within",
            help="Only networks that keep this budget, e.g. 'macs<=300M, params<=5M, accuracy>=70%'. "
            "params and macs: counted at the network's own input; size: the weights in fp32, 4 bytes a parameter; "
            "accuracy: published ImageNet top-1, networks without one are left out.",
        ),
    ] = None,
    family: Annotated[
        str | None, typer.Option("--family", help="Only networks of this family, e.g. MobileNetV2.")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option("--task", help="What the networks are for: classify (without it) or detect."),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            "--sort",
            help="By name, params, macs, top1 or ap, smallest first; those without the published figure come last.",
        ),
    ] = None,
    descending: Annotated[bool, typer.Option("--descending", help="With --sort: largest first.")] = False,
    json: JsonOption = False,
    debug: DebugOption = False,
) -> None:
    """List the networks: params and macs counted here, published figures, and the deviation."""
    from gossamer.errors import GossamerError

    if descending and sort is None:
        raise GossamerError(
            "--descending turns --sort round, got no --sort; write e.g. --sort macs --descending"
        )
    if name is not None:
        if within is not None or family is not None or sort is not None or task is not None:
            raise GossamerError(
                f"--within, --family, --task and --sort choose among all networks, got them with the name {name!r}; "
                "leave out the name or the options"
            )
        _show_one(name, json)
        return
    found = _chosen(within, family, task, sort, descending)
    if json:
        print_json([row.to_json() for row in found])
    elif found:
        from gossamer.cli._zoo_tables import list_lines

        print_lines(list_lines(found))


def _chosen(
    within: str | None, family: str | None, task: str | None, sort: str | None, descending: bool
) -> list[Row]:
    from gossamer.types import Budget
    from gossamer.zoo import rows as zoo

    budget = None if within is None else Budget.parse(within)
    found = zoo.rows(task or "classify")
    if family is not None:
        found = zoo.of_family(found, family)
    if sort is not None:
        found = zoo.sort(found, sort, descending=descending)
    if budget is None:
        return found
    kept = zoo.within(found, budget)
    if not kept:
        say(zoo.why_none(found, budget))
    return kept


def _show_one(name: str, json: bool) -> None:
    from gossamer.cli._zoo_tables import network_lines
    from gossamer.zoo.rows import row

    found = row(name)
    stages = _stages(found)
    if json:
        print_json([{**found.to_json(), "stages": stages}])
    else:
        print_lines(network_lines(found, stages))


def _walked(network: Network, image: Any) -> tuple[list[tuple[str, Any]], list[Any]]:
    """(the parts by name, stem to head; what each gives)."""
    parts: list[tuple[str, Any]] = [("stem", network.stem)]
    outputs = [network.stem(image)]
    for index, stage in enumerate(network.stages):
        parts.append((f"stages.{index}", stage))
        outputs.append(network.run_stage(stage, outputs[-1], image))
    parts.append(("head", network.head))
    outputs.append(network.head(outputs[-1]))
    return parts, outputs


def _stages(row: Row) -> list[dict[str, Any]] | None:
    """What each part of the network gives and costs, stem to head; None (and a word on it) without torch."""
    import importlib.util

    if importlib.util.find_spec("torch") is None:
        say("stages are left out: building a network needs torch; pip install 'gossamer[train]'")
        return None
    import torch

    from gossamer.cost.meter import measure
    from gossamer.nn.network import Network
    from gossamer.zoo.build import build

    shape = (1, 3, row.own.input, row.own.input)
    with torch.device("meta"), torch.no_grad():
        network = build(row.name).eval()
        image = torch.empty(shape)
        parts, outputs = _walked(network, image) if isinstance(network, Network) else _children(network)
    layers = measure(network, shape).layers
    found = [
        _part(name, part, output, [each for each in layers if f"{each.name}.".startswith(f"{name}.")])
        for (name, part), output in zip(parts, outputs, strict=True)
    ]
    if found[0]["output"] is not None:
        found[0]["reduction"] = round(row.own.input / found[0]["output"][1])
    return found


def _children(network: Any) -> tuple[list[tuple[str, Any]], list[Any]]:
    """(the parts that give several maps, by name; nothing of what they give)."""
    parts = [(name, part) for name, part in network.named_children() if name not in network.training_only]
    return parts, [None] * len(parts)


def _part(name: str, part: Any, output: Any, layers: list[Any]) -> dict[str, Any]:
    from gossamer.nn.network import Stage

    stage = isinstance(part, Stage)
    channels, height, width = (None,) * 3 if output is None else (*output.shape, 1, 1)[1:4]
    return {
        "name": name,
        "blocks": len(part) if stage else None,
        "channels": channels,
        "reduction": part.reduction if stage else None,
        "output": None if output is None else [channels, height, width],
        "params": sum(layer.params for layer in layers),
        "macs": sum(layer.macs for layer in layers),
    }
