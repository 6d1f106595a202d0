"""Managing gateways from afar: configurations, updates in stages, diagnostics bundles, forgetting."""
