"""What HTTP means: pure functions and frozen values. No await, no clock, no log, no I/O."""
