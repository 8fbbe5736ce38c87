"""Teachers: one or several, frozen; what a student is told by them at each step."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gossamer.deploy.contract import InputContract
from gossamer.errors import GossamerError, ModelError
from gossamer.nn.network import Network
from gossamer.train.distill import attention, channel_wise, hint, relational
from gossamer.train.objective import TrainingObjective
from gossamer.train.recipe import Distillation
from gossamer.train.score_cache import ScoreCache
from gossamer.train.taps import Site, dry_run, tapped

__all__ = ["Ensemble", "ScoreCache", "Teaching", "other_width"]

_MAP_LOSSES = ("hints", "attention", "relational", "channel")


class Teaching(nn.Module):
    """What a frozen teacher tells a student, weighed by `how`: losses on scores, and on maps where `how` asks for them.

    Hints, `channel` and `relational` look at the last map of both networks (`relational` at its mean over places),
    `attention` at every resolution that both have and at the last; its distances are summed, as the paper does. Of networks
    that name the part with their maps `channel` is the mean over every resolution that both have.
    `adaptors` are the 1x1 convolutions from the student's channels to the teacher's; they are trained with the
    student. `correlated` and `relational` compare the pictures of this process's part of a batch.

    The teacher gets the student's pictures, normalised as its own contract says and in the bands that it names. They
    keep the student's size, smaller than the teacher was trained at or not, since convolutions take any; only below
    the teacher's `min_input` are they enlarged to the size of its contract.

    Of a `cache`, which is for losses on scores alone, the scores of steps that it holds are taken.
    """

    def __init__(
        self,
        teacher: nn.Module,
        student: nn.Module,
        how: Distillation,
        *,
        width: int,
        objective: TrainingObjective,
        contract: InputContract,
        teacher_contract: InputContract | None = None,
        cache: ScoreCache | None = None,
    ) -> None:
        """The dry run is in eval mode and leaves both networks' statistics and modes as they are.

        Raises:
            ModelError: the teacher has other classes or bands, cannot take the pictures, or a loss on maps is asked
                for where there are none.
        """
        super().__init__()
        self.teacher = copy.deepcopy(teacher).eval().requires_grad_(False)  # the caller may train his own
        self.adaptors = nn.ModuleDict()
        self.how, self._objective = how, objective
        self._entrance = _Entrance(contract, teacher_contract or contract, teacher)
        self._pairs: list[tuple[Site, Site]] = []
        asked = [name for name in _MAP_LOSSES if getattr(how, name)]
        self._cache = None if asked else cache
        theirs = self._meet(torch.zeros(contract.shape, device=_device(teacher)), width)
        if not asked:
            return
        if isinstance(teacher, Ensemble):
            raise ModelError(
                f"{', '.join(asked)} follow the maps of one teacher, got {len(teacher.members)} teachers; "
                "set them to 0 or give one teacher"
            )
        _, ours = dry_run(student, torch.zeros(contract.shape, device=_device(student)))
        for network, sites, role in ((student, ours, "student"), (self.teacher, theirs, "teacher")):
            if not sites:
                raise ModelError(
                    f"{', '.join(asked)} follow maps (B, C, H, W), the {role} {type(network).__name__} has none; "
                    "set them to 0 or take a convolutional network"
                )
        self._pair(ours, theirs)

    def drop_cache(self) -> None:
        """Ask the teacher from now on: steps no longer have the pictures that were kept."""
        self._cache = None

    def _meet(self, example: Tensor, width: int) -> dict[int, Site]:
        """The teacher's maps, after seeing that it can be one."""
        try:
            scores, sites = dry_run(self.teacher, self._entrance.to(example.device)(example))
        except (RuntimeError, AssertionError, ValueError, GossamerError) as error:
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise ModelError(
                f"a teacher takes the student's pictures {tuple(example.shape)}, this one does not: {first}; "
                "train one at this size"
            ) from error
        tells = self._objective.width(tuple(scores.shape))
        if tells != width:
            raise ModelError(
                other_width("the teacher", int(scores.shape[-1]) if tells is None else tells, width)
            )
        return sites

    def _pair(self, ours: dict[int, Site], theirs: dict[int, Site]) -> None:
        last = ours[max(ours)], theirs[max(theirs)]
        self._dense = all(site.pick is not None for site in last)
        if self.how.attention or self._dense:
            self._pairs = [(ours[level], theirs[level]) for level in sorted(ours.keys() & theirs.keys())]
        self._pairs = [pair for pair in self._pairs if pair != last] + [last]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            for name, (our, their) in self._named():
                other = bool(self.how.channel) and our.channels != their.channels
                if other or (self.how.hints and name == "last"):
                    self.adaptors[name] = nn.Conv2d(our.channels, their.channels, 1)

    def _named(self) -> list[tuple[str, tuple[Site, Site]]]:
        """The pairs that have adaptors: the last, and of networks that name the part with their maps the others too."""
        others = [(str(i), pair) for i, pair in enumerate(self._pairs[:-1])] if self._dense else []
        return [*others, ("last", self._pairs[-1])]

    def train(self, mode: bool = True) -> Teaching:
        """As torch's; the teacher stays in eval mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    def follow(
        self, run: Callable[[Tensor], Tensor], inputs: Tensor, encoded: Tensor, step: int, start: int
    ) -> tuple[Tensor, Tensor]:
        """The student's outputs (B, D) and what it is told (B,), for the pictures of a step from the `start`-th on.

        `run` is the student, compiled or wrapped or neither; inputs (B, bands, H, W) are normalised for it; `encoded`
        (B, D) are the objective's targets.
        """
        if not self._pairs:
            scores = run(inputs)
            return scores, self._imitation(scores, self._scores(inputs, step, start), encoded)
        ours, theirs = ([pair[i].module for pair in self._pairs] for i in (0, 1))
        with tapped(ours) as our_maps:
            scores = run(inputs)
        with tapped(theirs) as their_maps, torch.no_grad():
            wanted = self.teacher(self._entrance(inputs))
        maps = [(our.of(our_maps[i]), their.of(their_maps[i])) for i, (our, their) in enumerate(self._pairs)]
        return scores, self._imitation(scores, wanted, encoded) + self._on_maps(maps)

    @torch.no_grad()
    def _scores(self, inputs: Tensor, step: int, start: int) -> Tensor:
        cache = self._cache
        kept = None if cache is None else cache.read(step, start, len(inputs))
        if kept is not None:
            return torch.from_numpy(kept).to(inputs.device)
        scores: Tensor = self.teacher(self._entrance(inputs)).float()
        if cache is None:
            return scores
        return torch.from_numpy(cache.write(step, start, scores.cpu().numpy())).to(inputs.device)

    def _imitation(self, student: Tensor, teacher: Tensor, encoded: Tensor) -> Tensor:
        return self._objective.imitation(student, teacher, encoded, self.how)

    def _on_maps(self, maps: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        how, (ours, theirs) = self.how, maps[-1]
        total = torch.zeros(len(ours), device=ours.device)
        adapted = self.adaptors["last"](ours) if "last" in self.adaptors else ours
        if how.hints:
            total = total + how.hints * hint(adapted, theirs)
        if how.channel:
            chosen = maps if self._dense else maps[-1:]
            names = [name for name, _ in self._named()]
            apart = [
                channel_wise(
                    our if our.shape[1] == their.shape[1] else self.adaptors[name](our),
                    their,
                    how.temperature,
                )
                for name, (our, their) in zip(names, chosen, strict=True)
            ]
            total = total + how.channel * torch.stack(apart).mean(0)
        if how.relational:
            total = total + how.relational * relational(
                ours.float().mean((2, 3)), theirs.float().mean((2, 3))
            )
        if how.attention:
            total = total + how.attention * torch.stack([attention(*pair) for pair in maps]).sum(0)
        return total


class Ensemble(nn.Module):
    """Several teachers of the same labels as one: (B, bands, H, W) -> (B, D), put together as the objective says.

    Pictures come as the first teacher's contract says; each teacher gets them as its own says.
    """

    def __init__(
        self, members: Sequence[tuple[nn.Module, InputContract]], objective: TrainingObjective
    ) -> None:
        super().__init__()
        self._objective = objective
        self.members = nn.ModuleList(network for network, _ in members)
        self._entrances = nn.ModuleList(
            _Entrance(members[0][1], contract, network) for network, contract in members
        )

    def forward(self, x: Tensor) -> Tensor:
        pairs = zip(self.members, self._entrances, strict=True)
        outputs = [network(entrance(x)).float() for network, entrance in pairs]
        counts = sorted({self._objective.width(tuple(each.shape)) or 0 for each in outputs})
        if len(counts) > 1:
            raise ModelError(
                f"teachers of an ensemble know the same classes, got {counts} of them; leave some out"
            )
        return self._objective.together(outputs)


class _Entrance(nn.Module):
    """Pictures normalised as one contract says -> as `network`, of contract `taken`, takes them."""

    gain: Tensor
    shift: Tensor

    def __init__(self, given: InputContract, taken: InputContract, network: nn.Module) -> None:
        super().__init__()
        if missing := [band for band in taken.bands if band not in given.bands]:
            raise ModelError(
                f"a teacher sees bands of the pictures, this one also wants {', '.join(missing)} beside {', '.join(given.bands)}; "
                "train one on these bands"
            )
        order = [given.bands.index(band) for band in taken.bands]
        self._order = None if taken.bands == given.bands else order
        mean, std = np.array(given.mean)[order], np.array(given.std)[order]
        gain = std / given.scale * taken.scale / taken.std
        shift = ((mean - given.offset) / given.scale * taken.scale + taken.offset - taken.mean) / taken.std
        self._same = bool(np.allclose(gain, 1) and np.allclose(shift, 0))
        for name, values in (("gain", gain), ("shift", shift)):
            column = torch.tensor(values, dtype=torch.float32).view(-1, 1, 1)
            self.register_buffer(name, column, persistent=False)
        self._least = network.min_input if isinstance(network, Network) else 0
        self._size = [max(self._least, side) for side in taken.size]

    def forward(self, x: Tensor) -> Tensor:
        if self._order is not None:
            x = x[:, self._order]
        if not self._same:
            x = x * self.gain + self.shift
        if min(x.shape[2:]) < self._least:
            x = F.interpolate(x, self._size, mode="bilinear", align_corners=False)
        return x


def _device(network: nn.Module) -> torch.device:
    return next((parameter.device for parameter in network.parameters()), torch.device("cpu"))


def other_width(who: str, has: int, wanted: int) -> str:
    """What is wrong with a teacher that gives other numbers than the student."""
    return (
        f"a teacher tells the student's {wanted} classes apart, {who} has {has}; "
        "train it on these data first, `gossamer train DATA --model NAME`, and give its bundle"
    )
