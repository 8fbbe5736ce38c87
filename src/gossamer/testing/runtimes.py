"""What every runtime keeps: torch's scores, errors with names, the contract inside the file."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from gossamer.deploy.contract import InputContract
from gossamer.deploy.runtimes import RUNTIMES, Runtime, get_runtime
from gossamer.errors import BundleError, ModelError
from gossamer.files.metadata import METADATA_KEY, read_metadata
from gossamer.testing.networks import TwoOutputs, noise, scores, tiny_networks
from gossamer.types import PRECISIONS, Size

__all__ = ["CONTRACT", "RunContract", "RuntimeContract"]

_SIDE = 33
CONTRACT = InputContract(Size(_SIDE, _SIDE))
"""Of the files that are made."""
_KINDS = ("plain", "same_pad", "squeeze_excite", "channel_shuffle")


class RunContract:
    """Of what runs files: subclass it, set `name` to a key of `RUNTIMES` and say how a file is made; it must be installed."""

    name: ClassVar[str]
    tolerance: ClassVar[float] = 1e-4
    """Largest difference from torch's scores, which are of size one here."""

    @classmethod
    def make(cls, network: nn.Module, path: Path) -> None:
        """Write a file of this runtime that holds the network, which takes (1, 3, 33, 33)."""
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def runtime(cls) -> Runtime:
        """The runtime under test."""
        return get_runtime(cls.name)

    @pytest.fixture(scope="class")
    @classmethod
    def exported(cls, runtime: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """The file of a tiny network."""
        path = tmp_path_factory.mktemp(cls.name) / f"model{runtime.suffix}"
        cls.make(tiny_networks()["plain"], path)
        return path

    def test_it_stands_in_the_table(self) -> None:
        assert self.name in RUNTIMES

    def test_missing_is_none_or_names_package_and_extra(self, runtime: Runtime) -> None:
        for lacks in (runtime.missing(), runtime.missing(making=True)):
            assert lacks is None or (
                len(lacks) == 2 and all(isinstance(part, str) and part for part in lacks)
            )

    def test_the_suffix_is_one(self, runtime: Runtime) -> None:
        assert runtime.suffix.startswith(".")
        assert len(runtime.suffix) > 1

    @pytest.mark.parametrize("kind", _KINDS)
    def test_scores_are_torchs(self, runtime: Runtime, tmp_path: Path, kind: str) -> None:
        network = tiny_networks()[kind]
        path = tmp_path / f"model{runtime.suffix}"
        self.make(network, path)
        session = runtime.load(path, threads=1)
        inputs = noise(6, (3, _SIDE, _SIDE), seed=5)
        ours = np.concatenate([session.run(inputs[i : i + 1])[0] for i in range(len(inputs))])
        theirs = scores(network, inputs).numpy()
        assert ours.shape == (6, 5)
        assert ours.dtype == np.float32
        assert np.ptp(theirs) > 0.5, "a network whose scores are all alike proves nothing"
        assert np.abs(ours - theirs).max() <= self.tolerance

    def test_a_session_tells_the_shape_it_takes(self, runtime: Runtime, exported: Path) -> None:
        assert runtime.load(exported, threads=1).shape == (1, 3, _SIDE, _SIDE)

    def test_nothing_is_printed(
        self, runtime: Runtime, exported: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        self.make(tiny_networks()["plain"], tmp_path / exported.name)
        runtime.load(exported, threads=1).run(noise(1, (3, _SIDE, _SIDE)))
        assert capfd.readouterr() == ("", "")

    def test_threads_do_not_change_scores(self, runtime: Runtime, exported: Path) -> None:
        value = noise(1, (3, _SIDE, _SIDE))
        one, two = (runtime.load(exported, threads=threads).run(value)[0] for threads in (1, 2))
        assert np.abs(one - two).max() <= self.tolerance

    def test_a_missing_file_is_a_bundle_error(self, runtime: Runtime, tmp_path: Path) -> None:
        path = tmp_path / f"none{runtime.suffix}"
        with pytest.raises(BundleError, match=path.name):
            runtime.load(path, threads=1)

    @pytest.mark.parametrize("damage", ["empty", "text", "cut", "overwritten"])
    def test_a_damaged_file_is_a_bundle_error(
        self, runtime: Runtime, exported: Path, tmp_path: Path, damage: str
    ) -> None:
        whole = exported.read_bytes()
        data = {
            "empty": b"",
            "text": b"this is no network\n" * 20,
            "cut": whole[: len(whole) // 2],
            "overwritten": b"\xff" * 64 + whole[64:],
        }
        path = tmp_path / exported.name
        path.write_bytes(data[damage])
        with pytest.raises(BundleError, match=path.name) as caught:
            runtime.load(path, threads=1)
        assert "\n" not in str(caught.value)


class RuntimeContract(RunContract):
    """Of what files are exported to as well: subclass it, set `name` to a key of `RUNTIMES`; it must be installed."""

    @classmethod
    def make(cls, network: nn.Module, path: Path) -> None:
        """Export it."""
        get_runtime(cls.name, making=True).export(network, CONTRACT, path)

    def test_precisions_are_listed_and_begin_with_fp32(self, runtime: Runtime) -> None:
        assert runtime.precisions[0] == "fp32"
        assert set(runtime.precisions) <= set(PRECISIONS)
        assert len(set(runtime.precisions)) == len(runtime.precisions)

    def test_several_outputs_come_by_name_and_in_order(self, runtime: Runtime, tmp_path: Path) -> None:
        path, names = tmp_path / f"model{runtime.suffix}", ("total", "map")
        network = TwoOutputs()
        runtime.export(network, CONTRACT, path, outputs=names)
        runtime.write_metadata(path, {"labels": [], "input": CONTRACT.to_json(), "outputs": names})
        session = runtime.load(path, threads=1)
        value = noise(1, (3, _SIDE, _SIDE))
        assert session.outputs == names
        total, places = session.run(value)
        wanted = [each.detach().numpy() for each in network(torch.from_numpy(value))]
        assert total.shape == (1, 2)
        assert places.shape == (1, 4, _SIDE, _SIDE)
        assert np.abs(total - wanted[0]).max() <= self.tolerance
        assert np.abs(places - wanted[1]).max() <= self.tolerance

    def test_metadata_survives(self, runtime: Runtime, exported: Path, tmp_path: Path) -> None:
        document = {"labels": ["forêt", 'it\'s "quoted"', "河"], "input": CONTRACT.to_json(), "x": 1.5}
        path = tmp_path / exported.name
        shutil.copyfile(exported, path)
        for each in ({"labels": ["an earlier one"], "input": {}}, document):
            runtime.write_metadata(path, each)
        found = read_metadata(runtime.load(path, threads=1).metadata, path)
        assert found == document | {"input": found["input"]}
        assert InputContract.from_json(found["input"]) == CONTRACT

    def test_a_file_without_metadata_says_so(self, runtime: Runtime, exported: Path) -> None:
        metadata = runtime.load(exported, threads=1).metadata
        assert METADATA_KEY not in metadata
        with pytest.raises(BundleError, match="carries no input contract"):
            read_metadata(metadata, exported)

    def test_a_network_that_does_not_run_leaves_no_file(self, runtime: Runtime, tmp_path: Path) -> None:
        path = tmp_path / f"model{runtime.suffix}"
        four_bands = InputContract(Size(_SIDE, _SIDE), ("a", "b", "c", "d"), mean=(0.0,) * 4, std=(1.0,) * 4)
        with pytest.raises(ModelError, match="cannot export"):
            runtime.export(tiny_networks()["plain"], four_bands, path)
        assert list(tmp_path.iterdir()) == []
