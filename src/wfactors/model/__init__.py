"""Frozen values that every layer shares: ids, events, messages, records, batches, and their wire form.

Nothing here does I/O, reads a clock or draws a random number.
"""
