"""Side-by-side measurements on one machine, each suite printing its tables."""
