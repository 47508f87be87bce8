"""What `diten bench --keep` kept, in its file and over HTTP."""

import asyncio
from pathlib import Path

import httpx
import pytest
from fastapi import APIRouter, FastAPI

from twin_runtime.adapters.bench_figures import FILE, keep, kept
from twin_runtime.adapters.bench_http import with_bench
from twin_runtime.core.errors import Unavailable

TARGET = {
    "name": "ack/p50",
    "value": 12.7,
    "unit": "ms",
    "bar": "<= 15",
    "met": True,
    "against": "500 reports/s",
}


def asked(folder: Path) -> httpx.Response:
    async def call() -> httpx.Response:
        app = FastAPI()
        app.include_router(with_bench(APIRouter(prefix="/api/v1"), folder))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://cloud") as client:
            return await client.get("/api/v1/bench")

    return asyncio.run(call())


def test_before_anything_was_measured_there_are_no_figures(tmp_path: Path) -> None:
    assert asked(tmp_path).json() == {"figures": []}


def test_a_figure_takes_the_place_of_the_one_with_its_name(tmp_path: Path) -> None:
    keep(tmp_path, TARGET, 1)
    keep(tmp_path, {**TARGET, "name": "api/page", "value": None, "met": False}, 2)
    keep(tmp_path, {**TARGET, "value": 13.5}, 3)
    assert asked(tmp_path).json()["figures"] == [
        {**TARGET, "value": 13.5, "measured_ms": 3},
        {**TARGET, "name": "api/page", "value": None, "met": False, "measured_ms": 2},
    ]
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize("broken", ["", "{}", '[{"name": "x"}]', "[" * 1_000, " " * 2_000_000])
def test_a_file_that_cannot_be_read_is_said_not_to_be(tmp_path: Path, broken: str) -> None:
    (tmp_path / FILE).write_text(broken)
    answer = asked(tmp_path)
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:diten:unavailable")
    assert answer.json()["detail"] == "bench.json in the data_dir cannot be read: remove it"
    with pytest.raises(Unavailable):
        keep(tmp_path, TARGET, 1)


def test_figures_are_what_was_kept(tmp_path: Path) -> None:
    keep(tmp_path, TARGET, 1)
    (figure,) = kept(tmp_path)
    assert figure.model_dump() == {**TARGET, "measured_ms": 1}
