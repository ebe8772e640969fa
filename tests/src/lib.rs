//! Helpers of the tests: nothing here is for use elsewhere.
