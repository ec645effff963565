//! Exact sliding aggregates per key over event time. There is no clock here.
