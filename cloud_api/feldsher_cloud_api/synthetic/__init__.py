"""People who do not exist, with lives and records: for demonstrations, for trying, and for measuring."""
