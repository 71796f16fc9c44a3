"""The model server: networks that are loaded once and serve batches of many callers, in this or another process."""
