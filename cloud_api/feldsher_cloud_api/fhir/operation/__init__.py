"""Operations on the record, one noun per file."""
