"""The folder of a run: its files, its clock, its marks and records, its journal."""
