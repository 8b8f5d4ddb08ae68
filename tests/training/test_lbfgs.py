"""training/lbfgs.py: finds the minimum of functions whose minimum is known, never goes up, and stops."""

import numpy as np
import pytest

from cnncli.training.lbfgs import minimise


def rosenbrock(x):
    value = (1 - x[:-1]) ** 2 + 100 * (x[1:] - x[:-1] ** 2) ** 2
    gradient = np.zeros_like(x)
    gradient[:-1] = -2 * (1 - x[:-1]) - 400 * x[:-1] * (x[1:] - x[:-1] ** 2)
    gradient[1:] += 200 * (x[1:] - x[:-1] ** 2)
    return float(value.sum()), gradient


def test_a_bent_valley_is_followed_to_its_end() -> None:
    point, value = minimise(rosenbrock, np.full(6, -0.5), most=500, tolerance=1e-15)
    np.testing.assert_allclose(point, 1, atol=1e-5)
    assert value < 1e-10


@pytest.mark.parametrize("condition", [1, 100])
def test_a_bowl_is_solved_in_few_steps(condition: float, rng: np.random.Generator) -> None:
    scale, goal, asked = np.geomspace(1, condition, 50), rng.standard_normal(50), []

    def bowl(x):
        asked.append(float((scale * (x - goal) ** 2).sum() / 2))
        return asked[-1], scale * (x - goal)

    point, value = minimise(bowl, np.zeros(50), most=300, tolerance=1e-14)
    np.testing.assert_allclose(point, goal, atol=1e-4)
    assert len(asked) < 120
    assert value == min(asked)


def test_it_stops_where_nothing_is_won_and_steps_back_from_what_is_no_number() -> None:
    calls = []

    def flat(x):
        calls.append(x)
        return 0.0, np.zeros_like(x)

    minimise(flat, np.ones(3))
    assert len(calls) == 2

    def wall(x):
        return (float(((x - 1) ** 2).sum()), 2 * (x - 1)) if abs(x).max() < 1.5 else (float("nan"), x * np.nan)

    point, _ = minimise(lambda x: tuple(30 * part for part in wall(x)), np.zeros(2), tolerance=1e-12)
    np.testing.assert_allclose(point, 1, atol=1e-4)


def slope(steep: float):
    """A plane: it falls without an end, by ``steep`` times the step."""
    return lambda x: (float(-steep * x.sum()), np.full_like(x, -steep))


def test_it_takes_so_many_steps_at_most() -> None:
    assert minimise(slope(1.0), np.zeros(1))[0] == 200
    assert minimise(slope(1.0), np.zeros(1), most=7) == (7, -7)


@pytest.mark.parametrize(("steep", "tolerance", "steps"), [
    (1.0, 0.0101, 100), (1.0, 1.0, 1),  # of the value
    (0.01, 1.01e-4, 1), (0.01, 0.99e-4, 50)])  # which counts as 1 where it is smaller
def test_it_ends_where_a_step_wins_too_little(steep: float, tolerance: float, steps: int) -> None:
    point, _ = minimise(slope(steep), np.zeros(1), most=50 if steep < 1 else 200, tolerance=tolerance)
    assert point == pytest.approx(steps * min(1, steep))


def test_a_step_is_halved_until_it_wins_and_given_up_where_none_does() -> None:
    """From 0 to 1 a parabola about 0.3 would rise."""
    point, value = minimise(lambda x: (100 * float((x[0] - 0.3) ** 2), 200 * (x - 0.3)), np.zeros(1), most=1)
    assert (point[0], value) == (0.5, pytest.approx(4))
    asked = []

    def cliff(x):
        asked.append(x)
        return (0.0 if x[0] == 0 else np.inf), np.ones(1)

    assert minimise(cliff, np.zeros(1)) == (0, 0)
    assert len(asked) == 1 + 27, "down to 1e-8"
