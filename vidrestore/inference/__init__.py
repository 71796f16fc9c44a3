"""The model server: networks loaded once, that answer the batches of many callers, in this process or another."""
