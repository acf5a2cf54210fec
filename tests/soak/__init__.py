"""Many clients of several tenants under steady load, and everything that can die dying at random moments."""
