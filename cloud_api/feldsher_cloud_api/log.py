"""Logging: one JSON line per event; never a name, an identifier, a query string or a body."""

from __future__ import annotations

import logging
import sys

import structlog


def _standard_error(*_: object) -> structlog.PrintLogger:
    return structlog.PrintLogger(sys.stderr)


def configure(level: str = "INFO") -> None:
    """Send structlog's events as JSON lines to standard error, and silence access logs that would hold addresses."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=_standard_error,
        cache_logger_on_first_use=False,
    )
    logging.getLogger("uvicorn.access").disabled = True
    # psycopg and authlib describe statements and codes at DEBUG; these can hold values.
    for name in ("psycopg", "psycopg.pool", "authlib"):
        logging.getLogger(name).setLevel(logging.WARNING)


def logger() -> structlog.typing.FilteringBoundLogger:
    """Return the logger."""
    return structlog.get_logger()
