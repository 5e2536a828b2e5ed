//! The decision point: Cedar, the ladder, explanations, fail closed.
