"""Training one network for so many steps or seconds, in pieces that can be continued: a rung now, the rest later."""

from __future__ import annotations

import contextlib
import copy
import ctypes
import gc
import json
import logging
import signal
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from gossamer._files import write_json
from gossamer.data.batches import EvalBatches, TrainBatches, ViewBatches
from gossamer.errors import ModelError, RunFolderError
from gossamer.train.module import TrainingModule
from gossamer.train.pace import STATE_KEY, Listener, Pace, save_average
from gossamer.train.training import Seconds, Steps, Training, TrainResult

__all__ = ["check_targets", "step_seconds", "steps_of", "train_until"]

_CHUNK_SECONDS = 20.0
_MOST_VALIDATIONS = 60
_MOST_STEPS = 1000
"""Between two validations, and so between two checkpoints."""
_MOST_HALVINGS = 5


def steps_of(pictures: int, *, batch: int, epochs: float) -> Steps:
    """The steps of so many passes over so many pictures."""
    return Steps(max(1, round(-(-pictures // batch) * epochs)))


def train_until(training: Training, until: float, *, listener: Listener | None = None) -> TrainResult:
    """Train until the schedule stands at `until` (in its unit, steps or seconds), continuing what the folder holds.

    The folder gets last.ckpt (everything needed to go on), best.safetensors (the moving average that validated
    best), final.safetensors (the average at the end of the schedule), progress.json, and Lightning's CSV and
    TensorBoard logs. Killed at any point, a later call goes on from the last validation; a schedule of steps then ends
    in the same weights.

    Where memory runs out the batch is halved and gradients are accumulated over two.

    Raises:
        ModelError: the loss is no longer a number, labels are not of the network's classes, or there is no memory for
            one picture.
        RunFolderError: the folder cannot be written, or holds a checkpoint of another network.
    """
    check_targets(training)
    folder = training.folder
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(training.threads)
    _keep_freed_memory()
    while True:
        state = _resumable(training)
        now = _halved(training, state.halvings)
        scale = 2**state.halvings if isinstance(training.length, Steps) else 1
        if state.points and state.position(now.length) >= until * scale:
            return state
        try:
            _fit(now, until * scale, state, listener or Listener())
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            if now.recipe.batch < 2 or state.halvings >= _MOST_HALVINGS:
                raise ModelError(
                    f"a batch of {now.recipe.batch} does not fit into memory; take a smaller input or network"
                ) from error
            _halve_stored(folder, state)
            gc.collect()
            continue
        return state


def _fit(training: Training, until: float, state: TrainResult, listener: Listener) -> None:
    """One call of Lightning's loop."""
    recipe, data, objective = training.recipe, training.pictures, training.objective
    trainer = _trainer(training)
    names = training.names
    weights = objective.weights(data.train_targets, len(names), balance=recipe.balance == "loss")
    module = TrainingModule(
        training.network,
        training.contract,
        recipe,
        task=training.task,
        objective=objective,
        labels=names,
        decay_from=training.decay_from,
        seed=training.seed,
        teaching=training.teaching,
        shaping=training.shaping,
        weights=weights,
        bands=data.bands,
        prepared=training.prepared,
    )
    batches = _batches(training)(
        data.train,
        data.train_targets,
        batch=recipe.batch,
        seed=training.seed,
        first=lambda: module.updates,
        shares=objective.shares(data.train_targets) if recipe.balance == "sampling" else None,
        rank=trainer.global_rank,
        world=trainer.world_size,
    )
    left = until - state.position(training.length)
    chunk = _chunk(training, batches, trainer.world_size, left)
    batches.chunk = (
        -(-chunk // recipe.accumulate) * recipe.accumulate
    )  # a step is never made of fewer batches
    pace = Pace(training, until, state, batches, listener)
    trainer.callbacks.append(pace)  # type: ignore[attr-defined]
    last = training.folder / "last.ckpt"
    with warnings.catch_warnings(), _interruptible(trainer):
        warnings.simplefilter("ignore")  # Lightning advises on worker counts and log intervals
        trainer.fit(
            module,
            batches,
            EvalBatches(data.val, data.val_targets, rank=trainer.global_rank, world=trainer.world_size),
            ckpt_path=str(last) if state.points else None,
            weights_only=True,
        )
    if trainer.is_global_zero and state.position(training.length) >= training.length.count:
        save_average(training.folder / "final.safetensors", module.average)


def _batches(training: Training) -> type[TrainBatches]:
    return ViewBatches if training.prepared else TrainBatches


def check_targets(training: Training) -> None:
    """Complain about pictures that a training cannot begin with.

    Raises:
        ModelError: a split is empty, its targets cannot be learned, or the network gives no such answers.
    """
    data, objective = training.pictures, training.objective
    for name, targets in (("training", data.train_targets), ("validation", data.val_targets)):
        if len(targets) == 0:
            raise ModelError(
                f"training needs pictures in both splits, the {name} split is empty; add pictures"
            )
        objective.check(targets, len(training.names), name)
    objective.check_network(training.network)


def _halved(training: Training, halvings: int) -> Training:
    """The training with its batch halved so often, and as many more steps."""
    if not halvings:
        return training
    times = 2**halvings
    if training.teaching is not None:
        training.teaching.drop_cache()
    recipe = replace(
        training.recipe,
        batch=max(1, training.recipe.batch // times),
        accumulate=training.recipe.accumulate * times,
    )
    length = training.length
    longer = Steps(length.count * times) if isinstance(length, Steps) else length
    return replace(training, recipe=recipe, length=longer)


def _halve_stored(folder: Path, state: TrainResult) -> None:
    """Begin anew with half the batch: nothing was trained yet, or what was counts other batches."""
    for name in ("last.ckpt", "best.safetensors", "final.safetensors"):
        (folder / name).unlink(missing_ok=True)
    write_json(folder / "progress.json", TrainResult(halvings=state.halvings + 1).to_json())


def _is_out_of_memory(error: Exception) -> bool:
    text = str(error)
    known = "not enough memory" in text or "DefaultCPUAllocator" in text or "out of memory" in text
    return isinstance(error, torch.OutOfMemoryError) or known


def _resumable(training: Training) -> TrainResult:
    """Where the folder's training stands; a new result where it holds none that is whole."""
    folder = training.folder
    try:
        told = TrainResult.from_json(json.loads((folder / "progress.json").read_text()))
    except (OSError, ValueError, KeyError, TypeError):
        told = TrainResult()
    fresh = TrainResult(halvings=told.halvings)
    try:
        checkpoint = torch.load(folder / "last.ckpt", map_location="cpu", weights_only=True, mmap=True)
        found = TrainResult.from_json(checkpoint["callbacks"][STATE_KEY]["result"])
        stored = {k.removeprefix("network."): tuple(v.shape) for k, v in checkpoint["state_dict"].items()}
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, EOFError):
        for name in ("last.ckpt", "best.safetensors", "final.safetensors"):
            (folder / name).unlink(missing_ok=True)
        return fresh
    except Exception as error:  # unpickling a damaged file raises many kinds
        if "pickle" not in type(error).__module__ and "Unpickling" not in type(error).__name__:
            raise
        (folder / "last.ckpt").unlink()
        return fresh
    own = {k: tuple(v.shape) for k, v in training.network.state_dict().items()}
    if any(stored.get(name) != shape for name, shape in own.items()):
        name = next(name for name, shape in own.items() if stored.get(name) != shape)
        raise RunFolderError(
            f"{folder} holds a checkpoint of another network ({name} differs); train into another folder with --out"
        )
    return found if (folder / "best.safetensors").is_file() else fresh


def _chunk(training: Training, batches: TrainBatches, world: int, left: float) -> int:
    """Steps between two validations: a pass, or less where it is long; by the clock where the length is."""
    if isinstance(training.length, Seconds) and world == 1:
        return _chunk_by_clock(training, left)
    by_pass = min(_MOST_STEPS, batches.steps_per_pass)
    if isinstance(training.length, Seconds):
        return by_pass
    count = training.length.count
    return max(1, min(max(by_pass, count // _MOST_VALIDATIONS), -(-count // 4)))


def _chunk_by_clock(training: Training, seconds: float) -> int:
    """20 seconds' worth of steps, less in a short run, never less than ten validations take."""
    data = training.pictures
    step, score = step_seconds(training)
    validation = score * len(data.val_targets) / min(training.recipe.batch, len(data.train_targets))
    wanted = max(min(_CHUNK_SECONDS, seconds / 8), 10 * validation)
    return max(1, int(wanted / max(1e-4, step)))


def step_seconds(training: Training) -> tuple[float, float]:
    """(seconds of a training step, of scoring as many pictures), tried on a copy of the network: the best of three."""
    data, batch, objective = training.pictures, training.recipe.batch, training.objective
    tried = _batches(training)(data.train, data.train_targets, batch=batch, chunk=3, seed=0, first=lambda: 0)
    layout = torch.channels_last if training.recipe.channels_last else torch.contiguous_format
    twin = copy.deepcopy(training.network).train().to(memory_format=layout)
    step_times: list[float] = []
    score_times: list[float] = []
    for part in tried:
        start = time.monotonic()
        inputs = part.pictures.permute(0, 3, 1, 2).float().contiguous(memory_format=layout)
        objective.loss_sum(twin(inputs), part.targets).backward()
        step_times.append(time.monotonic() - start)
        start = time.monotonic()
        with torch.no_grad():
            twin(inputs)
        score_times.append(time.monotonic() - start)
    return min(step_times), min(score_times)


def _trainer(training: Training) -> L.Trainer:
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    recipe, processes = training.recipe, training.processes
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return L.Trainer(
            accelerator=processes.accelerator,
            devices=processes.devices,
            num_nodes=processes.nodes,
            strategy=processes.strategy,
            precision="bf16-mixed" if recipe.precision == "bf16" else "32-true",
            accumulate_grad_batches=recipe.accumulate,
            sync_batchnorm=processes.devices * processes.nodes > 1 and torch.cuda.is_available(),
            max_epochs=-1,
            logger=[
                CSVLogger(training.folder, name="logs", version="csv"),
                TensorBoardLogger(training.folder, name="logs", version="tensorboard"),
            ],
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            gradient_clip_val=recipe.clip_norm or None,
            num_sanity_val_steps=0,
            log_every_n_steps=1_000_000,
            use_distributed_sampler=False,
        )


def _keep_freed_memory() -> None:
    """Ask glibc not to hand large blocks back after each use: training takes the same ones again at every step.

    Without it a fifth of the processor time goes into mapping and clearing pages (measured: 1.3 times the pictures a
    second on two cores). Other C libraries have no such call and are left alone.
    """
    mmap_threshold, trim_threshold, never = -3, -1, 1 << 30
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_threshold, never)
        libc.mallopt(trim_threshold, never)


@contextlib.contextmanager
def _interruptible(trainer: L.Trainer) -> Iterator[None]:
    """Give Ctrl-C back: Lightning turns it into sys.exit(1) and leaves the signal ignored."""
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as error:
        if not trainer.interrupted:
            raise
        signal.signal(signal.SIGINT, before)
        raise KeyboardInterrupt from error
