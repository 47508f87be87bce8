"""From what an operator says of an agent's input to the source that gives it."""

from device_agent.config import SourceConfig
from device_agent.sources import Source
from twin_runtime.core.errors import InvalidConfiguration
from twin_runtime.ports import Clock


def open_source(config: SourceConfig, agent: str, started_ms: int, clock: Clock) -> Source:
    """Return the source that was chosen, ready to be iterated.

    Args:
        config: what was chosen.
        agent: the agent's id; with `board`, the device's too.
        started_ms: when this agent's store was new (wall time): the first reading of a
            replayed trace is dated then, and a restart goes on from there.
        clock: the agent's.

    Raises:
        InvalidConfiguration: no such source, a value out of its range, or a trace that
            is missing or cannot be read.
    """
    # Imported when chosen: a board that reports itself need not hold the other sources.
    match config.kind.partition(":"):
        case ["host" | "board" as extent, "", _]:
            from device_agent.host import HostSource  # noqa: PLC0415

            own = {"twin": agent} if extent == "board" else {}
            return HostSource(clock, period_s=config.period_s, parts=extent == "host", **own)
        case ["replay", ":", directory] if directory:
            from device_agent.replay import ReplaySource  # noqa: PLC0415
            from device_agent.trace import load_trace  # noqa: PLC0415

            trace = load_trace(directory, config.trace)
            return ReplaySource(trace, clock, start_ms=started_ms, speed=config.speed)
        case ["emulated", "", _]:
            from device_agent.emulated import EmulatedSource  # noqa: PLC0415

            return EmulatedSource(
                clock,
                first=config.first,
                last=config.last,
                seed=config.seed,
                period_s=config.period_s,
            )
        case ["walking", "", _]:
            return _walkers(config, started_ms, clock)
    raise InvalidConfiguration(
        f"source.kind {config.kind!r} is unknown: use host, board, replay:DIR, emulated or walking"
    )


def _walkers(config: SourceConfig, started_ms: int, clock: Clock) -> Source:
    from device_agent.emulated import EmulatedSource  # noqa: PLC0415

    try:
        from device_agent.walkers import WalkingSource  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        raise InvalidConfiguration(
            f"source.kind walking needs {missing.name}, which a device's install lacks: "
            "install diten[edge], or use emulated"
        ) from None
    rooms = EmulatedSource(
        clock,
        first=config.first,
        last=config.last,
        seed=config.seed,
        period_s=config.period_s,
    )
    # Agents that share a fleet walk apart: each has its own part of the seed's worlds.
    seed = config.seed + config.first
    return WalkingSource(rooms, clock, seed=seed, started_ms=started_ms, speed=config.speed)
