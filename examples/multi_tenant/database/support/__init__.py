"""What the people who run the whole system do for one company, on purpose and on record."""
