"""The web workstation: server-rendered pages, HTMX, and small ES modules without a build step."""
