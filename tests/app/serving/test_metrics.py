import threading

from app.serving.metrics import Metrics
from app.version import VERSION


def test_every_service_has_its_own() -> None:
    one, other = Metrics(), Metrics()
    one.tokens.labels("verse").inc(3)
    name, label = "unrolled_text_tokens_total", {"model": "verse"}
    assert one.registry.get_sample_value(name, label) == 3
    assert other.registry.get_sample_value(name, label) is None
    assert one.registry.get_sample_value("unrolled_info", {"version": VERSION}) == 1


def test_threads_count_together() -> None:
    metrics = Metrics()

    def count() -> None:
        for size in range(500):
            metrics.batch_size.observe(size)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert metrics.registry.get_sample_value("unrolled_batch_size_count") == 4_000
