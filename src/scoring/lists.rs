//! Lists and tables in memory: membership and look-up in constant time. It reads no files.
