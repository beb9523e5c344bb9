"""The runtime under a seeded scheduler, with a virtual clock, simulated threads, a simulated disk, and faults."""
