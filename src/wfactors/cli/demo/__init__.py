"""``wfactors demo``: real work on real files, a worker that is killed half-way, and the proof that nothing was lost."""
