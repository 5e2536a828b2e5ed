//! Test support: the practice world, a fake clock, the corpus runner.
