"""Keep what ships of sampling: the rules by goods, as data."""
