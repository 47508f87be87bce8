"""What the edge's twins believe of their devices' uplinks, slot by slot [P1].

One Kalman filter per device and quantity, in dB: the gain, read from the power of what a device
sends, and the interference, which acts at the base station and is sensed there for every device
in every slot. `believed` is the state as the edge plans with it; the world answers with another.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from twin_runtime.physics.arguments import Array
from twin_runtime.physics.estimation import Estimate, kalman_predict, kalman_update
from twin_runtime.physics.rounds import round_time_s
from twin_runtime.physics.units import db_to_linear, dbm_to_w, linear_to_db
from twin_runtime.problems.access_state import Action, State, outcome, with_channel
from twin_runtime.problems.scenarios.smart_park import SmartPark

FADING_DB = 3.3  # deviation of a Rician gain of 6 dB
GAIN_NOISE_DB2 = 1.0  # variance of a reading
INTERFERENCE_NOISE_DB2 = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Twins:
    """Beliefs on the coming slot, `[batch, device]` each."""

    mean_gain_db: Array  # in the long run: what an unseen device falls back to
    gain_db: Estimate
    interference_dbm: Estimate


def begin_twins(park: SmartPark, mean_gain_db: Array) -> Twins:
    """Twins of devices of which only the path loss is known."""
    everywhere = np.ones_like(mean_gain_db)
    return Twins(
        mean_gain_db=mean_gain_db,
        gain_db=Estimate(mean_gain_db, FADING_DB**2 * everywhere),
        interference_dbm=Estimate(
            park.interference_dbm * everywhere, park.interference_db**2 * everywhere
        ),
    )


def believed(state: State, twins: Twins, caution: float) -> State:
    """The state with the channel that the twins expect, `caution` deviations below their mean."""
    gain_db = twins.gain_db.mean - caution * np.sqrt(twins.gain_db.variance)
    return with_channel(state, db_to_linear(gain_db), dbm_to_w(twins.interference_dbm.mean))


def learned(
    state: State, twins: Twins, heard: npt.NDArray[np.bool_], generator: np.random.Generator
) -> Twins:
    """The twins for the next slot, after readings of the devices that were `heard`."""
    park, shape = state.park, state.gain.shape
    gain_db = linear_to_db(state.gain) + GAIN_NOISE_DB2**0.5 * generator.standard_normal(shape)
    sensed_dbm = linear_to_db(state.interference_w) + 30.0
    sensed_dbm += INTERFERENCE_NOISE_DB2**0.5 * generator.standard_normal(shape)
    gain = kalman_update(twins.gain_db, observed=gain_db, noise_variance=GAIN_NOISE_DB2, seen=heard)
    interference = kalman_update(
        twins.interference_dbm, observed=sensed_dbm, noise_variance=INTERFERENCE_NOISE_DB2
    )
    return replace(
        twins,
        gain_db=kalman_predict(
            gain, mean=twins.mean_gain_db, deviation=FADING_DB, correlation=park.correlation
        ),
        interference_dbm=kalman_predict(
            interference,
            mean=park.interference_dbm,
            deviation=park.interference_db,
            correlation=park.correlation,
        ),
    )


def closing(planned: State, action: Action, slack: float) -> Action:
    """The action with a round that closes at `slack` times the planned deadline."""
    times = outcome(planned, action).time_s
    return replace(
        action, close_s=slack * round_time_s(time_s=times, participates=action.scheduled)
    )
