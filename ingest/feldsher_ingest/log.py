"""Logs: one JSON object per line and event. No patient's data, no payloads; gateways by name."""

from __future__ import annotations

import logging
import sys

import structlog


def configure(level: str) -> None:
    """Write JSON lines to standard error from `level` (debug, info, warning, error) up."""
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
