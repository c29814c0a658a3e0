"""The pages of ``karat app``: forms above :mod:`karat.app.project` and :mod:`karat.app.calculator`.

The server answers this machine alone. Every request must carry the secret that was made when it started (in a cookie
that other sites cannot use) and name the address it listens to, so that no page in the same browser can act on its
behalf.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote as in_url

from jinja2 import Environment, FileSystemLoader
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ..errors import ArgumentError, KaratError
from ..fieldwork.handout import file_stem
from .calculator import Assumed, calculate
from .project import MODELS, Project, codebook_of, heard

PAGES = Path(__file__).parent / "_pages"
STEPS = (("/", "Plan"), ("/table", "Table"), ("/draw", "Draw"), ("/label", "Label"), ("/fit", "Fit"))
COOKIE = "karat"
MOST_BYTES = 2**30
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store",
}  # fmt: skip


class Guard:
    """Lets through requests of this machine's own browser alone: by address, secret and origin."""

    def __init__(self, app: ASGIApp, hosts: set[str], secret: str) -> None:
        self.app, self.hosts, self.secret = app, hosts, secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        origin = request.headers.get("origin")
        answer: ASGIApp = self.app
        if request.headers.get("host") not in self.hosts or origin not in {None, *(f"http://{h}" for h in self.hosts)}:
            answer = PlainTextResponse("This page is for the browser of this machine.", 403)
        elif secrets.compare_digest(request.query_params.get("key", "").encode(), self.secret.encode()):
            answer = RedirectResponse(scope["path"], 303)
            answer.set_cookie(COOKIE, self.secret, httponly=True, samesite="strict")
        elif not secrets.compare_digest(request.cookies.get(COOKIE, "").encode(), self.secret.encode()):
            answer = PlainTextResponse("Open the address that karat app printed, with its key.", 403)
        elif int(request.headers.get("content-length") or 0) > MOST_BYTES:
            answer = PlainTextResponse("That is more than a gigabyte; use Python or the shell for it.", 413)
        await answer(scope, receive, send)


class Form(FormData):
    """What was entered, with the name and content of a file that was chosen."""

    def __init__(self, given: FormData, file: str, content: bytes) -> None:
        super().__init__(given)
        self.file, self.content = file, content


class Pages:
    """What each address shows and does; the work is in the project."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.templates = Environment(loader=FileSystemLoader(PAGES), autoescape=True, trim_blocks=True)

    def show(self, name: str, status: int = 200, **context: Any) -> Response:
        """A page."""
        path = {"plan": "/"}.get(name, f"/{name}")
        shared = {"steps": STEPS, "here": path, "project": self.project, "models": MODELS, "stem": file_stem}
        text = self.templates.get_template(f"{name}.html").render(**shared, **context)
        return Response(text, status, HEADERS, "text/html")

    async def act(self, request: Request, name: str, do: Callable[[Form], Any], then: str | None) -> Response:
        """Do what a form asks, then go on; what does not fit is said above the form, which keeps what was written."""
        async with request.form() as given:
            file = given.get("file")
            upload = (file.filename or "", await file.read()) if isinstance(file, UploadFile) else ("", b"")
        form = Form(given, *upload)
        try:
            result, notes = await run_in_threadpool(lambda: heard(lambda: do(form)))
        except KaratError as error:
            return self.show(name, 422, error=str(error), form=form)
        if then is not None and not notes:
            return RedirectResponse(then, 303)
        return self.show(name, result=result, notes=notes, form=form, then=then)

    def get(self, name: str) -> Callable[[Request], Awaitable[Response]]:
        """The address that only shows a page."""

        async def answer(request: Request) -> Response:
            return await run_in_threadpool(lambda: self.show(name, form={}))

        return answer

    async def plan(self, request: Request) -> Response:
        """How many labels, from assumptions."""

        def do(form: Form) -> Any:
            share = lambda name: _number(form, name) / 100  # noqa: E731
            group = share("group") if form.get("question") == "difference" else None
            accuracy = (share("worst"), share("best"))
            assumed = Assumed(_whole(form, "documents"), share("share"), accuracy, share("half_width"), group)
            return calculate(assumed)

        return await self.act(request, "plan", do, None)

    async def table(self, request: Request) -> Response:
        """Take an uploaded table."""

        def do(form: Form) -> Any:
            if not form.file:
                raise ArgumentError("choose a file first.")
            self.project.load(form.file, form.content)

        return await self.act(request, "table", do, "/table")

    async def columns(self, request: Request) -> Response:
        """Which column is what."""

        def do(form: Form) -> Any:
            self.project.choose(str(form.get("text", "")), [str(name) for name in form.getlist("machine")])

        return await self.act(request, "table", do, "/draw")

    async def draw(self, request: Request) -> Response:
        """Draw, and write the pages."""

        def do(form: Form) -> Any:
            given = {name: str(form.get(name, "")).strip() for name in ("name", "question", "answers", "scale", "by")}
            book = codebook_of(given["name"], given["question"], given["answers"], given["scale"])
            people = [part.strip() for part in str(form.get("annotators", "")).split(",")]
            seed = _whole(form, "seed") if form.get("seed") else secrets.randbelow(2**31)
            self.project.draw(_whole(form, "n"), given["by"], book, people, _number(form, "overlap"), seed)

        return await self.act(request, "draw", do, "/label")

    async def label(self, request: Request) -> Response:
        """The page of an annotator; its answers, as they are given."""
        round, name = request.path_params["round"], request.path_params["name"]
        try:
            if request.method == "GET":
                text = self.project.page(round, name, f"/label/{round}/{in_url(name, safe='')}")
                return Response(text, headers={"Cache-Control": "no-store"}, media_type="text/html")
            self.project.take(round, name, await request.body())
        except KaratError as error:
            return PlainTextResponse(str(error), 422)
        return PlainTextResponse("kept")

    async def returned(self, request: Request) -> Response:
        """A file that a page saved elsewhere."""

        def do(form: Form) -> Any:
            round, _, name = str(form.get("who", "")).partition("/")
            self.project.take(round, name, form.content)

        return await self.act(request, "label", do, "/label")

    async def settle(self, request: Request) -> Response:
        """The third round."""
        return await self.act(request, "label", lambda form: self.project.settle(), "/label")

    async def fit(self, request: Request) -> Response:
        """Fit."""

        def do(form: Form) -> Any:
            covariates = [str(name) for name in form.getlist("covariates")]
            self.project.estimate(
                str(form.get("model", "")), str(form.get("outcome", "")), covariates, str(form.get("answer", "")),
                bool(form.get("ignore")),
            )  # fmt: skip
            return None

        return await self.act(request, "fit", do, None)

    async def more(self, request: Request) -> Response:
        """How many more labels, from the fit."""
        return await self.act(
            request, "fit", lambda form: self.project.plan(str(form.get("term", "")), _number(form, "half_width")), None
        )

    async def file(self, request: Request) -> Response:
        """A file to keep: the table with gold, the fit, a page of an annotator."""
        what = request.path_params["what"]
        try:
            if what == "labelled.csv":
                path, _ = await run_in_threadpool(lambda: heard(self.project.write_gold))
                return _download(path.read_bytes(), what, "text/csv")
            fit = self.project.fit
            if fit is None:
                raise ArgumentError("there is no fit yet; fit first.")
            if what == "fit.csv":
                return _download(fit.tidy().to_csv().encode(), what, "text/csv")
            if what == "fit.json":
                return _download(fit.to_json().encode(), what, "application/json")
            made = await run_in_threadpool(lambda: heard(self.project.write_report))
            return _download(made[0].read_bytes(), what, "text/html")
        except KaratError as error:
            return self.show("fit", 422, error=str(error), form={})

    async def mail(self, request: Request) -> Response:
        """A page of an annotator as a file, to be sent to somebody."""
        round, name = request.path_params["round"], request.path_params["name"]
        try:
            return _download(self.project.written_page(round, name), f"{file_stem(name)}.html", "text/html")
        except KaratError as error:
            return self.show("label", 422, error=str(error), form={})


def make(folder: str | Path, port: int, secret: str) -> Starlette:
    """The application for one study.

    Parameters
    ----------
    folder : str or Path
        Where the study is kept.
    port : int
        The port it listens to, on 127.0.0.1.
    secret : str
        What the address must carry once, as ``?key=``.
    """
    pages = Pages(Project(Path(folder)))
    shown = {"/": "plan", "/table": "table", "/draw": "draw", "/label": "label", "/fit": "fit"}
    done = {
        "/": pages.plan, "/table": pages.table, "/columns": pages.columns, "/draw": pages.draw, "/settle": pages.settle,
        "/returned": pages.returned, "/fit": pages.fit, "/more": pages.more,
    }  # fmt: skip
    routes = [
        *(Route(path, pages.get(name)) for path, name in shown.items()),
        *(Route(path, action, methods=["POST"]) for path, action in done.items()),
        Route("/label/{round}/{name}", pages.label, methods=["GET", "POST"]),
        Route("/mail/{round}/{name}", pages.mail), Route("/file/{what}", pages.file), Route("/app.css", _style),
    ]  # fmt: skip
    app = Starlette(routes=routes)
    app.add_middleware(Guard, hosts={f"127.0.0.1:{port}", f"localhost:{port}"}, secret=secret)
    return app


async def _style(request: Request) -> Response:
    return Response((PAGES / "app.css").read_text("utf-8"), headers=HEADERS, media_type="text/css")


def _download(content: bytes, name: str, kind: str) -> Response:
    headers = {**HEADERS, "Content-Disposition": f"attachment; filename*=UTF-8''{in_url(name)}"}
    return Response(content, headers=headers, media_type=kind)


def _number(form: Form, name: str) -> float:
    text = str(form.get(name, "")).strip().replace(",", ".")
    try:
        return float(text)
    except ValueError:
        raise ArgumentError(f"{name.replace('_', ' ')} {text!r} must be a number.") from None


def _whole(form: Form, name: str) -> int:
    value = _number(form, name)
    if value != int(value):
        raise ArgumentError(f"{name} {value:g} must be a whole number.")
    return int(value)
