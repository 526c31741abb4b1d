"""The report: from records and events to a verdict."""
