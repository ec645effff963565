//! A labelled stream of made-up card traffic with named fraud patterns. The same seed gives the same bytes.
