//! Every transaction of the horizon: its first answer, and where it stands in the windows. It decides nothing.
