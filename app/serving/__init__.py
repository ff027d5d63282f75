"""From requests to results, without HTTP: engine, worker, batcher, jobs, registry, cache."""
