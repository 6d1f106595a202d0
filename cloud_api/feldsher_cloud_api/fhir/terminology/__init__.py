"""Terminology: code systems, value sets and concept maps, and what may be asked of them."""
