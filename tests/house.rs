//! The rules of the house, kept by machine: what the pure modules may use, how long a file may get, what the sources never
//! name, where things lie, what the dependencies may be.
