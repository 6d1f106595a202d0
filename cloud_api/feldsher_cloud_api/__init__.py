"""The health record: FHIR server, care workflows, pages, sign-in, audit and worker."""
