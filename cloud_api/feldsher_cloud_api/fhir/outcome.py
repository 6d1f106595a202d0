"""Refusals as OperationOutcome: each says what is wrong and, where it is about an element, which."""

from __future__ import annotations

from typing import Any


class FhirError(Exception):
    """A refusal: HTTP status, FHIR issue code, words, and the FHIRPath of the element concerned."""

    def __init__(self, status: int, code: str, words: str, expression: str | None = None) -> None:
        super().__init__(words)
        self.status, self.code, self.words, self.expression = status, code, words, expression

    def outcome(self) -> dict[str, Any]:
        """Return the OperationOutcome resource."""
        return outcome([self])


class FaultError(FhirError):
    """One fault of a resource that was sent; `severity`: `error`, or `warning` for what is taken all the same."""

    def __init__(self, expression: str, words: str, code: str = "invalid", *, severity: str = "error") -> None:
        super().__init__(422, code, words, expression)
        self.severity = severity


class InvalidResourceError(FhirError):
    """All faults of a resource that was sent."""

    def __init__(self, faults: list[FaultError]) -> None:
        super().__init__(422, faults[0].code, "; ".join(f.words for f in faults))
        self.faults = faults

    def outcome(self) -> dict[str, Any]:
        """Return the OperationOutcome resource with one issue for each fault."""
        return outcome(self.faults)


def not_found(resource: str) -> FhirError:
    """Return the refusal for what does not exist or may not be seen: both look the same."""
    return FhirError(404, "not-found", f"there is no such {resource}, or it is not yours to see")


def outcome(errors: list[Any]) -> dict[str, Any]:
    """Return an OperationOutcome with one issue per error."""
    issues: list[dict[str, Any]] = []
    for error in errors:
        issue: dict[str, Any] = {
            "severity": getattr(error, "severity", "error"),
            "code": error.code,
            "diagnostics": error.words,
        }
        if error.expression:
            issue["expression"] = [error.expression]
        issues.append(issue)
    return {"resourceType": "OperationOutcome", "issue": issues}
