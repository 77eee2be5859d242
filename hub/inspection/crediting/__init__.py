"""Keep what ships of crediting: two rule sets as data, read as strictly as those that people set."""
