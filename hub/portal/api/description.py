"""The OpenAPI description of the JSON API: what it says to whoever writes a script, and where it is."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.responses import JSONResponse, Response

_ABOUT = """Labs, submissions, receipts, feedback, grading and marks, for scripts.

Send the header `Authorization: token YOUR-TOKEN`, with a token from the hub's page *Token* (`/hub/token`). It lets a
script do here what its owner may do. A refusal is a 4xx whose `detail` says what to do. `docs/api.md` has examples."""
_TAGS = [
    {"name": "classes", "description": "The caller's courses and a class's marks."},
    {"name": "releases", "description": "Labs as students fetch them."},
    {"name": "submissions", "description": "What was handed in, and the receipts for it."},
    {"name": "feedback", "description": "Graded notebooks, once they are released."},
    {"name": "questions", "description": "Questions of a course and their threads."},
    {"name": "now", "description": "What a notebook tells while its student works."},
    {"name": "grading", "description": "Jobs of the grader."},
]


def describe(app: FastAPI, prefix: str) -> None:
    """Offer the description of all routes below `prefix`api/, which holds nothing of anybody's."""

    @cache
    def description() -> dict[str, Any]:
        found = get_openapi(
            title="ICT Labs",
            version=version("ictlabs"),
            description=_ABOUT,
            tags=_TAGS,
            routes=app.routes,
        )
        found["paths"] = {
            path: each for path, each in found["paths"].items() if path.startswith(f"{prefix}api/")
        }
        header = {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "token YOUR-TOKEN",
        }
        found.setdefault("components", {})["securitySchemes"] = {"token": header}
        found["security"] = [{"token": []}]
        return found

    @app.get(f"{prefix}api/openapi.json", tags=["classes"])
    async def openapi() -> Response:
        """This description."""
        return JSONResponse(description())
