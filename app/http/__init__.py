"""The HTTP API: routes, schemas, uploads, errors and middleware."""
