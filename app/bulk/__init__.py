"""Caption many files: find them, prepare them ahead, write the results, resume."""
