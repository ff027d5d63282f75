"""Requests and responses, as the OpenAPI page shows them: one module per kind of route."""
