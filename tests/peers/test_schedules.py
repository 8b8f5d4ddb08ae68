"""Schedules against torch.optim.lr_scheduler, where PyTorch has the same shape."""

import pytest
import torch
from torch.optim import lr_scheduler

from cnncli.optim.schedule import Schedule

TOTAL, WARMUP = 50, 6
CASES = [
    (Schedule("constant", 0.2, TOTAL), lambda o: lr_scheduler.ConstantLR(o, factor=1.0)),
    (Schedule("step", 0.2, TOTAL, step_size=7, gamma=0.5), lambda o: lr_scheduler.StepLR(o, 7, 0.5)),
    (Schedule("step", 0.2, TOTAL, milestones=[10, 33]), lambda o: lr_scheduler.MultiStepLR(o, [10, 33])),
    (Schedule("cosine", 0.2, TOTAL, min_lr=0.01), lambda o: lr_scheduler.CosineAnnealingLR(o, TOTAL, 0.01)),
    (Schedule("one-cycle", 0.2, TOTAL), lambda o: lr_scheduler.OneCycleLR(o, 0.2, TOTAL)),
    (Schedule("one-cycle", 0.2, 64, ramp="linear"), lambda o: lr_scheduler.OneCycleLR(
        o, 0.2, 64, anneal_strategy="linear")),
    (Schedule("cosine", 0.2, TOTAL, WARMUP), lambda o: lr_scheduler.SequentialLR(o, [
        lr_scheduler.LinearLR(o, start_factor=1 / (WARMUP + 1), total_iters=WARMUP),
        lr_scheduler.CosineAnnealingLR(o, TOTAL - WARMUP)], [WARMUP])),
    (Schedule("constant", 0.2, TOTAL, WARMUP), lambda o: lr_scheduler.LinearLR(
        o, start_factor=1 / (WARMUP + 1), total_iters=WARMUP)),
]


@pytest.mark.parametrize(("ours", "theirs"), CASES, ids=lambda v: repr(v) if isinstance(v, Schedule) else "")
@pytest.mark.filterwarnings("ignore:The epoch parameter in")
def test_schedule(ours, theirs):
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.2, momentum=0.9)
    peer = theirs(optimiser)
    for step in range(ours.total_steps):
        assert ours(step) == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-9), f"step {step}"
        optimiser.step()
        peer.step() if step < ours.total_steps - 1 else None
