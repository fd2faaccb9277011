"""The measure: the least that a Starlette application can do, and the same with a body taken and answered."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route


async def hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def echo(request: Request) -> Response:
    return Response(await request.body(), media_type="application/json")


app = Starlette(routes=[Route("/", hello, methods=["GET", "POST"]), Route("/body", echo, methods=["POST"])])
