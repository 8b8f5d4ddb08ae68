"""optim.py: ten steps of every optimiser against its formula in a few lines of float64 NumPy, resuming bit for bit,
what weight decay spares, clipping, names and errors."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnncli import kernels
from cnncli.errors import ModelError, UsageError
from cnncli.optim import OPTIMISERS, RECIPES, SGD, Adam, AdamW, clip_scale, gradient_norm, optimiser_by_name

SHAPES = {"conv1.weight": (8, 3, 3, 3), "conv1.bias": (8,), "bn.weight": (8,), "fc.weight": (10, 1700)}
# Ten float32 steps with values of order 1 against float64.
TOLERANCE = dict(rtol=2e-5, atol=2e-6)


def network(seed=3):
    rng = np.random.default_rng(seed)
    weights = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in SHAPES.items()}
    return weights, {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}


def fill(gradients, step):
    """The gradients of that step, the same each time."""
    rng = np.random.default_rng(step)
    for g in gradients.values():
        g[...] = rng.standard_normal(g.shape)


def run(optimiser, steps=range(10), weights=None, state=None, scale=1.0):
    start, gradients = network()
    weights = {name: w.copy() for name, w in (weights or start).items()}
    optimiser.bind(weights, gradients)
    if state:
        optimiser.load_state(state)
    for step in steps:
        fill(gradients, step)
        optimiser.lr = 0.1 / (step + 1)
        optimiser.step(scale)
    return weights


def formula(update, decay, steps=range(10), scale=1.0):
    """Ten steps in float64; update(p, g, memory, t, lr, decay) -> p."""
    weights, gradients = network()
    weights, memory = {name: w.astype(float) for name, w in weights.items()}, {name: {} for name in weights}
    for step in steps:
        fill(gradients, step)
        for name, p in weights.items():
            own_decay = decay if p.ndim > 1 else 0
            weights[name] = update(p, scale * gradients[name].astype(float), memory[name], step + 1, 0.1 / (step + 1),
                                   own_decay)
    return weights


def sgd(momentum, dampening, nesterov):
    def update(p, g, memory, t, lr, decay):
        g = g + decay * p
        memory["m"] = momentum * memory["m"] + (1 - dampening) * g if memory else g
        return p - lr * (g + momentum * memory["m"] if nesterov else memory["m"] if momentum else g)
    return update


def adam(beta1, beta2, eps, decoupled):
    def update(p, g, memory, t, lr, decay):
        p, g = (p * (1 - lr * decay), g) if decoupled else (p, g + decay * p)
        memory["m"] = beta1 * memory.get("m", 0) + (1 - beta1) * g
        memory["v"] = beta2 * memory.get("v", 0) + (1 - beta2) * g**2
        return p - lr * memory["m"] / (1 - beta1**t) / (np.sqrt(memory["v"] / (1 - beta2**t)) + eps)
    return update


CASES = [
    (SGD(0.1), sgd(0, 0, False), 0),
    (SGD(0.1, weight_decay=0.05), sgd(0, 0, False), 0.05),
    (SGD(0.1, momentum=0.9), sgd(0.9, 0, False), 0),
    (SGD(0.1, momentum=0.9, dampening=0.5, weight_decay=0.05), sgd(0.9, 0.5, False), 0.05),
    (SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.05), sgd(0.9, 0, True), 0.05),
    (Adam(), adam(0.9, 0.999, 1e-8, False), 0),
    (Adam(betas=(0.5, 0.9), eps=1e-3, weight_decay=0.05), adam(0.5, 0.9, 1e-3, False), 0.05),
    (AdamW(), adam(0.9, 0.999, 1e-8, True), 0.01),
    (AdamW(betas=(0.5, 0.9), eps=1e-3, weight_decay=0.05), adam(0.5, 0.9, 1e-3, True), 0.05),
]
OPTIMISERS_TO_TEST = [pytest.param(case[0], id=repr(case[0])) for case in CASES]


@pytest.mark.parametrize("scale", [1.0, 0.25])
@pytest.mark.parametrize(("optimiser", "update", "decay"), CASES, ids=lambda v: repr(v) if hasattr(v, "lr") else "")
def test_ten_steps(optimiser, update, decay, scale, isa):
    got, expected = run(optimiser, scale=scale), formula(update, decay, scale=scale)
    for name in SHAPES:
        np.testing.assert_allclose(got[name], expected[name], err_msg=name, **TOLERANCE)


def test_a_rate_of_its_own_with_the_decay_of_the_others(isa):
    """A parameter with a rate does what one that is scaled by its root would: lr times rate, shrinking as the rest."""
    weights, gradients = network()
    rates = {"bn.weight": 64.0, "fc.weight": 0.25}
    optimiser = SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.05)
    optimiser.bind(weights, gradients, rates)
    expected, momentum = {name: w.astype(float) for name, w in weights.items()}, dict.fromkeys(weights, 0.0)
    for step in range(4):
        fill(gradients, step)
        optimiser.step()
        for name, p in expected.items():
            rate = rates.get(name, 1.0)
            g = gradients[name] + (0.05 / rate * p if p.ndim > 1 or name in rates else 0)
            momentum[name] = 0.9 * momentum[name] + g
            expected[name] = p - 0.1 * rate * (g + 0.9 * momentum[name])
    for name in SHAPES:
        np.testing.assert_allclose(weights[name], expected[name], rtol=2e-5, atol=2e-5 * rates.get(name, 1))
    with pytest.raises(UsageError, match="no parameter"):
        optimiser.bind(weights, gradients, {"fc.wait": 2.0})
    with pytest.raises(UsageError, match="must be a multiple above 0"):
        optimiser.bind(weights, gradients, {"fc.weight": 0.0})


@pytest.mark.parametrize("optimiser", OPTIMISERS_TO_TEST)
def test_same_bits_on_any_threads(optimiser, isa):
    before, results = kernels.threads(), []
    try:
        for count in (1, 2, 4):
            kernels.set_threads(count)
            results.append(run(optimiser, range(3)))
    finally:
        kernels.set_threads(before)
    for other in results[1:]:
        assert all(np.array_equal(other[name], results[0][name]) for name in SHAPES)


@pytest.mark.parametrize("optimiser", OPTIMISERS_TO_TEST)
def test_resuming_is_bit_exact(optimiser, isa):
    whole = run(optimiser)
    half = run(optimiser, range(4))
    state = optimiser.state()
    assert state["step"].tolist() == [4]
    fresh = optimiser_by_name(**optimiser.config())
    resumed = run(fresh, range(4, 10), half, state)
    assert all(np.array_equal(resumed[name], whole[name]) for name in SHAPES)
    assert state["step"].tolist() == [4], "a state that was handed out does not change"


def test_state_names_and_what_load_state_refuses():
    optimiser = Adam()
    run(optimiser, range(1))
    state = optimiser.state()
    assert set(state) == {"step", *(f"{kind}/{name}" for kind in ("exp_avg", "exp_avg_sq") for name in SHAPES)}
    missing = {name: a for name, a in state.items() if name != "exp_avg_sq/fc.weight"}
    with pytest.raises(ModelError, match=r"no exp_avg_sq/fc.weight of shape \(10, 1700\), which adam needs"):
        optimiser.load_state(missing)
    with pytest.raises(ModelError, match="no step"):
        optimiser.load_state({name: a for name, a in state.items() if name != "step"})
    with pytest.raises(ModelError, match=r"no exp_avg/bn.weight of shape \(8,\)"):
        optimiser.load_state({**state, "exp_avg/bn.weight": np.zeros(9, np.float32)})
    assert all(np.array_equal(a, optimiser.state()[name]) for name, a in state.items()), "changed by a refused state"
    sgd = SGD(momentum=0.9)
    sgd.bind(*network())
    with pytest.raises(ModelError, match=r"momentum/conv1.weight .* which sgd needs"):
        sgd.load_state(state)


@pytest.mark.parametrize("optimiser", [SGD(0.1, weight_decay=0.5), Adam(0.1, weight_decay=0.5),
                                       AdamW(0.1, weight_decay=0.5)], ids=repr)
def test_weight_decay_spares_biases_and_norms(optimiser, isa):
    weights, gradients = network()
    start = {name: w.copy() for name, w in weights.items()}
    optimiser.bind(weights, gradients)
    optimiser.step()  # all gradients are zero: what moves is decayed
    for name in SHAPES:
        moved = not np.array_equal(weights[name], start[name])
        assert moved == (weights[name].ndim > 1), name


def test_lr_is_read_at_each_step(isa):
    weights, gradients = network()
    optimiser = SGD(0.1)
    optimiser.bind(weights, gradients)
    fill(gradients, 0)
    optimiser.lr = 0.0
    before = weights["conv1.bias"].copy()
    optimiser.step()
    assert np.array_equal(weights["conv1.bias"], before)
    optimiser.lr = 0.5
    optimiser.step()
    np.testing.assert_allclose(weights["conv1.bias"], before - 0.5 * gradients["conv1.bias"], rtol=1e-6)
    assert optimiser.config()["lr"] == 0.1, "the config is what the optimiser was made with"


def test_binding_again_starts_afresh():
    optimiser = SGD(momentum=0.9)
    first = run(optimiser, range(3))
    again = run(optimiser, range(3))
    assert all(np.array_equal(again[name], first[name]) for name in SHAPES)


def test_not_bound_and_badly_bound():
    with pytest.raises(UsageError, match="call its bind"):
        SGD().step()
    weights, gradients = network()
    with pytest.raises(UsageError, match="different names; give the network's own"):
        SGD().bind(weights, {"conv1.weight": gradients["conv1.weight"]})
    for wrong in (gradients["fc.weight"].astype(float), gradients["fc.weight"][1:], [[1.0]], None,
                  np.asfortranarray(gradients["fc.weight"])):
        with pytest.raises(UsageError, match=r"gradient fc\.weight must be a C-contiguous float32 array of the shape"):
            SGD().bind(weights, {**gradients, "fc.weight": wrong})
    with pytest.raises(UsageError, match=r"the parameter fc\.weight must"):
        SGD().bind({**weights, "fc.weight": weights["fc.weight"].astype(float)}, gradients)


def test_clipping_bounds_the_norm(isa):
    _, gradients = network()
    norm = gradient_norm(gradients)
    assert norm() == 0
    fill(gradients, 1)
    expected = np.sqrt(sum((g.astype(float) ** 2).sum() for g in gradients.values()))
    assert norm() == pytest.approx(expected, rel=1e-12)
    assert clip_scale(norm(), None) == clip_scale(norm(), 1e9) == 1
    assert clip_scale(norm(), 2.0) * norm() == pytest.approx(2.0, rel=1e-6)
    assert clip_scale(0.0, 0.5) == 1


def test_gradients_that_are_not_finite_are_named(isa):
    _, gradients = network()
    norm = gradient_norm(gradients)
    assert norm.not_finite() == []
    gradients["bn.weight"][7] = np.nan
    gradients["fc.weight"][-1, -1] = -np.inf
    assert not np.isfinite(norm())
    assert norm.not_finite() == ["bn.weight", "fc.weight"]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(OPTIMISERS)), st.floats(1e-4, 0.5), st.integers(1, 50), st.integers(0, 2**32))
def test_every_optimiser_goes_down_a_bowl(name, lr, size, seed):
    target = np.random.default_rng(seed).standard_normal((1, size)).astype(np.float32)
    weights, gradients = {"w": np.zeros((1, size), np.float32)}, {"w": np.zeros((1, size), np.float32)}
    optimiser = optimiser_by_name(name, lr=lr, weight_decay=0.0)
    optimiser.bind(weights, gradients)
    for _ in range(2):
        gradients["w"][...] = weights["w"] - target
        # Step 1 has length lr whatever the bowl: too far where a target is nearer than that.
        if (np.abs(gradients["w"]) < 2 * lr).any():
            return
        before = np.linalg.norm(gradients["w"])
        optimiser.step(0.1)
        assert np.linalg.norm(weights["w"] - target) < before


@pytest.mark.parametrize("optimiser", OPTIMISERS_TO_TEST)
def test_config_builds_the_same_optimiser(optimiser):
    again = optimiser_by_name(**json.loads(json.dumps(optimiser.config())))
    assert type(again) is type(optimiser)
    assert again.config() == optimiser.config()


def test_by_name():
    assert optimiser_by_name().config() == {"name": "sgd", "dampening": 0.0, **RECIPES["sgd"]}
    assert optimiser_by_name("adamw", lr=None, weight_decay=0.1).weight_decay == 0.1
    assert optimiser_by_name("sgd", lr=1, nesterov=False, momentum=0).memories == ()
    with pytest.raises(UsageError, match=r"no optimiser 'adm'; give one of sgd, adam, adamw.*Did you mean 'adam'"):
        optimiser_by_name("adm")
    with pytest.raises(UsageError, match="sgd takes no betas"):
        optimiser_by_name("sgd", betas=(0.9, 0.99))


@pytest.mark.parametrize("make", [
    lambda: SGD(-1), lambda: SGD(float("nan")), lambda: SGD("much"), lambda: SGD(nesterov=True),
    lambda: SGD(momentum=0.9, dampening=0.1, nesterov=True), lambda: SGD(momentum=-0.9), lambda: Adam(betas=(0.9, 1.0)),
    lambda: Adam(betas=(0.9,)), lambda: Adam(eps=-1), lambda: AdamW(weight_decay=float("inf")),
])
def test_options_that_make_no_sense(make):
    with pytest.raises(UsageError):
        make()


def test_what_is_left_out_is_as_pytorch_has_it():
    assert {**Adam().config(), "betas": tuple(Adam().config()["betas"])} == {
        "name": "adam", "lr": 1e-3, "weight_decay": 0.0, "betas": (0.9, 0.999), "eps": 1e-8}
    assert AdamW().config() == {**Adam().config(), "name": "adamw", "weight_decay": 1e-2}
