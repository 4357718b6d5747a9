"""The Trio shell: engine, node, partitions, instances and activities, each under its supervisor."""
