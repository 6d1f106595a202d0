"""FHIRPath (hl7.org/fhirpath, 2.0) over R4 resources: an expression is compiled once and run often."""

from feldsher_cloud_api.fhir.fhirpath.compile import Expression, compile_path
from feldsher_cloud_api.fhir.fhirpath.values import PathError

__all__ = ["Expression", "PathError", "compile_path"]
