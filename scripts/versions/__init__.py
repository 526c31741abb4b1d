"""Shows and raises the versions that versions.yml pins: `make versions`, `make version NAME=… TO=…`."""
