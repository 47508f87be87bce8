import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.physics.arguments import Array
from twin_runtime.physics.relocation import Valuation
from twin_runtime.physics.utility import data_utility, data_utility_slope
from twin_runtime.solvers.water_filling import reuse_at_price

VALUATION = Valuation(0.3 / 20, 0.7 / 9, 200.0)
NEW, OLD = np.array([200.0, 450.0, 700.0]), np.array([900.0, 500.0, 300.0])
PHI = np.array([0.0, 0.3, 0.6])


def reuse(price: float | Array, old: Array = OLD) -> Array:
    return reuse_at_price(
        new_samples=NEW,
        old_samples=old,
        label_distance=PHI,
        price=np.asarray(price) * np.ones(3),
        valuation=VALUATION,
    )


@given(st.floats(1e-6, 1e-1))
def test_what_is_reused_in_part_is_worth_just_its_price(price: float) -> None:
    share = reuse(price)
    slope = data_utility_slope(samples=NEW + share * OLD, label_distance=PHI)
    worth = VALUATION.utility_weight * slope * OLD
    part = (share > 0) & (share < 1)
    np.testing.assert_allclose(worth[part], price, rtol=1e-9)
    assert (worth[share == 0] <= price * (1 + 1e-12)).all()
    assert (worth[share == 1] >= price * (1 - 1e-12)).all()


@given(st.floats(1e-6, 1e-1))
def test_no_share_on_a_grid_is_better(price: float) -> None:
    grid = np.linspace(0, 1, 101)[:, None]

    def value(share: Array) -> Array:
        useful = data_utility(samples=NEW + share * OLD, label_distance=PHI)
        return VALUATION.utility_weight * useful - price * share

    assert (value(grid) <= value(reuse(price)) + 1e-16).all()


@given(st.floats(1e-6, 1e-1), st.floats(1.0, 10.0))
def test_less_is_reused_at_a_higher_price(price: float, factor: float) -> None:
    assert (reuse(price * factor) <= reuse(price)).all()


def test_all_is_reused_for_nothing_and_nothing_at_any_price_where_there_is_none() -> None:
    assert (reuse(1e-200) == 1).all()
    assert (reuse(1e200) == 0).all()
    assert (reuse(1e-3, old=np.zeros(3)) == 0).all()
