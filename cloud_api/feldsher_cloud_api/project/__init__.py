"""From what ingest stored to the record: one file per kind of event."""
