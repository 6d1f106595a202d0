"""The application: routes, security headers, answers to refusals, health and metrics. Nothing happens at import."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio.to_thread
import psycopg
import structlog
from cryptography.fernet import Fernet
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from psycopg_pool import PoolTimeout
from starlette.exceptions import HTTPException

from feldsher_cloud_api import (
    access,
    audit,
    auth,
    canary,
    db,
    discovery,
    launch,
    limits,
    log,
    provision,
    registration,
    renewal,
    signin,
    token_endpoint,
    tokens,
)
from feldsher_cloud_api.access import Forbidden, Principal, Unauthenticated
from feldsher_cloud_api.care import alarm, ecg, limit, vitals
from feldsher_cloud_api.config import Settings, from_environment
from feldsher_cloud_api.context import Context
from feldsher_cloud_api.fhir import bundle, emergency, openapi, rest, search_routes, writing
from feldsher_cloud_api.fhir.bulk import routes as bulk
from feldsher_cloud_api.fhir.operation import routes as operation
from feldsher_cloud_api.fhir.outcome import FhirError
from feldsher_cloud_api.fhir.terminology import routes as terminology
from feldsher_cloud_api.fhir.transport import PREFIX, Transport
from feldsher_cloud_api.fleet import api as fleet
from feldsher_cloud_api.gateway_auth import GatewayRefusedError
from feldsher_cloud_api.identity import routes as identity
from feldsher_cloud_api.limits import TooFastError
from feldsher_cloud_api.live import Hub
from feldsher_cloud_api.manage import routes as manage
from feldsher_cloud_api.metrics import Metrics
from feldsher_cloud_api.secret import keep_secret
from feldsher_cloud_api.web import live, pages

MAX_BODY = 2_000_000
_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'self'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_log = structlog.get_logger()


def create_app(settings: Settings) -> FastAPI:
    """Return the application of an installation; its pool opens when it starts and closes when it ends."""
    pool = db.pool(settings.database_url, db.API)
    hub = Hub(settings.database_url)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        await anyio.to_thread.run_sync(pool.open)
        hub.start()
        yield
        await anyio.to_thread.run_sync(hub.stop)
        await anyio.to_thread.run_sync(pool.close)

    app = FastAPI(title="feldsher", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    cursor = Fernet(keep_secret(settings.secrets / "cursor.key", Fernet.generate_key))
    app.state.context = Context(settings, pool, tokens.open_keys(settings), cursor)
    app.state.metrics = Metrics(settings, pool)
    app.state.live = hub
    app.add_middleware(Transport)
    app.middleware("http")(_guard)
    for router in (
        signin.router,
        discovery.router,
        token_endpoint.router,
        registration.router,
        launch.router,
        provision.router,
        renewal.router,
        manage.router,
        ecg.router,
        vitals.router,
        limit.router,
        alarm.router,
        fleet.router,
        emergency.router,
        terminology.router,
        bulk.router,
        operation.router,
        identity.router,
        rest.router,
        search_routes.router,
        writing.router,
    ):
        app.include_router(router)
    app.include_router(live.router)
    pages.install(app)
    app.include_router(writing.fallback)
    _described(app, settings)
    _health(app, settings, pool)
    _refusals(app)
    return app


def _described(app: FastAPI, settings: Settings) -> None:
    @app.get("/openapi.json", include_in_schema=False)
    def described() -> JSONResponse:
        return JSONResponse(openapi.describe(settings.fhir_base))

    _ = described


def configured() -> FastAPI:
    """Return the application of the environment's installation: what each of several server processes starts with."""
    log.configure()
    return create_app(from_environment())


def _health(app: FastAPI, settings: Settings, pool: db.Pool) -> None:
    @app.get("/health/live", include_in_schema=False)
    def live() -> dict[str, str]:
        return {"status": "live"}

    @app.get("/health/ready", include_in_schema=False)
    def ready() -> Response:
        # Pages serve people also where test alarms do not come through, so that alone makes nobody unready; it is said.
        try:
            with pool.connection(timeout=2) as connection:
                connection.execute("SELECT 1")
            with db.asking(pool, user=None, role="manager") as connection:
                line = canary.standing(connection, settings.clock())
        except (psycopg.Error, TimeoutError):
            return JSONResponse({"status": "the database does not answer"}, 503)
        return JSONResponse({"status": "ready", "alarms": "crossing" if line.well else "silent"})

    _ = live, ready


async def _guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Refuse large bodies, add security headers, count and log by route template (no address, no query, no name)."""
    started = time.perf_counter()
    length = request.headers.get("content-length", "")
    bounded = request.url.path.startswith(f"{PREFIX}/")  # by its own layer
    if not bounded and request.method in ("POST", "PUT", "PATCH") and (not length.isdigit() or int(length) > MAX_BODY):
        response: Response = JSONResponse({"error": f"a body of known length up to {MAX_BODY} bytes is needed"}, 413)
    elif wait := _too_fast(request):
        response = _slow_down(request, wait)
    else:
        response = await call_next(request)
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    route = getattr(request.scope.get("route"), "path", "other")
    metrics: Metrics = request.app.state.metrics
    metrics.requests.labels(request.method, route, str(response.status_code)).inc()
    seconds = time.perf_counter() - started
    metrics.seconds.labels(request.method, route).observe(seconds)
    _log.info("request", method=request.method, route=route, status=response.status_code, ms=round(seconds * 1000, 1))
    return response


def _too_fast(request: Request) -> int:
    if request.url.path.startswith("/health/"):
        return 0
    of: Context = request.app.state.context
    return of.addresses.wait_s(limits.address(request), of.settings.clock())


def _slow_down(request: Request, wait_s: int) -> Response:
    words = f"too many requests; ask again in {wait_s} s"
    return _refused(request, 429, "throttled", words, {"Retry-After": str(wait_s)})


def _refusals(app: FastAPI) -> None:
    @app.exception_handler(TooFastError)
    def too_fast(request: Request, error: TooFastError) -> Response:
        return _slow_down(request, error.wait_s)

    @app.exception_handler(GatewayRefusedError)
    def gateway_refused(request: Request, error: GatewayRefusedError) -> Response:
        _log.warning("gateway_refused", code=error.code)
        return JSONResponse({"error": str(error), "code": error.code}, error.status)

    @app.exception_handler(FhirError)
    def fhir_error(request: Request, error: FhirError) -> Response:
        return rest.reply(error.outcome(), error.status)

    @app.exception_handler(psycopg.Error)
    @app.exception_handler(PoolTimeout)
    def database(request: Request, error: Exception) -> Response:
        return _unavailable(request, error)

    @app.exception_handler(Exception)
    def fault(request: Request, error: Exception) -> Response:
        # The server logs it: what went wrong is ours to find, and nothing of it is the asker's to see.
        return _refused(request, 500, "exception", "a fault of the server; it has been noted", {})

    @app.exception_handler(Unauthenticated)
    def unauthenticated(request: Request, error: Unauthenticated) -> Response:
        if _is_page(request):
            return auth.sign_in_first(app.state.context, request.url.path)
        return _refused(request, 401, "login", str(error), {"WWW-Authenticate": 'Bearer realm="feldsher"'})

    @app.exception_handler(Forbidden)
    def forbidden(request: Request, error: Forbidden) -> Response:
        _audit_refusal(request)
        return _refused(request, 403, "forbidden", str(error), {})

    @app.exception_handler(HTTPException)
    def http_error(request: Request, error: HTTPException) -> Response:
        code = "not-found" if error.status_code == 404 else "not-supported"
        return _refused(request, error.status_code, code, str(error.detail), dict(error.headers or {}))

    _ = too_fast, gateway_refused, database, fault, fhir_error, unauthenticated, forbidden, http_error


def _unavailable(request: Request, error: Exception) -> Response:
    """Answer for the database: what it refuses is the sender's to mend, what it cannot do now may be asked again."""
    refusals = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.InsufficientPrivilege)
    if isinstance(error, refusals) and request.url.path.startswith(PREFIX):
        status, said = bundle.refused(error)
        return rest.reply(said, status)
    if isinstance(error, psycopg.ProgrammingError):
        raise error  # our own mistake: it is to be seen
    _log.error("database_does_not_answer", error=type(error).__name__)
    return _refused(request, 503, "transient", "the database does not answer in time; try again", {"Retry-After": "2"})


def _audit_refusal(request: Request) -> None:
    who: Principal | None = getattr(request.state, "principal", None)
    if who is None:
        return
    of: Context = request.app.state.context
    operation = f"{request.method} {getattr(request.scope.get('route'), 'path', 'other')}"
    with access.asking(of.pool, who) as connection:
        audit.refused(connection, who, operation, of.settings.clock())


def _is_page(request: Request) -> bool:
    path = request.url.path
    return (
        request.method == "GET"
        and "text/html" in request.headers.get("accept", "")
        and not path.startswith(("/fhir", "/api", "/oauth/token"))
    )


def _refused(request: Request, status: int, code: str, words: str, headers: dict[str, str]) -> Response:
    if request.url.path.startswith("/fhir"):
        response = rest.reply(FhirError(status, code, words).outcome(), status)
        response.headers.update(headers)
        return response
    return JSONResponse({"error": words}, status, headers=headers)
