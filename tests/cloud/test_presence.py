"""Who is there, and in which order what is known of twins changed."""

from cloud.presence import Presence, Roster
from twin_runtime.core.messages import Status


def said(presence: Presence, identity: str, state: str, via: str = "") -> list[str]:
    status = Status.model_validate({"state": state, "via": via})
    return sorted(presence.heard(identity, status, wall_ms=1_000))


def test_nobody_is_known_before_it_was_heard() -> None:
    assert Presence().of("d-1").state == "unknown"


def test_a_status_that_says_nothing_new_changes_nothing() -> None:
    presence = Presence()
    assert said(presence, "d-1", "online") == ["d-1"]
    assert said(presence, "d-1", "online") == []
    assert said(presence, "d-1", "offline") == ["d-1"]
    assert presence.of("d-1").state == "offline"


def test_devices_are_lost_with_the_process_that_carries_them_until_they_are_heard_again() -> None:
    presence = Presence()
    for device in ("d-1", "d-2"):
        said(presence, device, "online", via="d-fleet")
    assert said(presence, "d-fleet", "lost") == ["d-1", "d-2", "d-fleet"]
    assert presence.of("d-1").state == presence.of("d-2").state == "lost"
    assert said(presence, "d-1", "online", via="d-fleet") == ["d-1"]
    assert (presence.of("d-1").state, presence.of("d-2").state) == ("online", "lost")


def test_devices_are_lost_again_when_the_process_that_carries_them_is() -> None:
    presence = Presence()
    for _ in range(2):
        said(presence, "d-1", "online", via="d-fleet")
        assert presence.of("d-1").state == "online"
        assert said(presence, "d-fleet", "lost") == ["d-1", "d-fleet"]
        assert presence.of("d-1").state == "lost"


def test_a_device_that_left_its_carrier_is_not_lost_with_it() -> None:
    presence = Presence()
    said(presence, "d-1", "online", via="d-fleet")
    said(presence, "d-1", "online")
    assert said(presence, "d-fleet", "lost") == ["d-fleet"]
    assert presence.of("d-1").state == "online"


def test_g7_a_device_that_names_ever_other_carriers_is_remembered_once() -> None:
    presence = Presence()
    for number in range(100):
        said(presence, "d-1", "online", via=f"d-{number}")
    assert len(presence._carried) == 1
    said(presence, "d-1", "online")
    assert not presence._carried


def test_a_reader_goes_on_where_it_stopped() -> None:
    roster = Roster(first=1_000)
    for twin in ("d-1", "d-2", "d-3"):
        roster.touch(twin)
    assert roster.since(0, limit=2) == (["d-1", "d-2"], 1_002)
    assert roster.since(1_002, limit=2) == (["d-3"], 1_003)
    assert roster.since(1_003, limit=2) == ([], 1_003)


def test_a_twin_that_changed_twice_is_told_once_and_last() -> None:
    roster = Roster(first=0)
    for twin in ("d-1", "d-2", "d-1"):
        roster.touch(twin)
    assert roster.since(0, limit=9) == (["d-2", "d-1"], 3)


def test_a_reader_from_before_a_restart_is_told_of_all() -> None:
    roster = Roster(first=2_000)
    roster.touch("d-1")
    assert roster.since(1_007, limit=9) == (["d-1"], 2_001)


def test_g7_twins_that_change_for_ever_are_remembered_once_each() -> None:
    roster = Roster(0)
    for number in range(10_000):
        roster.touch(f"d-{number % 3}")
    assert len(roster._changes) < 100
    assert roster.since(0, limit=9) == (["d-1", "d-2", "d-0"], 10_000)
