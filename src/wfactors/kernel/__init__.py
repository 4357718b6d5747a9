"""The sans-IO core: an author's coroutines, driven by hand. No I/O, clock, randomness, Trio or threads."""
