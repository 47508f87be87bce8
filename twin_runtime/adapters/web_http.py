"""HTTP for the live page: its files, and what a browser may do with them.

    GET /              the page
    GET /web/{path}    its modules, its style sheet, its charts

The page loads nothing from elsewhere, runs no script that is not a file of ours, and hands no
text to the parser of HTML: the policy below has browsers see to it, and a value that a device
reports is therefore never more than text. Files are asked for again each time and answered
304, so that no browser mixes the modules of two versions.
"""

from pathlib import Path

from fastapi import APIRouter, Request, Response
from starlette.staticfiles import StaticFiles

FOLDER = Path(__file__).parent.parent / "web"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def with_page(api: APIRouter) -> APIRouter:
    """The routes of `api`, and those of the page."""
    router = APIRouter()
    router.include_router(api)
    files = StaticFiles(directory=FOLDER)

    async def page(request: Request) -> Response:
        return await file(request, "index.html")

    async def file(request: Request, path: str) -> Response:
        response = await files.get_response(path, request.scope)
        response.headers.update(_HEADERS)
        return response

    for path, answer in (("/", page), ("/web/{path:path}", file)):
        router.add_api_route(path, answer, methods=["GET", "HEAD"], include_in_schema=False)
    return router
