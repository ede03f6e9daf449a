"""Pages and tables: the report of a run, of the data, of a comparison and of a search."""
