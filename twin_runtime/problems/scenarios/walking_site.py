"""A site whose devices walk between a few edges: [P3]'s mobile users as a live system has them.

Moving a twin and keeping it far from its device cost about the same (the balanced profile).
Edges train a small model for few epochs, so that distance matters beside load; with the
paper's sixty, all twins were packed onto the fewest edges and stayed there wherever their
devices went. Edges are alike, and are sized for their users: the paper has 20 on 9 of them.
"""

from twin_runtime.problems.scenarios.mobile_users import MobileUsers

TRAINING_EPOCHS = 5.0
TUNING_EPOCHS = 1.0
USERS_PER_EDGE = 20 / 9  # what the paper's budgets are made for
COMPUTE_BUDGET = 1450.0  # the middles of the paper's ranges
SYNCHRONISATION_BUDGET = 125.0
SATURATION_ENERGY = 200.0
CYCLES_PER_BIT = 55.0
TWIN_BITS = 4500.0


def walking_site(users: int, edges: int) -> MobileUsers:
    """The scenario for so many devices and edges; nothing in it is drawn but places and data."""
    size = max(1.0, users / edges / USERS_PER_EDGE)
    return MobileUsers(
        users=users,
        edges=edges,
        energy_per_bit_m=1e-6,
        payload="causal",
        training_epochs=TRAINING_EPOCHS,
        tuning_epochs=TUNING_EPOCHS,
        compute_budget=(size * COMPUTE_BUDGET, size * COMPUTE_BUDGET),
        synchronisation_budget=(size * SYNCHRONISATION_BUDGET, size * SYNCHRONISATION_BUDGET),
        saturation_energy=size * SATURATION_ENERGY,
        cycles_per_bit=(CYCLES_PER_BIT, CYCLES_PER_BIT),
        twin_bits=(TWIN_BITS, TWIN_BITS),
    )
