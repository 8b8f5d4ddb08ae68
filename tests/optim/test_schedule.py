"""schedule.py: the shape of every schedule, at its ends and against its formula; that it is a pure function of the
step; names and errors. Against torch.optim.lr_scheduler: tests/peers/test_schedules.py."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnncli.errors import UsageError
from cnncli.optim.schedule import SCHEDULES, Schedule

KINDS = st.sampled_from(sorted(SCHEDULES))


def rates(kind, total=20, warmup=0, **options):
    schedule = Schedule(kind, 0.1, total, warmup, **options)
    return [schedule(step) for step in range(total)]


def test_constant():
    assert rates("constant") == [0.1] * 20


def test_step():
    assert rates("step") == pytest.approx([0.1] * 10 + [0.01] * 5 + [0.001] * 5)
    assert rates("step", milestones=[15, 3], gamma=0.5) == pytest.approx([0.1] * 3 + [0.05] * 12 + [0.025] * 5)
    assert rates("step", step_size=8, gamma=0.5) == pytest.approx([0.1] * 8 + [0.05] * 8 + [0.025] * 4)


def test_milestones_count_from_the_start_of_the_run():
    assert rates("step", warmup=4)[4:] == rates("step")[4:]


def test_cosine():
    expected = [0.01 + 0.09 * (1 + math.cos(math.pi * t / 20)) / 2 for t in range(20)]
    assert rates("cosine", min_lr=0.01) == pytest.approx(expected)
    assert rates("cosine", warmup=5)[5] == 0.1
    assert rates("cosine", warmup=4)[12] == pytest.approx(0.05)


def test_warm_up_is_a_line_up_to_lr():
    for kind in ("constant", "step", "cosine"):
        assert rates(kind, warmup=4)[:5] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1])


@pytest.mark.parametrize("ramp", ["cosine", "linear"])
def test_one_cycle(ramp):
    up = rates("one-cycle", total=101, warmup=40, ramp=ramp)
    assert up[0] == pytest.approx(0.004)
    assert up[20] == pytest.approx(0.052)  # half way up, on either ramp
    assert up[40] == max(up) == pytest.approx(0.1)
    assert up[100] == pytest.approx(0.1 / 25 / 1e4)
    assert up[:41] == sorted(up[:41])
    assert up[40:] == sorted(up[40:], reverse=True)
    assert up[10] == pytest.approx(0.028 if ramp == "linear" else 0.004 + 0.096 * (1 - math.cos(math.pi / 4)) / 2)


@pytest.mark.parametrize("warmup", [0, 40])
def test_triangular(warmup):
    line = rates("triangular", total=200, warmup=warmup)
    top = warmup or 46
    assert line[0] == pytest.approx(0.02)
    assert line[top // 2] == pytest.approx(0.06)
    assert line[top] == max(line) == pytest.approx(0.1)
    assert line[(top + 200) // 2] == pytest.approx((0.1 + 0.007) / 2)
    assert line[199] == pytest.approx(0.007 + (0.1 - 0.007) / (200 - top))
    assert rates("triangular", total=1) == pytest.approx([0.1])


def test_one_cycle_climbs_for_three_tenths():
    cycle = rates("one-cycle", total=100)
    assert cycle.index(max(cycle)) == 29
    assert cycle[0] == pytest.approx(0.004)
    assert rates("one-cycle", total=1) == [0.1]
    assert rates("one-cycle", total=2)[1] == pytest.approx(0.1 / 25 / 1e4)
    assert cycle[99] == pytest.approx(0.1 / 25 / 1e4)


@pytest.mark.slow
@given(KINDS, st.integers(1, 60), st.integers(0, 60), st.floats(0, 10))
def test_every_rate_is_between_nothing_and_lr(kind, total, warmup, lr):
    schedule = Schedule(kind, lr, total, min(warmup, total))
    every = [schedule(step) for step in range(total + 3)]
    assert all(0 <= rate <= lr * (1 + 1e-12) for rate in every)
    assert every[total:] == [every[total - 1]] * 3, "after the end it stays as it was"
    if kind == "one-cycle" and total >= 8:  # the top may lie between two steps
        assert max(every) >= 0.8 * lr
    if kind != "one-cycle" and 2 * warmup < total:  # later, "step" has had a milestone
        assert max(every) == pytest.approx(lr)
    again = Schedule(**json.loads(json.dumps(schedule.config())))
    assert [again(step) for step in reversed(range(total + 3))] == every[::-1], "a pure function of the step"


def test_config_holds_what_counts():
    assert Schedule("cosine", 0.1, 20, 2).config() == {
        "kind": "cosine", "lr": 0.1, "total_steps": 20, "warmup_steps": 2, "min_lr": 0.0}
    assert "gamma" not in Schedule("one-cycle", 0.1, 20).config()
    assert Schedule("step", 0.1, 20, milestones=(9, 5)).config()["milestones"] == [5, 9]


def test_names():
    with pytest.raises(UsageError, match=r"no schedule 'onecycle'; give one of constant, .*Did you mean 'one-cycle'"):
        Schedule("onecycle", 0.1, 10)
    with pytest.raises(UsageError, match="Did you mean 'linear'"):
        Schedule("one-cycle", 0.1, 10, ramp="liner")


@pytest.mark.parametrize(("arguments", "options"), [
    (("cosine", -0.1, 10), {}), (("cosine", math.nan, 10), {}), (("cosine", 0.1, 0), {}), (("cosine", 0.1, 10, 11), {}),
    (("cosine", 0.1, 10, -1), {}), (("cosine", 0.1, 10), {"min_lr": -1}), (("step", 0.1, 10), {"gamma": math.inf}),
    (("step", 0.1, 10), {"step_size": 0}), (("step", 0.1, 10), {"step_size": 2, "milestones": [3]}),
])
def test_options_that_make_no_sense(arguments, options):
    with pytest.raises(UsageError):
        Schedule(*arguments, **options)


def test_what_is_left_out_can_be_filled_in():
    schedule = Schedule("cosine", min_lr=0.01)
    assert schedule.config() == {"kind": "cosine", "min_lr": 0.01}
    assert schedule == Schedule(**json.loads(json.dumps(schedule.config()))) != Schedule("cosine")
    filled = schedule.filled(0.1, 20, 2)
    assert filled == Schedule("cosine", 0.1, 20, 2, min_lr=0.01)
    assert filled.filled(7, 8, 9) == filled
    assert Schedule("step", total_steps=9, warmup_steps=0, step_size=2).filled(0.1, 20, 3) == Schedule(
        "step", 0.1, 9, 0, step_size=2)
    for unknown in (schedule, Schedule("constant", total_steps=9)):
        with pytest.raises(UsageError, match="no learning rate yet; give its lr, or let a Trainer or cnncli"):
            unknown(0)
    for kind, options in (("cosine", {"milestones": [2]}), ("one-cycle", {}), ("triangular", {}), ("step", {})):
        with pytest.raises(UsageError, match=rf"^the {kind} schedule does not know how many steps there are; give its "
                                             "total_steps, which is epochs times the batches"):
            Schedule(kind, 0.1, **options)(0)


def test_what_needs_no_end_goes_on_without_one():
    assert [Schedule("constant", 0.1, warmup_steps=1)(step) for step in (0, 1, 10**9)] == [0.05, 0.1, 0.1]
    assert [Schedule("step", 1, step_size=2, gamma=0.5)(step) for step in (0, 1, 2, 7)] == [1, 1, 0.5, 0.125]
    assert [Schedule("step", 1, milestones=[1, 9])(step) for step in (0, 1, 10)] == pytest.approx([1, 0.1, 0.01])


@pytest.mark.parametrize("wrong", [{"total_steps": 2.5}, {"total_steps": True}, {"warmup_steps": "3"}, {"lr": "0.1"},
                                   {"warmup_steps": -1}, {"gamma": None}], ids=repr)
def test_numbers_that_are_none_are_refused(wrong):
    with pytest.raises(UsageError):
        Schedule(**{"kind": "step", "lr": 0.1, "total_steps": 9, **wrong})


def test_steps_count_from_zero():
    with pytest.raises(UsageError, match="must be at least 0"):
        Schedule("constant", 0.1, 10)(-1)
