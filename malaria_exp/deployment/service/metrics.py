"""The service's own numbers, in the form that Prometheus reads."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
CELLS = (1, 2, 4, 8, 16, 32)


class Metrics:
    """Counters of a service; none of them says anything about a file or a client."""

    def __init__(self) -> None:
        self._registry = own = CollectorRegistry()
        ProcessCollector(registry=own)
        self.requests = Counter("malaria_requests", "Requests by path and status.", ["path", "status"], registry=own)
        from_head = "From a request's head to the end of its answer."
        self.seconds = Histogram("malaria_request_seconds", from_head, ["path"], buckets=SECONDS, registry=own)
        self.cells = Counter("malaria_cells", "Images by result: scored or refused.", ["result"], registry=own)
        self.unlike = Counter("malaria_cells_unlike_training_data", "Scored images that do not look like the training data.", registry=own)
        self.batch = Histogram("malaria_batch_cells", "Cells scored in one call of the model.", buckets=CELLS, registry=own)
        self.waiting = Gauge("malaria_waiting_cells", "Cells that wait to be scored.", registry=own)
        self.held = Gauge("malaria_held_bytes", "Bytes of requests in memory.", registry=own)

    def text(self) -> bytes:
        """Returns all numbers in Prometheus' text format."""
        return generate_latest(self._registry)
