"""Effects add up: counts are summed, the earliest wish to be woken wins."""

from twin_runtime.core.effects import Effects


def test_counts_of_one_label_add_up_and_others_stay_apart() -> None:
    fx = Effects()
    fx.count("reports_total", "applied", 2)
    fx.count("reports_total", "applied")
    fx.count("reports_total", "gap")
    fx.count("failovers_total")
    assert fx.counts == {
        ("reports_total", "applied"): 3,
        ("reports_total", "gap"): 1,
        ("failovers_total", ""): 1,
    }


def test_the_earliest_wake_wins_and_is_never_in_the_past() -> None:
    fx = Effects()
    assert fx.wake_in_s is None
    fx.wake_by(5.0)
    fx.wake_by(7.0)
    assert fx.wake_in_s == 5.0
    fx.wake_by(-1.0)
    assert fx.wake_in_s == 0.0
