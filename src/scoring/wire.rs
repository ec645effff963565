//! Messages from JSON and columns to checked values. It keeps nothing and never repeats a refused value.
