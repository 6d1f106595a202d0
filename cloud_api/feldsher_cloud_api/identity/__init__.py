"""Who is who: the master patient index, merging and separating records, and whose patient a resident is."""
