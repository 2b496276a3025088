"""Programs into other programs: derivatives and batches, one idea per file."""
