"""Where histories live: one protocol, one file a backend."""
