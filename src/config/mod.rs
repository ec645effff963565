//! Configuration from file, environment and flags. It binds no port and opens no connection.
