"""The epochs of a run, by Lightning's trainer."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Literal

import lightning.pytorch as pl
from lightning.pytorch.strategies import DDPStrategy

from dotcount.training.listener import Listener
from dotcount.training.loader import CountingData
from dotcount.training.module import CountingModule
from dotcount.training.progress import Reporter
from dotcount.training.recorder import Recorder, WholeCheckpointIO
from dotcount.training.resolve import Plan

_PRECISION: dict[str, Literal["32-true", "16-mixed", "bf16-mixed"]] = {
    "32": "32-true",
    "16": "16-mixed",
    "bf16": "bf16-mixed",
}


def fit(
    plan: Plan,
    module: CountingModule,
    data: CountingData,
    recorder: Recorder,
    checkpoint: Path | None,
    listener: Listener,
) -> None:
    """Train until the recorder ends the run.

    Parameters
    ----------
    plan, module, data
        What is trained, on what, and how.
    recorder
        Writes the run's folder.
    checkpoint
        What to go on from; ``None`` at the beginning.
    listener
        Hears of steps and epochs.

    Raises
    ------
    KeyboardInterrupt
        If the person at the keyboard, or the system, asked to stop.
    """
    training = plan.config.training
    trainer = pl.Trainer(
        accelerator="gpu" if training.device == "cuda" else training.device,
        devices=training.devices,
        # Processes are spawned by the trainer, not by running the user's script again. Each rank's loss keeps its own
        # potentials, so buffers are not broadcast; no model of ours has statistics in buffers.
        strategy=DDPStrategy(start_method="spawn", broadcast_buffers=False) if training.devices > 1 else "auto",
        precision=_PRECISION[training.precision],
        max_epochs=module.state.epochs or -1,
        callbacks=[recorder, Reporter(listener, module.state)],
        plugins=[WholeCheckpointIO()],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
    )
    interrupt = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, data, ckpt_path=checkpoint, weights_only=True)
    except SystemExit:
        if not trainer.interrupted:
            raise
        signal.signal(signal.SIGINT, interrupt)  # Lightning turns Ctrl-C off and exits; the caller decides about that
        raise KeyboardInterrupt from None
