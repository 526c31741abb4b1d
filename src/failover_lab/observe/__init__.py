"""The observer: what the cluster said about itself, with instants on the witness's clock."""
