"""Add to a captioner what can only be computed once it is trained."""
