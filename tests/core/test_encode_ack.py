from hypothesis import given
from hypothesis import strategies as st

from twin_runtime.core import messages
from twin_runtime.core.messages import ReportAck
from twin_runtime.core.scalar import INTEGER_MAX

POSITIONS = st.integers(min_value=0, max_value=INTEGER_MAX)


@given(
    epoch=st.integers(min_value=1, max_value=INTEGER_MAX),
    session=POSITIONS,
    applied=POSITIONS,
    stable=POSITIONS,
    former=st.none() | st.tuples(POSITIONS, POSITIONS),
)
def test_an_acknowledgement_is_the_model_byte_for_byte(
    epoch: int, session: int, applied: int, stable: int, former: tuple[int, int] | None
) -> None:
    ack = ReportAck(
        edge="e-1", epoch=epoch, session=session, applied=applied, stable=stable, former=former
    )
    said = messages.encode_ack("e-1", epoch, session, applied, stable, former)
    assert said == messages.encode(ack)
