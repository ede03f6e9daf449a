"""The service: predictions over HTTP and a page for the browser, of a bundle or a run."""
