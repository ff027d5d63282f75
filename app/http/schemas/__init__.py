"""Requests and responses, as the API page shows them."""
