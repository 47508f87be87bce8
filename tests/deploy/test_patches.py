"""`diten twin patch`: from words to a merge patch, to an edge and back to the terminal."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from fastapi import FastAPI, Request, Response

from deploy.patches import merge_patch
from deploy.twin_commands import twin
from tests.adapters.serving import serving
from twin_runtime.adapters.tokens import TokenGuard

TOKEN = "a-token-of-some-length"


@contextmanager
def edge(heard: list[Any]) -> Iterator[str]:
    """The URL of an API that takes every patch, from whoever has the token."""
    app = FastAPI()

    async def take(request: Request) -> Response:
        heard.append(await request.json())
        return Response(status_code=204, headers={"ETag": '"rev:1.7"'})

    app.add_api_route("/api/2/things/{thing_id}", take, methods=["PATCH"])
    app.add_middleware(TokenGuard, token=TOKEN)
    with serving(app) as url:
        yield url


def diten(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(twin, ["patch", *arguments], env=environ)


def test_values_are_json_or_else_text() -> None:
    wanted = ["place/room=north", "place/floor=2", "old=null", "tags=[1]", "a=x=y", "n=NORTH 3"]
    assert merge_patch(wanted, ["sample_period_s=0.5"]) == {
        "attributes": {
            "place": {"room": "north", "floor": 2},
            "old": None,
            "tags": [1],
            "a": "x=y",
            "n": "NORTH 3",
        },
        "features": {"sample_period_s": {"desiredProperties": {"value": 0.5}}},
    }


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "1e999", "[NaN]", "[" * 100_000])
def test_what_only_python_takes_for_json_is_text(text: str) -> None:
    assert merge_patch([f"a={text}"], []) == {"attributes": {"a": text}}


@pytest.mark.parametrize(
    "words", [["room"], ["=3"], ["a=1", "a/b=2"], ["a/b=2", "a=1"], ["a=1", "a=2"]]
)
def test_what_is_no_assignment_is_said(words: list[str]) -> None:
    with pytest.raises(click.UsageError):
        merge_patch(words, [])


def test_a_patch_is_sent_with_the_token_and_its_revision_said() -> None:
    heard: list[Any] = []
    with edge(heard) as url:
        done = diten("d-1", "room=north", "--api", url, DITEN_TOKEN=TOKEN)
        assert (done.exit_code, done.output) == (0, "d-1 is at rev 1.7\n")
        told = diten("d-1", "--desired", "f=1", "--json", "--api", url, DITEN_TOKEN=TOKEN)
        assert json.loads(told.output)["etag"] == "rev:1.7"
        refused = diten("d-1", "room=north", "--api", url)
    assert (refused.exit_code, "DITEN_TOKEN" in refused.output) == (1, True)
    assert heard == [
        {"attributes": {"room": "north"}},
        {"features": {"f": {"desiredProperties": {"value": 1}}}},
    ]


def test_nothing_to_write_is_a_mistake_of_usage() -> None:
    assert diten("d-1").exit_code == 2
