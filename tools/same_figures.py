"""Whether a change of the code changed a figure: the verbs on pictures made in code, seeded, under a clock of steps.

    python -m tools.same_figures record before.json          # with the sources of one commit on the path
    python -m tools.same_figures record after.json           # with those of another
    python -m tools.same_figures compare before.json after.json

`fit`, `train`, `compress`, `export` and `predict` run one after the other, each in a process of its own. Time stands
still but for the steps of optimisers, so that runs bounded by minutes take the same steps on every machine and all
latencies are equal; what is left differs by the code alone. Kept of each verb: what it printed, its report, the
digests of weights and of the graphs in exported files. What times, paths and versions say is left out.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

STEP_SECONDS = 0.5
"""What an optimiser's step takes on the clock of steps."""
CLASSES, PICTURES, SIDE = ("airfield", "forest", "farmland", "river"), 18, 64
_LEFT_OUT = re.compile(
    r"latency|memory|seconds|created|machine|versions|system|_ms$|^time|^run$|^bundle$|^report$|^file$|^root$|"
    r"sha256|_bytes$|^size|path|frequency|provenance|verdict|flags|command|curves|loader|recipe|value_text|^note$|^task$"
)
_NUMBERS_OF_TIME = re.compile(r"[0-9.]+ (ms|s|MB|kB|pictures/s)\b")


def main() -> int:
    """Record the figures of the sources on the path, or compare two records."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="what", required=True)
    record = commands.add_parser("record")
    record.add_argument("out", type=Path)
    record.add_argument("--keep", type=Path, help="leave the runs in this folder")
    compare = commands.add_parser("compare")
    compare.add_argument("before", type=Path)
    compare.add_argument("after", type=Path)
    verb = commands.add_parser("verb")
    verb.add_argument("arguments", nargs=argparse.REMAINDER)
    asked = parser.parse_args()
    if asked.what == "verb":
        return _verb(asked.arguments)
    if asked.what == "compare":
        return _compare(json.loads(asked.before.read_text()), json.loads(asked.after.read_text()))
    with contextlib.ExitStack() as stack:
        folder = asked.keep or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(json.dumps(_record(folder), indent=1, sort_keys=True) + "\n")
    return 0


def _record(folder: Path) -> dict[str, Any]:
    data = folder / "data"
    _write_pictures(data)
    model = "shufflenet_v1_g1_0.25[:2]"
    within = "latency<=50ms, size<=1MB"
    verbs: dict[str, list[str]] = {
        "fit": ["fit", "data", "--within", within, "--minutes", "0.8", "--max-drop", "30%", "--out", "fit"],
        "train": ["train", "data", "--model", model, "--epochs", "3", "--size", "64", "--out", "train"],
        "prune": [
            "compress", "train/bundle", "--method", "prune:macs=70%", "--data", "data", "--max-drop", "60%",
            "--out", "prune",
        ],
        "pack": [
            "compress", "train/bundle", "--method", "pack:bits=5", "--data", "data", "--max-drop", "60%",
            "--out", "pack",
        ],
        "export": [
            "export", "train/bundle", "--to", "onnxruntime:int8,onnxruntime:fp16,onnxruntime", "--data", "data",
            "--max-drop", "60%", "--out", "export",
        ],
        "predict": ["predict", "train/bundle", "data"],
    }  # fmt: skip
    figures: dict[str, Any] = {}
    for name, arguments in verbs.items():
        began = time.monotonic()
        command = [sys.executable, str(Path(__file__).resolve()), "verb", *arguments, "--json"]
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=False, env=_environment(folder)
        )
        if done.returncode not in (0, 1):
            raise SystemExit(f"{name} ended with {done.returncode}:\n{done.stderr[-3000:]}")
        figures[name] = {"exit": done.returncode, "answer": _kept(json.loads(done.stdout))}
        if (folder / name).is_dir():
            figures[name] |= _of_run(folder / name)
        sys.stderr.write(f"{name}: {time.monotonic() - began:.0f} s\n")
    return figures


def _environment(folder: Path) -> dict[str, str]:
    one = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**os.environ, **one, "XDG_CACHE_HOME": str(folder / "cache"), "HF_HUB_OFFLINE": "1"}


def _write_pictures(folder: Path) -> None:
    from PIL import Image

    from gossamer.data.scenes import render

    for label in CLASSES:
        (folder / label).mkdir(parents=True, exist_ok=True)
        for seed in range(PICTURES):
            Image.fromarray(render(label, seed, SIDE)).save(folder / label / f"{seed:03d}.png")


def _verb(arguments: list[str]) -> int:
    """A verb of the command line under the clock of steps."""
    _stop_the_clock()
    from gossamer.cli import app
    from gossamer.cli._common import run

    return run(app, arguments)


def _stop_the_clock() -> None:
    """monotonic moves by steps of optimisers alone; what times single runs moves by a millisecond a look."""
    from torch.optim.optimizer import register_optimizer_step_post_hook

    clock = {"steps": 0, "looks": 0}

    def step(*_: object) -> None:
        clock["steps"] += 1

    def look() -> float:
        clock["looks"] += 1
        return 1e-3 * clock["looks"]

    register_optimizer_step_post_hook(step)
    time.monotonic = lambda: STEP_SECONDS * clock["steps"]
    time.perf_counter = time.process_time = look


def _of_run(run: Path) -> dict[str, Any]:
    """Digests of what a run wrote, and its report."""
    digests = {}
    for file in sorted((run / "bundle").rglob("*")):
        name = file.relative_to(run).as_posix()
        if file.suffix == ".safetensors":
            digests[name] = hashlib.sha256(file.read_bytes()).hexdigest()
        elif file.suffix == ".onnx":
            digests[name] = _graph_digest(file)
        elif file.suffix == ".gsm":
            digests[name] = _packed_digest(file)
    report = json.loads((run / "report.json").read_text())
    return {"digests": digests, "report": _kept(report)}


def _graph_digest(file: Path) -> str:
    import onnx

    return hashlib.sha256(onnx.load(file).graph.SerializeToString()).hexdigest()


def _packed_digest(file: Path) -> str:
    """Of the weights that a packed file holds: its metadata may change."""
    from importlib import import_module

    for module in ("gossamer.deploy.runtimes.packed.tensors", "gossamer.compress.codebook.packed"):
        with contextlib.suppress(ImportError):
            tensors = import_module(module).read_packed(file).tensors
            digest = hashlib.sha256()
            for name in sorted(tensors):
                digest.update(name.encode() + tensors[name].tobytes())
            return digest.hexdigest()
    raise SystemExit("no reader of packed files in these sources")


def _kept(document: Any) -> Any:
    """A document without what differs from run to run, under one name where versions call a figure otherwise."""
    if isinstance(document, dict):
        if isinstance(page := document.get("task"), dict):  # before, its parts stood in the report itself
            document = {**document, **{name: page[name] for name in ("confusion", "classes") if name in page}}
        row = "status" in document or "drop" in document
        names = {k: "score" if row and k == "accuracy" else k for k in document}
        return {names[k]: _kept(v) for k, v in document.items() if not _LEFT_OUT.search(k)}
    if isinstance(document, list):
        return [_kept(each) for each in document]
    if isinstance(document, str):
        return _NUMBERS_OF_TIME.sub("*", document)
    return document


def _compare(before: Any, after: Any) -> int:
    differences = list(_differences(before, after, ""))
    out = io.StringIO()
    for line in differences:
        out.write(line + "\n")
    out.write(f"{len(differences)} differences\n")
    sys.stdout.write(out.getvalue())
    return 1 if differences else 0


def _differences(before: Any, after: Any, where: str) -> Any:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            if key not in before or key not in after:
                side, value = ("before", before) if key in before else ("after", after)
                yield f"{where}/{key}: only {side}: {str(value[key])[:120]}"
            else:
                yield from _differences(before[key], after[key], f"{where}/{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, pair in enumerate(zip(before, after, strict=True)):
            yield from _differences(*pair, f"{where}/{index}")
    elif before != after:
        yield f"{where}: {str(before)[:160]} -> {str(after)[:160]}"


if __name__ == "__main__":
    sys.exit(main())
