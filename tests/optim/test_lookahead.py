"""lookahead.py against its formula in a few lines, its end, resuming bit for bit, and what it refuses to go on from."""

import numpy as np
import pytest

from cnncli.errors import ModelError
from cnncli.optim.lookahead import Lookahead

EVERY, LAST_DECAY = 5, 0.95**5  # the published recipe's


def arrays(rng):
    return {"a": rng.standard_normal((3, 4)).astype(np.float32), "b": rng.standard_normal(5).astype(np.float32)}


def move(fast, step):
    """What the optimiser would do."""
    for number, array in enumerate(fast.values()):
        array += np.random.default_rng([step, number]).standard_normal(array.shape).astype(np.float32)


@pytest.mark.parametrize("total", [1, 12, 20, 23])
def test_formula(total, rng):
    fast = arrays(rng)
    expected, slow = ({name: array.astype(float) for name, array in fast.items()} for _ in range(2))
    lookahead = Lookahead(fast, total)
    for step in range(1, total + 1):
        move(fast, step)
        move(expected, step)
        if step % EVERY == 0:
            decay = LAST_DECAY * (step / total) ** 3
            slow = {name: decay * slow[name] + (1 - decay) * expected[name] for name in slow}
        if step % EVERY == 0 or step == total:
            expected = {name: array.copy() for name, array in slow.items()}
        assert lookahead.after(step) == (step % EVERY == 0 or step == total)
        for name in fast:
            np.testing.assert_allclose(fast[name], expected[name], rtol=1e-5, atol=1e-5)


def test_resumed_it_continues_to_the_same_bits(rng):
    start = arrays(rng)
    straight = {name: array.copy() for name, array in start.items()}
    lookahead = Lookahead(straight, 20)
    for step in range(1, 8):
        move(straight, step)
        lookahead.after(step)
    resumed, state = {name: array.copy() for name, array in straight.items()}, lookahead.state()
    other = Lookahead(resumed, 20)
    other.load_state(state)
    for step in range(8, 21):
        for fast, each in ((straight, lookahead), (resumed, other)):
            move(fast, step)
            each.after(step)
    assert all(np.array_equal(straight[name], resumed[name]) for name in straight)
    assert not np.array_equal(state["slow/a"], lookahead.state()["slow/a"]), "the state is a copy"


def test_a_state_that_does_not_fit_is_refused(rng):
    lookahead = Lookahead(arrays(rng), 20)
    state = lookahead.state()
    for bad in ({"slow/a": state["slow/a"]}, {**state, "slow/b": np.zeros(4, np.float32)}):
        with pytest.raises(ModelError, match="no slow b of shape"):
            lookahead.load_state(bad)
