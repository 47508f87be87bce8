"""`diten edge`: the edges as the cloud's own machine lists, drains and gives them up."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from click.testing import CliRunner, Result
from fastapi import FastAPI

from cloud.machine import CloudMachine
from deploy.edge_commands import edge
from tests.adapters.serving import serving
from twin_runtime.adapters.directory_http import directory_router
from twin_runtime.core import effects, messages, topics
from twin_runtime.core.effects import Answer, Asked, Connected, Message, Now
from twin_runtime.core.orders import Hello

OK, REFUSED, USAGE, UNREACHABLE = range(4)


@contextmanager
def a_cloud(*edges: str) -> Iterator[str]:
    """The URL of a cloud that has heard of these edges; its store forgets everything."""
    machine = CloudMachine()
    hellos = [
        Message(topics.event(name), messages.encode(Hello(store=f"s-{name}"))) for name in edges
    ]
    machine.handle([Connected(), *hellos], Now(0.0, 0))

    async def ask(request: effects.Request) -> Answer:
        [answer] = machine.handle([Asked(1, request)], Now(1.0, 0)).answers
        return answer

    app = FastAPI()
    app.include_router(directory_router(ask, lambda _after, _limit: []))
    with serving(app) as api:
        yield api


def diten_edge(*arguments: str) -> Result:
    return CliRunner().invoke(edge, arguments)


def test_edges_line_up() -> None:
    with a_cloud("e-1", "e-2") as api:
        assert diten_edge("drain", "e-2", "--api", api).stdout == "e-2 is draining\n"
        listed = diten_edge("ls", "--api", api).stdout
    assert listed.splitlines() == [
        "EDGE  STATE     PRESENCE  TWINS",
        "e-1   serving   unknown       0",
        "e-2   draining  unknown       0",
    ]


def test_edges_as_json_are_what_the_api_said() -> None:
    with a_cloud("e-1") as api:
        listed = diten_edge("ls", "--api", api, "--json").stdout
        said = diten_edge("drain", "e-1", "--api", api, "--json").stdout
    unheard = {"api": None, "presence": "unknown", "heard_ms": 0, "position": None}
    assert json.loads(listed) == [{"edge": "e-1", "state": "serving", "twins": 0, **unheard}]
    assert json.loads(said) == {"edge": "e-1", "state": "draining"}


def test_without_edges_ls_says_so() -> None:
    with a_cloud() as api:
        result = diten_edge("ls", "--api", api)
    assert (result.exit_code, result.stdout) == (OK, "")
    assert "No edge has said hello" in result.stderr


def test_an_edge_is_given_up_only_by_somebody_who_is_sure() -> None:
    with a_cloud("e-1") as api:
        asked = diten_edge("lost", "e-1", "--api", api)
        assert asked.exit_code == REFUSED
        assert "Is it gone?" in asked.stdout
        assert diten_edge("lost", "e-1", "--yes", "--api", api).stdout == "e-1 is lost\n"
        assert diten_edge("resume", "e-1", "--api", api).stdout == "e-1 is serving\n"


@pytest.mark.parametrize("verb", ["drain", "resume", "lost"])
def test_an_edge_that_nobody_knows_is_one_sentence(verb: str) -> None:
    with a_cloud("e-1") as api:
        sure = ["--yes"] if verb == "lost" else []
        result = diten_edge(verb, "e-9", *sure, "--api", api)
    assert result.exit_code == REFUSED
    assert result.stderr.strip() == "Error: no edge e-9 has said hello; known: e-1"


@pytest.mark.parametrize("edge", ["e/1", "one", "E-1", ""])
def test_what_is_no_edge_s_id_is_a_mistake_of_usage(edge: str) -> None:
    result = diten_edge("drain", edge)
    assert result.exit_code == USAGE
    assert f"{edge!r} is not like e-1: `diten edge ls` has all ids" in result.stderr
