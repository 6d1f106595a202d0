"""What people do in care: one file per word."""
